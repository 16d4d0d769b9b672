//! `return` → `redirect` and `respond`, or `plain_http: redirect` where it leads to https.

use crate::config::parse::expand::escaped;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::Known;
use crate::convert::nginx::variables::Part;
use crate::convert::nginx::variables::parts;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;
use crate::model::name::HostName;

/// What a route answers by itself: the key and its section.
pub(super) fn answer(
    site: &Site<'_>,
    scope: &Scope<'_>,
    directive: &Directive,
    known: &Known,
) -> Entry {
    let (code, text) = code_and_text(directive);
    match (code, text) {
        (Some(301 | 302 | 303 | 307 | 308), Some(url)) => {
            redirect(site, directive, code, url, known)
        }
        (None, Some(url)) => redirect(site, directive, None, url, known),
        (Some(444), _) => {
            site.ledger
                .changed(directive, "answered with 404 in place of nothing");
            status(404)
        }
        (Some(code @ 200..=599), text) => respond(site, scope, directive, (code, text), known),
        _ => {
            site.ledger
                .dropped(directive, "no such answer can be given: it is 404");
            status(404)
        }
    }
}

/// An empty answer with a status.
pub(super) fn status(code: u16) -> Entry {
    let status = Entry::new("status", Yaml::plain(code));
    Entry::new("respond", Yaml::Map(vec![status]))
}

pub(super) fn code_and_text(directive: &Directive) -> (Option<u16>, Option<&str>) {
    let text = directive.args.get(1).map(String::as_str);
    match directive.first().parse() {
        Ok(code) => (Some(code), text),
        Err(_) => (None, Some(directive.first())),
    }
}

fn respond(
    site: &Site<'_>,
    scope: &Scope<'_>,
    directive: &Directive,
    (code, text): (u16, Option<&str>),
    known: &Known,
) -> Entry {
    let mut section = vec![Entry::new("status", Yaml::plain(code))];
    let body = text.map(|text| known.literal(text));
    match body {
        Some(None) => {
            site.ledger
                .dropped(directive, "the text has variables: the answer is empty");
        }
        Some(Some(body)) if !body.is_empty() && !matches!(code, 204 | 205 | 304) => {
            let media = media(site, scope, known);
            section.push(Entry::new("content_type", Yaml::text(&media)));
            section.push(Entry::new("body", Yaml::text(&body)));
            site.ledger.kept(directive, "`respond`");
        }
        None if code >= 300 => site
            .ledger
            .changed(directive, "`respond`, without nginx's page"),
        Some(Some(_)) | None => site.ledger.kept(directive, "`respond`"),
    }
    Entry::new("respond", Yaml::Map(section))
}

fn redirect(
    site: &Site<'_>,
    directive: &Directive,
    code: Option<u16>,
    url: &str,
    known: &Known,
) -> Entry {
    let Some(entry) = led(url, code.unwrap_or(302), known) else {
        site.ledger.dropped(
            directive,
            "the address cannot be said with facts: the answer is 404",
        );
        return status(404);
    };
    site.ledger.kept(directive, "`redirect`");
    entry
}

fn led(url: &str, code: u16, known: &Known) -> Option<Entry> {
    let (to, query) = target(url, known)?;
    Some(entry(&to, code, query))
}

/// A redirect to an address without groups, whose query is said apart.
pub(super) fn target_entry(
    url: &str,
    code: u16,
    keeps_query: bool,
    known: &Known,
) -> Option<Entry> {
    // The request's own address has its query with it.
    let (to, _) = target(url, known)?;
    let keeps = keeps_query || url.ends_with("$request_uri");
    Some(entry(
        &to,
        code,
        if keeps { Query::Keep } else { Query::Drop },
    ))
}

fn entry(to: &str, code: u16, query: Query) -> Entry {
    let mut section = vec![
        Entry::new("to", Yaml::template(to)),
        Entry::new("status", Yaml::plain(code)),
    ];
    if query == Query::Drop {
        section.push(Entry::new("query", Yaml::text("drop")));
    }
    Entry::new("redirect", Yaml::Map(section))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Query {
    Drop,
    Keep,
}

/// The address of a redirect as a template, without a query of the request.
pub(super) fn target_text(url: &str, known: &Known) -> Option<String> {
    target(url, known).map(|(to, _)| to)
}

/// The address as a template. The request's own path and query may stand at its end.
fn target(url: &str, known: &Known) -> Option<(String, Query)> {
    let ends = [
        ("$request_uri", Query::Keep),
        ("$uri$is_args$args", Query::Keep),
        ("$uri", Query::Drop),
    ];
    let end = ends
        .iter()
        .find_map(|(end, query)| Some((url.strip_suffix(end)?, *query)));
    let (before, path, query) = match end {
        Some((before, query)) => (before, "${request.path}", query),
        None => (url, "", Query::Drop),
    };
    let before = known.literal(before)?;
    let whole = format!("{}{path}", escaped(&before));
    let address = before
        .strip_prefix("http://")
        .or_else(|| before.strip_prefix("https://"));
    let says_host = address.is_some_and(begins_with_host);
    if !is_visible(&before) {
        return None;
    }
    let is_path = before.starts_with('/') && !before.starts_with("//");
    (says_host || is_path).then_some((whole, query))
}

/// The type that nginx gives a text: by the ending of the path where that never changes, or `default_type`.
pub(super) fn media(site: &Site<'_>, scope: &Scope<'_>, known: &Known) -> String {
    let path = known.fixed.get("uri");
    let ending = path.and_then(|path| path.rsplit('/').next()?.rsplit_once('.'));
    let ending = ending.map(|(_, ending)| ending.to_ascii_lowercase());
    let by_ending = ending.and_then(|ending| match scope.one("types") {
        Some(types) => {
            let mut kinds = types.inside().iter();
            let kind = kinds.find(|kind| kind.args.contains(&ending));
            kind.map(|kind| kind.name.clone())
        }
        None => (ending == "html").then(|| "text/html".to_owned()),
    });
    if let Some(media) = by_ending.filter(|media| is_media(media)) {
        return media;
    }
    let said = scope.one("default_type");
    match said.filter(|media| is_media(media.first())) {
        Some(media) => {
            site.ledger.kept(media, "`respond.content_type`");
            media.first().to_owned()
        }
        None => "text/plain".to_owned(),
    }
}

/// Whether a text is a type such as `text/plain`.
fn is_media(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-+.".contains(c);
    let halves = text.split_once('/');
    halves.is_some_and(|(kind, name)| {
        !kind.is_empty() && !name.is_empty() && kind.chars().chain(name.chars()).all(is_word)
    })
}

/// Whether an address has a host with nothing odd about it.
fn begins_with_host(address: &str) -> bool {
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "1"));
    HostName::parse(host).is_ok() && port.parse().is_ok_and(|port: u16| port > 0)
}

/// Whether a text can stand in a header without spaces.
pub(super) fn is_visible(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The port of https, where a `return` or `rewrite` sends each request to the same place there.
pub(super) fn leads_to_https(directive: &Directive, known: &Known) -> Option<u16> {
    let url = match (directive.name.as_str(), directive.args.as_slice()) {
        ("return", [_, url] | [url]) => url.clone(),
        ("rewrite", [pattern, url, flags @ ..]) => {
            let flagged = flags
                .iter()
                .any(|flag| ["permanent", "redirect"].contains(&flag.as_str()));
            let whole = match pattern.as_str() {
                "^" | "^.*$" | ".*" | "^/" => url.strip_suffix("$request_uri?").map(str::to_owned),
                "^(.*)$" | "^(.*)" | "(.*)" | "^/(.*)$" => {
                    let before = url
                        .strip_suffix("$1")
                        .or_else(|| url.strip_suffix("$request_uri?"));
                    before.map(|before| before.trim_end_matches('/').to_owned())
                }
                _ => None,
            };
            let whole = whole.filter(|_| flagged || url.starts_with("https://"))?;
            format!("{whole}$request_uri")
        }
        _ => return None,
    };
    let rest = url.strip_prefix("https://")?;
    let ends = ["$request_uri", "$uri$is_args$args", "/$request_uri"];
    let authority = ends.iter().find_map(|end| rest.strip_suffix(end))?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, 443),
    };
    let same = match parts(host).as_slice() {
        [Part::Variable(name)] => ["host", "http_host", "server_name"].contains(&name.as_str()),
        [Part::Text(text)] => known.fixed.get("server_name") == Some(text),
        _ => false,
    };
    same.then_some(port).filter(|port| *port > 0)
}

/// Whether a directive redirects with another status than `plain_http` does.
pub(super) fn is_other_status(directive: &Directive) -> bool {
    let words = || directive.args.iter().map(String::as_str);
    words().any(|word| ["302", "303", "307", "308", "redirect"].contains(&word))
        || (directive.name == "return" && directive.args.len() == 1)
}

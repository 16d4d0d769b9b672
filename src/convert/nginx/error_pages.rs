//! `error_page` and `proxy_intercept_errors` → `error_pages`: pages that nginx gives from files or by `return`, and
//! redirects.
//!
//! nginx hands an error to another location, whoever asked. Here a page is at hand or it is not: one that an
//! upstream makes, or that a location keeps from some, is nobody's.

use std::collections::BTreeSet;

use regex::Regex;

use crate::convert::nginx::answers;
use crate::convert::nginx::locations::Kind;
use crate::convert::nginx::locations::Paths;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::Known;
use crate::convert::nginx::variables::variables;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Item;
use crate::convert::yaml::Yaml;

/// The locations of a server, those that requests are in first that take them, and those with names.
pub(super) struct Places<'p, 't> {
    pub(super) all: Vec<(&'p Paths, &'p Scope<'t>)>,
    pub(super) server: &'p Scope<'t>,
    /// Whether nobody is let in at all.
    pub(super) closed: bool,
}

/// The key of a virtual host or a route; none where nginx says nothing of errors.
pub(super) fn key(
    site: &Site<'_>,
    scope: &Scope<'_>,
    places: &Places<'_, '_>,
    known: &Known,
) -> Option<Entry> {
    let directives = scope.all("error_page");
    let intercept = scope.one("proxy_intercept_errors");
    if let Some(intercept) = intercept {
        site.ledger
            .kept(intercept, "`error_pages[].upstream_errors`");
    }
    if directives.is_empty() {
        return None;
    }
    let of_upstreams = intercept.is_some_and(|switch| switch.first() == "on");
    let mut seen = BTreeSet::new();
    let mut items = Vec::new();
    let mut for_lost: Option<Entry> = None;
    for directive in directives {
        let Some(page) = read(site, directive) else {
            continue;
        };
        let answer = match answer(site, places, &page, known) {
            Ok(answer) => answer,
            Err(why) => {
                site.ledger.dropped(directive, why);
                continue;
            }
        };
        let statuses: Vec<u16> = page
            .statuses
            .iter()
            .copied()
            .filter(|status| seen.insert(*status))
            .collect();
        match answer.difference {
            Some(why) => site.ledger.changed(directive, why),
            None => site.ledger.kept(directive, "`error_pages`"),
        }
        if statuses.contains(&502) {
            for_lost = Some(answer.entry.clone());
        }
        items.extend(item(&statuses, of_upstreams, answer.entry));
    }
    // nginx says 502 where no upstream can be connected to.
    if let Some(entry) = for_lost.filter(|_| seen.insert(503)) {
        items.extend(item(&[503], false, entry));
    }
    (!items.is_empty()).then(|| Entry::new("error_pages", Yaml::List(items)))
}

/// The key of a route: none where what its server says holds.
pub(super) fn of_route(own: Option<Entry>, around: Option<&Entry>) -> Option<Entry> {
    if own.as_ref() == around {
        return None;
    }
    Some(own.unwrap_or_else(|| Entry::new("error_pages", Yaml::Flow(Vec::new()))))
}

/// Whether any `error_page` around or inside a place leads to this location.
pub(super) fn lead_to(site: &Site<'_>, scope: &Scope<'_>, name: &str) -> bool {
    fn inside(directives: &[Directive], name: &str) -> bool {
        directives.iter().any(|directive| {
            let leads = directive.name == "error_page"
                && directive.args.last().is_some_and(|to| to == name);
            leads || inside(directive.inside(), name)
        })
    }
    let around = site.http.own("error_page").into_iter().cloned();
    let around: Vec<Directive> = around.collect();
    inside(&around, name) || scope.innermost().is_some_and(|level| inside(level, name))
}

fn item(statuses: &[u16], of_upstreams: bool, answer: Entry) -> Option<Item> {
    if statuses.is_empty() {
        return None;
    }
    let statuses = statuses.iter().map(ToString::to_string);
    let mut entries = vec![Entry::new("statuses", Yaml::Flow(statuses.collect()))];
    if of_upstreams {
        entries.push(Entry::new("upstream_errors", Yaml::text("replace")));
    }
    entries.push(answer);
    Some(Item::new(Yaml::Map(entries)))
}

/// An `error_page` as it is written.
struct Page<'d> {
    statuses: Vec<u16>,
    status: Status,
    to: &'d str,
}

/// The status that a page is given with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    /// That of the error.
    Kept,
    /// That of the page, `=`.
    Own,
    /// This one, `=200`.
    Fixed(u16),
}

/// Reads it; the errors that are none here are reported.
fn read<'d>(site: &Site<'_>, directive: &'d Directive) -> Option<Page<'d>> {
    let (to, words) = directive.args.split_last()?;
    let (status, words) = match words.split_last() {
        Some((last, codes)) if last == "=" => (Status::Own, codes),
        Some((last, codes)) if last.starts_with('=') => {
            let code = last.trim_start_matches('=').parse().ok();
            let fixed = code.filter(|code| (200..=599).contains(code));
            let Some(code) = fixed else {
                site.ledger.dropped(directive, "no such status can be said");
                return None;
            };
            (Status::Fixed(code), codes)
        }
        _ => (Status::Kept, words),
    };
    let mut statuses = Vec::new();
    for word in words {
        match word.parse::<u16>() {
            Ok(494) => statuses.push(431),
            Ok(495..=497) => {
                let why = "bad and missing certificates, and plain http on a port of TLS, are answered with 400 (W-24)";
                site.ledger.dropped(directive, why);
            }
            Ok(code @ 400..=599) if code != 499 => statuses.push(code),
            _ => site
                .ledger
                .dropped(directive, "pages are for errors, from 400 to 599"),
        }
    }
    (!statuses.is_empty()).then_some(Page {
        statuses,
        status,
        to,
    })
}

/// What a page comes to.
struct Answer {
    entry: Entry,
    difference: Option<&'static str>,
}

fn answer(
    site: &Site<'_>,
    places: &Places<'_, '_>,
    page: &Page<'_>,
    known: &Known,
) -> Result<Answer, &'static str> {
    if !page.to.starts_with(['/', '@']) {
        return elsewhere(page.to, page.status, known);
    }
    let path = page.to.split('?').next().unwrap_or_default();
    if !variables(path).is_empty() {
        return Err(DEPENDS);
    }
    if path.starts_with('@') {
        let blocks = places.server.own("location");
        let block = blocks.into_iter().find(|block| block.first() == path);
        let block = block.ok_or("there is no such location")?;
        let scope = places.server.inside(block.inside()).by_what_passes();
        let answer = located(site, (&scope, places.closed), (page, path), known);
        match &answer {
            Ok(_) => site.ledger.kept(block, "`error_pages`"),
            Err(why) => site.ledger.dropped_whole(block, why),
        }
        return answer;
    }
    let mut all = places.all.iter();
    let found = all.find(|(paths, _)| paths.take(path));
    let scope = found.map_or(places.server, |(_, scope)| *scope);
    located(site, (scope, places.closed), (page, path), known)
}

/// The page of a location.
fn located(
    site: &Site<'_>,
    (scope, closed): (&Scope<'_>, bool),
    (page, path): (&Page<'_>, &str),
    known: &Known,
) -> Result<Answer, &'static str> {
    if closed || keeps_out(scope) {
        return Err("its location keeps the page from some, and an error is no way past that");
    }
    if let Some(directive) = scope.own("return").first() {
        return returned(site, scope, directive, (page, path), known);
    }
    if UPSTREAMS.iter().any(|name| !scope.own(name).is_empty()) {
        return Err(
            "an upstream makes the page: keep it as a file for `error_pages[].respond.body_file`; another upstream \
             for when all fail is a `secondary` of the pool",
        );
    }
    if !scope.own("rewrite").is_empty() {
        return Err(DEPENDS);
    }
    for header in scope.own("add_header") {
        let why = "a page for errors has the headers of where the error is";
        site.ledger.dropped(header, why);
    }
    file(site, scope, (page, path), known)
}

/// A redirect to an address.
fn elsewhere(url: &str, status: Status, known: &Known) -> Result<Answer, &'static str> {
    let to = answers::target_text(url, known).ok_or("the address cannot be said with facts")?;
    let code = match status {
        Status::Fixed(code @ (301 | 302 | 303 | 307 | 308)) => code,
        Status::Fixed(_) | Status::Kept | Status::Own => 302,
    };
    let section = vec![
        Entry::new("to", Yaml::template(&to)),
        Entry::new("status", Yaml::plain(code)),
    ];
    let difference = url
        .ends_with("$request_uri")
        .then_some("`error_pages`; the query of the request does not go along");
    Ok(Answer {
        entry: Entry::new("redirect", Yaml::Map(section)),
        difference,
    })
}

/// What a location answers by itself.
fn returned(
    site: &Site<'_>,
    scope: &Scope<'_>,
    directive: &Directive,
    (page, path): (&Page<'_>, &str),
    known: &Known,
) -> Result<Answer, &'static str> {
    let (code, text) = answers::code_and_text(directive);
    let answer = match (code, text) {
        (Some(code @ (301 | 302 | 303 | 307 | 308)), Some(url)) => {
            elsewhere(url, Status::Fixed(code), known)
        }
        (None, Some(url)) => elsewhere(url, Status::Kept, known),
        (Some(code @ 200..=599), text) if code != 444 => {
            let body = known.literal(text.unwrap_or_default());
            let body = body.ok_or("the text has variables")?;
            let status = match (page.status, text) {
                (Status::Fixed(code), _) => Some(code),
                (Status::Kept, Some(_)) => None,
                (Status::Own, _) | (Status::Kept, None) => Some(code),
            };
            let mut section = status_of(status);
            if !body.is_empty() && !matches!(status, Some(204 | 205 | 304)) {
                let media = answers::media(site, scope, &named(known, path));
                section.push(Entry::new("content_type", Yaml::text(&media)));
                section.push(Entry::new("body", Yaml::text(&body)));
            }
            let without = text.is_none() && code >= 300;
            Ok(Answer {
                entry: Entry::new("respond", Yaml::Map(section)),
                difference: without.then_some("`error_pages`, without nginx's page"),
            })
        }
        _ => Err("no such answer can be given"),
    };
    if answer.is_ok() {
        site.ledger.kept(directive, "`error_pages`");
    }
    answer
}

/// A file of a location.
fn file(
    site: &Site<'_>,
    scope: &Scope<'_>,
    (page, path): (&Page<'_>, &str),
    known: &Known,
) -> Result<Answer, &'static str> {
    let tried = scope.own("try_files");
    let tried = tried.first().map(|tried| tried.first());
    let asked = match tried {
        Some("$uri") | None => path,
        Some(written) if variables(written).is_empty() => written,
        Some(_) => return Err(DEPENDS),
    };
    if !asked.starts_with('/') || asked.split('/').any(|segment| segment == "..") {
        return Err(DEPENDS);
    }
    if !scope.own("alias").is_empty() {
        return Err("name the file in `error_pages[].respond.body_file`: `alias` is not followed");
    }
    let root = scope.one("root").map(Directive::first);
    let root = root.ok_or("no `root` says where the page is")?;
    let root = known.literal(root).ok_or("its `root` has variables")?;
    let mut section = status_of(match page.status {
        Status::Fixed(code) => Some(code),
        Status::Own => Some(200),
        Status::Kept => None,
    });
    let media = answers::media(site, scope, &named(known, asked));
    section.push(Entry::new("content_type", Yaml::text(&media)));
    let place = format!("{}{asked}", root.trim_end_matches('/'));
    section.push(Entry::new("body_file", Yaml::text(&site.path(&place))));
    Ok(Answer {
        entry: Entry::new("respond", Yaml::Map(section)),
        difference: None,
    })
}

fn status_of(status: Option<u16>) -> Vec<Entry> {
    let status = status.map(|code| Entry::new("status", Yaml::plain(code)));
    status.into_iter().collect()
}

/// What is fixed where the path is.
fn named(known: &Known, path: &str) -> Known {
    let mut known = known.clone();
    known.fixed.insert("uri".to_owned(), path.to_owned());
    known
}

/// Whether a location lets in only some.
fn keeps_out(scope: &Scope<'_>) -> bool {
    let asks = |name: &&str| {
        let switch = scope.one(name);
        switch.is_some_and(|switch| switch.first() != "off")
    };
    let denies = scope.any(&["allow", "deny"]);
    ASKING.iter().any(asks)
        || denies.iter().any(|rule| rule.name == "deny")
        || ["limit_except", "if"]
            .iter()
            .any(|name| !scope.own(name).is_empty())
}

impl Paths {
    /// Whether nginx looks for this path here.
    fn take(&self, path: &str) -> bool {
        let is_match = |text: &str| Regex::new(text).is_ok_and(|regex| regex.is_match(path));
        match self.kind {
            Kind::Exact => self.text == path,
            Kind::Firm | Kind::Prefix => path.starts_with(&self.text),
            Kind::Regex => is_match(&self.text),
            Kind::RegexBlind => is_match(&format!("(?i:{})", self.text)),
        }
    }
}

const DEPENDS: &str = "which page it is depends on the request";
const ASKING: [&str; 4] = ["auth_basic", "auth_jwt", "auth_request", "secure_link"];
const UPSTREAMS: [&str; 7] = [
    "fastcgi_pass",
    "grpc_pass",
    "memcached_pass",
    "proxy_pass",
    "scgi_pass",
    "uwsgi_pass",
    "perl",
];

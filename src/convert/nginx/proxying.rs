//! `proxy_pass` and how it is done → a pool, `rewrite`, `retry_on` and what nginx says as `Host` by itself.

use crate::convert::nginx::locations::Kind;
use crate::convert::nginx::locations::spelled;
use crate::convert::nginx::maps;
use crate::convert::nginx::members::parts;
use crate::convert::nginx::members::scheme;
use crate::convert::nginx::pattern::Pattern;
use crate::convert::nginx::pools::Manner;
use crate::convert::nginx::redirects::is_redirect;
use crate::convert::nginx::redirects::whole_pattern;
use crate::convert::nginx::routes::Place;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::variables;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;
use crate::decision::path::normalise;
use crate::decision::rewrite::Rewrite;
use crate::model::name::HostName;

/// Where a location sends its requests.
pub(super) struct Upstream {
    pub(super) pool: String,
    /// What nginx would have said as `Host` by itself.
    pub(super) host: Yaml,
    /// The keys of the route about it.
    pub(super) keys: Vec<Entry>,
    /// Paths of the location whose rewrite is another one: to be asked for before the others.
    pub(super) apart: Vec<Apart>,
}

/// Some paths of a location, and what becomes of them.
#[derive(Clone, Debug)]
pub(super) struct Apart {
    pub(super) pattern: Pattern,
    pub(super) becomes: Becomes,
}

/// What becomes of some paths of a location.
#[derive(Clone, Debug)]
pub(super) enum Becomes {
    /// They are answered, by this key with its section.
    Answer(Entry),
    /// They are changed, by this one.
    Rewrite(Entry),
}

/// How the paths of a location are changed.
#[derive(Default)]
struct Rewrites {
    own: Option<Entry>,
    apart: Vec<Apart>,
}

/// What a `proxy_pass` names; none where there is no `proxy_pass`.
///
/// # Errors
/// Why it has no counterpart.
pub(super) fn upstream(site: &Site<'_>, place: &Place<'_, '_>) -> Result<Option<Upstream>, String> {
    let own = place.scope.own("proxy_pass");
    let Some(directive) = own.first() else {
        return Ok(None);
    };
    match pass(site, place, directive) {
        Ok(upstream) => Ok(Some(upstream)),
        Err(why) => {
            site.ledger
                .dropped(directive, format!("{why}: the route answers 502"));
            Err(why)
        }
    }
}

fn pass(site: &Site<'_>, place: &Place<'_, '_>, directive: &Directive) -> Result<Upstream, String> {
    let url = directive.first();
    let scope = &place.scope;
    // `$request_uri` is what goes on anyway.
    let url = url.strip_suffix("$request_uri").unwrap_or(url);
    let url = maps::destination(site, place.known, url)?;
    let (secured, rest) = scheme(&url, scope)?;
    let tls = secured.then(|| tls(site, scope));
    let (authority, path) = parts(rest);
    let manner = Manner {
        tls,
        http2: scope.is_grpc(),
        retries: retries(site, scope),
    };
    let pool = site
        .pools
        .borrow_mut()
        .pool(&site.ledger, authority, &manner)?;
    let unverified = manner.tls.as_ref().is_some_and(|tls| {
        tls.iter()
            .any(|entry| entry.key == "verify" && entry.value == Yaml::plain(false))
    });
    if unverified {
        let why = format!("pool `{pool}`, whose certificates nobody checks, as with nginx (W-18)");
        site.ledger.changed(directive, why);
    } else {
        site.ledger.kept(directive, format!("pool `{pool}`"));
    }
    let mut keys = Vec::new();
    keys.extend(retry_on(site, scope));
    let Rewrites { own, apart } = rewrites(site, place, directive, path)?;
    keys.extend(own);
    quiet(site, scope);
    let host = own_host(site, authority);
    Ok(Upstream {
        pool,
        host,
        keys,
        apart,
    })
}

/// `$proxy_host`: the name of the pool, or the address with a port that is not the usual one; of a socket `localhost`.
fn own_host(site: &Site<'_>, authority: &str) -> Yaml {
    let is_name = !authority.contains(':') || site.pools.borrow().is_upstream(authority);
    match HostName::parse(authority) {
        Ok(host) if is_name => Yaml::text(host.as_str()),
        Ok(_) | Err(_) => Yaml::text("upstream"),
    }
}

/// The section `tls` of a pool.
fn tls(site: &Site<'_>, scope: &Scope<'_>) -> Vec<Entry> {
    let mut section = Vec::new();
    let verify = scope.one("proxy_ssl_verify");
    let verifies = verify.is_some_and(|verify| verify.first() == "on");
    if let Some(verify) = verify {
        site.ledger.kept(verify, "`tls.verify`");
    }
    if let Some(name) = scope.one("proxy_ssl_name") {
        match HostName::parse(name.first()) {
            Ok(host) => {
                site.ledger.kept(name, "`tls.server_name`");
                section.push(Entry::new("server_name", Yaml::text(host.as_str())));
            }
            Err(_) => site
                .ledger
                .dropped(name, "no name of a host that is known beforehand"),
        }
    }
    if let Some(sent) = scope.one("proxy_ssl_server_name") {
        site.ledger.kept(sent, "a name is sent where there is one");
    }
    let shows = ["proxy_ssl_certificate", "proxy_ssl_certificate_key"];
    let whole = shows.iter().all(|name| scope.one(name).is_some());
    for (name, key) in TLS_FILES {
        let Some(file) = scope.one(name) else {
            continue;
        };
        if shows.contains(name) && !whole {
            site.ledger
                .dropped(file, "a chain and its key belong together");
            continue;
        }
        site.ledger.kept(file, format!("`tls.{key}`"));
        section.push(Entry::new(key, Yaml::text(&site.path(file.first()))));
    }
    if !verifies {
        section.push(Entry::new("verify", Yaml::plain(false)));
    }
    section
}

/// Further upstreams for one request, where the file says how many attempts there are.
fn retries(site: &Site<'_>, scope: &Scope<'_>) -> Option<u64> {
    let is_off = |directive: &&Directive| directive.first() == "off";
    if scope.one("proxy_next_upstream").filter(is_off).is_some() {
        return Some(0);
    }
    let tries = scope.one("proxy_next_upstream_tries")?;
    match tries.first().parse::<u64>() {
        Ok(0) => {
            site.ledger
                .changed(tries, "three further upstreams at most");
            None
        }
        Ok(count) => {
            site.ledger
                .kept(tries, "`connect_retries` of the pool, one less");
            Some(count.saturating_sub(1).min(100))
        }
        Err(_) => None,
    }
}

fn retry_on(site: &Site<'_>, scope: &Scope<'_>) -> Option<Entry> {
    let Some(directive) = scope.one("proxy_next_upstream") else {
        return Some(Entry::new("retry_on", Yaml::words(["broken", "late"])));
    };
    let mut words: Vec<&str> = Vec::new();
    let mut lost = Vec::new();
    for word in &directive.args {
        match word.as_str() {
            "error" | "invalid_header" => words.push("broken"),
            "timeout" => words.push("late"),
            "off" => {}
            status => match status.strip_prefix("http_") {
                Some(code @ ("429" | "500" | "502" | "503" | "504")) => words.push(code),
                _ => lost.push(status),
            },
        }
    }
    words.sort_unstable();
    words.dedup();
    if lost.is_empty() {
        site.ledger
            .kept(directive, "`retry_on`, for idempotent requests (W-08)");
    } else {
        let why = format!("`retry_on` without `{}`", lost.join(" "));
        site.ledger.dropped(directive, why);
    }
    (!words.is_empty()).then(|| Entry::new("retry_on", Yaml::words(words)))
}

/// Another path for the upstream, by `proxy_pass` with a path or by `rewrite`.
fn rewrites(
    site: &Site<'_>,
    place: &Place<'_, '_>,
    directive: &Directive,
    path: Option<&str>,
) -> Result<Rewrites, String> {
    let mut said = place.scope.own("rewrite");
    said.retain(|one| !is_redirect(one));
    match said.as_slice() {
        [] => {}
        [one] => {
            let own = rewritten(site, one).map(|(_, entry)| entry);
            let apart = Vec::new();
            return Ok(Rewrites { own, apart });
        }
        several => {
            let each = several.iter().filter_map(|one| apart(site, place, one));
            let (own, apart) = (None, each.collect());
            return Ok(Rewrites { own, apart });
        }
    }
    let Some(path) = path else {
        return Ok(Rewrites::default());
    };
    let prefix = &place.paths.text;
    if prefix == path || (prefix == "/" && path == "/") {
        return Ok(Rewrites::default());
    }
    let canonical = |text: &str| normalise(text).is_ok_and(|read| read.as_str() == text);
    if !canonical(prefix) || !canonical(path) {
        return Err(format!("`{path}` cannot take the place of `{prefix}`"));
    }
    let same_ends = prefix.ends_with('/') == path.ends_with('/');
    if !same_ends && place.paths.kind != Kind::Exact {
        let why = "whole segments take each other's place: no slash is doubled or lost";
        site.ledger.changed(directive, why);
    }
    let mut section = Vec::new();
    for (key, text) in [("strip_prefix", prefix.as_str()), ("add_prefix", path)] {
        let text = text.trim_end_matches('/');
        if !text.is_empty() {
            section.push(Entry::new(key, Yaml::text(text)));
        }
    }
    let whole = Entry::new("rewrite", Yaml::Map(section));
    let is_bare = matches!(place.paths.kind, Kind::Firm | Kind::Prefix) && !prefix.ends_with('/');
    if !is_bare {
        let (own, apart) = (Some(whole), Vec::new());
        return Ok(Rewrites { own, apart });
    }
    // nginx's prefixes do not end with a segment: what is left of one is changed by an expression.
    let regex = format!("{}(.*)", regex::escape(&spelled(prefix)));
    let rest = pattern_rewrite(&regex, &format!("{path}$1"));
    let segments = Apart {
        pattern: Pattern::Path(spelled(prefix)),
        becomes: Becomes::Rewrite(whole),
    };
    Ok(Rewrites {
        own: Some(rest),
        apart: vec![segments],
    })
}

/// One of several: paths of the location that have a route of their own.
fn apart(site: &Site<'_>, place: &Place<'_, '_>, directive: &Directive) -> Option<Apart> {
    let prefix = &place.paths.text;
    let is_prefix = matches!(place.paths.kind, Kind::Firm | Kind::Prefix);
    let begins = directive.first().strip_prefix('^');
    let is_below = begins.is_some_and(|rest| {
        rest.starts_with(prefix.as_str()) || rest.starts_with(&regex::escape(prefix))
    });
    let is_last = directive.args.get(2).is_some();
    if !(is_prefix && is_below && is_last) || directive.first().contains('|') {
        let why = "of several, each begins with the path of its location and ends with `break`";
        site.ledger.dropped(directive, why);
        return None;
    }
    let (regex, rewrite) = rewritten(site, directive)?;
    let pattern = Pattern::Regex(format!("{regex}$"));
    let becomes = Becomes::Rewrite(rewrite);
    Some(Apart { pattern, becomes })
}

fn pattern_rewrite(regex: &str, with: &str) -> Entry {
    let section = vec![
        Entry::new("regex", Yaml::text(regex)),
        Entry::new("with", Yaml::text(with)),
    ];
    Entry::new("rewrite", Yaml::Map(section))
}

/// One `rewrite` whose result goes to the upstream: its expression, and the key.
fn rewritten(site: &Site<'_>, directive: &Directive) -> Option<(String, Entry)> {
    let pattern = directive.first();
    let with = directive.args.get(1).map_or("", String::as_str);
    let is_last = directive.args.get(2).is_some_and(|flag| flag == "last");
    let has_query = with.contains('?');
    let named = variables(with)
        .iter()
        .any(|name| name.parse::<u8>().is_err());
    if has_query || named || !with.starts_with('/') {
        site.ledger.dropped(
            directive,
            "only paths can be rewritten, and with what a group matched",
        );
        return None;
    }
    let regex = whole_pattern(pattern);
    if let Err(error) = Rewrite::pattern(&regex, with) {
        site.ledger.dropped(directive, error.to_string());
        return None;
    }
    if is_last {
        let why = "`rewrite` of the route: its pool stays, whatever location the new path has";
        site.ledger.changed(directive, why);
    } else {
        site.ledger.kept(directive, "`rewrite` of the route");
    }
    let entry = pattern_rewrite(&regex, with);
    Some((regex, entry))
}

/// What says no more than what is done anyway.
fn quiet(site: &Site<'_>, scope: &Scope<'_>) {
    if let Some(version) = scope.one("proxy_http_version") {
        match version.first() {
            "1.1" => site
                .ledger
                .kept(version, "upstreams are spoken to by HTTP/1.1"),
            _ => site
                .ledger
                .changed(version, "upstreams are spoken to by HTTP/1.1"),
        }
    }
    for name in ["proxy_buffering", "proxy_request_buffering"] {
        if let Some(off) = scope
            .one(name)
            .filter(|directive| directive.first() == "off")
        {
            site.ledger.kept(off, "bodies are passed on as they come");
        }
    }
    for redirect in scope.all("proxy_redirect") {
        match redirect.first() {
            "default" => site
                .ledger
                .kept(redirect, "mapped back where `rewrite` changes a prefix"),
            "off" => site
                .ledger
                .changed(redirect, "mapped back where `rewrite` changes a prefix"),
            _ => site.ledger.dropped(
                redirect,
                "a `Location` is changed by `rewrite` of prefixes only",
            ),
        }
    }
}

const TLS_FILES: &[(&str, &str)] = &[
    ("proxy_ssl_trusted_certificate", "ca_file"),
    ("proxy_ssl_certificate", "certificate_file"),
    ("proxy_ssl_certificate_key", "key_file"),
];

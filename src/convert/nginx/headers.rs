//! `proxy_set_header`, `add_header` and `proxy_hide_header` → `upstream_host`, `forwarded_headers` and `headers`.
//!
//! A header that nginx replaced is replaced or removed in any case: what a client sends in its place must not
//! reach an application that believes it.

use http::HeaderName;

use crate::config::parse::is_reserved_header;
use crate::convert::nginx::client_certificates;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::Known;
use crate::convert::nginx::variables::variables;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;
use crate::decision::forwarded_headers::ForwardedHeaders;
use crate::decision::identity_headers::folds_alike;
use crate::model::name::HostName;

/// Where the requests of a location go, as far as headers tell.
pub(super) struct Goal<'k> {
    pub(super) known: &'k Known,
    /// What nginx would have said as `Host` by itself.
    pub(super) own_host: Yaml,
}

/// The rules of one direction.
#[derive(Default)]
struct Rules {
    set: Vec<Entry>,
    add: Vec<Entry>,
    remove: Vec<Entry>,
}

/// The keys of a route about headers.
pub(super) fn keys(site: &Site<'_>, scope: &Scope<'_>, goal: &Goal<'_>) -> Vec<Entry> {
    let mut told: Vec<&'static str> = Vec::new();
    let mut host = goal.own_host.clone();
    let mut there = Rules::default();
    for directive in scope.all("proxy_set_header") {
        let name = directive.first();
        let value = directive.args.get(1).map_or("", String::as_str);
        let mut words = ForwardedHeaders::WORDS.iter();
        if name.eq_ignore_ascii_case("host") {
            host = upstream_host(site, directive, value, goal);
        } else if is_upgrade(name) {
            upgrade(site, directive, value);
        } else if let Some(word) = words.find(|word| word.eq_ignore_ascii_case(name)) {
            told.extend(forwarded(site, directive, word, value));
        } else if folds_alike(name, "tracestate") {
            let why = "passes beside a `traceparent` of `trusted_proxies`, and is removed else";
            site.ledger.changed(directive, why);
        } else {
            there.request(site, directive, goal.known);
        }
    }
    told.sort_unstable();
    told.dedup();
    let mut keys = vec![
        Entry::new("forwarded_headers", Yaml::words(told)),
        Entry::new("upstream_host", host),
    ];
    let back = Rules::response(site, scope, goal.known);
    keys.extend(both(there, back));
    keys
}

/// The key `headers` of a route that answers by itself.
pub(super) fn response_keys(site: &Site<'_>, scope: &Scope<'_>, known: &Known) -> Vec<Entry> {
    let back = Rules::response(site, scope, known);
    both(Rules::default(), back).into_iter().collect()
}

/// What nginx keeps back of answers by itself, but for what these servers have it pass on somewhere.
pub(super) fn held_back(site: &Site<'_>, servers: &[&Directive]) -> Option<Entry> {
    let mut names = HELD_BACK.to_vec();
    let passes = servers.iter().flat_map(|server| passed(server.inside()));
    for directive in site.http.own("proxy_pass_header").into_iter().chain(passes) {
        let name = directive.first();
        let before = names.len();
        names.retain(|held| !held.eq_ignore_ascii_case(name));
        let why = if names.len() < before {
            "not among what is removed, for the whole virtual host"
        } else {
            "passed on"
        };
        site.ledger.kept(directive, why);
    }
    let remove = Entry::new("remove", Yaml::words(names.iter()));
    let response = Entry::new("response", Yaml::Map(vec![remove]));
    (!names.is_empty()).then(|| Entry::new("headers", Yaml::Map(vec![response])))
}

/// The `proxy_pass_header` of a block and of the locations in it.
fn passed(block: &[Directive]) -> Vec<&Directive> {
    let own = block.iter().filter(|own| own.name == "proxy_pass_header");
    let locations = block.iter().filter(|inner| inner.name == "location");
    let inside = locations.flat_map(|inner| passed(inner.inside()));
    own.chain(inside).collect()
}

fn both(there: Rules, back: Rules) -> Option<Entry> {
    let directions = [("request", there), ("response", back)].into_iter();
    let written = directions.filter_map(|(key, rules)| Some(Entry::new(key, rules.written()?)));
    let written: Vec<Entry> = written.collect();
    (!written.is_empty()).then(|| Entry::new("headers", Yaml::Map(written)))
}

pub(super) fn is_upgrade(name: &str) -> bool {
    ["connection", "upgrade"].contains(&name.to_ascii_lowercase().as_str())
}

/// W-20: a WebSocket is one where the client asks for it, whatever the file says.
fn upgrade(site: &Site<'_>, directive: &Directive, value: &str) {
    let usual = [
        "",
        "upgrade",
        "Upgrade",
        "$http_upgrade",
        "$connection_upgrade",
    ];
    if usual.contains(&value) || value.contains("upgrade") {
        let why = "WebSockets pass where the client asks for one, and connections are kept (W-20)";
        site.ledger.kept(directive, why);
    } else {
        site.ledger
            .changed(directive, "connections to upstreams are kept");
    }
}

fn upstream_host(site: &Site<'_>, directive: &Directive, value: &str, goal: &Goal<'_>) -> Yaml {
    match value {
        "$http_host" => {
            site.ledger
                .kept(directive, "`upstream_host: preserve` (W-13)");
            return Yaml::text("preserve");
        }
        "$host" => {
            site.ledger.kept(directive, "`upstream_host: without_port`");
            return Yaml::text("without_port");
        }
        "$host:$server_port" => {
            let why = "`upstream_host: preserve`: with a port where the client names one";
            site.ledger.changed(directive, why);
            return Yaml::text("preserve");
        }
        "$proxy_host" => {
            site.ledger.kept(directive, "`upstream_host`");
            return goal.own_host.clone();
        }
        _ => {}
    }
    let fixed = goal.known.literal(value);
    if let Some(host) = fixed.and_then(|text| HostName::parse(&text).ok()) {
        site.ledger.kept(directive, "`upstream_host`");
        return Yaml::text(host.as_str());
    }
    let why = "no `Host` like this can be sent: it is the client's";
    site.ledger.dropped(directive, why);
    Yaml::text("preserve")
}

/// Whether a header that tells where a request comes from is told, by its name.
fn forwarded(
    site: &Site<'_>,
    directive: &Directive,
    word: &'static str,
    value: &str,
) -> Option<&'static str> {
    if value.is_empty() {
        site.ledger
            .kept(directive, "not among the route's `forwarded_headers`");
        return None;
    }
    let why = match (word, value) {
        ("X-Forwarded-For" | "X-Real-IP", "$remote_addr")
        | ("X-Forwarded-Host" | "X-Forwarded-Server", "$host")
        | ("X-Forwarded-Port", "$server_port")
        | ("X-Forwarded-Proto", "$scheme")
        | ("X-Request-Id", "$request_id") => {
            site.ledger.kept(directive, "`forwarded_headers`");
            return Some(word);
        }
        ("X-Forwarded-For", _) => {
            "`forwarded_headers`: what a client sends is believed of `trusted_proxies` only (W-12)"
        }
        ("traceparent", _) => {
            "`forwarded_headers`: one that a client sends is believed of `trusted_proxies` only"
        }
        ("X-Forwarded-Host", _) => "`forwarded_headers`: the host without a port (W-10)",
        ("X-Forwarded-Server", _) => "`forwarded_headers`: the host that was asked for (W-11)",
        _ => "`forwarded_headers`, with the value that Portway gives it",
    };
    site.ledger.changed(directive, why);
    Some(word)
}

impl Rules {
    /// One header on the way to the upstream that is neither of those above.
    fn request(&mut self, site: &Site<'_>, directive: &Directive, known: &Known) {
        let name = directive.first();
        let value = directive.args.get(1).map_or("", String::as_str);
        if HeaderName::from_bytes(name.as_bytes()).is_err() {
            return site.ledger.dropped(directive, "not the name of a header");
        }
        if is_reserved_header(name) {
            return site
                .ledger
                .dropped(directive, "Portway says this header by itself");
        }
        if IDENTITY.iter().any(|told| folds_alike(told, name)) {
            let why = "says who is signed in: `identity_headers`; a client's own is removed";
            return match value {
                "" | "$remote_user" => site.ledger.kept(directive, why),
                _ => site.ledger.dropped(directive, why),
            };
        }
        let mut rules = self.set.iter().chain(&self.remove);
        if rules.any(|rule| folds_alike(&rule.key, name)) {
            return site.ledger.dropped(directive, "a header is set once");
        }
        if value.is_empty() {
            site.ledger.kept(directive, "`headers.request.remove`");
            return push(&mut self.remove, directive, name, Yaml::text(name));
        }
        if !is_text(value) {
            let why = "no header can say it; what a client sends by this name is removed";
            site.ledger.dropped(directive, why);
            return push(&mut self.remove, directive, name, Yaml::text(name));
        }
        match known.template(value) {
            Ok(said) => {
                match said.difference {
                    None => site.ledger.kept(directive, "`headers.request.set`"),
                    Some(why) => site
                        .ledger
                        .changed(directive, format!("`headers.request.set`: {why}")),
                }
                push(
                    &mut self.set,
                    directive,
                    name,
                    Yaml::template(&said.template),
                );
            }
            Err(variable) => {
                let about = variables(value);
                let why = if about.iter().any(|name| client_certificates::is_about(name)) {
                    "nothing like it is told of a certificate; what a client sends by this name \
                     is removed"
                        .to_owned()
                } else {
                    format!(
                        "there is no fact for `${variable}`; what a client sends by this name is removed"
                    )
                };
                site.ledger.dropped(directive, why);
                push(&mut self.remove, directive, name, Yaml::text(name));
            }
        }
    }

    fn response(site: &Site<'_>, scope: &Scope<'_>, known: &Known) -> Self {
        let mut rules = Self::default();
        for directive in scope.all("proxy_hide_header") {
            let name = directive.first();
            if HeaderName::from_bytes(name.as_bytes()).is_err() || is_reserved_header(name) {
                site.ledger
                    .dropped(directive, "Portway takes care of this header by itself");
                continue;
            }
            site.ledger.kept(directive, "`headers.response.remove`");
            push(&mut rules.remove, directive, name, Yaml::text(name));
        }
        for directive in scope.all("add_header") {
            rules.added(site, directive, known);
        }
        rules
    }

    fn added(&mut self, site: &Site<'_>, directive: &Directive, known: &Known) {
        let name = directive.first();
        let value = directive.args.get(1).map_or("", String::as_str);
        if HeaderName::from_bytes(name.as_bytes()).is_err() || is_reserved_header(name) {
            return site
                .ledger
                .dropped(directive, "Portway takes care of this header by itself");
        }
        if value.is_empty() {
            return site
                .ledger
                .kept(directive, "empty: nginx sends none either");
        }
        if !is_text(value) {
            return site.ledger.dropped(directive, "no header can say it");
        }
        let is_there = |entry: &Entry| folds_alike(&entry.key, name);
        if self.add.iter().chain(&self.set).any(is_there) {
            return site.ledger.dropped(directive, "a header is added once");
        }
        let said = match known.template(value) {
            Ok(said) => said,
            Err(variable) => {
                let why = format!("there is no fact for `${variable}`");
                return site.ledger.dropped(directive, why);
            }
        };
        let always = directive.args.get(2).is_some_and(|word| word == "always");
        match said.difference {
            Some(why) => site
                .ledger
                .changed(directive, format!("`headers.response`: {why}")),
            None if always => site.ledger.kept(directive, "`headers.response`"),
            None => site.ledger.changed(
                directive,
                "`headers.response`: for all statuses, as with `always`",
            ),
        }
        let value = Yaml::template(&said.template);
        // A name stands in one list only, and both together replace the upstream's.
        let before = self.remove.len();
        self.remove.retain(|entry| !is_there(entry));
        let list = if self.remove.len() == before {
            &mut self.add
        } else {
            &mut self.set
        };
        push(list, directive, name, value);
    }

    fn written(self) -> Option<Yaml> {
        let mut entries = Vec::new();
        for (key, list) in [("set", self.set), ("add", self.add)] {
            if !list.is_empty() {
                entries.push(Entry::new(key, Yaml::Map(list)));
            }
        }
        if !self.remove.is_empty() {
            let comments = self.remove.iter().flat_map(|entry| entry.comments.clone());
            let mut entry = Entry::new("remove", Yaml::words(self.remove.iter().map(|e| &e.key)));
            entry.comments = comments.collect();
            entries.push(entry);
        }
        (!entries.is_empty()).then_some(Yaml::Map(entries))
    }
}

/// Whether a text can stand in a header.
fn is_text(value: &str) -> bool {
    value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && value.trim() == value
}

/// A rule, unless there is one for the name: of several nginx sends each, and Portway one.
fn push(list: &mut Vec<Entry>, directive: &Directive, name: &str, value: Yaml) {
    if list.iter().any(|entry| folds_alike(&entry.key, name)) {
        return;
    }
    list.push(Entry {
        comments: directive.comments.clone(),
        key: name.to_owned(),
        value,
    });
}

/// As nginx's `proxy_hide_header` has it where nothing is said; its own `Date` it says anew.
const HELD_BACK: &[&str] = &[
    "Server",
    "X-Accel-Buffering",
    "X-Accel-Charset",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Redirect",
    "X-Pad",
];
/// The headers that tell who is signed in, where nothing is said about them.
const IDENTITY: &[&str] = &[
    "Remote-User",
    "Remote-Groups",
    "Remote-Email",
    "Remote-Name",
];

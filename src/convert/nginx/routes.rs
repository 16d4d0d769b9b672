//! A location → a route: what serves it, and everything that holds there.
//!
//! What nginx kept from somebody is kept from everybody: a location that asks for a password or a certificate
//! in a way that has no counterpart answers 403 until an operator protects it.

use std::time::Duration;

use crate::convert::nginx::addresses;
use crate::convert::nginx::answers;
use crate::convert::nginx::compression;
use crate::convert::nginx::headers;
use crate::convert::nginx::headers::Goal;
use crate::convert::nginx::limits;
use crate::convert::nginx::locations::Kind;
use crate::convert::nginx::locations::Paths;
use crate::convert::nginx::locations::spelled;
use crate::convert::nginx::pattern::Pattern;
use crate::convert::nginx::proxying;
use crate::convert::nginx::proxying::Apart;
use crate::convert::nginx::proxying::Becomes;
use crate::convert::nginx::proxying::Upstream;
use crate::convert::nginx::quantities::bytes;
use crate::convert::nginx::quantities::duration;
use crate::convert::nginx::quantities::time;
use crate::convert::nginx::redirects::Redirects;
use crate::convert::nginx::redirects::redirects;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::Known;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;

/// A route, as far as it does not depend on the listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) comments: Vec<String>,
    pub(super) paths: Paths,
    pub(super) pattern: Pattern,
    pub(super) target: Target,
    pub(super) keys: Vec<Entry>,
}

/// What serves a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// An answer of its own: the key with its section.
    Answer(Entry),
    /// A pool, by its name.
    Pool(String),
}

/// A location with what is around it.
pub(super) struct Place<'p, 't> {
    pub(super) scope: Scope<'t>,
    pub(super) paths: Paths,
    pub(super) known: &'p Known,
    /// Whether the whole server is closed.
    pub(super) closed: bool,
}

/// What a location comes to.
pub(super) struct Made {
    pub(super) target: Target,
    pub(super) keys: Vec<Entry>,
    /// What has to be said about it.
    pub(super) comments: Vec<String>,
    /// Paths of it of which something else becomes.
    pub(super) apart: Vec<Apart>,
    /// What goes along with the answers among them.
    pub(super) answered: Vec<Entry>,
    /// What is to be said of the location where what served it has no counterpart.
    pub(super) lost: Option<&'static str>,
}

/// What a location comes to.
pub(super) fn served(site: &Site<'_>, place: &Place<'_, '_>) -> Made {
    let scope = &place.scope;
    let mut comments = Vec::new();
    // nginx redirects before it asks who somebody is; a closed server's are for those whom it lets in.
    let Redirects { whole, mut some } = if place.closed {
        Redirects::default()
    } else {
        redirects(site, scope, Some(&place.paths), place.known)
    };
    let answered = if some.is_empty() {
        Vec::new()
    } else {
        headers::response_keys(site, scope, place.known)
    };
    let answer = if place.closed {
        comments.push(CLOSED.to_owned());
        unreached(site, scope);
        Some(answers::status(403))
    } else {
        whole.or_else(|| own_answer(site, place, &mut comments))
    };
    let (answer, lost) = match answer {
        Some(answer) => (answer, None),
        None => match proxying::upstream(site, place) {
            Ok(Some(upstream)) => {
                some.extend(upstream.apart.clone());
                let (name, keys) = proxied(site, place, upstream);
                return Made {
                    target: Target::Pool(name),
                    keys,
                    comments,
                    apart: some,
                    answered,
                    lost: None,
                };
            }
            Ok(None) => unserved(site, scope, &mut comments),
            Err(why) => {
                comments.push(format!("nginx's upstream has no counterpart: {why}."));
                (answers::status(502), Some(NO_UPSTREAM))
            }
        },
    };
    let mut keys = limits::keys(site, scope);
    keys.extend(headers::response_keys(site, scope, place.known));
    Made {
        target: Target::Answer(answer),
        keys,
        comments,
        apart: some,
        answered,
        lost,
    }
}

impl Route {
    /// The route for some of its paths, of which something else becomes.
    pub(super) fn apart(&self, apart: Apart, answered: &[Entry]) -> Self {
        let mut route = self.clone();
        let rewrite = match apart.becomes {
            Becomes::Answer(answer) => {
                return Self {
                    comments: Vec::new(),
                    keys: answered.to_vec(),
                    ..Self::answering(apart.pattern, answer)
                };
            }
            Becomes::Rewrite(rewrite) => rewrite,
        };
        let before = |entry: &Entry| entry.key == "rewrite";
        let place = route.keys.iter().position(before);
        route.keys.retain(|entry| !before(entry));
        let place = place.unwrap_or(route.keys.len());
        route.keys.insert(place, rewrite);
        route.pattern = apart.pattern;
        // What nginx does for the path of a folder it does once.
        route.paths.kind = Kind::Regex;
        route
    }

    /// A route for the paths of an expression, with an answer of its own.
    pub(super) fn answering(pattern: Pattern, answer: Entry) -> Self {
        Self {
            comments: Vec::new(),
            paths: Paths {
                kind: Kind::Regex,
                text: String::new(),
            },
            pattern,
            target: Target::Answer(answer),
            keys: Vec::new(),
        }
    }
}

fn proxied(site: &Site<'_>, place: &Place<'_, '_>, upstream: Upstream) -> (String, Vec<Entry>) {
    let scope = &place.scope;
    let mut keys: Vec<Entry> = addresses::rules(site, scope).into_iter().collect();
    keys.extend([
        Entry::new(
            "body_size",
            Yaml::plain(bytes(limits::body_bytes(site, scope))),
        ),
        Entry::new("timeouts", timeouts(site, scope)),
    ]);
    if scope.is_grpc() {
        keys.push(Entry::new("streaming", Yaml::plain(true)));
    }
    keys.extend(upstream.keys);
    let goal = Goal {
        known: place.known,
        own_host: upstream.host,
    };
    keys.extend(headers::keys(site, scope, &goal));
    keys.extend(limits::keys(site, scope));
    keys.extend(compression::key(site, scope));
    (upstream.pool, keys)
}

/// nginx's time-outs, its defaults written out (W-14, W-15, W-16).
fn timeouts(site: &Site<'_>, scope: &Scope<'_>) -> Yaml {
    let of = |name: &str, what: &str| {
        let directive = scope.one(name);
        let read = directive.and_then(|directive| time(directive.first()));
        let read = read.filter(|time| !time.is_zero());
        match (directive, read) {
            (Some(directive), Some(_)) => site.ledger.kept(directive, what),
            (Some(directive), None) => {
                site.ledger.dropped(
                    directive,
                    "no time that can be waited: nginx's default counts",
                );
            }
            (None, _) => {}
        }
        duration(read.unwrap_or(NGINX_TIMEOUT))
    };
    let read = of(
        "proxy_read_timeout",
        "`timeouts.first_byte` and `timeouts.read_idle`",
    );
    Yaml::Map(vec![
        Entry::new(
            "connect",
            Yaml::plain(of("proxy_connect_timeout", "`timeouts.connect`")),
        ),
        Entry::new("first_byte", Yaml::plain(&read)),
        Entry::new("read_idle", Yaml::plain(&read)),
        Entry::new(
            "write_idle",
            Yaml::plain(of("proxy_send_timeout", "`timeouts.write_idle`")),
        ),
    ])
}

/// What nginx answers before it asks an upstream, or what is answered because of whom it would have let in.
fn own_answer(site: &Site<'_>, place: &Place<'_, '_>, comments: &mut Vec<String>) -> Option<Entry> {
    let scope = &place.scope;
    if let Some(internal) = scope.own("internal").first() {
        site.ledger
            .kept(internal, "the route answers 404, as to all clients");
        return Some(answers::status(404));
    }
    let is_closed = is_closed(site, scope);
    if let Some(directive) = scope.own("return").first() {
        let mut known = place.known.clone();
        if place.paths.kind == Kind::Exact {
            let path = place.paths.text.clone();
            known.fixed.insert("uri".to_owned(), path);
        }
        return Some(answers::answer(site, scope, directive, &known));
    }
    if is_closed {
        comments.push(CLOSED.to_owned());
        unreached(site, scope);
        return Some(answers::status(403));
    }
    if addresses::are_kept_out(site, scope) {
        for directive in scope.own("proxy_pass") {
            site.ledger
                .kept(directive, "never reached: nobody is let in");
        }
        return Some(answers::status(403));
    }
    None
}

/// Says of a closed location where its requests do not go.
fn unreached(site: &Site<'_>, scope: &Scope<'_>) {
    for directive in scope.own("proxy_pass") {
        site.ledger.dropped(directive, TO_PROTECT);
    }
}

/// Whether nginx lets in only some, in a way that an open route does not.
fn is_closed(site: &Site<'_>, scope: &Scope<'_>) -> bool {
    let mut closed = false;
    for name in ["auth_basic", "auth_request", "auth_jwt", "secure_link"] {
        match scope.one(name) {
            Some(off) if off.first() == "off" => site.ledger.kept(off, "nobody is asked here"),
            Some(directive) => {
                site.ledger.dropped(directive, TO_PROTECT);
                closed = true;
            }
            None => {}
        }
    }
    for directive in scope.own("limit_except") {
        site.ledger.dropped_whole(directive, TO_PROTECT);
        closed = true;
    }
    closed | refusing(site, scope)
}

/// Reports each `if` of the innermost block; whether one of them refuses requests.
pub(super) fn refusing(site: &Site<'_>, scope: &Scope<'_>) -> bool {
    let mut closed = false;
    for directive in scope.own("if") {
        if refuses(directive) {
            site.ledger.dropped_whole(directive, TO_PROTECT);
            closed = true;
        } else {
            site.ledger
                .dropped_whole(directive, "conditions of a request are for policies");
        }
    }
    closed
}

fn refuses(directive: &Directive) -> bool {
    let is_refusal = |inner: &Directive| {
        let code = inner.first().parse::<u16>().unwrap_or(0);
        inner.name == "deny" || (inner.name == "return" && code >= 400)
    };
    directive.inside().iter().any(is_refusal)
}

/// A location without anything that Portway serves, and what is to be said of it.
fn unserved(
    site: &Site<'_>,
    scope: &Scope<'_>,
    comments: &mut Vec<String>,
) -> (Entry, Option<&'static str>) {
    for name in OTHER_UPSTREAMS {
        if let Some(directive) = scope.own(name).first() {
            site.ledger
                .dropped(directive, "upstreams speak HTTP: the route answers 502");
            comments.push(format!("nginx had `{}` here.", directive.shown()));
            return (answers::status(502), Some(NO_UPSTREAM));
        }
    }
    for name in FILES {
        if let Some(directive) = scope.one(name) {
            site.ledger
                .dropped(directive, "Portway serves no files: the route answers 404");
        }
    }
    comments.push("nginx served files here, which Portway does not.".to_owned());
    (answers::status(404), Some(NO_FILES))
}

/// nginx redirects the path of a folder without its slash, where an upstream serves the folder.
pub(super) fn to_folder(route: &Route) -> Option<Route> {
    let Target::Pool(_) = route.target else {
        return None;
    };
    let text = route.paths.folder()?.to_owned();
    let paths = Paths {
        kind: Kind::Exact,
        text,
    };
    let section = vec![
        Entry::new("to", Yaml::text(&spelled(&route.paths.text))),
        Entry::new("status", Yaml::plain(301_u16)),
    ];
    Some(Route {
        comments: Vec::new(),
        pattern: paths.pattern().ok()?,
        paths,
        target: Target::Answer(Entry::new("redirect", Yaml::Map(section))),
        keys: Vec::new(),
    })
}

const CLOSED: &str = "nginx let in only some here. Nobody is let in until `access: protected` and a policy say \
                      whom, with `pool` in place of `respond`.";
const TO_PROTECT: &str =
    "the route answers 403 until it is protected: `access: protected` with a policy";
const OTHER_UPSTREAMS: &[&str] = &["fastcgi_pass", "memcached_pass", "scgi_pass", "uwsgi_pass"];
const FILES: &[&str] = &["root", "alias", "try_files"];
const NO_FILES: &str = "a route that answers 404";
const NO_UPSTREAM: &str = "a route that answers 502";
const NGINX_TIMEOUT: Duration = Duration::from_mins(1);

//! A `server` → its names, the listeners it is heard on, and its routes for one of its names.

use std::collections::BTreeMap;

use crate::convert::nginx::answers;
use crate::convert::nginx::client_certificates;
use crate::convert::nginx::client_certificates::Asked;
use crate::convert::nginx::error_pages;
use crate::convert::nginx::error_pages::Places;
use crate::convert::nginx::listeners::Heard;
use crate::convert::nginx::listeners::Speaks;
use crate::convert::nginx::locations::Order;
use crate::convert::nginx::locations::Paths;
use crate::convert::nginx::locations::sorted;
use crate::convert::nginx::maps;
use crate::convert::nginx::proxying::Apart;
use crate::convert::nginx::redirects::of_server;
use crate::convert::nginx::routes;
use crate::convert::nginx::routes::Made;
use crate::convert::nginx::routes::Place;
use crate::convert::nginx::routes::Route;
use crate::convert::nginx::routes::Target;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::site::comments_of;
use crate::convert::nginx::to_https;
use crate::convert::nginx::to_https::Led;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::Known;
use crate::convert::yaml::Entry;

/// A `server` that is heard somewhere and has names.
pub(super) struct Server<'t> {
    pub(super) block: &'t Directive,
    pub(super) scope: Scope<'t>,
    pub(super) heard: Vec<Heard>,
    pub(super) names: Vec<String>,
}

/// What a server is for one of its names.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) heard: Vec<Heard>,
    pub(super) serves: Serves,
    /// What is asked of the certificates of its clients.
    pub(super) asked: Option<Entry>,
    /// What it answers in place of errors.
    pub(super) error_pages: Option<Entry>,
}

#[derive(Clone, Debug)]
pub(super) enum Serves {
    /// These routes, one of which sends all requests that no other is for to https at this port.
    Mixed(Vec<Route>, u16),
    /// Each request is sent to https at this port.
    Redirect(u16),
    /// These routes; requests in plain are redirected to this port, where there is one.
    Routes(Vec<Route>, Option<u16>),
}

impl<'t> Server<'t> {
    /// What it serves under a name.
    pub(super) fn side(&self, site: &Site<'t>, name: &str) -> Side {
        let known = maps::filled_in(site, known(name, &self.names, &self.heard));
        let speaks = |what: Speaks| self.heard.iter().any(|heard| heard.speaks == what);
        let (secured, in_plain) = (speaks(Speaks::Https), speaks(Speaks::Http));
        let (closed, asked) = match secured.then(|| client_certificates::asked(site, &self.scope)) {
            Some(Asked::Closed) => (true, None),
            Some(Asked::Certificate(section)) => (false, Some(section)),
            Some(Asked::Nothing) | None => (false, None),
        };
        let known = if asked.is_none() && !in_plain {
            // nginx says so where nobody is asked, too.
            let mut known = known;
            let variable = "ssl_client_verify".to_owned();
            known.fixed.insert(variable, "NONE".to_owned());
            known
        } else {
            known
        };
        let (serves, error_pages) = match to_https::led(site, self, &known) {
            Led::All(port) => (Serves::Redirect(port), None),
            Led::Rest(port) => {
                let (routes, error_pages) = self.routes(site, &known, closed);
                if to_https::leads_away(&routes) {
                    (Serves::Mixed(routes, port), error_pages)
                } else {
                    to_https::rest_is_lost(site, self);
                    (Serves::Redirect(port), None)
                }
            }
            Led::Plain(port) => {
                let (routes, error_pages) = self.routes(site, &known, closed);
                (Serves::Routes(routes, Some(port)), error_pages)
            }
            Led::Nobody => {
                let (routes, error_pages) = self.routes(site, &known, closed);
                (Serves::Routes(routes, None), error_pages)
            }
        };
        Side {
            heard: self.heard.clone(),
            serves,
            asked,
            error_pages,
        }
    }

    /// Its routes, and what holds for errors where none of them says it.
    fn routes(&self, site: &Site<'t>, known: &Known, closed: bool) -> (Vec<Route>, Option<Entry>) {
        let closed = closed | self.refuses(site, known);
        let mut places = Places {
            all: Vec::new(),
            server: &self.scope,
            closed,
        };
        if let Some(directive) = self.scope.own("return").first() {
            let routes = self.whole_answer(site, directive, known, closed);
            return (routes, error_pages::key(site, &self.scope, &places, known));
        }
        let first = of_server(site, &self.scope, known, closed);
        let mut found = Vec::new();
        collect(site, &self.scope, None, &mut found);
        let found = sorted(found);
        let all = found.iter();
        places.all = all.map(|(paths, (_, scope), _)| (paths, scope)).collect();
        let pages = error_pages::key(site, &self.scope, &places, known);
        let mut made: Vec<Route> = Vec::new();
        for (paths, (location, scope), order) in &found {
            let own = error_pages::key(site, scope, &places, known);
            let place = Place {
                scope: scope.clone(),
                paths: paths.clone(),
                known,
                closed,
            };
            let Some((mut route, beside)) = route(site, location, place, *order) else {
                continue;
            };
            route
                .keys
                .extend(error_pages::of_route(own, pages.as_ref()));
            if made.iter().any(|other| other.pattern == route.pattern) {
                let why = "another location has the same paths";
                site.ledger.dropped_whole(location, why);
                continue;
            }
            for apart in beside.apart {
                made.push(route.apart(apart, &beside.answered));
            }
            made.push(route);
        }
        let mut all = first;
        all.extend(with_folders(made));
        (all, pages)
    }

    /// Whether an `if` of the server refuses requests.
    fn refuses(&self, site: &Site<'_>, known: &Known) -> bool {
        let others = self.scope.own("if").into_iter().filter(|condition| {
            let leads = |inner| answers::leads_to_https(inner, known).is_some();
            !(to_https::is_about_plain(condition) && condition.inside().iter().any(leads))
        });
        let mut closed = false;
        for condition in others {
            let alone = Scope::new(std::slice::from_ref(condition));
            closed |= routes::refusing(site, &alone);
        }
        closed
    }

    /// A server that answers all requests alike.
    fn whole_answer(
        &self,
        site: &Site<'_>,
        directive: &Directive,
        known: &Known,
        closed: bool,
    ) -> Vec<Route> {
        let answer = if closed {
            site.ledger.dropped(directive, "each route answers 403");
            answers::status(403)
        } else {
            answers::answer(site, &self.scope, directive, known)
        };
        for location in self.scope.own("location") {
            let why = "never reached: the server answers by itself";
            site.ledger.dropped_whole(location, why);
        }
        let paths = Paths {
            kind: crate::convert::nginx::locations::Kind::Prefix,
            text: "/".to_owned(),
        };
        let Ok(pattern) = paths.pattern() else {
            return Vec::new();
        };
        vec![Route {
            comments: Vec::new(),
            paths,
            pattern,
            target: Target::Answer(answer),
            keys: Vec::new(),
        }]
    }
}

type Found<'t> = (Paths, (&'t Directive, Scope<'t>));

/// All locations, those inside others among them.
fn collect<'t>(
    site: &Site<'t>,
    scope: &Scope<'t>,
    outer: Option<&Paths>,
    found: &mut Vec<Found<'t>>,
) {
    for location in scope.own("location") {
        let Some(paths) = Paths::read(location) else {
            if error_pages::lead_to(site, scope, location.first()) {
                continue;
            }
            let why = "is reached from within only, by what has no counterpart";
            site.ledger.dropped_whole(location, why);
            continue;
        };
        let paths = match outer {
            Some(outer) => paths.within(outer),
            None => paths,
        };
        let inner = scope.inside(location.inside());
        collect(site, &inner, Some(&paths), found);
        found.push((paths, (location, inner.by_what_passes())));
    }
}

/// What becomes of a location beside its route.
struct Beside {
    /// Its paths of which something else becomes.
    apart: Vec<Apart>,
    /// What goes along with the answers among them.
    answered: Vec<Entry>,
}

/// The route of a location. One whose paths cannot be said is left out, unless it keeps requests from something:
/// then it takes more of them.
fn route<'t>(
    site: &Site<'t>,
    location: &'t Directive,
    place: Place<'_, 't>,
    order: Order,
) -> Option<(Route, Beside)> {
    let Made {
        target,
        keys,
        comments: said,
        apart,
        answered,
        lost,
    } = routes::served(site, &place);
    let paths = place.paths;
    let answers = matches!(target, Target::Answer(_));
    let pattern = if answers {
        paths.strict_pattern()
    } else {
        paths.pattern()
    };
    let wider = paths.without_look_around().filter(|_| answers);
    let wider = wider.and_then(|paths| paths.pattern().ok());
    let pattern = match (pattern, wider) {
        (Ok(pattern), _) => {
            match (lost, order) {
                (Some(why), _) => site.ledger.changed(location, why),
                (None, Order::Same) => site.ledger.kept(location, "a route"),
                (None, Order::Early) => site.ledger.changed(location, EARLY),
            }
            pattern
        }
        (Err(_), Some(pattern)) => {
            let why = "a route, also for the paths that look-around keeps out";
            site.ledger.changed(location, why);
            pattern
        }
        (Err(why), None) => {
            site.ledger.dropped_whole(location, &why);
            return None;
        }
    };
    let mut comments = comments_of(location, &APART);
    comments.extend(said);
    let route = Route {
        comments,
        paths,
        pattern,
        target,
        keys,
    };
    Some((route, Beside { apart, answered }))
}

/// The routes, each folder with what nginx does for its path without the slash.
fn with_folders(routes: Vec<Route>) -> Vec<Route> {
    let taken: Vec<String> = routes
        .iter()
        .map(|route| route.paths.text.clone())
        .collect();
    let redirects = routes.iter().filter_map(routes::to_folder);
    let free = redirects.filter(|redirect| !taken.contains(&redirect.paths.text));
    let mut first: Vec<Route> = free.collect();
    // Behind nothing: an exact path is nobody else's.
    first.extend(routes);
    first
}

/// What is fixed where one name is served.
pub(super) fn known(name: &str, names: &[String], heard: &[Heard]) -> Known {
    let mut fixed = BTreeMap::new();
    if let Some(first) = names.first() {
        fixed.insert("server_name".to_owned(), first.clone());
    }
    if !name.starts_with('*') {
        fixed.insert("host".to_owned(), name.to_owned());
        fixed.insert("http_host".to_owned(), name.to_owned());
    }
    if let [heard] = heard {
        let scheme = match heard.speaks {
            Speaks::Http => "http",
            Speaks::Https => "https",
        };
        fixed.insert("scheme".to_owned(), scheme.to_owned());
    }
    Known { fixed }
}

const EARLY: &str = "a route before expressions that nginx would try first";

/// Blocks and directives whose comments stand where they themselves do.
const APART: [&str; 4] = [
    "location",
    "proxy_set_header",
    "add_header",
    "proxy_hide_header",
];

//! A route of a virtual host, with what plain http and TLS have of their own there.

use crate::convert::nginx::routes::Route;
use crate::convert::nginx::routes::Target;
use crate::convert::nginx::schemes::Pair;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Item;
use crate::convert::yaml::Yaml;

/// A route, with a pool for plain http and one for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) route: Route,
    /// The pool for plain http, where it is another one.
    http: Option<String>,
    /// The only scheme that it is for.
    scheme: Option<&'static str>,
}

impl Served {
    /// For whatever comes.
    pub(super) const fn always(route: Route) -> Self {
        Self {
            route,
            http: None,
            scheme: None,
        }
    }

    /// Those of a pattern: one where both schemes are served alike.
    pub(super) fn both(pair: Pair) -> Vec<Self> {
        let Pair {
            pattern,
            http,
            https,
        } = pair;
        let for_scheme = |route: Option<Route>, scheme: &'static str| {
            let route = route?;
            Some(Self {
                route: Route {
                    pattern: pattern.clone(),
                    ..route
                },
                http: None,
                scheme: Some(scheme),
            })
        };
        match (for_scheme(http, "http"), for_scheme(https, "https")) {
            (Some(http), Some(mut https)) if https.is_alike(&http) => {
                https.take_plain(http);
                https.scheme = None;
                vec![https]
            }
            (http, https) => http.into_iter().chain(https).collect(),
        }
    }

    /// Whether both are the same, but for their pools and comments.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let (own, other) = (&self.route, &other.route);
        let pools = match (&own.target, &other.target) {
            (Target::Pool(_), Target::Pool(_)) => true,
            (own, other) => own == other,
        };
        // By itself nginx says the name of the pool, which is another one then.
        own.pattern == other.pattern && own.keys == other.keys && pools
    }

    pub(super) fn pools(&self) -> Vec<String> {
        let own = match &self.route.target {
            Target::Answer(_) => None,
            Target::Pool(pool) => Some(pool.clone()),
        };
        own.into_iter().chain(self.http.clone()).collect()
    }

    pub(super) fn take_plain(&mut self, other: Self) {
        for comment in other.route.comments {
            if !self.route.comments.contains(&comment) {
                self.route.comments.push(comment);
            }
        }
        if let Target::Pool(pool) = other.route.target
            && self.route.target != Target::Pool(pool.clone())
        {
            self.http = Some(pool);
        }
    }

    pub(super) fn item(&self) -> Item {
        let route = &self.route;
        let mut entries = vec![route.pattern.entry()];
        if let Some(scheme) = self.scheme {
            let scheme = Entry::new("scheme", Yaml::text(scheme));
            entries.push(Entry::new("match", Yaml::Map(vec![scheme])));
        }
        entries.push(Entry::new("access", Yaml::text("excluded")));
        entries.push(match (&route.target, &self.http) {
            (Target::Answer(answer), _) => answer.clone(),
            (Target::Pool(pool), None) => Entry::new("pool", Yaml::text(pool)),
            (Target::Pool(https), Some(http)) => Entry::new(
                "pools",
                Yaml::Map(vec![
                    Entry::new("http", Yaml::text(http)),
                    Entry::new("https", Yaml::text(https)),
                ]),
            ),
        });
        entries.extend(route.keys.iter().cloned());
        Item {
            comments: route.comments.clone(),
            value: Yaml::Map(entries),
        }
    }
}

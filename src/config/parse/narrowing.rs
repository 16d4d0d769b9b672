//! `match` of a route: which of the requests for its paths are its, beside their methods; and what that leaves
//! open.
//!
//! Routes with the same pattern are told apart by it. Whatever it says is the client's choice, so where one of
//! them is open and another is not there is a warning.

use std::sync::Arc;

use http::Method;

use crate::config::PlainHttp;
use crate::config::Route;
use crate::config::VirtualHost;
use crate::config::parse::reach::pattern_of;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::problem::forward::ForwardProblem;
use crate::decision::forwarded::Scheme;
use crate::decision::policy::Access;
use crate::decision::routing::Narrowing;
use crate::decision::routing::PathPattern;
use crate::decision::routing::has_method;

/// Which requests are a route's.
pub(super) struct Requests {
    /// What the pattern is called in logs.
    pub(super) name: Arc<str>,
    pub(super) path: PathPattern,
    pub(super) methods: Vec<Method>,
    pub(super) narrowing: Option<Arc<Narrowing>>,
}

impl Reading<'_> {
    pub(super) fn requests(&mut self, section: &Section<'_>) -> Option<Requests> {
        let path = self.path_pattern(section);
        let methods = self.or(section, "methods", Vec::new(), |this, found| {
            let items = this.some_list(found)?;
            this.each(&items, Self::method)
        });
        let narrowing = match section.get("match") {
            None => None,
            Some(found) => Some(Arc::new(self.narrowing(found)?)),
        };
        let (name, path) = path?;
        Some(Requests {
            name,
            path,
            methods,
            narrowing,
        })
    }

    fn narrowing(&mut self, found: &Found<'_>) -> Option<Narrowing> {
        let section = self.section(found, KEYS)?;
        if section.entries().next().is_none() {
            self.fault(found, Problem::Forward(ForwardProblem::EveryRequest));
            return None;
        }
        let scheme = section.get("scheme").map(|found| self.word(found, SCHEMES));
        let headers = section
            .get("header")
            .map(|found| self.some(found, Self::header_test));
        let query = section
            .get("query")
            .map(|found| self.some(found, Self::parameter_test));
        let scheme = match scheme {
            None => None,
            Some(scheme) => Some(scheme?),
        };
        Some(Narrowing {
            scheme,
            headers: headers.unwrap_or_else(|| Some(Vec::new()))?,
            query: query.unwrap_or_else(|| Some(Vec::new()))?,
        })
    }

    /// Warns where what a client sends decides whether it is asked to sign in: between a route and those before it
    /// with the same pattern.
    pub(super) fn check_choice(
        &mut self,
        (item, route): (&Found<'_>, &Route),
        earlier: &[(&Found<'_>, &Route)],
    ) {
        let is_open = |route: &Route| route.access != Access::Protected;
        let leads_on = |route: &Route| route.destination.pools().is_some();
        let chosen = earlier.iter().find(|(_, other)| {
            is_open(route) != is_open(other)
                && (leads_on(route) || !is_open(route))
                && (leads_on(other) || !is_open(other))
                && share_methods(route, other)
                && (route.narrowing.is_some() || other.narrowing.is_some())
        });
        let Some((before, other)) = chosen else {
            return;
        };
        let narrowed = if other.narrowing.is_some() {
            *before
        } else {
            item
        };
        let place = narrowed.value_of("match");
        let place = place.unwrap_or_else(|| pattern_of(narrowed));
        self.advise(&place, Advice::ClientChooses);
    }

    /// Warns of routes for plain http where none of it comes to a route.
    pub(super) fn check_schemes(&mut self, found: &Found<'_>, host: &VirtualHost) {
        if host.plain_http == PlainHttp::Serve {
            return;
        }
        let items = self.list(found).unwrap_or_default();
        for (item, route) in items.iter().zip(&host.routes) {
            let narrowing = route.narrowing.as_ref();
            if narrowing.is_some_and(|narrowing| narrowing.scheme == Some(Scheme::Http)) {
                let place = item.value_of("match");
                self.advise(place.as_ref().unwrap_or(item), Advice::NoPlainHttp);
            }
        }
    }
}

/// Whether some method is of both.
fn share_methods(route: &Route, other: &Route) -> bool {
    let (methods, others) = (&route.methods, &other.methods);
    methods.is_empty() || others.is_empty() || methods.iter().any(|one| has_method(others, one))
}

pub(super) const KEYS: &[&str] = &["header", "query", "scheme"];
const SCHEMES: &[(&str, Scheme)] = &[("http", Scheme::Http), ("https", Scheme::Https)];

//! Where users are led that are denied, and denied again: a doubt about `failure_url`s that come back.
//!
//! What the gateway does where they do is `decision::landing`'s to say: it shows its own page to whoever is denied at
//! each step, and sends others. Who that is, is not known here.

use http::Method;

use crate::config::Route;
use crate::config::VirtualHost;
use crate::config::outcome::Denied;
use crate::config::parse::reach::holds_always;
use crate::config::parse::reach::pattern_of;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::advice::Advice;
use crate::decision::landing::Landing;
use crate::decision::path::normalise;
use crate::decision::policy::Access;
use crate::decision::policy::Effect;
use crate::decision::routing::HostPattern;
use crate::decision::routing::HostTable;
use crate::decision::routing::RouteFound;
use crate::decision::routing::RouteTable;
use crate::decision::template::Part;

impl Reading<'_> {
    /// Looks for routes whose denied users are led to where they may be denied as well, and so back again.
    /// The items are those of the routes of each host.
    pub(super) fn check_circles(&mut self, items: &[Vec<Found<'_>>], hosts: &[VirtualHost]) {
        let mut routes = hosts.iter().flat_map(|host| &host.routes);
        if !routes.any(|route| failure_url(route).is_some()) {
            return;
        }
        let ways = Ways::of(hosts);
        let routes = items.iter().zip(hosts).enumerate();
        let routes = routes.flat_map(|(at, (items, host))| {
            let routes = items.iter().zip(&host.routes);
            routes.map(move |(item, route)| (at, item, route))
        });
        for (at, item, route) in routes {
            if ways.lead_back(at, route) {
                let place = item.value_of("failure_url");
                let place = place.unwrap_or_else(|| pattern_of(item));
                self.advise(&place, Advice::DeniedInCircles);
            }
        }
    }
}

/// The routes of all hosts, as requests find them.
struct Ways<'c> {
    names: HostTable<usize>,
    hosts: Vec<(&'c VirtualHost, RouteTable<&'c Route>)>,
}

impl<'c> Ways<'c> {
    fn of(hosts: &'c [VirtualHost]) -> Self {
        let names = hosts.iter().enumerate();
        let names =
            names.flat_map(|(at, host)| host.hosts.iter().map(move |name| (name.clone(), at)));
        let tables = hosts.iter().map(|host| {
            let entries = host.routes.iter().map(|route| route.entry(route));
            (host, RouteTable::new(entries.collect()))
        });
        Self {
            names: names.collect(),
            hosts: tables.collect(),
        }
    }

    /// Whether somebody who is denied at a route, and wherever that leads, comes back to the route.
    fn lead_back(&self, host: usize, route: &'c Route) -> bool {
        let mut here = (host, route);
        for _ in 0..STEPS_MAX {
            let Some(there) = self.next(here) else {
                return false;
            };
            if std::ptr::eq(there.1, route) {
                return true;
            }
            here = there;
        }
        false
    }

    /// The route to which somebody is led who is denied at one, and the place of its host.
    fn next(&self, (at, route): (usize, &'c Route)) -> Option<(usize, &'c Route)> {
        let address = failure_url(route)?;
        let (host, _) = self.hosts.get(at)?;
        let (HostPattern::Exact(own) | HostPattern::Wildcard(own)) = host.hosts.first()?;
        let landing = Landing::of(address, own)?;
        let at = if address.starts_with('/') {
            at
        } else {
            *self.names.find(landing.host.as_str())?
        };
        let (_, table) = self.hosts.get(at)?;
        let path = normalise(&landing.path).ok()?;
        match table.find(&path, &Method::GET) {
            RouteFound::Found(route) => Some((at, *route)),
            RouteFound::MethodNotAllowed(_)
            | RouteFound::NotFound
            | RouteFound::Refused(_)
            | RouteFound::Unclear => None,
        }
    }
}

/// Where a route leads those whom its policy denies, if its path is written out; none where nobody is denied.
fn failure_url(route: &Route) -> Option<&str> {
    let address = match &route.outcomes.denied {
        Denied::Page | Denied::Status => return None,
        Denied::Redirect(address) => address,
    };
    if route.access != Access::Protected || !may_deny(route) {
        return None;
    }
    let (Part::Text(text), rest) = address.parts().split_first()? else {
        return None;
    };
    (rest.is_empty() || text.contains(['?', '#'])).then_some(&**text)
}

/// Whether its rules are not plainly such that everybody who is signed in passes.
fn may_deny(route: &Route) -> bool {
    let mut rules = route.policy.rules().iter();
    let passes = rules.find(|rule| match rule.effect {
        Effect::Allow => holds_always(&rule.when),
        Effect::Deny => true,
    });
    passes.is_none_or(|rule| rule.effect == Effect::Deny)
}

/// More addresses than anybody is led along on purpose.
const STEPS_MAX: usize = 8;

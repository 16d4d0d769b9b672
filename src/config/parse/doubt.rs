//! What is allowed and yet likely a mistake, beyond what the section that it stands in can tell by itself.
//!
//! What looks likely to be a mistake about files is `app::doubts`; what is never reached is `reach`.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Method;
use http::StatusCode;
use ipnet::IpNet;

use crate::config::Route;
use crate::config::VirtualHost;
use crate::config::destination::Destination;
use crate::config::parse::policy::Policies;
use crate::config::parse::reach::pattern_of;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::advice::Advice;
use crate::decision::endpoints::PREFIX;
use crate::decision::fixed_answer::Address;
use crate::decision::fixed_answer::FixedAnswer;
use crate::decision::fixed_answer::Redirect;
use crate::decision::path::normalise;
use crate::decision::policy::Policy;
use crate::decision::routing::RouteFound;
use crate::decision::routing::RouteTable;
use crate::decision::template::Part;

impl Reading<'_> {
    /// The senders whose forwarding headers are believed.
    pub(super) fn proxies(&mut self, found: &Found<'_>) -> Option<Vec<IpNet>> {
        let items = self.list(found)?;
        self.each(&items, |this, item| {
            let network = this.network(item)?;
            if network.prefix_len() == 0 {
                this.advise(item, Advice::TrustsEverybody);
            }
            Some(network)
        })
    }

    /// Looks for routes whose paths lead nowhere: to Portway itself, or back to the route.
    pub(super) fn check_paths(&mut self, items: &[Found<'_>], routes: &[Route]) {
        let mut table = None;
        for (at, (item, route)) in items.iter().zip(routes).enumerate() {
            if is_own(&route.name) {
                self.advise(&pattern_of(item), Advice::OwnPath);
            }
            let Some(redirect) = redirect_of(route) else {
                continue;
            };
            let table = table.get_or_insert_with(|| table_of(routes));
            if leads_to(redirect, route, table) == Some(at) {
                let to = item.value_of("redirect");
                let to = to.and_then(|redirect| redirect.value_of("to"));
                self.advise(to.as_ref().unwrap_or(item), Advice::Circle);
            }
        }
    }

    /// Looks for pools and policies that no route uses.
    pub(super) fn check_used(
        &mut self,
        section: &Section<'_>,
        hosts: &[VirtualHost],
        policies: &Policies,
    ) {
        let routes = || hosts.iter().flat_map(|host| &host.routes);
        let pools = routes().filter_map(|route| route.destination.pools());
        let pools = pools.flat_map(|pools| [pools.http.name.as_str(), pools.https.name.as_str()]);
        let pools: BTreeSet<&str> = pools.collect();
        self.unused(section.get("pools"), "pool", |name| pools.contains(name));
        let asked = routes().map(|route| Arc::as_ptr(&route.policy));
        let asked: BTreeSet<*const Policy> = asked.collect();
        self.unused(section.get("policies"), "policy", |name| {
            let named = policies.get(name).and_then(Option::as_ref);
            named.is_none_or(|named| asked.contains(&Arc::as_ptr(&named.policy)))
        });
    }

    fn unused(
        &mut self,
        found: Option<&Found<'_>>,
        what: &'static str,
        is_used: impl Fn(&str) -> bool,
    ) {
        let Some(found) = found else { return };
        for name in found.keys().filter(|name| !is_used(name)) {
            if let Some(entry) = found.value_of(name) {
                let name = name.to_owned();
                self.advise_at_key(&entry, Advice::Unused { what, name });
            }
        }
    }
}

fn is_own(pattern: &str) -> bool {
    pattern.starts_with(PREFIX) || Some(pattern) == PREFIX.strip_suffix('/')
}

fn redirect_of(route: &Route) -> Option<&Redirect> {
    let Destination::Answer(answer) = &route.destination else {
        return None;
    };
    match &**answer {
        FixedAnswer::Content(_) => None,
        FixedAnswer::Redirect(redirect) => Some(redirect),
    }
}

fn table_of(routes: &[Route]) -> RouteTable<usize> {
    let entries = routes.iter().enumerate();
    let entries = entries.map(|(at, route)| route.entry(at));
    RouteTable::new(entries.collect())
}

/// The route of the same host that a redirect leads to, where its address is a path that is written out.
fn leads_to(redirect: &Redirect, route: &Route, table: &RouteTable<usize>) -> Option<usize> {
    let Address::Template(to) = &redirect.to else {
        return None;
    };
    let [Part::Text(address)] = to.parts() else {
        return None;
    };
    let path = address.split(['?', '#']).next()?;
    let path = normalise(path).ok()?;
    // A browser asks by GET, but for the statuses that keep the method.
    let keeps = [
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    let method = match route.methods.first() {
        Some(method) if keeps.contains(&redirect.status) => method,
        _ => &Method::GET,
    };
    match table.find(&path, method) {
        RouteFound::Found(at) => Some(*at),
        RouteFound::MethodNotAllowed(_)
        | RouteFound::NotFound
        | RouteFound::Refused(_)
        | RouteFound::Unclear => None,
    }
}

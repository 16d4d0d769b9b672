//! What nobody can reach: routes whose paths earlier ones take, rules behind one that always decides.
//!
//! A protected route behind an open one is a fault, because its paths are open; the rest is a warning.
//! Which paths a pattern takes is `decision::routing`.

use std::collections::BTreeMap;

use http::Method;
use ipnet::IpNet;

use crate::config::Route;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::route::ACCESSES;
use crate::config::parse::route::PATH_KEYS;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::problem::forward::ForwardProblem;
use crate::decision::policy::Access;
use crate::decision::policy::Condition;
use crate::decision::policy::Rule;
use crate::decision::routing::has_method;
use crate::decision::routing::reach;
use crate::model::identity::AuthLevel;

impl Reading<'_> {
    /// Looks for routes of a virtual host that are never reached.
    pub(super) fn check_reach(&mut self, items: &[Found<'_>], routes: &[Route]) {
        let mut alike = BTreeMap::<usize, Vec<(&Found<'_>, &Route)>>::new();
        let reached = reach(routes.iter().map(|route| &route.path));
        for ((item, route), reach) in items.iter().zip(routes).zip(reached) {
            let taken_by = reach
                .behind
                .and_then(|at| items.get(at).zip(routes.get(at)));
            let earlier = alike.entry(reach.alike).or_default();
            match taken_by {
                Some(taken_by) => self.taken(item, route, taken_by),
                None => {
                    self.spent(item, route, earlier);
                    self.check_choice((item, route), earlier);
                }
            }
            earlier.push((item, route));
        }
    }

    /// Another route takes the paths.
    fn taken(&mut self, item: &Found<'_>, route: &Route, (by, other): (&Found<'_>, &Route)) {
        let found = pattern_of(item);
        let by = format!("{}: {}", path_key(by), other.name);
        if route.access == Access::Protected && other.access != Access::Protected {
            let access = ACCESSES.iter().find(|(_, access)| *access == other.access);
            let access = access.map_or("", |(word, _)| word);
            let problem = ForwardProblem::Unreached { by, access };
            self.fault(&found, Problem::Forward(problem));
        } else {
            self.advise(&found, Advice::CoveredRoute(by));
        }
    }

    /// Routes with the same pattern share its paths by their methods, and by what else they are narrowed to.
    fn spent(&mut self, item: &Found<'_>, route: &Route, earlier: &[(&Found<'_>, &Route)]) {
        let same = earlier
            .iter()
            .find(|(_, other)| takes_such(other, route) && has_all(&other.methods, &route.methods));
        if let Some((first, other)) = same {
            if other.narrowing != route.narrowing {
                return self.taken(item, route, (*first, *other));
            }
            let problem = Problem::Duplicate {
                what: "route",
                text: route.name.as_ref().to_owned(),
                first: first.node.at.line,
            };
            return self.fault(item, problem);
        }
        let is_spent = |method| {
            let mut earlier = earlier.iter();
            earlier.any(|(_, other)| takes_such(other, route) && has_method(&other.methods, method))
        };
        if !route.methods.is_empty() && route.methods.iter().all(is_spent) {
            self.advise(&pattern_of(item), Advice::SpentMethods);
        }
    }

    /// Looks for a rule that is never reached; what stands behind it is not either.
    pub(super) fn check_rules(&mut self, items: &[Found<'_>], rules: &[Rule]) {
        let decides = rules.iter().position(|rule| holds_always(&rule.when));
        let next = decides.and_then(|at| items.get(at.saturating_add(1)));
        if let Some(next) = next {
            self.advise(next, Advice::CoveredRule);
        }
    }
}

/// Whether another route takes, of the requests by its methods, all that this one is for.
fn takes_such(other: &Route, route: &Route) -> bool {
    other.narrowing.is_none() || other.narrowing == route.narrowing
}

fn has_all(methods: &[Method], wanted: &[Method]) -> bool {
    methods.is_empty()
        || (!wanted.is_empty() && wanted.iter().all(|method| has_method(methods, method)))
}

/// Whether a condition holds for all who come to rules: on protected routes those who are signed in.
pub(super) fn holds_always(condition: &Condition) -> bool {
    match condition {
        Condition::Address(networks) => {
            let everything = |v6| {
                let mut networks = networks.iter();
                networks.any(|network| {
                    network.prefix_len() == 0 && matches!(network, IpNet::V6(_)) == v6
                })
            };
            everything(false) && everything(true)
        }
        Condition::All(all) => all.iter().all(holds_always),
        Condition::Any(any) => any.iter().any(holds_always),
        Condition::Level(level) => *level == AuthLevel::NONE,
        Condition::SignedIn => true,
        Condition::Attribute(..)
        | Condition::Group(_)
        | Condition::Header(..)
        | Condition::Method(_)
        | Condition::Not(_)
        | Condition::Query(..)
        | Condition::Time(_)
        | Condition::User(_)
        | Condition::When(_) => false,
    }
}

/// The pattern of a route as it stands in the file, or else the route.
pub(super) fn pattern_of<'n>(item: &Found<'n>) -> Found<'n> {
    let pattern = item.value_of(path_key(item));
    pattern.unwrap_or_else(|| item.clone())
}

fn path_key(item: &Found<'_>) -> &'static str {
    let keys = item.keys();
    let found = PATH_KEYS
        .iter()
        .find(|key| keys.clone().any(|other| other == **key));
    found.copied().unwrap_or_default()
}

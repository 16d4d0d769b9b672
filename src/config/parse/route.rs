//! `routes`: which paths, who may pass, and where they go.
//!
//! A key that would have no effect is a fault: a policy on a route that asks nobody looks like
//! protection and is none.

use std::sync::Arc;

use crate::config::Caching;
use crate::config::Flow;
use crate::config::Preflight;
use crate::config::Route;
use crate::config::UpstreamHost;
use crate::config::parse::host::Declared;
use crate::config::parse::outcome::Redirects;
use crate::config::parse::policy::Named;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::short;
use crate::config::parse::scalar::word_problem;
use crate::config::problem::Problem;
use crate::decision::path::Oddity;
use crate::decision::path::Tolerance;
use crate::decision::policy::Access;
use crate::decision::retry::RetryOn;
use crate::decision::routing::PathPattern;
use crate::decision::routing::PatternError;
use crate::model::claim::Activity;
use crate::model::identity::AuthLevel;
use crate::model::name::HostName;

/// What routes turned out to need of the rest of the file.
#[derive(Default)]
pub(super) struct Needed<'n> {
    /// The first route that knows users, and its access as written.
    pub(super) identity: Option<(Found<'n>, &'static str)>,
    /// Where routes send browsers on other hosts.
    pub(super) redirects: Redirects,
    /// The routes of each virtual host, as written.
    pub(super) routes: Vec<Vec<Found<'n>>>,
}

impl Reading<'_> {
    pub(super) fn routes<'n>(
        &mut self,
        found: &Found<'n>,
        declared: &Declared<'_>,
        needed: &mut Needed<'n>,
    ) -> Option<Vec<Route>> {
        let items = self.some_list(found)?;
        let routes = self.each(&items, |this, item| this.route(item, declared, needed))?;
        self.check_reach(&items, &routes);
        self.check_paths(&items, &routes);
        needed.routes.push(items);
        Some(routes)
    }

    fn route<'n>(
        &mut self,
        found: &Found<'n>,
        declared: &Declared<'_>,
        needed: &mut Needed<'n>,
    ) -> Option<Route> {
        let section = self.section(found, KEYS)?;
        let requests = self.requests(&section);
        let access = self.access(&section, needed);
        let addresses = self.addresses(&section);
        let policy = self.route_policy(&section, declared, access);
        let responses = self.route_responses(&section, declared, (access, policy.as_ref()));
        let base = policy.as_ref().map(|named| named.outcomes.clone());
        let outcomes = self.outcomes(&section, base.unwrap_or_default(), &mut needed.redirects);
        let level = self.route_level(&section, declared);
        let activity = self.activity(&section, access);
        let destination = self.destination(&section, declared);
        let (flow, body_bytes_max) = self.bodies(&section, declared);
        let allowance = self.allowance(&section, access);
        let told = self.upstreams_told(&section, declared, access);
        let upstream_host = self.or(
            &section,
            "upstream_host",
            UpstreamHost::Preserved,
            Self::upstream_host,
        );
        let tolerance = self.or(&section, "tolerate", Tolerance::none(), Self::tolerance);
        let preflight = self.or(&section, "preflight", Preflight::Refuse, |this, found| {
            this.word(found, PREFLIGHTS)
        });
        let retry_on = self.or(&section, "retry_on", RetryOn::default(), Self::retry_on);
        let rewrite = self.rewrite(&section, requests.as_ref().map(|requests| &requests.path));
        let headers = self.header_rules(&section);
        let compression = self.compression(&section, declared.compression);
        let error_pages = self.error_pages(&section, declared.error_pages);
        let caching = self.or(&section, "caching", Caching::NoStore, |this, found| {
            this.word(found, CACHINGS)
        });
        let requests = requests?;
        let (destination, timeouts) = destination?;
        let named = policy?;
        Some(Route {
            name: requests.name,
            path: requests.path,
            methods: requests.methods,
            narrowing: requests.narrowing,
            access: access?,
            addresses,
            policy: named.policy,
            policy_name: named.name,
            level,
            activity,
            destination,
            body_bytes_max,
            flow,
            allowance,
            timeouts,
            forwarded_headers: told.forwarded_headers,
            only_groups: told.only_groups,
            upstream_host,
            tolerance,
            preflight,
            compression,
            error_pages,
            caching,
            retry_on,
            rewrite,
            headers,
            responses,
            outcomes,
        })
    }

    /// How bodies flow, and the size they may have: streams have none but what the route says itself.
    fn bodies(&mut self, section: &Section<'_>, declared: &Declared<'_>) -> (Flow, u64) {
        let flow = self.or(section, "streaming", Flow::Bounded, |this, found| {
            this.either(found, Flow::Streaming, Flow::Bounded)
        });
        let size = match flow {
            Flow::Bounded => declared.body_bytes_max,
            Flow::Streaming => u64::MAX,
        };
        (flow, self.or(section, "body_size", size, Self::size))
    }

    /// The pattern and the name it gives the route in logs.
    pub(super) fn path_pattern(
        &mut self,
        section: &Section<'_>,
    ) -> Option<(Arc<str>, PathPattern)> {
        let mut written = PATHS
            .iter()
            .filter_map(|(key, make)| Some((section.get(key)?, make)));
        let (Some((found, make)), None) = (written.next(), written.next()) else {
            self.fault(&section.found, Problem::MissingOneOf(PATH_KEYS));
            return None;
        };
        let text = self.text(found)?;
        make(&text)
            .map_err(|error| self.fault(found, pattern_problem(&text, error)))
            .ok()
            .map(|pattern| (Arc::from(text), pattern))
    }

    fn access<'n>(&mut self, section: &Section<'n>, needed: &mut Needed<'n>) -> Option<Access> {
        let found = self.required(section, "access")?;
        let access = self.word(found, ACCESSES)?;
        if access != Access::Excluded && needed.identity.is_none() {
            let word = ACCESSES.iter().find(|(_, other)| *other == access);
            needed.identity = word.map(|(word, _)| (found.clone(), *word));
        }
        Some(access)
    }

    fn route_policy(
        &mut self,
        section: &Section<'_>,
        declared: &Declared<'_>,
        access: Option<Access>,
    ) -> Option<Named> {
        let place = match access {
            Some(Access::Protected) => {
                let found = self.required(section, "policy")?;
                return self.policy(found, declared.policies);
            }
            Some(Access::Excluded) => "an excluded route",
            Some(Access::Unprotected) => "an unprotected route",
            // Which keys fit is unknown, but references and rules can be checked all the same.
            None => {
                return section
                    .get("policy")
                    .and_then(|found| self.policy(found, declared.policies));
            }
        };
        for key in PROTECTED_KEYS {
            if let Some(found) = section.get(key) {
                self.fault_at_key(found, Problem::NoEffect { key, place });
            }
        }
        Some(Named::default())
    }

    fn route_level(&mut self, section: &Section<'_>, declared: &Declared<'_>) -> AuthLevel {
        let Some(found) = section.get("level") else {
            return AuthLevel::NONE;
        };
        let Some(level) = self.level(found, 0) else {
            return AuthLevel::NONE;
        };
        let reached = declared.level.flatten();
        if let Some(reached) = reached.filter(|reached| level > *reached) {
            let problem = Problem::LevelUnreachable {
                level: level.get(),
                reached: reached.get(),
            };
            self.fault(found, problem);
        }
        level
    }

    /// On a route that asks nobody, nothing is activity in a session.
    fn activity(&mut self, section: &Section<'_>, access: Option<Access>) -> Activity {
        let Some(found) = section.get("activity") else {
            return Activity::Counts;
        };
        if access == Some(Access::Excluded) {
            let (key, place) = ("activity", "an excluded route");
            self.fault_at_key(found, Problem::NoEffect { key, place });
        }
        let activity = self.either(found, Activity::Counts, Activity::None);
        activity.unwrap_or_default()
    }

    fn upstream_host(&mut self, found: &Found<'_>) -> Option<UpstreamHost> {
        match self.text(found)?.as_str() {
            "preserve" => Some(UpstreamHost::Preserved),
            "upstream" => Some(UpstreamHost::Upstream),
            "without_port" => Some(UpstreamHost::WithoutPort),
            _ => self
                .name(found, "a host name", HostName::parse)
                .map(UpstreamHost::Fixed),
        }
    }

    fn tolerance(&mut self, found: &Found<'_>) -> Option<Tolerance> {
        let items = self.list(found)?;
        let oddities = self.each(&items, |this, item| {
            let text = this.text(item)?;
            let oddity = Oddity::parse(&text);
            if oddity.is_none() {
                this.fault(item, word_problem(&text, Oddity::NAMES.to_vec()));
            }
            oddity
        })?;
        Some(
            oddities
                .into_iter()
                .fold(Tolerance::none(), Tolerance::with),
        )
    }

    fn retry_on(&mut self, found: &Found<'_>) -> Option<RetryOn> {
        let items = self.list(found)?;
        let mut all = RetryOn::default();
        for item in &items {
            let text = self.text(item)?;
            match all.with(&text) {
                Some(more) => all = more,
                None => self.fault(item, word_problem(&text, RetryOn::WORDS.to_vec())),
            }
        }
        Some(all)
    }
}

fn pattern_problem(text: &str, error: PatternError) -> Problem {
    let text = short(text);
    Problem::Pattern { text, error }
}

pub(super) const KEYS: &[&str] = &[
    "access",
    "activity",
    "addresses",
    "body_size",
    "caching",
    "challenge",
    "compression",
    "denied",
    "error_pages",
    "exact",
    "failure_url",
    "forwarded_headers",
    "glob",
    "headers",
    "level",
    "limits",
    "match",
    "methods",
    "only_groups",
    "path",
    "policy",
    "pool",
    "pools",
    "preflight",
    "redirect",
    "regex",
    "remediation",
    "respond",
    "responses",
    "retry_on",
    "rewrite",
    "streaming",
    "success_url",
    "timeouts",
    "tolerate",
    "upstream_host",
];

type MakePattern = fn(&str) -> Result<PathPattern, PatternError>;

const PATHS: &[(&str, MakePattern)] = &[
    ("path", PathPattern::prefix),
    ("exact", PathPattern::exact),
    ("glob", PathPattern::glob),
    ("regex", PathPattern::regex),
];
pub(super) const PATH_KEYS: &[&str] = &["path", "exact", "glob", "regex"];

/// Keys that mean something only where somebody is asked to sign in.
const PROTECTED_KEYS: &[&str] = &[
    "challenge",
    "denied",
    "failure_url",
    "level",
    "policy",
    "preflight",
    "remediation",
    "success_url",
];

pub(super) const ACCESSES: &[(&str, Access)] = &[
    ("protected", Access::Protected),
    ("unprotected", Access::Unprotected),
    ("excluded", Access::Excluded),
];
const PREFLIGHTS: &[(&str, Preflight)] = &[
    ("forward", Preflight::Forward),
    ("refuse", Preflight::Refuse),
];
const CACHINGS: &[(&str, Caching)] = &[
    ("no_store", Caching::NoStore),
    ("upstream", Caching::Upstream),
];

//! `policies` and the rules of a route: ordered, first match, default deny.
//!
//! Rules become data; what they mean for a request is `decision::authorization`.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderName;

use crate::config::IdentityHeaderNames;
use crate::config::outcome::Outcomes;
use crate::config::parse::nearest::nearest;
use crate::config::parse::outcome::Redirects;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::short;
use crate::config::problem::CONDITIONS;
use crate::config::problem::Problem;
use crate::decision::identity_headers::ProtectedNames;
use crate::decision::policy::Condition;
use crate::decision::policy::Effect;
use crate::decision::policy::Policy;
use crate::decision::policy::Rule;
use crate::decision::response::Responses;
use crate::decision::template::Template;
use crate::model::name::GroupName;
use crate::model::name::PolicyName;
use crate::model::name::UserName;

/// The named policies; a faulty one is there without its rules.
pub(super) type Policies = BTreeMap<String, Option<Named>>;

/// A policy, and what it says beside its rules.
#[derive(Clone, Default)]
pub(super) struct Named {
    /// Empty for rules in place.
    pub(super) name: Arc<str>,
    pub(super) policy: Arc<Policy>,
    pub(super) responses: Responses,
    pub(super) outcomes: Outcomes,
}

impl Reading<'_> {
    pub(super) fn policies(
        &mut self,
        found: Option<&Found<'_>>,
        told: (&IdentityHeaderNames, &[(HeaderName, Template)]),
        redirects: &mut Redirects,
    ) -> Policies {
        let presets = told.1.iter().map(|(name, _)| name);
        self.told = told.0.iter().chain(presets).cloned().collect();
        self.claims = ProtectedNames::new(self.told.iter());
        let mut policies = Policies::new();
        let Some(section) = found.and_then(|found| self.map(found)) else {
            return policies;
        };
        for (name, rules) in section.entries() {
            if let Err(error) = PolicyName::parse(name) {
                let problem = Problem::Name {
                    text: short(name),
                    what: "the name of a policy",
                    error,
                };
                self.fault_at_key(rules, problem);
            }
            let policy = self.named(rules, redirects).map(|named| Named {
                name: Arc::from(*name),
                ..named
            });
            policies.insert((*name).to_owned(), policy);
        }
        policies
    }

    /// Rules, or a map that has them under `rules`.
    fn named(&mut self, found: &Found<'_>, redirects: &mut Redirects) -> Option<Named> {
        if !found.is_map() {
            let policy = Arc::new(self.rules(found)?);
            return Some(Named {
                policy,
                ..Named::default()
            });
        }
        let section = self.section(found, POLICY_KEYS)?;
        let responses = section
            .get("responses")
            .and_then(|found| self.responses(found));
        let outcomes = self.outcomes(&section, Outcomes::default(), redirects);
        let rules = self.required(&section, "rules").cloned()?;
        Some(Named {
            policy: Arc::new(self.rules(&rules)?),
            responses: responses.unwrap_or_default(),
            outcomes,
            ..Named::default()
        })
    }

    /// A policy by name, or its rules in place.
    pub(super) fn policy(&mut self, found: &Found<'_>, policies: &Policies) -> Option<Named> {
        if found.is_list() {
            let policy = Arc::new(self.rules(found)?);
            return Some(Named {
                policy,
                ..Named::default()
            });
        }
        let name = self.text(found)?;
        if let Some(policy) = policies.get(&name) {
            return policy.clone();
        }
        self.unknown_name(found, "policy", &name, policies.keys().map(String::as_str));
        None
    }

    fn rules(&mut self, found: &Found<'_>) -> Option<Policy> {
        let items = self.list(found)?;
        let rules = self.each(&items, Self::rule)?;
        self.check_rules(&items, &rules);
        Some(Policy::new(rules))
    }

    fn rule(&mut self, found: &Found<'_>) -> Option<Rule> {
        let section = self.section(found, EFFECTS)?;
        match (section.get("allow"), section.get("deny")) {
            (Some(when), None) => Some(Rule {
                effect: Effect::Allow,
                when: self.condition(when)?,
            }),
            (None, Some(when)) => Some(Rule {
                effect: Effect::Deny,
                when: self.condition(when)?,
            }),
            // An unknown key has been reported where the section was opened.
            (None, None) if section.entries().next().is_some() => None,
            (Some(_), Some(_)) | (None, None) => {
                self.fault(found, Problem::MissingOneOf(EFFECTS));
                None
            }
        }
    }

    pub(super) fn condition(&mut self, found: &Found<'_>) -> Option<Condition> {
        if !found.is_map() {
            return self.word(found, &[("signed_in", Condition::SignedIn)]);
        }
        let section = self.section(found, CONDITIONS)?;
        let mut entries = section.entries();
        let (Some((kind, value)), None) = (entries.next(), entries.next()) else {
            self.fault(found, Problem::Condition);
            return None;
        };
        self.condition_of(kind, value)
    }

    fn condition_of(&mut self, kind: &str, value: &Found<'_>) -> Option<Condition> {
        match kind {
            "address" => self.some(value, Self::network).map(Condition::Address),
            "all" => self.conditions(value).map(Condition::All),
            "any" => self.conditions(value).map(Condition::Any),
            "attribute" => self.attribute_condition(value),
            "group" => {
                let groups = self.some(value, Self::group)?;
                Some(Condition::Group(groups.into()))
            }
            "header" => self.header_condition(value),
            "level" => self.level(value, 0).map(Condition::Level),
            "method" => self.some(value, Self::method).map(Condition::Method),
            "not" => self
                .condition(value)
                .map(|inner| Condition::Not(Box::new(inner))),
            "query" => self.query_condition(value),
            "signed_in" => {
                self.only_true(value);
                Some(Condition::SignedIn)
            }
            "time" => self.time_window(value).map(Condition::Time),
            "user" => {
                let users = self.some(value, Self::user)?;
                Some(Condition::User(users.into()))
            }
            "when" => self.expression(value).map(Condition::When),
            // An unknown key has been reported where the section was opened.
            _ => None,
        }
    }

    /// `signed_in: true` is the long form of `signed_in`; the opposite is `not: signed_in`.
    pub(super) fn only_true(&mut self, value: &Found<'_>) {
        if self.switch(value) == Some(false) {
            self.fault(
                value,
                Problem::Word {
                    text: "false".to_owned(),
                    allowed: vec!["true"],
                    nearest: None,
                },
            );
        }
    }

    /// An empty list is refused: `all: []` would hold for everybody.
    fn conditions(&mut self, found: &Found<'_>) -> Option<Vec<Condition>> {
        let items = self.some_list(found)?;
        self.each(&items, Self::condition)
    }

    /// One value or a list of at least one.
    pub(super) fn some<'n, T>(
        &mut self,
        found: &Found<'n>,
        mut read: impl FnMut(&mut Self, &Found<'n>) -> Option<T>,
    ) -> Option<Vec<T>> {
        if !found.is_list() {
            return read(self, found).map(|value| vec![value]);
        }
        let items = self.some_list(found)?;
        self.each(&items, read)
    }

    fn group(&mut self, found: &Found<'_>) -> Option<GroupName> {
        self.name(found, "the name of a group", GroupName::parse)
    }

    fn user(&mut self, found: &Found<'_>) -> Option<UserName> {
        self.name(found, "the name of a user", UserName::parse)
    }

    /// Reports a reference to nothing, where it stands.
    pub(super) fn unknown_name<'w>(
        &mut self,
        found: &Found<'_>,
        what: &'static str,
        name: &str,
        known: impl Iterator<Item = &'w str> + Clone,
    ) {
        let nearest = nearest(name, known.clone()).map(str::to_owned);
        let known = known.take(NAMES_SHOWN_MAX).map(str::to_owned).collect();
        self.fault(
            found,
            Problem::UnknownName {
                what,
                name: short(name),
                known,
                nearest,
            },
        );
    }
}

impl Section<'_> {
    /// Whether any of these keys is there; the first of them that is.
    pub(super) fn first_of<'k>(&self, keys: &[&'k str]) -> Option<(&'k str, &Found<'_>)> {
        keys.iter()
            .find_map(|key| self.get(key).map(|found| (*key, found)))
    }
}

pub(super) const POLICY_KEYS: &[&str] = &[
    "challenge",
    "denied",
    "failure_url",
    "remediation",
    "responses",
    "rules",
    "success_url",
];
pub(super) const EFFECTS: &[&str] = &["allow", "deny"];
const NAMES_SHOWN_MAX: usize = 12;

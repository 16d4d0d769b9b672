//! `policies` and the rules of a route: ordered, first match, default deny.
//!
//! Rules become data; what they mean for a request is `decision::authorization`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::parse::nearest::nearest;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::short;
use crate::config::problem::CONDITIONS;
use crate::config::problem::Problem;
use crate::decision::policy::Condition;
use crate::decision::policy::Effect;
use crate::decision::policy::Policy;
use crate::decision::policy::Rule;
use crate::model::name::GroupName;
use crate::model::name::PolicyName;
use crate::model::name::UserName;

/// The named policies; a faulty one is there without its rules.
pub(super) type Policies = BTreeMap<String, Option<Arc<Policy>>>;

impl Reading<'_> {
    pub(super) fn policies(&mut self, found: Option<&Found<'_>>) -> Policies {
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
            let policy = self.rules(rules).map(Arc::new);
            policies.insert((*name).to_owned(), policy);
        }
        policies
    }

    /// A policy by name, or its rules in place.
    pub(super) fn policy(&mut self, found: &Found<'_>, policies: &Policies) -> Option<Arc<Policy>> {
        if found.is_list() {
            return self.rules(found).map(Arc::new);
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
        self.each(&items, Self::rule).map(|rules| Policy { rules })
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

    fn condition(&mut self, found: &Found<'_>) -> Option<Condition> {
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
            "group" => self.some(value, Self::group).map(Condition::Group),
            "level" => self.level(value, 0).map(Condition::Level),
            "method" => self.some(value, Self::method).map(Condition::Method),
            "not" => self
                .condition(value)
                .map(|inner| Condition::Not(Box::new(inner))),
            "signed_in" => {
                self.signed_in(value);
                Some(Condition::SignedIn)
            }
            "user" => self.some(value, Self::user).map(Condition::User),
            // An unknown key has been reported where the section was opened.
            _ => None,
        }
    }

    /// `signed_in: true` is the long form of `signed_in`; the opposite is `not: signed_in`.
    fn signed_in(&mut self, value: &Found<'_>) {
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
    fn some<'n, T>(
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

pub(super) const EFFECTS: &[&str] = &["allow", "deny"];
const NAMES_SHOWN_MAX: usize = 12;

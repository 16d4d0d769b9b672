//! Rules that stand next to each other, have the same effect and ask for nothing but users or groups: one
//! look into a table finds the first of them that decides, however many there are.
//!
//! What a rule means is `authorization`'s matter; here the same is found faster.

use std::collections::HashMap;

use crate::decision::facts::Subject;
use crate::decision::policy::Condition;
use crate::decision::policy::Effect;
use crate::decision::policy::Rule;
use crate::model::name::GroupName;
use crate::model::name::UserName;

/// How the rules of a policy are gone through.
#[derive(Clone, Debug)]
pub(in crate::decision) enum Step {
    /// Many rules at once.
    Run(Box<Run>),
    /// The rule at this place.
    Rule(usize),
}

/// Rules that are looked up.
#[derive(Clone, Debug)]
pub(in crate::decision) struct Run {
    pub(in crate::decision) effect: Effect,
    /// The place of the first rule.
    first: usize,
    /// The place of the first rule that asks for a group.
    first_group: Option<usize>,
    /// The first rule that names a user or a group.
    users: HashMap<UserName, usize>,
    groups: HashMap<GroupName, usize>,
}

/// Groups rules into steps; their order is that of the rules.
pub(super) fn steps(rules: &[Rule]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut first = 0;
    for alike in rules.chunk_by(|one, next| {
        one.effect == next.effect && is_name(&one.when) && is_name(&next.when)
    }) {
        if alike.len() < RULES_MIN {
            steps.extend((first..first + alike.len()).map(Step::Rule));
        } else {
            steps.extend(Run::new(first, alike).map(Box::new).map(Step::Run));
        }
        first += alike.len();
    }
    steps
}

const fn is_name(condition: &Condition) -> bool {
    matches!(condition, Condition::Group(_) | Condition::User(_))
}

impl Run {
    fn new(first: usize, rules: &[Rule]) -> Option<Self> {
        let mut run = Self {
            effect: rules.first()?.effect,
            first,
            first_group: None,
            users: HashMap::new(),
            groups: HashMap::new(),
        };
        for (at, rule) in (first..).zip(rules) {
            run.note(at, &rule.when);
        }
        Some(run)
    }

    /// Notes the names of a condition, unless an earlier rule has them.
    fn note(&mut self, at: usize, condition: &Condition) {
        if let Condition::User(users) = condition {
            for user in users {
                self.users.entry(user.clone()).or_insert(at);
            }
        }
        if let Condition::Group(groups) = condition {
            self.first_group.get_or_insert(at);
            for group in groups {
                self.groups.entry(group.clone()).or_insert(at);
            }
        }
    }

    /// The place of the first rule that decides: one that holds, or, where the rules deny, one of which it
    /// cannot be told.
    pub(in crate::decision) fn decisive(&self, subject: &Subject<'_>) -> Option<usize> {
        let denies = self.effect == Effect::Deny;
        let Some(identity) = subject.identity else {
            return denies.then_some(self.first);
        };
        let by_user = self.users.get(&identity.subject).copied();
        let by_group = match subject.known() {
            None => self.first_group.filter(|_| denies),
            Some(known) => {
                let places = known
                    .groups
                    .iter()
                    .filter_map(|group| self.groups.get(group));
                places.min().copied()
            }
        };
        by_user.into_iter().chain(by_group).min()
    }
}

/// Fewer are as fast one by one.
const RULES_MIN: usize = 8;

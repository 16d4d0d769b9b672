//! Evaluates a policy: ordered rules, the first whose condition holds decides, and nothing allows by
//! silence.
//!
//! A condition that needs to know who asks does not hold for somebody who is not signed in, and its
//! negation does not either; the same goes for one that reads an attribute which was neither fetched nor
//! read again: what is unknown refuses (S-10).

use std::net::IpAddr;

use http::Method;

use crate::decision::policy::Condition;
use crate::decision::policy::Effect;
use crate::decision::policy::Policy;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::session::Attributes;

/// What a policy is evaluated over.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Who is signed in, if anybody is.
    pub identity: Option<&'a Identity>,
    /// How far the attributes of that identity can be relied on (S-10).
    pub attributes: Attributes,
    /// How surely.
    pub level: AuthLevel,
    /// Where the request comes from.
    pub address: IpAddr,
    /// What it wants to do.
    pub method: &'a Method,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This rule allows it; rules count from 0.
    Allow(usize),
    /// This rule denies it, or none allows it.
    Deny(Option<usize>),
}

/// Evaluates a policy.
#[must_use]
pub fn authorize(policy: &Policy, subject: &Subject<'_>) -> Verdict {
    let found = policy.rules.iter().enumerate().find_map(|(index, rule)| {
        let holds = evaluate(&rule.when, subject);
        match (rule.effect, holds) {
            (Effect::Allow, Some(true)) => Some(Verdict::Allow(index)),
            // A denial whose condition cannot be told counts as met: failing closed.
            (Effect::Deny, Some(true) | None) => Some(Verdict::Deny(Some(index))),
            (Effect::Allow, Some(false) | None) | (Effect::Deny, Some(false)) => None,
        }
    });
    found.unwrap_or(Verdict::Deny(None))
}

/// Whether a condition holds; `None` when that cannot be told.
fn evaluate(condition: &Condition, subject: &Subject<'_>) -> Option<bool> {
    let identity = subject.identity;
    match condition {
        Condition::Address(ranges) => {
            Some(ranges.iter().any(|range| range.contains(&subject.address)))
        }
        Condition::All(all) => {
            combine(all.iter().map(|each| evaluate(each, subject)), Combine::All)
        }
        Condition::Any(any) => {
            combine(any.iter().map(|each| evaluate(each, subject)), Combine::Any)
        }
        Condition::Group(groups) => {
            let known = identity.filter(|_| subject.attributes == Attributes::Known);
            known.map(|identity| identity.groups.iter().any(|group| groups.contains(group)))
        }
        Condition::Level(least) => Some(subject.level >= *least),
        Condition::Method(methods) => {
            // HEAD asks for what GET would show.
            let asks_get = subject.method == Method::HEAD && methods.contains(&Method::GET);
            Some(asks_get || methods.contains(subject.method))
        }
        Condition::Not(inner) => evaluate(inner, subject).map(|holds| !holds),
        Condition::SignedIn => Some(identity.is_some()),
        // Who it is, is a fact of the session and known even where nothing else is.
        Condition::User(users) => identity.map(|identity| users.contains(&identity.subject)),
    }
}

#[derive(Clone, Copy)]
enum Combine {
    All,
    Any,
}

/// Three-valued `and` and `or`: one decisive value settles it, otherwise one unknown leaves it open.
fn combine(values: impl Iterator<Item = Option<bool>>, how: Combine) -> Option<bool> {
    let decisive = matches!(how, Combine::Any);
    let mut open = false;
    for value in values {
        match value {
            Some(value) if value == decisive => return Some(decisive),
            Some(_) => {}
            None => open = true,
        }
    }
    (!open).then_some(!decisive)
}

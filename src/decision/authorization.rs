//! Evaluates a policy: ordered rules, the first whose condition holds decides, and nothing allows by
//! silence.
//!
//! A condition that needs to know who asks does not hold for somebody who is not signed in, and its
//! negation does not either; the same goes for one that reads an attribute which was neither fetched nor
//! read again: what is unknown refuses (S-10).

use http::Method;

use crate::decision::facts::Reading;
use crate::decision::facts::SessionFact;
use crate::decision::facts::Subject;
use crate::decision::facts::UserFact;
use crate::decision::facts::Value;
use crate::decision::facts::header_of;
use crate::decision::facts::parameter_of;
use crate::decision::policy::AttributeOwner;
use crate::decision::policy::Condition;
use crate::decision::policy::Effect;
use crate::decision::policy::Policy;
use crate::decision::policy::Rule;
use crate::decision::policy::Step;
use crate::decision::text_test::TextTest;
use crate::decision::three_valued::Combine;
use crate::decision::three_valued::combine;

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
    let found = policy.steps().iter().find_map(|step| match step {
        Step::Rule(at) => policy
            .rules()
            .get(*at)
            .and_then(|rule| decided(rule, *at, subject)),
        Step::Run(run) => {
            let at = run.decisive(subject)?;
            Some(match run.effect {
                Effect::Allow => Verdict::Allow(at),
                Effect::Deny => Verdict::Deny(Some(at)),
            })
        }
    });
    found.unwrap_or(Verdict::Deny(None))
}

/// What a rule says, if it decides.
fn decided(rule: &Rule, at: usize, subject: &Subject<'_>) -> Option<Verdict> {
    let holds = evaluate(&rule.when, subject);
    match (rule.effect, holds) {
        (Effect::Allow, Some(true)) => Some(Verdict::Allow(at)),
        // A denial whose condition cannot be told counts as met: failing closed.
        (Effect::Deny, Some(true) | None) => Some(Verdict::Deny(Some(at))),
        (Effect::Allow, Some(false) | None) | (Effect::Deny, Some(false)) => None,
    }
}

/// Whether a condition holds; `None` when that cannot be told.
pub(super) fn evaluate(condition: &Condition, subject: &Subject<'_>) -> Option<bool> {
    let (identity, request) = (subject.identity, subject.request);
    match condition {
        Condition::Address(ranges) => {
            Some(ranges.iter().any(|range| range.contains(&request.address)))
        }
        Condition::All(all) => {
            combine(all.iter().map(|each| evaluate(each, subject)), Combine::All)
        }
        Condition::Any(any) => {
            combine(any.iter().map(|each| evaluate(each, subject)), Combine::Any)
        }
        Condition::Attribute(owner, name, test) => {
            let reading = match owner {
                AttributeOwner::Session => SessionFact::attribute(name, subject),
                AttributeOwner::User => UserFact::attribute(name, subject),
            };
            passes(&reading, test)
        }
        Condition::Group(groups) => {
            let known = subject.known();
            known.map(|identity| identity.groups.iter().any(|group| groups.contains(group)))
        }
        Condition::Header(name, test) => passes(&header_of(request.headers, name), test),
        Condition::Level(least) => Some(subject.level >= *least),
        Condition::Method(methods) => {
            // HEAD asks for what GET would show.
            let asks_get = request.method == Method::HEAD && methods.contains(&Method::GET);
            Some(asks_get || methods.contains(request.method))
        }
        Condition::Not(inner) => evaluate(inner, subject).map(|holds| !holds),
        Condition::Query(name, test) => passes(&parameter_of(request.query, name), test),
        Condition::SignedIn => Some(identity.is_some()),
        Condition::Time(window) => window.holds(subject.now),
        // Who it is, is a fact of the session and known even where nothing else is.
        Condition::User(users) => identity.map(|identity| users.contains(&identity.subject)),
        Condition::When(expression) => expression.evaluate(subject),
    }
}

/// Whether what was read passes a test; what is known to be absent passes none.
pub(super) fn passes(reading: &Reading<'_>, test: &TextTest) -> Option<bool> {
    match reading {
        Reading::Absent => Some(false),
        Reading::Known(Value::Text(text)) => Some(test.passes(text)),
        Reading::Known(Value::Texts(texts)) => Some(texts.iter().any(|text| test.passes(text))),
        Reading::Known(Value::Flag(_) | Value::Moment(_) | Value::Number(_) | Value::Span(_))
        | Reading::Unknown => None,
    }
}

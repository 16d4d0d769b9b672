//! Why a policy says what it says: what each rule comes to for a request, and what could not be told.
//!
//! Rules are evaluated by `authorization`, here as there; nothing in here decides.

use std::fmt;

use crate::decision::authorization::evaluate;
use crate::decision::facts::Fact;
use crate::decision::facts::Reading;
use crate::decision::facts::RequestFact;
use crate::decision::facts::SessionFact;
use crate::decision::facts::Subject;
use crate::decision::facts::UserFact;
use crate::decision::facts::parts_differ;
use crate::decision::policy::AttributeOwner;
use crate::decision::policy::Condition;
use crate::decision::policy::Effect;
use crate::decision::policy::Policy;

/// What a rule comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// What the rule does.
    pub effect: Effect,
    /// Whether its condition holds; none where that cannot be told.
    pub holds: Option<bool>,
    /// Why it cannot be told, if so.
    pub because: Vec<Unknown>,
}

/// Something that could not be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// What.
    pub what: String,
    /// Why.
    pub why: Why,
}

/// Why something cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// An expression goes by it, and there is none.
    Absent,
    /// It is there more than once and differs, or is no text.
    Ambiguous,
    /// It came from another data centre without its data (S-10).
    NotFetched,
    /// Nobody is signed in.
    NotSignedIn,
    /// It comes to nothing: a number too large, a text that is none, too many steps.
    Nothing,
    /// The query has a `;`, which some servers take for `&`.
    Parts,
}

/// What each rule of a policy comes to, in order.
#[must_use]
pub fn explain(policy: &Policy, subject: &Subject<'_>) -> Vec<Judged> {
    let judged = policy.rules().iter().map(|rule| {
        let holds = evaluate(&rule.when, subject);
        let mut because = Vec::new();
        if holds.is_none() {
            note(&rule.when, subject, &mut because);
        }
        because.dedup();
        Judged {
            effect: rule.effect,
            holds,
            because,
        }
    });
    judged.collect()
}

/// The rules that could not be told, of those up to the one that decided, or of all; they count from 0, and
/// there are at most [`UNKNOWN_MAX`].
#[must_use]
pub fn unknown(policy: &Policy, decided: Option<usize>, subject: &Subject<'_>) -> Vec<usize> {
    let is_certain = subject.known().is_some();
    let until = decided.map_or(usize::MAX, |rule| rule.saturating_add(1));
    let asked = policy.rules().iter().enumerate().take(until);
    let unknown = asked.filter(|(_, rule)| {
        let is_name = matches!(rule.when, Condition::Group(_) | Condition::User(_));
        // Of many rules, most ask for names.
        !(is_name && is_certain) && evaluate(&rule.when, subject).is_none()
    });
    unknown.map(|(at, _)| at).take(UNKNOWN_MAX).collect()
}

/// Most rules that are named as unknown.
pub const UNKNOWN_MAX: usize = 16;

/// Notes why a condition cannot be told: what of it cannot, and why.
fn note(condition: &Condition, subject: &Subject<'_>, because: &mut Vec<Unknown>) {
    if evaluate(condition, subject).is_some() {
        return;
    }
    let fact = match condition {
        Condition::All(inner) | Condition::Any(inner) => {
            inner.iter().for_each(|each| note(each, subject, because));
            return;
        }
        Condition::Not(inner) => return note(inner, subject, because),
        Condition::When(expression) => {
            let before = because.len();
            let facts = expression.facts().iter();
            because.extend(facts.filter_map(|fact| unknown_fact(fact, subject)));
            if because.len() == before {
                because.push(Unknown {
                    what: "the expression".to_owned(),
                    why: Why::Nothing,
                });
            }
            return;
        }
        Condition::Attribute(AttributeOwner::Session, name, _) => {
            Fact::Session(SessionFact::Attribute(name.clone()))
        }
        Condition::Attribute(AttributeOwner::User, name, _) => {
            Fact::User(UserFact::Attribute(name.clone()))
        }
        Condition::Group(_) => Fact::User(UserFact::Groups),
        Condition::Header(name, _) => Fact::Request(RequestFact::Header(name.clone())),
        Condition::Query(name, _) => Fact::Request(RequestFact::Parameter(name.clone())),
        Condition::User(_) => Fact::User(UserFact::Id),
        Condition::Address(_)
        | Condition::Level(_)
        | Condition::Method(_)
        | Condition::SignedIn
        | Condition::Time(_) => Fact::Now,
    };
    let known = unknown_fact(&fact, subject);
    because.push(known.unwrap_or_else(|| Unknown {
        what: fact.to_string(),
        why: Why::Nothing,
    }));
}

fn unknown_fact(fact: &Fact, subject: &Subject<'_>) -> Option<Unknown> {
    let why = match (fact.read(subject), fact) {
        (Reading::Known(_), _) => return None,
        (Reading::Absent, _) => Why::Absent,
        (Reading::Unknown, Fact::Request(RequestFact::Parameter(_)))
            if parts_differ(subject.request.query) =>
        {
            Why::Parts
        }
        (Reading::Unknown, Fact::Request(_)) => Why::Ambiguous,
        (Reading::Unknown, _) if subject.identity.is_none() => Why::NotSignedIn,
        (Reading::Unknown, _) => Why::NotFetched,
    };
    Some(Unknown {
        what: fact.to_string(),
        why,
    })
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Absent => "is absent",
            Why::Ambiguous => "is there more than once and differs, or is no text",
            Why::NotFetched => "came from another data centre without its data",
            Why::NotSignedIn => "is unknown because nobody is signed in",
            Why::Nothing => "comes to nothing",
            Why::Parts => "cannot be told: some servers take the `;` in the query for `&`",
        };
        write!(f, "{} {why}", self.what)
    }
}

//! What an operator allows: rules over conditions, as configuration states them.
//!
//! Rules are data here; `authorization` evaluates them. An empty policy allows nobody.

use http::HeaderName;
use ipnet::IpNet;

use crate::decision::expression::Expression;
use crate::decision::names::Names;
use crate::decision::text_test::TextTest;
use crate::decision::time_window::TimeWindow;
use crate::model::identity::AuthLevel;
use crate::model::name::AttributeName;
use crate::model::name::GroupName;
use crate::model::name::UserName;

pub(super) use run::Step;

mod run;

/// How far a route is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// No engine is asked and no identity passed on.
    Excluded,
    /// Every request is decided; whoever is not signed in is challenged.
    Protected,
    /// The identity is passed on if there is one; nobody is challenged.
    Unprotected,
}

/// What a rule does when its condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The request goes on.
    Allow,
    /// The request is refused.
    Deny,
}

/// A condition over who asks, from where, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The client's address lies in one of these ranges.
    Address(Vec<IpNet>),
    /// Every one of these holds; an empty list holds.
    All(Vec<Self>),
    /// At least one of these holds; an empty list does not.
    Any(Vec<Self>),
    /// An attribute passes a test; of a list, one of its texts.
    Attribute(AttributeOwner, AttributeName, TextTest),
    /// The user is in one of these groups.
    Group(Names<GroupName>),
    /// A header of the client's request passes a test.
    Header(HeaderName, TextTest),
    /// The authentication level is at least this.
    Level(AuthLevel),
    /// The request's method is one of these.
    Method(Vec<http::Method>),
    /// This does not hold.
    Not(Box<Self>),
    /// A parameter of the query, decoded, passes a test.
    Query(Box<str>, TextTest),
    /// Somebody is signed in, whoever it is.
    SignedIn,
    /// It is this time of the day, of the week, of the year.
    Time(TimeWindow),
    /// The user is one of these.
    User(Names<UserName>),
    /// The expression holds.
    When(Expression),
}

/// Whose attribute it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeOwner {
    /// A policy gave it to the session.
    Session,
    /// The identity store has it.
    User,
}

/// One rule of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What the rule does.
    pub effect: Effect,
    /// When it does so.
    pub when: Condition,
}

/// Ordered rules: the first whose condition holds decides, and without one the request is denied.
/// Equal policies have equal rules.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    steps: Vec<Step>,
}

impl Policy {
    /// Makes a policy of rules in the order in which they are asked.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let steps = run::steps(&rules);
        Self { rules, steps }
    }

    /// The rules in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl Eq for Policy {}

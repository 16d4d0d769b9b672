//! What an operator allows: rules over conditions, as configuration states them.
//!
//! Rules are data here; `authorization` evaluates them. An empty policy allows nobody.

use ipnet::IpNet;

use crate::model::identity::AuthLevel;
use crate::model::name::GroupName;
use crate::model::name::UserName;

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
    /// The user is in one of these groups.
    Group(Vec<GroupName>),
    /// The authentication level is at least this.
    Level(AuthLevel),
    /// The request's method is one of these.
    Method(Vec<http::Method>),
    /// This does not hold.
    Not(Box<Self>),
    /// Somebody is signed in, whoever it is.
    SignedIn,
    /// The user is one of these.
    User(Vec<UserName>),
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// The rules, in the order in which they are asked.
    pub rules: Vec<Rule>,
}

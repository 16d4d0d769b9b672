//! What can be wrong in a policy beyond its form: expressions, patterns, times, names of facts.
//!
//! That a key is missing or a name unknown is `problem`'s, as everywhere.

use crate::config::parse::nearest::nearest;
use crate::decision::expression::ExpressionFault;
use crate::decision::expression::ExpressionProblem;
use crate::decision::expression::function_names;
use crate::decision::facts::Fact;
use crate::decision::facts::FactError;

/// What is wrong in a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyProblem {
    /// A character that cannot stand where a template goes.
    #[error("the character {0:?} cannot stand here")]
    Character(char),
    /// A text that is no name of a cookie.
    #[error("`{0}` is not the name of a cookie")]
    CookieName(String),
    /// An address that would let a request choose its host, or none at all.
    #[error("this is not an address to send a browser to")]
    FailureAddress,
    /// An address on a host that is not served.
    #[error("the host `{0}` is not served here")]
    ForeignHost(String),
    /// A redirect without an address.
    #[error("there is no `failure_url` to redirect to")]
    RedirectWithoutAddress,
    /// A cookie name of Portway's own.
    #[error("cookies named like `{0}` are Portway's own")]
    ReservedCookie(String),
    /// A header that is not for a policy to set.
    #[error("the header `{0}` is set by the gateway itself")]
    ReservedHeader(String),
    /// A header that no rule may change.
    #[error("the header `{0}` is not for a rule to change")]
    RuleHeader(String),
    /// Session attributes on a gate without an engine.
    #[error("a gate without an engine cannot give attributes to sessions")]
    SessionElsewhere,
    /// An address that is not a path of the same host.
    #[error("this is not a path of the same host")]
    SuccessAddress,
    /// A header that clients claim and that is removed from their requests.
    #[error("the header `{0}` is what a client claims, and is removed from its request")]
    Claim(String),
    /// An expression that is none.
    #[error(
        "line {}, column {} of the expression: {}",
        .0.line, .0.column, .0.problem
    )]
    Expression(ExpressionFault),
    /// A name that is no fact.
    #[error("{0}")]
    Fact(#[source] FactError),
    /// A regular expression that is none.
    #[error("`{text}` is not a regular expression: {reason}")]
    Pattern {
        /// What was written.
        text: String,
        /// Why it is none.
        reason: String,
    },
    /// A condition on the time that always holds.
    #[error("this is every time there is")]
    TimeAlways,
    /// Hours that end when they begin.
    #[error("`from` and `to` are the same time")]
    TimeEmpty,
    /// A text that no header or cookie may be as long as.
    #[error("the text has {bytes} bytes, and at most {most} are sent here")]
    TooLong {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// A time zone that does not exist.
    #[error("`{text}` is not a time zone")]
    Zone {
        /// What was written.
        text: String,
        /// The most similar one.
        nearest: Option<String>,
    },
}

impl PolicyProblem {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let fixed = match self {
            Self::Expression(fault) => return expression_hint(&fault.problem),
            Self::Fact(error) => return fact_hint(error),
            Self::Zone { nearest, .. } => {
                return Some(match nearest {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => "such as `Europe/Berlin` or `UTC`".to_owned(),
                });
            }
            Self::Claim(_) => "ask for `address`, `user` or `group`, which the gateway vouches for",
            Self::Character(_) => "leave it out, or write its percent escape",
            Self::CookieName(_) => "letters, digits, `-`, `_` and `.`, for example",
            Self::FailureAddress => {
                "a path such as `/denied.html`, or `https://`, a host that is served here, and a path"
            }
            Self::ForeignHost(_) => "a browser is sent only to hosts of `virtual_hosts`",
            Self::RedirectWithoutAddress => "add `failure_url`, or write `page` or `status`",
            Self::ReservedCookie(_) | Self::ReservedHeader(_) => "choose another name",
            Self::RuleHeader(_) => {
                "it frames messages, or says what only the gateway vouches for; leave it out"
            }
            Self::SessionElsewhere => "say it on the engine nodes",
            Self::SuccessAddress => "such as `/welcome`",
            Self::TimeAlways => "give `days`, `from`, `to` or `dates`",
            Self::TimeEmpty => "leave both out for the whole day",
            Self::TooLong { .. } => {
                "nothing is cut off: each request that is given it would be refused with 431"
            }
            Self::Pattern { .. } => return None,
        };
        Some(fixed.to_owned())
    }
}

fn expression_hint(problem: &ExpressionProblem) -> Option<String> {
    match problem {
        ExpressionProblem::Fact(error) => fact_hint(error),
        ExpressionProblem::Function(name) => {
            let names = function_names();
            Some(match nearest(name, names.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("there are: {}", listed(names.iter().copied())),
            })
        }
        ExpressionProblem::Arguments(..)
        | ExpressionProblem::Has
        | ExpressionProblem::Kind { .. }
        | ExpressionProblem::Literal { .. }
        | ExpressionProblem::NotLiteral(_)
        | ExpressionProblem::Operands { .. }
        | ExpressionProblem::Pattern { .. }
        | ExpressionProblem::Result(_)
        | ExpressionProblem::Syntax(_)
        | ExpressionProblem::TooLarge
        | ExpressionProblem::Unsupported(_) => None,
    }
}

/// Names what is near a name that is no fact, or all that there is.
pub(super) fn fact_hint(error: &FactError) -> Option<String> {
    let FactError::Unknown(name) = error else {
        return None;
    };
    if let Some(meant) = nearest(name, Fact::names()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    // What stands behind the last dot of a family is the operator's own word, and like no other.
    let families = Fact::names().filter_map(|known| known.strip_suffix(".NAME"));
    let near = |family: &str| nearest(family, families.clone());
    let family = near(name).or_else(|| near(name.rsplit_once('.')?.0));
    Some(match family {
        Some(family) => format!("did you mean `{family}.NAME`?"),
        None => format!("there are: {}", listed(Fact::names())),
    })
}

fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let quoted: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

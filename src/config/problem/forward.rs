//! What can be wrong with how a route comes by requests and forwards them, beyond the form of its values.

use crate::decision::rewrite::RewriteError;

/// What is wrong with how a route comes by requests and forwards them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForwardProblem {
    /// An address for errors with what only a request that was let in has.
    #[error("an error is sent to an address with facts of the request alone")]
    ErrorAddress,
    /// A `match` that narrows nothing.
    #[error("this is every request there is")]
    EveryRequest,
    /// An address whose host a request might choose.
    #[error("this is neither a path nor an address whose host is written out")]
    RedirectAddress,
    /// A rewrite that cannot be made.
    #[error("{0}")]
    Rewrite(#[source] RewriteError),
    /// A prefix that the paths of the route do not have.
    #[error("the paths of this route begin with `{0}`, and not with this")]
    StripPrefix(String),
    /// A route that looks like protection and is none: an open one takes its paths.
    #[error(
        "this protected route is never reached: `{by}` before it takes its paths and is {access}"
    )]
    Unreached {
        /// The key and the pattern of the other.
        by: String,
        /// How far that one is protected.
        access: &'static str,
    },
}

impl ForwardProblem {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::ErrorAddress => "such as `/sorry?from=${request.path}`",
            Self::EveryRequest => "give `scheme`, `header` or `query`, or leave it out",
            Self::RedirectAddress => "such as `/new` or `https://new.example.com${request.path}`",
            Self::Rewrite(RewriteError::Dollar | RewriteError::Group(_)) => {
                "`$1` is what the first pair of parentheses matched"
            }
            Self::Rewrite(RewriteError::Pattern { .. }) => return None,
            Self::StripPrefix(_) => "it would never be taken off",
            Self::Unreached { .. } => {
                "routes are asked in their order, and the first that matches decides; put this one first"
            }
        };
        Some(hint.to_owned())
    }
}

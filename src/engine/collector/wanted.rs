//! What a browser at the collector wants, as its sealed sign-in request says.

use crate::crypto::claims::SignInRequest;
use crate::model::claim::Activity;
use crate::model::claim::HostLimits;

/// What a sealed sign-in request came to.
pub(super) enum Wanted {
    /// Nothing in particular.
    Nothing,
    /// An application, by this request.
    Application(SignInRequest, String),
    /// An application, by a request that is too old.
    Stale(SignInRequest),
}

impl Wanted {
    /// What the wanted host asks of sessions.
    pub(super) const fn limits(&self) -> HostLimits {
        match self {
            Self::Nothing => HostLimits::NONE,
            Self::Application(request, _) | Self::Stale(request) => request.limits,
        }
    }

    /// Whether it is activity in the session that it is met by.
    pub(super) const fn activity(&self) -> Activity {
        match self {
            Self::Nothing => Activity::Counts,
            Self::Application(request, _) | Self::Stale(request) => request.activity,
        }
    }

    /// What a page shows of it: the sealed request, to be posted back, and the host.
    pub(super) fn shown(&self) -> (String, Option<String>) {
        match self {
            Self::Application(request, sealed) => {
                (sealed.clone(), Some(request.host.as_str().to_owned()))
            }
            Self::Nothing | Self::Stale(_) => (String::new(), None),
        }
    }
}

//! What is asked and answered through the door. Errors travel as what their reader makes of them, and their causes
//! as text.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::admin::door::wire::asked::ChangePasswordAsked;
use crate::admin::door::wire::asked::PostAsked;
use crate::admin::door::wire::asked::SignInAsked;
use crate::decision::password::Weakness;
use crate::decision::throttle::Counter;
use crate::logbook::causes::with_causes;
use crate::model::attribute::Attribute;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::end::Confirmed;
use crate::model::end::ProviderEnd;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::peer;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::identity_provider::ChangeError;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::StoreError;

pub(super) mod asked;

/// What is asked.
#[derive(Serialize, Deserialize)]
pub(super) enum Question {
    ChangePassword(ChangePasswordAsked),
    End {
        facts: SsoFacts,
        cause: EndCause,
    },
    EndAtProvider(ProviderEnd),
    Judge(Claim),
    KeepPost(Box<PostAsked>),
    Note {
        sso: SsoId,
        attributes: Vec<Attribute>,
    },
    /// What another data centre asks.
    Peer {
        from: ClusterId,
        question: Box<peer::Question>,
    },
    SignIn(SignInAsked),
    Spend {
        token: TokenId,
        expires: Timestamp,
    },
    TakePost {
        id: PostId,
        nonces: Vec<Nonce>,
        host: HostName,
    },
    Touch(Vec<(SsoId, Timestamp)>),
    Visit {
        claim: Claim,
        host: HostName,
    },
}

/// What is answered.
#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Begun(Box<Session>),
    Done,
    Ended {
        cluster: Option<ClusterId>,
        visited: Vec<HostName>,
        durable: Result<(), String>,
        peers: Vec<(ClusterId, Confirmed)>,
    },
    Live(Box<Session>),
    NotBegun(NotBegun),
    NotChanged(NotChanged),
    NotLive(NotLive),
    NotNoted(String),
    Peer(peer::Answer),
    Post(Option<Box<PostAsked>>),
    Spent(bool),
}

/// Why nobody was signed in.
#[derive(Serialize, Deserialize)]
pub(super) enum NotBegun {
    Busy,
    CutOff,
    MustChange,
    Refused,
    Store(String),
    Throttled { by: Throttled, wait: Duration },
    Unavailable(StoreName, String),
    Unrecorded,
}

/// What was tried too often.
#[derive(Serialize, Deserialize)]
pub(super) enum Throttled {
    Account,
    Address,
    Device,
}

/// Why a password was not changed.
#[derive(Serialize, Deserialize)]
pub(super) enum NotChanged {
    Busy,
    Changed,
    Failed(String),
    NotBegun(NotBegun),
    Unfinished(NotBegun),
    Unsupported,
    Weak(Weakness),
}

/// What the successor says of a fault.
#[derive(Debug, thiserror::Error)]
#[error("the process that follows says: {0}")]
struct Said(String);

/// A fault of the store at the successor.
pub(super) fn store_fault(operation: &'static str, said: String) -> StoreError {
    StoreError::Failed {
        operation,
        source: Box::new(Said(said)),
    }
}

impl From<Lookup> for Answer {
    fn from(found: Lookup) -> Self {
        match found {
            Lookup::Live(session) => Self::Live(Box::new(Arc::unwrap_or_clone(session))),
            Lookup::NotLive(why) => Self::NotLive(why),
            Lookup::Unknown => Self::NotLive(NotLive::Unanswered),
        }
    }
}

impl From<Ended> for Answer {
    fn from(ended: Ended) -> Self {
        Self::Ended {
            cluster: ended.cluster,
            visited: ended.visited,
            durable: ended.durable.map_err(|error| with_causes(&error)),
            peers: ended.peers,
        }
    }
}

impl From<SignInError> for NotBegun {
    fn from(error: SignInError) -> Self {
        match error {
            SignInError::CutOff => Self::CutOff,
            SignInError::MustChange => Self::MustChange,
            SignInError::Throttled { by, wait } => Self::Throttled {
                by: match by {
                    Counter::Account => Throttled::Account,
                    Counter::Address => Throttled::Address,
                    Counter::Device => Throttled::Device,
                },
                wait,
            },
            SignInError::Unrecorded => Self::Unrecorded,
            SignInError::Verify(VerifyError::Busy) => Self::Busy,
            SignInError::Verify(VerifyError::Refused) => Self::Refused,
            SignInError::Verify(VerifyError::Unavailable(store, error)) => {
                Self::Unavailable(store, with_causes(error.as_ref()))
            }
            SignInError::Store(error) => Self::Store(with_causes(&error)),
        }
    }
}

impl From<NotBegun> for SignInError {
    fn from(why: NotBegun) -> Self {
        match why {
            NotBegun::Busy => Self::Verify(VerifyError::Busy),
            NotBegun::CutOff => Self::CutOff,
            NotBegun::MustChange => Self::MustChange,
            NotBegun::Refused => Self::Verify(VerifyError::Refused),
            NotBegun::Store(said) => Self::Store(store_fault("begin a session", said)),
            NotBegun::Throttled { by, wait } => Self::Throttled {
                by: match by {
                    Throttled::Account => Counter::Account,
                    Throttled::Address => Counter::Address,
                    Throttled::Device => Counter::Device,
                },
                wait,
            },
            NotBegun::Unavailable(store, said) => {
                Self::Verify(VerifyError::Unavailable(store, Box::new(Said(said))))
            }
            NotBegun::Unrecorded => Self::Unrecorded,
        }
    }
}

impl From<ChangePasswordError> for NotChanged {
    fn from(error: ChangePasswordError) -> Self {
        match error {
            ChangePasswordError::Change(ChangeError::Busy) => Self::Busy,
            ChangePasswordError::Change(ChangeError::Changed) => Self::Changed,
            ChangePasswordError::Change(ChangeError::Failed(error)) => {
                Self::Failed(with_causes(error.as_ref()))
            }
            ChangePasswordError::Change(ChangeError::Unsupported) => Self::Unsupported,
            ChangePasswordError::SignIn(error) => Self::NotBegun(error.into()),
            ChangePasswordError::Unfinished(error) => Self::Unfinished(error.into()),
            ChangePasswordError::Weak(why) => Self::Weak(why),
        }
    }
}

impl From<NotChanged> for ChangePasswordError {
    fn from(why: NotChanged) -> Self {
        match why {
            NotChanged::Busy => Self::Change(ChangeError::Busy),
            NotChanged::Changed => Self::Change(ChangeError::Changed),
            NotChanged::Failed(said) => Self::Change(ChangeError::Failed(Box::new(Said(said)))),
            NotChanged::NotBegun(why) => Self::SignIn(why.into()),
            NotChanged::Unfinished(why) => Self::Unfinished(why.into()),
            NotChanged::Unsupported => Self::Change(ChangeError::Unsupported),
            NotChanged::Weak(why) => Self::Weak(why),
        }
    }
}

//! What is asked and answered through the door. Errors travel as what their reader makes of them, and their causes
//! as text.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::crypto::claims::DeviceCookie;
use crate::crypto::tags::UserTag;
use crate::decision::form::FormType;
use crate::decision::kept_posts::KeptPost;
use crate::decision::password::Weakness;
use crate::decision::throttle::Counter;
use crate::logbook::causes::with_causes;
use crate::model::attribute::Attribute;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::end::Confirmed;
use crate::model::id::DeviceId;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::identity::Credential;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::peer;
use crate::model::secret::Secret;
use crate::model::session::EndCause;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::identity_provider::ChangeError;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::Others;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::StoreError;

/// What is asked.
#[derive(Serialize, Deserialize)]
pub(super) enum Question {
    ChangePassword(ChangePasswordAsked),
    End {
        facts: SsoFacts,
        cause: EndCause,
    },
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

/// A sign-in.
#[derive(Serialize, Deserialize)]
pub(super) struct SignInAsked {
    user: String,
    password: Vec<u8>,
    client_address: IpAddr,
    device: Option<DeviceAsked>,
    replaces: Option<SsoFacts>,
}

/// A change of a password.
#[derive(Serialize, Deserialize)]
pub(super) struct ChangePasswordAsked {
    user: String,
    old: Vec<u8>,
    new: Vec<u8>,
    client_address: IpAddr,
    device: Option<DeviceAsked>,
    replaces: Option<SsoFacts>,
    keeps_others: bool,
}

/// A post that is kept, or was.
#[derive(Serialize, Deserialize)]
pub(super) struct PostAsked {
    pub(super) id: PostId,
    host: HostName,
    nonce: Nonce,
    form: FormType,
    body: Vec<u8>,
    pub(super) from: Option<IpAddr>,
}

#[derive(Serialize, Deserialize)]
struct DeviceAsked {
    device: DeviceId,
    account: [u8; UserTag::BYTES],
    issued: Timestamp,
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

impl From<&DeviceCookie> for DeviceAsked {
    fn from(cookie: &DeviceCookie) -> Self {
        Self {
            device: cookie.device,
            account: *cookie.account.as_bytes(),
            issued: cookie.issued,
        }
    }
}

impl From<DeviceAsked> for DeviceCookie {
    fn from(asked: DeviceAsked) -> Self {
        Self {
            device: asked.device,
            account: UserTag::from_bytes(asked.account),
            issued: asked.issued,
        }
    }
}

impl From<&SignIn> for SignInAsked {
    fn from(request: &SignIn) -> Self {
        let Credential::Password { user, password } = &request.credential;
        Self {
            user: user.clone(),
            password: password.expose().to_vec(),
            client_address: request.client_address,
            device: request.device.as_ref().map(DeviceAsked::from),
            replaces: request.replaces.clone(),
        }
    }
}

impl From<SignInAsked> for SignIn {
    fn from(asked: SignInAsked) -> Self {
        Self {
            credential: Credential::Password {
                user: asked.user,
                password: Secret::new(asked.password),
            },
            client_address: asked.client_address,
            device: asked.device.map(DeviceCookie::from),
            replaces: asked.replaces,
        }
    }
}

impl From<&ChangePassword> for ChangePasswordAsked {
    fn from(request: &ChangePassword) -> Self {
        Self {
            user: request.user.clone(),
            old: request.old.expose().to_vec(),
            new: request.new.expose().to_vec(),
            client_address: request.client_address,
            device: request.device.as_ref().map(DeviceAsked::from),
            replaces: request.replaces.clone(),
            keeps_others: request.others == Others::Keep,
        }
    }
}

impl From<ChangePasswordAsked> for ChangePassword {
    fn from(asked: ChangePasswordAsked) -> Self {
        Self {
            user: asked.user,
            old: Secret::new(asked.old),
            new: Secret::new(asked.new),
            client_address: asked.client_address,
            device: asked.device.map(DeviceCookie::from),
            replaces: asked.replaces,
            others: if asked.keeps_others {
                Others::Keep
            } else {
                Others::End
            },
        }
    }
}

impl PostAsked {
    pub(super) fn new(id: PostId, post: &KeptPost, from: Option<IpAddr>) -> Self {
        Self {
            id,
            host: post.host.clone(),
            nonce: post.nonce,
            form: post.form.clone(),
            body: post.body.expose().to_vec(),
            from,
        }
    }

    pub(super) fn into_post(self) -> KeptPost {
        KeptPost {
            host: self.host,
            nonce: self.nonce,
            form: self.form,
            body: Secret::new(self.body),
        }
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

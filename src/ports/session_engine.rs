//! The door between gate and engine: everything a gate may ask of the engine that holds the sessions.
//!
//! Embedded, it is a function call; a gate without an engine of its own speaks the same verbs over the
//! back-channel.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::crypto::claims::DeviceCookie;
use crate::decision::kept_posts::Kept;
use crate::decision::kept_posts::KeptPost;
use crate::decision::password::Weakness;
use crate::decision::sign_out::Outcome;
use crate::decision::throttle::Counter;
use crate::model::attribute::Attribute;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::end::Confirmed;
use crate::model::end::ProviderEnd;
use crate::model::id::Nonce;
use crate::model::id::PostId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::identity::Credential;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::secret::Secret;
use crate::model::session::EndCause;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::identity_provider::ChangeError;
use crate::ports::identity_provider::VerifyError;
use crate::ports::session_store::StoreError;

/// What the engine answers about a claim.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// The session serves.
    Live(Arc<Session>),
    /// It does not, for this reason.
    NotLive(NotLive),
    /// This engine cannot tell without asking elsewhere; ask [`SessionEngine::resolve`].
    Unknown,
}

/// A sign-in by credential.
#[derive(Debug)]
pub struct SignIn {
    /// What the user gave.
    pub credential: Credential,
    /// Where the user is.
    pub client_address: IpAddr,
    /// The device cookie presented.
    pub device: Option<DeviceCookie>,
    /// The SSO session of the ID cookie presented, which the new one replaces (S-11).
    pub replaces: Option<SsoFacts>,
}

/// Why a sign-in did not happen.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The sessions of the user were ended while the sign-in was under way, or are to have ended by a clock
    /// that is ahead (S-15, S-17).
    #[error("the sessions of the user have just been ended")]
    CutOff,
    /// The credential is right, and good for nothing but being changed.
    #[error("the password has to be changed first")]
    MustChange,
    /// Too many were attempted before; this one was not looked at.
    #[error("too many attempts, by {by}; the next may be made in {} s", wait.as_secs_f32().ceil())]
    Throttled {
        /// What was tried too often.
        by: Counter,
        /// How long until one may be made.
        wait: Duration,
    },
    /// It could not be noted in the audit trail, and the operator wants nobody signed in then.
    #[error("the audit trail cannot be written")]
    Unrecorded,
    /// The credential was not accepted, or could not be checked.
    #[error("the credential was not verified")]
    Verify(#[from] VerifyError),
    /// The session could not be kept.
    #[error("the session could not be stored")]
    Store(#[from] StoreError),
}

/// A user's change of their own password.
#[derive(Debug)]
pub struct ChangePassword {
    /// The name as the user typed it.
    pub user: String,
    /// The password so far.
    pub old: Secret,
    /// The one to be.
    pub new: Secret,
    /// Where the user is.
    pub client_address: IpAddr,
    /// The device cookie presented.
    pub device: Option<DeviceCookie>,
    /// The SSO session of the ID cookie presented, which the new one replaces (S-11).
    pub replaces: Option<SsoFacts>,
    /// What becomes of the user's other sessions.
    pub others: Others,
}

/// What becomes of a user's other sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They end.
    End,
    /// They go on.
    Keep,
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangePasswordError {
    /// The provider did not change it.
    #[error("the password was not changed")]
    Change(#[from] ChangeError),
    /// The old password was not accepted.
    #[error(transparent)]
    SignIn(#[from] SignInError),
    /// It was changed, but the user's other sessions could not be ended durably, or no session could be begun.
    #[error("the password was changed, but not what follows from it")]
    Unfinished(#[source] SignInError),
    /// The new one is not taken.
    #[error("the new password is not taken: {0}")]
    Weak(#[from] Weakness),
}

/// What ending an SSO session came to.
#[derive(Debug)]
pub struct Ended {
    /// The data centre whose engine ended it; none where no engine has heard of the end.
    pub cluster: Option<ClusterId>,
    /// The application hosts whose browsers hold an authn cookie of it.
    pub visited: Vec<HostName>,
    /// Whether the end is durable; if not, it holds in memory and the user is told so (S-15).
    pub durable: Result<(), StoreError>,
    /// What each peer said to it, in the order of configuration (MDC-LOGOUT-3).
    pub peers: Vec<(ClusterId, Confirmed)>,
}

impl Ended {
    /// What is told of it when the user signs out.
    #[must_use]
    pub fn outcome(self, sso: SsoId) -> Outcome {
        Outcome {
            sso,
            cluster: self.cluster,
            visited: self.visited,
            here: Confirmed::from(&self.durable),
            elsewhere: self.peers,
        }
    }
}

/// Holds sessions. An engine that calls a dead session live gives an account away.
#[async_trait]
pub trait SessionEngine: Send + Sync + 'static {
    /// Judges a claim from what is known here, without asking anybody. The hot path: it waits for nothing but
    /// the reading of one record, right after a start.
    fn lookup(&self, claim: &Claim, now: Timestamp) -> Lookup;

    /// Judges a claim, asking elsewhere where that may help; never answers [`Lookup::Unknown`].
    async fn resolve(&self, claim: &Claim, now: Timestamp) -> Lookup;

    /// Judges a claim from what is known here if that suffices, and asks elsewhere if not.
    async fn judge(&self, claim: &Claim, now: Timestamp) -> Lookup {
        let known = self.lookup(claim, now);
        if matches!(known, Lookup::Unknown) {
            self.resolve(claim, now).await
        } else {
            known
        }
    }

    /// Whether a live record of the SSO session stands here; cheaper than judging a claim again.
    fn is_standing(&self, sso: &SsoId) -> bool;

    /// The data centre that serves a session which was given here, and its record: what a GITO cookie names
    /// (M-022). None where that is not known any more.
    fn holder(&self, session: &Session) -> Option<Holder>;

    /// Notes that a request of this SSO session was permitted.
    fn touch(&self, sso: &SsoId, now: Timestamp);

    /// Gives attributes to an SSO session that stands here, as a policy says. An engine that is elsewhere
    /// takes none: the configuration of its gates refuses such policies.
    ///
    /// # Errors
    /// When they are not kept.
    async fn note(&self, _: &SsoId, _: &[Attribute]) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    /// Verifies a credential and begins a new SSO session (S-11), evicting the user's oldest where
    /// there are too many (S-21).
    ///
    /// # Errors
    /// See [`SignInError`]; no session exists then.
    async fn sign_in(&self, request: SignIn) -> Result<Arc<Session>, SignInError>;

    /// Changes a user's password and begins a new SSO session with it. The old password is counted like any
    /// other attempt.
    ///
    /// # Errors
    /// See [`ChangePasswordError`]. The password may have been changed where no session could be begun.
    async fn change_password(
        &self,
        request: ChangePassword,
    ) -> Result<Arc<Session>, ChangePasswordError> {
        drop(request);
        Err(ChangeError::Unsupported.into())
    }

    /// Notes that `host` is about to hold an authn cookie of the SSO session, and answers its record.
    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup;

    /// Spends a one-step token; `false` when it was spent before (S-24).
    fn spend(&self, token: TokenId, expires: Timestamp) -> bool;

    /// Spends a one-step token wherever the data centre keeps them: a gate without an engine asks its
    /// engine, so that a token is good at one of several gates only (S-24).
    async fn spend_once(&self, token: TokenId, expires: Timestamp) -> bool {
        self.spend(token, expires)
    }

    /// Keeps a post while its user signs in (D-22).
    fn keep_post(&self, id: PostId, post: KeptPost, from: IpAddr) -> Kept {
        drop((id, post, from));
        Kept::No
    }

    /// Takes a kept post out, for the browser that made it at that host.
    fn take_post(&self, id: PostId, nonces: &[Nonce], host: &HostName) -> Option<KeptPost> {
        let _ = (id, nonces, host);
        None
    }

    /// Ends an SSO session, known here or not (S-18); durable when it returns (S-14).
    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended;

    /// Ends what an identity provider says is over there (OpenID Connect Back-Channel Logout 1.0 §2.7). A gate
    /// without an engine hears of none.
    ///
    /// # Errors
    /// When the end is not durable; it holds in memory then.
    async fn end_at_provider(&self, over: ProviderEnd) -> Result<(), StoreError> {
        drop(over);
        Err(StoreError::Closed)
    }

    /// Tells of every SSO session that stops serving, whatever the reason. A receiver that lagged must
    /// look up every session it cares about.
    fn watch_ended(&self) -> broadcast::Receiver<SsoId>;
}

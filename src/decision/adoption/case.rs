//! What an adoption begins with, what it asks to be done, and what it comes to.

use std::time::Duration;

use crate::decision::adoption::AdoptionPolicy;
use crate::model::claim::NotLive;
use crate::model::claim::Presented;
use crate::model::id::AdoptionId;
use crate::model::id::SessionId;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Question;
use crate::model::peer::Silence;
use crate::model::session::Holder;
use crate::model::session::Rank;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// What an adoption begins with.
#[derive(Clone, Debug)]
pub struct Case {
    /// This data centre.
    pub own: ClusterId,
    /// What the operator chose.
    pub policy: AdoptionPolicy,
    /// The facts that the cookie carries.
    pub facts: SsoFacts,
    /// Where and from where it is presented.
    pub presented: Presented,
    /// What stands here.
    pub local: Local,
    /// The data centres to ask: configured, not this one, each once, newest last access first (S-7).
    pub candidates: Vec<ClusterId>,
    /// Those that gave no answer about the session a moment ago: they are not waited for again (S-7).
    pub silent: Vec<ClusterId>,
    /// What the cookie says that other data centres hold, the latest last.
    pub chain: Vec<Holder>,
    /// The newest last access that the cookies vouch for.
    pub last_access: Option<Timestamp>,
    /// A session that saw no request for this long is over.
    pub idle_timeout: Duration,
    /// Whether a session may be made without its origin's word (S-16).
    pub creation: Creation,
    /// The adoption's id, fresh.
    pub adoption: AdoptionId,
    /// The id of the record, fresh.
    pub session: SessionId,
}

/// What stands here of the SSO session when an adoption begins.
#[derive(Clone, Debug)]
pub enum Local {
    /// Nothing.
    Absent,
    /// A live record that the cookie outranks: another data centre took over without being heard (S-4).
    Outranked(Box<Session>),
    /// A copy whose release is not yet committed.
    Pending(Box<Session>),
    /// A stub: another data centre holds it.
    Stub(Box<Session>),
}

/// Whether a session may be made without its origin's word (S-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Creation {
    /// Every peer has been heard of within the lease.
    Allowed,
    /// The cookies name this data centre as the last to serve the session, or a stranger as its origin:
    /// there is nobody whose word could be wanting (S-7).
    NoOrigin,
    /// Some peer has not been heard of.
    LeaseOver,
    /// The clock of the cookie's origin is too far off to go by what the cookie says (S-22).
    Skew,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Note in the end log, and have the peers told, that the session is held here at this rank, taken
    /// without the word of whoever held it before (S-14). It comes before the record, so that a crash
    /// between the two never leaves a holder that nobody has heard of.
    Announce(Rank),
    /// Ask a peer, and wait no longer than this.
    Ask {
        /// Whom.
        peer: ClusterId,
        /// What.
        question: Box<Question>,
        /// How long.
        limit: Duration,
    },
    /// The adoption is over.
    Finish(Outcome),
    /// Store this record, in place of the one with its version if one stood here when it began, else
    /// where none stands; durably (S-6).
    Keep(Box<Session>),
    /// Read the user's attributes again at the identity store (S-10).
    Reread,
    /// Wait.
    Wait(Duration),
}

/// What came of the last effect.
#[derive(Clone, Debug)]
pub enum Input {
    /// The rank is noted, or as good as it gets.
    Announced,
    /// The peer answered.
    Answer(Answer),
    /// The record is stored, or not.
    Kept(Kept),
    /// What the identity store says.
    Reread(Reread),
    /// The peer did not answer.
    Silence(Silence),
    /// The wait is over.
    Waited,
}

/// What came of storing a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The SSO session has ended.
    Ended,
    /// The store failed.
    Failed,
    /// It stands, with this version.
    Kept {
        /// The version to name when it is replaced.
        version: u64,
    },
    /// Something else stands there by now.
    Raced,
}

/// What the identity store says of the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reread {
    /// The user is gone or disabled.
    Gone,
    /// What is known of the user now.
    Known(Identity),
    /// It could not be asked.
    Unavailable,
    /// No such store is known here (MDC-ADOPT-8).
    UnknownStore,
    /// It cannot say without a credential.
    Unsupported,
}

/// What an adoption came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The user is gone or disabled: everything of theirs is to be cut off (S-10).
    CutOff,
    /// A peer says that the SSO session has ended. That is to be remembered: it is final (S-7).
    Ended,
    /// The session does not serve.
    Refuse(NotLive),
    /// A live record stands here, or something else stood here first: look again.
    Serve,
}

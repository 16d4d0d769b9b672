//! What has ended or moved, in order: the entries of an end log and their places (S-14, S-15).
//!
//! Keeping them is the matter of the port `end_log`; who is told is decided elsewhere.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Rank;
use crate::model::time::Timestamp;

/// One entry of the end log (S-15).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// One SSO session is over.
    Tombstone {
        /// The SSO session.
        sso: SsoId,
        /// Why it ended.
        cause: EndCause,
        /// When the SSO session would have expired by itself; the entry is kept until later.
        expires: Timestamp,
    },
    /// Another data centre holds one SSO session now; whoever ranks below it becomes a stub (S-14).
    Moved {
        /// The SSO session.
        sso: SsoId,
        /// Who holds it.
        holder: Rank,
        /// When the SSO session expires; the entry is kept until later.
        expires: Timestamp,
    },
    /// Everything that a user authenticated before a point in time is over.
    UserCutOff {
        /// The identity store of the user.
        store: StoreName,
        /// The user.
        subject: UserName,
        /// Every SSO session first authenticated before this is over.
        authenticated_before: Timestamp,
        /// When the last session it may concern expires.
        expires: Timestamp,
    },
    /// Everything that began with one session at an identity provider is over.
    ProviderCutOff {
        /// The session at the provider.
        session: ProviderSessionId,
        /// When the last session it may concern expires.
        expires: Timestamp,
    },
}

/// What an identity provider says is over there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProviderEnd {
    /// One session there.
    Session(ProviderSessionId),
    /// Every session of a user.
    User {
        /// The store that the provider is.
        store: StoreName,
        /// The user.
        subject: UserName,
    },
}

impl End {
    /// No end is kept for longer: none is needed for longer, since no session may live for longer anywhere.
    pub const KEPT_MAX: Duration = Duration::from_hours(366 * 24);
}

/// Whether a data centre has confirmed an end (S-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confirmed {
    /// It has: the end is durable there.
    Durable,
    /// Not yet: where it is known at all it holds in memory only, and it will be told again (MDC-FAIL-5).
    Outstanding,
}

impl<E> From<&Result<(), E>> for Confirmed {
    /// What an attempt to write an end came to.
    fn from(written: &Result<(), E>) -> Self {
        match written {
            Ok(()) => Self::Durable,
            Err(_) => Self::Outstanding,
        }
    }
}

/// The place of an entry in the log of one incarnation; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

/// Names one life of an end log: a log that starts empty has a new one (S-15).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub [u8; 16]);

/// How far the log of a peer has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulled {
    /// The life of the peer's log that was read.
    pub incarnation: Incarnation,
    /// The last entry read.
    pub position: Position,
    /// When the question was sent whose answer completed the reading, by this clock (S-16).
    pub sent: Timestamp,
}

//! The port to the end log: what has ended, durably, in order (S-15).

use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;

use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::time::Timestamp;
use crate::ports::session_store::StoreError;

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
}

/// The place of an entry in the log of one incarnation; the first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

/// Names one life of an end log: a log that starts empty has a new one (S-15).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Incarnation(pub [u8; 16]);

/// Keeps ends. An entry lost is a logout undone.
#[async_trait]
pub trait EndLog: Send + Sync + 'static {
    /// Which life of the log this is.
    fn incarnation(&self) -> Incarnation;

    /// Appends an end and drops the records that it concerns, in one atomic step; returns when it is
    /// durable. From the call on, and even if it fails, the sessions concerned are refused here. A
    /// tombstone that stands already keeps its place.
    ///
    /// # Errors
    /// When the entry is not durable: the caller tells the user that the end is not yet confirmed.
    async fn append(&self, end: End) -> Result<Position, StoreError>;

    /// When the user's cut-off lies, if there is one: whatever was first authenticated before is over.
    fn cut_off(&self, store: &StoreName, subject: &UserName) -> Option<Timestamp>;

    /// The entries after `position`, oldest first, at most `limit`.
    fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)>;

    /// Forgets entries whose `expires` lies before `before`.
    ///
    /// # Errors
    /// When the removal could not be written.
    async fn trim(&self, before: Timestamp) -> Result<usize, StoreError>;
}

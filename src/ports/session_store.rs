//! The port to the session store: the records of one data centre.
//!
//! Reading is synchronous, because it happens in every request; whatever changes a record is awaited
//! until it is as durable as the store promises. The store also keeps the end log's tombstones of
//! [`crate::ports::end_log`], so that insert-and-check is one step (S-17).

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::telemetry::histogram::HistogramSnapshot;

/// What a store has under an `SsoId`.
#[derive(Clone, Debug)]
pub enum Found {
    /// Nothing is known of it.
    Absent,
    /// A tombstone: the SSO session is over (S-14).
    Ended,
    /// A record; whether it serves is for the caller to judge.
    Record(Arc<Session>),
}

/// What came of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// The SSO session is over; nothing was inserted (S-17).
    Ended,
    /// A record with this `SsoId` stands already; nothing was inserted.
    Exists,
    /// The record stands, as durably as the store promises.
    Inserted,
}

/// What came of a replacement.
#[derive(Clone, Debug)]
pub enum Replaced {
    /// The SSO session is over (S-17).
    Ended,
    /// No such record stands.
    Missing,
    /// The new record stands.
    Replaced,
    /// The record has changed since it was read; here is the newer one.
    Stale(Arc<Session>),
}

/// Where a walk over the records has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkPlace {
    /// When the record looked at last expires.
    pub expires: Timestamp,
    /// Its place among those that expire at the same moment, by an order of the store's own.
    pub within: u32,
}

/// A piece of a walk over the records.
#[derive(Clone, Debug, Default)]
pub struct Walked {
    /// The records, each with its last access; those that expire last come first.
    pub records: Vec<(Arc<Session>, Timestamp)>,
    /// Where to go on; none at the end.
    pub next: Option<WalkPlace>,
}

/// Why a store could not do what it was asked. Nothing durable may be concluded from it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store failed to write or read.
    #[error("the session store could not {operation}")]
    Failed {
        /// What was attempted, for the log.
        operation: &'static str,
        /// What went wrong underneath.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store is closing, or its writer has stopped.
    #[error("the session store is closed")]
    Closed,
}

/// Keeps session records. A store that loses a tombstone revives a logged-out session; one that
/// loses a record signs a user out.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Looks up a record or tombstone. Called on every request: it neither writes nor blocks for longer than
    /// reading one record takes that was not taken up yet.
    fn find(&self, sso: &SsoId) -> Found;

    /// Inserts a record unless its SSO session has ended or stands already, in one atomic step (S-17).
    ///
    /// # Errors
    /// When the record is not durable; it is then not visible either.
    async fn insert_unless_ended(&self, session: Session) -> Result<Inserted, StoreError>;

    /// Replaces the record whose version is `session.version`, storing it with the version after.
    ///
    /// # Errors
    /// When the replacement is not durable.
    async fn replace_if_version(&self, session: Session) -> Result<Replaced, StoreError>;

    /// Removes a record without a tombstone: an expired or idle one (S-20).
    ///
    /// # Errors
    /// When the removal could not be written.
    async fn remove(&self, sso: &SsoId) -> Result<(), StoreError>;

    /// Notes activity; written back lazily, at most once per write-back interval.
    fn touch(&self, sso: &SsoId, now: Timestamp);

    /// The last activity noted by [`Self::touch`], or the record's own if that is later.
    fn last_access(&self, sso: &SsoId) -> Option<Timestamp>;

    /// The SSO sessions whose deadline has passed: absolute expiry, or for live ones `idle_timeout` later
    /// than their last activity. At most `limit`; costs what it returns, not what the store holds.
    fn due(&self, now: Timestamp, idle_timeout: std::time::Duration, limit: usize) -> Vec<SsoId>;

    /// Records that wait for a release to be committed, at most `limit`; costs what it returns (S-6).
    /// Each call goes on behind the one before. After a restart a record may be told of a while later.
    fn pending(&self, limit: usize) -> Vec<Arc<Session>>;

    /// How far back the memory of this store reaches: a session that began later and is not found here
    /// never was here (S-19).
    fn remembers_since(&self) -> Timestamp;

    /// Every record of a user. Right after a start it may be waited for until it is known which those are.
    async fn list_by_user(&self, store: &StoreName, subject: &UserName) -> Vec<Arc<Session>>;

    /// Walks over all records, a piece of at most `limit` at a time: `from` is where the piece before says to
    /// go on. Costs what it returns, and holds nobody up between two pieces; a record that comes or goes
    /// meanwhile may be told of or not.
    fn walk(&self, from: Option<WalkPlace>, limit: usize) -> Walked;

    /// How long it took to make changes durable; none where nothing is.
    fn commit_times(&self) -> Option<HistogramSnapshot> {
        None
    }

    /// How many records stand, tombstones not counted; never waits. Until [`Self::is_complete`], those that
    /// were taken up so far.
    fn count(&self) -> usize;

    /// Whether every record of an earlier process has been taken up.
    fn is_complete(&self) -> bool {
        true
    }

    /// How many stored records could not be read and were left out.
    fn unreadable(&self) -> usize {
        0
    }

    /// Writes back everything lazily kept and closes; further writes answer [`StoreError::Closed`].
    ///
    /// # Errors
    /// When something could not be written.
    async fn close(&self) -> Result<(), StoreError>;
}

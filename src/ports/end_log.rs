//! The port to the end log: what has ended, durably, in order (S-15).

use async_trait::async_trait;

use crate::model::end::End;
use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::end::Pulled;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Rank;
use crate::model::time::Timestamp;
use crate::ports::session_store::StoreError;

/// Keeps ends. An entry lost is a logout undone.
#[async_trait]
pub trait EndLog: Send + Sync + 'static {
    /// Which life of the log this is.
    fn incarnation(&self) -> Incarnation;

    /// When this life of the log began; what ended before may be unknown here (S-15).
    fn began(&self) -> Timestamp;

    /// How far the log of a peer has been read; none if never completely.
    fn pulled(&self, peer: &ClusterId) -> Option<Pulled>;

    /// Notes how far the log of a peer has been read. It is written back lazily: after a crash an older
    /// answer is given, and entries are read again.
    fn note_pulled(&self, peer: &ClusterId, pulled: Pulled);

    /// Appends an end and drops the records that it concerns, in one atomic step; returns when it is
    /// durable. From the call on, and even if it fails, the sessions concerned are refused here. A
    /// tombstone that stands already keeps its place, and so does a move to a higher rank. What a
    /// provider's cut-off drops or keeps out has a tombstone of its own from then on: no cookie names
    /// the session at the provider, so nothing else would keep its facts from being believed.
    ///
    /// # Errors
    /// When the entry is not durable: the caller tells the user that the end is not yet confirmed.
    async fn append(&self, end: End) -> Result<Position, StoreError>;

    /// When the user's cut-off lies, if there is one: whatever was first authenticated before is over.
    fn cut_off(&self, store: &StoreName, subject: &UserName) -> Option<Timestamp>;

    /// The holder of a session that ranks highest among those that moves in the log name (S-4).
    fn holder(&self, sso: &SsoId) -> Option<Rank>;

    /// The entries after `position`, oldest first, at most `limit`.
    fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)>;

    /// Tells that a peer has read the life `over` of this log up to `read`. If that is the present life and
    /// reaches no further, the log was put back to an earlier state, and its places would be given out
    /// again: it begins the life `next`, with the entries it has. From the call on it is in that life, and
    /// its records are remembered since `now` only; returns when that is durable (S-15, S-19). A log that
    /// cannot be put back to an earlier state has nothing to do.
    ///
    /// # Errors
    /// When the new life is not durable. A crash may then bring the earlier one back, which a peer that has
    /// read it will tell again.
    async fn renew_if_outrun(
        &self,
        over: Incarnation,
        read: Position,
        next: Incarnation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _ = (over, read, next, now);
        Ok(())
    }

    /// Forgets entries whose `expires` lies before `before`.
    ///
    /// # Errors
    /// When the removal could not be written.
    async fn trim(&self, before: Timestamp) -> Result<usize, StoreError>;
}

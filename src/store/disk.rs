//! The durable store: every answered sign-in and sign-out survives `kill -9` (R9).
//!
//! Requests are answered from the table in memory; one thread commits changes to a redb file, many at
//! a time. After a start the table fills in the background while records are read through. Sealing is
//! the business of whoever opens the store.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::oneshot;

use crate::model::end::End;
use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::end::Pulled;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Rank;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::end_log::EndLog;
use crate::ports::session_store::Found;
use crate::ports::session_store::Inserted;
use crate::ports::session_store::Replaced;
use crate::ports::session_store::SessionStore;
use crate::ports::session_store::StoreError;
use crate::ports::session_store::WalkPlace;
use crate::ports::session_store::Walked;
use crate::store::cursors::Cursors;
use crate::store::disk::backlog::Backlog;
use crate::store::disk::queue::Outcome;
use crate::store::disk::queue::Queue;
use crate::store::disk::queue::Row;
use crate::store::disk::queue::Write;
use crate::store::disk::queue::durable;
use crate::store::disk::rows::Rows;
use crate::store::life::PresentLife;
use crate::store::table;
use crate::store::table::Change;
use crate::store::table::Table;
use crate::store::table::Touched;
use crate::telemetry::histogram::HistogramSnapshot;

mod backlog;
mod file;
mod header;
mod open;
mod pulled;
mod queue;
mod rows;
#[cfg(test)]
mod tests;
mod writer;

pub use crate::store::disk::file::OpenStoreError;
pub use crate::store::disk::open::DiskOptions;
pub use crate::store::disk::open::Records;

/// Keeps records and ends in memory and in one file; with [`Records::Volatile`], only ends in the file.
pub struct DiskStore {
    table: Arc<Table>,
    queue: Arc<Queue>,
    backlog: Arc<Backlog>,
    rows: Rows,
    cursors: Cursors,
    life: PresentLife,
    records: Records,
    write_back_interval: Duration,
    /// Breaks off when the file is let go.
    released: Mutex<Option<oneshot::Receiver<()>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl std::fmt::Debug for DiskStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DiskStore")
            .field("backlog", &self.backlog)
            .finish_non_exhaustive()
    }
}

impl DiskStore {
    /// Queues a record for the disk, or the end that kept it out; called while its place in memory is
    /// locked.
    fn put(&self, change: Change, row: Row, place: OwnedSemaphorePermit) -> Option<Pending> {
        let Change::Put { session, replaced } = change else {
            self.journal(change);
            return None;
        };
        let pending = (Arc::clone(&session), replaced.clone());
        let write = Write::Put {
            session,
            replaced,
            row,
        };
        let outcome = self.queue.push_awaited(write, Some(place));
        Some(Pending {
            session: pending.0,
            replaced: pending.1,
            outcome,
        })
    }

    async fn confirm(
        &self,
        pending: Option<Pending>,
        operation: &'static str,
    ) -> Result<(), StoreError> {
        let Some(Pending {
            session,
            replaced,
            outcome,
        }) = pending
        else {
            return Ok(());
        };
        let confirmed = durable(outcome, operation).await;
        // A writer that lives takes back what it could not write; one that is gone cannot.
        if matches!(confirmed, Err(StoreError::Closed)) {
            match replaced {
                None => self.table.undo_insert(&session, drop),
                Some(old) => self.table.undo_replace(&session, &old),
            };
        }
        confirmed
    }

    /// Queues a change for the disk. A record that appears is [`Self::put`] with its bytes and its place
    /// in the queue.
    fn journal(&self, change: Change) {
        let write = match (change, self.records) {
            (Change::Removed(sso), Records::Kept) => Some(Write::Remove(sso)),
            (Change::Removed(_), Records::Volatile) => None,
            (change, _) => Write::of_end(change),
        };
        if let Some(write) = write {
            self.queue.push(write);
        }
    }
}

#[async_trait]
impl SessionStore for DiskStore {
    fn find(&self, sso: &SsoId) -> Found {
        self.backlog.ensure(sso);
        self.table.find(sso)
    }

    async fn insert_unless_ended(&self, session: Session) -> Result<Inserted, StoreError> {
        if self.records == Records::Volatile {
            self.queue.admit()?;
            return Ok(self.table.insert(session, |change| self.journal(change)));
        }
        self.backlog.ensure(&session.facts.sso);
        let row = self.rows.row(&session)?;
        let place = self.queue.place().await?;
        let mut pending = None;
        let journal = |change| pending = self.put(change, row, place);
        let inserted = self.table.insert(session, journal);
        self.confirm(pending, "insert a session")
            .await
            .map(|()| inserted)
    }

    async fn replace_if_version(&self, session: Session) -> Result<Replaced, StoreError> {
        let (read, session) = table::successor(session);
        if self.records == Records::Volatile {
            self.queue.admit()?;
            let journal = |change| self.journal(change);
            return Ok(self.table.replace(read, session, journal));
        }
        self.backlog.ensure(&session.facts.sso);
        let row = self.rows.row(&session)?;
        let place = self.queue.place().await?;
        let mut pending = None;
        let journal = |change| pending = self.put(change, row, place);
        let replaced = self.table.replace(read, session, journal);
        self.confirm(pending, "replace a session")
            .await
            .map(|()| replaced)
    }

    async fn remove(&self, sso: &SsoId) -> Result<(), StoreError> {
        if self.records == Records::Volatile {
            self.queue.admit()?;
            self.table.remove(sso, drop);
            return Ok(());
        }
        self.backlog.ensure(sso);
        let _place = self.queue.place().await?;
        self.table.remove(sso, |change| self.journal(change));
        self.queue.settle("remove a session").await
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.backlog.ensure(sso);
        let touched = self.table.touch(sso, now, self.write_back_interval);
        if touched == Touched::Due && self.records == Records::Kept {
            self.queue.note_touched(*sso);
        }
    }

    fn last_access(&self, sso: &SsoId) -> Option<Timestamp> {
        self.backlog.ensure(sso);
        self.table.last_access(sso)
    }

    /// Records that are still to be taken up are judged once they are.
    fn due(&self, now: Timestamp, idle_timeout: Duration, limit: usize) -> Vec<SsoId> {
        self.table.due(now, idle_timeout, limit).sessions
    }

    /// None is missed while records are still to be taken up: that would let a user exceed S-21.
    async fn list_by_user(&self, store: &StoreName, subject: &UserName) -> Vec<Arc<Session>> {
        if self.table.is_loading() {
            let user_tag = self.rows.user_tag(store, subject);
            self.backlog.ensure_user(user_tag).await;
        }
        self.table.list_by_user(store, subject)
    }

    /// Records that are still to be taken up are told of once they are.
    fn pending(&self, limit: usize) -> Vec<Arc<Session>> {
        self.table.pending(limit)
    }

    fn remembers_since(&self) -> Timestamp {
        self.backlog
            .forgot_before()
            .unwrap_or_else(|| self.life.get().remembers_since)
    }

    /// Records that are still to be taken up are not told of.
    fn walk(&self, from: Option<WalkPlace>, limit: usize) -> Walked {
        self.table.walk(from, limit)
    }

    fn commit_times(&self) -> Option<HistogramSnapshot> {
        Some(self.queue.commits.snapshot())
    }

    fn count(&self) -> usize {
        self.table.count()
    }

    fn is_complete(&self) -> bool {
        !self.table.is_loading()
    }

    fn unreadable(&self) -> usize {
        self.backlog.unreadable()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.backlog.stop();
        self.cursors.flush(|pulled| self.queue.note_pulled(pulled));
        let Some(outcome) = self.queue.close() else {
            return Ok(());
        };
        let written = durable(outcome, "write everything back").await;
        let released = self.released.lock().take();
        if let Some(released) = released {
            // It is never sent, only dropped: once the file is let go.
            drop(released.await);
        }
        written
    }
}

#[async_trait]
impl EndLog for DiskStore {
    fn incarnation(&self) -> Incarnation {
        self.life.get().incarnation
    }

    fn began(&self) -> Timestamp {
        self.life.get().began
    }

    fn pulled(&self, peer: &ClusterId) -> Option<Pulled> {
        self.cursors.pulled(peer)
    }

    fn note_pulled(&self, peer: &ClusterId, pulled: Pulled) {
        let journal = |pulled| self.queue.note_pulled(pulled);
        self.cursors
            .note(peer, pulled, self.write_back_interval, journal);
    }

    async fn append(&self, end: End) -> Result<Position, StoreError> {
        let position = self.table.append(end, |change| self.journal(change));
        self.queue.settle("record an end").await.map(|()| position)
    }

    fn cut_off(&self, store: &StoreName, subject: &UserName) -> Option<Timestamp> {
        self.table.cut_off(store, subject)
    }

    fn holder(&self, sso: &SsoId) -> Option<Rank> {
        self.table.holder(sso)
    }

    fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)> {
        self.table.since(position, limit)
    }

    async fn renew_if_outrun(
        &self,
        over: Incarnation,
        read: Position,
        next: Incarnation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if read <= self.table.head() {
            return Ok(());
        }
        let journal = |life| self.queue.push(Write::NewLife(life));
        self.life.renew(over, next, now, journal);
        self.queue.settle("begin a new life of the end log").await
    }

    async fn trim(&self, before: Timestamp) -> Result<usize, StoreError> {
        let mut trimmed = 0;
        loop {
            let positions = self.table.trim(before, TRIM_MAX);
            if positions.is_empty() {
                return Ok(trimmed);
            }
            trimmed += positions.len();
            self.queue.push(Write::Trim(positions));
            self.queue.settle("trim the end log").await?;
        }
    }
}

/// Keeps one commit from growing with the log.
const TRIM_MAX: usize = 10_000;

/// A record that memory has and the disk will have.
struct Pending {
    session: Arc<Session>,
    replaced: Option<Arc<Session>>,
    outcome: oneshot::Receiver<Outcome>,
}

//! The store that forgets with its process: for tests, simulation and gateways that need no more.
//!
//! Its records and ends are as durable as the process, so every write is answered at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
use crate::store::life::Life;
use crate::store::life::PresentLife;
use crate::store::table;
use crate::store::table::Contents;
use crate::store::table::Table;

/// Keeps records and ends in memory only.
#[derive(Debug)]
pub struct MemoryStore {
    table: Table,
    cursors: Cursors,
    life: PresentLife,
    closed: AtomicBool,
}

impl MemoryStore {
    /// Begins an empty store at the time `began`; its end log begins a life of its own (S-15).
    #[must_use]
    pub fn new(incarnation: Incarnation, began: Timestamp) -> Self {
        Self {
            table: Table::new(Contents::Complete),
            cursors: Cursors::default(),
            life: PresentLife::new(Life {
                incarnation,
                began,
                remembers_since: began,
            }),
            closed: AtomicBool::new(false),
        }
    }

    fn open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Acquire) {
            Err(StoreError::Closed)
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    fn find(&self, sso: &SsoId) -> Found {
        self.table.find(sso)
    }

    async fn insert_unless_ended(&self, session: Session) -> Result<Inserted, StoreError> {
        self.open()?;
        Ok(self.table.insert(session, drop))
    }

    async fn replace_if_version(&self, session: Session) -> Result<Replaced, StoreError> {
        self.open()?;
        let (read, session) = table::successor(session);
        Ok(self.table.replace(read, session, drop))
    }

    async fn remove(&self, sso: &SsoId) -> Result<(), StoreError> {
        self.open()?;
        self.table.remove(sso, drop);
        Ok(())
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.table.touch(sso, now, Duration::MAX);
    }

    fn last_access(&self, sso: &SsoId) -> Option<Timestamp> {
        self.table.last_access(sso)
    }

    fn due(&self, now: Timestamp, idle_timeout: Duration, limit: usize) -> Vec<SsoId> {
        self.table.due(now, idle_timeout, limit).sessions
    }

    async fn list_by_user(&self, store: &StoreName, subject: &UserName) -> Vec<Arc<Session>> {
        self.table.list_by_user(store, subject)
    }

    fn pending(&self, limit: usize) -> Vec<Arc<Session>> {
        self.table.pending(limit)
    }

    fn remembers_since(&self) -> Timestamp {
        self.life.get().remembers_since
    }

    fn walk(&self, from: Option<WalkPlace>, limit: usize) -> Walked {
        self.table.walk(from, limit)
    }

    fn count(&self) -> usize {
        self.table.count()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.closed.store(true, Ordering::Release);
        Ok(())
    }
}

#[async_trait]
impl EndLog for MemoryStore {
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
        self.cursors.note(peer, pulled, Duration::MAX, drop);
    }

    async fn append(&self, end: End) -> Result<Position, StoreError> {
        // The sessions are refused even when the store is closed and the end is not confirmed.
        let position = self.table.append(end, drop);
        self.open().map(|()| position)
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
        if read > self.table.head() {
            self.life.renew(over, next, now, drop);
        }
        self.open()
    }

    async fn trim(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.open()?;
        Ok(self.table.trim(before, usize::MAX).len())
    }
}

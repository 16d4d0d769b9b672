//! A session store that can be closed and opened again while the engine above it stays: a gateway whose successor
//! has failed takes its sessions back.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
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
use crate::telemetry::histogram::HistogramSnapshot;

/// Records and ends, by one implementation.
#[derive(Clone)]
pub(super) struct Stores {
    pub(super) sessions: Arc<dyn SessionStore>,
    pub(super) ends: Arc<dyn EndLog>,
}

/// Opens the store again.
type Open = dyn Fn() -> anyhow::Result<Stores> + Send + Sync;

/// A store on disk, and the way to open it again.
pub(super) struct Reopenable {
    now: ArcSwap<Stores>,
    open: Box<Open>,
}

impl Reopenable {
    /// Opens the store for the first time.
    pub(super) fn open(
        open: impl Fn() -> anyhow::Result<Stores> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            now: ArcSwap::from_pointee(open()?),
            open: Box::new(open),
        })
    }

    /// Opens it again after it was closed.
    pub(super) fn open_again(&self) -> anyhow::Result<()> {
        let again = (self.open)()?;
        self.now.store(Arc::new(again));
        Ok(())
    }

    fn sessions(&self) -> Arc<dyn SessionStore> {
        Arc::clone(&self.now.load().sessions)
    }

    fn ends(&self) -> Arc<dyn EndLog> {
        Arc::clone(&self.now.load().ends)
    }
}

#[async_trait]
impl SessionStore for Reopenable {
    fn find(&self, sso: &SsoId) -> Found {
        self.now.load().sessions.find(sso)
    }

    async fn insert_unless_ended(&self, session: Session) -> Result<Inserted, StoreError> {
        self.sessions().insert_unless_ended(session).await
    }

    async fn replace_if_version(&self, session: Session) -> Result<Replaced, StoreError> {
        self.sessions().replace_if_version(session).await
    }

    async fn remove(&self, sso: &SsoId) -> Result<(), StoreError> {
        self.sessions().remove(sso).await
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.now.load().sessions.touch(sso, now);
    }

    fn last_access(&self, sso: &SsoId) -> Option<Timestamp> {
        self.now.load().sessions.last_access(sso)
    }

    fn due(&self, now: Timestamp, idle_timeout: Duration, limit: usize) -> Vec<SsoId> {
        self.now.load().sessions.due(now, idle_timeout, limit)
    }

    fn pending(&self, limit: usize) -> Vec<Arc<Session>> {
        self.now.load().sessions.pending(limit)
    }

    fn remembers_since(&self) -> Timestamp {
        self.now.load().sessions.remembers_since()
    }

    async fn list_by_user(&self, store: &StoreName, subject: &UserName) -> Vec<Arc<Session>> {
        self.sessions().list_by_user(store, subject).await
    }

    fn walk(&self, from: Option<WalkPlace>, limit: usize) -> Walked {
        self.now.load().sessions.walk(from, limit)
    }

    fn commit_times(&self) -> Option<HistogramSnapshot> {
        self.now.load().sessions.commit_times()
    }

    fn count(&self) -> usize {
        self.now.load().sessions.count()
    }

    fn is_complete(&self) -> bool {
        self.now.load().sessions.is_complete()
    }

    fn unreadable(&self) -> usize {
        self.now.load().sessions.unreadable()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.sessions().close().await
    }
}

#[async_trait]
impl EndLog for Reopenable {
    fn incarnation(&self) -> Incarnation {
        self.now.load().ends.incarnation()
    }

    fn began(&self) -> Timestamp {
        self.now.load().ends.began()
    }

    fn pulled(&self, peer: &ClusterId) -> Option<Pulled> {
        self.now.load().ends.pulled(peer)
    }

    fn note_pulled(&self, peer: &ClusterId, pulled: Pulled) {
        self.now.load().ends.note_pulled(peer, pulled);
    }

    async fn append(&self, end: End) -> Result<Position, StoreError> {
        self.ends().append(end).await
    }

    fn cut_off(&self, store: &StoreName, subject: &UserName) -> Option<Timestamp> {
        self.now.load().ends.cut_off(store, subject)
    }

    fn holder(&self, sso: &SsoId) -> Option<Rank> {
        self.now.load().ends.holder(sso)
    }

    fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)> {
        self.now.load().ends.since(position, limit)
    }

    async fn renew_if_outrun(
        &self,
        over: Incarnation,
        read: Position,
        next: Incarnation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.ends().renew_if_outrun(over, read, next, now).await
    }

    async fn trim(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.ends().trim(before).await
    }
}

//! A store for an engine without a rule about records.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use portway::model::end::End;
use portway::model::end::Incarnation;
use portway::model::end::Position;
use portway::model::end::Pulled;
use portway::model::id::SsoId;
use portway::model::name::ClusterId;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Rank;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::model::time::Timestamp;
use portway::ports::clock::Clock;
use portway::ports::end_log::EndLog;
use portway::ports::session_store::Found;
use portway::ports::session_store::Inserted;
use portway::ports::session_store::Replaced;
use portway::ports::session_store::SessionStore;
use portway::ports::session_store::StoreError;
use portway::ports::session_store::WalkPlace;
use portway::ports::session_store::Walked;

use crate::mutant::Mutation;
use crate::store::SimStore;

/// Does what the store does, but for one thing.
pub(super) struct MutantStore {
    pub(super) mutation: Mutation,
    pub(super) inner: Arc<SimStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lifetime: Duration,
    pub(super) lapse: Duration,
}

impl MutantStore {
    /// A record as an engine without the rule would read it.
    fn read(&self, record: Arc<Session>) -> Arc<Session> {
        let now = self.clock.now();
        match (self.mutation, &record.state, &record.reserved) {
            (Mutation::PendingServes, SessionState::Pending(_), _) => Arc::new(Session {
                state: SessionState::Live,
                ..Session::clone(&record)
            }),
            (Mutation::NoLapse, SessionState::Live, Some(reservation))
                if reservation.until <= now =>
            {
                let mut lasting = Session::clone(&record);
                if let Some(reservation) = &mut lasting.reserved {
                    reservation.until = now.after(self.lapse / 2);
                }
                Arc::new(lasting)
            }
            _ => record,
        }
    }

    /// A record as an engine without the rule would write it.
    fn write(&self, mut session: Session) -> Session {
        let is_adopted = !session.aliases.is_empty();
        if self.mutation == Mutation::LifetimeBeginsAnew && is_adopted {
            session.facts.expires = self.clock.now().after(self.lifetime);
        }
        session
    }
}

#[async_trait]
impl SessionStore for MutantStore {
    fn find(&self, sso: &SsoId) -> Found {
        match self.inner.find(sso) {
            Found::Absent => Found::Absent,
            Found::Ended if self.mutation == Mutation::NoTombstoneCheck => Found::Absent,
            Found::Ended => Found::Ended,
            Found::Record(record) => Found::Record(self.read(record)),
        }
    }

    async fn insert_unless_ended(&self, session: Session) -> Result<Inserted, StoreError> {
        let session = self.write(session);
        let standing = self.inner.find(&session.facts.sso);
        match (self.mutation, standing) {
            (Mutation::NoTombstoneCheck, Found::Ended | Found::Absent) => {
                self.inner.insert_unchecked(session).await
            }
            (Mutation::InsertInTwoSteps, Found::Absent) => {
                self.clock.sleep(BETWEEN_STEPS).await;
                self.inner.insert_unchecked(session).await
            }
            _ => self.inner.insert_unless_ended(session).await,
        }
    }

    async fn replace_if_version(&self, session: Session) -> Result<Replaced, StoreError> {
        self.inner.replace_if_version(self.write(session)).await
    }

    async fn remove(&self, sso: &SsoId) -> Result<(), StoreError> {
        self.inner.remove(sso).await
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.inner.touch(sso, now);
    }

    fn last_access(&self, sso: &SsoId) -> Option<Timestamp> {
        self.inner.last_access(sso)
    }

    fn due(&self, now: Timestamp, idle_timeout: Duration, limit: usize) -> Vec<SsoId> {
        self.inner.due(now, idle_timeout, limit)
    }

    fn pending(&self, limit: usize) -> Vec<Arc<Session>> {
        self.inner.pending(limit)
    }

    fn remembers_since(&self) -> Timestamp {
        match self.mutation {
            Mutation::MissingAfterAmnesia => Timestamp::from_millis(0),
            _ => self.inner.remembers_since(),
        }
    }

    async fn list_by_user(&self, store: &StoreName, subject: &UserName) -> Vec<Arc<Session>> {
        self.inner.list_by_user(store, subject).await
    }

    fn walk(&self, from: Option<WalkPlace>, limit: usize) -> Walked {
        self.inner.walk(from, limit)
    }

    fn count(&self) -> usize {
        self.inner.count()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

#[async_trait]
impl EndLog for MutantStore {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    fn began(&self) -> Timestamp {
        match self.mutation {
            Mutation::NoPullBeforeHonouring => Timestamp::from_millis(0),
            _ => self.inner.began(),
        }
    }

    fn pulled(&self, peer: &ClusterId) -> Option<Pulled> {
        self.inner.pulled(peer)
    }

    fn note_pulled(&self, peer: &ClusterId, pulled: Pulled) {
        self.inner.note_pulled(peer, pulled);
    }

    async fn append(&self, end: End) -> Result<Position, StoreError> {
        self.inner.append(end).await
    }

    fn cut_off(&self, store: &StoreName, subject: &UserName) -> Option<Timestamp> {
        match self.mutation {
            Mutation::NoTombstoneCheck => None,
            _ => self.inner.cut_off(store, subject),
        }
    }

    fn holder(&self, sso: &SsoId) -> Option<Rank> {
        self.inner.holder(sso)
    }

    fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)> {
        self.inner.since(position, limit)
    }

    async fn trim(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.inner.trim(before).await
    }
}

/// How long the check for an end is old when the record is inserted.
const BETWEEN_STEPS: Duration = Duration::from_millis(120);

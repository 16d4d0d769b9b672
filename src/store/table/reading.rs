//! Reading the table: one record on behalf of a request, and the lists of records that others ask for.
//!
//! Nothing that is read here changes, but for which records are kept open.

use std::sync::Arc;

use parking_lot::RwLockUpgradableReadGuard;

use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::time::Timestamp;
use crate::ports::session_store::Found;
use crate::store::index::Slot;
use crate::store::table::Shard;
use crate::store::table::Table;
use crate::store::table::records::Record;

impl Table {
    pub(in crate::store) fn find(&self, sso: &SsoId) -> Found {
        let shard = self.shard(sso).read();
        if let Some(session) = shard.opened.get(sso) {
            return Found::Record(session);
        }
        let Some(record) = shard.records.get(sso) else {
            return shard.without_record(sso);
        };
        if shard.opened.was_missed_before(sso) {
            drop(shard);
            return self.open(sso);
        }
        match record.session(&self.names.read()) {
            None => Found::Absent,
            Some(session) => Found::Record(Arc::new(session)),
        }
    }

    /// Unpacks a record for this request and those that follow.
    fn open(&self, sso: &SsoId) -> Found {
        // Nobody else opens here meanwhile and nobody changes the record, though all may read.
        let shard = self.shard(sso).upgradable_read();
        if let Some(session) = shard.opened.get(sso) {
            return Found::Record(session);
        }
        let Some(session) = self.unpacked(&shard, sso) else {
            return shard.without_record(sso);
        };
        let session = Arc::new(session);
        let mut shard = RwLockUpgradableReadGuard::upgrade(shard);
        let displaced = shard.opened.put(Arc::clone(&session));
        drop(shard);
        drop(displaced);
        Found::Record(session)
    }

    /// A record, for whoever does not ask on behalf of a request.
    pub(super) fn peek(&self, sso: &SsoId) -> Option<Session> {
        self.unpacked(&self.shard(sso).read(), sso)
    }

    pub(super) fn unpacked(&self, shard: &Shard, sso: &SsoId) -> Option<Session> {
        shard.records.get(sso)?.session(&self.names.read())
    }

    /// Whether nothing is known of an SSO session.
    pub(in crate::store) fn is_absent(&self, sso: &SsoId) -> bool {
        let shard = self.shard(sso).read();
        shard.records.get(sso).is_none() && !shard.tombstones.contains_key(sso)
    }

    pub(in crate::store) fn last_access(&self, sso: &SsoId) -> Option<Timestamp> {
        let shard = self.shard(sso).read();
        shard.records.get(sso).map(Record::last_access)
    }

    pub(in crate::store) fn list_by_user(
        &self,
        store: &StoreName,
        subject: &UserName,
    ) -> Vec<Arc<Session>> {
        let slots = self.index.lock().of_user(store, subject);
        self.standing(&self.ids(&slots))
            .filter(|session| session.facts.store == *store && session.facts.subject == *subject)
            .collect()
    }

    /// Records that wait for their release, at most `limit`; those told of last come last.
    pub(in crate::store) fn pending(&self, limit: usize) -> Vec<Arc<Session>> {
        let sessions = self.index.lock().next_pending(limit);
        self.standing(&sessions)
            .filter(|session| matches!(session.state, SessionState::Pending(_)))
            .collect()
    }

    /// The records among `sessions`; one may have gone since it was indexed.
    fn standing(&self, sessions: &[SsoId]) -> impl Iterator<Item = Arc<Session>> {
        sessions
            .iter()
            .filter_map(|sso| self.peek(sso))
            .map(Arc::new)
    }

    /// The ids of what stands in these slots, in order; it may not be what stood there when they were told
    /// of.
    pub(super) fn ids(&self, slots: &[Slot]) -> Vec<SsoId> {
        let id = |slot: &Slot| Some(self.shard_of(*slot)?.read().records.at(*slot)?.sso());
        let mut ids: Vec<SsoId> = slots.iter().filter_map(id).collect();
        ids.sort_unstable();
        ids
    }
}

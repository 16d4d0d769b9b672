//! What is due: the records past a deadline, and the ends past their use.
//!
//! Both cost what they return, not what the table holds. Nothing is removed on the quiet: a record
//! stays due until its engine removes it.

use std::time::Duration;

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::id::SsoId;
use crate::model::time::Timestamp;
use crate::store::index::Slot;
use crate::store::table::Record;
use crate::store::table::Table;

/// The records past a deadline.
#[derive(Debug)]
pub(in crate::store) struct Due {
    /// Their ids; those past their absolute expiry come first.
    pub(in crate::store) sessions: Vec<SsoId>,
    /// How many records were looked at for that.
    pub(in crate::store) examined: usize,
}

impl Table {
    /// The records whose absolute expiry has come, or that serve and whose last access lies
    /// `idle_timeout` back.
    ///
    /// A record that was touched since it was indexed is looked at once and indexed under its newer
    /// access: once in each idle time-out at most.
    pub(in crate::store) fn due(
        &self,
        now: Timestamp,
        idle_timeout: Duration,
        limit: usize,
    ) -> Due {
        let expired = self.index.lock().expired(now, limit);
        let is_expired = |record: &Record| record.expires() <= now;
        let mut due = Due {
            examined: expired.len(),
            sessions: expired
                .into_iter()
                .filter_map(|slot| self.id_of(slot, is_expired))
                .collect(),
        };
        let mut after = None;
        while due.sessions.len() < limit {
            let missing = limit - due.sessions.len();
            let until = now.before(idle_timeout);
            let candidates = self
                .index
                .lock()
                .quiet(after, until, missing.min(CANDIDATES_MAX));
            let Some(last) = candidates.last() else { break };
            after = Some(*last);
            due.examined += candidates.len();
            let idle = candidates
                .into_iter()
                .filter_map(|moment| self.idle_in(moment.slot(), now, idle_timeout));
            due.sessions.extend(idle);
        }
        due
    }

    /// Forgets ends that expired before `before`, at most `limit`; answers their places.
    pub(in crate::store) fn trim(&self, before: Timestamp, limit: usize) -> Vec<Position> {
        let expired = self.ends.expired(before, limit);
        for (position, end) in &expired {
            if let End::Tombstone { sso, .. } = end {
                self.exhume(sso, *position);
            }
            self.ends.forget(*position, end);
        }
        expired.into_iter().map(|(position, _)| position).collect()
    }

    /// The id of what stands in a slot, if it is what is meant.
    fn id_of(&self, slot: Slot, is_meant: impl FnOnce(&Record) -> bool) -> Option<SsoId> {
        let shard = self.shard_of(slot)?.read();
        let record = shard.records.at(slot)?;
        is_meant(record).then(|| record.sso())
    }

    /// The id of the record in a slot that is idle and was not listed as expired; brings the index up to date
    /// if it is not idle.
    fn idle_in(&self, slot: Slot, now: Timestamp, idle_timeout: Duration) -> Option<SsoId> {
        let shard = self.shard_of(slot)?;
        let looked_at = shard.read();
        let record = looked_at.records.at(slot)?;
        if !record.goes_idle() {
            return None;
        }
        if now >= record.last_access().after(idle_timeout) {
            return (record.expires() > now).then(|| record.sso());
        }
        drop(looked_at);
        let mut shard = shard.write();
        let record = shard.records.at_mut(slot)?;
        if record.goes_idle() {
            let access = record.last_access();
            let mut index = self.index.lock();
            index.move_access(slot, record.indexed(), access);
            record.set_indexed(access);
        }
        None
    }

    fn exhume(&self, sso: &SsoId, position: Position) {
        let mut shard = self.shard(sso).write();
        if shard.tombstones.get(sso) == Some(&position) {
            shard.tombstones.remove(sso);
            shard.mark_gone(sso);
        }
    }
}

/// Keeps the index from being locked for long.
const CANDIDATES_MAX: usize = 256;

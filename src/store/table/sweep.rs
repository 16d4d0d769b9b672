//! What is due: the records past a deadline, and the ends past their use.
//!
//! Both cost what they return, not what the table holds. Nothing is removed on the quiet: a record
//! stays due until its engine removes it.

use std::time::Duration;

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::id::SsoId;
use crate::model::time::Timestamp;
use crate::store::index::goes_idle;
use crate::store::table::Entry;
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
        let sessions = self.index.lock().expired(now, limit);
        let mut due = Due {
            examined: sessions.len(),
            sessions,
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
            let idle = candidates.iter().map(|(_, sso)| *sso);
            due.sessions
                .extend(idle.filter(|sso| self.is_idle(sso, now, idle_timeout)));
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

    /// Whether a record is idle and was not listed as expired; brings the index up to date if not.
    fn is_idle(&self, sso: &SsoId, now: Timestamp, idle_timeout: Duration) -> bool {
        let is_idle = |record: &Record| now >= record.last_access().after(idle_timeout);
        match self.shard(sso).read().entries.get(sso) {
            Some(Entry::Record(record)) if !goes_idle(&record.session) => return false,
            Some(Entry::Record(record)) if is_idle(record) => {
                return record.session.facts.expires > now;
            }
            Some(Entry::Record(_)) => {}
            None | Some(Entry::Tombstone(_)) => return false,
        }
        if let Some(Entry::Record(record)) = self.shard(sso).write().entries.get_mut(sso)
            && goes_idle(&record.session)
        {
            let access = record.last_access();
            self.index.lock().move_access(*sso, record.indexed, access);
            record.indexed = access;
        }
        false
    }

    fn exhume(&self, sso: &SsoId, position: Position) {
        let mut shard = self.shard(sso).write();
        if let Some(Entry::Tombstone(standing)) = shard.entries.get(sso)
            && *standing == position
        {
            shard.entries.remove(sso);
            shard.mark_gone(sso);
        }
    }
}

/// Keeps the index from being locked for long.
const CANDIDATES_MAX: usize = 256;

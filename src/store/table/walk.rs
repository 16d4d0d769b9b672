//! Walks over all records for those who run the node: a piece at a time, no lock held between two.

use std::sync::Arc;

use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::session_store::WalkPlace;
use crate::ports::session_store::Walked;
use crate::store::table::Entry;
use crate::store::table::Table;

impl Table {
    /// The next records of a walk; those that expire last come first.
    pub(in crate::store) fn walk(&self, from: Option<WalkPlace>, limit: usize) -> Walked {
        let from = from.map(|place| (place.expires, place.sso));
        let slots = self.index.lock().before(from, limit);
        let last = slots.last().filter(|_| slots.len() == limit);
        Walked {
            next: last.map(|(expires, sso)| WalkPlace {
                expires: *expires,
                sso: *sso,
            }),
            records: slots.iter().filter_map(|(_, sso)| self.seen(sso)).collect(),
        }
    }

    /// A record and its last access; it may have gone since it was indexed.
    fn seen(&self, sso: &SsoId) -> Option<(Arc<Session>, Timestamp)> {
        match self.shard(sso).read().entries.get(sso) {
            Some(Entry::Record(record)) => {
                Some((Arc::clone(&record.session), record.last_access()))
            }
            None | Some(Entry::Tombstone(_)) => None,
        }
    }
}

//! Walks over all records for those who run the node: a piece at a time, no lock held between two.

use std::sync::Arc;

use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::session_store::WalkPlace;
use crate::ports::session_store::Walked;
use crate::store::index::Moment;
use crate::store::index::Slot;
use crate::store::table::Table;

impl Table {
    /// The next records of a walk; those that expire last come first.
    pub(in crate::store) fn walk(&self, from: Option<WalkPlace>, limit: usize) -> Walked {
        let from = from.map(|place| Moment::new(place.expires, Slot(place.within)));
        let moments = self.index.lock().before(from, limit);
        let last = moments.last().filter(|_| moments.len() == limit);
        let Slot(within) = last.map_or(Slot(0), |last| last.slot());
        Walked {
            next: last.map(|last| WalkPlace {
                expires: last.time(),
                within,
            }),
            records: moments
                .iter()
                .filter_map(|at| self.seen(at.slot()))
                .collect(),
        }
    }

    /// A record and its last access; another may have come in its place since it was indexed.
    fn seen(&self, slot: Slot) -> Option<(Arc<Session>, Timestamp)> {
        let shard = self.shard_of(slot)?.read();
        let record = shard.records.at(slot)?;
        let session = record.session(&self.names.read())?;
        Some((Arc::new(session), record.last_access()))
    }
}

//! The table in memory that both stores answer from: records, tombstones and their indexes.
//!
//! A record and the tombstone of the same SSO session are under one lock, so that insert-unless-ended is
//! one step (S-17). Nothing here is durable: every change is told to a journal while its lock is held, so
//! that the journal's order is the order of memory for each `SsoId`.
//!
//! Records lie here packed, a million in little memory; those that requests ask for are open besides.
//!
//! Locks are taken in this order only: shard, cut-offs, names, index, end log, journal.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use parking_lot::RwLock;

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::ports::session_store::Found;
use crate::ports::session_store::Inserted;
use crate::ports::session_store::Replaced;
use crate::store::ends::Ends;
use crate::store::index::Index;
use crate::store::index::Slot;
use crate::store::names::Names;
use crate::store::table::opened::Opened;
use crate::store::table::records::Record;
use crate::store::table::records::Records;

mod ending;
mod lasting;
mod opened;
mod reading;
mod records;
mod sweep;
#[cfg(test)]
mod tests;
mod walk;

pub(super) use crate::store::table::lasting::Access;
pub(super) use crate::store::table::lasting::Loaded;
pub(super) use crate::store::table::lasting::Undone;

/// The records and ends of one store.
#[derive(Debug)]
pub(super) struct Table {
    shards: Vec<RwLock<Shard>>,
    names: RwLock<Names>,
    index: Mutex<Index>,
    ends: Ends,
    count: AtomicUsize,
    loading: AtomicBool,
}

/// Whether records of an earlier process are still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contents {
    /// What the table does not hold does not exist.
    Complete,
    /// The table is still being filled through [`Table::load`].
    Loading,
}

/// A change that a journal is told of.
#[derive(Debug)]
pub(super) enum Change {
    /// An end stands in the log.
    Ended {
        /// Its place.
        position: Position,
        /// The entry.
        end: End,
        /// The entry that it took the place of.
        superseded: Option<Position>,
    },
    /// A record stands, in place of another or of none.
    Put {
        /// The record.
        session: Arc<Session>,
        /// What stood there.
        replaced: Option<Arc<Session>>,
    },
    /// A record is gone.
    Removed(SsoId),
}

/// What came of noting an access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Touched {
    /// It is noted, and it is time to write it back.
    Due,
    /// It is noted in memory.
    Noted,
    /// No such record stands.
    Unknown,
}

impl Table {
    pub(super) fn new(contents: Contents) -> Self {
        let gone = || match contents {
            Contents::Complete => None,
            Contents::Loading => Some(HashSet::new()),
        };
        let shard = |number| {
            RwLock::new(Shard {
                opened: Opened::default(),
                records: Records::new(number, SHARDS),
                tombstones: HashMap::default(),
                gone: gone(),
            })
        };
        Self {
            shards: (0..SHARDS).map(shard).collect(),
            names: RwLock::default(),
            index: Mutex::default(),
            ends: Ends::default(),
            count: AtomicUsize::new(0),
            loading: AtomicBool::new(contents == Contents::Loading),
        }
    }

    pub(super) fn insert(&self, session: Session, journal: impl FnOnce(Change)) -> Inserted {
        let sso = session.facts.sso;
        let mut shard = self.shard(&sso).write();
        let cut_offs = self.ends.hold();
        if shard.records.get(&sso).is_some() {
            return Inserted::Exists;
        }
        if shard.tombstones.contains_key(&sso) {
            return Inserted::Ended;
        }
        if let Some(cover) = cut_offs.cover(&session) {
            self.refuse(&mut shard, cover, &session, journal);
            return Inserted::Ended;
        }
        let written = session.last_access;
        let access = Access {
            written,
            counts: written,
        };
        self.place(&mut shard, &session, access);
        journal(Change::Put {
            session: Arc::new(session),
            replaced: None,
        });
        Inserted::Inserted
    }

    /// Replaces the record whose version is `read`.
    pub(super) fn replace(
        &self,
        read: u64,
        session: Session,
        journal: impl FnOnce(Change),
    ) -> Replaced {
        let sso = session.facts.sso;
        let mut shard = self.shard(&sso).write();
        let cut_offs = self.ends.hold();
        let Some(standing) = self.unpacked(&shard, &sso) else {
            return match shard.without_record(&sso) {
                Found::Ended => Replaced::Ended,
                Found::Absent | Found::Record(_) => Replaced::Missing,
            };
        };
        if let Some(cover) = cut_offs.cover(&session) {
            self.refuse(&mut shard, cover, &session, journal);
            return Replaced::Ended;
        }
        if standing.version != read {
            return Replaced::Stale(Arc::new(standing));
        }
        self.put(&mut shard, &session);
        journal(Change::Put {
            session: Arc::new(session),
            replaced: Some(Arc::new(standing)),
        });
        Replaced::Replaced
    }

    pub(super) fn remove(&self, sso: &SsoId, journal: impl FnOnce(Change)) {
        let mut shard = self.shard(sso).write();
        if self.displace(&mut shard, sso) {
            shard.mark_gone(sso);
            journal(Change::Removed(*sso));
        }
    }

    /// Notes an access; says `Due` at most once in each `write_back_interval` of a record.
    pub(super) fn touch(
        &self,
        sso: &SsoId,
        now: Timestamp,
        write_back_interval: Duration,
    ) -> Touched {
        match self.shard(sso).read().records.get(sso) {
            None => Touched::Unknown,
            Some(record) if record.touch(now, write_back_interval) => Touched::Due,
            Some(_) => Touched::Noted,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Gives a record a place, where none stands.
    fn place(&self, shard: &mut Shard, session: &Session, access: Access) {
        let record = Record::new(session, access, &mut self.names.write());
        let slot = shard.records.insert(record);
        self.index.lock().add(slot, session, access.counts);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Puts a session in the place of the one that its record holds.
    fn put(&self, shard: &mut Shard, session: &Session) {
        let sso = session.facts.sso;
        shard.opened.forget(&sso);
        let slot = shard.records.slot(&sso);
        let Some((slot, record)) = slot.and_then(|slot| Some((slot, shard.records.at_mut(slot)?)))
        else {
            return;
        };
        let replaced = record.replace(session, &mut self.names.write());
        let access = record.last_access().max(session.last_access);
        let mut index = self.index.lock();
        if let Some(replaced) = replaced {
            index.remove(slot, &replaced, record.indexed());
        }
        index.add(slot, session, access);
        record.set_indexed(access);
        record.set_last_access(access);
    }

    /// Takes out the record of an SSO session; answers whether there was one.
    fn displace(&self, shard: &mut Shard, sso: &SsoId) -> bool {
        shard.opened.forget(sso);
        let Some(slot) = shard.records.slot(sso) else {
            return false;
        };
        let Some(record) = shard.records.remove(sso) else {
            return false;
        };
        let indexed = record.indexed();
        let session = record.take(&mut self.names.write());
        if let Some(session) = session {
            self.index.lock().remove(slot, &session, indexed);
        }
        self.count.fetch_sub(1, Ordering::Relaxed);
        true
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the mask is one less than the number of shards"
    )]
    fn shard(&self, sso: &SsoId) -> &RwLock<Shard> {
        // Ids are random, so their first byte spreads them evenly.
        &self.shards[usize::from(sso.as_bytes()[0]) & (SHARDS - 1)]
    }

    fn shard_of(&self, slot: Slot) -> Option<&RwLock<Shard>> {
        self.shards.get(Records::shard_of(slot, SHARDS))
    }
}

/// The version that was read, and the session as it stands once it is replaced.
pub(super) const fn successor(mut session: Session) -> (u64, Session) {
    let read = session.version;
    session.version = read.saturating_add(1);
    (read, session)
}

/// A power of two, enough that requests seldom meet a writer.
const SHARDS: usize = 64;

#[derive(Debug)]
struct Shard {
    opened: Opened,
    records: Records,
    /// The place of each in the end log. None of them has a record.
    tombstones: HashMap<SsoId, Position, RandomState>,
    /// While loading: what was removed, so that an older copy does not come back.
    gone: Option<HashSet<SsoId>>,
}

impl Shard {
    fn unwritten(&self) -> Vec<SsoId> {
        let unwritten = self.records.iter().filter(|record| record.is_unwritten());
        unwritten.map(Record::sso).collect()
    }

    /// What is known of an SSO session that has no record.
    fn without_record(&self, sso: &SsoId) -> Found {
        if self.tombstones.contains_key(sso) {
            Found::Ended
        } else {
            Found::Absent
        }
    }

    fn mark_gone(&mut self, sso: &SsoId) {
        if let Some(gone) = &mut self.gone {
            gone.insert(*sso);
        }
    }
}

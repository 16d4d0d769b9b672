//! The table in memory that both stores answer from: records, tombstones and their indexes.
//!
//! A record and the tombstone of the same SSO session share one place under one lock, so that a
//! request's question is one look-up and insert-unless-ended is one step (S-17). Nothing here is
//! durable: every change is told to a journal while its lock is held, so that the journal's order is
//! the order of memory for each `SsoId`.
//!
//! Locks are taken in this order only: shard, cut-offs, index, end log, journal.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use parking_lot::RwLock;

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::time::Timestamp;
use crate::ports::session_store::Found;
use crate::ports::session_store::Inserted;
use crate::ports::session_store::Replaced;
use crate::store::ends::Ends;
use crate::store::index::Index;
use crate::store::index::UserKey;

mod ending;
mod lasting;
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
        let shard = || {
            RwLock::new(Shard {
                entries: HashMap::default(),
                gone: gone(),
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            index: Mutex::default(),
            ends: Ends::default(),
            count: AtomicUsize::new(0),
            loading: AtomicBool::new(contents == Contents::Loading),
        }
    }

    pub(super) fn find(&self, sso: &SsoId) -> Found {
        match self.shard(sso).read().entries.get(sso) {
            None => Found::Absent,
            Some(Entry::Record(record)) => Found::Record(Arc::clone(&record.session)),
            Some(Entry::Tombstone(_)) => Found::Ended,
        }
    }

    pub(super) fn insert(&self, session: Session, journal: impl FnOnce(Change)) -> Inserted {
        let session = Arc::new(session);
        let sso = session.facts.sso;
        let mut shard = self.shard(&sso).write();
        let cut_offs = self.ends.hold();
        match shard.entries.get(&sso) {
            None => {}
            Some(Entry::Record(_)) => return Inserted::Exists,
            Some(Entry::Tombstone(_)) => return Inserted::Ended,
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
        let record = Record::new(Arc::clone(&session), access);
        shard.entries.insert(sso, Entry::Record(record));
        self.index.lock().add(&session, written);
        self.count.fetch_add(1, Ordering::Relaxed);
        journal(Change::Put {
            session,
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
        let record = match shard.entries.get_mut(&sso) {
            None => return Replaced::Missing,
            Some(Entry::Tombstone(_)) => return Replaced::Ended,
            Some(Entry::Record(record)) => record,
        };
        if let Some(cover) = cut_offs.cover(&session) {
            self.refuse(&mut shard, cover, &session, journal);
            return Replaced::Ended;
        }
        if record.session.version != read {
            return Replaced::Stale(Arc::clone(&record.session));
        }
        let session = Arc::new(session);
        let replaced = self.put(record, Arc::clone(&session));
        journal(Change::Put {
            session,
            replaced: Some(replaced),
        });
        Replaced::Replaced
    }

    pub(super) fn remove(&self, sso: &SsoId, journal: impl FnOnce(Change)) {
        let mut shard = self.shard(sso).write();
        if let Some(Entry::Record(_)) = shard.entries.get(sso)
            && let Some(Entry::Record(record)) = shard.entries.remove(sso)
        {
            self.unindex(&record);
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
        let shard = self.shard(sso).read();
        let Some(Entry::Record(record)) = shard.entries.get(sso) else {
            return Touched::Unknown;
        };
        record
            .last_access
            .fetch_max(now.as_millis(), Ordering::Relaxed);
        let written = record.written.load(Ordering::Relaxed);
        let is_due = now >= Timestamp::from_millis(written).after(write_back_interval)
            && record
                .written
                .compare_exchange(
                    written,
                    now.as_millis(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok();
        if is_due { Touched::Due } else { Touched::Noted }
    }

    pub(super) fn last_access(&self, sso: &SsoId) -> Option<Timestamp> {
        match self.shard(sso).read().entries.get(sso) {
            Some(Entry::Record(record)) => Some(record.last_access()),
            None | Some(Entry::Tombstone(_)) => None,
        }
    }

    pub(super) fn list_by_user(&self, store: &StoreName, subject: &UserName) -> Vec<Arc<Session>> {
        let sessions = self.index.lock().of_user(&UserKey::new(store, subject));
        self.standing(&sessions)
            .filter(|session| session.facts.store == *store && session.facts.subject == *subject)
            .collect()
    }

    /// Records that wait for their release, at most `limit`; those told of last come last.
    pub(super) fn pending(&self, limit: usize) -> Vec<Arc<Session>> {
        let sessions = self.index.lock().next_pending(limit);
        self.standing(&sessions)
            .filter(|session| matches!(session.state, SessionState::Pending(_)))
            .collect()
    }

    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// The records among `sessions`; one may have gone since it was indexed.
    fn standing(&self, sessions: &[SsoId]) -> impl Iterator<Item = Arc<Session>> {
        sessions.iter().filter_map(|sso| match self.find(sso) {
            Found::Record(session) => Some(session),
            Found::Absent | Found::Ended => None,
        })
    }

    fn put(&self, record: &mut Record, session: Arc<Session>) -> Arc<Session> {
        let access = record.last_access().max(session.last_access);
        let mut index = self.index.lock();
        index.remove(&record.session, record.indexed);
        index.add(&session, access);
        record.indexed = access;
        record
            .last_access
            .store(access.as_millis(), Ordering::Relaxed);
        std::mem::replace(&mut record.session, session)
    }

    fn unindex(&self, record: &Record) {
        self.index.lock().remove(&record.session, record.indexed);
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the mask is one less than the number of shards"
    )]
    fn shard(&self, sso: &SsoId) -> &RwLock<Shard> {
        // Ids are random, so their first byte spreads them evenly.
        &self.shards[usize::from(sso.as_bytes()[0]) & (SHARDS - 1)]
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
    /// Ids are random, and what a hostile peer could choose meets a hasher with a seed.
    entries: HashMap<SsoId, Entry, RandomState>,
    /// While loading: what was removed, so that an older copy does not come back.
    gone: Option<HashSet<SsoId>>,
}

impl Shard {
    fn unwritten(&self) -> Vec<SsoId> {
        let unwritten = |(sso, entry): (&SsoId, &Entry)| match entry {
            Entry::Record(record) => record.is_unwritten().then_some(*sso),
            Entry::Tombstone(_) => None,
        };
        self.entries.iter().filter_map(unwritten).collect()
    }

    fn mark_gone(&mut self, sso: &SsoId) {
        if let Some(gone) = &mut self.gone {
            gone.insert(*sso);
        }
    }
}

#[derive(Debug)]
enum Entry {
    Record(Record),
    Tombstone(Position),
}

#[derive(Debug)]
struct Record {
    session: Arc<Session>,
    last_access: AtomicU64,
    /// The access that was last handed to the writer.
    written: AtomicU64,
    /// The access that the index has the record under; it never lies after `last_access`.
    indexed: Timestamp,
}

impl Record {
    const fn new(session: Arc<Session>, access: Access) -> Self {
        Self {
            session,
            last_access: AtomicU64::new(access.counts.as_millis()),
            written: AtomicU64::new(access.written.as_millis()),
            indexed: access.counts,
        }
    }

    fn is_unwritten(&self) -> bool {
        self.last_access().as_millis() > self.written.load(Ordering::Relaxed)
    }

    fn last_access(&self) -> Timestamp {
        Timestamp::from_millis(self.last_access.load(Ordering::Relaxed))
    }
}

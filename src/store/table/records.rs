//! The records of one shard, each in a numbered slot: the indexes say which by four bytes.
//!
//! A slot that was left is given to another record. Whoever comes by a number looks whether what stands
//! there is what was meant.

use std::hash::BuildHasher;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::store::index::Slot;
use crate::store::names::Names;
use crate::store::packed::Beside;
use crate::store::packed::Packed;
use crate::store::table::Access;

/// The records of one shard.
#[derive(Debug)]
pub(super) struct Records {
    /// Ids are random, and what a hostile peer could choose meets a hasher with a seed.
    hasher: RandomState,
    places: HashTable<u32>,
    runs: Vec<Vec<Option<Record>>>,
    left: Vec<u32>,
    shard: usize,
    shards: usize,
}

/// A record as it lies here, in one line of the cache. Its last access changes while many look at it.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Record {
    packed: Packed,
    sso: SsoId,
    expires: Timestamp,
    last_access: AtomicU64,
    /// The access that was last handed to the writer.
    written: AtomicU64,
    /// The access that the index has the record under; it never lies after `last_access`.
    indexed: Timestamp,
}

impl Records {
    /// The records of the shard of this number, among so many.
    pub(super) fn new(shard: usize, shards: usize) -> Self {
        Self {
            hasher: RandomState::default(),
            places: HashTable::new(),
            runs: Vec::new(),
            left: Vec::new(),
            shard,
            shards,
        }
    }

    /// Which shard a slot lies in, of so many.
    pub(super) fn shard_of(slot: Slot, shards: usize) -> usize {
        slot.0 as usize % shards
    }

    pub(super) fn get(&self, sso: &SsoId) -> Option<&Record> {
        self.at_place(*self.place(sso)?)
    }

    pub(super) fn slot(&self, sso: &SsoId) -> Option<Slot> {
        self.place(sso).map(|place| self.slot_of(*place))
    }

    pub(super) fn at(&self, slot: Slot) -> Option<&Record> {
        self.at_place(self.place_of(slot))
    }

    pub(super) fn at_mut(&mut self, slot: Slot) -> Option<&mut Record> {
        let (run, within) = parts(self.place_of(slot));
        self.runs.get_mut(run)?.get_mut(within)?.as_mut()
    }

    /// Gives a slot to a record that has none.
    pub(super) fn insert(&mut self, record: Record) -> Slot {
        let hash = self.hasher.hash_one(record.sso);
        let place = self.left.pop().unwrap_or_else(|| self.next_place());
        let (run, within) = parts(place);
        if let Some(free) = self.runs.get_mut(run).and_then(|run| run.get_mut(within)) {
            *free = Some(record);
        }
        let Self {
            hasher,
            places,
            runs,
            ..
        } = self;
        places.insert_unique(hash, place, |place| {
            record_at(runs, *place).map_or(0, |record| hasher.hash_one(record.sso))
        });
        self.slot_of(place)
    }

    /// Takes a record out of its slot.
    pub(super) fn remove(&mut self, sso: &SsoId) -> Option<Record> {
        let hash = self.hasher.hash_one(sso);
        let runs = &self.runs;
        let found = self.places.find_entry(hash, |place| {
            record_at(runs, *place).is_some_and(|record| record.sso == *sso)
        });
        let (place, _) = found.ok()?.remove();
        let (run, within) = parts(place);
        let record = self.runs.get_mut(run)?.get_mut(within)?.take();
        self.left.push(place);
        record
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.runs.iter().flatten().flatten()
    }

    fn place(&self, sso: &SsoId) -> Option<&u32> {
        let hash = self.hasher.hash_one(sso);
        self.places.find(hash, |place| {
            self.at_place(*place)
                .is_some_and(|record| record.sso == *sso)
        })
    }

    fn at_place(&self, place: u32) -> Option<&Record> {
        record_at(&self.runs, place)
    }

    /// A place that was never given out. Runs of places never move, and none is larger than it need be.
    fn next_place(&mut self) -> u32 {
        if self.runs.last().is_none_or(|run| run.len() == RUN) {
            self.runs.push(Vec::with_capacity(RUN));
        }
        let runs = self.runs.len();
        let within = self.runs.last_mut().map_or(0, |run| {
            run.push(None);
            run.len() - 1
        });
        // More places than numbers would not fit into any memory.
        u32::try_from((runs - 1) * RUN + within).unwrap_or(u32::MAX)
    }

    fn slot_of(&self, place: u32) -> Slot {
        let slot = place as usize * self.shards + self.shard;
        Slot(u32::try_from(slot).unwrap_or(u32::MAX))
    }

    fn place_of(&self, slot: Slot) -> u32 {
        u32::try_from(slot.0 as usize / self.shards).unwrap_or(u32::MAX)
    }
}

fn record_at(runs: &[Vec<Option<Record>>], place: u32) -> Option<&Record> {
    let (run, within) = parts(place);
    runs.get(run)?.get(within)?.as_ref()
}

const fn parts(place: u32) -> (usize, usize) {
    let place = place as usize;
    (place / RUN, place % RUN)
}

/// Records that are allocated together.
const RUN: usize = 64;

impl Record {
    pub(super) fn new(session: &Session, access: Access, names: &mut Names) -> Self {
        let Beside { sso, expires } = Beside::of(session);
        Self {
            packed: Packed::new(session, names),
            sso,
            expires,
            last_access: AtomicU64::new(access.counts.as_millis()),
            written: AtomicU64::new(access.written.as_millis()),
            indexed: access.counts,
        }
    }

    /// The session, unpacked.
    pub(super) fn session(&self, names: &Names) -> Option<Session> {
        self.packed.session(self.beside(), names)
    }

    /// The session of a record that is gone: the names that it shared are let go.
    pub(super) fn take(self, names: &mut Names) -> Option<Session> {
        let beside = self.beside();
        self.packed.take(beside, names)
    }

    /// Puts another session in the place of this one, under the same id; answers the one that stood there.
    pub(super) fn replace(&mut self, session: &Session, names: &mut Names) -> Option<Session> {
        let beside = self.beside();
        // The new one is packed first, so that the names that both have are never let go.
        let packed = Packed::new(session, names);
        self.expires = session.facts.expires;
        std::mem::replace(&mut self.packed, packed).take(beside, names)
    }

    pub(super) const fn sso(&self) -> SsoId {
        self.sso
    }

    pub(super) const fn expires(&self) -> Timestamp {
        self.expires
    }

    pub(super) fn goes_idle(&self) -> bool {
        self.packed.goes_idle()
    }

    pub(super) const fn indexed(&self) -> Timestamp {
        self.indexed
    }

    /// Notes under which access the index has the record.
    pub(super) const fn set_indexed(&mut self, access: Timestamp) {
        self.indexed = access;
    }

    pub(super) fn last_access(&self) -> Timestamp {
        Timestamp::from_millis(self.last_access.load(Ordering::Relaxed))
    }

    pub(super) fn set_last_access(&self, access: Timestamp) {
        self.last_access
            .store(access.as_millis(), Ordering::Relaxed);
    }

    /// Notes an access; answers whether it is the one to write back, which it is for one caller.
    pub(super) fn touch(&self, now: Timestamp, write_back_interval: std::time::Duration) -> bool {
        self.last_access
            .fetch_max(now.as_millis(), Ordering::Relaxed);
        let written = self.written.load(Ordering::Relaxed);
        now >= Timestamp::from_millis(written).after(write_back_interval)
            && self
                .written
                .compare_exchange(
                    written,
                    now.as_millis(),
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// The last access, which then counts as written.
    pub(super) fn write_back(&self) -> Timestamp {
        let access = self.last_access();
        self.written.store(access.as_millis(), Ordering::Relaxed);
        access
    }

    pub(super) fn is_unwritten(&self) -> bool {
        self.last_access().as_millis() > self.written.load(Ordering::Relaxed)
    }

    const fn beside(&self) -> Beside {
        Beside {
            sso: self.sso,
            expires: self.expires,
        }
    }
}

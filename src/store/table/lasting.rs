//! What crosses a restart: records and ends taken up from an earlier process, accesses to be written
//! back, and changes taken back that did not become durable.
//!
//! Where any of it is kept between two processes is the disk's business.

use std::sync::atomic::Ordering;

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::store::table::Change;
use crate::store::table::Record;
use crate::store::table::Table;

/// What became of a record of an earlier process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Loaded {
    /// Its SSO session has ended, so it may be forgotten durably too.
    Ended,
    /// Memory knows better already.
    Overtaken,
    /// It stands.
    Stands,
}

/// What became of a change that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Undone {
    /// The record had been changed again, or was gone; what builds on the change is on its way.
    Overtaken,
    /// It is as if it had not been.
    Wholly,
}

/// The last access of a record as it was written, and as it counts.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Access {
    /// What the store has.
    pub(in crate::store) written: Timestamp,
    /// What counts from here on.
    pub(in crate::store) counts: Timestamp,
}

impl Table {
    /// Takes up an end that an earlier process made durable.
    pub(in crate::store) fn restore(&self, position: Position, end: End) {
        if let End::Tombstone { sso, .. } = &end {
            self.shard(sso).write().tombstones.insert(*sso, position);
        }
        self.ends.restore(position, end);
    }

    /// Lets the next end have a place after `position`.
    pub(in crate::store) fn skip_to(&self, position: Position) {
        self.ends.skip_to(position);
    }

    /// Takes up a record that an earlier process made durable. The journal is told of a tombstone that
    /// takes its place.
    pub(in crate::store) fn load(
        &self,
        session: &Session,
        access: Access,
        journal: impl FnOnce(Change),
    ) -> Loaded {
        let sso = session.facts.sso;
        let mut shard = self.shard(&sso).write();
        let cut_offs = self.ends.hold();
        if shard.gone.as_ref().is_none_or(|gone| gone.contains(&sso)) {
            return Loaded::Overtaken;
        }
        if shard.records.get(&sso).is_some() {
            return Loaded::Overtaken;
        }
        if shard.tombstones.contains_key(&sso) {
            return Loaded::Ended;
        }
        if let Some(cover) = cut_offs.cover(session) {
            self.refuse(&mut shard, cover, session, journal);
            return Loaded::Ended;
        }
        self.place(&mut shard, session, access);
        Loaded::Stands
    }

    /// Whether records of an earlier process may still be missing.
    pub(in crate::store) fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Acquire)
    }

    /// From here on, what the table does not hold does not exist.
    pub(in crate::store) fn complete(&self) {
        self.shards
            .iter()
            .for_each(|shard| shard.write().gone = None);
        self.loading.store(false, Ordering::Release);
    }

    /// The last access to write for a record, which then counts as written.
    pub(in crate::store) fn write_back(&self, sso: &SsoId) -> Option<Timestamp> {
        let shard = self.shard(sso).read();
        shard.records.get(sso).map(Record::write_back)
    }

    /// Every record whose last access is not written.
    pub(in crate::store) fn unwritten(&self) -> Vec<SsoId> {
        self.shards
            .iter()
            .flat_map(|shard| shard.read().unwritten())
            .collect()
    }

    /// Takes back an insert that could not be made durable, whatever replaced it since.
    pub(in crate::store) fn undo_insert(
        &self,
        session: &Session,
        journal: impl FnOnce(Change),
    ) -> Undone {
        let Some(standing) = self.peek(&session.facts.sso) else {
            return Undone::Overtaken;
        };
        if standing.id != session.id {
            return Undone::Overtaken;
        }
        self.remove(&session.facts.sso, journal);
        if standing.version == session.version {
            Undone::Wholly
        } else {
            Undone::Overtaken
        }
    }

    /// Takes back a replacement that could not be made durable, unless it was replaced itself.
    pub(in crate::store) fn undo_replace(&self, new: &Session, old: &Session) -> Undone {
        let sso = new.facts.sso;
        let mut shard = self.shard(&sso).write();
        if self.unpacked(&shard, &sso).as_ref() != Some(new) {
            return Undone::Overtaken;
        }
        self.put(&mut shard, old);
        Undone::Wholly
    }
}

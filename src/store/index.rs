//! The indexes over the records: by user, by session at the identity provider, by absolute expiry, by
//! last activity, and those that wait for their release.
//!
//! They hold the numbers of slots, and hashes in place of names: a few bytes for each record. The table keeps
//! them exact: a slot stands here as long as its record stands. Whoever was told of one looks again whether
//! the record there is one that was asked for.

use std::collections::BTreeSet;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::ops::Bound;

use foldhash::fast::RandomState;

use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::store::sorted::Sorted;

/// A user of one identity store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct UserKey {
    store: StoreName,
    subject: UserName,
}

impl UserKey {
    pub(super) fn new(store: &StoreName, subject: &UserName) -> Self {
        Self {
            store: store.clone(),
            subject: subject.clone(),
        }
    }

    pub(super) fn of(facts: &SsoFacts) -> Self {
        Self::new(&facts.store, &facts.subject)
    }
}

/// The number of the place that a record has in the table. When the record is gone, another may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(pub(super) u32);

/// A place in one of the indexes by time; in two halves, a time leaves no gap in front of the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment {
    high: u32,
    low: u32,
    slot: Slot,
}

impl Moment {
    pub(super) fn new(time: Timestamp, slot: Slot) -> Self {
        let [a, b, c, d, e, f, g, h] = time.as_millis().to_be_bytes();
        Self {
            high: u32::from_be_bytes([a, b, c, d]),
            low: u32::from_be_bytes([e, f, g, h]),
            slot,
        }
    }

    pub(super) fn time(self) -> Timestamp {
        Timestamp::from_millis((u64::from(self.high) << 32) | u64::from(self.low))
    }

    pub(super) const fn slot(self) -> Slot {
        self.slot
    }
}

/// Where records are found otherwise than by id.
#[derive(Debug, Default)]
pub(super) struct Index {
    hasher: RandomState,
    users: Sorted<(u32, Slot)>,
    providers: Sorted<(u32, Slot)>,
    expiries: Sorted<Moment>,
    accesses: Sorted<Moment>,
    pending: BTreeSet<SsoId>,
    /// The pending record that was told of last.
    pending_told: Option<SsoId>,
}

impl Index {
    pub(super) fn add(&mut self, slot: Slot, session: &Session, access: Timestamp) {
        let facts = &session.facts;
        let user = self.user_hash(&facts.store, &facts.subject);
        self.users.insert((user, slot), ());
        if let Some(provider_session) = session.provider_session {
            let provider = self.hash(&provider_session);
            self.providers.insert((provider, slot), ());
        }
        self.expiries.insert(Moment::new(facts.expires, slot), ());
        if session.state == SessionState::Live {
            self.accesses.insert(Moment::new(access, slot), ());
        }
        if matches!(session.state, SessionState::Pending(_)) {
            self.pending.insert(facts.sso);
        }
    }

    pub(super) fn remove(&mut self, slot: Slot, session: &Session, access: Timestamp) {
        let facts = &session.facts;
        let user = self.user_hash(&facts.store, &facts.subject);
        self.users.remove(&(user, slot));
        if let Some(provider_session) = session.provider_session {
            let provider = self.hash(&provider_session);
            self.providers.remove(&(provider, slot));
        }
        self.expiries.remove(&Moment::new(facts.expires, slot));
        self.accesses.remove(&Moment::new(access, slot));
        self.pending.remove(&facts.sso);
    }

    pub(super) fn move_access(&mut self, slot: Slot, from: Timestamp, to: Timestamp) {
        self.accesses.remove(&Moment::new(from, slot));
        self.accesses.insert(Moment::new(to, slot), ());
    }

    /// The records that may be a user's: all that are, and seldom another.
    pub(super) fn of_user(&self, store: &StoreName, subject: &UserName) -> Vec<Slot> {
        under(&self.users, self.user_hash(store, subject))
    }

    /// The records that may have begun with a session at an identity provider, in the same way.
    pub(super) fn of_provider(&self, provider_session: ProviderSessionId) -> Vec<Slot> {
        under(&self.providers, self.hash(&provider_session))
    }

    /// Records that wait for their release, at most `limit`. Each call goes on behind the one before,
    /// so that those whose peer stays silent do not keep the others from being told of.
    pub(super) fn next_pending(&mut self, limit: usize) -> Vec<SsoId> {
        let told = self.pending_told;
        let after = told.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.pending.range((after, Bound::Unbounded));
        let before = told.map(|told| self.pending.range(..=told));
        let pending: Vec<SsoId> = behind
            .chain(before.into_iter().flatten())
            .take(limit)
            .copied()
            .collect();
        self.pending_told = pending.last().copied().or(told);
        pending
    }

    /// The records that expire by `now`, earliest first.
    pub(super) fn expired(&self, now: Timestamp, limit: usize) -> Vec<Slot> {
        self.expiries
            .iter()
            .map(|(moment, ())| *moment)
            .take_while(|moment| moment.time() <= now)
            .take(limit)
            .map(Moment::slot)
            .collect()
    }

    /// The records that expire before those looked at so far, the latest first.
    pub(super) fn before(&self, place: Option<Moment>, limit: usize) -> Vec<Moment> {
        let earlier = self.expiries.before(place);
        earlier.take(limit).map(|(moment, ())| *moment).collect()
    }

    /// The records indexed under an access of `until` or earlier, after the place `after`.
    ///
    /// The index learns of later accesses lazily, so each has to be looked at.
    pub(super) fn quiet(
        &self,
        after: Option<Moment>,
        until: Timestamp,
        limit: usize,
    ) -> Vec<Moment> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.accesses
            .range(from)
            .map(|(moment, ())| *moment)
            .take_while(|moment| moment.time() <= until)
            .take(limit)
            .collect()
    }

    fn user_hash(&self, store: &StoreName, subject: &UserName) -> u32 {
        self.hash(&(store.as_str(), subject.as_str()))
    }

    /// With a seed, so that nobody can choose names that share one.
    fn hash(&self, what: &impl Hash) -> u32 {
        u32::try_from(self.hasher.hash_one(what) >> 32).unwrap_or_default()
    }
}

fn under(entries: &Sorted<(u32, Slot)>, hash: u32) -> Vec<Slot> {
    entries
        .range(Bound::Included((hash, Slot(0))))
        .map(|((own, slot), ())| (*own, *slot))
        .take_while(|(own, _)| *own == hash)
        .map(|(_, slot)| slot)
        .collect()
}

//! The indexes over the records: by user, by absolute expiry and by last activity.
//!
//! They hold ids only. The table keeps them exact: an id stands here as long as its record stands.

use std::collections::BTreeSet;
use std::collections::HashMap;

use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

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

/// A place in one of the indexes by time.
pub(super) type Slot = (Timestamp, SsoId);

/// Where records are found otherwise than by id.
#[derive(Debug, Default)]
pub(super) struct Index {
    users: HashMap<UserKey, BTreeSet<SsoId>>,
    expiries: BTreeSet<Slot>,
    accesses: BTreeSet<Slot>,
}

impl Index {
    pub(super) fn add(&mut self, facts: &SsoFacts, access: Timestamp) {
        self.users
            .entry(UserKey::of(facts))
            .or_default()
            .insert(facts.sso);
        self.expiries.insert((facts.expires, facts.sso));
        self.accesses.insert((access, facts.sso));
    }

    pub(super) fn remove(&mut self, facts: &SsoFacts, access: Timestamp) {
        let user = UserKey::of(facts);
        if let Some(sessions) = self.users.get_mut(&user) {
            sessions.remove(&facts.sso);
            if sessions.is_empty() {
                self.users.remove(&user);
            }
        }
        self.expiries.remove(&(facts.expires, facts.sso));
        self.accesses.remove(&(access, facts.sso));
    }

    pub(super) fn move_access(&mut self, sso: SsoId, from: Timestamp, to: Timestamp) {
        self.accesses.remove(&(from, sso));
        self.accesses.insert((to, sso));
    }

    pub(super) fn of_user(&self, user: &UserKey) -> Vec<SsoId> {
        self.users
            .get(user)
            .map(|sessions| sessions.iter().copied().collect())
            .unwrap_or_default()
    }

    /// The records that expire by `now`, earliest first.
    pub(super) fn expired(&self, now: Timestamp, limit: usize) -> Vec<SsoId> {
        self.expiries
            .iter()
            .take_while(|(expires, _)| *expires <= now)
            .take(limit)
            .map(|(_, sso)| *sso)
            .collect()
    }

    /// The records indexed under an access of `until` or earlier, after the place `after`.
    ///
    /// The index learns of later accesses lazily, so each has to be looked at.
    pub(super) fn quiet(&self, after: Option<Slot>, until: Timestamp, limit: usize) -> Vec<Slot> {
        let from = after.map_or(std::ops::Bound::Unbounded, std::ops::Bound::Excluded);
        self.accesses
            .range((from, std::ops::Bound::Unbounded))
            .take_while(|(access, _)| *access <= until)
            .take(limit)
            .copied()
            .collect()
    }
}

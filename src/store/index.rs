//! The indexes over the records: by user, by session at the identity provider, by absolute expiry, by
//! last activity, and those that wait for their release.
//!
//! They hold ids only. The table keeps them exact: an id stands here as long as its record stands.

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;
use std::ops::Bound;

use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Session;
use crate::model::session::SessionState;
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

/// Whether a record may be dropped for want of activity (S-20). A stub, a copy that waits for its
/// release and an ended record serve nobody; each stands for something until the SSO session expires.
pub(super) const fn goes_idle(session: &Session) -> bool {
    match session.state {
        SessionState::Live => true,
        SessionState::Ended | SessionState::Moved { .. } | SessionState::Pending(_) => false,
    }
}

/// Where records are found otherwise than by id.
#[derive(Debug, Default)]
pub(super) struct Index {
    users: HashMap<UserKey, Sessions>,
    providers: BTreeSet<(ProviderSessionId, SsoId)>,
    expiries: BTreeSet<Slot>,
    accesses: BTreeSet<Slot>,
    pending: BTreeSet<SsoId>,
    /// The pending record that was told of last.
    pending_told: Option<SsoId>,
}

impl Index {
    pub(super) fn add(&mut self, session: &Session, access: Timestamp) {
        let facts = &session.facts;
        self.users
            .entry(UserKey::of(facts))
            .and_modify(|sessions| sessions.add(facts.sso))
            .or_insert(Sessions::One(facts.sso));
        if let Some(provider_session) = session.provider_session {
            self.providers.insert((provider_session, facts.sso));
        }
        self.expiries.insert((facts.expires, facts.sso));
        if goes_idle(session) {
            self.accesses.insert((access, facts.sso));
        }
        if matches!(session.state, SessionState::Pending(_)) {
            self.pending.insert(facts.sso);
        }
    }

    pub(super) fn remove(&mut self, session: &Session, access: Timestamp) {
        let facts = &session.facts;
        if let Place::Occupied(mut sessions) = self.users.entry(UserKey::of(facts))
            && sessions.get_mut().remove(&facts.sso) == Left::None
        {
            sessions.remove();
        }
        if let Some(provider_session) = session.provider_session {
            self.providers.remove(&(provider_session, facts.sso));
        }
        self.expiries.remove(&(facts.expires, facts.sso));
        self.accesses.remove(&(access, facts.sso));
        self.pending.remove(&facts.sso);
    }

    pub(super) fn move_access(&mut self, sso: SsoId, from: Timestamp, to: Timestamp) {
        self.accesses.remove(&(from, sso));
        self.accesses.insert((to, sso));
    }

    pub(super) fn of_user(&self, user: &UserKey) -> Vec<SsoId> {
        self.users.get(user).map(Sessions::all).unwrap_or_default()
    }

    pub(super) fn of_provider(&self, provider_session: ProviderSessionId) -> Vec<SsoId> {
        let first = (provider_session, SsoId::from_bytes([0; 16]));
        let last = (provider_session, SsoId::from_bytes([u8::MAX; 16]));
        self.providers
            .range(first..=last)
            .map(|(_, sso)| *sso)
            .collect()
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
    pub(super) fn expired(&self, now: Timestamp, limit: usize) -> Vec<SsoId> {
        self.expiries
            .iter()
            .take_while(|(expires, _)| *expires <= now)
            .take(limit)
            .map(|(_, sso)| *sso)
            .collect()
    }

    /// The records that expire before those looked at so far, the latest first.
    pub(super) fn before(&self, place: Option<Slot>, limit: usize) -> Vec<Slot> {
        let until = place.map_or(Bound::Unbounded, Bound::Excluded);
        let earlier = self.expiries.range((Bound::Unbounded, until));
        earlier.rev().take(limit).copied().collect()
    }

    /// The records indexed under an access of `until` or earlier, after the place `after`.
    ///
    /// The index learns of later accesses lazily, so each has to be looked at.
    pub(super) fn quiet(&self, after: Option<Slot>, until: Timestamp, limit: usize) -> Vec<Slot> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.accesses
            .range((from, Bound::Unbounded))
            .take_while(|(access, _)| *access <= until)
            .take(limit)
            .copied()
            .collect()
    }
}

/// The sessions of one user. Most users have one, and a set for it would weigh more than all else that
/// the indexes hold of it.
#[derive(Debug)]
enum Sessions {
    One(SsoId),
    Several(BTreeSet<SsoId>),
}

/// What a removal leaves.
#[derive(PartialEq, Eq)]
enum Left {
    None,
    Some,
}

impl Sessions {
    fn add(&mut self, sso: SsoId) {
        match self {
            Self::One(one) if *one == sso => {}
            Self::One(one) => *self = Self::Several(BTreeSet::from([*one, sso])),
            Self::Several(several) => {
                several.insert(sso);
            }
        }
    }

    fn remove(&mut self, sso: &SsoId) -> Left {
        let is_empty = match self {
            Self::One(one) => one == sso,
            Self::Several(several) => {
                several.remove(sso);
                several.is_empty()
            }
        };
        if is_empty { Left::None } else { Left::Some }
    }

    fn all(&self) -> Vec<SsoId> {
        match self {
            Self::One(one) => vec![*one],
            Self::Several(several) => several.iter().copied().collect(),
        }
    }
}

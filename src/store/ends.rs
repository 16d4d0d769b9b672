//! The end log in memory: entries by position, the standing cut-offs and moves, what may be trimmed
//! (S-14, S-15).
//!
//! Which records an end concerns is the table's business; tombstones stand in its shards.

use std::collections::HashMap;
use std::ops::Bound;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use parking_lot::RwLock;
use parking_lot::RwLockReadGuard;

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::session::Rank;
use crate::model::session::Session;
use crate::model::time::Timestamp;
use crate::store::index::UserKey;
use crate::store::sorted::Sorted;
use crate::store::table::Change;

/// The ends that one store knows.
#[derive(Debug, Default)]
pub(super) struct Ends {
    log: Mutex<Log>,
    cut_offs: RwLock<Standing>,
    /// Lets the question on every request be answered without a lock while no user is cut off.
    users_count: AtomicUsize,
}

/// What became of an end that has no place of its own for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    /// One that says as much stands here.
    Standing(Position),
    /// It stands here.
    New {
        /// Its place.
        position: Position,
        /// The entry that it took the place of.
        superseded: Option<Position>,
    },
}

impl Ends {
    /// Appends a tombstone; the caller knows that none stands. What was known of a move is of no more
    /// use, and its place is answered too.
    pub(super) fn entomb(&self, sso: &SsoId, end: End) -> (Position, Option<Position>) {
        let mut log = self.log.lock();
        let superseded = log.moves.get(sso).copied();
        (log.supersede(superseded, end), superseded)
    }

    /// Appends a move unless one to the same or a higher rank stands (S-4).
    pub(super) fn note_move(&self, sso: &SsoId, holder: &Rank, end: End) -> Placed {
        let mut log = self.log.lock();
        let superseded = log.moves.get(sso).copied();
        if let Some(position) = superseded
            && let Some(End::Moved {
                holder: standing, ..
            }) = log.entries.get(&position)
            && holder <= standing
        {
            return Placed::Standing(position);
        }
        let position = log.supersede(superseded, end);
        Placed::New {
            position,
            superseded,
        }
    }

    /// The holder that the standing move of a session names.
    pub(super) fn holder(&self, sso: &SsoId) -> Option<Rank> {
        let log = self.log.lock();
        match log.entries.get(log.moves.get(sso)?)? {
            End::Moved { holder, .. } => Some(holder.clone()),
            End::Tombstone { .. } | End::UserCutOff { .. } | End::ProviderCutOff { .. } => None,
        }
    }

    /// Puts back an entry that was durable before this process began.
    pub(super) fn restore(&self, position: Position, end: End) {
        match &end {
            End::Tombstone { .. } | End::Moved { .. } => {}
            End::UserCutOff {
                store,
                subject,
                authenticated_before: before,
                ..
            } => self.cut_offs.write().users.insert(
                UserKey::new(store, subject),
                CutOff {
                    before: *before,
                    position,
                },
                &self.users_count,
            ),
            End::ProviderCutOff { session, .. } => {
                self.cut_offs.write().providers.insert(*session, position);
            }
        }
        self.log.lock().insert(position, end);
    }

    /// Lets the next entry have a place after `position`.
    pub(super) fn skip_to(&self, position: Position) {
        let mut log = self.log.lock();
        log.last = log.last.max(position);
    }

    /// The last place that was given out.
    pub(super) fn head(&self) -> Position {
        self.log.lock().last
    }

    /// Sets a cut-off unless one stands that says as much, telling the journal before anyone can see
    /// it. Of two for one user the later counts, and lives as long as the longer-lived.
    pub(super) fn cut_off_user(
        &self,
        user: UserKey,
        mut end: End,
        journal: impl FnOnce(Change),
    ) -> Position {
        let mut cut_offs = self.cut_offs.write();
        let mut log = self.log.lock();
        let superseded = cut_offs.users.position(&user);
        if let Some(position) = superseded
            && let Some(entry) = log.entries.get(&position)
            && merge(&mut end, entry) == Merged::SaysAsMuch
        {
            return position;
        }
        let position = log.supersede(superseded, end.clone());
        let cut_off = CutOff {
            before: before(&end),
            position,
        };
        cut_offs.users.insert(user, cut_off, &self.users_count);
        journal(Change::Ended {
            position,
            end,
            superseded,
        });
        position
    }

    /// The same for a session at an identity provider; the longer-lived counts.
    pub(super) fn cut_off_provider(
        &self,
        session: ProviderSessionId,
        end: End,
        journal: impl FnOnce(Change),
    ) -> Position {
        let mut cut_offs = self.cut_offs.write();
        let mut log = self.log.lock();
        let superseded = cut_offs.providers.get(&session).copied();
        if let Some(position) = superseded
            && let Some(entry) = log.entries.get(&position)
            && expires(&end) <= expires(entry)
        {
            return position;
        }
        let position = log.supersede(superseded, end.clone());
        cut_offs.providers.insert(session, position);
        journal(Change::Ended {
            position,
            end,
            superseded,
        });
        position
    }

    /// Keeps cut-offs from being set for as long as the answer is held.
    pub(super) fn hold(&self) -> CutOffs<'_> {
        CutOffs(self.cut_offs.read())
    }

    pub(super) fn cut_off(&self, user: &UserKey) -> Option<Timestamp> {
        if self.users_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let cut_offs = self.cut_offs.read();
        cut_offs.users.0.get(user).map(|cut_off| cut_off.before)
    }

    pub(super) fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)> {
        let log = self.log.lock();
        log.entries
            .range(Bound::Excluded(position))
            .take(limit)
            .map(|(at, end)| (*at, end.clone()))
            .collect()
    }

    /// The entries that expired before `before`, at most `limit`.
    pub(super) fn expired(&self, before: Timestamp, limit: usize) -> Vec<(Position, End)> {
        let log = self.log.lock();
        log.expiries
            .iter()
            .map(|(expiry, ())| expiry)
            .take_while(|(expires, _)| *expires < before)
            .take(limit)
            .filter_map(|(_, at)| log.entries.get(at).map(|end| (*at, end.clone())))
            .collect()
    }

    /// Forgets an entry and the cut-off that it set.
    pub(super) fn forget(&self, position: Position, end: &End) {
        match end {
            End::Tombstone { .. } | End::Moved { .. } => {}
            End::UserCutOff { store, subject, .. } => {
                let user = UserKey::new(store, subject);
                let mut cut_offs = self.cut_offs.write();
                if cut_offs.users.position(&user) == Some(position) {
                    cut_offs.users.remove(&user, &self.users_count);
                }
            }
            End::ProviderCutOff { session, .. } => {
                let mut cut_offs = self.cut_offs.write();
                if cut_offs.providers.get(session) == Some(&position) {
                    cut_offs.providers.remove(session);
                }
            }
        }
        self.log.lock().forget(position);
    }
}

/// The cut-offs, held still.
pub(super) struct CutOffs<'a>(RwLockReadGuard<'a, Standing>);

/// What a cut-off that concerns a record goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    /// The session at the identity provider.
    Provider,
    /// The user.
    User,
}

impl CutOffs<'_> {
    /// Which kind of cut-off concerns a record, if any does.
    pub(super) fn cover(&self, session: &Session) -> Option<Cover> {
        let Standing { users, providers } = &*self.0;
        let facts = &session.facts;
        if let Some(provider_session) = &session.provider_session
            && providers.contains_key(provider_session)
        {
            return Some(Cover::Provider);
        }
        let is_user_cut_off = !users.0.is_empty()
            && users
                .0
                .get(&UserKey::of(facts))
                .is_some_and(|cut_off| facts.first_authenticated < cut_off.before);
        is_user_cut_off.then_some(Cover::User)
    }
}

#[derive(Debug, Default)]
struct Standing {
    users: Users,
    providers: HashMap<ProviderSessionId, Position>,
}

#[derive(Debug, Default)]
struct Users(HashMap<UserKey, CutOff>);

impl Users {
    fn position(&self, user: &UserKey) -> Option<Position> {
        self.0.get(user).map(|cut_off| cut_off.position)
    }

    fn insert(&mut self, user: UserKey, cut_off: CutOff, count: &AtomicUsize) {
        self.0.insert(user, cut_off);
        count.store(self.0.len(), Ordering::Release);
    }

    fn remove(&mut self, user: &UserKey, count: &AtomicUsize) {
        self.0.remove(user);
        count.store(self.0.len(), Ordering::Release);
    }
}

#[derive(Debug)]
struct CutOff {
    before: Timestamp,
    position: Position,
}

#[derive(Debug, Default)]
struct Log {
    entries: Sorted<Position, End>,
    expiries: Sorted<(Timestamp, Position)>,
    /// The one standing move of each SSO session that has moved.
    moves: HashMap<SsoId, Position>,
    last: Position,
}

impl Log {
    /// Appends an entry in place of another or of none.
    fn supersede(&mut self, standing: Option<Position>, end: End) -> Position {
        if let Some(standing) = standing {
            self.forget(standing);
        }
        let position = Position(self.last.0.saturating_add(1));
        self.insert(position, end);
        position
    }

    fn insert(&mut self, position: Position, end: End) {
        self.last = self.last.max(position);
        self.expiries.insert((expires(&end), position), ());
        if let End::Moved { sso, .. } = &end {
            self.moves.insert(*sso, position);
        }
        self.entries.insert(position, end);
    }

    fn forget(&mut self, position: Position) {
        let Some(end) = self.entries.remove(&position) else {
            return;
        };
        self.expiries.remove(&(expires(&end), position));
        if let End::Moved { sso, .. } = &end
            && self.moves.get(sso) == Some(&position)
        {
            self.moves.remove(sso);
        }
    }
}

#[derive(PartialEq, Eq)]
enum Merged {
    SaysAsMuch,
    SaysMore,
}

/// Widens the new cut-off by the standing one, and tells whether it says more than that did.
fn merge(new: &mut End, standing: &End) -> Merged {
    let End::UserCutOff {
        authenticated_before,
        expires: kept_until,
        ..
    } = new
    else {
        return Merged::SaysMore;
    };
    let says_more = *authenticated_before > before(standing) || *kept_until > expires(standing);
    *authenticated_before = before(standing).max(*authenticated_before);
    *kept_until = expires(standing).max(*kept_until);
    if says_more {
        Merged::SaysMore
    } else {
        Merged::SaysAsMuch
    }
}

const fn before(end: &End) -> Timestamp {
    match end {
        End::Tombstone { .. } | End::Moved { .. } | End::ProviderCutOff { .. } => {
            Timestamp::from_millis(0)
        }
        End::UserCutOff {
            authenticated_before,
            ..
        } => *authenticated_before,
    }
}

const fn expires(end: &End) -> Timestamp {
    match end {
        End::Tombstone { expires, .. }
        | End::Moved { expires, .. }
        | End::UserCutOff { expires, .. }
        | End::ProviderCutOff { expires, .. } => *expires,
    }
}

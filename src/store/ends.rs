//! The end log in memory: entries by position, the users' cut-offs, what may be trimmed (S-15).
//!
//! Which records an end concerns is the table's business; tombstones stand in its shards.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use parking_lot::RwLock;
use parking_lot::RwLockReadGuard;

use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::end_log::End;
use crate::ports::end_log::Position;
use crate::store::index::UserKey;
use crate::store::table::Change;

/// The ends that one store knows.
#[derive(Debug, Default)]
pub(super) struct Ends {
    log: Mutex<Log>,
    cut_offs: RwLock<HashMap<UserKey, CutOff>>,
    /// Lets the question on every request be answered without a lock while nobody is cut off.
    cut_offs_count: AtomicUsize,
}

impl Ends {
    /// Appends a tombstone; the caller knows that none stands.
    pub(super) fn append(&self, end: End) -> Position {
        self.log.lock().append(end)
    }

    /// Puts back an entry that was durable before this process began.
    pub(super) fn restore(&self, position: Position, end: End) {
        if let End::UserCutOff {
            store,
            subject,
            authenticated_before,
            ..
        } = &end
        {
            let cut_off = CutOff {
                before: *authenticated_before,
                position,
            };
            self.cut_offs
                .write()
                .insert(UserKey::new(store, subject), cut_off);
            self.cut_offs_count.fetch_add(1, Ordering::Release);
        }
        self.log.lock().insert(position, end);
    }

    /// Lets the next entry have a place after `position`.
    pub(super) fn skip_to(&self, position: Position) {
        let mut log = self.log.lock();
        log.last = log.last.max(position);
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
        let standing = cut_offs.get(&user).map(|cut_off| cut_off.position);
        if let Some(position) = standing
            && let Some(entry) = log.entries.get(&position)
            && merge(&mut end, entry) == Merged::SaysAsMuch
        {
            return position;
        }
        match standing {
            None => {
                self.cut_offs_count.fetch_add(1, Ordering::Release);
            }
            Some(position) => log.forget(position),
        }
        let position = log.append(end.clone());
        cut_offs.insert(
            user,
            CutOff {
                before: before(&end),
                position,
            },
        );
        journal(Change::Ended {
            position,
            end,
            superseded: standing,
        });
        position
    }

    /// Keeps cut-offs from being set for as long as the answer is held.
    pub(super) fn hold(&self) -> CutOffs<'_> {
        CutOffs(self.cut_offs.read())
    }

    pub(super) fn cut_off(&self, user: &UserKey) -> Option<Timestamp> {
        if self.cut_offs_count.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.cut_offs.read().get(user).map(|cut_off| cut_off.before)
    }

    pub(super) fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)> {
        let after = (
            std::ops::Bound::Excluded(position),
            std::ops::Bound::Unbounded,
        );
        let log = self.log.lock();
        log.entries
            .range(after)
            .take(limit)
            .map(|(at, end)| (*at, end.clone()))
            .collect()
    }

    /// The entries that expired before `before`, at most `limit`.
    pub(super) fn expired(&self, before: Timestamp, limit: usize) -> Vec<(Position, End)> {
        let log = self.log.lock();
        log.expiries
            .iter()
            .take_while(|(expires, _)| *expires < before)
            .take(limit)
            .filter_map(|(_, at)| log.entries.get(at).map(|end| (*at, end.clone())))
            .collect()
    }

    /// Forgets an entry and the cut-off that it set.
    pub(super) fn forget(&self, position: Position, end: &End) {
        if let End::UserCutOff { store, subject, .. } = end {
            let user = UserKey::new(store, subject);
            let mut cut_offs = self.cut_offs.write();
            if cut_offs
                .get(&user)
                .is_some_and(|cut_off| cut_off.position == position)
            {
                cut_offs.remove(&user);
                self.cut_offs_count.fetch_sub(1, Ordering::Release);
            }
        }
        self.log.lock().forget(position);
    }
}

/// The cut-offs, held still.
pub(super) struct CutOffs<'a>(RwLockReadGuard<'a, HashMap<UserKey, CutOff>>);

impl CutOffs<'_> {
    /// Whether a cut-off concerns an SSO session.
    pub(super) fn cover(&self, facts: &SsoFacts) -> bool {
        !self.0.is_empty()
            && self
                .0
                .get(&UserKey::of(facts))
                .is_some_and(|cut_off| facts.first_authenticated < cut_off.before)
    }
}

#[derive(Debug)]
struct CutOff {
    before: Timestamp,
    position: Position,
}

#[derive(Debug, Default)]
struct Log {
    entries: BTreeMap<Position, End>,
    expiries: BTreeSet<(Timestamp, Position)>,
    last: Position,
}

impl Log {
    fn append(&mut self, end: End) -> Position {
        let position = Position(self.last.0.saturating_add(1));
        self.insert(position, end);
        position
    }

    fn insert(&mut self, position: Position, end: End) {
        self.last = self.last.max(position);
        self.expiries.insert((expires(&end), position));
        self.entries.insert(position, end);
    }

    fn forget(&mut self, position: Position) {
        if let Some(end) = self.entries.remove(&position) {
            self.expiries.remove(&(expires(&end), position));
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
        End::Tombstone { .. } => Timestamp::from_millis(0),
        End::UserCutOff {
            authenticated_before,
            ..
        } => *authenticated_before,
    }
}

const fn expires(end: &End) -> Timestamp {
    match end {
        End::Tombstone { expires, .. } | End::UserCutOff { expires, .. } => *expires,
    }
}

//! What a store holds, in memory or on disk: records, the end log, how far the logs of others are read.
//!
//! Every change is a list of small ones, which memory takes at once and the disk later.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;
use portway::model::end::End;
use portway::model::end::Incarnation;
use portway::model::end::Position;
use portway::model::end::Pulled;
use portway::model::id::SsoId;
use portway::model::name::ClusterId;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Session;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;

use crate::plan::Records;

/// Records and ends, in memory or on disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contents {
    pub(crate) records: BTreeMap<SsoId, Arc<Session>>,
    /// Accesses that were noted since the record was written.
    pub(crate) accesses: BTreeMap<SsoId, Timestamp>,
    pub(crate) log: BTreeMap<Position, End>,
    last: Position,
    pub(crate) pulled: BTreeMap<ClusterId, Pulled>,
    /// Records that took the place of a tombstone; only a mutation makes any.
    pub(crate) revived: BTreeSet<SsoId>,
}

/// What survives a crash.
pub(crate) struct Disk {
    pub(crate) contents: Mutex<Contents>,
    pub(crate) is_full: AtomicBool,
    pub(crate) records: Records,
    pub(crate) incarnation: Incarnation,
    /// When this life of the log began, by the data centre's own clock.
    pub(crate) began: Timestamp,
}

/// One change of the contents.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Accessed(SsoId, Timestamp),
    Forget(Position),
    Log(Position, End),
    Pulled(ClusterId, Pulled),
    Put(Arc<Session>),
    Remove(SsoId),
}

impl Contents {
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Accessed(sso, at) => {
                self.accesses.insert(sso, at);
            }
            Change::Forget(position) => {
                self.log.remove(&position);
            }
            Change::Log(position, end) => {
                self.last = self.last.max(position);
                self.log.insert(position, end);
            }
            Change::Pulled(peer, pulled) => {
                self.pulled.insert(peer, pulled);
            }
            Change::Put(session) => {
                self.records.insert(session.facts.sso, session);
            }
            Change::Remove(sso) => {
                self.records.remove(&sso);
                self.accesses.remove(&sso);
            }
        }
    }

    /// Goes on behind every position that may have been told to others before a crash, and got lost.
    pub(crate) fn skip_lost_positions(&mut self) {
        self.last = Position(self.last.0 + POSITIONS_LOST_MAX);
    }

    /// What must be assumed of accesses that were not written back before a crash: the latest that is
    /// possible, at most `now`.
    pub(crate) fn accesses_after_crash(&self, now: Timestamp) -> BTreeMap<SsoId, Timestamp> {
        let access = |(sso, record): (&SsoId, &Arc<Session>)| {
            let written = self.accesses.get(sso).copied();
            let known = written.map_or(record.last_access, |at| at.max(record.last_access));
            (*sso, known.after(WRITTEN_BACK_EVERY).min(now))
        };
        self.records.iter().map(access).collect()
    }

    pub(crate) fn tombstone(&self, wanted: &SsoId) -> Option<Position> {
        if self.revived.contains(wanted) {
            return None;
        }
        self.log.iter().find_map(|(position, end)| match end {
            End::Tombstone { sso, .. } if sso == wanted => Some(*position),
            _ => None,
        })
    }

    pub(crate) fn cut_off(
        &self,
        store: &StoreName,
        subject: &UserName,
    ) -> Option<(Position, Timestamp)> {
        self.log.iter().find_map(|(position, end)| match end {
            End::UserCutOff {
                store: of,
                subject: whom,
                authenticated_before,
                ..
            } if of == store && whom == subject => Some((*position, *authenticated_before)),
            _ => None,
        })
    }

    /// Whether an end in the log concerns an SSO session.
    pub(crate) fn has_ended(&self, facts: &SsoFacts) -> bool {
        let cut_off = self.cut_off(&facts.store, &facts.subject);
        self.tombstone(&facts.sso).is_some()
            || cut_off.is_some_and(|(_, before)| facts.first_authenticated < before)
    }

    fn next(&self) -> Position {
        Position(self.last.0 + 1)
    }

    /// What appending an end changes: its place, and the changes that bring it there.
    pub(crate) fn appending(&self, end: &End) -> (Position, Vec<Change>) {
        match end {
            End::Tombstone { sso, .. } => match self.tombstone(sso) {
                Some(position) => (position, Vec::new()),
                None => self.placing(self.moved(sso).map(|(position, _)| position), end.clone()),
            },
            End::Moved { sso, holder, .. } => match (self.tombstone(sso), self.moved(sso)) {
                (Some(position), _) => (position, Vec::new()),
                (
                    None,
                    Some((
                        position,
                        End::Moved {
                            holder: standing, ..
                        },
                    )),
                ) if holder <= standing => (position, Vec::new()),
                (None, moved) => self.placing(moved.map(|(position, _)| position), end.clone()),
            },
            End::UserCutOff {
                store,
                subject,
                authenticated_before,
                expires,
            } => match self.cut_off(store, subject) {
                None => self.placing(None, end.clone()),
                Some((position, standing)) if *authenticated_before <= standing => {
                    (position, Vec::new())
                }
                Some((position, _)) => {
                    let kept_until = self.log.get(&position).map_or(*expires, expires_of);
                    let merged = End::UserCutOff {
                        store: store.clone(),
                        subject: subject.clone(),
                        authenticated_before: *authenticated_before,
                        expires: kept_until.max(*expires),
                    };
                    self.placing(Some(position), merged)
                }
            },
            End::ProviderCutOff { .. } => self.placing(None, end.clone()),
        }
    }

    pub(crate) fn moved(&self, wanted: &SsoId) -> Option<(Position, &End)> {
        self.log.iter().find_map(|(position, end)| match end {
            End::Moved { sso, .. } if sso == wanted => Some((*position, end)),
            _ => None,
        })
    }

    /// A place for a new entry, in place of another perhaps, without the records that it concerns.
    fn placing(&self, superseded: Option<Position>, end: End) -> (Position, Vec<Change>) {
        let position = self.next();
        let concerned = self
            .records
            .values()
            .filter(|session| concerns(&end, session));
        let removals = concerned.map(|session| Change::Remove(session.facts.sso));
        let mut changes: Vec<_> = superseded.map(Change::Forget).into_iter().collect();
        changes.extend(removals);
        changes.push(Change::Log(position, end));
        (position, changes)
    }
}

/// Whether an end takes a record away.
fn concerns(end: &End, session: &Session) -> bool {
    match end {
        End::Tombstone { sso, .. } => session.facts.sso == *sso,
        End::Moved { .. } => false,
        End::UserCutOff {
            store,
            subject,
            authenticated_before,
            ..
        } => {
            session.facts.store == *store
                && session.facts.subject == *subject
                && session.facts.first_authenticated < *authenticated_before
        }
        End::ProviderCutOff { session: of, .. } => session.provider_session == Some(*of),
    }
}

pub(crate) fn expires_of(end: &End) -> Timestamp {
    match end {
        End::Tombstone { expires, .. }
        | End::Moved { expires, .. }
        | End::UserCutOff { expires, .. }
        | End::ProviderCutOff { expires, .. } => *expires,
    }
}

impl Disk {
    /// An empty disk: a life of the end log begins.
    pub(crate) fn empty(incarnation: Incarnation, began: Timestamp, records: Records) -> Self {
        Self {
            contents: Mutex::default(),
            is_full: AtomicBool::new(false),
            records,
            incarnation,
            began,
        }
    }

    /// Whether a change is one that the disk keeps.
    pub(crate) const fn is_kept(&self, change: &Change) -> bool {
        match change {
            Change::Accessed(..) | Change::Put(_) | Change::Remove(_) => {
                matches!(self.records, Records::Durable)
            }
            Change::Forget(_) | Change::Log(..) | Change::Pulled(..) => true,
        }
    }

    pub(crate) fn write(&self, change: Change) {
        if self.is_kept(&change) {
            self.contents.lock().apply(change);
        }
    }
}

/// How often at most the last access of a session is written back.
pub(crate) const WRITTEN_BACK_EVERY: Duration = Duration::from_secs(5);
/// More ends than any process tells others of before they are on its disk.
const POSITIONS_LOST_MAX: u64 = 1_000;

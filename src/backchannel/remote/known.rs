//! What a gate without an engine remembers of sessions: the records that engines gave it, and ends.
//!
//! Bounded: the least used go first, and whoever watches is told, because an end of what is forgotten
//! would not be noticed. Whether a memory may be relied on is not judged here.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use moka::Entry;
use moka::notification::RemovalCause;
use moka::ops::compute::Op;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio::sync::broadcast;

use crate::model::claim::Claim;
use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::model::time::Timestamp;

/// What is remembered of one SSO session.
#[derive(Clone, Debug)]
pub(super) enum Remembered {
    /// It is over, for good.
    Ended,
    /// An engine said that it serves.
    Held(Arc<Held>),
}

/// What an engine said of a session that serves.
#[derive(Debug)]
pub(super) struct Held {
    /// Its record.
    pub(super) session: Arc<Session>,
    /// Which engine said so.
    pub(super) engine: usize,
    /// When it was asked.
    pub(super) asked: Timestamp,
    /// The unbroken time of following that engine in which it holds; none: it holds by itself, briefly.
    pub(super) period: Option<u64>,
    idle_timeout: Duration,
    last_access: AtomicU64,
    /// Whether the engine is still to be told of the last access.
    touched: AtomicBool,
}

impl Held {
    pub(super) fn new(
        session: Session,
        engine: usize,
        asked: Timestamp,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            last_access: AtomicU64::new(session.last_access.as_millis()),
            session: Arc::new(session),
            engine,
            asked,
            period: None,
            idle_timeout,
            touched: AtomicBool::new(false),
        }
    }

    /// Whether the record plainly serves a claim. In every other case the engine decides: it may know of
    /// a later access, or a later holder.
    pub(super) fn serves(&self, claim: &Claim, now: Timestamp) -> bool {
        let (own, theirs) = (&self.session.facts, &claim.facts);
        let limits = &claim.presented.limits;
        own.subject == theirs.subject
            && own.store == theirs.store
            && own.generation >= theirs.generation
            && own.level >= theirs.level
            && now < own.expires.min(theirs.expires)
            && !limits.is_outlived(own.first_authenticated, now)
            && now.since(self.last_access()) < limits.idle_timeout(self.idle_timeout)
    }

    /// Notes a request; true when the engine was not going to be told anyway.
    pub(super) fn touch(&self, now: Timestamp) -> bool {
        self.last_access
            .fetch_max(now.as_millis(), Ordering::Relaxed);
        !self.touched.swap(true, Ordering::AcqRel)
    }

    /// The last access, which the engine is about to be told.
    pub(super) fn take_touch(&self) -> Timestamp {
        self.touched.store(false, Ordering::Release);
        self.last_access()
    }

    fn last_access(&self) -> Timestamp {
        Timestamp::from_millis(self.last_access.load(Ordering::Relaxed))
    }
}

/// The memory.
pub(super) struct Known {
    sessions: Cache<SsoId, Remembered>,
    ended: broadcast::Sender<SsoId>,
}

impl Known {
    pub(super) fn new(sessions_max: usize, ended: broadcast::Sender<SsoId>) -> Self {
        let watchers = ended.clone();
        let sessions = Cache::builder()
            .max_capacity(sessions_max.max(1) as u64)
            // The newest is always let in: a request that was just permitted must find itself.
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(move |sso: Arc<SsoId>, _, cause| {
                if cause == RemovalCause::Size {
                    watchers.send(*sso).ok();
                }
            })
            .build();
        Self { sessions, ended }
    }

    pub(super) fn get(&self, sso: &SsoId) -> Option<Remembered> {
        self.sessions.get(sso)
    }

    /// Remembers a session that serves, unless it is over; false if it is.
    pub(super) fn keep(&self, held: Held) -> bool {
        let sso = held.session.facts.sso;
        let entry = self.sessions.entry(sso);
        let kept = entry.and_upsert_with(|before| match before.map(Entry::into_value) {
            Some(Remembered::Ended) => Remembered::Ended,
            Some(Remembered::Held(before)) => {
                // The record may lag behind what was noted here.
                held.last_access
                    .fetch_max(before.last_access().as_millis(), Ordering::Relaxed);
                Remembered::Held(Arc::new(held))
            }
            None => Remembered::Held(Arc::new(held)),
        });
        matches!(kept.value(), Remembered::Held(_))
    }

    /// Remembers that a session is over, and tells whoever watches if that is news.
    pub(super) fn end(&self, sso: SsoId) {
        let mut is_news = true;
        // As `keep` does, one after the other: an answer on its way must not bring the session back.
        self.sessions.entry(sso).and_upsert_with(|before| {
            is_news = !before.is_some_and(|before| matches!(before.value(), Remembered::Ended));
            Remembered::Ended
        });
        if is_news {
            self.announce(sso);
        }
    }

    /// Forgets what an engine said of a session, if it was that one.
    pub(super) fn forget(&self, sso: &SsoId, engine: usize) {
        let entry = self.sessions.entry(*sso);
        entry.and_compute_with(|before| match before.map(Entry::into_value) {
            Some(Remembered::Held(held)) if held.engine == engine => Op::Remove,
            Some(Remembered::Held(_) | Remembered::Ended) | None => Op::Nop,
        });
    }

    /// Forgets what an engine said, and tells whoever watches that the session has stopped serving.
    pub(super) fn stopped(&self, sso: SsoId, engine: usize) {
        self.forget(&sso, engine);
        self.announce(sso);
    }

    /// What is held by the word of one engine, beyond what following it covers.
    pub(super) fn held_by(&self, engine: usize) -> Vec<Arc<Held>> {
        let each = self.sessions.iter();
        each.filter_map(|(_, remembered)| match remembered {
            Remembered::Held(held) if held.engine == engine => Some(held),
            Remembered::Held(_) | Remembered::Ended => None,
        })
        .collect()
    }

    /// Nobody listening is fine.
    fn announce(&self, sso: SsoId) {
        self.ended.send(sso).ok();
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("sessions", &self.sessions.entry_count())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Known {
    /// Does at once what is left for a quiet moment.
    pub(super) fn sweep(&self) {
        self.sessions.run_pending_tasks();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;
    use crate::backchannel::remote::tests::rig_tests::IDLE_TIMEOUT;
    use crate::backchannel::remote::tests::rig_tests::session;

    /// R4: an answer that was on its way does not bring back what is over.
    #[test]
    fn an_end_stands_whatever_comes_at_the_same_time() {
        let known = Known::new(100_000, broadcast::channel(16).0);
        let both = Barrier::new(2);
        let answered = |number| {
            let held = Held::new(session(number), 0, Timestamp::default(), IDLE_TIMEOUT);
            both.wait();
            known.keep(held);
            known.forget(&session_id(number), 0);
        };
        let ended = |number| {
            both.wait();
            known.end(session_id(number));
        };
        let numbers = 0..5000;
        thread::scope(|threads| {
            threads.spawn(|| numbers.clone().for_each(answered));
            threads.spawn(|| numbers.clone().for_each(ended));
        });
        for number in numbers {
            let remembered = known.get(&session_id(number));
            assert!(matches!(remembered, Some(Remembered::Ended)), "{number}");
        }
    }

    fn session_id(number: u32) -> SsoId {
        session(number).facts.sso
    }
}

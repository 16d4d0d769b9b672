//! How a member of a pool is: what its requests, its checks, its answers and whoever runs the gateway say.
//!
//! What a member is, and how requests come to it, is `member`'s; what makes of it a state is decided in
//! `decision::upstream`. What every request reads is kept beside the locks.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use crate::config::Pool;
use crate::decision::upstream::ActiveHealth;
use crate::decision::upstream::Answer;
use crate::decision::upstream::Change;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::Outcome;
use crate::decision::upstream::Outlier;
use crate::decision::upstream::OutlierTerms;
use crate::decision::upstream::PassiveHealth;
use crate::decision::upstream::Verdict;
use crate::decision::upstream::percent_of_share;
use crate::model::time::Timestamp;

/// How a member is; one for all configurations that the member is part of.
pub(super) struct Standing {
    in_flight: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
    ejections: AtomicU64,
    is_drained: AtomicBool,
    is_down: AtomicBool,
    /// Whether a good answer would change something about `outlier`.
    has_record: AtomicBool,
    ejected_from: AtomicU64,
    ejected_until: AtomicU64,
    /// Since when it is new; 0 where it is not.
    new_since: AtomicU64,
    /// How long that lasts, in milliseconds; 0 where nobody is ever new.
    slow_start: AtomicU64,
    passive: Mutex<PassiveHealth>,
    active: Mutex<ActiveHealth>,
    outlier: Mutex<Outlier>,
    /// How many connections that carry many requests were given up.
    given_up: AtomicU64,
    /// Why the last health check failed, if it did.
    check_fault: Mutex<Option<String>>,
}

impl Standing {
    pub(super) fn new(pool: &Pool) -> Self {
        let check = pool.health_check.as_ref();
        let active = ActiveHealth::new(
            check.map_or(1, |check| check.healthy_after),
            check.map_or(1, |check| check.unhealthy_after),
        );
        Self {
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            is_drained: AtomicBool::new(false),
            is_down: AtomicBool::new(false),
            has_record: AtomicBool::new(false),
            ejected_from: AtomicU64::new(0),
            ejected_until: AtomicU64::new(0),
            new_since: AtomicU64::new(0),
            slow_start: AtomicU64::new(slow_start_of(pool)),
            passive: Mutex::new(PassiveHealth::new(pool.max_fails, pool.fail_timeout)),
            active: Mutex::new(active),
            outlier: Mutex::default(),
            given_up: AtomicU64::new(0),
            check_fault: Mutex::default(),
        }
    }

    /// Which of the connections that carry many requests the next one may go by. They come round again: pingora
    /// holds on to one that a request was dropped on, and looks after it once it is asked for.
    pub(super) fn connection(&self) -> u64 {
        self.given_up.load(Ordering::Relaxed) % CONNECTIONS_MAX
    }

    /// The next request goes by another connection: this one may hang, and who is on it already finds out by
    /// himself.
    pub(super) fn connects_anew(&self) {
        self.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// Goes by other settings, with what is known so far. What only a check could take back is forgotten
    /// where nothing is checked any more, and so are ejections where nothing is ejected.
    pub(super) fn retune(&self, pool: &Pool) {
        self.passive
            .lock()
            .retune(pool.max_fails, pool.fail_timeout);
        self.slow_start
            .store(slow_start_of(pool), Ordering::Relaxed);
        let mut active = self.active.lock();
        match &pool.health_check {
            Some(check) => active.retune(check.healthy_after, check.unhealthy_after),
            None => {
                *active = ActiveHealth::new(1, 1);
                *self.check_fault.lock() = None;
            }
        }
        self.is_down.store(active.is_down(), Ordering::Relaxed);
        drop(active);
        if pool.outliers.is_none() {
            let mut outlier = self.outlier.lock();
            *outlier = Outlier::default();
            self.keep(&outlier);
        }
    }

    /// How it is.
    pub(super) fn state(&self, now: Timestamp) -> MemberState {
        if self.is_down.load(Ordering::Relaxed) {
            MemberState::Down
        } else if self.is_drained() {
            MemberState::Drained
        } else if self.ejected_until(now).is_some() {
            MemberState::Ejected
        } else if self.passive.lock().is_out(now) {
            MemberState::Suspected
        } else {
            MemberState::Healthy
        }
    }

    /// Requests that are there now.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Requests that were ever sent there.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Those that failed there.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How often it was ejected.
    pub(super) fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// Until when it is ejected, if it is.
    pub(super) fn ejected_until(&self, now: Timestamp) -> Option<Timestamp> {
        let until = Timestamp::from_millis(self.ejected_until.load(Ordering::Relaxed));
        let from = || Timestamp::from_millis(self.ejected_from.load(Ordering::Relaxed));
        (now < until && from() <= now).then_some(until)
    }

    /// Whether whoever runs the gateway has taken it out.
    pub(super) fn is_drained(&self) -> bool {
        self.is_drained.load(Ordering::Relaxed)
    }

    /// Takes it out on the word of whoever runs the gateway, or lets it in again.
    pub(super) fn set_drained(&self, is_drained: bool, now: Timestamp) {
        let was = self.is_drained.swap(is_drained, Ordering::Relaxed);
        if was && !is_drained {
            self.is_new(now);
        }
    }

    /// It begins to serve, or to serve again, now or at some time to come.
    pub(super) fn is_new(&self, since: Timestamp) {
        self.new_since.store(since.as_millis(), Ordering::Relaxed);
    }

    /// How much of its share it gets; the time is asked for only where it matters.
    pub(super) fn percent_of_share(&self, now: impl FnOnce() -> Timestamp) -> u32 {
        let since = self.new_since.load(Ordering::Relaxed);
        if since == 0 {
            return 100;
        }
        let takes = Duration::from_millis(self.slow_start.load(Ordering::Relaxed));
        let (since, now) = (Timestamp::from_millis(since), now());
        let percent = percent_of_share(since, takes, now);
        if percent == 100 && since <= now {
            self.new_since.store(0, Ordering::Relaxed);
        }
        percent
    }

    /// A request is sent there.
    pub(super) fn enter(&self, now: Timestamp) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.passive.lock().picked(now);
    }

    /// A request is over.
    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// A request failed there.
    pub(super) fn failed(&self, now: Timestamp) -> Option<Change> {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.passive.lock().failed(now)
    }

    /// A request was answered from there.
    pub(super) fn succeeded(&self, now: Timestamp) -> Option<Change> {
        self.passive.lock().succeeded(now)
    }

    /// Why its last health check failed, if it did.
    pub(super) fn check_fault(&self) -> Option<String> {
        self.check_fault.lock().clone()
    }

    /// Takes over the outcome of a health check: why it failed, if it did.
    pub(super) fn checked(&self, fault: Option<String>, now: Timestamp) -> Option<Change> {
        let answer = match fault {
            None => Answer::Good,
            Some(_) => Answer::Bad,
        };
        *self.check_fault.lock() = fault;
        let mut active = self.active.lock();
        let change = active.report(answer);
        if change == Some(Change::Up) {
            self.is_new(now);
        }
        self.is_down.store(active.is_down(), Ordering::Relaxed);
        change
    }

    /// Takes in what a request came to; the time is asked for only where it matters.
    pub(super) fn note(
        &self,
        terms: &OutlierTerms,
        outcome: Outcome,
        now: impl FnOnce() -> Timestamp,
    ) -> Option<Verdict> {
        if outcome == Outcome::Answered && !self.has_record.load(Ordering::Relaxed) {
            return None;
        }
        let mut outlier = self.outlier.lock();
        let verdict = outlier.note(terms, outcome, now());
        self.keep(&outlier);
        verdict
    }

    /// Ejects it, and tells for how long.
    pub(super) fn eject(&self, terms: &OutlierTerms, now: Timestamp) -> Duration {
        let mut outlier = self.outlier.lock();
        let span = outlier.eject(terms, now);
        self.keep(&outlier);
        self.ejections.fetch_add(1, Ordering::Relaxed);
        self.is_new(now.after(span));
        span
    }

    fn keep(&self, outlier: &Outlier) {
        let (from, until) = outlier.last();
        let at_rest = outlier.is_at_rest();
        self.has_record.store(!at_rest, Ordering::Relaxed);
        self.ejected_from.store(from.as_millis(), Ordering::Relaxed);
        self.ejected_until
            .store(until.as_millis(), Ordering::Relaxed);
    }
}

fn slow_start_of(pool: &Pool) -> u64 {
    let millis = pool.slow_start.unwrap_or_default().as_millis();
    u64::try_from(millis).unwrap_or(u64::MAX)
}

/// More connections of a member are not kept apart.
const CONNECTIONS_MAX: u64 = 8;

//! When an upstream counts as out of order: after failed requests, and after failed checks.

use std::time::Duration;

use crate::model::time::Timestamp;

/// Counts the failures of requests to one upstream, as nginx's `max_fails` and `fail_timeout` do (W-07).
///
/// `max_fails` failures, none more than `fail_timeout` after the one before, take the upstream out for
/// `fail_timeout`. After that one failure takes it out again, and one success clears the count.
#[derive(Clone, Copy, Debug)]
pub struct PassiveHealth {
    max_fails: u32,
    fail_timeout: Duration,
    failures: u32,
    failed_at: Timestamp,
    /// The last failure, or the last try of an upstream that was out.
    checked: Timestamp,
}

impl PassiveHealth {
    /// Starts without failures; with a `max_fails` of 0 the upstream is never out.
    #[must_use]
    pub const fn new(max_fails: u32, fail_timeout: Duration) -> Self {
        let never = Timestamp::from_millis(0);
        Self {
            max_fails,
            fail_timeout,
            failures: 0,
            failed_at: never,
            checked: never,
        }
    }

    /// Goes by other settings from now on; the failures so far count.
    pub const fn retune(&mut self, max_fails: u32, fail_timeout: Duration) {
        self.max_fails = max_fails;
        self.fail_timeout = fail_timeout;
    }

    /// Notes that a request is sent to the upstream. Whoever calls this lets only one request per
    /// `fail_timeout` try an upstream that was out; the others stay away until it has succeeded.
    pub fn picked(&mut self, now: Timestamp) {
        if self.is_spent() && !self.is_within_timeout(self.checked, now) {
            self.checked = now;
        }
    }

    /// Notes that the upstream failed, and tells when that takes it out (W-34).
    pub fn failed(&mut self, now: Timestamp) -> Option<Change> {
        let was_spent = self.is_spent();
        if !self.is_spent() && !self.is_within_timeout(self.failed_at, now) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
        self.checked = now;
        (!was_spent && self.is_spent()).then_some(Change::Down)
    }

    /// Notes that the upstream answered. Soon after a failure this clears nothing: the answer may
    /// belong to a request from before, and an upstream that fails every other request is not well.
    /// Tells when it is in order again (W-34).
    pub fn succeeded(&mut self, now: Timestamp) -> Option<Change> {
        if self.is_within_timeout(self.failed_at, now) {
            return None;
        }
        let was_spent = self.is_spent();
        self.failures = 0;
        was_spent.then_some(Change::Up)
    }

    /// Whether the upstream is out.
    #[must_use]
    pub fn is_out(&self, now: Timestamp) -> bool {
        self.is_spent() && self.is_within_timeout(self.checked, now)
    }

    const fn is_spent(&self) -> bool {
        self.max_fails > 0 && self.failures >= self.max_fails
    }

    fn is_within_timeout(&self, of: Timestamp, now: Timestamp) -> bool {
        // A clock that was set back must not keep an upstream out.
        of <= now && now.since(of) < self.fail_timeout
    }
}

/// Counts the answers to regular checks of one upstream.
#[derive(Clone, Copy, Debug)]
pub struct ActiveHealth {
    healthy_after: u32,
    unhealthy_after: u32,
    last: Change,
    /// Answers in a row that speak against `last`.
    against: u32,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not as it should be, or not at all.
    Bad,
    /// As it should be.
    Good,
}

/// What became of an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is out of order.
    Down,
    /// It is in order.
    Up,
}

impl ActiveHealth {
    /// Starts in order. A number of 0 counts as 1.
    #[must_use]
    pub const fn new(healthy_after: u32, unhealthy_after: u32) -> Self {
        Self {
            healthy_after,
            unhealthy_after,
            last: Change::Up,
            against: 0,
        }
    }

    /// Goes by other settings from now on; whether the upstream is in order stays as it is.
    pub const fn retune(&mut self, healthy_after: u32, unhealthy_after: u32) {
        self.healthy_after = healthy_after;
        self.unhealthy_after = unhealthy_after;
    }

    /// Takes in the outcome of a check and tells when it changes something.
    pub fn report(&mut self, answer: Answer) -> Option<Change> {
        let (says, needed) = match answer {
            Answer::Bad => (Change::Down, self.unhealthy_after),
            Answer::Good => (Change::Up, self.healthy_after),
        };
        if says == self.last {
            self.against = 0;
            return None;
        }
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return None;
        }
        self.last = says;
        self.against = 0;
        Some(says)
    }

    /// Whether the upstream is out of order.
    #[must_use]
    pub fn is_down(&self) -> bool {
        self.last == Change::Down
    }
}

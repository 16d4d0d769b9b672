//! How fast something may go: a bucket that fills steadily, as one point in time (GCRA).
//!
//! What was taken is paid for at a steady rate; `due` is when all of it will have been. That alone is state: 64
//! bits, for requests that are admitted or refused and for bytes that are delayed alike. Where it is kept is
//! `table`'s matter and above; times are nanoseconds since a beginning that the caller chooses.

use std::time::Duration;

pub mod table;

/// How many requests may come in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestRate {
    /// What one request costs, in nanoseconds.
    each: u64,
    /// How far ahead of time requests may be, in nanoseconds.
    ahead: u64,
}

impl RequestRate {
    /// So many in a span of time, steadily; after a pause `burst` at once.
    #[must_use]
    pub fn new(count: u32, per: Duration, burst: u32) -> Self {
        let each = nanos(per).div_ceil(u64::from(count.max(1))).max(1);
        Self {
            each,
            ahead: each.saturating_mul(u64::from(burst.max(1))),
        }
    }

    /// Whether one more request may come now, and what is due then; if not, after which time it may. Over any
    /// time `t` no more than `rate × t + burst` are admitted, and whoever waits as told is.
    ///
    /// # Errors
    /// How long to wait.
    pub const fn admit(&self, due: u64, now: u64) -> Result<u64, Duration> {
        let paid = if due > now { due } else { now };
        let then = paid.saturating_add(self.each);
        match then.saturating_sub(now).saturating_sub(self.ahead) {
            0 => Ok(then),
            wait => Err(Duration::from_nanos(wait)),
        }
    }
}

/// How many bytes may pass in a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ByteRate {
    per_second: u64,
    /// How far ahead of time bytes may be, in nanoseconds.
    ahead: u64,
}

impl ByteRate {
    /// So many in a second, steadily; after a pause what a second gives at once, and at least
    /// [`BYTES_AHEAD_MIN`].
    #[must_use]
    pub fn new(per_second: u64) -> Self {
        let per_second = per_second.max(1);
        let burst = per_second.max(BYTES_AHEAD_MIN);
        let ahead = u128::from(burst) * u128::from(SECOND) / u128::from(per_second);
        Self {
            per_second,
            ahead: u64::try_from(ahead).unwrap_or(u64::MAX),
        }
    }

    /// Takes bytes in any case, and says what is due then and how long they have to wait. What has waited as it
    /// was told is, over any time `t`, at most `rate × t` and what may pass at once.
    #[must_use]
    pub fn take(&self, due: u64, now: u64, bytes: usize) -> (u64, Duration) {
        let then = due.max(now).saturating_add(self.cost(bytes));
        (then, self.wait(then, now))
    }

    /// What is due when bytes that were taken, and have so long `left` to wait, never pass. What was paid for while
    /// they waited is not given back: others would take it as credit.
    #[must_use]
    pub fn give_back(&self, due: u64, bytes: usize, left: Duration) -> u64 {
        due.saturating_sub(self.cost(bytes).min(nanos(left)))
    }

    /// How long the next bytes have to wait for those before them.
    #[must_use]
    pub const fn wait(&self, due: u64, now: u64) -> Duration {
        Duration::from_nanos(due.saturating_sub(now).saturating_sub(self.ahead))
    }

    /// What bytes cost, in nanoseconds.
    fn cost(&self, bytes: usize) -> u64 {
        let cost = (bytes as u128 * u128::from(SECOND)).div_ceil(u128::from(self.per_second));
        u64::try_from(cost).unwrap_or(u64::MAX)
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// What bodies come in is passed on at once, after a pause, however slow the rate: the first pieces together
/// with the head.
pub const BYTES_AHEAD_MIN: u64 = 256 << 10;
const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_one_at_a_time() {
        let rate = RequestRate::new(10, Duration::from_secs(1), 3);
        let now = 5 * SECOND;
        let mut due = 0;
        for _ in 0..3 {
            due = rate.admit(due, now).unwrap();
        }
        let tenth = Duration::from_millis(100);
        assert_eq!(rate.admit(due, now), Err(tenth));
        assert!(rate.admit(due, now + SECOND / 10 - 1).is_err());
        due = rate.admit(due, now + SECOND / 10).unwrap();
        assert_eq!(rate.admit(due, now + SECOND / 10), Err(tenth));
        // After a pause of whatever length, the burst and no more.
        for _ in 0..3 {
            due = rate.admit(due, now + 1000 * SECOND).unwrap();
        }
        assert!(rate.admit(due, now + 1000 * SECOND).is_err());
    }

    #[test]
    fn a_burst_of_one_is_admitted_whatever_the_rate() {
        for count in [1, 3, 7, 999_983] {
            let rate = RequestRate::new(count, Duration::from_hours(1), 1);
            let due = rate.admit(0, 1).unwrap();
            let wait = rate.admit(due, 1).unwrap_err();
            assert!(rate.admit(due, 1 + nanos(wait)).is_ok(), "{count}");
        }
    }

    #[test]
    fn bytes_wait_until_they_are_paid_for() {
        let rate = ByteRate::new(1 << 20);
        let now = 5 * SECOND;
        let (due, wait) = rate.take(0, now, 1 << 20);
        assert_eq!(wait, Duration::ZERO, "what a second gives");
        let (due, wait) = rate.take(due, now, 1 << 19);
        assert_eq!(wait, Duration::from_millis(500));
        let (due, wait) = rate.take(due, now, 1 << 19);
        assert_eq!(wait, Duration::from_secs(1), "behind those before");
        let (_, wait) = rate.take(due, now + 3 * SECOND, 1 << 20);
        assert_eq!(wait, Duration::ZERO, "all of it is paid for");
    }

    #[test]
    fn bytes_that_are_given_back_keep_nobody_waiting() {
        let rate = ByteRate::new(1 << 20);
        let now = 5 * SECOND;
        let (due, _) = rate.take(0, now, 1 << 20);
        let (later, wait) = rate.take(due, now, 1 << 19);
        assert_eq!(rate.wait(later, now), wait);
        let due = rate.give_back(later, 1 << 19, wait);
        assert_eq!(rate.wait(due, now), Duration::ZERO);
        assert_eq!(rate.take(due, now, 1 << 19), (later, wait), "as before");
        // What was paid for meanwhile is no credit.
        let due = rate.give_back(later, 1 << 24, Duration::MAX);
        assert_eq!(rate.take(due, now, 1 << 21).1, Duration::from_secs(1));
    }

    #[test]
    fn bytes_that_were_paid_for_while_they_waited_are_not_given_back() {
        let rate = ByteRate::new(1 << 20);
        let now = 5 * SECOND;
        let (due, _) = rate.take(0, now, 1 << 20);
        let (due, wait) = rate.take(due, now, 1 << 19);
        let later = now + nanos(wait) / 2;
        let half = rate.give_back(due, 1 << 19, wait / 2);
        assert_eq!(rate.wait(half, later), Duration::ZERO);
        assert_eq!(rate.take(half, later, 1 << 19).1, wait, "no credit");
        // Whatever else held them up until all of it was.
        assert_eq!(rate.give_back(due, 1 << 19, Duration::ZERO), due);
    }

    #[test]
    fn slow_rates_let_the_first_pieces_pass() {
        let rate = ByteRate::new(1 << 14);
        let (due, wait) = rate.take(0, 1, 256 << 10);
        assert_eq!(wait, Duration::ZERO);
        let (_, wait) = rate.take(due, 1, 1 << 14);
        assert_eq!(wait, Duration::from_secs(1));
    }
}

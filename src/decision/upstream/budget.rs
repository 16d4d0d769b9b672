//! How often requests may be tried again: a share of all requests to a pool, with a floor, so that a pool
//! that is ill is not hit harder than one that is well.

use std::time::Duration;

use crate::model::time::Timestamp;

/// How often requests to a pool may be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetTerms {
    /// Of a hundred requests, so many.
    pub percent: u32,
    /// In a second so many in any case, because a share of few requests is none.
    pub per_second_min: u32,
}

/// What is left of a budget.
///
/// It looks at the last ten seconds, in two halves that are known: what has been since a window began, and
/// as much of the window before as still counts, taken to be spread evenly. Requests are not counted here:
/// whoever asks says how many there have been, so that requests which are not tried again pay nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct RetryBudget {
    began: Timestamp,
    /// How many requests there had been when the window began.
    requests_then: u64,
    /// Those of the window before.
    requests_before: u64,
    /// Tries of this window, and of the one before.
    spent: u64,
    spent_before: u64,
}

impl RetryBudget {
    /// Takes one try, if there is one left; `requests` is how many requests there have ever been.
    pub fn take(&mut self, terms: &BudgetTerms, requests: u64, now: Timestamp) -> bool {
        self.turn(requests, now);
        let elapsed = now.since(self.began).min(WINDOW);
        let faded = |before: u64| {
            let left = WINDOW.saturating_sub(elapsed).as_millis();
            let counts = u128::from(before) * left / WINDOW.as_millis();
            u64::try_from(counts).unwrap_or(u64::MAX)
        };
        let asked = requests
            .saturating_sub(self.requests_then)
            .saturating_add(faded(self.requests_before));
        let spent = self.spent.saturating_add(faded(self.spent_before));
        let share = asked.saturating_mul(terms.percent.into()) / 100;
        let floor = u64::from(terms.per_second_min).saturating_mul(WINDOW.as_secs());
        let is_left = spent < share.max(floor);
        if is_left {
            self.spent = self.spent.saturating_add(1);
        }
        is_left
    }

    /// Begins another window when this one is over, or when the clock was set back.
    fn turn(&mut self, requests: u64, now: Timestamp) {
        let elapsed = now.since(self.began);
        if self.began <= now && elapsed < WINDOW {
            return;
        }
        let is_next = self.began <= now && elapsed < WINDOW * 2;
        // Longer ago, all that is known of a window is how busy it was on average.
        let windows = (elapsed.as_millis() / WINDOW.as_millis()).max(1);
        let since = u128::from(requests.saturating_sub(self.requests_then));
        *self = Self {
            began: now,
            requests_then: requests,
            requests_before: u64::try_from(since / windows).unwrap_or(u64::MAX),
            spent: 0,
            spent_before: if is_next { self.spent } else { 0 },
        };
    }
}

/// The time that is looked at.
const WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: BudgetTerms = BudgetTerms {
        percent: 20,
        per_second_min: 1,
    };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    /// How many of so many tries are granted at once.
    fn granted(budget: &mut RetryBudget, requests: u64, seconds: u64) -> usize {
        let mut tries = 0;
        while tries < 1000 && budget.take(&TERMS, requests, at(seconds)) {
            tries += 1;
        }
        tries
    }

    #[test]
    fn a_fifth_of_the_requests_is_tried_again_and_no_more() {
        let mut budget = RetryBudget::default();
        budget.take(&TERMS, 0, at(0));
        assert_eq!(granted(&mut budget, 200, 5), 39);
        assert_eq!(granted(&mut budget, 300, 9), 20);
        assert_eq!(granted(&mut budget, 300, 9), 0);
    }

    #[test]
    fn few_requests_have_the_floor() {
        let mut budget = RetryBudget::default();
        assert_eq!(granted(&mut budget, 3, 0), 10);
        assert_eq!(granted(&mut budget, 3, 9), 0);
    }

    #[test]
    fn what_was_spent_just_before_a_window_began_still_counts_in_it() {
        let mut budget = RetryBudget::default();
        assert_eq!(granted(&mut budget, 0, 0), 10);
        assert_eq!(granted(&mut budget, 0, 10), 0);
        assert_eq!(granted(&mut budget, 0, 15), 5);
    }

    #[test]
    fn a_long_silence_leaves_neither_a_debt_nor_a_hoard() {
        let mut budget = RetryBudget::default();
        assert_eq!(granted(&mut budget, 0, 0), 10);
        // A thousand requests in a hundred windows.
        assert_eq!(granted(&mut budget, 1000, 1000), 10);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_close_the_budget() {
        let mut budget = RetryBudget::default();
        assert_eq!(granted(&mut budget, 0, 1000), 10);
        assert_eq!(granted(&mut budget, 0, 0), 10);
    }
}

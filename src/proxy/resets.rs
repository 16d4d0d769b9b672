//! Streams of HTTP/2 that a client takes back before they are answered (CVE-2023-44487).
//!
//! Each may have cost an upstream what the client does not wait for, and a connection to it that others share
//! may be ended over them. Browsers take back one here and there, and wait for the answers of others.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::model::time::Timestamp;

/// How many more streams of a connection were taken back than answered, of late: one is forgotten each second.
#[derive(Debug, Default)]
pub struct Resets {
    ahead: Mutex<Ahead>,
    too_many: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct Ahead {
    count: u32,
    /// Up to when they have been forgotten.
    at: Timestamp,
}

impl Ahead {
    fn forget(&mut self, now: Timestamp) {
        let past = now.since(self.at).as_secs();
        self.count = self
            .count
            .saturating_sub(u32::try_from(past).unwrap_or(u32::MAX));
        self.at = self.at.after(Duration::from_secs(past));
    }
}

impl Resets {
    /// A stream is over, and was not taken back before its answer began.
    pub(super) fn answered(&self) {
        let mut ahead = self.ahead.lock();
        ahead.count = ahead.count.saturating_sub(1);
    }

    /// A stream was taken back before its answer began.
    pub(super) fn taken_back(&self, now: Timestamp) {
        let mut ahead = self.ahead.lock();
        ahead.forget(now);
        ahead.count = ahead.count.saturating_add(1);
        if ahead.count > MOST_AHEAD {
            self.too_many.notify_one();
        }
    }

    /// Returns once more have been taken back than a client does that means well.
    pub(super) async fn are_too_many(&self) {
        self.too_many.notified().await;
    }
}

/// As many as may run at the same time: what a page had asked for when its reader left it.
const MOST_AHEAD: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn take_back(resets: &Resets, count: u32, now: Timestamp) {
        for _ in 0..count {
            resets.taken_back(now);
        }
    }

    fn is_flooded(resets: &Resets) -> bool {
        resets.are_too_many().now_or_never().is_some()
    }

    #[test]
    fn a_page_that_is_left_is_no_flood_and_a_hundred_pages_are_cve_2023_44487() {
        let resets = Resets::default();
        take_back(&resets, MOST_AHEAD, NOW);
        assert!(!is_flooded(&resets));
        take_back(&resets, 1, NOW);
        assert!(is_flooded(&resets));
    }

    #[test]
    fn answers_make_up_for_what_is_taken_back_and_are_not_saved_up() {
        let resets = Resets::default();
        for _ in 0..10 * MOST_AHEAD {
            resets.answered();
            resets.taken_back(NOW);
            resets.answered();
        }
        assert!(!is_flooded(&resets));
        take_back(&resets, MOST_AHEAD + 1, NOW);
        assert!(is_flooded(&resets));
    }

    #[test]
    fn a_connection_of_days_that_gives_up_a_search_now_and_then_is_no_flood() {
        let resets = Resets::default();
        let mut now = NOW;
        for _ in 0..10 * MOST_AHEAD {
            now = now.after(Duration::from_millis(1_999));
            take_back(&resets, 1, now);
        }
        assert!(!is_flooded(&resets));
        // Ten a second are, after eleven seconds or so.
        for _ in 0..12 {
            now = now.after(Duration::from_secs(1));
            take_back(&resets, 10, now);
        }
        assert!(is_flooded(&resets));
        // A clock that is set back forgets nothing, and breaks nothing.
        let resets = Resets::default();
        take_back(&resets, MOST_AHEAD, NOW);
        take_back(&resets, 1, Timestamp::from_millis(0));
        assert!(is_flooded(&resets));
    }
}

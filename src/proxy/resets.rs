//! Streams of HTTP/2 that a client takes back before they are answered (CVE-2023-44487).
//!
//! Each may have cost an upstream what the client does not wait for, and a connection to it that others share
//! may be ended over them. Browsers take back one here and there, and wait for the answers of others.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;

/// How many more streams of a connection were taken back than answered.
#[derive(Debug, Default)]
pub struct Resets {
    ahead: AtomicU32,
    too_many: Notify,
}

impl Resets {
    /// A stream is over, taken back before its answer began or not.
    pub(super) fn note(&self, taken_back: bool) {
        if !taken_back {
            let fewer = |ahead: u32| ahead.checked_sub(1);
            let order = Ordering::Relaxed;
            self.ahead.fetch_update(order, order, fewer).ok();
        } else if self.ahead.fetch_add(1, Ordering::Relaxed) >= MOST_AHEAD {
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

    fn is_flooded(resets: &Resets) -> bool {
        resets.are_too_many().now_or_never().is_some()
    }

    #[test]
    fn a_page_that_is_left_is_no_flood_and_a_hundred_pages_are_cve_2023_44487() {
        let resets = Resets::default();
        for _ in 0..MOST_AHEAD {
            resets.note(true);
        }
        assert!(!is_flooded(&resets));
        resets.note(true);
        assert!(is_flooded(&resets));
    }

    #[test]
    fn answers_make_up_for_what_is_taken_back_and_are_not_saved_up() {
        let resets = Resets::default();
        for _ in 0..10 * MOST_AHEAD {
            resets.note(false);
            resets.note(true);
            resets.note(false);
        }
        assert!(!is_flooded(&resets));
        for _ in 0..=MOST_AHEAD {
            resets.note(true);
        }
        assert!(is_flooded(&resets));
    }
}

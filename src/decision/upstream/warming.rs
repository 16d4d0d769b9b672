//! How much of its share a member gets that has just come, or come back.

use std::time::Duration;

use crate::model::time::Timestamp;

/// The percentage of its share that a member gets now which began to serve at `since`, in a pool where members take
/// this long to get all of it: a tenth at first, then evenly more. A clock that was set back leaves it its share.
#[must_use]
pub fn percent_of_share(since: Timestamp, takes: Duration, now: Timestamp) -> u32 {
    let served = now.since(since).as_millis();
    let takes = takes.as_millis();
    if now < since || served >= takes {
        return 100;
    }
    let more = served.saturating_mul(u128::from(100 - FIRST)) / takes.max(1);
    FIRST + u32::try_from(more).unwrap_or(100 - FIRST)
}

/// What a member gets in its first moment.
const FIRST: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_grows_evenly_from_a_tenth_to_all_of_it() {
        let at = |seconds: u64| Timestamp::from_millis(1_000_000 + seconds * 1000);
        let after =
            |seconds: u64| percent_of_share(at(100), Duration::from_secs(30), at(100 + seconds));
        let shares = [0, 10, 20, 29, 30, 3000].map(after);
        assert_eq!(shares, [10, 40, 70, 97, 100, 100]);
        let set_back = percent_of_share(at(100), Duration::from_secs(30), at(99));
        assert_eq!(set_back, 100);
        assert_eq!(percent_of_share(at(100), Duration::ZERO, at(100)), 100);
    }
}

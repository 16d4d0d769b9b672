//! Rates: never more than they give, and whoever waits as told gets through.

use std::time::Duration;

use proptest::prelude::*;

use portway::decision::rate::BYTES_AHEAD_MIN;
use portway::decision::rate::ByteRate;
use portway::decision::rate::RequestRate;

use crate::cases;

/// Rates from a few an hour to a million a second.
fn rates() -> impl Strategy<Value = (u32, Duration, u32)> {
    let spans = prop::sample::select(vec![1, 60, 3600]);
    let spans = spans.prop_map(Duration::from_secs);
    (1..=1_000_000_u32, spans, 1..=1000_u32)
}

/// How long passes between two requests: often nothing, sometimes long.
fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![
        Just(0),
        0..10_000_u64,
        0..50_000_000_u64,
        0..100_000_000_000_u64
    ]
}

/// At most what the rate gives in a time, and the burst.
fn most((count, per, burst): (u32, Duration, u32), nanos: u64) -> u128 {
    u128::from(nanos) * u128::from(count) / per.as_nanos() + u128::from(burst)
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_span_of_time_sees_more_requests_than_rate_and_burst_give(
        rate in rates(),
        pauses in prop::collection::vec(pauses(), 1..200),
    ) {
        let limit = RequestRate::new(rate.0, rate.1, rate.2);
        let (mut due, mut now) = (0, 0);
        let mut admitted: Vec<u64> = Vec::new();
        for pause in pauses {
            now += pause;
            if let Ok(then) = limit.admit(due, now) {
                due = then;
                admitted.push(now);
            }
        }
        for (index, first) in admitted.iter().enumerate() {
            for (later, last) in admitted.iter().enumerate().skip(index) {
                let count = (later - index + 1) as u128;
                prop_assert!(count <= most(rate, last - first));
            }
        }
    }

    #[test]
    fn whoever_waits_as_told_is_admitted_and_nobody_sooner(
        rate in rates(),
        pauses in prop::collection::vec(pauses(), 1..50),
    ) {
        let limit = RequestRate::new(rate.0, rate.1, rate.2);
        let (mut due, mut now) = (0, 0);
        for pause in pauses {
            now += pause;
            match limit.admit(due, now) {
                Ok(then) => due = then,
                Err(wait) => {
                    let wait = u64::try_from(wait.as_nanos()).unwrap();
                    prop_assert!(wait > 0);
                    prop_assert!(limit.admit(due, now + wait - 1).is_err());
                    now += wait;
                    due = limit.admit(due, now).unwrap();
                }
            }
        }
    }

    #[test]
    fn after_a_long_pause_the_whole_burst_is_there_and_no_more(rate in rates()) {
        let limit = RequestRate::new(rate.0, rate.1, rate.2);
        let now = 1 << 60;
        let mut due = 0;
        for _ in 0..rate.2 {
            due = limit.admit(due, now).unwrap();
        }
        prop_assert!(limit.admit(due, now).is_err());
    }

    #[test]
    fn no_span_of_time_sees_more_bytes_than_rate_and_burst_give(
        per_second in 1 << 14..10_u64 << 30,
        pieces in prop::collection::vec((pauses(), 0..(1_usize << 17)), 1..100),
    ) {
        let limit = ByteRate::new(per_second);
        let most = |nanos: u64| {
            let paid = u128::from(nanos) * u128::from(per_second) / 1_000_000_000;
            paid + u128::from(per_second.max(BYTES_AHEAD_MIN))
        };
        let (mut due, mut now) = (0, 0);
        let mut passed: Vec<(u64, u128)> = Vec::new();
        for (pause, bytes) in pieces {
            now += pause;
            let (then, wait) = limit.take(due, now, bytes);
            due = then;
            passed.push((now + u64::try_from(wait.as_nanos()).unwrap(), bytes as u128));
        }
        for (index, (first, _)) in passed.iter().enumerate() {
            let mut sum = 0;
            for (last, bytes) in passed.iter().skip(index) {
                sum += bytes;
                prop_assert!(*last >= *first, "pieces pass in the order in which they came");
                prop_assert!(sum <= most(last - first));
            }
        }
    }

    #[test]
    fn a_body_that_always_has_more_passes_at_the_rate_and_not_below(
        per_second in 1 << 14..1_u64 << 30,
        piece in 1_usize..(1 << 17),
    ) {
        let limit = ByteRate::new(per_second);
        let (mut due, mut now) = (0, 0_u64);
        let mut sum: u64 = 0;
        for _ in 0..500 {
            let (then, wait) = limit.take(due, now, piece);
            due = then;
            now += u64::try_from(wait.as_nanos()).unwrap();
            sum += piece as u64;
        }
        let earned = u128::from(now) * u128::from(per_second) / 1_000_000_000;
        let burst = u128::from(per_second.max(BYTES_AHEAD_MIN));
        let behind = 500 * u128::from(per_second).div_ceil(1_000_000_000) + 1;
        if now > 0 {
            prop_assert!(u128::from(sum) + behind >= earned + burst);
        }
    }
}

//! Waiting for a condition, with a bound and a name for what did not come.

use std::future::Future;
use std::ops::RangeBounds;
use std::time::Duration;

use tokio::time::Instant;

/// Asks again and again until there is an answer; fails after `bound`, naming what did not come.
pub(crate) async fn until<T, F, Answered>(what: &str, bound: Duration, mut ask: F) -> T
where
    F: FnMut() -> Answered,
    Answered: Future<Output = Option<T>>,
{
    let asking = async {
        let mut ticks = tokio::time::interval(PAUSE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Some(answer) = ask().await {
                return answer;
            }
        }
    };
    match tokio::time::timeout(bound, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("{what}: not within {bound:?}"),
    }
}

/// Waits for something to finish; fails after `bound`.
pub(crate) async fn within<F: Future>(what: &str, bound: Duration, waited_for: F) -> F::Output {
    match tokio::time::timeout(bound, waited_for).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {bound:?}"),
    }
}

/// Fails unless the time since then lies within these bounds.
#[track_caller]
pub(crate) fn assert_took(began: Instant, bounds: impl RangeBounds<Duration>) {
    let took = began.elapsed();
    assert!(bounds.contains(&took), "it took {took:?}");
}

/// How long the end of a session may take to reach its streams on a machine that is busy. D-13 promises a second, of
/// which the gateway itself waits a half; whether the second is kept is measured by
/// `a_stream_is_cut_within_a_second_of_the_end_of_its_session_d_13` of tests/gateway.
pub(crate) const CUT_WITHIN: Duration = Duration::from_secs(5);
/// Between two looks at a condition.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a test waits for what should take a moment, on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

//! Clocks that differ: measured in each hello, told in log and metrics, and beyond the hard limit nothing
//! is adopted, while ends still count (S-22, MDC-TIME-2).
//!
//! Clocks are moved by faketime.

use std::time::Duration;

use crate::pair::APP;
use crate::pair::Arrival;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::Pair;
use crate::pair::served;
use crate::pair::sign_out;
use crate::pair::until_dead;
use crate::pair::visit;
use crate::support::Gateway;
use crate::support::until;

pub(crate) const OF_A: &str = "portway_peer_clock_skew_seconds{peer=\"dc-a\"}";
pub(crate) const OF_B: &str = "portway_peer_clock_skew_seconds{peer=\"dc-b\"}";
const ADOPTED: &str = "portway_adoptions_total{outcome=\"adopted\"}";
const REFUSED: &str = "portway_adoptions_total{outcome=\"clock_skew\"}";

#[tokio::test]
async fn clocks_that_differ_are_told_and_beyond_the_limit_nothing_is_adopted_s_22_mdc_time_2() {
    let Some(pair) = Pair::with_clocks(FREE).await else {
        return;
    };
    skew_is(&pair.a, OF_B, 0.0).await;
    let limits = ["allowance", "hard_limit"];
    let limits = limits.map(|limit| format!("portway_clock_skew_{limit}_seconds"));
    assert_eq!(pair.a.metric(&limits[0]).await, Some(30.0));
    assert_eq!(pair.a.metric(&limits[1]).await, Some(120.0));

    // Beyond the allowance it is said aloud, and sessions move all the same.
    pair.b.set_clock_ahead(Duration::from_secs(60));
    skew_is(&pair.a, OF_B, 60.0).await;
    skew_is(&pair.b, OF_A, -60.0).await;
    pair.a.wait_for_log("clocks differ").await;
    let leaving = pair.signed_in_at_a("alice").await;
    let mut alice = leaving.clone();
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    assert_eq!(pair.b.metric(ADOPTED).await, Some(1.0));

    // Beyond the hard limit nothing is adopted, and ends count.
    pair.b.set_clock_ahead(Duration::from_secs(180));
    skew_is(&pair.a, OF_B, 180.0).await;
    skew_is(&pair.b, OF_A, -180.0).await;
    for gateway in [&pair.a, &pair.b] {
        gateway.wait_for_log("clocks differ too much").await;
    }
    let mut bob = pair.signed_in_at_a("bob").await;
    let arrival = visit(&mut bob, &pair.b, APP).await;
    assert_eq!(arrival, Arrival::Challenged);
    assert_eq!(pair.b.metric(ADOPTED).await, Some(1.0));
    assert!(pair.b.metric(REFUSED).await >= Some(1.0));
    let mut leaving = leaving;
    sign_out(&mut leaving, &pair.a).await;
    until_dead(&alice, &pair.b).await;

    // A clock that is put right is found out by the next hello.
    pair.b.set_clock_ahead(Duration::ZERO);
    skew_is(&pair.b, OF_A, 0.0).await;
    let mut carol = pair.signed_in_at_a("carol").await;
    assert_eq!(visit(&mut carol, &pair.b, APP).await, served("carol"));
}

/// Waits until a gateway has measured the clock of the other, give or take what a busy machine adds.
pub(crate) async fn skew_is(gateway: &Gateway, name: &str, expected: f64) {
    until("the clock is measured", BOUND, || async {
        let skew = gateway.metric(name).await?;
        ((skew - expected).abs() < SLACK).then_some(())
    })
    .await;
}

/// Seconds that a measurement may be off.
const SLACK: f64 = 10.0;

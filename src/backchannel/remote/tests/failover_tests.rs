//! Losing the engine of the own data centre, and coming home.

use std::time::Duration;

use crate::backchannel::remote::tests::rig_tests::*;
use crate::model::claim::NotLive;
use crate::ports::clock::Clock;
use crate::ports::session_engine::SessionEngine;

/// Generous for a busy machine, and far below what anybody would wait for.
const SOON: Duration = Duration::from_secs(5);

async fn two_sites() -> (Site, Site) {
    let ny = Site::start("ny", &[GATE]).await;
    let ldc = Site::start("ldc", &[GATE]).await;
    (ny, ldc)
}

fn plan<'p>(ny: &'p Site, ldc: &'p Site) -> Plan<'p> {
    Plan {
        secondary: vec![ldc],
        ..Plan::at(ny)
    }
}

#[tokio::test]
async fn with_its_own_engine_well_a_gate_asks_no_other_data_centre_mdc_topo_2() {
    let (ny, ldc) = two_sites().await;
    let gate = plan(&ny, &ldc).start();
    for number in 0..20 {
        let claim = ny.engine.hold(number);
        assert!(is_live(&gate.resolve(&claim).await));
    }
    gate.follows(1).await;
    let missing = gate.resolve(&ldc.engine.hold(99)).await;
    assert_not_live(&missing, NotLive::Missing);
    assert_eq!(ldc.engine.judged(), 0);
}

#[tokio::test]
async fn a_gate_that_loses_its_engine_uses_another_data_centre_and_comes_home_m_055() {
    for lost in [Passage::Cut, Passage::Frozen] {
        let (ny, ldc) = two_sites().await;
        let claim = ny.engine.hold(1);
        ldc.engine.hold(1);
        let gate = plan(&ny, &ldc).start();
        gate.follows(0).await;
        gate.follows(1).await;
        assert!(is_live(&gate.resolve(&claim).await));

        ny.relay.set(lost);
        until("memory is not relied on", || {
            is_unknown(&gate.lookup(&claim))
        })
        .await;
        let at = gate.clock.now();
        assert!(is_live(&gate.resolve(&claim).await), "{lost:?}");
        assert!(gate.clock.now().since(at) < SOON);
        assert_eq!(ldc.engine.judged(), 1);
        assert!(is_live(&gate.lookup(&claim)));

        let at_home = ny.engine.judged();
        ny.relay.set(Passage::Open);
        gate.follows(0).await;
        assert!(is_unknown(&gate.lookup(&claim)), "it goes home");
        assert!(is_live(&gate.resolve(&claim).await));
        // What froze on its way there arrives too.
        assert!(ny.engine.judged() > at_home);
        assert_eq!(ldc.engine.judged(), 1);
        gate.stop().await;
    }
}

#[tokio::test]
async fn while_away_the_ends_of_the_other_data_centre_are_heard() {
    let (ny, ldc) = two_sites().await;
    let claim = ldc.engine.hold(1);
    let gate = plan(&ny, &ldc).start();
    gate.follows(1).await;
    ny.relay.set(Passage::Cut);
    let home = gate.remote.node(0).unwrap();
    until("home is lost", || !home.is_followed(gate.clock.now())).await;
    assert!(is_live(&gate.resolve(&claim).await));
    ldc.engine.drop_session(sso(1));
    gate.hears_the_end_of(sso(1)).await;
    assert_not_live(&gate.resolve(&claim).await, NotLive::Ended);
}

#[tokio::test]
async fn a_session_that_came_home_keeps_its_streams_when_the_other_data_centre_lets_go() {
    let (ny, ldc) = two_sites().await;
    let claim = ny.engine.hold(1);
    ldc.engine.hold(1);
    let gate = plan(&ny, &ldc).start();
    gate.follows(1).await;
    ny.relay.set(Passage::Cut);
    let node = gate.remote.node(0).unwrap();
    until("home is lost", || !node.is_followed(gate.clock.now())).await;
    assert!(is_live(&gate.resolve(&claim).await));
    assert_eq!(ldc.engine.judged(), 1);
    ny.relay.set(Passage::Open);
    gate.follows(0).await;
    assert!(is_live(&gate.resolve(&claim).await));
    let told = ldc.engine.ended.send(sso(1));
    assert!(told.is_ok());
    // The end is heard, and home asked: a marker behind it is heard after that.
    ldc.engine.ended.send(sso(2)).unwrap();
    until("both were heard", || {
        let mut ended = gate.ended.lock();
        let told: Vec<_> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
        assert!(!told.contains(&sso(1)), "it serves at home");
        told.contains(&sso(2))
    })
    .await;
    assert!(gate.remote.is_standing(&sso(1)));
    // Once it is over at home too, that is the end.
    ny.engine.drop_session(sso(1));
    gate.hears_the_end_of(sso(1)).await;
}

#[tokio::test]
async fn when_no_engine_answers_nobody_is_served_and_soon() {
    let (ny, ldc) = two_sites().await;
    let claim = ny.engine.hold(1);
    let gate = plan(&ny, &ldc).start();
    gate.follows(0).await;
    assert!(is_live(&gate.resolve(&claim).await));
    ny.relay.set(Passage::Cut);
    ldc.relay.set(Passage::Frozen);
    until("memory is not relied on", || {
        is_unknown(&gate.lookup(&claim))
    })
    .await;
    let at = gate.clock.now();
    assert_not_live(&gate.resolve(&claim).await, NotLive::Unanswered);
    assert!(gate.clock.now().since(at) < SOON);
}

#[tokio::test]
async fn nobody_waits_out_the_time_of_an_engine_that_is_lost_meanwhile() {
    let (ny, ldc) = two_sites().await;
    let claim = ny.engine.hold(1);
    ldc.engine.hold(1);
    let gate = plan(&ny, &ldc).start();
    gate.follows(0).await;
    gate.follows(1).await;
    ny.relay.set(Passage::Frozen);
    let at = gate.clock.now();
    assert!(is_live(&gate.resolve(&claim).await));
    let took = gate.clock.now().since(at);
    assert!(
        took < SOON,
        "{took:?} of the ten seconds that an answer may take"
    );
    assert_eq!(ldc.engine.judged(), 1);
}

//! How honest memory is kept: ends are heard within a second, and nothing is honoured on older knowledge.

use std::time::Duration;

use crate::backchannel::remote::FRESH;
use crate::backchannel::remote::tests::rig_tests::*;
use crate::model::claim::NotLive;
use crate::ports::clock::Clock;
use crate::ports::session_engine::SessionEngine;

#[tokio::test]
async fn an_end_at_the_engine_is_heard_at_the_gate_within_a_second_d_13() {
    let ny = Site::start("ny", &[GATE]).await;
    let other = ny.engine.hold(4);
    let gate = Plan::at(&ny).start();
    gate.follows(0).await;
    let (mut took, mut kept) = (Vec::new(), 0);
    for number in 1..=3 {
        let claim = ny.engine.hold(number);
        for claim in [&claim, &other] {
            assert!(is_live(&gate.resolve(claim).await));
        }
        let at = gate.clock.now();
        ny.engine.drop_session(sso(number));
        gate.hears_the_end_of(sso(number)).await;
        took.push(gate.clock.now().since(at));
        assert!(!gate.remote.is_standing(&sso(number)));
        assert!(is_unknown(&gate.lookup(&claim)));
        kept += usize::from(is_live(&gate.lookup(&other)));
        assert_not_live(&gate.resolve(&claim).await, NotLive::Ended);
    }
    // One of them may be late on a busy machine, and memory too old then.
    took.sort();
    assert!(took[1] < Duration::from_secs(1), "{took:?}");
    assert!(kept >= 2, "{kept}");
}

#[tokio::test]
async fn many_ends_at_once_are_all_heard() {
    let ny = Site::start("ny", &[GATE]).await;
    let gate = Plan {
        cache_max: 5000,
        ..Plan::at(&ny)
    }
    .start();
    gate.follows(0).await;
    let claims: Vec<_> = (0..2500).map(|number| ny.engine.hold(number)).collect();
    for claim in claims.iter().step_by(100) {
        assert!(is_live(&gate.resolve(claim).await));
    }
    (0..2500).for_each(|number| ny.engine.drop_session(sso(number)));
    until("all are heard of", || {
        let mut all = claims.iter();
        all.all(|claim| !gate.remote.is_standing(&claim.facts.sso))
    })
    .await;
    gate.hears_the_end_of(sso(2499)).await;
}

#[tokio::test]
async fn nothing_is_honoured_on_knowledge_older_than_a_second() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let gate = Plan {
        timeout: Duration::from_secs(2),
        ..Plan::at(&ny)
    }
    .start();
    gate.follows(0).await;
    assert!(is_live(&gate.resolve(&claim).await));
    let frozen = gate.clock.now();
    ny.relay.set(Passage::Frozen);
    ny.engine.drop_session(sso(1));
    // Looked at as of a moment that is noted before: it does not matter how long this thread stands still.
    let mut last_honoured = frozen;
    until("memory is not relied on", || {
        let now = gate.clock.now();
        if is_unknown(&gate.remote.lookup(&claim, now)) {
            return true;
        }
        last_honoured = now;
        false
    })
    .await;
    // The last answer may have been on its way when the relay froze.
    let honoured = last_honoured.since(frozen);
    assert!(
        honoured <= FRESH + Duration::from_millis(300),
        "{honoured:?}"
    );
    // Silence is never a permit.
    assert_not_live(&gate.resolve(&claim).await, NotLive::Unanswered);
    ny.relay.set(Passage::Open);
    gate.follows(0).await;
    gate.hears_the_end_of(sso(1)).await;
    assert_not_live(&gate.resolve(&claim).await, NotLive::Ended);
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_nothing_younger() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let gate = Plan::at(&ny).start();
    gate.follows(0).await;
    assert!(is_live(&gate.resolve(&claim).await));
    ny.relay.set(Passage::Frozen);
    gate.clock.set_off_by(-60_000);
    assert!(is_unknown(&gate.lookup(&claim)));
    ny.relay.set(Passage::Open);
    gate.follows(0).await;
    until("an engine is asked again", || {
        !is_live(&gate.lookup(&claim))
    })
    .await;
    assert!(is_live(&gate.resolve(&claim).await));
    assert!(is_live(&gate.lookup(&claim)));
}

#[tokio::test]
async fn what_ended_while_an_engine_restarted_is_found_out_when_it_is_back() {
    let mut ny = Site::start("ny", &[GATE]).await;
    let (gone, staying) = (ny.engine.hold(1), ny.engine.hold(2));
    let gate = Plan::at(&ny).start();
    gate.follows(0).await;
    for claim in [&gone, &staying] {
        assert!(is_live(&gate.resolve(claim).await));
    }
    // Nobody is told of this one: the feed that it would stand in is never read.
    ny.relay.set(Passage::Cut);
    ny.engine.drop_session(sso(1));
    ny.restart(&[GATE]).await;
    gate.hears_the_end_of(sso(1)).await;
    assert!(gate.remote.is_standing(&sso(2)), "its streams go on");
    assert!(is_live(&gate.resolve(&staying).await));
    gate.follows(0).await;
    ny.engine.drop_session(sso(2));
    gate.hears_the_end_of(sso(2)).await;
}

#[tokio::test]
async fn a_feed_that_lost_something_makes_the_gate_ask_about_everything() {
    let ny = Site::start("ny", &[GATE]).await;
    let (gone, staying) = (ny.engine.hold(1), ny.engine.hold(2));
    let gate = Plan::at(&ny).start();
    gate.follows(0).await;
    for claim in [&gone, &staying] {
        assert!(is_live(&gate.resolve(claim).await));
    }
    ny.relay.set(Passage::Frozen);
    ny.engine.drop_session(sso(1));
    for number in 0..50_000 {
        ny.engine.ended.send(sso(100 + number)).unwrap();
    }
    ny.relay.set(Passage::Open);
    gate.hears_the_end_of(sso(1)).await;
    assert!(gate.remote.is_standing(&sso(2)));
}

#[tokio::test]
async fn sessions_that_only_a_silent_engine_vouched_for_are_let_go_of() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let gate = Plan::at(&ny).start();
    gate.follows(0).await;
    assert!(is_live(&gate.resolve(&claim).await));
    ny.relay.set(Passage::Frozen);
    until("memory is not relied on", || {
        is_unknown(&gate.lookup(&claim))
    })
    .await;
    assert!(
        gate.remote.is_standing(&sso(1)),
        "its streams go on for a while"
    );
    gate.clock.set_off_by(11_000);
    gate.hears_the_end_of(sso(1)).await;
    assert!(!gate.remote.is_standing(&sso(1)));
}

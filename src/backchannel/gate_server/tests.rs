//! Tests of the verbs for gates, without a connection.

use std::time::Duration;

use super::*;
use crate::backchannel::gate_terms::tests::terms;
use crate::backchannel::gate_wire::SESSIONS_MAX;
use crate::backchannel::remote::tests::rig_tests::IDLE_TIMEOUT;
use crate::backchannel::remote::tests::rig_tests::StandIn;
use crate::backchannel::remote::tests::rig_tests::sso;
use crate::backchannel::remote::tests::rig_tests::world;
use crate::model::time::Timestamp;
use crate::system::SystemClock;

#[tokio::test]
async fn a_question_about_ends_is_answered_as_soon_as_one_is_announced_or_its_time_is_over() {
    let engine = Arc::new(StandIn::new());
    let service = service(&engine);
    let start = service.feed.mark();
    let watch = |hold| service.watch(Some(start), hold);

    let quiet = watch(Duration::from_millis(20)).await;
    let none = News::Ended {
        sessions: Vec::new(),
        rest: crate::model::peer::Rest::Complete,
    };
    let expected = GateAnswer::Watched {
        at: start,
        news: none,
    };
    assert_eq!(quiet, expected);

    let telling = async {
        // The question is waiting by the time that this is polled.
        tokio::task::yield_now().await;
        engine.ended.send(sso(7)).unwrap();
    };
    let asking = tokio::time::timeout(Duration::from_secs(4), watch(Duration::from_mins(1)));
    let (answer, ()) = tokio::join!(asking, telling);
    let GateAnswer::Watched {
        news: News::Ended { sessions, .. },
        ..
    } = answer.unwrap()
    else {
        panic!("an end");
    };
    assert_eq!(sessions, [sso(7)]);
}

#[tokio::test]
async fn the_sessions_that_stand_no_more_are_named() {
    let engine = Arc::new(StandIn::new());
    engine.hold(1);
    engine.hold(3);
    let service = service(&engine);
    let sessions = vec![sso(1), sso(2), sso(3), sso(4)];
    assert!(sessions.len() < SESSIONS_MAX);
    let answer = service.act(GateQuestion::Standing { sessions }).await;
    assert_eq!(answer, GateAnswer::NotStanding(vec![sso(2), sso(4)]));
}

#[tokio::test]
async fn a_touch_is_as_long_ago_as_the_gate_says_by_the_engines_clock() {
    let engine = Arc::new(StandIn::new());
    let service = service(&engine);
    let before = SystemClock.now();
    let sessions = vec![(sso(1), 0), (sso(2), 60_000), (sso(3), u64::MAX)];
    let answer = service.act(GateQuestion::Touch { sessions }).await;
    assert_eq!(answer, GateAnswer::Done);
    let touched = engine.touched.lock().clone();
    assert!(touched[0].1 >= before);
    assert!(touched[1].1 < before);
    assert_eq!(touched[2], (sso(3), Timestamp::default()));
}

fn service(engine: &Arc<StandIn>) -> GateService {
    let engine = Arc::clone(engine) as Arc<dyn SessionEngine>;
    GateService::new(engine, terms(), IDLE_TIMEOUT, &world(Arc::new(SystemClock)))
}

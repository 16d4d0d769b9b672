//! Tests of the verbs for gates, without a connection.

use std::time::Duration;

use super::shares::ENDS_MAX;
use super::shares::TOKENS_MAX;
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
    let answer = service
        .act(&edge(), GateQuestion::Standing { sessions })
        .await;
    assert_eq!(answer, GateAnswer::NotStanding(vec![sso(2), sso(4)]));
}

#[tokio::test]
async fn a_touch_is_as_long_ago_as_the_gate_says_by_the_engines_clock() {
    let engine = Arc::new(StandIn::new());
    let service = service(&engine);
    let before = SystemClock.now();
    let sessions = vec![(sso(1), 0), (sso(2), 60_000), (sso(3), u64::MAX)];
    let answer = service.act(&edge(), GateQuestion::Touch { sessions }).await;
    assert_eq!(answer, GateAnswer::Done);
    let touched = engine.touched.lock().clone();
    assert!(touched[0].1 >= before);
    assert!(touched[1].1 < before);
    assert_eq!(touched[2], (sso(3), Timestamp::default()));
}

/// S-24
#[tokio::test]
async fn a_gate_cannot_have_tokens_remembered_for_longer_than_they_are_good() {
    let engine = Arc::new(StandIn::new());
    let service = service(&engine);
    let spend = async |number: u8, span| {
        let token = TokenId::from_bytes([number; 16]);
        let expires = SystemClock.now().after(span);
        let question = GateQuestion::Spend { token, expires };
        service.act(&edge(), question).await
    };
    let minute = Duration::from_mins(1);
    assert_eq!(spend(1, minute).await, GateAnswer::Done);
    assert_eq!(spend(1, minute).await, GateAnswer::SpentBefore);
    assert_eq!(
        spend(2, 5 * minute).await,
        GateAnswer::Done,
        "a clock ahead, and as much again"
    );
    assert_eq!(spend(3, 6 * minute).await, GateAnswer::SpentBefore);
    let endless = Duration::from_millis(u64::MAX);
    assert_eq!(spend(4, endless).await, GateAnswer::SpentBefore);
}

/// S-24
#[test]
fn a_gate_that_has_spent_its_share_leaves_room_for_others() {
    let engine = Arc::new(StandIn::new());
    let service = service(&engine);
    let expires = SystemClock.now().after(Duration::from_secs(50));
    let token = |number: u64| {
        let number = u128::from(number);
        TokenId::from_bytes(number.to_be_bytes())
    };
    for number in 0..TOKENS_MAX as u64 {
        assert!(service.spend(&edge(), token(number), expires));
    }
    assert!(!service.spend(&edge(), token(u64::MAX), expires));
    let other = ClusterId::parse("edge-2").unwrap();
    assert!(service.spend(&other, token(u64::MAX), expires));
    for _ in 0..TOKENS_MAX {
        let again = service.spend(&other, token(u64::MAX), expires);
        assert!(!again, "spent before");
    }
    assert!(
        service.spend(&other, token(u64::MAX - 1), expires),
        "its own share is there"
    );
}

/// S-18
#[tokio::test]
async fn a_gate_may_have_only_so_many_ends_remembered_of_sessions_that_nobody_knows() {
    let engine = Arc::new(StandIn::new());
    let claim = engine.hold(1);
    let service = service(&engine);
    let now = SystemClock.now();
    let end = async |gate: ClusterId, sso: SsoId, expires| {
        let facts = SsoFacts {
            sso,
            expires,
            ..claim.facts.clone()
        };
        let cause = EndCause::LoggedOut;
        let question = GateQuestion::End { facts, cause };
        service.act(&gate, question).await
    };
    let is_taken = |answer: &GateAnswer| matches!(answer, GateAnswer::Ended { .. });
    let unknown = |number: usize| SsoId::from_bytes((u128::MAX - number as u128).to_be_bytes());
    let never = Timestamp::from_millis(u64::MAX);
    for number in 0..ENDS_MAX {
        assert!(is_taken(&end(edge(), unknown(number), never).await));
    }
    let refused = end(edge(), unknown(ENDS_MAX), never).await;
    assert_eq!(refused, GateAnswer::NotDurable);
    let known = end(edge(), sso(1), now.after(Duration::from_mins(1))).await;
    assert!(is_taken(&known), "its record goes for it");
    let other = ClusterId::parse("edge-2").unwrap();
    assert!(is_taken(&end(other, unknown(ENDS_MAX), never).await));
}

fn edge() -> ClusterId {
    ClusterId::parse("edge-1").unwrap()
}

fn service(engine: &Arc<StandIn>) -> GateService {
    let engine = Arc::clone(engine) as Arc<dyn SessionEngine>;
    GateService::new(engine, terms(), LIMITS, &world(Arc::new(SystemClock)))
}

const LIMITS: GateLimits = GateLimits {
    idle_timeout: IDLE_TIMEOUT,
    hard_skew: Duration::from_mins(2),
};

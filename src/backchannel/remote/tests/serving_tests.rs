//! What a gate serves from memory, what it asks about, and what it tells.

use std::time::Duration;

use futures_util::FutureExt;

use crate::backchannel::remote::known::Held;
use crate::backchannel::remote::tests::rig_tests::*;
use crate::model::claim::Claim;
use crate::model::claim::NotLive;
use crate::model::end::Confirmed;
use crate::model::id::TokenId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Credential;
use crate::model::name::HostName;
use crate::model::name::UserName;
use crate::model::secret::Secret;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::ports::clock::Clock;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignIn;

#[tokio::test]
async fn an_engine_is_asked_once_and_memory_serves_from_then_on_m_055() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let gate = Plan::at(&ny).start();
    assert!(is_unknown(&gate.lookup(&claim)));
    assert!(!gate.remote.is_standing(&sso(1)));
    assert!(is_live(&gate.resolve(&claim).await));
    assert!(gate.remote.is_standing(&sso(1)));
    gate.follows(0).await;
    // The first answer may be older than the following; the second is covered by it.
    assert!(is_live(&gate.resolve(&claim).await));
    for left in (0..3).rev() {
        if serves_from_memory(&ny, &gate, &claim).await {
            break;
        }
        // Where the machine stalls for a second, memory is rightly relied on no more until an engine was asked.
        assert_ne!(left, 0, "memory does not serve");
        gate.follows(0).await;
        assert!(is_live(&gate.resolve(&claim).await));
    }
    gate.stop().await;
}

/// Whether it does, at each of many looks over longer than memory is fresh, and no engine is asked meanwhile.
async fn serves_from_memory(site: &Site, gate: &TestGate, claim: &Claim) -> bool {
    let asked = site.engine.judged();
    let until_later = gate.clock.now().after(Duration::from_millis(2500));
    let mut serves = true;
    until("it is later", || {
        serves &= is_live(&gate.lookup(claim));
        gate.clock.now() >= until_later
    })
    .await;
    serves && site.engine.judged() == asked
}

#[tokio::test]
async fn what_memory_cannot_plainly_serve_is_left_to_the_engine() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let gate = Plan::at(&ny).start();
    assert!(is_live(&gate.resolve(&claim).await));
    let mut others = vec![claim.clone(); 5];
    others[0].facts.subject = UserName::parse("mallory").unwrap();
    others[1].facts.generation = Generation(2);
    others[2].facts.level = AuthLevel::MAX;
    others[3].facts.expires = gate.clock.now();
    others[4].facts.sso = sso(2);
    for other in others {
        assert!(is_unknown(&gate.lookup(&other)), "{other:?}");
    }
    let idle = gate.clock.now().after(IDLE_TIMEOUT);
    assert!(is_unknown(&gate.remote.lookup(&claim, idle)));
    assert!(is_live(&gate.lookup(&claim)));
    let mut foreign = claim;
    foreign.facts.subject = UserName::parse("mallory").unwrap();
    let answered = gate.resolve(&foreign).await;
    assert_not_live(&answered, NotLive::Mismatched);
}

#[tokio::test]
async fn an_engine_is_told_of_accesses_within_a_second_and_before_the_gate_stops() {
    let ny = Site::start("ny", &[GATE]).await;
    let claims = [1, 2, 3, 4].map(|number| ny.engine.hold(number));
    let gate = Plan::at(&ny).start();
    for claim in &claims {
        assert!(is_live(&gate.resolve(claim).await));
    }
    let told = || ny.engine.touched.lock().len();
    let mut took = Vec::new();
    for (place, claim) in claims.iter().take(3).enumerate() {
        let at = gate.clock.now();
        let session = claim.facts.sso;
        for _ in 0..10 {
            gate.remote.touch(&session, gate.clock.now());
        }
        until("the engine is told", || told() == place + 1).await;
        took.push(gate.clock.now().since(at));
        let (touched, when) = ny.engine.touched.lock()[place];
        assert_eq!(touched, session);
        let off = when.since(at).max(at.since(when));
        // By the gate's clock: a wrong one is wrong by more than a machine stalls.
        assert!(off < Duration::from_secs(5), "{off:?}");
    }
    // One of them may be late on a busy machine.
    took.sort();
    assert!(took[1] < Duration::from_secs(1), "{took:?}");
    gate.remote.touch(&sso(4), gate.clock.now());
    gate.stop().await;
    assert_eq!(told(), 4);
}

#[tokio::test]
async fn a_visit_is_noted_at_the_engine_and_its_record_remembered() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let gate = Plan::at(&ny).start();
    let host = HostName::parse("app.test").unwrap();
    let visited = gate.remote.visit(&claim, &host).await;
    assert!(is_live(&visited));
    assert_eq!(*ny.engine.visits.lock(), std::slice::from_ref(&host));
    let Lookup::Live(kept) = gate.lookup(&claim) else {
        panic!("it is remembered");
    };
    assert_eq!(kept.visited, [host]);
}

#[tokio::test]
async fn a_logout_at_a_gate_is_final_there_and_says_who_confirmed_it_mdc_logout_3() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let gate = Plan::at(&ny).start();
    assert!(is_live(&gate.resolve(&claim).await));
    let ended = gate.remote.end(&claim.facts, EndCause::LoggedOut).await;
    assert!(ended.durable.is_ok());
    let peers = [
        (cluster("ldc"), Confirmed::Durable),
        (cluster("sfo"), Confirmed::Outstanding),
    ];
    assert_eq!(ended.peers, peers);
    assert_eq!(ended.cluster, Some(cluster("ny")));
    assert!(ny.engine.is_over(&sso(1)));
    assert!(gate.was_told_of(sso(1)));
    assert_not_live(&gate.lookup(&claim), NotLive::Ended);

    let claim = ny.engine.hold(2);
    ny.engine
        .is_durable
        .store(false, std::sync::atomic::Ordering::SeqCst);
    let ended = gate.remote.end(&claim.facts, EndCause::LoggedOut).await;
    assert!(ended.durable.is_err(), "in memory only is not confirmed");
}

#[tokio::test]
async fn a_logout_that_no_engine_hears_holds_at_the_gate_and_is_told_later_s_15() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let gate = Plan {
        timeout: Duration::from_secs(2),
        ..Plan::at(&ny)
    }
    .start();
    gate.follows(0).await;
    assert!(is_live(&gate.resolve(&claim).await));
    ny.relay.set(Passage::Cut);
    let ended = gate.remote.end(&claim.facts, EndCause::LoggedOut).await;
    assert!(ended.durable.is_err());
    assert_eq!(ended.cluster, None, "nobody has it");
    assert_not_live(&gate.lookup(&claim), NotLive::Ended);
    assert!(!gate.remote.is_standing(&sso(1)));
    assert!(!ny.engine.is_over(&sso(1)));
    ny.relay.set(Passage::Open);
    until("the engine hears of it", || ny.engine.is_over(&sso(1))).await;
    // What an engine said before it heard changes nothing.
    assert_not_live(&gate.resolve(&claim).await, NotLive::Ended);
}

/// R4: neither memory that overflows nor a user who does not wait for the answer takes an end back.
#[tokio::test]
async fn an_end_that_memory_forgot_and_no_engine_has_heard_holds_and_is_told_later_s_15() {
    let ny = Site::start("ny", &[GATE]).await;
    let claims = [ny.engine.hold(1), ny.engine.hold(2)];
    let plan = Plan {
        cache_max: 8,
        ..Plan::at(&ny)
    };
    let gate = plan.start();
    gate.follows(0).await;
    for claim in &claims {
        assert!(is_live(&gate.resolve(claim).await));
    }
    let [first, second] = &claims;
    let ending = gate.remote.end(&first.facts, EndCause::LoggedOut);
    // Its question is on no wire yet.
    assert!(ending.now_or_never().is_none(), "nobody waits");
    ny.relay.set(Passage::Cut);
    let node = gate.remote.node(0).unwrap();
    until("home is lost", || !node.is_followed(gate.clock.now())).await;
    let ended = gate.remote.end(&second.facts, EndCause::LoggedOut).await;
    assert!(ended.durable.is_err());
    for number in 100..200 {
        let asked = gate.clock.now();
        let other = Held::new(session(number), 0, asked, IDLE_TIMEOUT);
        assert!(gate.remote.known.keep(other));
    }
    until("memory has forgotten them", || {
        gate.remote.known.sweep();
        let known = |number| gate.remote.known.get(&sso(number));
        known(1).is_none() && known(2).is_none()
    })
    .await;
    for claim in &claims {
        assert_not_live(&gate.lookup(claim), NotLive::Ended);
        assert_not_live(&gate.resolve(claim).await, NotLive::Ended);
    }
    ny.relay.set(Passage::Open);
    for claim in &claims {
        assert_not_live(&gate.resolve(claim).await, NotLive::Ended);
    }
    until("the engine is told", || {
        ny.engine.is_over(&sso(1)) && ny.engine.is_over(&sso(2))
    })
    .await;
    gate.follows(0).await;
    for claim in &claims {
        assert_not_live(&gate.resolve(claim).await, NotLive::Ended);
    }
}

#[tokio::test]
async fn nobody_signs_in_at_a_gate() {
    let ny = Site::start("ny", &[GATE]).await;
    let gate = Plan::at(&ny).start();
    let request = SignIn {
        credential: Credential::Password {
            user: "alice".to_owned(),
            password: Secret::new(b"secret".to_vec()),
        },
        client_address: [127, 0, 0, 1].into(),
        device: None,
        replaces: None,
    };
    assert!(gate.remote.sign_in(request).await.is_err());
}

#[tokio::test]
async fn a_token_is_good_at_one_of_several_gates_only_s_24() {
    let ny = Site::start("ny", &[GATE, "edge-2"]).await;
    let gates = [GATE, "edge-2"].map(|name| {
        Plan {
            name,
            timeout: Duration::from_secs(2),
            ..Plan::at(&ny)
        }
        .start()
    });
    let expires = gates[0].clock.now().after(Duration::from_mins(1));
    let token = TokenId::from_bytes([1; 16]);
    assert!(gates[0].remote.spend_once(token, expires).await);
    assert!(!gates[0].remote.spend_once(token, expires).await);
    assert!(!gates[1].remote.spend_once(token, expires).await);
    ny.relay.set(Passage::Cut);
    let other = TokenId::from_bytes([2; 16]);
    assert!(!gates[1].remote.spend_once(other, expires).await);
}

#[tokio::test]
async fn memory_is_bounded_and_whoever_watches_is_told_of_what_is_forgotten() {
    let ny = Site::start("ny", &[GATE]).await;
    let gate = Plan {
        cache_max: 10,
        ..Plan::at(&ny)
    }
    .start();
    for number in 0..50 {
        let claim = ny.engine.hold(number);
        assert!(is_live(&gate.resolve(&claim).await));
        // A request that was just permitted finds itself (S-17).
        assert!(gate.remote.is_standing(&sso(number)), "{number}");
    }
    until("the first is forgotten", || {
        !gate.remote.is_standing(&sso(0))
    })
    .await;
    gate.hears_the_end_of(sso(0)).await;
}

#[tokio::test]
async fn a_gate_that_is_not_enrolled_or_of_another_ca_is_refused_mdc_sec_4() {
    let ny = Site::start("ny", &[GATE]).await;
    let claim = ny.engine.hold(1);
    let plan = |name, ca| Plan {
        name,
        ca,
        timeout: Duration::from_millis(500),
        ..Plan::at(&ny)
    };
    for stranger in [plan("edge-2", None), plan(GATE, Some(new_ca(2)))] {
        let stranger = stranger.start();
        let answered = stranger.resolve(&claim).await;
        assert_not_live(&answered, NotLive::Unanswered);
    }
    assert_eq!(ny.engine.judged(), 0);
    let enrolled = Plan::at(&ny).start();
    enrolled.follows(0).await;
    assert!(is_live(&enrolled.resolve(&claim).await));
}

//! Addresses in two tiers, the circuit, and what a peer costs that is not well (MDC-TOPO-2, R12).

use super::*;
use crate::backchannel::status::CircuitState;
use crate::backchannel::status::Tier;

/// Several nodes of one data centre, which `ny` knows.
fn nodes(ca: &Ca, count: usize) -> Vec<Plan> {
    (0..count)
        .map(|_| Plan::tls("london", ca).peer("ny", &[], &[]))
        .collect()
}

async fn answered(ny: &Node, times: usize) {
    for _ in 0..times {
        assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    }
}

async fn all_connected(ny: &Node) {
    until("every address is connected", || {
        ny.line("london")
            .addresses
            .iter()
            .all(|address| address.connected)
    })
    .await;
}

/// M-053, M-041, X-07: nothing stands in front of them.
#[tokio::test]
async fn questions_are_balanced_over_the_primaries_and_none_goes_to_a_secondary() {
    let ca = Ca::new();
    let plans = nodes(&ca, 3);
    let [a, b, c] = [0, 1, 2].map(|place: usize| plans[place].address);
    let ny = Plan::tls("ny", &ca).peer("london", &[a, b], &[c]).start();
    let london: Vec<Node> = plans.into_iter().map(Plan::start).collect();
    all_connected(&ny).await;
    let tiers: Vec<Tier> = ny.line("london").addresses.iter().map(|a| a.tier).collect();
    assert_eq!(tiers, [Tier::Primary, Tier::Primary, Tier::Secondary]);
    answered(&ny, 20).await;
    let asked: Vec<usize> = london.iter().map(|node| node.service.asked()).collect();
    assert_eq!(asked, [10, 10, 0]);
}

/// M-079, M-041, X-07
#[tokio::test]
async fn a_lost_primary_is_replaced_by_the_secondary_and_taken_again_when_it_is_back() {
    let ca = Ca::new();
    let [primary, secondary] = nodes(&ca, 2).try_into().ok().unwrap();
    let (home, away) = (primary.address, secondary.address);
    let ny = Plan::tls("ny", &ca)
        .peer("london", &[home], &[away])
        .start();
    let (primary, secondary) = (primary.start(), secondary.start());
    all_connected(&ny).await;
    answered(&ny, 3).await;
    assert_eq!((primary.service.asked(), secondary.service.asked()), (3, 0));
    primary.kill().await;
    until("the loss is noticed", || {
        !ny.line("london").addresses[0].connected
    })
    .await;
    answered(&ny, 3).await;
    assert_eq!(secondary.service.asked(), 3);
    let again = Plan::at(
        "london",
        Security::Open,
        Files::default(),
        home.ip(),
        home.port(),
    );
    let again = Plan {
        files: Files::default(),
        ..again
    };
    let security = tls_of("london", &ca, &again.files);
    let again = again.change(|mdc| mdc.back_channel.security = security);
    let primary = again.peer("ny", &[], &[]).start();
    all_connected(&ny).await;
    answered(&ny, 3).await;
    assert_eq!((primary.service.asked(), secondary.service.asked()), (3, 3));
}

#[tokio::test]
async fn below_the_threshold_the_secondaries_join_the_primaries() {
    let ca = Ca::new();
    let plans = nodes(&ca, 2);
    let (home, away) = (plans[0].address, plans[1].address);
    let ny = Plan::tls("ny", &ca).peer("london", &[home], &[away]);
    let ny = ny.change(|mdc| mdc.peers[0].failover_threshold = 2).start();
    let london: Vec<Node> = plans.into_iter().map(Plan::start).collect();
    all_connected(&ny).await;
    answered(&ny, 10).await;
    assert_eq!(
        (london[0].service.asked(), london[1].service.asked()),
        (5, 5)
    );
}

/// Nothing was sent there, so passing it over asks nothing twice.
#[tokio::test]
async fn an_address_that_cannot_be_connected_to_is_passed_over_within_one_question() {
    let ca = Ca::new();
    let nowhere = kept_address();
    let [london] = nodes(&ca, 1).try_into().ok().unwrap();
    let ny = Plan::tls("ny", &ca)
        .peer("london", &[nowhere], &[london.address])
        .start();
    let london = london.start();
    answered(&ny, 5).await;
    assert_eq!(london.service.asked(), 5);
    assert_eq!(ny.line("london").asked.silent(), 0);
}

/// One that is connected and does not answer is left alone while there is another.
#[tokio::test]
async fn an_address_that_does_not_answer_in_time_is_left_alone_for_a_while() {
    let ca = Ca::new();
    let plans = nodes(&ca, 2);
    let (stuck, well) = (plans[0].address, plans[1].address);
    let ny = Plan::tls("ny", &ca).peer("london", &[stuck, well], &[]);
    let ny = ny
        .change(|mdc| mdc.back_channel.circuit_pause = PATIENCE)
        .start();
    let mut plans = plans.into_iter();
    let stuck = plans.next().unwrap().holding().start();
    let well = plans.next().unwrap().start();
    all_connected(&ny).await;
    let mut silences = 0;
    while stuck.service.asked() == 0 {
        let limit = Duration::from_secs(2);
        silences += usize::from(ny.ask_within("london", abort(), limit).await.is_err());
    }
    assert_eq!(silences, 1);
    let before = well.service.asked();
    answered(&ny, 10).await;
    assert_eq!(
        (stuck.service.asked(), well.service.asked()),
        (1, before + 10)
    );
}

/// R12: somebody takes the connection and says nothing.
#[tokio::test]
async fn a_peer_that_accepts_and_never_answers_costs_the_limit_and_then_nothing() {
    let ca = Ca::new();
    let hole = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .unwrap();
    let there = hole.local_addr().unwrap();
    let _taking = tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok(connection) = hole.accept().await {
            taken.push(connection);
        }
    });
    let ny = Plan::tls("ny", &ca).peer("london", &[there], &[]);
    let ny = ny.change(|mdc| {
        mdc.back_channel.circuit_failures = 3;
        mdc.back_channel.circuit_pause = PATIENCE;
    });
    let ny = ny.start();
    let limit = Duration::from_millis(100);
    for _ in 0..3 {
        let asking = ny.ask_within("london", abort(), limit);
        let silence = tokio::time::timeout(LIMIT / 2, asking).await.unwrap();
        assert_eq!(silence, Err(Silence::TimedOut));
    }
    assert_eq!(ny.line("london").circuit, CircuitState::Open);
    for _ in 0..1000 {
        // Answered without waiting for anything at all.
        let asking = std::pin::pin!(ny.ask("london", abort()));
        let silence = futures_util::FutureExt::now_or_never(asking);
        assert_eq!(silence, Some(Err(Silence::CircuitOpen)));
    }
    assert_eq!(ny.line("london").asked.circuit_open, 1000);
}

#[tokio::test]
async fn a_peer_that_answers_again_is_asked_again_after_one_trial() {
    let (ny, london) = plans(How::Tls);
    let ny = ny
        .change(|mdc| {
            mdc.back_channel.circuit_failures = 2;
            // It must still be open at the look below.
            mdc.back_channel.circuit_pause = Duration::from_secs(3);
        })
        .start();
    let london = london.holding().start();
    ny.connected("london").await;
    let limit = Duration::from_millis(100);
    for _ in 0..2 {
        let silence = ny.ask_within("london", abort(), limit).await;
        assert_eq!(silence, Err(Silence::TimedOut));
    }
    assert_eq!(ny.ask("london", abort()).await, Err(Silence::CircuitOpen));
    london.service.held.as_ref().unwrap().add_permits(1000);
    let asking = async {
        loop {
            match ny.ask_within("london", abort(), LIMIT).await {
                Ok(_) => return,
                Err(silence) => assert_eq!(silence, Silence::CircuitOpen),
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap();
    assert_eq!(ny.line("london").circuit, CircuitState::Closed);
    answered(&ny, 3).await;
}

/// R12: each peer has a line of its own.
#[tokio::test]
async fn a_peer_that_is_stuck_costs_the_others_nothing() {
    let ca = Ca::new();
    let (london, paris) = (Plan::tls("london", &ca), Plan::tls("paris", &ca));
    let ny = Plan::tls("ny", &ca).peer("london", &[london.address], &[]);
    let ny = ny.peer("paris", &[paris.address], &[]).start();
    let _london = london.peer("ny", &[], &[]).holding().start();
    let paris = paris.peer("ny", &[], &[]).start();
    ny.connected("paris").await;
    ny.connected("london").await;
    let stuck = (0..64).map(|_| ny.ask("london", abort()));
    let stuck = futures_util::future::join_all(stuck);
    let asking = async {
        for _ in 0..100 {
            assert_eq!(ny.ask("paris", abort()).await, Ok(Answer::Done));
        }
    };
    tokio::select! {
        _ = stuck => panic!("nobody answers them"),
        () = asking => {}
    }
    assert_eq!(paris.service.asked(), 100);
}

/// The engine asks several at once and takes the first: who is given up is not blamed.
#[tokio::test]
async fn a_question_that_was_given_up_speaks_against_nobody() {
    let (ny, london) = plans(How::Tls);
    let ny = ny
        .change(|mdc| mdc.back_channel.circuit_failures = 1)
        .start();
    let london = london.holding().start();
    for count in 1..=5 {
        tokio::select! {
            answer = ny.ask("london", abort()) => panic!("{answer:?}"),
            () = until("it is there", || london.service.asked() == count) => {}
        }
    }
    assert_eq!(ny.line("london").circuit, CircuitState::Closed);
    assert_eq!(ny.line("london").under_way, 0);
}

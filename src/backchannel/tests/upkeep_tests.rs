//! How connections are kept: alive, young, and to where the name points (MDC-TOPO-3, M-051, M-052, M-054).

use super::*;

/// `ny` reaches `london` through a relay; a test changes the plan of `ny`.
async fn relayed(how: How, change: impl FnOnce(&mut Mdc)) -> (Node, Plan, Relay) {
    let (ny, london) = plans(how);
    let relay = Relay::to(london.address).await;
    let port = relay.address.port();
    let ny = ny.change(|mdc| mdc.peers[0].primary[0].port = port);
    (ny.change(change).start(), london, relay)
}

/// M-052: make before break, so that no question notices.
#[tokio::test]
async fn connections_are_replaced_before_their_age_and_no_question_is_lost() {
    for how in [How::Open, How::Tls] {
        let (ny, london, relay) = relayed(how, |mdc| {
            mdc.back_channel.connection_age_max = Duration::from_millis(500);
        })
        .await;
        let london = london.start();
        let replacing = until("it is replaced often", || relay.accepted() >= 5);
        let asking = ask_forever(&ny);
        tokio::select! {
            () = replacing => {}
            () = asking => {}
        }
        assert_eq!(ny.line("london").asked.silent(), 0);
        until("old ones are gone", || {
            london.back.server().connections() <= 2
        })
        .await;
    }
}

async fn ask_forever(ny: &Node) {
    loop {
        assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_question_under_way_finishes_on_the_connection_that_is_replaced() {
    let (ny, london, relay) = relayed(How::Tls, |mdc| {
        mdc.back_channel.connection_age_max = Duration::from_millis(300);
    })
    .await;
    let london = london.holding().start();
    let releasing = async {
        until("it is there", || london.service.asked() == 1).await;
        until("another connection was made", || relay.accepted() >= 3).await;
        london.service.held.as_ref().unwrap().add_permits(1);
    };
    let (answer, ()) = tokio::join!(ny.ask_within("london", abort(), PATIENCE), releasing);
    assert_eq!(answer, Ok(Answer::Done));
}

/// M-051: a connection that is dead without a word is found out without any question.
#[tokio::test]
async fn a_connection_that_went_dead_is_noticed_and_made_again() {
    let (ny, london, relay) = relayed(How::Tls, |mdc| {
        mdc.back_channel.keep_alive_interval = Duration::from_millis(100);
        mdc.back_channel.connect_timeout = Duration::from_millis(500);
    })
    .await;
    let _london = london.start();
    ny.connected("london").await;
    relay.set(Relaying::Freeze);
    until("it is noticed", || {
        !ny.line("london").addresses[0].connected
    })
    .await;
    relay.cut();
    relay.set(Relaying::Pass);
    ny.connected("london").await;
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
}

/// The network swallows what one connection says; TCP would take minutes to find out.
#[tokio::test]
async fn a_connection_over_which_no_answer_came_is_replaced_at_once() {
    let (ny, london, relay) = relayed(How::Tls, |mdc| {
        mdc.back_channel.keep_alive_interval = Duration::from_hours(1);
    })
    .await;
    let _london = london.start();
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    relay.set(Relaying::FreezeOld(1));
    let limit = Duration::from_millis(200);
    let silence = ny.ask_within("london", abort(), limit).await;
    assert_eq!(silence, Err(Silence::TimedOut));
    until("there is another", || relay.accepted() == 2).await;
    ny.answered_by("london").await;
}

/// An address behind a partition is not tried by one question after the other.
#[tokio::test]
async fn an_address_that_cannot_be_connected_to_again_is_given_up_until_it_can() {
    let (ny, london, relay) = relayed(How::Tls, |mdc| {
        mdc.back_channel.keep_alive_interval = Duration::from_hours(1);
        mdc.back_channel.connect_timeout = Duration::from_millis(500);
    })
    .await;
    let _london = london.start();
    ny.connected("london").await;
    relay.set(Relaying::Freeze);
    let limit = Duration::from_millis(200);
    let silence = ny.ask_within("london", abort(), limit).await;
    assert_eq!(silence, Err(Silence::TimedOut));
    until("it is given up", || {
        !ny.line("london").addresses[0].connected
    })
    .await;
    relay.set(Relaying::FreezeOld(relay.accepted()));
    ny.answered_by("london").await;
}

#[tokio::test]
async fn a_connection_that_was_cut_is_made_again_before_anybody_asks() {
    let (ny, london, relay) = relayed(How::Open, |_| {}).await;
    let _london = london.start();
    ny.connected("london").await;
    let before = relay.accepted();
    relay.cut();
    until("there is another", || relay.accepted() > before).await;
    ny.connected("london").await;
}

/// M-054
#[tokio::test]
async fn a_name_is_resolved_again_for_each_connection() {
    let ca = Ca::new();
    let files = Files::default();
    let security = tls_of("london", &ca, &files);
    let at = |ip: [u8; 4], port| {
        let plan = Plan::at("london", security.clone(), files.clone(), ip.into(), port);
        plan.peer("ny", &[], &[])
    };
    let port = kept_address().port();
    let (old, new) = (at([127, 0, 0, 1], port), at([127, 0, 0, 2], port));
    let ny = Plan::tls("ny", &ca).peer("london", &[old.address], &[]);
    let ny = ny
        .change(|mdc| mdc.peers[0].primary[0].host = "london.test".to_owned())
        .start();
    let name = |ips: &[[u8; 4]]| {
        let ips = ips.iter().map(|ip| IpAddr::from(*ip)).collect();
        ny.resolver.0.lock().insert("london.test".to_owned(), ips);
    };
    let (old, new) = (old.start(), new.start());
    assert_eq!(ny.ask("london", abort()).await, Err(Silence::Unreachable));
    name(&[[127, 0, 0, 1]]);
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    assert_eq!(old.service.asked(), 1);
    // Nobody is at the first address; the others are tried.
    name(&[[127, 0, 0, 3], [127, 0, 0, 2]]);
    old.kill().await;
    ny.connected("london").await;
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    assert_eq!(new.service.asked(), 1);
}

#[tokio::test]
async fn a_connection_without_any_question_is_given_up_by_whoever_listens() {
    let (ny, london) = plans(How::Tls);
    let ny = ny.start();
    let london = london
        .limited(|limits| limits.idle_timeout = Duration::from_millis(100))
        .start();
    ny.connected("london").await;
    until("it is closed", || !ny.line("london").addresses[0].connected).await;
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    assert_eq!(london.service.asked(), 1);
}

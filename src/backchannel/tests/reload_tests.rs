//! Certificates, keys and CAs that change while the gateway runs (MDC-SEC-3).

use super::*;

fn reissue(node: &Node, ca: &Ca) {
    node.files
        .write(node.name, &ca.issue(&engine(node.name), |_| {}), &ca.pem);
}

/// MDC-SEC-3
#[tokio::test]
async fn a_new_certificate_is_taken_over_without_losing_a_question() {
    let ca = Ca::new();
    let (ny, london) = (Plan::tls("ny", &ca), Plan::tls("london", &ca));
    let relay = Relay::to(london.address).await;
    let (here, there) = (ny.address, relay.address);
    let ny = ny.peer("london", &[there], &[]).start();
    let london = london.peer("ny", &[here], &[]).start();
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    assert_eq!(ny.reload().unwrap(), Reloaded::Unchanged);
    for renewed in [&ny, &london] {
        let before = relay.accepted();
        reissue(renewed, &ca);
        assert_eq!(renewed.reload().unwrap(), Reloaded::Changed);
        until("there is another connection", || relay.accepted() > before).await;
        assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    }
    assert_eq!(ny.line("london").asked.silent(), 0);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_told_of_once() {
    let ca = Ca::new();
    let (ny, london) = (Plan::tls("ny", &ca), Plan::tls("london", &ca));
    let ny = ny.peer("london", &[london.address], &[]).start();
    let london = london.peer("ny", &[], &[]).start();
    let good = ny.files.read(Path::new("ny.pem")).unwrap();
    let other = ca.issue(&engine("ny"), |_| {}).0;
    let not_ours = ca.issue(&engine("paris"), |_| {}).0;
    for bad in ["", "garbage", &other, &not_ours] {
        ny.files.put(Path::new("ny.pem"), bad);
        assert!(
            matches!(ny.reload(), Err(TrustError::Unusable { .. })),
            "{bad}"
        );
        assert_eq!(ny.reload().unwrap(), Reloaded::Unchanged, "told once");
    }
    ny.files.0.lock().remove(Path::new("ny-ca.pem"));
    assert!(matches!(ny.reload(), Err(TrustError::Unreadable { .. })));
    assert_eq!(ny.reload().unwrap(), Reloaded::Unchanged, "told once");
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    assert_eq!(london.service.asked(), 1);
    ny.files.put(Path::new("ny-ca.pem"), &ca.pem);
    ny.files
        .put(Path::new("ny.pem"), std::str::from_utf8(&good).unwrap());
    assert_eq!(ny.reload().unwrap(), Reloaded::Changed);
    assert_eq!(ny.back.own_certificates()[0].node, engine("ny"));
}

/// R11: whoever is no longer believed does not live on in an old connection.
#[tokio::test]
async fn a_ca_that_is_replaced_ends_the_connections_of_the_old_one() {
    let (old, new) = (Ca::new(), Ca::new());
    let (ny, london) = (Plan::tls("ny", &old), Plan::tls("london", &old));
    let ny = ny.peer("london", &[london.address], &[]).start();
    let london = london.peer("ny", &[], &[]).start();
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    reissue(&london, &new);
    london.reload().unwrap();
    until("the connection is gone", || {
        !ny.line("london").addresses[0].connected
    })
    .await;
    assert_eq!(ny.ask("london", abort()).await, Err(Silence::Protocol));
    assert_eq!(london.service.asked(), 1);
    reissue(&ny, &new);
    ny.reload().unwrap();
    ny.connected("london").await;
    ny.answered_by("london").await;
    assert_eq!(london.service.asked(), 2);
}

/// S-8: a question that was not sent is no silence.
#[tokio::test]
async fn a_question_over_a_connection_that_is_closing_is_asked_over_a_new_one() {
    let ca = Ca::new();
    let (ny, london) = (Plan::tls("ny", &ca), Plan::tls("london", &ca));
    let relay = Relay::to(london.address).await;
    let (here, there) = (ny.address, relay.address);
    let ny = Arc::new(ny.peer("london", &[there], &[]).start());
    let london = london.holding().peer("ny", &[here], &[]).start();
    ny.connected("london").await;
    let before = relay.accepted();
    let ask = || {
        let ny = Arc::clone(&ny);
        tokio::spawn(async move { ny.ask("london", abort()).await })
    };
    // It keeps the connection open, which takes no more questions from here on.
    let mut questions = vec![ask()];
    until("one is under way", || london.service.asked() == 1).await;
    reissue(&london, &ca);
    london.reload().unwrap();
    while relay.accepted() == before {
        questions.push(ask());
        let count = questions.len();
        let last = &questions[count - 1];
        until("it has arrived, or is lost", || {
            london.service.asked() == count || last.is_finished()
        })
        .await;
        assert_eq!(london.service.asked(), count, "none is lost");
    }
    let held = london.service.held.as_ref().unwrap();
    held.add_permits(questions.len());
    for question in questions {
        assert_eq!(question.await.unwrap(), Ok(Answer::Done));
    }
    assert_eq!(ny.line("london").asked.silent(), 0);
}

/// R11: a handshake that outlasts the change is of the old trust.
#[tokio::test]
async fn a_handshake_that_is_drawn_out_over_a_new_ca_comes_to_nothing() {
    let (old, new) = (Ca::new(), Ca::new());
    let london = Plan::tls("london", &old).peer("ny", &[], &[]).start();
    let slow = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let slow = slow.await.unwrap();
    let there = slow.local_addr().unwrap();
    let ny = Plan::tls("ny", &old).peer("london", &[there], &[]).start();
    let (mut client, _) = slow.accept().await.unwrap();
    drop(slow);
    let mut server = TcpStream::connect(london.address).await.unwrap();
    let mut first = [0];
    client.read_exact(&mut first).await.unwrap();
    server.write_all(&first).await.unwrap();
    until("the handshake has begun", || {
        london.back.server().connections() == 1
    })
    .await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    reissue(&london, &new);
    london.reload().unwrap();
    // What the node says, up to the end of the connection.
    let passing = tokio::io::copy_bidirectional(&mut client, &mut server);
    tokio::time::timeout(PATIENCE, passing).await.unwrap().ok();
    until("it is over", || london.back.server().connections() == 0).await;
    assert!(ny.ask("london", abort()).await.is_err());
    assert_eq!(london.service.asked(), 0);
}

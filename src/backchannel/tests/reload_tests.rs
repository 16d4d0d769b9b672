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

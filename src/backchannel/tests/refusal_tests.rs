//! Who is turned away, what they are told, and what both logs say (threats §1.7, R11, MDC-SEC-4).

use super::*;
use crate::model::peer::Refusal;

/// `ny` asks and gets no answer to carry on from (S-8); `london` answers nobody.
async fn refused(ny: &Node, london: &Node, peer: &str) {
    for _ in 0..3 {
        let answer = ny.ask(peer, abort()).await;
        assert_eq!(answer, Err(Silence::Protocol));
    }
    assert_eq!(london.service.asked(), 0);
    assert!(
        ny.line(peer)
            .addresses
            .iter()
            .all(|address| !address.connected)
    );
}

/// MDC-SEC-4, M-033
#[tokio::test]
async fn tls_at_a_node_without_it_is_told_as_a_mode_that_differs_by_both_ends() {
    let log = Log::begin();
    let ca = Ca::new();
    let (ny, london) = (Plan::tls("ny", &ca), Plan::open("london"));
    let (here, there) = (ny.address, london.address);
    let ny = ny.peer("london", &[there], &[]).start();
    let london = london.peer("ny", &[here], &[]).start();
    refused(&ny, &london, "london").await;
    log.has(&[
        "peer=portway://london",
        "the security mode must be the same at both ends",
    ])
    .await;
    log.has(&["turned away", "mode-mismatch", "it speaks TLS"])
        .await;
    // The other way round: no TLS at a node that wants it.
    refused(&london, &ny, "ny").await;
    log.has(&[
        "peer=portway://ny",
        "turned the connection away: mode-mismatch",
    ])
    .await;
    log.has(&["turned away", "mode-mismatch", "it does not speak TLS"])
        .await;
}

/// MDC-SEC-4: the mode is per peer, where a listener has both.
#[tokio::test]
async fn a_peer_that_comes_in_another_mode_than_its_own_is_turned_away() {
    let log = Log::begin();
    let ca = Ca::new();
    let (ny, paris) = (Plan::tls("ny", &ca), Plan::open("paris"));
    let london = Plan::tls("london", &ca);
    let there = london.address;
    let ny = ny.peer("london", &[there], &[]).start();
    let paris = paris.peer("london", &[there], &[]).start();
    // For london it is the other way round.
    let london = london
        .peer("ny", &[ny.address], &[])
        .peer("paris", &[paris.address], &[]);
    let london = london
        .change(|mdc| mdc.peers[0].security = Security::Open)
        .start();
    refused(&ny, &london, "london").await;
    log.has(&[
        "mode-mismatch",
        "portway://ny speaks TLS and is configured as open",
    ])
    .await;
    refused(&paris, &london, "london").await;
    log.has(&[
        "mode-mismatch",
        "portway://paris is configured with TLS and speaks without",
    ])
    .await;
}

#[tokio::test]
async fn two_peers_with_different_modes_share_a_listener() {
    let ca = Ca::new();
    let (ny, paris) = (Plan::tls("ny", &ca), Plan::open("paris"));
    let london = Plan::tls("london", &ca);
    let ny = ny.peer("london", &[london.address], &[]).start();
    let paris = paris.peer("london", &[london.address], &[]).start();
    let london = london
        .peer("ny", &[ny.address], &[])
        .peer("paris", &[paris.address], &[]);
    let _london = london
        .change(|mdc| mdc.peers[1].security = Security::Open)
        .start();
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    assert_eq!(paris.ask("london", abort()).await, Ok(Answer::Done));
}

/// MDC-SEC-4
#[tokio::test]
async fn another_data_centre_than_the_one_expected_is_not_spoken_with() {
    for how in [How::Tls, How::Open] {
        let log = Log::begin();
        let (ny, london) = plans(how);
        let ny = ny.change(|mdc| mdc.peers[0].cluster = cluster("paris"));
        let (ny, london) = (ny.start(), london.start());
        refused(&ny, &london, "paris").await;
        match how {
            How::Tls => {
                let words = "is for portway://london, expected was portway://paris";
                log.has(&["cannot be connected", words]).await;
            }
            How::Open => {
                log.has(&["cannot be connected", "wrong-cluster"]).await;
                log.has(&["turned away", "portway://ny means portway://paris"])
                    .await;
            }
        }
    }
}

#[tokio::test]
async fn a_foreign_certificate_is_refused_and_both_logs_say_so() {
    let log = Log::begin();
    let (ours, theirs) = (Ca::new(), Ca::new());
    let (ny, london) = (Plan::tls("ny", &ours), Plan::tls("london", &theirs));
    let (here, there) = (ny.address, london.address);
    let ny = ny.peer("london", &[there], &[]).start();
    let london = london.peer("ny", &[here], &[]).start();
    refused(&ny, &london, "london").await;
    log.has(&["cannot be connected", "certificate is not accepted"])
        .await;
    log.has(&["turned away", "no TLS with it"]).await;
}

/// R11: `london` believes the CA of `ny`, and `ny` has a certificate of another one.
#[tokio::test]
async fn a_caller_with_a_foreign_certificate_learns_that_it_is_not_accepted() {
    let log = Log::begin();
    let (ours, theirs) = (Ca::new(), Ca::new());
    let (ny, london) = (Plan::tls("ny", &theirs), Plan::tls("london", &ours));
    ny.files.put(Path::new("ny-ca.pem"), &ours.pem);
    let (here, there) = (ny.address, london.address);
    let ny = ny.peer("london", &[there], &[]).start();
    let london = london.peer("ny", &[here], &[]).start();
    refused(&ny, &london, "london").await;
    log.has(&[
        "cannot be connected",
        "does not accept this node's certificate",
    ])
    .await;
    log.has(&["turned away", "invalid peer certificate"]).await;
}

/// R11
#[tokio::test]
async fn an_expired_certificate_is_refused_at_either_end() {
    let expired = |params: &mut CertificateParams| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    };
    for who in ["ny", "london"] {
        let log = Log::begin();
        let ca = Ca::new();
        let (ny, london) = (Plan::tls("ny", &ca), Plan::tls("london", &ca));
        let files = if who == "ny" {
            &ny.files
        } else {
            &london.files
        };
        files.write(who, &ca.issue(&engine(who), expired), &ca.pem);
        let (here, there) = (ny.address, london.address);
        let ny = ny.peer("london", &[there], &[]).start();
        let london = london.peer("ny", &[here], &[]).start();
        refused(&ny, &london, "london").await;
        if who == "ny" {
            log.has(&["turned away", "expired"]).await;
            log.has(&[
                "cannot be connected",
                "does not accept this node's certificate",
            ])
            .await;
        } else {
            log.has(&["cannot be connected", "expired"]).await;
        }
    }
}

/// R11: without a *current* certificate.
#[tokio::test]
async fn a_certificate_that_expires_takes_its_open_connection_with_it() {
    let log = Log::begin();
    let (ny, london) = pair(How::Tls).await;
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    let years = 100 * 365 * 24 * 3600 * 1000;
    london.clock.set_off_by(years);
    assert_eq!(ny.ask("london", abort()).await, Err(Silence::Protocol));
    assert_eq!(london.service.asked(), 1);
    log.has(&[
        "certificate-expired",
        "the certificate of portway://ny has expired",
    ])
    .await;
    until("the connection is gone", || {
        !ny.line("london").addresses[0].connected
    })
    .await;
    assert_eq!(ny.ask("london", abort()).await, Err(Silence::Protocol));
    london.clock.set_off_by(0);
    ny.answered_by("london").await;
}

/// R11: the same at the asking end.
#[tokio::test]
async fn an_answer_is_not_believed_once_the_certificate_behind_it_has_expired() {
    let log = Log::begin();
    let (ny, london) = pair(How::Tls).await;
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    let years = 100 * 365 * 24 * 3600 * 1000;
    ny.clock.set_off_by(years);
    assert_eq!(ny.ask("london", abort()).await, Err(Silence::Protocol));
    assert_eq!(london.service.asked(), 1);
    log.has(&["cannot be connected", "expired"]).await;
    ny.clock.set_off_by(0);
    ny.answered_by("london").await;
}

#[tokio::test]
async fn a_wrong_password_proves_nothing_and_both_logs_say_so() {
    let log = Log::begin();
    let (ny, london) = plans(How::Open);
    let ny = ny.change(|mdc| mdc.peers[0].password = Some(secret("a guess")));
    let (ny, london) = (ny.start(), london.start());
    refused(&ny, &london, "london").await;
    log.has(&["cannot be connected", "not-proven"]).await;
    log.has(&[
        "turned away",
        "portway://ny did not prove that it knows the password",
    ])
    .await;
    assert!(!log.text().contains("a guess") && !log.text().contains("what both know"));
}

#[tokio::test]
async fn a_certificate_of_our_ca_that_nobody_configured_is_turned_away() {
    let log = Log::begin();
    let ca = Ca::new();
    let (ny, london) = (Plan::tls("ny", &ca), Plan::tls("london", &ca));
    let ny = ny.peer("london", &[london.address], &[]).start();
    let london = london.start();
    refused(&ny, &london, "london").await;
    log.has(&["cannot be connected", "unknown-peer"]).await;
    log.has(&["turned away", "portway://ny is not configured here"])
        .await;
    assert!(london.turned_away() > 0);
}

/// CVE class of threats §1.7: without its CA a node would believe anybody, so it does not start.
#[tokio::test]
async fn a_missing_empty_or_garbage_ca_file_refuses_to_start() {
    let ca = Ca::new();
    let start = |change: &dyn Fn(&Files)| {
        let plan = Plan::tls("ny", &ca).peer("london", &[], &[]);
        change(&plan.files);
        let world = World {
            clock: Arc::new(TestClock::default()),
            entropy: Arc::new(SystemEntropy::new()),
            resolver: Arc::new(TestResolver::default()),
        };
        let read = |path: &Path| plan.files.read(path);
        BackChannel::new(&cluster("ny"), &plan.mdc, &world, &read).map(|_| ())
    };
    assert!(start(&|_| {}).is_ok());
    let file = Path::new("ny-ca.pem");
    let missing = start(&|files| {
        files.0.lock().remove(file);
    });
    assert!(
        matches!(&missing, Err(StartError::Trust(TrustError::Unreadable { path, .. })) if path == file),
        "{missing:?}"
    );
    for garbage in [
        "",
        "nothing",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        let unusable = start(&|files| files.put(file, garbage));
        let is_refused = matches!(
            unusable,
            Err(StartError::Trust(TrustError::Unusable { .. }))
        );
        assert!(is_refused, "{garbage:?}: {unusable:?}");
    }
    let other = start(&|files| {
        files.write("ny", &ca.issue(&engine("paris"), |_| {}), &ca.pem);
    });
    assert!(
        matches!(other, Err(StartError::Trust(TrustError::Unusable { .. }))),
        "{other:?}"
    );
}

#[tokio::test]
async fn without_tls_and_without_a_password_nothing_starts() {
    let plan = Plan::open("ny").peer("london", &[], &[]);
    let plan = plan.change(|mdc| mdc.peers[0].password = None);
    let world = World {
        clock: Arc::new(TestClock::default()),
        entropy: Arc::new(SystemEntropy::new()),
        resolver: Arc::new(TestResolver::default()),
    };
    let read = |path: &Path| plan.files.read(path);
    let started = BackChannel::new(&cluster("ny"), &plan.mdc, &world, &read);
    assert!(matches!(started, Err(StartError::NoPassword(node)) if node == engine("london")));
}

/// S-22, S-15: a clock that is far off costs sessions, and neither ends nor the greeting that finds it out.
#[tokio::test]
async fn beyond_the_hard_skew_sessions_do_not_move_and_ends_still_do() {
    for minutes in [-3, 3] {
        let (ny, london) = pair(How::Tls).await;
        ny.clock.set_off_by(minutes * 60_000);
        let answer = ny.ask("london", abort()).await;
        assert_eq!(answer, Ok(Answer::Refused(Refusal::Skew)), "{minutes}");
        assert_eq!(london.service.asked(), 0);
        let ends = Question::PushEnds { ends: Vec::new() };
        assert_eq!(ny.ask("london", ends).await, Ok(Answer::Done));
        let pull = Question::PullEnds {
            incarnation: Incarnation([0; 16]),
            after: crate::model::end::Position(0),
        };
        assert_eq!(ny.ask("london", pull).await, Ok(Answer::Done));
        let hello = ny.ask("london", Question::Hello(greeting("ny"))).await;
        assert_eq!(hello, Ok(Answer::Hello(greeting("london"))));
        ny.clock.set_off_by(minutes * 60_000 / 3);
        assert_eq!(
            ny.ask("london", abort()).await,
            Ok(Answer::Done),
            "within the limit"
        );
    }
}

#[tokio::test]
async fn a_greeting_in_another_name_is_turned_away() {
    let (ny, london) = pair(How::Tls).await;
    let answer = ny.ask("london", Question::Hello(greeting("paris"))).await;
    assert_eq!(answer, Err(Silence::Protocol));
    assert_eq!(london.service.asked(), 0);
}

//! Questions and answers between nodes that are well.

use super::*;
use crate::backchannel::wire::Body;
use crate::backchannel::wire::Letterhead;
use crate::backchannel::wire::WireError;

/// MDC-SEC-1, MDC-SEC-2
#[tokio::test]
async fn each_end_asks_the_other_and_is_named_by_what_it_has_proven() {
    for how in [How::Open, How::Tls] {
        let (ny, london) = pair(how).await;
        assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done), "{how:?}");
        assert_eq!(london.ask("ny", abort()).await, Ok(Answer::Done), "{how:?}");
        assert_eq!(*london.service.asked.lock(), [(cluster("ny"), abort())]);
        assert_eq!(*ny.service.asked.lock(), [(cluster("london"), abort())]);
        let asked = ny.line("london").asked;
        assert_eq!((asked.answered, asked.silent()), (1, 0));
        assert_eq!(london.served("ny").answered, 1);
    }
}

#[tokio::test]
async fn a_greeting_is_answered_by_a_greeting() {
    let (ny, _london) = pair(How::Tls).await;
    let answer = ny.ask("london", Question::Hello(greeting("ny"))).await;
    assert_eq!(answer, Ok(Answer::Hello(greeting("london"))));
}

#[tokio::test]
async fn a_question_asked_before_the_connection_stands_waits_for_it() {
    let (ny, london) = plans(How::Tls);
    let (ny, _london) = (ny.start(), london.start());
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
}

/// Multiplexed: all on one connection, none waiting for another.
#[tokio::test]
async fn many_questions_are_under_way_on_one_connection_at_once() {
    for how in [How::Open, How::Tls] {
        let (ny, london) = plans(how);
        let (ny, london) = (ny.start(), london.holding().start());
        let asking = (0..50).map(|_| ny.ask("london", abort()));
        let letting_go = async {
            until("all are there", || london.service.asked() == 50).await;
            assert_eq!(ny.line("london").under_way, 50);
            london.service.held.as_ref().unwrap().add_permits(50);
        };
        let (answers, ()) = tokio::join!(futures_util::future::join_all(asking), letting_go);
        assert!(
            answers.iter().all(|answer| *answer == Ok(Answer::Done)),
            "{how:?}"
        );
        assert_eq!(london.back.server().connections(), 1);
    }
}

/// Ends travel in lists of a thousand.
#[tokio::test]
async fn the_largest_honest_message_passes() {
    use crate::model::end::End;
    use crate::model::name::StoreName;
    use crate::model::name::UserName;
    use crate::model::peer::ENDS_MAX;

    for how in [How::Open, How::Tls] {
        let (ny, _london) = pair(how).await;
        let end = End::UserCutOff {
            store: StoreName::parse(&"s".repeat(StoreName::BYTES_MAX)).unwrap(),
            subject: UserName::parse(&"u".repeat(UserName::BYTES_MAX)).unwrap(),
            authenticated_before: Timestamp::from_millis(u64::MAX),
            expires: Timestamp::from_millis(u64::MAX),
        };
        let ends = vec![end; ENDS_MAX];
        let answer = ny.ask("london", Question::PushEnds { ends }).await;
        assert_eq!(answer, Ok(Answer::Done), "{how:?}");
    }
}

#[tokio::test]
async fn more_questions_than_allowed_are_busy_at_once() {
    let (ny, london) = plans(How::Tls);
    let ny = ny.change(|mdc| mdc.back_channel.questions_max = 2).start();
    let london = london.holding().start();
    let held = london.service.held.as_ref().unwrap();
    let third = async {
        until("two are under way", || london.service.asked() == 2).await;
        let third = ny.ask("london", abort()).await;
        held.add_permits(2);
        third
    };
    let (first, second, third) =
        tokio::join!(ny.ask("london", abort()), ny.ask("london", abort()), third);
    assert_eq!((first, second), (Ok(Answer::Done), Ok(Answer::Done)));
    assert_eq!(third, Err(Silence::Busy));
    assert_eq!(ny.line("london").asked.busy, 1);
    assert_eq!(ny.line("london").circuit, status::CircuitState::Closed);
}

/// S-6: what an answer promises must not stop half-way because nobody listens any more.
#[tokio::test]
async fn an_answer_is_worked_out_even_if_whoever_asked_has_given_up() {
    let (ny, london) = plans(How::Tls);
    let (ny, london) = (ny.start(), london.holding().start());
    let limit = Duration::from_secs(2);
    ny.connected("london").await;
    let silence = ny.ask_within("london", abort(), limit).await;
    assert_eq!(silence, Err(Silence::TimedOut));
    assert_eq!((london.service.asked(), london.service.finished()), (1, 0));
    london.service.held.as_ref().unwrap().add_permits(1);
    until("it is finished", || london.service.finished() == 1).await;
}

#[tokio::test]
async fn an_answer_that_panics_costs_that_question_only() {
    let (ny, _london) = pair(How::Tls).await;
    let adoption = AdoptionId::from_bytes([2; 16]);
    let panics = Question::Abort {
        sso: PANICS,
        adoption,
    };
    assert_eq!(ny.ask("london", panics).await, Err(Silence::Protocol));
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
}

#[tokio::test]
async fn nobody_but_a_configured_peer_is_asked() {
    let (ny, _london) = pair(How::Tls).await;
    assert_eq!(ny.back.client().peers(), [cluster("london")]);
    let answer = ny.ask("paris", abort()).await;
    assert_eq!(answer, Err(Silence::Unreachable));
}

#[tokio::test]
async fn a_node_that_stops_lets_questions_under_way_finish() {
    let (ny, london) = plans(How::Tls);
    let (ny, london) = (ny.start(), london.holding().start());
    let stopping = async {
        until("it is there", || london.service.asked() == 1).await;
        london.stop.send_replace(true);
        until("nothing is accepted any more", || {
            std::net::TcpStream::connect(london.address).is_err()
        })
        .await;
        london.service.held.as_ref().unwrap().add_permits(1);
    };
    let (answer, ()) = tokio::join!(ny.ask("london", abort()), stopping);
    assert_eq!(answer, Ok(Answer::Done));
}

/// What a gate says to an engine, for want of better.
impl Body for String {
    const VERBS: &'static [&'static str] = &[];

    fn check(&self) -> Result<(), WireError> {
        Ok(())
    }
}

struct Echo;

#[async_trait]
impl desk::services::GateVerbs for Echo {
    async fn answer(
        &self,
        gate: &ClusterId,
        message: &[u8],
        head: &Letterhead,
    ) -> Result<Vec<u8>, WireError> {
        let said: String = wire::body(message)?;
        wire::enclose(head, &format!("{gate}: {said}"))
    }
}

/// A gate's line to an engine node.
fn gate_line(name: &str, node: &Node, ca: Option<&Ca>, files: &Files) -> Line {
    let own = gate(name);
    let proof = match ca {
        None => Proof::Password(secret("what both know")),
        Some(ca) => {
            let files_of = files.write(name, &ca.issue(&own, |_| {}), &ca.pem);
            let security = Security::Simple(files_of.clone());
            let clock = Arc::clone(&node.world.clock);
            let read = |path: &Path| files.read(path);
            let trust = Trust::new(own.clone(), &[(None, &security)], &clock, &read).unwrap();
            Proof::Tls {
                trust: Arc::new(trust),
                files: files_of,
            }
        }
    };
    let dialler = Dialler {
        own,
        proof,
        timeout: PATIENCE,
        keep_alive: KeepAlive {
            interval: PATIENCE,
            timeout: PATIENCE,
        },
        entropy: Arc::clone(&node.world.entropy),
        resolver: Arc::clone(&node.world.resolver),
    };
    let address = LineAddress {
        target: Target {
            node: engine(node.name),
            host: node.address.ip().to_string(),
            port: node.address.port(),
        },
        weight: 1,
    };
    let addresses = Tiers {
        primary: vec![address],
        secondary: Vec::new(),
        failover_threshold: 1,
    };
    let limits = LineLimits {
        questions_max: 8,
        circuit_failures: 100,
        circuit_pause: Duration::from_secs(1),
        connection_age_max: Duration::from_mins(10),
    };
    Line::new(addresses, dialler, limits, &node.world.clock)
}

async fn gate_asks(line: &Line, path: &'static str) -> Result<String, Silence> {
    let said = "hello".to_owned();
    let asking = line.ask(path, &said, LIMIT);
    tokio::select! {
        answer = asking => answer,
        () = line.run() => Err(Silence::Unreachable),
    }
}

#[tokio::test]
async fn an_enrolled_gate_is_answered_at_its_own_path_and_nowhere_else() {
    for how in [How::Open, How::Tls] {
        let ca = Ca::new();
        let mut plan = match how {
            How::Open => Plan::open("ny"),
            How::Tls => Plan::tls("ny", &ca),
        };
        plan.gates = Some(Arc::new(Echo));
        let ny = plan.gate("gate-1").start();
        let files = Files::default();
        let ca = matches!(how, How::Tls).then_some(&ca);
        let line = gate_line("gate-1", &ny, ca, &files);
        let answer = gate_asks(&line, wire::GATE_PATH).await;
        assert_eq!(answer.as_deref(), Ok("gate-1: hello"), "{how:?}");
        // MDC-SEC-4: a gate is no engine, whatever it asks.
        assert_eq!(
            gate_asks(&line, wire::ASK_PATH).await,
            Err(Silence::Protocol)
        );
        assert_eq!(ny.service.asked(), 0);
        let stranger = gate_line("gate-2", &ny, ca, &files);
        assert_eq!(
            gate_asks(&stranger, wire::GATE_PATH).await,
            Err(Silence::Protocol)
        );
    }
}

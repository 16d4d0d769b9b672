//! What somebody sends who does not mean well, or is broken: garbage, floods, silence, repetitions (R11, R12).

use std::convert::Infallible;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use hyper::client::conn::http2;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use tokio::net::TcpSocket;

use super::*;
use crate::backchannel::wire::Code;
use crate::backchannel::wire::Letterhead;
use crate::backchannel::wire::Signature;
use crate::crypto::peer_proof::ConnectionKeys;
use crate::crypto::peer_proof::Message;
use crate::crypto::peer_proof::Opening;
use crate::crypto::peer_proof::Side;
use crate::model::id::KeyId;
use crate::model::peer::Refusal;

/// An HTTP/2 client that sends what it is told.
struct Raw(SendRequest<BoxBody<Bytes, Infallible>>);

impl Raw {
    async fn to(node: &Node) -> Self {
        Self::reading(node, 1 << 20).await
    }

    /// One that takes so many bytes of each answer, as long as nobody reads them.
    async fn reading(node: &Node, window: u32) -> Self {
        let stream = TcpStream::connect(node.address).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let (sender, driver) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async move { driver.await.ok() });
        Self(sender)
    }

    async fn send(
        &mut self,
        request: Request<BoxBody<Bytes, Infallible>>,
    ) -> Result<(StatusCode, Bytes), hyper::Error> {
        let response = self.0.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// Posts a body; the code if it is turned away.
    async fn post(&mut self, path: &str, headers: &HeaderMap, body: &[u8]) -> Result<Bytes, Code> {
        let request = request(
            path,
            headers,
            Full::new(Bytes::copy_from_slice(body)).boxed(),
        );
        let (status, body) = self.send(request).await.unwrap();
        if status == StatusCode::OK {
            Ok(body)
        } else {
            let code = wire::read_code(&body);
            assert_eq!(status, code.status());
            Err(code)
        }
    }

    /// Opens in the name of `from`, and answers what its password makes of it.
    async fn open(&mut self, from: &str, password: &str) -> Result<ConnectionKeys, Code> {
        let said = wire::Opening {
            from: engine(from),
            to: engine("london"),
            nonce: Some([5; 32]),
        };
        let answer = self
            .post(wire::OPEN_PATH, &HeaderMap::new(), &said.enclose().unwrap())
            .await?;
        let heard = wire::Opening::read(&answer).unwrap();
        let opening = Opening {
            dialler: engine(from),
            listener: heard.from,
            dialler_nonce: [5; 32],
            listener_nonce: heard.nonce.unwrap(),
        };
        Ok(ConnectionKeys::new(&secret(password), &opening))
    }

    async fn prove(&mut self, keys: &ConnectionKeys) -> Result<Bytes, Code> {
        let proof = wire::enclose_proof(keys.prove(Side::Dialler)).unwrap();
        self.post(wire::PROVE_PATH, &HeaderMap::new(), &proof).await
    }
}

fn request(
    path: &str,
    headers: &HeaderMap,
    body: BoxBody<Bytes, Infallible>,
) -> Request<BoxBody<Bytes, Infallible>> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://x.test{path}"))
        .header(CONTENT_TYPE, wire::MEDIA_TYPE)
        .body(body)
        .unwrap();
    request.headers_mut().extend(headers.clone());
    request
}

/// `london` without TLS, and a client that has proven to be `ny`.
async fn proven() -> (Node, Raw, ConnectionKeys) {
    let london = Plan::open("london").peer("ny", &[], &[]).start();
    let mut raw = Raw::to(&london).await;
    let keys = raw.open("ny", "what both know").await.unwrap();
    raw.prove(&keys).await.unwrap();
    (london, raw, keys)
}

fn head() -> Letterhead {
    let now = SystemClock.now();
    Letterhead {
        from: engine("ny"),
        to: engine("london"),
        sent: now,
        valid_until: now.after(Duration::from_secs(1)),
    }
}

fn signed(keys: &ConnectionKeys, counter: u64, path: &str, body: &[u8]) -> HeaderMap {
    let from = Side::Dialler;
    let tag = keys.sign(&Message {
        from,
        counter,
        path,
        body,
    });
    let mut headers = HeaderMap::new();
    Signature { counter, tag }.write(&mut headers);
    headers
}

/// R11
#[tokio::test]
async fn a_signed_message_is_taken_once() {
    let (london, mut raw, keys) = proven().await;
    let message = wire::enclose(&head(), &abort()).unwrap();
    let headers = signed(&keys, 3, wire::ASK_PATH, &message);
    assert!(raw.post(wire::ASK_PATH, &headers, &message).await.is_ok());
    let again = raw.post(wire::ASK_PATH, &headers, &message).await;
    assert_eq!(again, Err(Code::NotProven));
    assert_eq!(london.service.asked(), 1);
    assert_eq!(
        london.served("ny"),
        status::ServedCounts {
            answered: 1,
            turned_away: 1
        }
    );
}

#[tokio::test]
async fn an_unsigned_or_changed_message_is_not_taken() {
    let (london, mut raw, keys) = proven().await;
    let message = wire::enclose(&head(), &abort()).unwrap();
    let none = HeaderMap::new();
    let other_path = signed(&keys, 1, wire::GATE_PATH, &message);
    let mut other_counter = signed(&keys, 2, wire::ASK_PATH, &message);
    other_counter.insert("portway-counter", 4.into());
    let mut changed = message.clone();
    *changed.last_mut().unwrap() ^= 1;
    let other_body = signed(&keys, 5, wire::ASK_PATH, &changed);
    for headers in [none, other_path, other_counter, other_body] {
        let answer = raw.post(wire::ASK_PATH, &headers, &message).await;
        assert_eq!(answer, Err(Code::NotProven));
    }
    assert_eq!(london.service.asked(), 0);
}

#[tokio::test]
async fn before_the_proof_nothing_is_answered() {
    let london = Plan::open("london").peer("ny", &[], &[]).start();
    let message = wire::enclose(&head(), &abort()).unwrap();
    let mut raw = Raw::to(&london).await;
    let unproven = raw.post(wire::ASK_PATH, &HeaderMap::new(), &message).await;
    assert_eq!(unproven, Err(Code::NotProven));
    let keys = raw.open("ny", "what both know").await.unwrap();
    let headers = signed(&keys, 0, wire::ASK_PATH, &message);
    let claimed = raw.post(wire::ASK_PATH, &headers, &message).await;
    assert_eq!(
        claimed,
        Err(Code::NotProven),
        "saying who one is proves nothing"
    );
    assert_eq!(london.service.asked(), 0);
}

/// One guess for each connection, and no word about how wrong it was.
#[tokio::test]
async fn a_password_is_guessed_at_once_and_never_learnt() {
    let london = Plan::open("london").peer("ny", &[], &[]).start();
    let mut raw = Raw::to(&london).await;
    let wrong = raw.open("ny", "a guess").await.unwrap();
    assert_eq!(raw.prove(&wrong).await, Err(Code::NotProven));
    let again = wire::enclose_proof(wrong.prove(Side::Dialler)).unwrap();
    let again = Full::new(Bytes::from(again)).boxed();
    let again = request(wire::PROVE_PATH, &HeaderMap::new(), again);
    let answer = raw.send(again).await;
    assert!(!matches!(answer, Ok((StatusCode::OK, _))), "{answer:?}");
    until("it is over", || london.back.server().connections() == 0).await;
    let mut raw = Raw::to(&london).await;
    let stranger = raw.open("rome", "what both know").await.map(|_| ());
    assert_eq!(stranger, Err(Code::UnknownPeer));
}

/// MDC-SEC-4
#[tokio::test]
async fn a_message_for_another_node_or_in_another_name_is_turned_away() {
    let (london, mut raw, keys) = proven().await;
    let mut cases = Vec::new();
    for (from, to, code) in [
        (engine("paris"), engine("london"), Code::WrongSender),
        (gate("ny"), engine("london"), Code::WrongSender),
        (engine("ny"), engine("paris"), Code::WrongCluster),
        (engine("ny"), gate("london"), Code::WrongCluster),
    ] {
        cases.push((Letterhead { from, to, ..head() }, code));
    }
    for (counter, (head, code)) in (0..).zip(cases) {
        let message = wire::enclose(&head, &abort()).unwrap();
        let headers = signed(&keys, counter, wire::ASK_PATH, &message);
        let answer = raw.post(wire::ASK_PATH, &headers, &message).await;
        assert_eq!(answer, Err(code), "{head:?}");
    }
    assert_eq!(london.service.asked(), 0);
}

/// R11: delivered later than anybody waited for it.
#[tokio::test]
async fn a_message_whose_time_is_long_over_or_never_ends_does_nothing() {
    let (london, mut raw, keys) = proven().await;
    let now = SystemClock.now();
    let minutes = Duration::from_mins;
    let times = [
        (now.before(minutes(4)), now.before(minutes(3))),
        (now, now.after(minutes(60))),
        (now.after(minutes(3)), now.after(minutes(4))),
    ];
    for (counter, (sent, valid_until)) in (0..).zip(times) {
        let message = wire::enclose(
            &Letterhead {
                sent,
                valid_until,
                ..head()
            },
            &abort(),
        )
        .unwrap();
        let headers = signed(&keys, counter, wire::ASK_PATH, &message);
        let answer = raw.post(wire::ASK_PATH, &headers, &message).await.unwrap();
        let answer: Answer = wire::body(&answer).unwrap();
        assert_eq!(answer, Answer::Refused(Refusal::Skew));
    }
    assert_eq!(london.service.asked(), 0);
}

#[tokio::test]
async fn garbage_and_oversized_bodies_are_turned_away_and_the_connection_goes_on() {
    let (london, mut raw, keys) = proven().await;
    let whole = wire::enclose(&head(), &abort()).unwrap();
    let bodies = [
        (Vec::new(), Code::Malformed),
        (b"{\"json\": true}".to_vec(), Code::Malformed),
        (whole[..whole.len() - 1].to_vec(), Code::Malformed),
        (vec![0x81; 10_000], Code::Malformed),
        (vec![0; wire::QUESTION_BYTES_MAX + 1], Code::TooLarge),
    ];
    for (counter, (body, code)) in (0..).zip(bodies) {
        let headers = signed(&keys, counter, wire::ASK_PATH, &body);
        let answer = raw.post(wire::ASK_PATH, &headers, &body).await;
        assert_eq!(answer, Err(code));
    }
    let headers = signed(&keys, 9, wire::ASK_PATH, &whole);
    assert!(raw.post(wire::ASK_PATH, &headers, &whole).await.is_ok());
    assert_eq!(london.service.asked(), 1);
}

#[tokio::test]
async fn what_is_no_message_is_turned_away_by_a_short_word() {
    let (london, mut raw, _) = proven().await;
    let none = HeaderMap::new();
    for path in [
        "/",
        "/portway/2/ask",
        "/portway/1/ask/",
        "/portway/1/../1/ask",
        "/metrics",
    ] {
        assert_eq!(
            raw.post(path, &none, b"").await,
            Err(Code::NoSuchPath),
            "{path}"
        );
    }
    let body = || Full::new(Bytes::new()).boxed();
    let mut get = request(wire::ASK_PATH, &none, body());
    *get.method_mut() = Method::GET;
    let mut json = request(wire::ASK_PATH, &none, body());
    json.headers_mut()
        .insert(CONTENT_TYPE, "application/json".parse().unwrap());
    for request in [get, json] {
        let (status, body) = raw.send(request).await.unwrap();
        assert_eq!(
            (status, wire::read_code(&body)),
            (StatusCode::BAD_REQUEST, Code::Malformed)
        );
        assert!(body.len() < 32, "nothing but the code");
    }
    let mut large = HeaderMap::new();
    large.insert("x-large", "x".repeat(20_000).parse().unwrap());
    let answer = raw.send(request(wire::ASK_PATH, &large, body())).await;
    assert!(!matches!(answer, Ok((StatusCode::OK, _))), "{answer:?}");
    assert_eq!(london.service.asked(), 0);
}

#[tokio::test]
async fn a_question_that_does_not_arrive_is_not_waited_for() {
    let london = Plan::open("london").peer("ny", &[], &[]);
    let london = london
        .limited(|limits| limits.question_timeout = Duration::from_millis(100))
        .start();
    let mut raw = Raw::to(&london).await;
    let never = StreamBody::new(futures_util::stream::pending()).boxed();
    let (status, body) = raw
        .send(request(wire::OPEN_PATH, &HeaderMap::new(), never))
        .await
        .unwrap();
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
    assert_eq!(wire::read_code(&body), Code::TooSlow);
}

#[tokio::test]
async fn whoever_says_nothing_or_nothing_sensible_is_cut() {
    for how in [How::Open, How::Tls] {
        let (london, _) = plans(how);
        let london = london
            .limited(|limits| limits.proof_timeout = Duration::from_millis(200))
            .start();
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".as_slice();
        let said: [&[u8]; 6] = [
            b"",
            b"GET / HTTP/1.1\r\nHost: x.test\r\n\r\n",
            b"\0\0\0\0\0\0\0\0",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
            b"PRI * HTTP/2.0\r\n",
            preface,
        ];
        futures_util::future::join_all(said.map(|said| said_to(&london, said))).await;
        until("nothing is left of them", || {
            london.back.server().connections() == 0
        })
        .await;
    }
}

/// Says something, and waits until the node has closed the connection.
async fn said_to(node: &Node, said: &[u8]) {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(said).await.ok();
    let mut answer = Vec::new();
    let reading = stream.read_to_end(&mut answer);
    let ended = tokio::time::timeout(PATIENCE, reading).await;
    assert!(ended.is_ok(), "still open after {said:?}");
}

/// R12: strangers push each other out, and nobody else.
#[tokio::test]
async fn a_crowd_of_silent_connections_leaves_peers_alone() {
    let (ny, london) = plans(How::Tls);
    let london = london
        .limited(|limits| limits.proof_timeout = PATIENCE)
        .start();
    let server = Arc::clone(london.back.server());
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(TcpStream::connect(london.address).await.unwrap());
    }
    // Whoever came first was closed.
    let first = crowd.first_mut().unwrap();
    let read = tokio::time::timeout(PATIENCE, first.read(&mut [0])).await;
    assert!(!matches!(read.unwrap(), Ok(1..)));
    until("a few are left", || server.connections() <= 32).await;
    let ny = ny.start();
    ny.connected("london").await;
    for _ in 0..400 {
        crowd.push(TcpStream::connect(london.address).await.unwrap());
    }
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    until("few enough are left", || server.connections() <= 257).await;
    drop(crowd);
    until("their places are free", || server.connections() == 1).await;
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
}

/// Begins a TLS handshake from this address; true if it was answered.
async fn shakes_hands(from: Ipv4Addr, hello: &[u8], node: SocketAddr) -> bool {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    let Ok(mut stream) = socket.connect(node).await else {
        return false;
    };
    stream.write_all(hello).await.is_ok() && matches!(stream.read(&mut [0]).await, Ok(1))
}

/// R12: no more handshakes are made for a stranger than it may begin, and a peer that comes for the first time
/// is answered beside it.
#[tokio::test]
async fn a_stranger_that_shakes_hands_as_fast_as_it_can_keeps_no_peer_from_being_answered() {
    const CALLS: usize = 3000;
    const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
    let (ny, london) = plans(How::Tls);
    let relay = Relay::to(london.address).await;
    let london = london.start();
    let hello = {
        let other = Plan::tls("other", &Ca::new()).peer("london", &[relay.address], &[]);
        let other = other.start();
        assert!(other.ask("london", abort()).await.is_err());
        let recorded = relay.recorded();
        other.kill().await;
        recorded.into_iter().next().unwrap()
    };
    let began = tokio::time::Instant::now();
    let (calls, made) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let attack = async {
        while calls.fetch_add(1, Ordering::SeqCst) < CALLS {
            let is_made = shakes_hands(STRANGER, &hello, london.address).await;
            made.fetch_add(usize::from(is_made), Ordering::SeqCst);
        }
    };
    let peer = async {
        until("the attack is on", || {
            calls.load(Ordering::SeqCst) > CALLS / 3
        })
        .await;
        let ny = ny.start();
        assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
        ny
    };
    let ((), ny) = tokio::join!(attack, peer);
    assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
    let may = 256 + 2 * (began.elapsed().as_secs() + 1);
    let made = made.load(Ordering::SeqCst) as u64;
    assert!(made <= may, "{made} handshakes, and {may} may be");
    assert!(made >= 256, "{made}");
}

/// R12
#[tokio::test]
async fn a_caller_with_too_many_connections_is_told_so() {
    let london = Plan::open("london").peer("ny", &[], &[]).start();
    let server = Arc::clone(london.back.server());
    let mut open = Vec::new();
    for _ in 0..64 {
        let mut raw = Raw::to(&london).await;
        let keys = raw.open("ny", "what both know").await.unwrap();
        raw.prove(&keys).await.unwrap();
        open.push(raw);
    }
    let mut surplus = Raw::to(&london).await;
    let keys = surplus.open("ny", "what both know").await.unwrap();
    assert_eq!(surplus.prove(&keys).await, Err(Code::Busy));
    until("it is cut", || server.connections() == 64).await;
    drop(open.pop());
    until("there is room again", || server.connections() == 63).await;
    let mut another = Raw::to(&london).await;
    let keys = another.open("ny", "what both know").await.unwrap();
    assert!(another.prove(&keys).await.is_ok());
}

/// R12: whoever asks and does not read has few answers held, and not for ever.
#[tokio::test]
async fn an_answer_that_nobody_takes_keeps_its_place_and_ends_the_connection() {
    for answer_timeout in [10 * PATIENCE, Duration::from_millis(100)] {
        let london = Plan::open("london").peer("ny", &[], &[]);
        let london = london
            .limited(|limits| limits.answer_timeout = answer_timeout)
            .start();
        let server = Arc::clone(london.back.server());
        let places = Arc::clone(&server.known[&engine("ny")].places);
        let all = places.available_permits();
        let mut raw = Raw::reading(&london, 512).await;
        let keys = raw.open("ny", "what both know").await.unwrap();
        raw.prove(&keys).await.unwrap();
        let large = Greeting {
            keys: (0..256).map(|key| KeyId(key + (1 << 20))).collect(),
            ..greeting("ny")
        };
        let message = wire::enclose(&head(), &Question::Hello(large)).unwrap();
        let headers = signed(&keys, 1, wire::ASK_PATH, &message);
        let body = Full::new(Bytes::from(message)).boxed();
        let asked = request(wire::ASK_PATH, &headers, body);
        let answer = raw.0.send_request(asked).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        if answer_timeout > PATIENCE {
            assert_eq!(places.available_permits(), all - 1);
            drop(answer);
        } else {
            until("it is cut", || server.connections() == 0).await;
        }
        until("its place is free", || places.available_permits() == all).await;
    }
}

/// R11: what was recorded on the way changes nothing when it is sent again, there or to another node.
#[tokio::test]
async fn recorded_bytes_change_nothing_when_they_are_replayed() {
    for how in [How::Open, How::Tls] {
        let (ny, london) = plans(how);
        let relay = Relay::to(london.address).await;
        let port = relay.address.port();
        let ny = ny.change(|mdc| mdc.peers[0].primary[0].port = port);
        let (ny, london) = (ny.start(), london.start());
        assert_eq!(ny.ask("london", abort()).await, Ok(Answer::Done));
        assert_eq!(london.service.asked(), 1);
        let recorded = relay.recorded();
        assert!(recorded[0].len() > 300, "{how:?}: {}", recorded[0].len());
        ny.kill().await;
        for target in [&london, &Plan::open("london").peer("ny", &[], &[]).start()] {
            let before = target.service.asked();
            futures_util::future::join_all(recorded.iter().map(|said| said_to(target, said))).await;
            assert_eq!(target.service.asked(), before, "{how:?}");
        }
    }
}

/// Whoever listens at a peer's address and does not know the password learns and answers nothing.
#[tokio::test]
async fn an_impostor_at_a_peers_address_is_not_believed() {
    let impostor = Plan::open("london").peer("ny", &[], &[]);
    let impostor = impostor
        .change(|mdc| mdc.peers[0].password = Some(secret("a guess")))
        .start();
    let ny = Plan::open("ny")
        .peer("london", &[impostor.address], &[])
        .start();
    assert_eq!(ny.ask("london", abort()).await, Err(Silence::Protocol));
    assert_eq!(impostor.service.asked(), 0);
}

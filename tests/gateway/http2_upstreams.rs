//! Upstreams that speak HTTP/2: many requests share a connection, and none suffers for another.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::HeaderMap;
use http::Method;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Manner;
use crate::support::Multiplexed;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::Url;
use crate::support::client;
use crate::support::client::Connection;
use crate::support::multiplexed::Head;
use crate::support::until;
use crate::support::wait::CUT_WITHIN;
use crate::support::wait::PATIENCE;
use crate::support::wait::assert_took;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::yaml;

/// A gateway before this upstream, by HTTP/2 without TLS.
async fn before(upstream: SocketAddr, settings: &str) -> Gateway {
    let pool = format!("primary: [\"{upstream}\"], scheme: h2c, {settings}");
    Gateway::start(&yaml::pool(&pool)).await
}

/// A client's connection of HTTP/2.
struct Caller {
    sender: SendRequest<Bytes>,
    driving: JoinHandle<()>,
}

impl Caller {
    async fn new(gateway: &Gateway) -> Self {
        let url = Url::parse("https://app.test/");
        let address = Browser::new(gateway).address(&url);
        let stream = client::connect(&url, address, Protocol::H2).await.unwrap();
        let (sender, connection) = h2::client::handshake(stream).await.unwrap();
        let driving = tokio::spawn(async move { connection.await.unwrap_or_default() });
        Self { sender, driving }
    }

    /// Begins a request; its body is still to come.
    async fn call(
        &mut self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> (ResponseFuture, h2::SendStream<Bytes>) {
        self.try_call(path, headers).await.unwrap()
    }

    /// The same, unless the connection has ended.
    async fn try_call(
        &mut self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<(ResponseFuture, h2::SendStream<Bytes>), h2::Error> {
        let mut request = http::Request::builder()
            .method(Method::POST)
            .uri(format!("https://app.test{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut sender = self.sender.clone().ready().await?;
        sender.send_request(request.body(()).unwrap(), false)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// All of a body, and what follows it.
async fn whole(mut body: h2::RecvStream) -> Result<(Vec<u8>, Option<HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = within("a piece", PATIENCE, body.data()).await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    Ok((bytes, body.trailers().await?))
}

async fn send(up: &mut h2::SendStream<Bytes>, mut piece: Bytes) {
    while !piece.is_empty() {
        up.reserve_capacity(piece.len());
        let room = std::future::poll_fn(|cx| up.poll_capacity(cx)).await;
        let room = room.unwrap().unwrap();
        up.send_data(piece.split_to(room.min(piece.len())), false)
            .unwrap();
    }
}

#[tokio::test]
async fn requests_share_a_connection_of_http_2_and_say_what_they_say_over_http_1_w_19() {
    let pools = [
        (Manner::Plain, "scheme: h2c", "http"),
        (
            Manner::Tls(&[b"h2"]),
            "scheme: h2, tls: { ca_file: ca.pem, server_name: app.test }",
            "https",
        ),
    ];
    for (manner, settings, scheme) in pools {
        let upstream = Multiplexed::start(manner).await;
        let pool = format!("primary: [\"{}\"], {settings}", upstream.address());
        let gateway = Gateway::start(&yaml::pool(&pool)).await;
        for protocol in [Protocol::H1, Protocol::H2] {
            let mut browser = Browser::new(&gateway).over(protocol);
            let request = Request::get("https://app.test/a%20b?c=d")
                .header("Remote-User", "evil")
                .header("x-forwarded-for", "192.0.2.1");
            let answer = browser.send(request).await.expect(200);
            assert_eq!(answer.text(), "ok");
            let post = Request::post("https://app.test/sum").body("x".repeat(100_000));
            assert_eq!(browser.send(post).await.expect(200).text(), "100000");
        }
        assert_eq!(upstream.connections(), 1, "{scheme}");
        let heads = upstream.heads();
        assert_eq!(heads.len(), 4);
        for head in &heads {
            assert_is_plain(head, scheme);
        }
    }
}

/// The head of a request says what it says over HTTP/1.1, in the way of HTTP/2.
fn assert_is_plain(head: &Head, scheme: &str) {
    let path = match head.method.as_str() {
        "GET" => "/a%20b?c=d",
        _ => "/sum",
    };
    assert_eq!(head.uri, format!("{scheme}://app.test{path}"));
    for gone in ["host", "connection", "remote-user", "transfer-encoding"] {
        assert!(!head.headers.contains_key(gone), "{gone}: {head:?}");
    }
    for (name, value) in [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "app.test"),
    ] {
        assert_eq!(head.headers.get(name).unwrap(), value);
    }
}

#[tokio::test]
async fn what_follows_an_answer_passes_but_for_what_only_its_head_may_say() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = before(upstream.address(), "").await;
    let mut caller = Caller::new(&gateway).await;
    let (answer, mut up) = caller.call("/", &[("te", "trailers")]).await;
    up.send_data(Bytes::from_static(b"hello"), true).unwrap();
    let (body, trailers) = whole(answer.await.unwrap().into_body()).await.unwrap();
    assert_eq!(body, b"ok");
    let trailers = trailers.unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers.len(), 1, "{trailers:?}");
    assert_eq!(upstream.heads()[0].headers["te"], "trailers");
}

#[tokio::test]
async fn a_late_answer_takes_no_other_request_of_its_connection_with_it_w_14() {
    const LATE: Duration = Duration::from_millis(1500);
    let upstream = Multiplexed::start(Manner::Plain).await;
    let timeouts = "max_fails: 0, timeouts: { first_byte: 1500ms, read_idle: 1500ms }";
    let gateway = before(upstream.address(), timeouts).await;
    let browser = Browser::new(&gateway);
    let mut ticks = browser.open(Request::get("https://app.test/ticks")).await;
    ticks.next().await.unwrap().unwrap();
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut browser = Browser::new(&gateway).over(protocol);
        let began = Instant::now();
        browser.get("https://app.test/hang").await.expect(504);
        assert_took(began, LATE..PATIENCE);
        let still = Request::get("https://app.test/still");
        let mut still = browser.open(still).await;
        within("the silent answer is cut", PATIENCE, still.rest())
            .await
            .unwrap_err();
        let post = Request::post("https://app.test/hang").body("x");
        match (protocol, browser.try_send(post).await) {
            (Protocol::H1, answer) => drop(answer.unwrap().expect(504)),
            (Protocol::H2, answer) => drop(answer.unwrap_err()),
        }
        until("what was late is ended upstream", PATIENCE, || async {
            (upstream.open() == 1).then_some(())
        })
        .await;
        browser.get("https://app.test/").await.expect(200);
        let read = ticks.next().await.unwrap().unwrap();
        assert!(read.starts_with(b"tick"), "{read:?}");
    }
}

#[tokio::test]
async fn a_client_that_goes_ends_its_request_upstream_and_leaves_the_connection_alone() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = before(upstream.address(), "").await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let browser = Browser::new(&gateway).over(protocol);
        let ticks = Request::get("https://app.test/ticks");
        let (mut first, second) = (browser.open(ticks.clone()).await, browser.open(ticks).await);
        drop(second);
        until("the request ends upstream", PATIENCE, || async {
            (upstream.open() == 1).then_some(())
        })
        .await;
        first.next().await.unwrap().unwrap();
        drop(first);
        until("both are over", PATIENCE, || async {
            (upstream.open() == 0).then_some(())
        })
        .await;
    }
    assert_eq!(upstream.connections(), 1);
}

#[tokio::test]
async fn what_an_upstream_did_not_begin_with_is_sent_again_whatever_it_is_w_08() {
    // Turned away once: a second time may cross the body on its way, and then it is not known any more.
    for (path, manner) in [("refuse-once", Manner::Plain), ("", Manner::GoingAway)] {
        let url = format!("https://app.test/{path}");
        let requests = [Request::get(&url), Request::post(&url).body("hello")];
        for (request, protocol) in requests.iter().flat_map(over_both) {
            let upstream = Multiplexed::start(manner.clone()).await;
            let gateway = before(upstream.address(), "").await;
            let mut browser = Browser::new(&gateway).over(protocol);
            browser.send(request.clone()).await.expect(200);
            // The upstream counts as well as ever.
            browser.get("https://app.test/").await.expect(200);
        }
    }
}

#[tokio::test]
async fn a_connection_that_others_overran_costs_a_question_nothing_and_is_no_failure() {
    for protocol in [Protocol::H1, Protocol::H2] {
        let upstream = Multiplexed::start(Manner::Calming).await;
        let gateway = before(upstream.address(), "max_fails: 1, fail_timeout: 1h").await;
        let mut browser = Browser::new(&gateway).over(protocol);
        browser.get("https://app.test/").await.expect(200);
        assert_eq!(upstream.connections(), 2);
        assert_eq!(gateway.upstream_states().await, ["healthy"]);
    }
}

#[tokio::test]
async fn what_an_upstream_may_have_done_is_not_asked_for_again_when_its_connection_ends() {
    for protocol in [Protocol::H1, Protocol::H2] {
        let upstream = Multiplexed::start(Manner::Calming).await;
        let gateway = before(upstream.address(), "").await;
        let mut browser = Browser::new(&gateway).over(protocol);
        let post = Request::post("https://app.test/");
        browser.send(post).await.expect(502);
        assert_eq!(upstream.connections(), 1);
    }
}

/// A request with a body whose client speaks HTTP/2 is dropped when its answer is late; nobody asks for its
/// connection again but by chance.
#[tokio::test]
async fn late_answers_cost_no_more_than_some_connections_and_their_upstream_its_place() {
    let (first, second) = (
        Multiplexed::start(Manner::Plain).await,
        Multiplexed::start(Manner::Plain).await,
    );
    let pool = |limit: &str, first_byte: &str| {
        yaml::pool(&format!(
            "primary: [\"{}\"], secondary: [\"{}\"], scheme: h2c, max_fails: 0, \
             outliers: {{ consecutive_5xx: 0, consecutive_failures: {limit} }}, timeouts: {{ first_byte: {first_byte} }}",
            first.address(),
            second.address()
        ))
    };
    let connections = async |count: usize| {
        until("so many connections", PATIENCE, || async {
            (first.connections() == count).then_some(())
        })
        .await;
    };
    let gateway = Gateway::start(&pool("100", "500ms")).await;
    let browser = Browser::new(&gateway).over(Protocol::H2);
    let late = async |times: usize| {
        for _ in 0..times {
            let post = Request::post("https://app.test/hang").body("x");
            drop(browser.try_send(post).await.unwrap_err());
        }
    };
    late(1).await;
    connections(1).await;
    // What is known of a connection outlives the configuration.
    gateway.reload_with(&pool("100", "510ms")).await;
    late(1).await;
    connections(2).await;
    late(20).await;
    until("it was asked for all", PATIENCE, || async {
        (first.heads().len() == 22).then_some(())
    })
    .await;
    assert_eq!(first.connections(), 8);
    gateway.reload_with(&pool("3", "500ms")).await;
    late(3).await;
    until("it is ejected", PATIENCE, || async {
        (gateway.upstream_states().await == ["ejected", "healthy"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_takes_back_one_request_after_the_other_is_closed_cve_2023_44487() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = before(upstream.address(), "").await;
    let other = Browser::new(&gateway).over(Protocol::H2);
    let mut ticks = other.open(Request::get("https://app.test/ticks")).await;
    let mut caller = Caller::new(&gateway).await;
    let (mut taken_back, began) = (0, Instant::now());
    while !caller.driving.is_finished() && taken_back < 1000 {
        let Ok((_, mut up)) = caller.try_call("/hang", &[]).await else {
            break;
        };
        until("it is upstream", PATIENCE, || async {
            (upstream.open() == 2 || caller.driving.is_finished()).then_some(())
        })
        .await;
        up.send_reset(h2::Reason::CANCEL);
        taken_back += 1;
        until("it is gone upstream", PATIENCE, || async {
            (upstream.open() == 1).then_some(())
        })
        .await;
    }
    // One is forgotten each second.
    let most = 110 + began.elapsed().as_secs();
    assert!((100..most).contains(&taken_back), "{taken_back} of {most}");
    gateway
        .wait_for_log("taken back before their answers")
        .await;
    let tick = ticks.next().await.unwrap().unwrap();
    assert!(tick.starts_with(b"tick"), "{tick:?}");
}

fn over_both(request: &Request) -> [(&Request, Protocol); 2] {
    [(request, Protocol::H1), (request, Protocol::H2)]
}

#[tokio::test]
async fn an_upstream_that_turns_everything_away_is_asked_so_often_and_no_more() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = before(upstream.address(), "connect_retries: 2").await;
    let mut browser = Browser::new(&gateway);
    browser.get("https://app.test/refuse").await.expect(502);
    assert_eq!(upstream.heads().len(), 3);
    let post = Request::post("https://app.test/reset").body("x");
    browser.send(post).await.expect(502);
    assert_eq!(upstream.heads().len(), 4, "it may have been acted on");
}

#[tokio::test]
async fn a_connection_that_is_over_is_made_anew_without_a_failure() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = before(upstream.address(), "").await;
    let mut browser = Browser::new(&gateway);
    browser.get("https://app.test/").await.expect(200);
    let address = upstream.address();
    drop(upstream);
    let answer = browser.get("https://app.test/").await;
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    let application = Application::start_at(address).await;
    let socket = websocket::open(&browser, "https://app.test/ws", &[]).await;
    // Upgrades are asked for by HTTP/1.1, which this one speaks.
    websocket::echo(&mut socket.unwrap(), "hello").await;
    drop(application);
}

#[tokio::test]
async fn an_upgrade_that_an_upstream_cannot_have_does_not_tell_against_it() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = before(upstream.address(), "fail_timeout: 1h").await;
    let mut browser = Browser::new(&gateway);
    for _ in 0..3 {
        let refused = websocket::open(&browser, "https://app.test/ws", &[]).await;
        assert_eq!(refused.unwrap_err().status(), 502);
        browser.get("https://app.test/").await.expect(200);
    }
    assert_eq!(upstream.heads().len(), 3);
}

#[tokio::test]
async fn an_upstream_that_does_not_agree_on_http_2_is_not_spoken_to() {
    const PROTOCOLS: [&[&[u8]]; 2] = [&[], &[b"http/1.1"]];
    for protocols in PROTOCOLS {
        let upstream = Multiplexed::start(Manner::Tls(protocols)).await;
        let tls = "tls: { ca_file: ca.pem, server_name: app.test }";
        let pool = format!("primary: [\"{}\"], scheme: h2, {tls}", upstream.address());
        let gateway = Gateway::start(&yaml::pool(&pool)).await;
        let answer = Browser::new(&gateway).get("https://app.test/").await;
        assert!(matches!(answer.status, 502 | 503), "{answer:?}");
        assert!(upstream.heads().is_empty());
    }
}

/// `/stream` and below streams; limits that would cut a stream hold elsewhere.
async fn with_streams(upstream: SocketAddr, streams: &str) -> Gateway {
    let yaml = format!(
        "{HEAD}limits: {{ body_size: 1MiB, body_idle_timeout: 500ms, body_rate_min: 1MiB }}
pools: {{ app: {{ primary: [\"{upstream}\"], scheme: h2c, timeouts: {{ write_idle: 15s }} }} }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /echo, access: excluded, pool: app, streaming: true, {streams} }}
      - {{ path: /late-echo, access: excluded, pool: app, streaming: true, {streams} }}
      - {{ path: /, access: excluded, pool: app }}
"
    );
    Gateway::start(&yaml).await
}

/// Pieces of 16 KiB, each of a byte of its own.
async fn send_pieces(mut up: h2::SendStream<Bytes>, count: usize) {
    for piece in 0..count {
        let byte = u8::try_from(piece % 251).unwrap();
        send(&mut up, vec![byte; 16 << 10].into()).await;
    }
    up.send_data(Bytes::new(), true).unwrap();
}

#[tokio::test]
async fn ten_mebibytes_go_up_and_down_at_once_and_both_keep_moving() {
    const PIECES: usize = 640;
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = with_streams(upstream.address(), "").await;
    let mut caller = Caller::new(&gateway).await;
    for path in ["/echo", "/late-echo"] {
        let (answer, up) = caller.call(path, &[]).await;
        let sending = tokio::spawn(send_pieces(up, PIECES));
        let answer = within("the head", PATIENCE, answer).await.unwrap();
        assert_eq!(answer.status(), 200);
        let (body, trailers) = whole(answer.into_body()).await.unwrap();
        assert_eq!(body.len(), PIECES << 14);
        let pieces = body.chunks(16 << 10).enumerate();
        for (piece, bytes) in pieces {
            assert!(bytes.iter().all(|byte| usize::from(*byte) == piece % 251));
        }
        assert_eq!(trailers.unwrap()["grpc-status"], "0");
        sending.await.unwrap();
    }
}

#[tokio::test]
async fn a_stream_may_pause_for_as_long_as_either_side_moves_and_other_bodies_may_not() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = with_streams(upstream.address(), "timeouts: { read_idle: 4s }").await;
    let mut caller = Caller::new(&gateway).await;
    let mut pauses = tokio::time::interval(Duration::from_millis(1700));
    let (answer, mut up) = caller.call("/echo", &[]).await;
    let mut body = within("the head", PATIENCE, answer)
        .await
        .unwrap()
        .into_body();
    for _ in 0..3 {
        pauses.tick().await;
        send(&mut up, Bytes::from_static(b"x")).await;
        let piece = within("an echo", PATIENCE, body.data()).await.unwrap();
        assert_eq!(piece.unwrap(), "x");
    }
    up.send_data(Bytes::new(), true).unwrap();
    let (_, trailers) = whole(body).await.unwrap();
    assert!(trailers.is_some());
    let (answer, mut up) = caller.call("/sum", &[]).await;
    send(&mut up, Bytes::from_static(b"x")).await;
    let cut = within("the slow body is cut", PATIENCE, answer).await;
    assert!(!cut.is_ok_and(|answer| answer.status() == 200));
}

#[tokio::test]
async fn a_stream_has_the_size_that_its_route_gives_it() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = with_streams(upstream.address(), "body_size: 10KiB").await;
    let mut caller = Caller::new(&gateway).await;
    let (answer, mut up) = caller.call("/late-echo", &[]).await;
    up.send_data(vec![b'x'; 11 << 10].into(), true).unwrap();
    let answer = within("the answer", PATIENCE, answer).await.unwrap();
    assert_eq!(answer.status(), 413);
}

#[tokio::test]
async fn a_sign_out_ends_a_stream_and_leaves_the_others_of_the_connection_s_17_d_13() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let applications = yaml::applications(&[upstream.address()]);
    let yaml = applications.replace("primary:", "scheme: h2c, primary:");
    let gateway = Gateway::start(&yaml).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let bob = Browser::signed_in(&gateway, "bob").await;
    let ticks = || Request::get("https://app.test/ticks");
    let (mut hers, mut his) = (alice.open(ticks()).await, bob.open(ticks()).await);
    hers.next().await.unwrap().unwrap();
    let mut alice = alice;
    alice
        .get("https://app.test/.portway/logout")
        .await
        .expect(303);
    within("the stream is cut", CUT_WITHIN, hers.rest())
        .await
        .unwrap_err();
    until("the request ends upstream", PATIENCE, || async {
        (upstream.open() == 1).then_some(())
    })
    .await;
    his.next().await.unwrap().unwrap();
    assert_eq!(upstream.connections(), 1);
    for head in upstream.heads() {
        let cookies = head.headers.get_all("cookie").iter();
        for cookie in cookies.map(|value| value.to_str().unwrap()) {
            assert!(!cookie.contains("portway"), "{cookie}");
        }
    }
}

#[tokio::test]
async fn a_client_is_told_to_go_on_by_the_gateway_where_its_upstream_speaks_http_2() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = before(upstream.address(), "").await;
    let head = "POST /sum HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n";
    let answer = after_100(&gateway, "app.test", head, "hello").await;
    assert!(
        answer.ends_with("5\r\n0\r\n\r\n") || answer.ends_with('5'),
        "{answer}"
    );
    assert!(!upstream.heads()[0].headers.contains_key("expect"));
}

#[tokio::test]
async fn a_client_is_told_to_go_on_where_the_gateway_reads_the_body_itself() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let gateway = before(upstream.address(), "").await;
    let head = "POST /.portway/sign-in HTTP/1.1\r\nHost: login.test\r\nContent-Length: 5\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    let answer = after_100(&gateway, "login.test", head, "r=abc").await;
    assert!(answer.contains("HTTP/1.1 "), "{answer}");
    assert!(upstream.heads().is_empty());
}

/// Sends a head that expects to be told to go on, then the body; the answer after that.
async fn after_100(gateway: &Gateway, host: &str, head: &str, body: &str) -> String {
    let url = Url::parse(&format!("https://{host}/"));
    let address = Browser::new(gateway).address(&url);
    let stream = client::connect(&url, address, Protocol::H1).await.unwrap();
    let Connection::Tls(mut stream) = stream else {
        panic!("a connection without TLS");
    };
    let head = format!("{head}Expect: 100-continue\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut interim = vec![0; 25];
    within("100 Continue", PATIENCE, stream.read_exact(&mut interim))
        .await
        .unwrap();
    let interim = String::from_utf8(interim).unwrap();
    assert!(
        interim.starts_with("HTTP/1.1 100 Continue\r\n"),
        "{interim}"
    );
    stream.write_all(body.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    within("the answer", PATIENCE, stream.read_to_end(&mut answer))
        .await
        .ok();
    String::from_utf8_lossy(&answer).into_owned()
}

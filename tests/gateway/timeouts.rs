//! Time-outs towards upstreams: to connect, to the first byte, between two, and for the whole.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::SinkExt;
use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::client::Live;
use crate::support::wait::PATIENCE;
use crate::support::wait::assert_took;
use crate::support::wait::within;
use crate::support::websocket;

fn with_timeouts(upstreams: &[SocketAddr], timeouts: &str) -> String {
    let members: Vec<String> = upstreams.iter().map(|at| format!("\"{at}\"")).collect();
    format!(
        "{HEAD}pools: {{ app: {{ primary: [{}], timeouts: {{ {timeouts} }} }} }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /still, access: excluded, pool: app, timeouts: {{ read_idle: 400ms }} }}
      - {{ path: /, access: excluded, pool: app }}
",
        members.join(", ")
    )
}

async fn open(gateway: &Gateway, protocol: Protocol, path: &str) -> Live {
    let browser = Browser::new(gateway).over(protocol);
    browser
        .open(Request::get(&format!("https://app.test{path}")))
        .await
}

#[tokio::test]
async fn an_upstream_that_does_not_begin_its_answer_in_time_is_a_504_w_14() {
    let application = Application::start().await;
    let yaml = with_timeouts(&[application.address()], "first_byte: 1500ms");
    let gateway = Gateway::start(&yaml).await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let began = Instant::now();
        let mut browser = Browser::new(&gateway).over(protocol);
        let late = browser.get("https://app.test/hang").await.expect(504);
        assert_took(began, Duration::from_millis(1500)..PATIENCE);
        assert!(
            late.text().contains(late.header("x-request-id")),
            "{}",
            late.text()
        );
        let late = browser
            .send(Request::post("https://app.test/hang").body("x"))
            .await;
        late.expect(504);
        browser.get("https://app.test/").await.expect(200);
    }
    // It was asked once for each, for it may have acted on it.
    assert_eq!(application.requests(), 6);
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_cut_off_and_one_that_trickles_is_not_w_14() {
    let application = Application::start().await;
    let yaml = with_timeouts(&[application.address()], "first_byte: 5s");
    let gateway = Gateway::start(&yaml).await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut still = open(&gateway, protocol, "/still").await;
        assert_eq!(still.status, 200);
        within("the silent answer is cut", PATIENCE, still.rest())
            .await
            .unwrap_err();
    }
    let yaml = with_timeouts(&[application.address()], "read_idle: 2s");
    let gateway = Gateway::start(&yaml).await;
    // All of it takes longer than that, a piece comes every 20 ms.
    let mut slow = open(&gateway, Protocol::H1, "/slow/150").await;
    assert_eq!(slow.rest().await.unwrap().len(), 150 * 1024);
}

#[tokio::test]
async fn an_answer_that_takes_too_long_altogether_is_cut_off() {
    let application = Application::start().await;
    let yaml = with_timeouts(&[application.address()], "total: 2s");
    let gateway = Gateway::start(&yaml).await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let began = Instant::now();
        let mut ticks = open(&gateway, protocol, "/ticks").await;
        within("the endless answer is cut", PATIENCE, ticks.rest())
            .await
            .unwrap_err();
        assert_took(began, Duration::from_secs(2)..PATIENCE);
    }
    let mut browser = Browser::new(&gateway);
    browser.get("https://app.test/hang").await.expect(504);
}

#[tokio::test]
async fn a_websocket_lives_as_long_as_something_passes_and_not_much_longer() {
    let application = Application::start().await;
    let yaml = with_timeouts(&[application.address()], "read_idle: 3s, total: 2s");
    let gateway = Gateway::start(&yaml).await;
    let browser = Browser::new(&gateway);
    let mut socket = websocket::open(&browser, "https://app.test/ws", &[])
        .await
        .unwrap();
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_millis(100));
    while began.elapsed() < Duration::from_secs(5) {
        ticks.tick().await;
        socket.send(Message::text("x")).await.unwrap();
        let answer = within("an echo", PATIENCE, socket.next()).await;
        assert!(matches!(answer, Some(Ok(Message::Text(_)))), "{answer:?}");
    }
    let end = within("the silent WebSocket is closed", PATIENCE, socket.next()).await;
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
}

/// An address that takes no connection and refuses none: its backlog is full.
struct Unanswering {
    address: SocketAddr,
    _listener: std::net::TcpListener,
    _waiting: Vec<std::net::TcpStream>,
}

impl Unanswering {
    fn new() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        nix::sys::socket::listen(&listener, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let connect =
            |_| std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
        let waiting = (0..4).map_while(connect).collect();
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }
}

#[tokio::test]
async fn a_member_that_does_not_answer_a_connection_is_passed_over_in_time_w_16() {
    let application = Application::start().await;
    let dead = Unanswering::new();
    let yaml = with_timeouts(&[dead.address, application.address()], "connect: 300ms");
    let passes_over = async || {
        let gateway = Gateway::start(&yaml).await;
        let mut browser = Browser::new(&gateway);
        let mut slowest = Duration::ZERO;
        for _ in 0..4 {
            let began = Instant::now();
            browser
                .send(Request::post("https://app.test/").body("x"))
                .await
                .expect(200);
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let alone = with_timeouts(&[dead.address], "connect: 300ms");
    let gives_up = async || {
        let gateway = Gateway::start(&alone).await;
        let began = Instant::now();
        let answer = Browser::new(&gateway).get("https://app.test/").await;
        assert!(matches!(answer.status, 502..=504), "{answer:?}");
        began.elapsed()
    };
    // Without the setting it would be 3 s each time; a machine that is busy may be as slow now and then.
    let mut took = Vec::new();
    for _ in 0..3 {
        took.push(passes_over().await.max(gives_up().await));
    }
    took.sort();
    assert!(took[1] < Duration::from_secs(3), "{took:?}");
}

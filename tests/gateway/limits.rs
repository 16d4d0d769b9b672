//! What a client may take of a virtual host or route: who takes more is told when to come back, and nobody
//! else notices.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::SinkExt;
use futures_util::StreamExt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::browser::fetch;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::yaml;

/// Two virtual hosts with routes of every kind, and these `limits` on the first and on its `/public`.
fn limited(upstream: SocketAddr, of_host: &str, of_route: &str) -> String {
    let sites = yaml::sites(&[upstream])
        .replace(
            "- host: app.test\n",
            &format!("- host: app.test\n    limits: {{ {of_host} }}\n"),
        )
        .replace(
            "path: /public,",
            &format!("path: /public, limits: {{ {of_route} }},"),
        )
        .replacen(
            "    routes:\n",
            "    routes:\n      - { path: /bulk, access: excluded, pool: app }\n      - { path: /ticks, access: unprotected, pool: app }\n",
            1,
        );
    format!(
        "{}{sites}trusted_proxies: [127.0.0.1]\nops: {{ bind: \"127.0.0.1:0\" }}\n",
        yaml::HEAD
    )
}

async fn start(of_host: &str, of_route: &str) -> (Gateway, Application) {
    let application = Application::start().await;
    let config = limited(application.address(), of_host, of_route);
    (Gateway::start(&config).await, application)
}

/// Asks for a path as if from an address.
async fn ask(gateway: &Gateway, path: &str, from: &str) -> Answer {
    let url = format!("https://app.test{path}");
    let request = fetch(&url).header("x-forwarded-for", from);
    Browser::new(gateway).send(request).await
}

async fn statuses(gateway: &Gateway, path: &str, from: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for from in from {
        statuses.push(ask(gateway, path, from).await.status);
    }
    statuses
}

#[tokio::test]
async fn an_address_beyond_its_rate_is_told_when_to_come_back_and_others_are_served() {
    let (gateway, application) =
        start("requests: { per_address: { rate: 2/h, burst: 3 } }", "").await;
    let from = ["198.51.100.1"; 5];
    let seen = statuses(&gateway, "/plain", &from).await;
    assert_eq!(seen, [200, 200, 200, 429, 429]);
    assert_eq!(application.requests(), 3);
    let refused = ask(&gateway, "/public", "198.51.100.1").await.expect(429);
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1700..=1800).contains(&seconds), "{seconds}");
    let said: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(said["status"], 429);
    assert_eq!(said["error"], "Too many requests");
    assert_eq!(said["reference"], refused.header("x-request-id"));
    ask(&gateway, "/plain", "198.51.100.2").await.expect(200);
    let counted = "portway_requests_limited_total{limit=\"requests_per_address\"}";
    assert_eq!(gateway.metric(counted).await, Some(3.0));
    gateway
        .wait_for_log("a client takes more than it may")
        .await;
}

#[tokio::test]
async fn the_addresses_of_one_ipv6_network_share_what_they_may_take() {
    let (gateway, _application) =
        start("requests: { per_address: { rate: 1/h, burst: 2 } }", "").await;
    let from = [
        "2001:db8::1",
        "2001:db8::2",
        "2001:db8::3",
        "2001:db8:0:1::1",
    ];
    let seen = statuses(&gateway, "/plain", &from).await;
    assert_eq!(seen, [200, 200, 429, 200]);
}

#[tokio::test]
async fn a_page_says_it_in_the_language_of_its_reader() {
    let (gateway, _application) =
        start("requests: { per_address: { rate: 1/h, burst: 1 } }", "").await;
    ask(&gateway, "/plain", "198.51.100.1").await.expect(200);
    for (language, words) in [
        ("en", "Please try again in 60 minutes."),
        ("de", "Bitte versuchen Sie es in 60 Minuten wieder."),
        ("fr", "Veuillez réessayer dans 60 minutes."),
        ("ar", "يرجى المحاولة بعد عدة دقائق (60)"),
    ] {
        let request = Request::get("https://app.test/plain")
            .header("accept", "text/html")
            .header("accept-language", language)
            .header("x-forwarded-for", "198.51.100.1");
        let page = Browser::new(&gateway).send(request).await.expect(429);
        assert!(page.text().contains(words), "{language}: {}", page.text());
        assert!(page.header("content-type").starts_with("text/html"));
    }
}

#[tokio::test]
async fn a_route_has_limits_of_its_own_beside_those_of_its_virtual_host() {
    let (gateway, _application) = start(
        "requests: { per_address: { rate: 1/h, burst: 4 } }",
        "requests: { per_address: { rate: 1/h, burst: 2 } }",
    )
    .await;
    let from = ["198.51.100.1"; 3];
    let seen = statuses(&gateway, "/public", &from).await;
    assert_eq!(seen, [200, 200, 429], "those of the route");
    // What the route refused has counted for the virtual host.
    let seen = statuses(&gateway, "/plain", &from[..2]).await;
    assert_eq!(seen, [200, 429], "those of the virtual host");
    let url = "https://other.test/";
    let elsewhere = fetch(url).header("x-forwarded-for", "198.51.100.1");
    Browser::new(&gateway).send(elsewhere).await.expect(401);
}

#[tokio::test]
async fn a_user_is_counted_whatever_the_address_and_strangers_are_not() {
    let limits = "requests: { per_user: { rate: 1/h, burst: 3 } }";
    let (gateway, _application) = start(limits, "").await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let mut seen = Vec::new();
    for n in 0..4 {
        let from = format!("198.51.100.{n}");
        let request = fetch("https://app.test/").header("x-forwarded-for", &from);
        seen.push(alice.send(request).await.status);
    }
    assert_eq!(seen, [200, 200, 429, 429], "the first was the sign-in's");
    let mut again = Browser::new(&gateway);
    let page = again.sign_in("https://app.test/", "alice").await;
    assert_eq!(page.status, 429, "another browser of the same user");
    Browser::new(&gateway)
        .sign_in("https://app.test/", "bob")
        .await
        .expect(200);
    let from = ["198.51.100.1"; 6];
    assert_eq!(statuses(&gateway, "/public", &from).await, [200; 6]);
    let counted = "portway_requests_limited_total{limit=\"requests_per_user\"}";
    assert_eq!(gateway.metric(counted).await, Some(3.0));
}

#[tokio::test]
async fn excepted_addresses_take_what_they_like() {
    let limits = "requests: { per_address: { rate: 1/h, burst: 1 } }, except: [198.51.100.0/25]";
    let (gateway, _application) = start(limits, "").await;
    let inside = ["198.51.100.1"; 4];
    assert_eq!(statuses(&gateway, "/plain", &inside).await, [200; 4]);
    let outside = ["198.51.100.200"; 2];
    assert_eq!(statuses(&gateway, "/plain", &outside).await, [200, 429]);
}

#[tokio::test]
async fn what_was_counted_stays_through_a_reload_unless_the_rule_is_another() {
    let (gateway, application) =
        start("requests: { per_address: { rate: 1/h, burst: 2 } }", "").await;
    let from = ["198.51.100.1"; 3];
    assert_eq!(statuses(&gateway, "/plain", &from).await, [200, 200, 429]);
    let with = |of_host| limited(application.address(), of_host, "");
    let same = with("except: [192.0.2.1], requests: { per_address: { rate: 1/h, burst: 2 } }");
    gateway.reload_with(&same).await;
    assert_eq!(statuses(&gateway, "/plain", &from[..1]).await, [429]);
    let other = with("requests: { per_address: { rate: 1/h, burst: 1 } }");
    gateway.reload_with(&other).await;
    assert_eq!(statuses(&gateway, "/plain", &from[..2]).await, [200, 429]);
    gateway.reload_with(&with("")).await;
    assert_eq!(statuses(&gateway, "/plain", &from).await, [200; 3]);
}

#[tokio::test]
async fn no_more_requests_of_an_address_are_served_at_once_than_it_may_have() {
    let (gateway, _application) = start("concurrent: { per_address: 2 }", "").await;
    let from = "198.51.100.1";
    let open = |path: &str| {
        let url = format!("https://app.test{path}");
        let request = Request::get(&url).header("x-forwarded-for", from);
        let browser = Browser::new(&gateway);
        async move { browser.open(request).await }
    };
    let first = open("/ticks").await;
    let second = open("/ticks").await;
    assert_eq!((first.status, second.status), (200, 200));
    let refused = ask(&gateway, "/plain", from).await.expect(429);
    assert_eq!(refused.header("retry-after"), "1");
    ask(&gateway, "/plain", "198.51.100.2").await.expect(200);
    drop(first);
    until("a place is free again", PATIENCE, || async {
        (ask(&gateway, "/plain", from).await.status == 200).then_some(())
    })
    .await;
    let counted = "portway_requests_limited_total{limit=\"concurrent_per_address\"}";
    assert!(gateway.metric(counted).await.unwrap() >= 1.0);
    drop(second);
}

#[tokio::test]
async fn no_more_requests_of_a_user_are_served_at_once_and_a_reload_forgets_none() {
    let (gateway, application) = start("concurrent: { per_user: 1 }", "").await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let stream = alice.open(Request::get("https://app.test/ticks")).await;
    assert_eq!(stream.status, 200);
    alice.send(fetch("https://app.test/")).await.expect(429);
    let mut bob = Browser::signed_in(&gateway, "bob").await;
    bob.send(fetch("https://app.test/")).await.expect(200);
    let other = limited(application.address(), "concurrent: { per_user: 2 }", "");
    gateway.reload_with(&other).await;
    let further = alice.open(Request::get("https://app.test/ticks")).await;
    assert_eq!(further.status, 200, "the second of two");
    alice.send(fetch("https://app.test/")).await.expect(429);
    drop((stream, further));
    until("both are over", PATIENCE, || {
        let mut alice = alice.clone();
        async move {
            let answer = alice.send(fetch("https://app.test/")).await;
            (answer.status == 200).then_some(())
        }
    })
    .await;
}

/// How long it takes to fetch so many pieces of 1 KiB, and how many come.
async fn fetch_pieces(gateway: &Gateway, pieces: usize, protocol: Protocol) -> (usize, Duration) {
    let began = Instant::now();
    let request = Request::get(&format!("https://app.test/bulk/{pieces}"));
    let answer = Browser::new(gateway).over(protocol).send(request).await;
    (answer.expect(200).body.len(), began.elapsed())
}

#[tokio::test]
async fn answers_are_slowed_down_to_the_bandwidth_of_a_request() {
    let (gateway, _application) = start("download: { per_request: 512KiB }", "").await;
    for protocol in [Protocol::H1, Protocol::H2] {
        // What a second gives at once, and the rest in another one.
        let (bytes, took) = fetch_pieces(&gateway, 1024, protocol).await;
        assert_eq!(bytes, 1 << 20);
        assert!(took >= Duration::from_millis(990), "{took:?}");
    }
    let counted = "portway_bodies_delayed_total{direction=\"download\"}";
    assert_eq!(gateway.metric(counted).await, Some(2.0));
}

#[tokio::test]
async fn requests_of_an_address_share_its_bandwidth_and_others_do_not_wait() {
    let (gateway, application) = start("download: { per_address: 512KiB }", "").await;
    let together =
        futures_util::future::join_all((0..4).map(|_| fetch_pieces(&gateway, 384, Protocol::H1)));
    let began = Instant::now();
    for (bytes, _) in together.await {
        assert_eq!(bytes, 384 << 10);
    }
    // Three times what a second gives, of which the first is there already.
    assert!(began.elapsed() >= Duration::from_millis(1990));
    gateway
        .reload_with(&limited(application.address(), "", ""))
        .await;
    let waited = gateway.metric("portway_bodies_delayed_total{direction=\"download\"}");
    let waited = waited.await;
    fetch_pieces(&gateway, 4096, Protocol::H1).await;
    let after = gateway.metric("portway_bodies_delayed_total{direction=\"download\"}");
    assert_eq!(after.await, waited);
}

#[tokio::test]
async fn uploads_are_slowed_down_and_arrive_whole() {
    let limits = "upload: { per_user: 512KiB }";
    let (gateway, application) = start(limits, "").await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let began = Instant::now();
    let upload = Request::post("https://app.test/upload").body(vec![b'x'; 1 << 20]);
    let answer = alice.send(upload).await.expect(200);
    assert_eq!(answer.text(), format!("uploaded: {}\n", 1 << 20));
    assert_eq!(application.uploaded(), 1 << 20);
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(990), "{took:?}");
    let counted = "portway_bodies_delayed_total{direction=\"upload\"}";
    assert_eq!(gateway.metric(counted).await, Some(1.0));
}

#[tokio::test]
async fn a_body_that_waits_is_not_taken_for_one_that_stands_still() {
    let application = Application::start().await;
    let config = limited(
        application.address(),
        "download: { per_request: 32KiB }",
        "",
    )
    .replace(
        "path: /, access: protected, policy: anybody, pool: app }\n  - host: other",
        "path: /, access: excluded, pool: app, timeouts: { read_idle: 1s } }\n  - host: other",
    );
    let gateway = Gateway::start(&config).await;
    // 256 KiB at once, and pieces of up to 64 KiB then, of which each waits for two seconds.
    let (bytes, _) = fetch_pieces(&gateway, 384, Protocol::H1).await;
    assert_eq!(bytes, 384 << 10);
}

/// Asks for far more than passes in a while, on a connection of its own, and reads nothing.
async fn ask_for_much(gateway: &Gateway) -> TcpStream {
    let mut connection = TcpStream::connect(gateway.address("http")).await.unwrap();
    let request =
        format!("GET /bulk/10000 HTTP/1.1\r\nHost: app.test\r\nX-Forwarded-For: {CROWDED}\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

/// What has come of an answer, in small letters.
fn begun(connection: &TcpStream) -> Option<String> {
    let mut bytes = [0; 1024];
    let count = connection.peek(&mut bytes).now_or_never()?.ok()?;
    let text = String::from_utf8_lossy(bytes.get(..count)?);
    Some(text.to_ascii_lowercase())
}

async fn start_plain(limits: &str) -> (Gateway, Application) {
    let application = Application::start().await;
    let config = plain(application.address(), limits);
    (Gateway::start(&config).await, application)
}

/// The first virtual host is served without TLS as well.
fn plain(upstream: SocketAddr, limits: &str) -> String {
    limited(upstream, limits, "").replace(
        "- host: app.test\n",
        "- host: app.test\n    plain_http: serve\n",
    )
}

#[tokio::test]
async fn what_was_sent_over_a_websocket_arrives_although_its_client_has_left_meanwhile() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let gateway = Gateway::start(&plain(upstream, "upload: { per_request: 64KiB }")).await;
    let receiving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let mut bytes = 0;
        while let Some(Ok(message)) = socket.next().await {
            bytes += message.len();
        }
        bytes
    });
    let browser = Browser::new(&gateway);
    let socket = websocket::open(&browser, "http://app.test/bulk", &[]).await;
    let mut socket = socket.unwrap();
    // Four of them pass at once, and each of the others waits for a second.
    for _ in 0..6 {
        let message = Message::binary(vec![0; 1 << 16]);
        socket.feed(message).await.unwrap();
    }
    socket.flush().await.unwrap();
    drop(socket);
    let arrived = within("the messages", PATIENCE, receiving).await.unwrap();
    assert_eq!(arrived, 6 << 16);
}

#[tokio::test]
async fn what_was_sent_over_a_websocket_arrives_although_its_client_left_while_an_answer_waits() {
    const WORDS: &str = "the last words";
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let gateway = Gateway::start(&plain(upstream, "download: { per_request: 64KiB }")).await;
    let receiving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let (mut saying, mut hearing) = socket.split();
        // Four of them pass at once, and each of the others waits for a second. Who has left takes no more.
        let pieces = (0..6).map(|_| Ok(Message::binary(vec![0; 1 << 16])));
        let mut pieces = futures_util::stream::iter(pieces);
        let (_, heard) = tokio::join!(saying.send_all(&mut pieces), hearing.next());
        heard.unwrap().unwrap().into_text().unwrap().to_string()
    });
    let browser = Browser::new(&gateway);
    let socket = websocket::open(&browser, "http://app.test/bulk", &[]).await;
    let mut socket = socket.unwrap();
    for _ in 0..3 {
        let message = within("a message", PATIENCE, socket.next()).await;
        assert_eq!(message.unwrap().unwrap().len(), 1 << 16);
    }
    socket.send(Message::text(WORDS)).await.unwrap();
    socket.get_mut().shutdown().await.unwrap();
    let heard = within("the words", PATIENCE, receiving).await.unwrap();
    assert_eq!(heard, WORDS);
}

#[tokio::test]
async fn clients_that_left_while_they_waited_hold_no_place_and_keep_nobody_waiting() {
    let limits = "download: { per_address: 64KiB }, concurrent: { per_address: 24 }";
    let (gateway, _application) = start_plain(limits).await;
    let mut waiting = Vec::new();
    for _ in 0..24 {
        waiting.push(ask_for_much(&gateway).await);
    }
    let delayed = "portway_bodies_delayed_total{direction=\"download\"}";
    until("most of them wait", PATIENCE, || async {
        let delayed = gateway.metric(delayed).await.unwrap_or_default();
        (delayed >= 20.0).then_some(())
    })
    .await;
    drop(waiting);
    let began = Instant::now();
    until("another is served", PATIENCE, || async {
        let answer = ask(&gateway, "/bulk/1", CROWDED).await;
        (answer.status == 200).then_some(())
    })
    .await;
    // What they asked for next would have taken some twenty seconds.
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_client_of_whom_too_much_waits_is_told_when_to_come_back() {
    let (gateway, _application) = start_plain("download: { per_address: 16KiB }").await;
    let mut waiting = Vec::new();
    for _ in 0..120 {
        waiting.push(ask_for_much(&gateway).await);
    }
    let delayed = "portway_bodies_delayed_total{direction=\"download\"}";
    let counted = "portway_requests_limited_total{limit=\"bandwidth_per_address\"}";
    until("most of them wait or are refused", PATIENCE, || async {
        let delayed = gateway.metric(delayed).await.unwrap_or_default();
        let refused = gateway.metric(counted).await.unwrap_or_default();
        (delayed + refused >= 110.0).then_some(())
    })
    .await;
    waiting.insert(0, ask_for_much(&gateway).await);
    let refused = until("one is refused", PATIENCE, || async {
        let mut answers = waiting.iter().filter_map(begun);
        answers.find(|answer| answer.starts_with("http/1.1 429 "))
    })
    .await;
    assert!(refused.contains("retry-after: "), "{refused}");
    assert!(gateway.metric(counted).await.unwrap() >= 1.0);
    ask(&gateway, "/plain", "198.51.100.2").await.expect(200);
    drop(waiting);
}

const CROWDED: &str = "198.51.100.1";

/// There are many clients behind it.
#[tokio::test]
async fn a_trusted_proxy_has_all_connections_that_there_are_and_no_more() {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let limits = "limits: { connections_per_address: 2, connections: 6 }\n";
    let trusted = "trusted_proxies: [127.0.0.1]\n";
    let gateway = Gateway::start(&format!("{yaml}{limits}{trusted}")).await;
    let mut held = Vec::new();
    for _ in 0..7 {
        let mut connection = TcpStream::connect(gateway.address("http")).await.unwrap();
        let asked = connection.write_all(b"GET /x HTTP/1.1\r\nHost: app.test\r\n\r\n");
        asked.await.ok();
        let mut first = [0];
        let answered = within("an answer", PATIENCE, connection.read(&mut first)).await;
        held.push((connection, answered.unwrap_or(0)));
    }
    let answered: Vec<_> = held.iter().map(|(_, bytes)| *bytes).collect();
    assert_eq!(answered, [1, 1, 1, 1, 1, 1, 0]);
}

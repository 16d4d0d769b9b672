//! Stopping: SIGTERM lets running requests finish, takes no new ones, and has a bound.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::Url;
use crate::support::client;
use crate::support::client::Live;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::assert_took;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::yaml;

async fn gateway(drain_timeout: &str) -> (Application, Gateway) {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let limits = format!("limits: {{ drain_timeout: {drain_timeout} }}\n");
    // Whoever asks is let in everywhere.
    let mut yaml = yaml.replace("path: /plain,", "path: /,");
    for closed in [
        "      - { path: /admin, access: protected, policy: admins, pool: app }\n",
        "      - { path: /, access: protected, policy: anybody, pool: app }\n",
    ] {
        yaml = yaml.replacen(closed, "", 1);
    }
    let gateway = Gateway::start(&format!("{yaml}{limits}")).await;
    (application, gateway)
}

async fn refuses_connections(gateway: &Gateway) {
    for listener in ["https", "http"] {
        let address = gateway.address(listener);
        until("new connections are refused", PATIENCE, || async {
            TcpStream::connect(address).await.is_err().then_some(())
        })
        .await;
    }
}

/// M-050
#[tokio::test]
async fn a_running_download_finishes_and_new_connections_are_refused() {
    let (_application, mut gateway) = gateway("20s").await;
    let (mut downloads, mut begun) = (Vec::new(), Vec::new());
    for protocol in [Protocol::H1, Protocol::H2] {
        let browser = Browser::new(&gateway).over(protocol);
        let mut live = browser
            .open(Request::get("https://app.test/slow/100"))
            .await;
        begun.push(live.next().await.unwrap().unwrap().len());
        downloads.push(live);
    }
    gateway.terminate();
    refuses_connections(&gateway).await;
    let rest = downloads.iter_mut().map(Live::rest);
    let rest = within("the downloads", PATIENCE, join_all(rest)).await;
    for (begun, rest) in begun.into_iter().zip(rest) {
        assert_eq!(begun + rest.unwrap().len(), 100 * 1024);
    }
    drop(downloads);
    let exit = gateway.wait_for_exit(PATIENCE).await;
    assert!(exit.success(), "{exit}");
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_the_tail_of_its_download_over_h2() {
    const BYTES: usize = 512 * 1024;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BYTES}\r\n\r\n");
    let answer = [head.into_bytes(), vec![b'x'; BYTES]].concat();
    let recorder = Recorder::answering(&answer).await;
    let pool = yaml::pool(&format!("primary: [\"{}\"]", recorder.address()));
    let mut gateway = Gateway::start(&pool).await;
    // So little room that most of what has been sent waits at the gateway.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let tcp = socket.connect(gateway.address("https")).await.unwrap();
    let tls = client::connect_tls(tcp, "app.test", &[b"h2"]);
    let (mut sender, h2) = h2::client::handshake(tls.await.unwrap()).await.unwrap();
    tokio::spawn(h2);
    let request = http::Request::get("https://app.test/").body(()).unwrap();
    let (answer, _) = sender.send_request(request, true).unwrap();
    let mut body = answer.await.unwrap().into_body();
    gateway.terminate();
    refuses_connections(&gateway).await;
    let mut bytes = 0;
    while let Some(chunk) = body.data().await {
        let chunk = chunk.unwrap_or_else(|error| panic!("after {bytes} bytes: {error}"));
        bytes += chunk.len();
        body.flow_control().release_capacity(chunk.len()).unwrap();
    }
    assert_eq!(bytes, BYTES);
    drop(sender);
    let exit = gateway.wait_for_exit(PATIENCE).await;
    assert!(exit.success(), "{exit}");
}

#[tokio::test]
async fn idle_connections_do_not_hold_the_end_up() {
    let (_application, mut gateway) = gateway("20s").await;
    let url = Url::parse("https://app.test/");
    let https = gateway.address("https");
    let mut kept = client::connect(&url, https, Protocol::H1).await.unwrap();
    kept.write_all(b"GET /x HTTP/1.1\r\nHost: app.test\r\n\r\n")
        .await
        .unwrap();
    kept.flush().await.unwrap();
    let mut head = [0; 15];
    within("an answer", PATIENCE, kept.read_exact(&mut head))
        .await
        .unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    let silent = client::connect(&url, https, Protocol::H1).await.unwrap();
    let h2 = client::connect(&url, https, Protocol::H2).await.unwrap();
    let (_sender, h2) = h2::client::handshake(h2).await.unwrap();
    let h2 = tokio::spawn(h2);
    let plain = TcpStream::connect(gateway.address("http")).await.unwrap();
    let began = Instant::now();
    gateway.terminate();
    let exit = gateway.wait_for_exit(PATIENCE).await;
    assert!(exit.success(), "{exit}");
    assert_took(began, ..Duration::from_secs(12));
    drop((kept, silent, plain));
    h2.abort();
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_bound() {
    let (_application, mut gateway) = gateway("1s").await;
    let browser = Browser::new(&gateway);
    let mut ticks = browser.open(Request::get("https://app.test/ticks")).await;
    ticks.next().await.unwrap().unwrap();
    let socket = websocket::open(&browser, "https://app.test/ws", &[])
        .await
        .unwrap();
    let began = Instant::now();
    gateway.terminate();
    // Without the setting it would be half a minute.
    let exit = gateway.wait_for_exit(PATIENCE).await;
    assert!(exit.success(), "{exit}");
    assert_took(began, Duration::from_secs(1)..);
    within("the stream is cut", PATIENCE, ticks.rest())
        .await
        .unwrap_err();
    drop(socket);
}

#[tokio::test]
async fn a_gateway_that_was_stopped_starts_again_with_its_keys_and_sessions() {
    let application = Application::start().await;
    let mut gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    gateway.terminate();
    assert!(gateway.wait_for_exit(PATIENCE).await.success());
    gateway.restart().await;
    let there = browser.get("https://app.test/").await.expect(200);
    assert_eq!(there.told("remote-user"), "alice");
}

/// Balancers ask on connections of their own, every few seconds.
#[tokio::test]
async fn connections_are_accepted_until_balancers_have_heard_that_the_node_leaves() {
    let application = Application::start().await;
    let ready = "{ name: http, bind: 127.0.0.1:0, ready_path: /ready }";
    let yaml = yaml::applications(&[application.address()])
        .replace("{ name: http, bind: 127.0.0.1:0 }", ready);
    let yaml = format!("{yaml}limits: {{ drain_delay: 10m }}\n");
    let mut gateway = Gateway::start(&yaml).await;
    let mut balancer = Browser::new(&gateway);
    balancer.get("http://app.test/ready").await.expect(200);
    gateway.terminate();
    until("balancers hear of it", PATIENCE, || {
        let mut balancer = balancer.clone();
        async move {
            let answer = balancer.get("http://app.test/ready").await;
            (answer.status == 503).then_some(())
        }
    })
    .await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    browser.get("https://app.test/").await.expect(200);
    // Who does not want to wait says so again.
    gateway.terminate();
    refuses_connections(&gateway).await;
    assert!(gateway.wait_for_exit(PATIENCE).await.success());
}

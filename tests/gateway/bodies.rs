//! Bodies: streamed both ways, bounded in size, whole.

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Nginx;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::Url;
use crate::support::client;
use crate::support::client::Connection;
use crate::support::nginx;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;

fn with_limit(upstream: std::net::SocketAddr, limit: &str) -> String {
    format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
virtual_hosts:
  - host: app.test
    routes: [{{ path: /, access: excluded, pool: app, body_size: {limit} }}]
"
    )
}

/// A connection on which a request is written by hand.
async fn connection(gateway: &Gateway) -> Connection {
    let url = Url::parse("https://app.test/");
    client::connect(&url, gateway.address("https"), Protocol::H1)
        .await
        .unwrap()
}

/// Reads what comes until the connection ends.
async fn rest(connection: &mut Connection) -> String {
    // TLS may hold on to the end of what was written.
    connection.flush().await.ok();
    let mut read = Vec::new();
    let ended = tokio::time::timeout(PATIENCE, connection.read_to_end(&mut read)).await;
    let text = String::from_utf8_lossy(&read).into_owned();
    assert!(ended.is_ok(), "the connection does not end after: {text}");
    text
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_refused_before_the_upstream_hears_of_it() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&with_limit(recorder.address(), "64KiB")).await;
    let post = |bytes: usize| {
        let request = Request::post("https://app.test/").body(vec![b'x'; bytes]);
        request.header("content-length", &bytes.to_string())
    };
    let mut h2 = Browser::new(&gateway).over(Protocol::H2);
    h2.send(post(64 * 1024)).await.expect(200);
    recorder.clear();
    h2.send(post(64 * 1024 + 1)).await.expect(413);
    let mut h1 = connection(&gateway).await;
    let head = "POST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 65537\r\n\r\n";
    h1.write_all(head.as_bytes()).await.unwrap();
    let answer = rest(&mut h1).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(recorder.bytes().is_empty(), "{}", recorder.text());
}

#[tokio::test]
async fn a_body_that_grows_too_large_is_cut_off() {
    let application = Application::start().await;
    let gateway = Gateway::start(&with_limit(application.address(), "64KiB")).await;
    let mut chunked = connection(&gateway).await;
    let head = "POST /upload HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    chunked.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
    for _ in 0..8 {
        // The gateway may have closed by then.
        if chunked.write_all(&chunk).await.is_err() {
            break;
        }
    }
    let answer = rest(&mut chunked).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(
        application.uploaded() <= 64 * 1024,
        "{}",
        application.uploaded()
    );
}

#[tokio::test]
async fn a_hundred_megabytes_pass_through_without_being_held() {
    const CHUNK: usize = 64 * 1024;
    const CHUNKS: usize = 1600;
    let application = Application::start().await;
    let gateway = Gateway::start(&with_limit(application.address(), "200MiB")).await;
    let mut upload = connection(&gateway).await;
    let length = CHUNK * CHUNKS;
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    upload.write_all(head.as_bytes()).await.unwrap();
    let chunk = vec![b'x'; CHUNK];
    let before = gateway.resident_kib();
    let mut most = before;
    for sent in 0..CHUNKS {
        within("room for a chunk", PATIENCE, upload.write_all(&chunk))
            .await
            .unwrap();
        if sent == CHUNKS / 10 {
            received_some(&application).await;
        }
        if sent % 100 == 0 {
            most = most.max(gateway.resident_kib());
        }
    }
    let answer = rest(&mut upload).await;
    assert!(
        answer.ends_with(&format!("uploaded: {length}\n")),
        "{answer}"
    );
    let grown = most.saturating_sub(before);
    assert!(grown < 32 * 1024, "{grown} KiB more than before");
}

async fn received_some(application: &Application) {
    until(
        "the upstream has some before all is sent",
        PATIENCE,
        || async { (application.uploaded() > 0).then_some(()) },
    )
    .await;
}

#[tokio::test]
async fn a_download_arrives_whole_over_h1_and_h2() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let gateway = Gateway::start(&with_limit(nginx.address(), "1MiB")).await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut browser = Browser::new(&gateway).over(protocol);
        let answer = browser
            .get("https://app.test/files/large.bin")
            .await
            .expect(200);
        assert_eq!(answer.body.len() as u64, nginx::LARGE_BYTES);
        assert!(answer.body.iter().all(|byte| *byte == 0));
        let head = Request::new(http::Method::HEAD, "https://app.test/files/large.bin");
        let answer = browser.send(head).await.expect(200);
        assert_eq!(
            answer.header("content-length"),
            nginx::LARGE_BYTES.to_string()
        );
        assert!(answer.body.is_empty());
        let part = Request::get("https://app.test/files/large.bin").header("range", "bytes=10-19");
        assert_eq!(browser.send(part).await.expect(206).body.len(), 10);
    }
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_told_to_go_on() {
    let application = Application::start().await;
    let gateway = Gateway::start(&with_limit(application.address(), "1MiB")).await;
    let mut waiting = connection(&gateway).await;
    let head = "POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: 5\r\n\
                Expect: 100-continue\r\nConnection: close\r\n\r\n";
    waiting.write_all(head.as_bytes()).await.unwrap();
    waiting.flush().await.unwrap();
    let mut read = [0; 12];
    within("100 Continue", PATIENCE, waiting.read_exact(&mut read))
        .await
        .unwrap();
    assert_eq!(&read, b"HTTP/1.1 100");
    waiting.write_all(b"hello").await.unwrap();
    let answer = rest(&mut waiting).await;
    assert!(answer.ends_with("uploaded: 5\n"), "{answer}");
}

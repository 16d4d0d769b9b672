//! The log on standard error: whoever reads it holds nobody up, and strangers do not fill it.

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::Application;
use crate::support::Gateway;
use crate::support::gateway::Setup;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::yaml;

/// Asks the plain listener for a path on a connection of its own.
async fn ask(gateway: &Gateway, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n");
    let mut stream = TcpStream::connect(gateway.address("http")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", PATIENCE, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_reader_of_the_log_that_stops_holds_no_request_up() {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let setup = Setup::new().variable("PORTWAY_LOG", "portway=debug");
    let gateway = setup.start(&config).await;
    let unread = gateway.stop_reading();
    // Their lines are far more than a pipe holds.
    for _ in 0..REQUESTS {
        let answer = ask(&gateway, "/").await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
    }
    drop(unread);
    until("every request has its line", PATIENCE, || async {
        let lines = gateway.log().matches("request done").count();
        (lines >= REQUESTS).then_some(())
    })
    .await;
    assert!(!gateway.log().contains("log lines were lost"));
}

#[tokio::test]
async fn a_flood_of_odd_paths_has_a_line_now_and_then() {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    for _ in 0..200 {
        let answer = ask(&gateway, "/%00").await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    gateway.terminate();
    // What was written before is read by then.
    gateway.wait_for_log("SIGTERM: draining").await;
    let told = gateway.log().matches("path refused").count();
    assert!((1..20).contains(&told), "{told}");
}

const REQUESTS: usize = 1000;

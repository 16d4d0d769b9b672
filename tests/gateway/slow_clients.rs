//! `slowhttptest` against the gateway: each of its slow connections is closed within the limits, and others are
//! served meanwhile (threats.md §1.6). What is slow in other ways is in `tests/hostile`.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::parts;

const LIMITS: &str = "limits: { header_timeout: 2s, body_idle_timeout: 2s, body_rate_min: 1KiB, \
                      send_timeout: 2s, keep_alive_timeout: 2s }\n";
/// All that the tool opens are gone by then: they come within a second, and limits may follow one another.
const MOST: Duration = Duration::from_secs(20);
/// What others may wait, but for one in a hundred: a machine that is busy may hold up one of them for longer.
const SOON: Duration = Duration::from_secs(5);
const SLOW: &str = "100";

/// Slow in heads, in bodies, and in reading.
const WAYS: [(&str, &str, &[&str]); 3] = [
    ("-H", "/", &["-i", "1", "-x", "10"]),
    ("-B", "/", &["-i", "1", "-x", "10", "-s", "8192"]),
    (
        "-X",
        "/long",
        &["-w", "512", "-y", "1024", "-n", "1", "-z", "512"],
    ),
];

#[tokio::test]
async fn slow_clients_of_slowhttptest_are_closed_in_time_and_others_served() {
    let Some(tool) = parts::find("slowhttptest") else {
        return;
    };
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    tokio::spawn(answer_at_length(upstream));
    let gateway = Gateway::start(&format!(
        "{LIMITS}{HEAD}pools: {{ app: {{ primary: [\"{address}\"] }} }}
virtual_hosts:
  - host: \"127.0.0.1\"
    plain_http: serve
    routes: [{{ path: /, access: excluded, pool: app }}]
  - host: app.test
    routes: [{{ path: /, access: excluded, respond: {{ status: 200, body: well }} }}]
"
    ))
    .await;
    for (way, path, how) in WAYS {
        let (tool, url) = (
            tool.clone(),
            format!("http://{}{path}", gateway.address("http")),
        );
        let attack = tokio::task::spawn_blocking(move || attack(&tool, way, how, &url));
        let mut waited = Vec::new();
        while !attack.is_finished() {
            let began = Instant::now();
            Browser::new(&gateway)
                .get("https://app.test/")
                .await
                .expect(200);
            waited.push(began.elapsed());
        }
        let (took, said) = attack.await.unwrap();
        waited.sort();
        let served = waited.len();
        let slowest = waited.last().copied().unwrap_or_default();
        eprintln!(
            "{way}: {SLOW} slow clients gone after {took:?}; {served} others served, {slowest:?} at most"
        );
        assert!(said.contains("No open connections left"), "{way}: {said}");
        assert!(took < MOST, "{way}: {took:?}");
        assert!(served > 10, "{way}: {served} in {took:?}");
        let most = waited[served - 1 - (served / 100).max(1)];
        assert!(most < SOON, "{way}: {most:?} and more of {served}");
    }
}

fn attack(tool: &Path, way: &str, how: &[&str], url: &str) -> (Duration, String) {
    let began = Instant::now();
    let mut slow = Command::new(tool);
    slow.args([
        way, "-c", SLOW, "-r", SLOW, "-l", "60", "-p", "5", "-u", url,
    ]);
    let output = slow.args(how).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (began.elapsed(), said)
}

/// Answers a head alone, and more than sockets hold.
async fn answer_at_length(listener: TcpListener) {
    let body = Arc::new(vec![b'x'; 16 << 20]);
    while let Ok((mut stream, _)) = listener.accept().await {
        let body = Arc::clone(&body);
        tokio::spawn(async move {
            let mut head = [0; 4096];
            let read = stream.read(&mut head).await.unwrap_or_default();
            let long = head.get(..read).unwrap().starts_with(b"GET /long ");
            let body = if long { body.as_slice() } else { b"" };
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.ok();
            stream.write_all(body).await.ok();
            // Until the gateway is done with it.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.ok();
        });
    }
}

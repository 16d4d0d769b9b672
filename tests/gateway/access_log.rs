//! The access log: its formats, what clients try to write into it, and its file being rotated.

use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use regex::Regex;
use rustix::process::Pid;
use rustix::process::Signal;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::until;
use crate::support::yaml;

const SOON: Duration = Duration::from_secs(20);

/// A gateway with an access log in its folder.
async fn start(settings: &str) -> (Gateway, Application, PathBuf) {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let logs = format!("logs: {{ access: {{ to: access.log, {settings} }} }}\n");
    let gateway = Gateway::start(&format!("{config}{logs}")).await;
    let path = gateway.folder().join("access.log");
    (gateway, application, path)
}

/// The lines, once one of them has these words.
async fn lines(path: &Path, words: &str) -> Vec<String> {
    until(&format!("a line has {words:?}"), SOON, || async {
        let text = std::fs::read_to_string(path).unwrap();
        // The last may be on its way to the file.
        let (whole, _) = text.rsplit_once('\n')?;
        let lines: Vec<String> = whole.lines().map(str::to_owned).collect();
        let is_there = lines.iter().any(|line| line.contains(words));
        is_there.then_some(lines)
    })
    .await
}

async fn line(path: &Path, words: &str) -> String {
    let lines = lines(path, words).await;
    lines.into_iter().find(|line| line.contains(words)).unwrap()
}

/// Sends bytes to the plain listener and reads until it closes.
async fn send_raw(gateway: &Gateway, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(gateway.address("http")).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_line_says_who_asked_for_what_and_what_became_of_it() {
    let (gateway, application, path) = start("format: text").await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let done = browser.get("https://app.test/report?token=s3cret").await;
    let id = done.expect(200).header("x-request-id").to_owned();
    let seen = line(&path, &id).await;
    let expected = format!(
        r"^\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z 127\.0\.0\.1 alice GET app\.test/report 200 \d+ \d+\.\d{{3}} decision=allow route=/ upstream={} upstream_time=\d+\.\d{{3}} tls=TLSv1\.3 id={id}$",
        regex::escape(&application.address().to_string())
    );
    assert!(Regex::new(&expected).unwrap().is_match(&seen), "{seen}");
    browser.get("https://app.test/admin").await.expect(403);
    let denied = line(&path, "/admin").await;
    assert!(
        denied.contains(" alice GET app.test/admin 403 "),
        "{denied}"
    );
    assert!(denied.contains(" decision=deny route=/admin "), "{denied}");
    let mut stranger = Browser::new(&gateway);
    stranger.get("https://other.test/x").await;
    let asked = line(&path, "other.test/x").await;
    assert!(asked.contains(" - GET other.test/x 303 "), "{asked}");
    assert!(asked.contains(" decision=log_in "), "{asked}");
    let own = line(&path, "login.test/").await;
    assert!(own.contains(" decision=own "), "{own}");
    let all = lines(&path, "decision").await.join("\n");
    for secret in ["s3cret", "portway-id", "portway-authn", "?"] {
        assert!(!all.contains(secret), "{secret} in\n{all}");
    }
}

#[tokio::test]
async fn the_combined_format_reads_as_nginx_writes_it() {
    let (gateway, _application, path) = start("format: combined, query: values").await;
    let address = "https://app.test/public/a?q=ham&code=s3cret";
    let request = Request::get(address)
        .header("user-agent", "a \"browser\"")
        .header("referer", "https://app.test/from?token=s3cret#here");
    Browser::new(&gateway).send(request).await.expect(200);
    let seen = line(&path, "/public/a").await;
    let expected = r#"^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET /public/a\?q=ham&code=\* HTTP/1\.1" 200 \d+ "https://app\.test/from\?token=\*" "a \\x22browser\\x22"$"#;
    assert!(Regex::new(expected).unwrap().is_match(&seen), "{seen}");
}

#[tokio::test]
async fn a_json_line_and_a_template_have_what_they_name() {
    let (gateway, application, path) = start("format: json").await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    browser.get("https://app.test/json").await.expect(200);
    let seen = line(&path, "/json").await;
    let read: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(read["user"], "alice");
    assert_eq!(read["path"], "/json");
    assert_eq!(read["status"], 200);
    assert_eq!(read["data_centre"], "local");
    assert_eq!(read["pool"], "app");
    assert_eq!(read["attempts"], 1);
    assert_eq!(read["upstream"], application.address().to_string());
    assert!(read["duration"].as_f64().unwrap() >= 0.0, "{seen}");
    drop(gateway);
    let template = "format: 'who=$user \"$method $path\" $status'";
    let (gateway, _application, path) = start(template).await;
    Browser::new(&gateway)
        .get("https://app.test/public/t")
        .await
        .expect(200);
    assert_eq!(
        line(&path, "/public/t").await,
        "who=- \"GET /public/t\" 200"
    );
}

#[tokio::test]
async fn nobody_writes_lines_of_their_own() {
    let (gateway, _application, path) = start("format: combined").await;
    let attempts: [&[u8]; 3] = [
        b"GET /public/1%0d%0a10.0.0.1%20-%20alice HTTP/1.1\r\nHost: app.test\r\nUser-Agent: x\x1b[2J\" 200 1\r\n\
          Connection: close\r\n\r\n",
        b"GET /public/2 HTTP/1.1\r\nHost: app.test\r\nReferer: a\xff\\\" \xe2\x80\xa8b\r\nConnection: close\r\n\r\n",
        b"GET /public/3 HTTP/1.1\r\nHost: app.test\r\nUser-Agent: a\rb\r\nConnection: close\r\n\r\n",
    ];
    for attempt in attempts {
        send_raw(&gateway, attempt).await;
    }
    send_raw(
        &gateway,
        b"GET /last HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n",
    )
    .await;
    let seen = lines(&path, "/last").await;
    assert_eq!(seen.len(), attempts.len() + 1, "{seen:#?}");
    for line in &seen {
        assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
        assert!(
            line.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{line}"
        );
        assert_eq!(line.matches('"').count(), 6, "{line}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_has_a_line_too() {
    let (gateway, _application, path) = start("format: text").await;
    let refused = send_raw(&gateway, b"\x01\x02 this is no request\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 400"), "{refused}");
    let seen = line(&path, "decision=malformed").await;
    assert!(seen.contains(" 127.0.0.1 - - "), "{seen}");
    let mut stream = TcpStream::connect(gateway.address("https")).await.unwrap();
    stream
        .write_all(b"this is no TLS at all\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    let seen = line(&path, "decision=handshake_failed").await;
    assert!(seen.contains(" 127.0.0.1 - - -- - "), "{seen}");
}

#[tokio::test]
async fn a_stream_that_is_cut_off_has_a_line() {
    let (gateway, _application, path) = start("format: text").await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let mut stream = browser.open(Request::get("https://app.test/still")).await;
    assert_eq!(stream.next().await.unwrap().unwrap(), "begin\n");
    browser.get("https://app.test/.portway/logout").await;
    let seen = line(&path, "/still").await;
    assert!(seen.contains(" alice GET app.test/still 200 "), "{seen}");
    assert!(seen.contains(" decision=allow "), "{seen}");
}

/// Asks again and again until told to stop; answers how often.
async fn ask_again(address: SocketAddr, client: usize, stop: Arc<AtomicBool>) -> usize {
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let request = format!(
            "GET /n/{client}/{sent} HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        sent += 1;
    }
    sent
}

#[tokio::test]
async fn a_file_that_is_rotated_under_load_loses_no_line() {
    let (gateway, _application, path) = start("format: '$path'").await;
    let stop = Arc::new(AtomicBool::new(false));
    let address = gateway.address("http");
    let clients: Vec<_> = (0..4)
        .map(|client| tokio::spawn(ask_again(address, client, Arc::clone(&stop))))
        .collect();
    let pid = Pid::from_raw(i32::try_from(gateway.pid()).unwrap()).unwrap();
    let mut files = Vec::new();
    for round in 0..5 {
        until("lines have come", SOON, || async {
            let size = std::fs::metadata(&path).ok()?.len();
            (size > 0).then_some(())
        })
        .await;
        let moved = path.with_extension(format!("{round}"));
        std::fs::rename(&path, &moved).unwrap();
        files.push(moved);
        rustix::process::kill_process(pid, Signal::USR1).unwrap();
        until("the file is opened anew", SOON, || async {
            path.exists().then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for client in clients {
        sent += client.await.unwrap();
    }
    files.push(path);
    until("every request has its line", SOON, || async {
        let count = |path: &PathBuf| std::fs::read_to_string(path).unwrap().lines().count();
        let written: usize = files.iter().map(count).sum();
        (written == sent).then_some(())
    })
    .await;
    let mut gateway = gateway;
    gateway.terminate();
    gateway.wait_for_exit(SOON).await;
}

#[tokio::test]
async fn a_reload_switches_the_log_on_and_off_d_16() {
    let application = Application::start().await;
    let off = yaml::applications(&[application.address()]);
    let on = format!("{off}logs: {{ access: {{ to: access.log, format: '$path' }} }}\n");
    let gateway = Gateway::start(&off).await;
    let path = gateway.folder().join("access.log");
    let mut browser = Browser::new(&gateway);
    browser.get("https://app.test/public/1").await.expect(200);
    assert!(!path.exists());
    gateway.reload_with(&on).await;
    browser.get("https://app.test/public/2").await.expect(200);
    assert_eq!(lines(&path, "/public/2").await, ["/public/2"]);
    gateway.reload_with(&off).await;
    browser.get("https://app.test/public/3").await.expect(200);
    gateway.reload_with(&on).await;
    browser.get("https://app.test/public/4").await.expect(200);
    assert_eq!(lines(&path, "/public/4").await, ["/public/2", "/public/4"]);
    let trail = gateway.folder().join("state/audit.jsonl");
    line(
        &trail,
        "\"event\":\"configuration_loaded\",\"generation\":\"2\"",
    )
    .await;
}

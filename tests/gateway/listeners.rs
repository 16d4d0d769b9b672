//! Listeners that come, go and change while the gateway runs, at addresses and in the file system.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::client;
use crate::support::parts;
use crate::support::ports::kept_port;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;

/// These listeners, and one open host before an upstream that is served in plain as well.
fn config(listeners: &[&str], upstream: SocketAddr) -> String {
    let listeners: String = listeners.iter().map(|at| format!("  - {at}\n")).collect();
    format!(
        "threads: 2
listeners:
{listeners}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, pool: app }}]
"
    )
}

const STEADY: &str = "{ name: steady, bind: 127.0.0.1:0 }";
const TLS: &str = "tls: { certificates: [{ certificate_file: cert.pem, key_file: key.pem }] }";
const ASK: &str = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Sends bytes and reads to the end; nothing where the connection breaks.
async fn say<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, words: &str) -> String {
    let mut heard = Vec::new();
    let talking = async {
        stream.write_all(words.as_bytes()).await?;
        stream.read_to_end(&mut heard).await
    };
    within("an answer", PATIENCE, talking).await.ok();
    String::from_utf8_lossy(&heard).into_owned()
}

async fn ask(address: SocketAddr) -> String {
    match TcpStream::connect(address).await {
        Ok(stream) => say(stream, ASK).await,
        Err(error) => format!("{:?}", error.kind()),
    }
}

fn is_good(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 200 OK\r\n")
}

/// Asks by new connections until told to stop; every answer must be good.
async fn keep_asking(address: SocketAddr, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    while !stop.load(Ordering::Relaxed) {
        let answer = ask(address).await;
        assert!(is_good(&answer), "{answer}");
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn listeners_are_added_and_removed_by_a_reload_and_others_notice_nothing() {
    let upstream = Recorder::start().await;
    let gateway = Gateway::start(&config(&[STEADY], upstream.address())).await;
    let steady = gateway.address("steady");
    let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let asking = tokio::spawn(keep_asking(steady, Arc::clone(&stop), Arc::clone(&done)));
    let port = kept_port();
    let added = format!("{{ name: added, bind: \"127.0.0.1:{port}\" }}");
    for _ in 0..10 {
        let (before, more) = (done.load(Ordering::Relaxed), [STEADY, &added]);
        gateway
            .reload_with(&config(&more, upstream.address()))
            .await;
        assert!(is_good(&ask(at(port)).await));
        let mut kept = TcpStream::connect(at(port)).await.unwrap();
        let first = ASK.replace("Connection: close\r\n", "");
        kept.write_all(first.as_bytes()).await.unwrap();
        let mut heard = [0; 15];
        within("an answer", PATIENCE, kept.read_exact(&mut heard))
            .await
            .unwrap();
        gateway
            .reload_with(&config(&[STEADY], upstream.address()))
            .await;
        assert_eq!(ask(at(port)).await, "ConnectionRefused");
        // Who had connected is served, and told that it is over.
        let answer = say(kept, &first).await;
        assert!(
            answer.contains("\r\nHTTP/1.1 200 OK\r\n") || answer.contains("okHTTP/1.1 200 OK\r\n"),
            "{answer}"
        );
        assert!(
            answer.to_lowercase().contains("connection: close"),
            "{answer}"
        );
        until("others are served meanwhile", PATIENCE, || async {
            (done.load(Ordering::Relaxed) > before).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    asking.await.unwrap();
    let status = gateway.status().await;
    let listeners = status["listeners"].as_array().unwrap();
    assert_eq!(listeners.len(), 1, "{listeners:?}");
    assert_eq!(listeners[0]["address"], steady.to_string());
    gateway.wait_for_log("no longer listening").await;
}

#[tokio::test]
async fn a_listener_moves_to_another_port_and_two_change_places() {
    let upstream = Recorder::start().await;
    let (one, two) = (kept_port(), kept_port());
    let pair = |one: u16, two: u16| {
        let plain = format!("{{ name: one, bind: \"127.0.0.1:{one}\" }}");
        let secret = format!("{{ name: two, bind: \"127.0.0.1:{two}\", {TLS} }}");
        config(&[&plain, &secret], upstream.address())
    };
    let gateway = Gateway::start(&pair(one, two)).await;
    let by_tls = |port: u16| async move {
        let request = Request::get("https://app.test/");
        client::send(&request, at(port), Protocol::H1).await
    };
    assert!(is_good(&ask(at(one)).await));
    assert_eq!(by_tls(two).await.unwrap().status, 200);
    gateway.reload_with(&pair(two, one)).await;
    assert!(is_good(&ask(at(two)).await));
    assert_eq!(by_tls(one).await.unwrap().status, 200);
    let third = kept_port();
    gateway.reload_with(&pair(two, third)).await;
    assert!(is_good(&ask(at(two)).await));
    assert_eq!(by_tls(third).await.unwrap().status, 200);
    assert_eq!(ask(at(one)).await, "ConnectionRefused");
}

/// The status lines of what is asked in plain until it is to stop.
async fn statuses(address: SocketAddr, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut heard = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let answer = ask(address).await;
        heard.push(answer.lines().next().unwrap_or_default().to_owned());
    }
    heard
}

/// What happens at the moment of the change is what counts: whoever connects then is served by one listener or
/// the other, and never in plain where TLS is spoken before and after.
#[tokio::test]
async fn listeners_that_change_names_are_never_taken_for_each_other() {
    let upstream = Recorder::start().await;
    let (plain, secret) = (kept_port(), kept_port());
    let pair = |of_plain: &str, of_secret: &str| {
        let plain = format!("{{ name: {of_plain}, bind: \"127.0.0.1:{plain}\" }}");
        let secret = format!("{{ name: {of_secret}, bind: \"127.0.0.1:{secret}\", {TLS} }}");
        config(&[&plain, &secret], upstream.address())
    };
    let gateway = Gateway::start(&pair("one", "two")).await;
    let stop = Arc::new(AtomicBool::new(false));
    let asking = [plain, secret].map(|port| tokio::spawn(statuses(at(port), Arc::clone(&stop))));
    for _ in 0..10 {
        gateway.reload_with(&pair("two", "one")).await;
        gateway.reload_with(&pair("one", "two")).await;
    }
    stop.store(true, Ordering::Relaxed);
    for (asking, status) in asking.into_iter().zip(["200 OK", "400 Bad Request"]) {
        let heard = asking.await.unwrap();
        let expected = format!("HTTP/1.1 {status}");
        let other = heard.iter().find(|heard| **heard != expected);
        assert_eq!(other, None, "of {}", heard.len());
        assert!(heard.len() > 20, "{}", heard.len());
    }
}

/// A connection belongs where it came in, though the listener of that name is elsewhere by now.
#[tokio::test]
async fn a_connection_from_before_a_move_does_not_reach_hosts_of_the_listener_that_moved() {
    let upstream = Recorder::start().await;
    let (public, private) = (kept_port(), kept_port());
    let web = |port: u16| format!("{{ name: web, bind: \"127.0.0.1:{port}\" }}");
    let inner = "  - host: inner.test
    plain_http: serve
    listeners: [web]
    routes: [{ path: /, access: excluded, pool: app }]
";
    let before = config(&[STEADY, &web(public)], upstream.address());
    let after = format!(
        "{}{inner}",
        config(&[STEADY, &web(private)], upstream.address())
    );
    let gateway = Gateway::start(&before).await;
    let mut kept = TcpStream::connect(at(public)).await.unwrap();
    let first = "GET / HTTP/1.1\r\nHost: app.test\r\n\r\n";
    kept.write_all(first.as_bytes()).await.unwrap();
    let mut heard = [0; 12];
    kept.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"HTTP/1.1 200");
    gateway.reload_with(&after).await;
    let second = "GET / HTTP/1.1\r\nHost: inner.test\r\nConnection: close\r\n\r\n";
    let moved = TcpStream::connect(at(private)).await.unwrap();
    assert!(is_good(&say(moved, second).await));
    let rest = say(kept, second).await;
    assert!(rest.contains("HTTP/1.1 421 "), "{rest}");
}

#[tokio::test]
async fn a_port_that_is_taken_refuses_the_reload_and_nothing_changes() {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let port = kept_port();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let free = format!("{{ name: free, bind: \"127.0.0.1:{port}\" }}");
    let held = format!(
        "{{ name: held, bind: \"{}\" }}",
        taken.local_addr().unwrap()
    );
    let gateway = Gateway::start(&config(&[STEADY], first.address())).await;
    gateway.edit(&config(&[&free, &held], second.address()));
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 2, "{said}");
    let expected = format!(
        "the listener held cannot listen on {}",
        taken.local_addr().unwrap()
    );
    assert!(said.contains(&expected), "{said}");
    assert!(is_good(&ask(gateway.address("steady")).await));
    assert!(second.bytes().is_empty());
    assert_eq!(ask(at(port)).await, "ConnectionRefused");
}

#[tokio::test]
async fn a_listener_that_changes_to_tls_never_speaks_plain_http_again() {
    let upstream = Recorder::start().await;
    let port = kept_port();
    let plain = format!("{{ name: it, bind: \"127.0.0.1:{port}\" }}");
    let secret = format!("{{ name: it, bind: \"127.0.0.1:{port}\", {TLS} }}");
    let gateway = Gateway::start(&config(&[&plain], upstream.address())).await;
    for _ in 0..5 {
        assert!(is_good(&ask(at(port)).await));
        gateway
            .reload_with(&config(&[&secret], upstream.address()))
            .await;
        upstream.clear();
        let answer = ask(at(port)).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        assert!(upstream.bytes().is_empty());
        let request = Request::get("https://app.test/");
        let answer = client::send(&request, at(port), Protocol::H2)
            .await
            .unwrap();
        assert_eq!(answer.status, 200);
        gateway
            .reload_with(&config(&[&plain], upstream.address()))
            .await;
    }
}

#[tokio::test]
async fn a_listener_in_the_file_system_serves_whoever_may_open_it() {
    let upstream = Recorder::start().await;
    let unix = |mode: &str| {
        let unix = format!("{{ name: unix, bind: \"unix:http.sock\", mode: \"{mode}\" }}");
        config(&[STEADY, &unix], upstream.address())
    };
    let gateway = Gateway::start(&config(&[STEADY], upstream.address())).await;
    let path = gateway.folder().join("http.sock");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    gateway.reload_with(&unix("0600")).await;
    assert_eq!(mode(), 0o600);
    let answer = say(UnixStream::connect(&path).await.unwrap(), ASK).await;
    assert!(is_good(&answer), "{answer}");
    let seen = upstream.text().to_lowercase();
    assert!(seen.contains("x-forwarded-for: 127.0.0.1\r\n"), "{seen}");
    gateway.reload_with(&unix("0666")).await;
    assert_eq!(mode(), 0o666);
    let answer = say(UnixStream::connect(&path).await.unwrap(), ASK).await;
    assert!(is_good(&answer), "{answer}");
    gateway
        .wait_for_log("everybody who comes by this socket is one client")
        .await;
    let status = gateway.status().await;
    let shown = format!("unix:{}", path.display());
    assert_eq!(status["listeners"][1]["address"], shown);
    gateway
        .reload_with(&config(&[STEADY], upstream.address()))
        .await;
    assert!(!path.exists());
}

#[tokio::test]
async fn who_comes_by_the_file_system_is_not_counted_by_address() {
    let upstream = Recorder::start().await;
    let yaml = config(
        &[STEADY, "{ name: unix, bind: \"unix:http.sock\" }"],
        upstream.address(),
    );
    let yaml = format!("{yaml}limits: {{ connections_per_address: 2 }}\n");
    let gateway = Gateway::start(&config(&[STEADY], upstream.address())).await;
    gateway.reload_with(&yaml).await;
    let path = gateway.folder().join("http.sock");
    let mut idle = Vec::new();
    for _ in 0..4 {
        idle.push(UnixStream::connect(&path).await.unwrap());
    }
    let answer = say(UnixStream::connect(&path).await.unwrap(), ASK).await;
    assert!(is_good(&answer), "{answer}");
}

#[tokio::test]
async fn a_plain_listener_speaks_http_2_where_it_is_asked_to() {
    let Some(curl) = parts::find("curl") else {
        return;
    };
    let upstream = Recorder::start().await;
    let h2c = "{ name: h2c, bind: 127.0.0.1:0, h2c: true }";
    let gateway = Gateway::start(&config(&[STEADY, h2c], upstream.address())).await;
    let (both, plain) = (gateway.address("h2c"), gateway.address("steady"));
    for (option, address, expected) in [
        ("--http2-prior-knowledge", both, "200 2"),
        ("--http1.1", both, "200 1.1"),
        ("--http1.1", plain, "200 1.1"),
        ("--http2-prior-knowledge", plain, "000 0"),
    ] {
        let mut command = std::process::Command::new(&curl);
        command.args([
            "--silent",
            "--max-time",
            "20",
            "--output",
            "/dev/null",
            option,
        ]);
        command.args(["--write-out", "%{http_code} %{http_version}"]);
        command.args(["--header", "Host: app.test", &format!("http://{address}/")]);
        let asking = tokio::task::spawn_blocking(move || command.output());
        let output = asking.await.unwrap().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, expected, "{option} to {address}");
    }
    // A request in pieces that begin like HTTP/2 is read from its first byte.
    let mut slow = TcpStream::connect(both).await.unwrap();
    slow.set_nodelay(true).unwrap();
    slow.write_all(b"P").await.unwrap();
    let rest = "OST / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let answer = say(slow, rest).await;
    assert!(is_good(&answer), "{answer}");
}

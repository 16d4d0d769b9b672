//! Upstreams that are told by the PROXY protocol whose requests they get: real ones read it, and no client is taken for
//! another.

use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::certificates;
use crate::support::nginx;
use crate::support::nginx::Door;
use crate::support::parts;
use crate::support::ports::kept_port;
use crate::support::recorder::OK;
use crate::support::recorder::Reply;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;

async fn before(pool: &str) -> Gateway {
    believing("[]", pool).await
}

async fn believing(trusted: &str, pool: &str) -> Gateway {
    Gateway::start(&configuration(trusted, pool)).await
}

fn configuration(trusted: &str, pool: &str) -> String {
    // One thread has a connection back before it looks at the next request.
    let head = crate::support::HEAD.replace("threads: 2", "threads: 1");
    format!(
        "{head}trusted_proxies: {trusted}
pools: {{ app: {{ {pool} }} }}
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, pool: app }}]
"
    )
}

/// A client with a connection of its own.
struct Client(TcpStream);

impl Client {
    async fn new(gateway: &Gateway) -> Self {
        Self(TcpStream::connect(gateway.address("http")).await.unwrap())
    }

    fn end(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    async fn ask(&mut self) -> String {
        self.ask_for("").await
    }

    /// Asks with more lines in the head.
    async fn ask_for(&mut self, more: &str) -> String {
        let request = format!("GET / HTTP/1.1\r\nHost: app.test\r\n{more}\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut heard = Vec::new();
        while !is_whole(&String::from_utf8_lossy(&heard)) {
            let read = within("an answer", PATIENCE, self.0.read_buf(&mut heard)).await;
            assert!(read.unwrap() > 0, "{}", String::from_utf8_lossy(&heard));
        }
        String::from_utf8_lossy(&heard).into_owned()
    }
}

/// Whether an answer with a length is there to its end.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.lines().next());
    length.and_then(|length| length.parse().ok()) == Some(body.len())
}

/// Clients that have been answered twice each.
async fn two_that_asked_twice(gateway: &Gateway) -> (Client, Client) {
    let (mut one, mut other) = (Client::new(gateway).await, Client::new(gateway).await);
    for client in [&mut one, &mut other] {
        for _ in 0..2 {
            let said = client.ask().await;
            assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        }
    }
    (one, other)
}

#[tokio::test]
async fn each_connection_begins_with_a_header_and_carries_one_clients_requests() {
    let upstream = Recorder::start().await;
    let pool = format!("primary: [\"{}\"], proxy_protocol: v1", upstream.address());
    let gateway = before(&pool).await;
    let http = gateway.address("http").port();
    let (one, other) = two_that_asked_twice(&gateway).await;
    let seen = upstream.connections();
    assert_eq!(seen.len(), 2);
    for (client, bytes) in [&one, &other].iter().zip(seen) {
        let line = format!(
            "PROXY TCP4 127.0.0.1 127.0.0.1 {} {http}\r\nGET / ",
            client.end().port()
        );
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.starts_with(&line), "{text}");
        assert_eq!(text.matches("PROXY ").count(), 1, "{text}");
        assert_eq!(text.matches("GET / ").count(), 2, "{text}");
    }
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_announced_each_by_a_connection_of_its_own() {
    let upstream = Recorder::start().await;
    let pool = format!("primary: [\"{}\"], proxy_protocol: v1", upstream.address());
    let gateway = believing("[127.0.0.0/8]", &pool).await;
    let http = gateway.address("http").port();
    let mut proxy = Client::new(&gateway).await;
    for client in ["192.0.2.7", "2001:db8::7", "192.0.2.7"] {
        let said = proxy
            .ask_for(&format!("X-Forwarded-For: {client}\r\n"))
            .await;
        assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    }
    let seen = upstream.connections();
    let seen: Vec<String> = seen
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    assert_eq!(seen.len(), 2, "{seen:?}");
    let one = format!("PROXY TCP4 192.0.2.7 127.0.0.1 0 {http}\r\n");
    let other = format!("PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 0 {http}\r\n");
    assert!(
        seen[0].starts_with(&one) && seen[1].starts_with(&other),
        "{seen:?}"
    );
    assert_eq!(seen[0].matches("GET / ").count(), 2, "{seen:?}");
}

#[tokio::test]
async fn health_checks_announce_nobody() {
    let upstream = Recorder::start().await;
    let pool = format!(
        "primary: [\"{}\"], proxy_protocol: v1, health_check: {{ http: {{ path: /up }}, interval: 2s, timeout: 1s }}",
        upstream.address()
    );
    let gateway = before(&pool).await;
    upstream.wait_for("PROXY UNKNOWN\r\nGET /up ").await;
    let said = Client::new(&gateway).await.ask().await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_503() {
    let pool = format!(
        "primary: [\"127.0.0.1:{}\"], proxy_protocol: v2",
        kept_port()
    );
    let gateway = before(&pool).await;
    let said = Client::new(&gateway).await.ask().await;
    assert!(said.starts_with("HTTP/1.1 503 "), "{said}");
}

/// The connections that a recorder has, each with whom it announces and its requests.
fn announced(upstream: &Recorder) -> Vec<(String, String)> {
    let seen = upstream.connections();
    let seen = seen.iter().map(|bytes| String::from_utf8_lossy(bytes));
    seen.map(|text| {
        let (line, requests) = text.split_once("\r\n").unwrap();
        (line.to_owned(), requests.to_owned())
    })
    .collect()
}

#[tokio::test]
async fn a_request_that_goes_on_to_another_upstream_announces_its_own_client_to_each_w_08() {
    const TURNS: usize = 3;
    let closing = Recorder::scripted(|_, _, _| Reply::Close).await;
    let well = Recorder::start().await;
    // Each request meets one that is not there and one that closes before it gets an answer.
    let pool = format!(
        "primary: [\"127.0.0.1:{}\", \"{}\"], secondary: [\"{}\"], proxy_protocol: v1, max_fails: 0",
        kept_port(),
        closing.address(),
        well.address()
    );
    let yaml = configuration("[]", &pool);
    let yaml = yaml.replace("pool: app }]", "pool: app, retry_on: [broken] }]");
    let gateway = Gateway::start(&yaml).await;
    let http = gateway.address("http").port();
    let mut clients = [Client::new(&gateway).await, Client::new(&gateway).await];
    for _ in 0..TURNS {
        for client in &mut clients {
            let own = format!("X-Own: {}\r\n", client.end().port());
            let said = client.ask_for(&own).await;
            assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
        }
    }
    for (upstream, a_connection_each) in [(&closing, true), (&well, false)] {
        let seen = announced(upstream);
        for client in &clients {
            let port = client.end().port();
            let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {http}");
            let own = seen.iter().filter(|(announced, _)| *announced == line);
            let own: Vec<&str> = own.map(|(_, requests)| requests.as_str()).collect();
            let asked = own.concat();
            let word = format!("\r\nx-own: {port}\r\n");
            assert_eq!(
                ["GET / ", &word, "PROXY "].map(|word| asked.matches(word).count()),
                [TURNS, TURNS, 0],
                "{seen:?}"
            );
            assert!(!a_connection_each || own.len() == TURNS, "{seen:?}");
        }
        let all: usize = seen
            .iter()
            .map(|(_, of)| of.matches("GET / ").count())
            .sum();
        assert_eq!(all, clients.len() * TURNS, "{seen:?}");
    }
}

#[tokio::test]
async fn a_connection_that_takes_the_place_of_a_closed_one_announces_the_same_client_w_08() {
    // The first request of a connection is answered; the next one finds it closing.
    let upstream = Recorder::scripted(|_, before, _| match before {
        0 => Reply::Send(OK.to_vec()),
        _ => Reply::Close,
    })
    .await;
    let pool = format!("primary: [\"{}\"], proxy_protocol: v1", upstream.address());
    let gateway = before(&pool).await;
    let http = gateway.address("http").port();
    let (one, other) = two_that_asked_twice(&gateway).await;
    let seen = announced(&upstream);
    for client in [&one, &other] {
        let port = client.end().port();
        let line = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {http}");
        let own: Vec<usize> = seen
            .iter()
            .filter(|(announced, _)| *announced == line)
            .map(|(_, requests)| requests.matches("GET / ").count())
            .collect();
        assert_eq!(own, [2, 1], "{seen:?}");
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

/// A real HAProxy, which reads the header.
struct Haproxy {
    child: Child,
    _folder: TempDir,
}

impl Haproxy {
    async fn start(text: &str, port: u16) -> Option<Self> {
        let program = parts::find("haproxy")?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("haproxy.cfg"), text).unwrap();
        let child = Command::new(program)
            .args(["-db", "-f", "haproxy.cfg"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let started = Self {
            child,
            _folder: folder,
        };
        until("HAProxy accepts", PATIENCE, || async {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        Some(started)
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test]
async fn nginx_reads_both_versions_in_plain_and_before_tls() {
    let folder = tempfile::tempdir().unwrap();
    let issued = certificates::issue(&["app.test"]);
    std::fs::write(folder.path().join("cert.pem"), &issued.certificate).unwrap();
    std::fs::write(folder.path().join("key.pem"), &issued.key).unwrap();
    let (plain, secure) = (kept_port(), kept_port());
    let lines = format!(
        "server {{ listen 127.0.0.1:{plain} proxy_protocol; listen 127.0.0.1:{secure} ssl proxy_protocol;
ssl_certificate cert.pem; ssl_certificate_key key.pem;
location / {{ return 200 \"$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_port\"; }} }}"
    );
    let doors = [plain, secure].map(|port| Door::At(SocketAddr::from(([127, 0, 0, 1], port))));
    let Some(_nginx) = nginx::serving(folder.path(), &lines, &doors).await else {
        return;
    };
    let tls = "scheme: https, tls: { ca_file: ca.pem, server_name: app.test }";
    for (port, scheme) in [(plain, "scheme: http"), (secure, tls)] {
        for version in ["v1", "v2"] {
            let pool =
                format!("primary: [\"127.0.0.1:{port}\"], proxy_protocol: {version}, {scheme}");
            let gateway = before(&pool).await;
            let mut client = Client::new(&gateway).await;
            let said = client.ask().await;
            let end = client.end();
            let http = gateway.address("http").port();
            let told = format!("{} {} {http}", end.ip(), end.port());
            assert!(said.ends_with(&told), "{version} {scheme}: {told}: {said}");
        }
    }
}

#[tokio::test]
async fn haproxy_reads_both_versions() {
    let port = kept_port();
    let text = format!(
        "defaults\n mode http\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n\
         frontend f\n bind 127.0.0.1:{port} accept-proxy\n \
         http-request return status 200 content-type text/plain lf-string \"%ci %cp\"\n"
    );
    let Some(_haproxy) = Haproxy::start(&text, port).await else {
        return;
    };
    for version in ["v1", "v2"] {
        let pool = format!("primary: [\"127.0.0.1:{port}\"], proxy_protocol: {version}");
        let gateway = before(&pool).await;
        let mut client = Client::new(&gateway).await;
        let said = client.ask().await;
        let end = client.end();
        let told = format!("{} {}", end.ip(), end.port());
        assert!(said.ends_with(&told), "{version}: {told}: {said}");
    }
}

#[tokio::test]
async fn a_websocket_goes_by_a_connection_that_is_announced_too() {
    let upstream = Recorder::start().await;
    let pool = format!("primary: [\"{}\"], proxy_protocol: v1", upstream.address());
    let gateway = before(&pool).await;
    let request = Request::get("https://app.test/ws")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    Browser::new(&gateway).try_send(request).await.ok();
    upstream.wait_for("GET /ws ").await;
    assert!(
        upstream.text().starts_with("PROXY TCP4 "),
        "{}",
        upstream.text()
    );
}

//! Clients that are announced by the PROXY protocol: over TCP and the file system, by real balancers, and by
//! nobody who may not.

use std::net::SocketAddr;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UnixStream;

use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::parts;
use crate::support::ports::kept_port;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;

fn config(from: &str, upstream: SocketAddr) -> String {
    format!(
        "threads: 2
logs: {{ access: {{ to: access.log }} }}
listeners:
  - {{ name: http, bind: 127.0.0.1:0, proxy_protocol: {{ from: [{from}] }} }}
  - name: https
    bind: 127.0.0.1:0
    proxy_protocol: {{ from: [{from}] }}
    tls: {{ certificates: [{{ certificate_file: cert.pem, key_file: key.pem }}] }}
pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, pool: app }}]
"
    )
}

const ASK: &str = "GET / HTTP/1.1\r\nHost: app.test\r\nConnection: close\r\n\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

async fn say<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, pieces: &[&[u8]]) -> String {
    let mut heard = Vec::new();
    let talking = async {
        for piece in pieces {
            stream.write_all(piece).await?;
            stream.flush().await?;
        }
        stream.read_to_end(&mut heard).await
    };
    within("an answer", PATIENCE, talking).await.ok();
    String::from_utf8_lossy(&heard).into_owned()
}

async fn say_to(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    say(stream, pieces).await
}

/// What the upstream was told of the client.
fn told(upstream: &Recorder) -> (String, String) {
    let text = upstream.text().to_lowercase();
    let of = |name: &str| {
        let mut lines = text.lines();
        let line = lines.find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().trim().to_owned()
    };
    upstream.clear();
    (of("x-forwarded-for:"), of("x-forwarded-port:"))
}

fn pair(client: &str, port: &str) -> (String, String) {
    (client.to_owned(), port.to_owned())
}

/// What is sent in which pieces, and what the upstream is told of it.
type Case<'a> = (&'a [&'a [u8]], (String, String));

#[tokio::test]
async fn the_client_that_is_announced_is_who_asks() {
    let upstream = Recorder::start().await;
    let gateway = Gateway::start(&config("127.0.0.1", upstream.address())).await;
    let http = gateway.address("http");
    let own = http.port().to_string();
    let v4: &[u8] = &[192, 0, 2, 9, 10, 0, 0, 1, 0x30, 0x39, 0x1f, 0x90];
    let binary = [SIGNATURE, &[0x21, 0x11, 0, 12], v4].concat();
    let local = [SIGNATURE, &[0x20, 0, 0, 0]].concat();
    let ask = ASK.as_bytes();
    let line: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 8080\r\n";
    let v6: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 8080\r\n";
    let whole = [line, ask].concat();
    let cases: [Case<'_>; 6] = [
        (&[line, ask], pair("192.0.2.7", "8080")),
        (&[&whole], pair("192.0.2.7", "8080")),
        (&[b"PROXY TCP", &line[9..], ask], pair("192.0.2.7", "8080")),
        (
            &[&binary[..7], &binary[7..], ask],
            pair("192.0.2.9", "8080"),
        ),
        (&[v6, ask], pair("2001:db8::7", "8080")),
        (&[&local, ask], pair("127.0.0.1", &own)),
    ];
    for (pieces, expected) in cases {
        let answer = say_to(http, pieces).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(told(&upstream), expected);
    }
    until("the access log names the client", PATIENCE, || async {
        let log = std::fs::read_to_string(gateway.folder().join("access.log")).ok()?;
        log.contains("192.0.2.9").then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_is_not_announced_is_closed_without_a_word() {
    let upstream = Recorder::start().await;
    let gateway = Gateway::start(&config("127.0.0.1", upstream.address())).await;
    let line: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 8080\r\n";
    let cases: [&[&[u8]]; 5] = [
        &[ASK.as_bytes()],
        &[b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n", ASK.as_bytes()],
        &[&[b'P'; 200]],
        &[SIGNATURE, &[0x21, 0x12, 0, 12], &[0; 12], ASK.as_bytes()],
        &[b"\x16\x03\x01\x02\x00"],
    ];
    for listener in ["http", "https"] {
        for pieces in cases {
            let answer = say_to(gateway.address(listener), pieces).await;
            assert_eq!(answer, "", "{pieces:?}");
        }
    }
    // Announced twice: the second is a request, and no good one.
    let answer = say_to(gateway.address("http"), &[line, line, ASK.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(upstream.bytes().is_empty());
    gateway
        .wait_for_log("a connection was not announced; closed")
        .await;
}

#[tokio::test]
async fn who_may_not_announce_is_not_served_at_all() {
    let upstream = Recorder::start().await;
    let gateway = Gateway::start(&config("10.0.0.0/8, 127.0.0.2", upstream.address())).await;
    let line: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 8080\r\n";
    for pieces in [&[line, ASK.as_bytes()][..], &[ASK.as_bytes()]] {
        assert_eq!(say_to(gateway.address("http"), pieces).await, "");
    }
    gateway
        .wait_for_log("a sender may not announce clients; closed")
        .await;
    assert!(upstream.bytes().is_empty());
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = socket.connect(gateway.address("http")).await.unwrap();
    let answer = say(stream, &[line, ASK.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn connections_are_counted_by_the_client_that_is_announced() {
    let upstream = Recorder::start().await;
    let yaml = config("127.0.0.1", upstream.address());
    let yaml = format!("{yaml}limits: {{ connections_per_address: 2 }}\n");
    let gateway = Gateway::start(&yaml).await;
    let http = gateway.address("http");
    let line = |client: &str| format!("PROXY TCP4 {client} 10.0.0.1 56324 8080\r\n");
    let mut idle = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(http).await.unwrap();
        let ask = ASK.replace("Connection: close\r\n", "");
        let words = format!("{}{ask}", line("192.0.2.7"));
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut first = [0; 15];
        stream.read_exact(&mut first).await.unwrap();
        idle.push(stream);
    }
    let third = say_to(http, &[line("192.0.2.7").as_bytes(), ASK.as_bytes()]).await;
    assert_eq!(third, "");
    let other = say_to(http, &[line("192.0.2.8").as_bytes(), ASK.as_bytes()]).await;
    assert!(other.starts_with("HTTP/1.1 200 OK\r\n"), "{other}");
    drop(idle);
    until("there is room again", PATIENCE, || async {
        let again = say_to(http, &[line("192.0.2.7").as_bytes(), ASK.as_bytes()]).await;
        again.starts_with("HTTP/1.1 200 OK\r\n").then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_may_open_a_socket_may_announce_there() {
    let upstream = Recorder::start().await;
    let plain = "listeners: [{ name: http, bind: 127.0.0.1:0 }]\n";
    let rest = config("127.0.0.1", upstream.address());
    let (_, rest) = rest.split_once("pools:").unwrap();
    let rest = format!("pools:{rest}");
    let gateway = Gateway::start(&format!("{plain}{rest}")).await;
    let unix = "listeners: [{ name: unix, bind: \"unix:http.sock\", proxy_protocol: {} }]\n";
    gateway.reload_with(&format!("{unix}{rest}")).await;
    let line: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 8080\r\n";
    let path = gateway.folder().join("http.sock");
    let stream = UnixStream::connect(&path).await.unwrap();
    let answer = say(stream, &[line, ASK.as_bytes()]).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(told(&upstream), pair("192.0.2.7", "8080"));
    assert!(!gateway.log().contains("is one client"));
}

/// HAProxy in front of the gateway; it is ended when dropped.
struct Haproxy(Child);

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test]
async fn haproxy_announces_its_clients_in_both_versions_and_through_tls() {
    let (Some(haproxy), Some(curl)) = (parts::find("haproxy"), parts::find("curl")) else {
        return;
    };
    let upstream = Recorder::start().await;
    let gateway = Gateway::start(&config("127.0.0.1", upstream.address())).await;
    let ports = [kept_port(), kept_port(), kept_port()];
    let (http, https) = (gateway.address("http"), gateway.address("https"));
    let ways = [
        ("send-proxy", http),
        ("send-proxy-v2", http),
        ("send-proxy-v2", https),
    ];
    let mut text =
        "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 20s\n  timeout server 20s\n"
            .to_owned();
    for (n, (port, (option, to))) in ports.iter().zip(ways).enumerate() {
        // It connects from elsewhere than its clients do.
        text.push_str(&format!(
            "listen w{n}\n  bind 127.0.0.5:{port}\n  server s {to} {option} source 127.0.0.1\n"
        ));
    }
    let file = gateway.folder().join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(haproxy);
    command.arg("-db").arg("-f").arg(&file);
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
    let _haproxy = Haproxy(silent.spawn().unwrap());
    for (port, scheme) in ports.iter().zip(["http", "http", "https"]) {
        let at = SocketAddr::from(([127, 0, 0, 5], *port));
        until("HAProxy listens", PATIENCE, || async {
            TcpStream::connect(at).await.ok().map(drop)
        })
        .await;
        let (curl, ca) = (curl.clone(), gateway.folder().join("ca.pem"));
        let asking = move || {
            let mut command = Command::new(curl);
            command.args(["--silent", "--show-error", "--max-time", "20", "--cacert"]);
            command.arg(ca).args(["--interface", "127.0.0.9"]);
            command.args(["--connect-to", &format!("::{at}")]);
            command.arg(format!("{scheme}://app.test/")).output()
        };
        let output = tokio::task::spawn_blocking(asking).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "ok", "{output:?}");
        assert_eq!(told(&upstream).0, "127.0.0.9");
    }
}

//! Answers that are compressed on their way: by real clients' decoders the same bytes, and left alone wherever
//! somebody would be misled or kept waiting.

use std::io::Read;
use std::path::Path;
use std::process::Command;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use crate::support::Answer;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Manner;
use crate::support::Multiplexed;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::multiplexed::TEXT;
use crate::support::parts;
use crate::support::recorder::Reply;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::yaml;

/// A virtual host that compresses, but for `/off`, before a pool with these settings.
async fn before(pool: &str) -> Gateway {
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ {pool} }} }}
virtual_hosts:
  - host: app.test
    compression: on
    plain_http: serve
    routes:
      - {{ path: /off, access: excluded, pool: app, compression: off }}
      - {{ path: /gzip, access: excluded, pool: app,
          compression: {{ algorithms: [gzip], level: 9, min_size: 1B, types: [\"*\"] }} }}
      - {{ path: /own, access: excluded, respond: {{ body: \"{}\" }} }}
      - {{ path: /, access: excluded, pool: app }}
  - host: other.test
    routes: [{{ path: /, access: excluded, pool: app }}]
",
        "own words ".repeat(400)
    );
    Gateway::start(&yaml).await
}

/// An upstream that says what it is asked to by the path behind the route's: one of [`SAID`].
async fn upstream() -> Recorder {
    Recorder::scripted(|request, _, _| {
        let line = String::from_utf8_lossy(request);
        let path = line.split(' ').nth(1).unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        let mut said = SAID.iter().filter(|(known, ..)| *known == name);
        let (_, status, head) = said.next().copied().unwrap_or(PAGE);
        let mut body = page();
        if line.starts_with("HEAD") || status == 304 {
            body.clear();
        }
        let length = if status == 304 { 0 } else { page().len() };
        let head = format!("HTTP/1.1 {status} OK\r\n{head}Content-Length: {length}\r\n\r\n");
        Reply::Send([head.as_bytes(), &body].concat())
    })
    .await
}

/// What the upstream can say: the name of it, its status, and its lines.
type Said = (&'static str, u16, &'static str);

const PAGE: Said = (
    "page",
    200,
    "Content-Type: text/html; charset=utf-8\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\nVary: Origin\r\n",
);
const SAID: &[Said] = &[
    PAGE,
    ("image", 200, "Content-Type: image/png\r\nETag: \"v1\"\r\n"),
    (
        "packed",
        200,
        "Content-Type: text/html\r\nContent-Encoding: gzip\r\nETag: \"v1\"\r\n",
    ),
    (
        "kept",
        200,
        "Content-Type: text/html\r\nCache-Control: no-transform\r\n",
    ),
    (
        "part",
        206,
        "Content-Type: text/html\r\nContent-Range: bytes 0-9/10\r\n",
    ),
    ("unchanged", 304, "ETag: \"v1\"\r\n"),
    ("failed", 500, "Content-Type: text/html\r\n"),
];

fn page() -> Vec<u8> {
    let lines = (0..900).map(|line| format!("<p>line {line} of a page that repeats itself</p>\n"));
    lines.collect::<String>().into_bytes()
}

/// What can be decoded of what has come, whether it is all or not.
fn decoded(coding: &str, bytes: &[u8]) -> Vec<u8> {
    let mut reader: Box<dyn Read> = match coding {
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        "zstd" => Box::new(zstd::Decoder::new(bytes).unwrap()),
        _ => Box::new(bytes),
    };
    let mut out = Vec::new();
    // What was read before an error stays there.
    reader.read_to_end(&mut out).ok();
    out
}

/// Whether the whole of it can be decoded, to its very end.
fn is_whole(coding: &str, bytes: &[u8]) -> bool {
    let mut out = Vec::new();
    match coding {
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
        _ => zstd::Decoder::new(bytes).unwrap().read_to_end(&mut out),
    }
    .is_ok()
}

async fn ask(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(&format!("https://app.test{path}"));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    Browser::new(gateway).send(request).await
}

#[tokio::test]
async fn curl_decodes_what_the_upstream_said_in_every_coding_and_version() {
    let Some(curl) = parts::find("curl") else {
        return;
    };
    let upstream = upstream().await;
    let gateway = before(&format!("primary: [\"{}\"]", upstream.address())).await;
    for (version, accept, coding) in [
        ("--http1.1", "gzip", "gzip"),
        ("--http1.1", "br;q=0.9, gzip;q=0.5", "br"),
        ("--http2", "br", "br"),
        ("--http2", "gzip;q=0, zstd", "zstd"),
        ("--http1.1", "deflate, gzip, br, zstd", "zstd"),
    ] {
        let (head, body) = fetched(&curl, &gateway, version, accept).await;
        assert_eq!(body, page(), "{accept}");
        let said = format!("content-encoding: {coding}\r\n");
        assert!(head.contains(&said), "{accept}: {head}");
        assert!(head.contains("etag: w/\"v1\"\r\n"), "{head}");
        for gone in ["content-length:", "accept-ranges:"] {
            assert!(!head.contains(gone), "{head}");
        }
        assert!(head.contains("vary: origin\r\n"), "{head}");
        assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
    }
    let (head, body) = fetched(&curl, &gateway, "--http1.1", "gzip;q=0, identity").await;
    assert_eq!(body, page());
    assert!(!head.contains("content-encoding:"), "{head}");
    assert!(head.contains("etag: \"v1\"\r\n"), "{head}");
    assert!(head.contains("vary: accept-encoding\r\n"), "{head}");
}

/// The head of a page in lower case, and its body as curl decodes it.
async fn fetched(curl: &Path, gateway: &Gateway, version: &str, accept: &str) -> (String, Vec<u8>) {
    let https = gateway.address("https");
    let resolve = format!("app.test:{}:{}", https.port(), https.ip());
    let head = gateway.folder().join("head");
    let mut command = Command::new(curl);
    command
        .args(["--silent", "--show-error", "--max-time", "20", version])
        .args(["--resolve", &resolve, "--compressed", "--header"])
        .arg(format!("Accept-Encoding: {accept}"))
        .arg("--cacert")
        .arg(gateway.folder().join("ca.pem"))
        .arg("--dump-header")
        .arg(&head)
        .arg(format!("https://app.test:{}/page", https.port()));
    let asking = tokio::task::spawn_blocking(move || command.output());
    let output = asking.await.unwrap().unwrap();
    assert!(output.status.success(), "{output:?}");
    let head = std::fs::read_to_string(head).unwrap().to_lowercase();
    (head, output.stdout)
}

#[tokio::test]
async fn an_answer_that_must_arrive_as_it_is_does() {
    let upstream = upstream().await;
    let gateway = before(&format!("primary: [\"{}\"]", upstream.address())).await;
    let takes = ("accept-encoding", "gzip, br, zstd");
    for (path, varies) in [
        ("/image", false),
        ("/packed", false),
        ("/kept", false),
        ("/part", false),
        ("/failed", false),
        ("/off/page", false),
    ] {
        let answer = ask(&gateway, path, &[takes]).await;
        assert_eq!(answer.body, page(), "{path}");
        let coding = if path == "/packed" { "gzip" } else { "" };
        assert_eq!(answer.header("content-encoding"), coding, "{path}");
        let vary = answer.headers.get_all("vary").iter();
        let vary = vary.filter(|vary| *vary == "Accept-Encoding").count() == 1;
        assert_eq!(vary, varies, "{path}");
        let length = page().len().to_string();
        assert_eq!(answer.header("content-length"), length, "{path}");
    }
    let other = Request::get("https://other.test/page").header(takes.0, takes.1);
    let other = Browser::new(&gateway).send(other).await;
    assert_eq!(other.header("content-encoding"), "");
    assert_eq!(other.header("vary"), "Origin");
    // Portway's own pages and answers stay plain.
    for (path, host) in [("/own", "app.test"), ("/", "login.test")] {
        let request = Request::get(&format!("https://{host}{path}")).header(takes.0, takes.1);
        let own = Browser::new(&gateway).send(request).await;
        assert_eq!(own.header("content-encoding"), "", "{host}{path}");
    }
    // What a route says has the last word.
    let image = ask(&gateway, "/gzip/image", &[takes]).await;
    assert_eq!(image.header("content-encoding"), "gzip");
    assert_eq!(decoded("gzip", &image.body), page());
}

#[tokio::test]
async fn heads_parts_and_older_clients_get_no_compressed_answer_and_are_told_that_others_do() {
    let upstream = upstream().await;
    let gateway = before(&format!("primary: [\"{}\"]", upstream.address())).await;
    let takes = ("accept-encoding", "gzip");
    let head = Request::new(http::Method::HEAD, "https://app.test/page");
    let head = Browser::new(&gateway)
        .send(head.header(takes.0, takes.1))
        .await;
    let part = ask(&gateway, "/page", &[takes, ("range", "bytes=0-9")]).await;
    for answer in [&head, &part] {
        assert_eq!(answer.header("content-encoding"), "");
        assert_eq!(answer.header("content-length"), page().len().to_string());
        assert_eq!(answer.header("etag"), "\"v1\"");
        let mut vary = answer.headers.get_all("vary").iter();
        assert!(vary.any(|line| line == "Accept-Encoding"));
    }
    let mut older = TcpStream::connect(gateway.address("http")).await.unwrap();
    older
        .write_all(b"GET /page HTTP/1.0\r\nHost: app.test\r\nAccept-Encoding: gzip\r\n\r\n")
        .await
        .unwrap();
    let mut bytes = Vec::new();
    within("the answer", PATIENCE, older.read_to_end(&mut bytes))
        .await
        .unwrap();
    assert!(bytes.ends_with(&page()));
}

#[tokio::test]
async fn a_copy_that_was_compressed_is_known_by_its_weak_validator() {
    let upstream = upstream().await;
    let gateway = before(&format!("primary: [\"{}\"]", upstream.address())).await;
    for (asked, told) in [("W/\"v1\"", "W/\"v1\""), ("\"v1\"", "\"v1\"")] {
        let answer = ask(&gateway, "/unchanged", &[("if-none-match", asked)]).await;
        assert_eq!(answer.status, 304);
        assert_eq!(answer.header("etag"), told);
        assert_eq!(answer.header("vary"), "Accept-Encoding");
        assert_eq!(answer.header("content-encoding"), "");
    }
}

/// What is kept out of caches says so in the place of what the upstream said, but for this.
#[tokio::test]
async fn an_upstream_that_forbids_changes_is_heard_on_a_protected_route_too() {
    let upstream = upstream().await;
    let sites = yaml::applications(&[upstream.address()]);
    let route = "path: /, access: protected";
    let gateway =
        Gateway::start(&sites.replace(route, &format!("compression: {{}}, {route}"))).await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    for (name, coding, told) in [
        ("page", "gzip", "no-store"),
        ("kept", "", "no-store, no-transform"),
    ] {
        let request = Request::get(&format!("https://app.test/{name}"));
        let answer = browser
            .try_send(request.header("accept-encoding", "gzip"))
            .await
            .unwrap();
        assert_eq!(answer.header("content-encoding"), coding, "{name}");
        assert_eq!(answer.header("cache-control"), told, "{name}");
        assert_eq!(decoded(coding, &answer.body), page());
    }
}

/// An upstream that begins an answer of this type with one piece, and goes on when it is told to.
struct Slow {
    listener: TcpListener,
    kind: &'static str,
}

impl Slow {
    async fn new(kind: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, kind }
    }

    async fn begin(&self, piece: &str) -> TcpStream {
        let (mut stream, _) = within("a request", PATIENCE, self.listener.accept())
            .await
            .unwrap();
        let mut request = vec![0; 4096];
        let read = within("its head", PATIENCE, stream.read(&mut request)).await;
        assert!(read.unwrap() > 0);
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            self.kind
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        say(&mut stream, piece).await;
        stream
    }
}

async fn say(stream: &mut TcpStream, piece: &str) {
    let chunk = format!("{:x}\r\n{piece}\r\n", piece.len());
    stream.write_all(chunk.as_bytes()).await.unwrap();
}

#[tokio::test]
async fn each_piece_arrives_before_the_upstream_says_the_next() {
    for (kind, accept, coding) in [
        ("text/event-stream", "gzip, br, zstd", ""),
        ("text/plain", "gzip", "gzip"),
        ("text/plain", "br", "br"),
        ("text/plain", "zstd", "zstd"),
    ] {
        for protocol in [Protocol::H1, Protocol::H2] {
            piece_by_piece(kind, accept, coding, protocol).await;
        }
    }
}

async fn piece_by_piece(kind: &'static str, accept: &str, coding: &str, protocol: Protocol) {
    let slow = Slow::new(kind).await;
    let address = slow.listener.local_addr().unwrap();
    let gateway = before(&format!("primary: [\"{address}\"]")).await;
    let browser = Browser::new(&gateway).over(protocol);
    let request = Request::get("https://app.test/").header("accept-encoding", accept);
    let (mut upstream, mut live) = tokio::join!(slow.begin("data: one\n\n"), browser.open(request));
    let said = live.headers.get("content-encoding");
    assert_eq!(said.map_or("", |said| said.to_str().unwrap()), coding);
    let (mut bytes, mut text) = (Vec::new(), "data: one\n\n".to_owned());
    for next in ["data: two\n\n", "data: three\n\n", ""] {
        while decoded(coding, &bytes) != text.as_bytes() {
            let piece = within(&format!("{kind} {coding}"), PATIENCE, live.next()).await;
            bytes.extend_from_slice(&piece.unwrap().unwrap());
        }
        say(&mut upstream, next).await;
        text.push_str(next);
    }
    bytes.extend_from_slice(&within("the end", PATIENCE, live.rest()).await.unwrap());
    assert_eq!(decoded(coding, &bytes), text.as_bytes());
    assert!(coding.is_empty() || is_whole(coding, &bytes), "{coding}");
}

const CODINGS: [&str; 3] = ["br", "gzip", "zstd"];

/// What comes of a body until it ends or is cut off.
async fn until_cut(gateway: &Gateway, protocol: Protocol, coding: &str) -> (Vec<u8>, bool) {
    let browser = Browser::new(gateway).over(protocol);
    let request = Request::get("https://app.test/").header("accept-encoding", coding);
    let mut live = browser.open(request).await;
    let mut bytes = Vec::new();
    loop {
        match within("the end", PATIENCE, live.next()).await {
            Some(Ok(piece)) => bytes.extend_from_slice(&piece),
            end => return (bytes, end.is_some()),
        }
    }
}

#[tokio::test]
async fn a_compressed_answer_that_breaks_off_is_never_taken_for_a_whole_one() {
    let upstream = Recorder::scripted(|_, _, _| {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000\r\n\r\n";
        Reply::SendAndClose([head.as_bytes(), &page()].concat())
    })
    .await;
    let gateway = before(&format!("primary: [\"{}\"]", upstream.address())).await;
    for protocol in [Protocol::H1, Protocol::H2] {
        for coding in CODINGS {
            let (bytes, is_cut) = until_cut(&gateway, protocol, coding).await;
            assert!(is_cut, "{coding}: an end as if all had come");
            assert!(!is_whole(coding, &bytes), "{coding}");
            assert!(page().starts_with(&decoded(coding, &bytes)));
        }
    }
}

#[tokio::test]
async fn an_answer_of_http_2_ends_however_its_upstream_ends_it() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let pool = format!("primary: [\"{}\"], scheme: h2c", upstream.address());
    let gateway = before(&pool).await;
    let paths = ["/text", "/noted-text"];
    for (path, coding) in paths
        .iter()
        .flat_map(|path| CODINGS.map(|coding| (path, coding)))
    {
        for protocol in [Protocol::H1, Protocol::H2] {
            let mut browser = Browser::new(&gateway).over(protocol);
            let url = format!("https://app.test{path}");
            let request = Request::get(&url).header("accept-encoding", coding);
            let answer = browser.send(request).await.expect(200);
            assert_eq!(answer.header("content-encoding"), coding);
            assert_eq!(decoded(coding, &answer.body), TEXT, "{path} {coding}");
            assert!(is_whole(coding, &answer.body), "{path} {coding}");
        }
    }
}

/// Of no byte at all a decoder makes an error, where the head says that it was compressed.
#[tokio::test]
async fn an_answer_of_http_2_that_is_over_with_its_head_is_of_no_coding() {
    let upstream = Multiplexed::start(Manner::Plain).await;
    let pool = format!("primary: [\"{}\"], scheme: h2c", upstream.address());
    let gateway = before(&pool).await;
    for protocol in [Protocol::H1, Protocol::H2] {
        for coding in CODINGS {
            let mut browser = Browser::new(&gateway).over(protocol);
            let request = Request::get("https://app.test/head-only");
            let answer = browser.send(request.header("accept-encoding", coding));
            let answer = answer.await.expect(200);
            assert_eq!(answer.header("content-encoding"), "", "{coding}");
            assert_eq!(answer.header("vary"), "Accept-Encoding", "{coding}");
            assert!(answer.body.is_empty(), "{coding}");
        }
    }
}

#[tokio::test]
async fn a_coding_that_an_upstream_only_claims_is_passed_on_as_it_is() {
    let upstream = Recorder::answering(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip, br\r\n\
          ETag: \"a\r\nContent-Length: 9\r\n\r\nnot gzip!",
    )
    .await;
    let gateway = before(&format!("primary: [\"{}\"]", upstream.address())).await;
    let answer = ask(&gateway, "/gzip", &[("accept-encoding", "gzip")]).await;
    assert_eq!(answer.header("content-encoding"), "gzip, br");
    assert_eq!(answer.text(), "not gzip!");
    assert_eq!(answer.header("etag"), "\"a");
}

//! Upstreams that write down each request they get, and answer what `X-Want` asks for.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::net::AddressFamily;
use rustix::net::SocketType;
use rustix::net::bind;
use rustix::net::getsockname;
use rustix::net::socket;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use crate::client::Framing;
use crate::client::Header;
use crate::client::find;
use crate::client::read_body;
use crate::support::certificates;

/// A request as an upstream saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The name of the pool that the upstream is one of.
    pub(crate) pool: String,
    pub(crate) method: String,
    pub(crate) target: Vec<u8>,
    pub(crate) version: String,
    pub(crate) headers: Vec<Header>,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
}

/// All upstreams of a configuration; they stop when dropped.
pub(crate) struct Upstreams {
    seen: Arc<Mutex<Vec<Seen>>>,
    stopped: Arc<AtomicBool>,
    /// Where each is, by how it is written.
    pub(crate) places: BTreeMap<String, String>,
    /// Ports that nobody else is to get.
    held: Vec<OwnedFd>,
    folder: TempDir,
}

/// What those who serve a connection need.
#[derive(Clone)]
struct Serving {
    pool: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    stopped: Arc<AtomicBool>,
    tls: Option<Arc<ServerConfig>>,
}

trait Connection: Read + Write + Send + 'static {
    fn ready(&self);
}

impl Connection for TcpStream {
    fn ready(&self) {
        self.set_nodelay(true).ok();
        self.set_read_timeout(Some(IDLE)).ok();
    }
}

impl Connection for UnixStream {
    fn ready(&self) {
        self.set_read_timeout(Some(IDLE)).ok();
    }
}

impl Upstreams {
    /// One for each address or socket that is written; those whose end is 43 speak TLS. One that is called
    /// `refusing` listens at nothing, `closing` ends connections in place of an answer, `silent` gives none, and
    /// `busy` none but 503.
    pub(crate) fn start(written: &BTreeMap<String, String>) -> Self {
        let mut all = Self {
            seen: Arc::default(),
            stopped: Arc::default(),
            places: BTreeMap::new(),
            held: Vec::new(),
            folder: tempfile::tempdir().unwrap(),
        };
        for (address, pool) in written {
            let serving = Serving {
                pool: pool.clone(),
                seen: Arc::clone(&all.seen),
                stopped: Arc::clone(&all.stopped),
                tls: address.ends_with("43").then(server_config),
            };
            let place = match address.strip_prefix("unix:/run/") {
                Some(name) => {
                    let path = all.folder.path().join(name);
                    let listener = UnixListener::bind(&path).unwrap();
                    std::thread::spawn(move || serve_all(listener.incoming(), &serving));
                    format!("unix:{}", path.display())
                }
                None if pool == "refusing" => {
                    let (held, place) = refusing();
                    all.held.push(held);
                    place
                }
                None => {
                    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                    let place = listener.local_addr().unwrap().to_string();
                    std::thread::spawn(move || serve_all(listener.incoming(), &serving));
                    place
                }
            };
            all.places.insert(address.clone(), place);
        }
        all
    }

    /// What has been seen since the last time.
    pub(crate) fn take(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }
}

impl Drop for Upstreams {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        for place in self.places.values() {
            match place.strip_prefix("unix:") {
                Some(path) => drop(UnixStream::connect(path)),
                None => drop(TcpStream::connect(place)),
            }
        }
    }
}

/// A port that is taken, and at which nobody listens: whoever connects is refused.
fn refusing() -> (OwnedFd, String) {
    let held = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&held, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let place = SocketAddr::try_from(getsockname(&held).unwrap()).unwrap();
    (held, place.to_string())
}

fn server_config() -> Arc<ServerConfig> {
    let issued = certificates::issue(&["app.internal", "localhost"]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = CertificateDer::pem_slice_iter(issued.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key);
    Arc::new(config.unwrap())
}

fn serve_all<S: Connection>(streams: impl Iterator<Item = std::io::Result<S>>, serving: &Serving) {
    for stream in streams.map_while(Result::ok) {
        if serving.stopped.load(Ordering::Relaxed) {
            return;
        }
        let serving = serving.clone();
        std::thread::spawn(move || accept(stream, serving));
    }
}

fn accept(mut stream: impl Connection, serving: Serving) {
    stream.ready();
    let Serving {
        pool, seen, tls, ..
    } = serving;
    match tls {
        None => serve(&mut stream, &pool, &seen),
        Some(config) => {
            let connection = ServerConnection::new(config).unwrap();
            let mut stream = StreamOwned::new(connection, stream);
            serve(&mut stream, &pool, &seen);
            stream.conn.send_close_notify();
            stream.flush().ok();
            None
        }
    };
}

/// Serves one connection to its end; none is the end.
fn serve(stream: &mut (impl Read + Write), pool: &str, seen: &Mutex<Vec<Seen>>) -> Option<()> {
    let mut pending = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = find(&pending, b"\r\n\r\n") {
                break end + 4;
            }
            more(stream, &mut pending)?;
        };
        let head: Vec<u8> = pending.drain(..end).collect();
        let Some(mut request) = request(pool, &head) else {
            // Such as what another request has left behind: nobody is to send it.
            seen.lock().unwrap().push(Seen::unreadable(pool, &head));
            return None;
        };
        if request.value("expect").is_some() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok()?;
        }
        request.body = loop {
            if let Some((body, length, _)) = read_body(&pending, request.framing, false) {
                pending.drain(..length);
                break body;
            }
            more(stream, &mut pending)?;
        };
        seen.lock().unwrap().push(request.clone());
        if request.value("upgrade").is_some() {
            stream.write_all(SWITCHED).ok()?;
            loop {
                stream.write_all(&pending).ok()?;
                stream.flush().ok()?;
                pending.clear();
                more(stream, &mut pending)?;
            }
        }
        let want = match pool {
            "closing" => return None,
            "silent" => loop {
                more(stream, &mut pending)?;
            },
            "busy" => "busy".to_owned(),
            _ => request.value("x-want").unwrap_or_default(),
        };
        let mut answer = answer(&want, &request);
        let asked = request
            .value("connection")
            .is_some_and(|value| value == "close");
        if (asked || request.version == "HTTP/1.0") && !answer.closes {
            answer.closes = true;
            let first = &mut answer.pieces[0];
            let line = find(first, b"\r\n")? + 2;
            first.splice(line..line, b"Connection: close\r\n".iter().copied());
        }
        for piece in &answer.pieces {
            stream.write_all(piece).ok()?;
            stream.flush().ok()?;
            if answer.pieces.len() > 1 {
                std::thread::sleep(PAUSE);
            }
        }
        if answer.closes {
            return None;
        }
    }
}

fn more(stream: &mut impl Read, pending: &mut Vec<u8>) -> Option<()> {
    let mut buffer = [0; 16 * 1024];
    let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
    pending.extend_from_slice(&buffer[..read]);
    Some(())
}

fn request(pool: &str, head: &[u8]) -> Option<Seen> {
    let (line, headers) = crate::client::read_head(head);
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let method = String::from_utf8_lossy(words.next()?).into_owned();
    let rest = words.next()?;
    let space = rest.iter().rposition(|byte| *byte == b' ')?;
    let framing = Framing::of_request(&headers);
    Some(Seen {
        pool: pool.to_owned(),
        method,
        target: rest[..space].to_vec(),
        version: String::from_utf8_lossy(&rest[space + 1..]).into_owned(),
        headers,
        framing,
        body: Vec::new(),
    })
}

impl Seen {
    /// What is no request, with its first line as its method.
    fn unreadable(pool: &str, head: &[u8]) -> Self {
        Self {
            pool: pool.to_owned(),
            method: String::from_utf8_lossy(head).into_owned(),
            target: Vec::new(),
            version: String::new(),
            headers: Vec::new(),
            framing: Framing::None,
            body: Vec::new(),
        }
    }

    pub(crate) fn value(&self, name: &str) -> Option<String> {
        let mut headers = self.headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| header.value.clone())
    }
}

struct Answer {
    pieces: Vec<Vec<u8>>,
    closes: bool,
}

/// The answer that a word asks for.
fn answer(want: &str, request: &Seen) -> Answer {
    let host = request.value("host").unwrap_or_default();
    let text = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
    };
    let page = "<html><body>of the application</body></html>\n";
    let closes = ["close", "old", "leaving"].contains(&want);
    let whole = match want {
        "chunked" => CHUNKED.to_owned(),
        "trailers" => TRAILERS.to_owned(),
        "close" => "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end".to_owned(),
        "old" => "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nolder".to_owned(),
        "leaving" => text("200 OK", "Connection: close\r\n", "leaving"),
        "empty" => "HTTP/1.1 204 No Content\r\nX-Own: a\r\n\r\n".to_owned(),
        "unmodified" => "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n".to_owned(),
        "created" => text("201 Created", "Location: /things/1\r\n", "made"),
        "partial" => text(
            "206 Partial Content",
            "Content-Range: bytes 0-3/9\r\n",
            "part",
        ),
        "denied" => text(
            "401 Unauthorized",
            "WWW-Authenticate: Basic realm=\"x\"\r\n",
            page,
        ),
        "forbidden" => text("403 Forbidden", "", page),
        "missing" => text("404 Not Found", "", page),
        "teapot" => text("418 I'm a teapot", "", page),
        "broken" => text("500 Internal Server Error", "", page),
        "busy" => text("503 Service Unavailable", "Retry-After: 7\r\n", page),
        "moved" => text(
            "302 Found",
            &format!("Location: http://{host}/there?x=1\r\n"),
            "",
        ),
        "moved-path" => text("301 Moved Permanently", "Location: /there/\r\n", ""),
        "moved-far" => text("302 Found", "Location: https://far.example.com/a\r\n", ""),
        "moved-pool" => {
            let to = format!("Location: http://{}/v2/there\r\n", request.pool);
            text("302 Found", &to, "")
        }
        "cookies" => text("200 OK", COOKIES, "with cookies"),
        "headers" => text("200 OK", HEADERS, "with headers"),
        "gzip" => text(
            "200 OK",
            "Content-Encoding: gzip\r\nVary: Accept-Encoding\r\n",
            "not read",
        ),
        "cacheable" => text("200 OK", CACHEABLE, "kept"),
        "large" => text("200 OK", "", &"0123456789abcdef".repeat(LARGE)),
        "page" => text("200 OK", "", &page.repeat(80)).replace("text/plain", "text/html"),
        _ => text("200 OK", "", "well"),
    };
    let mut whole = whole.into_bytes();
    if request.method == "HEAD" {
        let end = find(&whole, b"\r\n\r\n").unwrap() + 4;
        whole.truncate(end);
    }
    let pieces = match want {
        "slow" | "chunked" => whole.chunks(50).map(<[u8]>::to_vec).collect(),
        _ => vec![whole],
    };
    Answer { pieces, closes }
}

/// What `answer` knows, each with an answer of its own.
pub(crate) const WANTS: &[&str] = &[
    "plain",
    "chunked",
    "trailers",
    "close",
    "old",
    "leaving",
    "empty",
    "unmodified",
    "created",
    "partial",
    "denied",
    "forbidden",
    "missing",
    "teapot",
    "broken",
    "busy",
    "moved",
    "moved-path",
    "moved-far",
    "moved-pool",
    "cookies",
    "headers",
    "gzip",
    "cacheable",
    "large",
    "page",
    "slow",
];

const SWITCHED: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n\
                       5\r\nfirst\r\n7\r\n second\r\n6\r\n third\r\n0\r\n\r\n";
const TRAILERS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\
                        Trailer: X-Sum\r\n\r\n4\r\nwith\r\n0\r\nX-Sum: 1\r\n\r\n";
const COOKIES: &str = "Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=\"2 3\"; Path=/v2/; HttpOnly; Secure\r\n\
                       Set-Cookie: c=; Max-Age=0; Domain=app.test\r\n";
const HEADERS: &str = "Server: upstream/1\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nX-Powered-By: magic\r\n\
                       X-Accel-Buffering: no\r\nX-Pad: x\r\nX-Twice: one\r\nX-Twice: two\r\nX-Empty:\r\n\
                       X-Wide:   spaces  \r\nVary: Cookie\r\nLink: </a>; rel=next\r\nX-Frame-Options: SAMEORIGIN\r\n\
                       Content-Language: en\r\nVia: 1.1 cache\r\nAge: 3\r\nX-Own: of the upstream\r\n";
const CACHEABLE: &str = "Cache-Control: public, max-age=60\r\nETag: \"v1\"\r\nExpires: Thu, 01 Jan 2099 00:00:00 GMT\r\n\
                         Last-Modified: Thu, 01 Jan 2015 00:00:00 GMT\r\nAccept-Ranges: bytes\r\n";
/// Times 16 bytes.
const LARGE: usize = 16 * 1024;
const IDLE: Duration = Duration::from_secs(90);
const PAUSE: Duration = Duration::from_millis(2);

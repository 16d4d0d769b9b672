//! Requests: each path and each kind of answer once, plainly, and then whatever a seed makes of them.

use crate::configuration::Configuration;
use crate::configuration::Door;
use crate::multiplexed::can_ask_for;
use crate::random::Random;
use crate::upstream::WANTS;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
    /// Whether it comes in pieces with pauses between them.
    pub(crate) slow: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Chunked(Vec<usize>),
    None,
    Sized(usize),
}

/// Requests one after the other, on one connection as far as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Conversation {
    pub(crate) door: Door,
    /// The name that is greeted with.
    pub(crate) name: String,
    pub(crate) shows: Shows,
    pub(crate) speaks: Speaks,
    pub(crate) tls: Tls,
    pub(crate) announces: Announces,
    pub(crate) requests: Vec<Sent>,
}

/// Whom the PROXY protocol tells of, at the beginning of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announces {
    Client,
    /// It is not spoken.
    Nobody,
}

/// The version that a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

/// The version of TLS that a client speaks, where it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tls {
    V12,
    V13,
}

/// The certificate that a client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    Good,
    Nothing,
    /// Signed by nobody who is trusted.
    Strange,
    /// Taken back by the list of its authority.
    Revoked,
}

/// All conversations for a configuration.
pub(crate) fn conversations(configuration: &Configuration, seed: u64) -> Vec<Conversation> {
    let mut random = Random::stream(seed, &configuration.name);
    let mut all = Vec::new();
    for door in &configuration.doors {
        for name in &door.names {
            let plain = |request: Sent| conversation(door, name, vec![request]);
            for path in &configuration.paths {
                all.push(plain(Sent::get(name, path)));
                for behind in ["x", "/", "/sub/file.txt?a=1&b=%20"] {
                    let path = format!("{path}{behind}");
                    all.push(plain(Sent::get(name, &path)));
                }
            }
        }
        let Some(name) = door.names.first() else {
            continue;
        };
        for want in WANTS {
            let path = random.pick(&configuration.paths);
            let request = Sent::get(name, &path).header("X-Want", want);
            let mut old = request.clone();
            old.version = "HTTP/1.0";
            all.push(conversation(door, name, vec![request]));
            all.push(conversation(door, name, vec![old]));
        }
        for path in &configuration.paths {
            let get = || Sent::get(name, path);
            let twice = get().header("X-Tenant", "blue").header("X-Tenant", "green");
            let mut ported = get().header("X-Want", "moved-pool");
            ported.headers[0].1 = format!("{name}:8080");
            let foreign = get().upgrade().header("Origin", "http://foreign.test");
            let empty = Sent::get(name, &format!("{path}?"));
            for request in [twice, ported, foreign, empty] {
                all.push(conversation(door, name, vec![request]));
            }
        }
        all.extend(unhurried(configuration, door, name));
        all.extend(unannounced(door, name));
        for shows in [Shows::Good, Shows::Strange, Shows::Revoked] {
            if configuration.certificates && door.secure {
                let request = Sent::get(name, "/");
                let shown = conversation(door, name, vec![request.clone(), request]);
                all.push(Conversation { shows, ..shown });
            }
        }
    }
    for _ in 0..RANDOM {
        let door = random.pick(&configuration.doors);
        if door.names.is_empty() {
            continue;
        }
        let name = random.pick(&door.names);
        let count = 1 + random.below(4);
        let requests = (0..count).map(|_| Sent::random(&mut random, configuration, &name));
        let mut made = conversation(&door, &name, requests.collect());
        if configuration.certificates && door.secure && random.chance(50) {
            made.shows = Shows::Good;
        }
        all.push(made);
    }
    all.into_iter()
        .enumerate()
        .flat_map(|(turn, made)| made.by_all_versions(turn))
        .collect()
}

/// Requests that may take their time: one by each method.
fn unhurried(configuration: &Configuration, door: &Door, name: &str) -> Vec<Conversation> {
    let mut all = Vec::new();
    for path in &configuration.once {
        for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT", "POST"] {
            let mut request = Sent::get(name, path);
            request.method = method.to_owned();
            if ["PUT", "POST"].contains(&method) {
                request.body = Body::Sized(10);
            }
            all.push(conversation(door, name, vec![request]));
        }
    }
    all
}

/// A client that is not announced where all are to be.
fn unannounced(door: &Door, name: &str) -> Option<Conversation> {
    let silent = conversation(door, name, vec![Sent::get(name, "/")]);
    let announces = Announces::Nobody;
    door.announced.then_some(Conversation {
        announces,
        ..silent
    })
}

impl Conversation {
    /// The same by HTTP/1.1 and, where it is spoken, by HTTP/2, with the versions of TLS by turns.
    fn by_all_versions(self, turn: usize) -> impl Iterator<Item = Self> {
        let versions = &self.door.tls;
        let version = |turn: usize| versions[turn % versions.len()];
        let (one, other) = (version(turn), version(turn + 1));
        let multiplexed = self.door.secure && self.door.multiplexed;
        let requests = self.requests.iter().filter_map(Sent::multiplexed);
        let requests: Vec<Sent> = requests.filter(|_| multiplexed).collect();
        let second = (!requests.is_empty()).then(|| Self {
            speaks: Speaks::Http2,
            tls: other,
            requests,
            ..self.clone()
        });
        std::iter::once(Self { tls: one, ..self }).chain(second)
    }
}

fn conversation(door: &Door, name: &str, requests: Vec<Sent>) -> Conversation {
    Conversation {
        door: door.clone(),
        name: name.to_owned(),
        shows: Shows::Nothing,
        speaks: Speaks::Http1,
        tls: Tls::V12,
        announces: if door.announced {
            Announces::Client
        } else {
            Announces::Nobody
        },
        requests,
    }
}

impl Sent {
    fn get(host: &str, target: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            headers: vec![("Host".to_owned(), host.to_owned())],
            body: Body::None,
            slow: false,
        }
    }

    fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    fn random(random: &mut Random, configuration: &Configuration, name: &str) -> Self {
        let path = random.pick(&configuration.paths);
        let mut sent = Self::get(name, &target(random, &path));
        if random.chance(15) {
            let host = random.pick(HOSTS).replace("NAME", name);
            let host = host.replace("UPPER", &name.to_uppercase());
            sent.headers[0].1 = host;
        }
        sent.method = random.pick(METHODS).to_owned();
        sent.body = match sent.method.as_str() {
            "POST" | "PUT" | "PATCH" => body(random),
            "DELETE" if random.chance(30) => body(random),
            _ => Body::None,
        };
        if sent.body != Body::None && random.chance(20) {
            sent = sent.header("Expect", "100-continue");
        }
        if random.chance(60) {
            sent = sent.header("X-Want", random.pick(WANTS));
        }
        for _ in 0..random.below(5) {
            let (name, value) = random.pick(HEADERS);
            if TWICE.contains(&name) || sent.value(name).is_none() {
                sent = sent.header(name, value);
            }
        }
        if random.chance(40) && !configuration.headers.is_empty() {
            let forged = random.pick(&configuration.headers);
            let own = ["host", "connection", "upgrade"].contains(&&*forged.to_lowercase());
            if !own && sent.value(&forged).is_none() {
                sent = sent.header(&forged, "forged");
            }
        }
        if random.chance(6) && sent.method == "GET" {
            sent = sent.upgrade();
        } else if random.chance(10) {
            sent = sent.header("Connection", random.pick(&["close", "keep-alive", "X-Hop"]));
            sent = sent.header("X-Hop", "1");
        }
        if random.chance(5) && !matches!(sent.body, Body::Chunked(_)) {
            sent.version = "HTTP/1.0";
        }
        sent.slow = random.chance(15);
        sent
    }

    /// The same as HTTP/2 has it, if it does.
    fn multiplexed(&self) -> Option<Self> {
        let is_common = self.version == "HTTP/1.1" && !self.upgrades() && can_ask_for(&self.target);
        let mut sent = self.clone();
        sent.version = "HTTP/2";
        sent.headers.retain(|(name, _)| name != "Connection");
        is_common.then_some(sent)
    }

    fn upgrade(self) -> Self {
        self.header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// Whether the body waits until it is asked for.
    pub(crate) fn expects_continue(&self) -> bool {
        self.value("Expect").is_some() && self.version == "HTTP/1.1"
    }

    /// Whether it asks for a WebSocket.
    pub(crate) fn upgrades(&self) -> bool {
        self.value("Upgrade").is_some()
    }

    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The path as it was sent.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(crate) fn head(&self) -> Vec<u8> {
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        match &self.body {
            Body::None => {}
            Body::Sized(size) => text.push_str(&format!("Content-Length: {size}\r\n")),
            Body::Chunked(_) => text.push_str("Transfer-Encoding: chunked\r\n"),
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    pub(crate) fn body_bytes(&self) -> Vec<u8> {
        match &self.body {
            Body::None => Vec::new(),
            Body::Sized(size) => filled(*size),
            Body::Chunked(sizes) => {
                let mut bytes = Vec::new();
                for size in sizes {
                    bytes.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                    bytes.extend_from_slice(&filled(*size));
                    bytes.extend_from_slice(b"\r\n");
                }
                bytes.extend_from_slice(b"0\r\n\r\n");
                bytes
            }
        }
    }

    /// How long its body is.
    pub(crate) fn body_size(&self) -> usize {
        match &self.body {
            Body::None => 0,
            Body::Sized(size) => *size,
            Body::Chunked(sizes) => sizes.iter().sum(),
        }
    }
}

/// A path with something behind it, or in it, that servers may read in their own ways.
fn target(random: &mut Random, path: &str) -> String {
    let mut target = path.to_owned();
    if random.chance(50) {
        target.push_str(random.pick(TAILS));
    }
    if random.chance(15) {
        target = random.pick(ODD).replace("PATH", &target);
    }
    if random.chance(30) {
        target.push_str(random.pick(QUERIES));
    }
    target
}

fn body(random: &mut Random) -> Body {
    match random.below(6) {
        0 => Body::Sized(0),
        1 => Body::Sized(1 + random.below(100)),
        2 => Body::Sized(60_000),
        3 => Body::Chunked(vec![1 + random.below(50), 2000, 1]),
        4 => Body::Chunked(Vec::new()),
        _ => Body::Sized(1_100_000),
    }
}

/// A body that shows where something of it is missing.
pub(crate) fn filled(size: usize) -> Vec<u8> {
    let mut bytes = b"abcdefghijklmnopqrstuvwxyz0".repeat(size / 27 + 1);
    bytes.truncate(size);
    bytes
}

const RANDOM: usize = 60;
const METHODS: &[&str] = &[
    "GET", "GET", "GET", "HEAD", "POST", "POST", "PUT", "DELETE", "PATCH", "OPTIONS",
];
const HOSTS: &[&str] = &[
    "NAME",
    "UPPER",
    "NAME:8080",
    "NAME.",
    "nobody.test",
    "127.0.0.1",
];
const TAILS: &[&str] = &[
    "",
    "x",
    "/",
    "/sub",
    "/sub/deep/file.txt",
    "a.png",
    "/a+b",
    "/a:b@c",
    "/(x)!*'",
    "/~user",
    "/%7Euser",
    "/a%20b",
    "/%C3%A9",
    "/a%41",
    "/a,b",
    "/$x&y=z",
    "/A/B",
];
/// Paths that servers read in different ways.
const ODD: &[&str] = &[
    "/.PATH",
    "/./PATH",
    "/xPATH/..",
    "/x/..PATH",
    "/PATH",
    "PATH//y",
    "PATH/%2e%2e/y",
    "PATH%2Fy",
    "PATH/a%5Cb",
    "PATH;v=1",
    "PATH%00",
    "PATH%zz",
    "PATH/%e9",
    "PATH%25x",
    "PATH%3Fx",
    "PATH%23x",
    "PATH#x",
    "PATH\"x",
    "PATH<x>",
    "PATH|x",
    "PATH/a\\b",
    "PATH^x",
    "PATH{x}",
    "http://other.testPATH",
];
const QUERIES: &[&str] = &[
    "?",
    "?a=1",
    "?a=1&b=2",
    "?a=%20&b=%2F",
    "?x=/../",
    "?a?b",
    "?a=b=c",
    "?\u{7e}",
    "?a=[1]",
    "?q='\"",
];
/// Headers that may stand there twice.
const TWICE: &[&str] = &["Cookie", "X-Tenant"];
const HEADERS: &[(&str, &str)] = &[
    ("Accept", "text/html, */*;q=0.1"),
    ("Accept-Encoding", "gzip, br"),
    ("Accept-Language", "de, en;q=0.5"),
    ("Authorization", "Basic YTpi"),
    ("Cache-Control", "no-cache"),
    ("Cookie", "a=1; b=\"2\""),
    ("Cookie", "JSESSIONID=x.node1"),
    ("Forwarded", "for=1.2.3.4"),
    ("If-None-Match", "\"a\""),
    ("If-Modified-Since", "Thu, 01 Jan 2015 00:00:00 GMT"),
    ("Origin", "http://app.test"),
    ("Range", "bytes=0-3"),
    ("Referer", "http://app.test/before"),
    ("TE", "trailers"),
    ("User-Agent", "equivalence/1"),
    ("Via", "1.1 someone"),
    ("X-Empty", ""),
    ("X-Forwarded-For", "1.2.3.4"),
    ("X-Forwarded-Host", "forged.test"),
    ("X-Forwarded-Proto", "https"),
    ("X-Real-IP", "1.2.3.4"),
    ("X-Request-Id", "mine"),
    ("X-Tenant", "blue"),
    ("X-Tenant", "green"),
    ("X_Underscore", "1"),
    ("X.Dot", "1"),
    ("x-LOWER-Upper", "MiXed Value,  two  spaces"),
    ("X-Quote", "a \"b\" 'c' %20 $x ${y}"),
    ("Remote-User", "forged"),
];

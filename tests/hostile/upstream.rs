//! An upstream that records every byte it gets, and answers as told.
//!
//! It reads HTTP strictly: whatever a request leaves behind on the connection is recorded as the next
//! request, which is exactly what a smuggled one would be.

use std::collections::HashMap;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::multiplexed;

/// A listening upstream. Clones share what was recorded.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
pub(crate) struct State {
    seen: Mutex<Seen>,
    changed: Condvar,
    scripts: Mutex<HashMap<String, Script>>,
}

#[derive(Default)]
struct Seen {
    /// Every byte, by connection; what is not UTF-8 is replaced.
    bytes: Vec<String>,
    requests: Vec<Request>,
    /// The heads of requests whose answer could not be sent to its end.
    unsent: Vec<String>,
}

/// A request as the upstream read it.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The head, byte for byte, with its empty line.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// What is answered at a path instead of the echo.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) answer: Vec<u8>,
    pub(crate) when: When,
    pub(crate) then: Then,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// As soon as the head is there.
    AfterHead,
    /// When the body has come too.
    AfterBody,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Close,
    /// Reads on, the rest of a body first.
    Keep,
    /// Takes whatever comes and answers nothing more.
    Listen,
}

impl Request {
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// Every header, names as they came.
    pub(crate) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let lines = self.head.split("\r\n").skip(1);
        lines.filter_map(|line| line.split_once(':').map(|(n, v)| (n, v.trim())))
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let own = self.headers().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        own.map(|(_, value)| value).collect()
    }
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            state: Arc::default(),
        };
        let state = Arc::clone(&upstream.state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let state = Arc::clone(&state);
                thread::spawn(move || state.serve(stream));
            }
        });
        upstream
    }

    /// Answers requests for a path, query aside, with these bytes.
    pub(crate) fn script(&self, path: &str, script: Script) {
        let mut scripts = self.state.scripts.lock().unwrap();
        scripts.insert(path.to_owned(), script);
    }

    /// Whether any connection carried these bytes.
    pub(crate) fn saw(&self, needle: &str) -> bool {
        let seen = self.state.seen.lock().unwrap();
        seen.bytes.iter().any(|bytes| bytes.contains(needle))
    }

    /// The requests whose head holds a text.
    pub(crate) fn requests(&self, needle: &str) -> Vec<Request> {
        let seen = self.state.seen.lock().unwrap();
        let requests = seen.requests.iter();
        requests
            .filter(|request| request.head.contains(needle))
            .cloned()
            .collect()
    }

    /// The only request whose head holds a text, once it is there.
    pub(crate) fn one(&self, needle: &str) -> Request {
        let seen = self.state.seen.lock().unwrap();
        let is_missing = |seen: &mut Seen| !seen.requests.iter().any(|r| r.head.contains(needle));
        let wait = Duration::from_secs(20);
        drop(
            self.state
                .changed
                .wait_timeout_while(seen, wait, is_missing)
                .unwrap(),
        );
        let mut found = self.requests(needle);
        assert_eq!(found.len(), 1, "requests with {needle}: {found:#?}");
        found.remove(0)
    }

    /// Whether the gateway breaks off reading the answer to a request within `wait`.
    pub(crate) fn is_broken_off(&self, needle: &str, wait: Duration) -> bool {
        let seen = self.state.seen.lock().unwrap();
        let is_there = |seen: &mut Seen| !seen.unsent.iter().any(|head| head.contains(needle));
        let waited = self.state.changed.wait_timeout_while(seen, wait, is_there);
        !waited.unwrap().1.timed_out()
    }
}

impl State {
    fn serve(self: &Arc<Self>, mut stream: TcpStream) {
        let connection = {
            let mut seen = self.seen.lock().unwrap();
            seen.bytes.push(String::new());
            seen.bytes.len() - 1
        };
        let mut first = [0; 3];
        if stream.peek(&mut first).is_ok() && first == *b"PRI" {
            multiplexed::serve(stream, self);
            return;
        }
        let mut pending = Vec::new();
        while let Some(end) = self.read_until(&mut stream, connection, &mut pending, head_end) {
            let head: Vec<u8> = pending.drain(..end).collect();
            let head = String::from_utf8_lossy(&head).into_owned();
            let script = self.script_for(&head);
            let early = script.as_ref().filter(|s| s.when == When::AfterHead);
            let is_early = early.is_some();
            if let Some(early) = early {
                stream.write_all(&early.answer).ok();
            } else if header(&head, "expect").is_some() {
                stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").ok();
            }
            let closes_early = early.is_some_and(|early| early.then == Then::Close);
            let body = if closes_early {
                Vec::new()
            } else {
                match self.read_body(&mut stream, connection, &mut pending, &head) {
                    Some(body) => body,
                    None => return,
                }
            };
            let request = Request { head, body };
            let script = script.unwrap_or_else(|| echo(&request));
            self.note(request.clone());
            if !is_early && stream.write_all(&script.answer).is_err() {
                self.note_unsent(request.head);
                return;
            }
            match script.then {
                Then::Keep => {}
                Then::Close => return,
                Then::Listen => {
                    self.listen(&mut stream, connection);
                    return;
                }
            }
        }
    }

    fn note_unsent(&self, head: String) {
        self.seen.lock().unwrap().unsent.push(head);
        self.changed.notify_all();
    }

    fn listen(&self, stream: &mut TcpStream, connection: usize) {
        let mut pending = Vec::new();
        self.read_until(stream, connection, &mut pending, |_| None);
    }

    /// Notes a request that came by HTTP/2, in the form that it would have had by HTTP/1.1.
    pub(crate) fn note_whole(&self, request: Request) {
        let body = String::from_utf8_lossy(&request.body);
        let bytes = format!("{}{body}", request.head);
        self.seen.lock().unwrap().bytes.push(bytes);
        self.note(request);
    }

    fn note(&self, request: Request) {
        self.seen.lock().unwrap().requests.push(request);
        self.changed.notify_all();
    }

    pub(crate) fn script_for(&self, head: &str) -> Option<Script> {
        let target = head.split(' ').nth(1)?;
        let path = target.split('?').next()?;
        self.scripts.lock().unwrap().get(path).cloned()
    }

    /// Reads until `end` finds what it looks for, and answers where that ends.
    fn read_until(
        &self,
        stream: &mut TcpStream,
        connection: usize,
        pending: &mut Vec<u8>,
        end: impl Fn(&[u8]) -> Option<usize>,
    ) -> Option<usize> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some(end) = end(pending) {
                return Some(end);
            }
            let read = stream.read(&mut buffer).ok().filter(|read| *read > 0)?;
            pending.extend_from_slice(&buffer[..read]);
            let mut seen = self.seen.lock().unwrap();
            seen.bytes[connection].push_str(&String::from_utf8_lossy(&buffer[..read]));
            drop(seen);
            self.changed.notify_all();
        }
    }

    fn read_body(
        &self,
        stream: &mut TcpStream,
        connection: usize,
        pending: &mut Vec<u8>,
        head: &str,
    ) -> Option<Vec<u8>> {
        if header(head, "transfer-encoding").is_some() {
            let end = self.read_until(stream, connection, pending, chunked_end)?;
            return Some(pending.drain(..end).collect());
        }
        let length = header(head, "content-length").map_or(0, |v| v.parse().unwrap_or(0));
        let whole = |bytes: &[u8]| (bytes.len() >= length).then_some(length);
        let end = self.read_until(stream, connection, pending, whole)?;
        Some(pending.drain(..end).collect())
    }
}

/// Answers with what was asked, so that a mixed-up answer can be told.
pub(crate) fn echo(request: &Request) -> Script {
    let is_head = request.line().starts_with("HEAD ");
    let body = format!("upstream saw {}\n{}", request.line(), request.head);
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    if !is_head {
        answer.push_str(&body);
    }
    Script {
        answer: answer.into_bytes(),
        when: When::AfterBody,
        then: Then::Keep,
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut own = lines.filter(|(found, _)| found.trim().eq_ignore_ascii_case(name));
    own.next().map(|(_, value)| value.trim())
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

fn chunked_end(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"0\r\n\r\n") {
        return Some(5);
    }
    find(bytes, b"\r\n0\r\n\r\n").map(|at| at + 7)
}

/// Where a text begins in bytes.
pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    // The search in text is compiled with optimisation even where the tests are not.
    match (std::str::from_utf8(bytes), std::str::from_utf8(needle)) {
        (Ok(text), Ok(needle)) => text.find(needle),
        _ => bytes
            .windows(needle.len())
            .position(|window| window == needle),
    }
}

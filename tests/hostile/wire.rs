//! A client that sends exactly the bytes it is given, in plain or by TLS.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use rustls::ClientConnection;
use rustls::StreamOwned;
use rustls::pki_types::ServerName;

use crate::support::certificates;

/// A connection to the gateway.
pub(crate) struct Wire {
    stream: Stream,
    /// Read but not yet taken.
    pending: Vec<u8>,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// An answer as it stood on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// How a connection ended, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Open,
}

impl Answer {
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").filter_map(|l| l.split_once(':'));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Wire {
    pub(crate) fn plain(address: SocketAddr) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let patience = Some(Duration::from_secs(10));
        socket.set_write_timeout(patience).unwrap();
        Self {
            stream: Stream::Plain(socket),
            pending: Vec::new(),
        }
    }

    /// A TLS connection with this server name and these protocols offered.
    pub(crate) fn tls(address: SocketAddr, name: &str, protocols: &[&[u8]]) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        let patience = Some(Duration::from_secs(10));
        socket.set_write_timeout(patience).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let client = ClientConnection::new(certificates::client(protocols), name).unwrap();
        Self {
            stream: Stream::Tls(Box::new(StreamOwned::new(client, socket))),
            pending: Vec::new(),
        }
    }

    /// Sends all of it; a connection that the gateway closed meanwhile is no failure.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let bytes = bytes.as_ref();
        let sent = match &mut self.stream {
            Stream::Plain(socket) => socket.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        sent.is_ok()
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(socket) => socket,
            Stream::Tls(stream) => &stream.sock,
        }
    }

    /// Reads some bytes, waiting at most `wait`; `None` at the end, an empty answer when none came.
    pub(crate) fn read_some(&mut self, wait: Duration) -> Option<Vec<u8>> {
        let wait = wait.max(Duration::from_millis(1));
        self.socket().set_read_timeout(Some(wait)).unwrap();
        let mut buffer = [0; 16 * 1024];
        let read = match &mut self.stream {
            Stream::Plain(socket) => socket.read(&mut buffer),
            Stream::Tls(stream) => stream.read(&mut buffer),
        };
        match read {
            Ok(0) => None,
            Ok(read) => Some(buffer[..read].to_vec()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Some(Vec::new())
            }
            Err(_) => None,
        }
    }

    /// Reads everything until the gateway closes, at most for `wait`.
    pub(crate) fn read_to_end(&mut self, wait: Duration) -> (Vec<u8>, End) {
        let until = Instant::now() + wait;
        let mut all = std::mem::take(&mut self.pending);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return (all, End::Open);
            }
            match self.read_some(left) {
                None => return (all, End::Closed),
                Some(bytes) => all.extend_from_slice(&bytes),
            }
        }
    }

    /// Reads one answer to a request that was not HEAD; interim answers are left out.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        self.answer_within(Duration::from_secs(10))
    }

    pub(crate) fn answer_within(&mut self, wait: Duration) -> Option<Answer> {
        let until = Instant::now() + wait;
        let mut ended = false;
        loop {
            if let Some(answer) = self.take_answer(ended) {
                return Some(answer);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || ended {
                return None;
            }
            match self.read_some(left) {
                None => ended = true,
                Some(bytes) => self.pending.extend_from_slice(&bytes),
            }
        }
    }

    fn take_answer(&mut self, ended: bool) -> Option<Answer> {
        loop {
            let (answer, length) = first_answer(&self.pending, ended)?;
            self.pending.drain(..length);
            if answer.status == 101 || answer.status >= 200 {
                return Some(answer);
            }
        }
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request.as_ref());
        self.answer().unwrap_or_else(|| {
            let request = String::from_utf8_lossy(request.as_ref()).into_owned();
            panic!("no answer to {request:?}, only {:?}", self.pending)
        })
    }
}

/// All final answers in a stream of bytes.
pub(crate) fn answers(mut bytes: &[u8]) -> Vec<Answer> {
    let mut all = Vec::new();
    while let Some((answer, length)) = first_answer(bytes, true) {
        bytes = &bytes[length..];
        if answer.status == 101 || answer.status >= 200 {
            all.push(answer);
        }
    }
    all
}

fn first_answer(bytes: &[u8], ended: bool) -> Option<(Answer, usize)> {
    let head_end = crate::upstream::find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let status = head.split(' ').nth(1)?.get(..3)?.parse().ok()?;
    let mut answer = Answer {
        status,
        head,
        body: Vec::new(),
    };
    let rest = &bytes[head_end..];
    if status < 200 || status == 204 || status == 304 {
        return Some((answer, head_end));
    }
    if answer.header("transfer-encoding").is_some() {
        let (body, length) = dechunk(rest)?;
        answer.body = body;
        return Some((answer, head_end + length));
    }
    let length = match answer.header("content-length") {
        Some(length) => length.parse().ok()?,
        None if ended => rest.len(),
        None => return None,
    };
    answer.body = rest.get(..length)?.to_vec();
    Some((answer, head_end + length))
}

fn dechunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = crate::upstream::find(&bytes[at..], b"\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        at += line + 2;
        body.extend_from_slice(bytes.get(at..at + size)?);
        at += size + 2;
        if size == 0 {
            return (at <= bytes.len()).then_some((body, at));
        }
    }
}

/// A mark that no other request of this run carries.
pub(crate) fn mark() -> String {
    use std::sync::atomic::AtomicU64;
    use std::sync::atomic::Ordering;
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("mark{}x{next}x", std::process::id())
}

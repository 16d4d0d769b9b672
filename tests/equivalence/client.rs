//! A client that sends the bytes of a request, in pieces where it is a slow one, and reads what comes back; and the
//! reading of heads and bodies that upstreams need as well.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::StreamOwned;
use rustls::pki_types::ServerName;

use crate::requests::Sent;

/// A line of a head.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Header {
    pub(crate) name: String,
    /// Without the white space around it; bytes beyond ASCII as characters of the same number.
    pub(crate) value: String,
}

/// How the end of a body is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Chunked,
    Close,
    Length(usize),
    None,
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// The statuses before the last.
    pub(crate) interim: Vec<u16>,
    pub(crate) version: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<Header>,
    pub(crate) framing: Framing,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<Header>,
    /// What came back of what was sent after a change of protocols.
    pub(crate) echoed: Vec<u8>,
    /// Whether the request was sent to its end.
    pub(crate) sent_whole: bool,
}

/// A connection.
pub(crate) struct Line {
    stream: Stream,
    pending: Vec<u8>,
}

enum Stream {
    Local(UnixStream),
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Line {
    /// Connects to a socket of the file system.
    pub(crate) fn connect_to(socket: &Path, announced: &str) -> Self {
        let mut local = UnixStream::connect(socket).unwrap();
        local.set_read_timeout(Some(PATIENCE)).unwrap();
        local.set_write_timeout(Some(PATIENCE)).unwrap();
        local.write_all(announced.as_bytes()).unwrap();
        Self {
            stream: Stream::Local(local),
            pending: Vec::new(),
        }
    }

    /// Connects, by TLS where there are terms for it.
    pub(crate) fn connect(
        address: SocketAddr,
        announced: &str,
        tls: Option<(Arc<ClientConfig>, &str)>,
    ) -> Self {
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.write_all(announced.as_bytes()).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        let stream = match tls {
            None => Stream::Plain(tcp),
            Some((config, name)) => {
                let name = ServerName::try_from(name.to_owned()).unwrap();
                let connection = ClientConnection::new(config, name).unwrap();
                Stream::Tls(Box::new(StreamOwned::new(connection, tcp)))
            }
        };
        Self {
            stream,
            pending: Vec::new(),
        }
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// What there was when the connection ended.
    pub(crate) fn ask(&mut self, sent: &Sent) -> Result<Answer, String> {
        let mut interim = Vec::new();
        let (head, body) = (sent.head(), sent.body_bytes());
        let waits = sent.expects_continue();
        if waits || sent.slow {
            let middle = head.len() / 2;
            self.write(&head[..middle]);
            pause(sent.slow);
            self.write(&head[middle..]);
            if waits {
                let first = self.head()?;
                if status_of(&first) == 100 {
                    interim.push(100);
                    self.body_in_pieces(&body, sent.slow);
                } else {
                    let mut answer = self.answer(sent, interim, first)?;
                    answer.sent_whole = false;
                    return Ok(answer);
                }
            } else {
                self.body_in_pieces(&body, sent.slow);
            }
        } else {
            self.write(&[head, body].concat());
        }
        let first = self.head()?;
        self.answer(sent, interim, first)
    }

    fn body_in_pieces(&mut self, body: &[u8], slow: bool) {
        let size = if slow { body.len() / 3 + 1 } else { usize::MAX };
        for piece in body.chunks(size) {
            pause(slow);
            self.write(piece);
        }
    }

    fn answer(
        &mut self,
        sent: &Sent,
        mut interim: Vec<u16>,
        mut head: Vec<u8>,
    ) -> Result<Answer, String> {
        while (100..200).contains(&status_of(&head)) && status_of(&head) != 101 {
            interim.push(status_of(&head));
            head = self.head()?;
        }
        let status = status_of(&head);
        let (line, headers) = read_head(&head);
        let framing = Framing::of_answer(&headers, status, &sent.method);
        let (body, trailers) = self.body(framing)?;
        let echoed = if status == 101 {
            self.echoed()?
        } else {
            Vec::new()
        };
        let version = String::from_utf8_lossy(&line[..8.min(line.len())]).into_owned();
        Ok(Answer {
            interim,
            version,
            status,
            headers,
            framing,
            body,
            trailers,
            echoed,
            sent_whole: true,
        })
    }

    fn echoed(&mut self) -> Result<Vec<u8>, String> {
        for piece in ECHOED {
            self.write(piece);
            pause(true);
        }
        let whole = ECHOED.concat();
        while self.pending.len() < whole.len() {
            self.more()?;
        }
        Ok(std::mem::take(&mut self.pending))
    }

    fn head(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(end) = find(&self.pending, b"\r\n\r\n") {
                return Ok(self.pending.drain(..end + 4).collect());
            }
            self.more()?;
        }
    }

    fn body(&mut self, framing: Framing) -> Result<(Vec<u8>, Vec<Header>), String> {
        let mut ended = false;
        loop {
            if let Some((body, length, trailers)) = read_body(&self.pending, framing, ended) {
                self.pending.drain(..length);
                return Ok((body, trailers));
            }
            if framing == Framing::Close {
                ended = self.more().is_err();
            } else {
                self.more()?;
            }
        }
    }

    fn more(&mut self) -> Result<(), String> {
        let mut buffer = [0; 16 * 1024];
        let read = match &mut self.stream {
            Stream::Local(local) => local.read(&mut buffer),
            Stream::Plain(tcp) => tcp.read(&mut buffer),
            Stream::Tls(tls) => tls.read(&mut buffer),
        };
        let read = read.map_err(|error| error.to_string())?;
        if read == 0 {
            let so_far = String::from_utf8_lossy(&self.pending).into_owned();
            return Err(format!("closed after {so_far:?}"));
        }
        self.pending.extend_from_slice(&buffer[..read]);
        Ok(())
    }

    /// A connection that is closed meanwhile tells so when it is read.
    fn write(&mut self, bytes: &[u8]) {
        match &mut self.stream {
            Stream::Local(local) => local.write_all(bytes).ok(),
            Stream::Plain(tcp) => tcp.write_all(bytes).ok(),
            Stream::Tls(tls) => tls.write_all(bytes).and_then(|()| tls.flush()).ok(),
        };
    }
}

impl Answer {
    /// Whether the connection may be used for another request.
    pub(crate) fn keeps(&self) -> bool {
        let values = self.values("connection");
        let says = |word: &str| values.iter().any(|value| value.eq_ignore_ascii_case(word));
        let is_old = self.version == "HTTP/1.0";
        let ends = self.framing == Framing::Close || self.status == 101;
        !ends && self.sent_whole && !says("close") && (!is_old || says("keep-alive"))
    }

    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let named = self.headers.iter();
        let named = named.filter(|header| header.name.eq_ignore_ascii_case(name));
        named.map(|header| header.value.clone()).collect()
    }
}

impl Framing {
    pub(crate) fn of_request(headers: &[Header]) -> Self {
        match Self::said(headers) {
            Self::Close => Self::None,
            Self::Chunked => Self::Chunked,
            Self::Length(length) => Self::Length(length),
            Self::None => Self::None,
        }
    }

    pub(crate) fn of_answer(headers: &[Header], status: u16, method: &str) -> Self {
        if method == "HEAD" || status < 200 || [204, 304].contains(&status) {
            return Self::None;
        }
        Self::said(headers)
    }

    fn said(headers: &[Header]) -> Self {
        let value = |name: &str| {
            let mut named = headers.iter();
            named.find(|header| header.name.eq_ignore_ascii_case(name))
        };
        if value("transfer-encoding").is_some() {
            return Self::Chunked;
        }
        let length = value("content-length").and_then(|header| header.value.parse().ok());
        length.map_or(Self::Close, Self::Length)
    }
}

/// The first line of a head, and the others.
pub(crate) fn read_head(head: &[u8]) -> (Vec<u8>, Vec<Header>) {
    let text: String = head.iter().map(|byte| char::from(*byte)).collect();
    let mut lines = text.trim_end().split("\r\n");
    let first = lines.next().unwrap().chars();
    let first = first.map(|c| u8::try_from(c).unwrap()).collect();
    let headers = lines.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        let (name, value) = (name.to_owned(), value.trim().to_owned());
        Some(Header { name, value })
    });
    (first, headers.collect())
}

/// A body, how many bytes it took, and its trailers; none before it is whole.
pub(crate) fn read_body(
    bytes: &[u8],
    framing: Framing,
    ended: bool,
) -> Option<(Vec<u8>, usize, Vec<Header>)> {
    match framing {
        Framing::None => Some((Vec::new(), 0, Vec::new())),
        Framing::Length(length) => Some((bytes.get(..length)?.to_vec(), length, Vec::new())),
        Framing::Close => ended.then(|| (bytes.to_vec(), bytes.len(), Vec::new())),
        Framing::Chunked => {
            let mut body = Vec::new();
            let mut at = 0;
            loop {
                let line = find(&bytes[at..], b"\r\n")?;
                let size = std::str::from_utf8(&bytes[at..at + line]).unwrap();
                let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).unwrap();
                at += line + 2;
                if size == 0 {
                    let end = find(&bytes[at.checked_sub(2)?..], b"\r\n\r\n")? + 2;
                    let (_, trailers) = read_head(&[b"\r\n", &bytes[at..at + end]].concat());
                    return Some((body, at + end, trailers));
                }
                body.extend_from_slice(bytes.get(at..at + size)?);
                at += size + 2;
                bytes.get(..at)?;
            }
        }
    }
}

fn status_of(head: &[u8]) -> u16 {
    let text = head
        .get(9..12)
        .and_then(|text| std::str::from_utf8(text).ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

pub(crate) fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut windows = bytes.windows(wanted.len());
    windows.position(|window| window == wanted)
}

fn pause(slow: bool) {
    if slow {
        std::thread::sleep(PAUSE);
    }
}

/// What is sent, and expected back, after a change of protocols.
const ECHOED: &[&[u8]] = &[b"one ", &[0, 255, 10, 13], b" two"];
pub(crate) const PAUSE: Duration = Duration::from_millis(3);
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

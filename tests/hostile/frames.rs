//! An HTTP/2 client that writes its frames by hand, so that nothing keeps it from breaking the rules.

use std::time::Duration;
use std::time::Instant;

use crate::rig::Gateway;
use crate::wire::Wire;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A connection of HTTP/2.
pub(crate) struct H2 {
    pub(crate) wire: Wire,
    buffer: Vec<u8>,
    next: u32,
    /// The settings that the gateway announced, by number.
    pub(crate) settings: Vec<(u16, u32)>,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its answer ended, with this status and body.
    Answer(u16, Vec<u8>),
    /// Its stream was reset.
    Reset,
    /// The whole connection ended.
    Ended,
    /// Nothing, as long as was waited.
    Nothing,
}

impl Outcome {
    /// Whether the request was refused, in whatever way.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Answer(status, _) => (400..500).contains(status),
            Self::Reset | Self::Ended => true,
            Self::Nothing => false,
        }
    }
}

struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

/// A header field, name and value as bytes.
pub(crate) type Field<'a> = (&'a [u8], &'a [u8]);

impl H2 {
    /// Connects, tells the gateway to use no dynamic table, and waits for its settings.
    pub(crate) fn connect(gateway: &Gateway, name: &str) -> Self {
        let mut h2 = Self::silent(gateway, name);
        h2.frame(SETTINGS, 0, 0, &setting(1, 0));
        h2.frame(SETTINGS, ACK, 0, &[]);
        let until = Instant::now() + Duration::from_secs(20);
        while h2.settings.is_empty() && Instant::now() < until {
            h2.next_frame(Duration::from_millis(100));
        }
        assert!(!h2.settings.is_empty(), "no settings came");
        h2
    }

    /// Connects and sends the preface, but no settings.
    pub(crate) fn silent(gateway: &Gateway, name: &str) -> Self {
        let mut wire = Wire::tls(gateway.https, name, &[b"h2"]);
        wire.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        Self {
            wire,
            buffer: Vec::new(),
            next: 1,
            settings: Vec::new(),
        }
    }

    pub(crate) fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> bool {
        self.wire.send(frame(kind, flags, stream, payload))
    }

    /// Sends a request; without a body its head ends it.
    pub(crate) fn request(&mut self, fields: &[Field<'_>], body: Option<&[u8]>) -> u32 {
        let stream = self.next_stream();
        let flags = END_HEADERS | if body.is_none() { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, flags, stream, &block(fields));
        if let Some(body) = body {
            bytes.extend_from_slice(&frame(DATA, END_STREAM, stream, body));
        }
        self.wire.send(bytes);
        stream
    }

    /// Sends a request and waits for what comes of it.
    /// Begins a request to `app.test` whose body is still to come.
    pub(crate) fn begin_post(&mut self, path: &str) -> u32 {
        let stream = self.next_stream();
        let head = block(&request("POST", "app.test", path));
        self.frame(HEADERS, END_HEADERS, stream, &head);
        stream
    }

    pub(crate) fn ask(&mut self, fields: &[Field<'_>], body: Option<&[u8]>) -> Outcome {
        let stream = self.request(fields, body);
        self.outcome(stream, Duration::from_secs(8))
    }

    pub(crate) fn next_stream(&mut self) -> u32 {
        let stream = self.next;
        self.next += 2;
        stream
    }

    /// Waits for the end of a stream.
    pub(crate) fn outcome(&mut self, stream: u32, wait: Duration) -> Outcome {
        let until = Instant::now() + wait;
        let mut status = 0;
        let mut body = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Outcome::Nothing;
            }
            let Some(frame) = self.next_frame(left) else {
                return Outcome::Ended;
            };
            let Some(frame) = frame else {
                continue;
            };
            match frame.kind {
                GO_AWAY => return Outcome::Ended,
                RESET if frame.stream == stream && status == 0 => return Outcome::Reset,
                HEADERS if frame.stream == stream => {
                    status = status_of(&frame.payload).max(status);
                }
                DATA if frame.stream == stream => body.extend_from_slice(&frame.payload),
                _ => continue,
            }
            let ends =
                frame.kind == RESET || (frame.kind <= HEADERS && frame.flags & END_STREAM != 0);
            if frame.stream == stream && ends {
                return Outcome::Answer(status, body);
            }
        }
    }

    /// Whether the gateway ends the connection within `wait`.
    pub(crate) fn ends_within(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            match self.next_frame(left) {
                None => return true,
                Some(Some(frame)) if frame.kind == GO_AWAY => return true,
                Some(_) => {}
            }
        }
    }

    /// Whether the other end has closed the connection by then.
    pub(crate) fn is_closed_within(&mut self, wait: Duration) -> bool {
        let until = Instant::now() + wait;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            if self.next_frame(left).is_none() {
                return true;
            }
        }
    }

    /// Reads a frame: `None` at the end of the connection, `Some(None)` when none came.
    fn next_frame(&mut self, wait: Duration) -> Option<Option<Frame>> {
        loop {
            if let Some(frame) = self.take_frame() {
                self.note(&frame);
                return Some(Some(frame));
            }
            let bytes = self.wire.read_some(wait)?;
            if bytes.is_empty() {
                return Some(None);
            }
            self.buffer.extend_from_slice(&bytes);
        }
    }

    fn take_frame(&mut self) -> Option<Frame> {
        let head = self.buffer.get(..9)?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let payload = self.buffer.get(9..9 + length)?.to_vec();
        self.buffer.drain(..9 + length);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    fn note(&mut self, frame: &Frame) {
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            self.settings = frame
                .payload
                .chunks_exact(6)
                .map(|s| {
                    let number = u16::from_be_bytes([s[0], s[1]]);
                    (number, u32::from_be_bytes([s[2], s[3], s[4], s[5]]))
                })
                .collect();
        }
    }
}

/// The bytes of a frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// One setting, as the payload of a SETTINGS frame.
pub(crate) fn setting(number: u16, value: u32) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend_from_slice(&value.to_be_bytes());
    bytes
}

/// Header fields as HPACK literals without indexing and without Huffman codes (RFC 7541 §6.2.2).
pub(crate) fn block(fields: &[Field<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            push_length(&mut bytes, text.len());
            bytes.extend_from_slice(text);
        }
    }
    bytes
}

fn push_length(bytes: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        bytes.push(u8::try_from(length).unwrap());
        return;
    }
    bytes.push(127);
    length -= 127;
    while length >= 128 {
        bytes.push(u8::try_from(length % 128).unwrap() | 0x80);
        length /= 128;
    }
    bytes.push(u8::try_from(length).unwrap());
}

/// The fields of an ordinary GET.
pub(crate) fn get<'a>(host: &'a str, path: &'a str) -> Vec<Field<'a>> {
    request("GET", host, path)
}

pub(crate) fn request<'a>(method: &'a str, host: &'a str, path: &'a str) -> Vec<Field<'a>> {
    vec![
        (b":method", method.as_bytes()),
        (b":scheme", b"https"),
        (b":authority", host.as_bytes()),
        (b":path", path.as_bytes()),
    ]
}

/// The status in a header block; a gateway sends it first, and no dynamic table is in use.
fn status_of(block: &[u8]) -> u16 {
    let mut block = block;
    while let [update, rest @ ..] = block {
        if update & 0xe0 != 0x20 {
            break;
        }
        block = rest;
    }
    match block {
        [indexed, ..] if indexed & 0x80 != 0 => match indexed & 0x7f {
            8 => 200,
            9 => 204,
            10 => 206,
            11 => 304,
            12 => 400,
            13 => 404,
            14 => 500,
            _ => 0,
        },
        [literal, length, text @ ..] if literal & 0x3f == 8 || literal & 0x0f == 8 => {
            let bytes = &text[..usize::from(length & 0x7f)];
            let digits = if length & 0x80 == 0 {
                String::from_utf8_lossy(bytes).into_owned()
            } else {
                huffman_digits(bytes)
            };
            digits.parse().unwrap_or(0)
        }
        _ => 0,
    }
}

/// Digits in the Huffman code of RFC 7541: 0 to 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|b| (0..8).rev().map(move |n| b >> n & 1))
        .collect();
    let number = |bits: &[u8]| bits.iter().fold(0, |sum, bit| sum * 2 + u32::from(*bit));
    let mut digits = String::new();
    let mut at = 0;
    while digits.len() < 3 {
        let Some(five) = bits.get(at..at + 5).map(number) else {
            break;
        };
        if five <= 2 {
            digits.push_str(&five.to_string());
            at += 5;
            continue;
        }
        let Some(six) = bits.get(at..at + 6).map(number) else {
            break;
        };
        digits.push_str(&six.saturating_sub(0x19 - 3).to_string());
        at += 6;
    }
    digits
}

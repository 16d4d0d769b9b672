//! Looks at request lines as they come off the wire.
//!
//! pingora escapes spaces and control characters of a target before anybody can refuse them (RFC 9112
//! §3.2 has none), so they are looked for where its bytes are read. What the line says is read in
//! `inbound`.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use pingora::protocols::ALPN;
use pingora::protocols::GetProxyDigest;
use pingora::protocols::GetSocketDigest;
use pingora::protocols::GetTimingDigest;
use pingora::protocols::Peek;
use pingora::protocols::Shutdown;
use pingora::protocols::SocketDigest;
use pingora::protocols::Ssl;
use pingora::protocols::Stream;
use pingora::protocols::TimingDigest;
use pingora::protocols::UniqueID;
use pingora::protocols::UniqueIDType;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::tls::SslDigest;
use pingora::protocols::tls::TlsRef;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::sync::oneshot;

/// What has been seen of the request line that a connection is on.
#[derive(Debug, Default)]
pub struct RequestLine(AtomicU32);

impl RequestLine {
    /// The next byte read begins a request: none is read ahead, because pipelining is off.
    pub fn expect(&self) {
        self.0.store(EXPECTED, Ordering::Relaxed);
    }

    /// Whether the line has more or fewer parts than three, or a control character in it.
    pub fn is_odd(&self) -> bool {
        self.0.load(Ordering::Relaxed) & ODD != 0
    }

    fn see(&self, bytes: &[u8]) {
        let mut state = self.0.load(Ordering::Relaxed);
        if state & EXPECTED == 0 {
            return;
        }
        for byte in bytes {
            state = next(state, *byte);
            if state & EXPECTED == 0 {
                break;
            }
        }
        self.0.store(state, Ordering::Relaxed);
    }
}

/// The state after one byte more: flags, and the number of spaces.
const fn next(state: u32, byte: u8) -> u32 {
    let after_return = state & RETURN != 0;
    match byte {
        b'\n' if state & SPACES == 2 => state & ODD,
        b'\n' => ODD,
        _ if after_return => state | ODD,
        b'\r' => state | RETURN,
        // The count stops where it cannot become right any more.
        b' ' if state & SPACES < 3 => state + 1,
        b' ' | 0x21..=0x7e | 0x80.. => state,
        _ => state | ODD,
    }
}

const EXPECTED: u32 = 1 << 31;
const ODD: u32 = 1 << 30;
const RETURN: u32 = 1 << 29;
const SPACES: u32 = 0xff;

/// A connection whose request lines are looked at, and which is handed back when pingora is done with it.
#[derive(Debug)]
pub struct Observed {
    /// There until it is handed back.
    stream: Option<Stream>,
    line: Arc<RequestLine>,
    /// Where it goes; nowhere once the client has ended it.
    home: Option<oneshot::Sender<Stream>>,
}

impl Observed {
    /// Looks at what is read from a connection; the receiver gets it back if the client has not ended it.
    #[must_use]
    pub fn new(stream: Stream, line: Arc<RequestLine>) -> (Self, oneshot::Receiver<Stream>) {
        let (home, back) = oneshot::channel();
        let observed = Self {
            stream: Some(stream),
            line,
            home: Some(home),
        };
        (observed, back)
    }

    fn stream(&mut self) -> std::io::Result<Pin<&mut Stream>> {
        let stream = self.stream.as_mut().map(Pin::new);
        stream.ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if let (Some(stream), Some(home)) = (self.stream.take(), self.home.take()) {
            // Nobody waits for a connection that was given up.
            home.send(stream).ok();
        }
    }
}

impl AsyncRead for Observed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = self.stream()?.poll_read(cx, buffer);
        if read.is_ready() {
            let bytes = buffer.filled().get(before..).unwrap_or_default();
            self.line.see(bytes);
            if bytes.is_empty() {
                self.home = None;
            }
        }
        read
    }
}

impl AsyncWrite for Observed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        let stream = self.stream.as_ref();
        stream.is_some_and(|stream| stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Observed {
    async fn shutdown(&mut self) {
        if let Some(stream) = &mut self.stream {
            stream.shutdown().await;
        }
    }
}

#[async_trait]
impl Peek for Observed {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> std::io::Result<bool> {
        match &mut self.stream {
            Some(stream) => stream.try_peek(buffer).await,
            None => Ok(false),
        }
    }
}

impl UniqueID for Observed {
    fn id(&self) -> UniqueIDType {
        self.stream.as_ref().map_or(-1, |stream| stream.id())
    }
}

impl Ssl for Observed {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.as_ref()?.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.as_ref()?.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.as_ref()?.selected_alpn_proto()
    }
}

impl GetTimingDigest for Observed {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        let stream = self.stream.as_ref();
        stream.map_or_else(Vec::new, |stream| stream.get_timing_digest())
    }

    fn get_read_pending_time(&self) -> Duration {
        let stream = self.stream.as_ref();
        stream.map_or(Duration::ZERO, |stream| stream.get_read_pending_time())
    }

    fn get_write_pending_time(&self) -> Duration {
        let stream = self.stream.as_ref();
        stream.map_or(Duration::ZERO, |stream| stream.get_write_pending_time())
    }
}

impl GetProxyDigest for Observed {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.as_ref()?.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        if let Some(stream) = &mut self.stream {
            stream.set_proxy_digest(digest);
        }
    }
}

impl GetSocketDigest for Observed {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.as_ref()?.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        if let Some(stream) = &mut self.stream {
            stream.set_socket_digest(digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_odd(pieces: &[&[u8]]) -> bool {
        let line = RequestLine::default();
        line.expect();
        pieces.iter().for_each(|piece| line.see(piece));
        line.is_odd()
    }

    #[test]
    fn a_line_of_three_parts_is_usual_however_it_arrives() {
        let line: &[u8] = b"GET /a?b=%20\xc3\xa9 HTTP/1.1\r\nX: y z\t\x01\r\n\r\n a b c d";
        for cut in 0..line.len() {
            let (head, tail) = line.split_at(cut);
            assert!(!is_odd(&[head, tail]), "cut at {cut}");
        }
    }

    #[test]
    fn a_line_with_spaces_or_control_characters_in_its_target_is_odd() {
        for line in [
            "GET  /a HTTP/1.1\r\n",
            "GET /a b HTTP/1.1\r\n",
            " GET /a HTTP/1.1\r\n",
            "GET /a HTTP/1.1 \r\n",
            "GET /a\r\n",
            "GET /a\tb HTTP/1.1\r\n",
            "GET /a\0b HTTP/1.1\r\n",
            "GET /a\x7fb HTTP/1.1\r\n",
            "GET /a\rb HTTP/1.1\r\n",
            "GET /a?b c HTTP/1.1\r\n",
            "\r\nGET /a HTTP/1.1\r\n",
        ] {
            assert!(is_odd(&[line.as_bytes()]), "{line:?}");
            let bytes: Vec<&[u8]> = line.as_bytes().chunks(1).collect();
            assert!(is_odd(&bytes), "{line:?} byte by byte");
        }
    }

    #[test]
    fn only_the_line_that_is_expected_is_looked_at() {
        let line = RequestLine::default();
        line.see(b"a body, with spaces and \0\n");
        assert!(!line.is_odd());
        line.expect();
        line.see(b"GET /a b HTTP/1.1\r\n");
        assert!(line.is_odd());
        line.expect();
        line.see(b"GET /a HTTP/1.1\r\nX: a b c d\r\n");
        assert!(!line.is_odd());
    }
}

//! Stands between pingora and a client: looks at request lines as they come off the wire, and sends the
//! head of an answer and a small body in one piece.
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
use tokio::io::BufWriter;
use tokio::io::ReadBuf;
use tokio::sync::oneshot;

/// What has been seen of the request line that a connection is on.
#[derive(Debug, Default)]
pub struct RequestLine(AtomicU32);

impl RequestLine {
    /// The next byte read begins a request: none is read ahead, because pipelining is off.
    pub fn expect(&self) {
        let ended = self.0.load(Ordering::Relaxed) & ENDED;
        self.0.store(ended | EXPECTED | UNREAD, Ordering::Relaxed);
    }

    /// The connection is over, whatever still goes on of its requests.
    pub fn end(&self) {
        self.0.fetch_or(ENDED, Ordering::Relaxed);
    }

    /// Whether the connection is over.
    pub fn has_ended(&self) -> bool {
        self.0.load(Ordering::Relaxed) & ENDED != 0
    }

    /// The head could be read.
    pub fn is_read(&self) {
        self.0.fetch_and(!UNREAD, Ordering::Relaxed);
    }

    fn is_unread(&self) -> bool {
        self.0.load(Ordering::Relaxed) & UNREAD != 0
    }

    /// Nothing more is read of the connection: the request on it is to end.
    pub fn stop(&self) {
        self.0.fetch_or(STOPPED, Ordering::Relaxed);
    }

    /// The request on the connection goes on after all.
    pub fn go_on(&self) {
        self.0.fetch_and(!STOPPED, Ordering::Relaxed);
    }

    fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed) & STOPPED != 0
    }

    /// Whether the line has more or fewer parts than three, or a control character in it.
    pub fn is_odd(&self) -> bool {
        self.0.load(Ordering::Relaxed) & ODD != 0
    }

    /// Whether a byte has come since a request was expected.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Relaxed) & BEGUN != 0
    }

    fn see(&self, bytes: &[u8]) {
        let mut state = self.0.load(Ordering::Relaxed);
        if state & EXPECTED == 0 || bytes.is_empty() {
            return;
        }
        state |= BEGUN;
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
        b'\n' if state & SPACES == 2 => state & (BEGUN | ODD | UNREAD),
        b'\n' => (state & UNREAD) | BEGUN | ODD,
        _ if after_return => state | ODD,
        b'\r' => state | RETURN,
        // The count stops where it cannot become right any more.
        b' ' if state & SPACES < 3 => state + 1,
        b' ' | 0x21..=0x7e | 0x80.. => state,
        _ => state | ODD,
    }
}

/// Enough for a head and a small body.
const GATHERED_BYTES: usize = 4096;
const EXPECTED: u32 = 1 << 31;
const ODD: u32 = 1 << 30;
const RETURN: u32 = 1 << 29;
const BEGUN: u32 = 1 << 28;
const UNREAD: u32 = 1 << 27;
const STOPPED: u32 = 1 << 26;
const ENDED: u32 = 1 << 25;
const SPACES: u32 = 0xff;

/// What a request is answered whose head cannot be read. pingora's own answers name it.
const BAD_REQUEST: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\
    Connection: close\r\n\r\n";
/// What CONNECT is answered.
const METHOD_NOT_ALLOWED: &str = "HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\
    Cache-Control: no-store\r\nConnection: close\r\n\r\n";

/// A connection whose request lines are looked at, and which is handed back when pingora is done with it.
///
/// Writes are gathered until pingora flushes, or waits for the client: it flushes nothing that has a
/// declared length before its end, however long that takes to come.
#[derive(Debug)]
pub struct Observed {
    /// There until it is handed back.
    stream: Option<BufWriter<Stream>>,
    /// What is spoken on it, with TLS or without.
    protocol: ALPN,
    line: Arc<RequestLine>,
    /// Where it goes; nowhere once the client has ended it.
    home: Option<oneshot::Sender<Stream>>,
}

impl Observed {
    /// Looks at a connection of HTTP/1; the receiver gets it back if the client has not ended it.
    #[must_use]
    pub fn new(stream: Stream, line: Arc<RequestLine>) -> (Self, oneshot::Receiver<Stream>) {
        Self::gathering((GATHERED_BYTES, ALPN::H1), stream, line)
    }

    /// A connection of HTTP/2, which has no lines and gathers its frames by itself.
    #[must_use]
    pub fn without_lines(stream: Stream) -> (Self, oneshot::Receiver<Stream>) {
        Self::gathering((0, ALPN::H2), stream, Arc::default())
    }

    fn gathering(
        (bytes, protocol): (usize, ALPN),
        stream: Stream,
        line: Arc<RequestLine>,
    ) -> (Self, oneshot::Receiver<Stream>) {
        let (home, back) = oneshot::channel();
        let observed = Self {
            stream: Some(BufWriter::with_capacity(bytes, stream)),
            protocol,
            line,
            home: Some(home),
        };
        (observed, back)
    }

    fn writer(&mut self) -> std::io::Result<Pin<&mut BufWriter<Stream>>> {
        let writer = self.stream.as_mut().map(Pin::new);
        writer.ok_or_else(|| std::io::ErrorKind::NotConnected.into())
    }

    /// Puts an answer of the gateway's own in the place of one that pingora gives by itself: nobody else
    /// answers before a head has been read.
    fn answer_unread(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let own = if bytes.starts_with(b"HTTP/1.1 405 ") {
            METHOD_NOT_ALLOWED
        } else {
            BAD_REQUEST
        };
        // It fits into what is gathered, and so is written whole.
        let written = self.writer()?.poll_write(cx, own.as_bytes());
        if written.is_ready() {
            self.line.is_read();
        }
        written.map_ok(|_| bytes.len())
    }

    fn inner(&self) -> Option<&Stream> {
        self.stream.as_ref().map(BufWriter::get_ref)
    }

    fn inner_mut(&mut self) -> Option<&mut Stream> {
        self.stream.as_mut().map(BufWriter::get_mut)
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        if let (Some(stream), Some(home)) = (self.stream.take(), self.home.take()) {
            // Nobody waits for a connection that was given up.
            home.send(stream.into_inner()).ok();
        }
    }
}

impl AsyncRead for Observed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.line.is_stopped() {
            return Poll::Ready(Err(std::io::ErrorKind::TimedOut.into()));
        }
        let before = buffer.filled().len();
        let mut writer = self.writer()?;
        if !writer.buffer().is_empty()
            && let Poll::Ready(Err(error)) = writer.as_mut().poll_flush(cx)
        {
            return Poll::Ready(Err(error));
        }
        let read = Pin::new(writer.get_mut().get_mut()).poll_read(cx, buffer);
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
        if self.line.is_unread() {
            return self.answer_unread(cx, bytes);
        }
        self.writer()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        if self.line.is_unread() {
            let bytes = parts.first().map_or(&[][..], |part| part);
            return self.answer_unread(cx, bytes);
        }
        self.writer()?.poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        let writer = self.stream.as_ref();
        writer.is_some_and(|writer| writer.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.writer()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.writer()?.poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Observed {
    async fn shutdown(&mut self) {
        let Some(writer) = &mut self.stream else {
            return;
        };
        // What has been gathered goes out as far as it does at once: a client that reads nothing must not
        // hold up the end.
        std::future::poll_fn(|cx| {
            let flushed = Pin::new(&mut *writer).poll_flush(cx);
            Poll::Ready(flushed.is_ready())
        })
        .await;
        writer.get_mut().shutdown().await;
    }
}

#[async_trait]
impl Peek for Observed {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> std::io::Result<bool> {
        match self.inner_mut() {
            Some(stream) => stream.try_peek(buffer).await,
            None => Ok(false),
        }
    }
}

impl UniqueID for Observed {
    fn id(&self) -> UniqueIDType {
        self.inner().map_or(-1, |stream| stream.id())
    }
}

impl Ssl for Observed {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.inner()?.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner()?.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        Some(self.protocol.clone())
    }
}

impl GetTimingDigest for Observed {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        let stream = self.inner();
        stream.map_or_else(Vec::new, |stream| stream.get_timing_digest())
    }

    fn get_read_pending_time(&self) -> Duration {
        let stream = self.inner();
        stream.map_or(Duration::ZERO, |stream| stream.get_read_pending_time())
    }

    fn get_write_pending_time(&self) -> Duration {
        let stream = self.inner();
        stream.map_or(Duration::ZERO, |stream| stream.get_write_pending_time())
    }
}

impl GetProxyDigest for Observed {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner()?.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        if let Some(stream) = self.inner_mut() {
            stream.set_proxy_digest(digest);
        }
    }
}

impl GetSocketDigest for Observed {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner()?.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        if let Some(stream) = self.inner_mut() {
            stream.set_socket_digest(digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::io::DuplexStream;

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

    /// A connection and its other end.
    fn connection() -> (Observed, DuplexStream) {
        let (client, server) = tokio::io::duplex(GATHERED_BYTES);
        let (observed, _) = Observed::new(Box::new(server), Arc::default());
        (observed, client)
    }

    /// What has arrived at the other end.
    fn arrived(client: &mut DuplexStream) -> String {
        let mut bytes = [0; 64];
        match client.read(&mut bytes).now_or_never() {
            Some(read) => String::from_utf8_lossy(&bytes[..read.unwrap()]).into_owned(),
            None => String::new(),
        }
    }

    #[tokio::test]
    async fn a_head_and_a_small_body_go_out_in_one_piece() {
        let (mut observed, mut client) = connection();
        observed.write_all(b"head ").await.unwrap();
        observed.write_all(b"body").await.unwrap();
        assert_eq!(arrived(&mut client), "");
        observed.flush().await.unwrap();
        assert_eq!(arrived(&mut client), "head body");
    }

    #[tokio::test]
    async fn nothing_is_held_back_while_the_client_is_waited_for() {
        let (mut observed, mut client) = connection();
        observed.write_all(b"head").await.unwrap();
        assert!(observed.read(&mut [0]).now_or_never().is_none());
        assert_eq!(arrived(&mut client), "head");
    }

    #[tokio::test]
    async fn a_connection_comes_back_unless_the_client_has_ended_it() {
        let (_client, server) = tokio::io::duplex(64);
        let (observed, mut back) = Observed::new(Box::new(server), Arc::default());
        drop(observed);
        assert!(back.try_recv().is_ok());
        let (client, server) = tokio::io::duplex(64);
        let (mut observed, mut back) = Observed::new(Box::new(server), Arc::default());
        drop(client);
        assert_eq!(observed.read(&mut [0]).await.unwrap(), 0);
        drop(observed);
        assert!(back.try_recv().is_err());
    }
}

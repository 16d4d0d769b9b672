//! One open connection to a peer: HTTP/2, proven at both ends, any number of questions at once.
//!
//! How it came about is `dial`'s, how long it is kept is `address`'s; what is asked over it is bytes here.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::Request;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::sync::watch;

use crate::backchannel::wire;
use crate::backchannel::wire::Code;
use crate::backchannel::wire::Signature;
use crate::crypto::peer_proof::ConnectionKeys;
use crate::crypto::peer_proof::Message;
use crate::crypto::peer_proof::Side;
use crate::model::time::Timestamp;

/// Why no answer came over a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    /// The connection broke.
    #[error("the connection broke")]
    Broken(#[source] hyper::Error),
    /// The connection was over before the question was sent: the other end has not seen it.
    #[error("the connection was closing, and the question was not sent")]
    Unsent(#[source] hyper::Error),
    /// The other end's certificate was over when the answer came (R11).
    #[error("the other end's certificate has expired")]
    Expired,
    /// The body of the answer broke off, or was too large.
    #[error("the answer could not be read: {0}")]
    Body(String),
    /// The other end turned the question away.
    #[error("the other end turned the question away: {0}")]
    Refused(Code),
    /// The answer does not carry the signature that it should.
    #[error("the answer is not signed by the other end")]
    Unsigned,
    /// The question could not be written.
    #[error("the question could not be written")]
    Unwritable(#[from] http::Error),
}

/// How a connection is kept alive.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeepAlive {
    /// How often an idle connection is pinged (M-051).
    pub(super) interval: Duration,
    /// How long the answer to a ping may take.
    pub(super) timeout: Duration,
}

/// An open connection. Dropped, it is closed once the questions under way on it are answered.
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    keys: Option<ConnectionKeys>,
    counter: AtomicU64,
    closed: watch::Receiver<bool>,
    /// Until when the other end's proof is good.
    proven_until: Option<Timestamp>,
}

impl Connection {
    /// Begins HTTP/2 on a stream. Nobody has proven anything yet, except by TLS.
    ///
    /// # Errors
    /// When the stream breaks.
    pub(super) async fn open<S>(stream: S, keep_alive: KeepAlive) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(keep_alive.interval)
            .keep_alive_timeout(keep_alive.timeout)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let (closing, closed) = watch::channel(false);
        tokio::spawn(async move {
            // What broke it is told to whoever has a question under way.
            driver.await.ok();
            closing.send_replace(true);
        });
        Ok(Self {
            sender,
            keys: None,
            counter: AtomicU64::new(0),
            closed,
            proven_until: None,
        })
    }

    /// The other end's certificate is good until then, and nothing it says is believed afterwards (R11).
    pub(super) fn trust_until(&mut self, until: Timestamp) {
        self.proven_until = Some(until);
    }

    /// From here on everything is signed.
    pub(super) fn sign_with(&mut self, keys: ConnectionKeys) {
        self.keys = Some(keys);
    }

    /// Whether something can be asked.
    pub(super) fn is_usable(&self, now: Timestamp) -> bool {
        let is_closed = self.sender.is_closed() || *self.closed.borrow();
        !is_closed && self.is_proven(now)
    }

    /// Whether what the other end says is believed still.
    pub(super) fn is_proven(&self, now: Timestamp) -> bool {
        self.proven_until.is_none_or(|until| now <= until)
    }

    /// Waits until nothing can be asked any more.
    pub(super) async fn closed(&self) {
        // An error means that the driver is gone.
        let mut closed = self.closed.clone();
        closed.wait_for(|closed| *closed).await.ok();
    }

    /// Sends one message and reads the answer to it, however long that takes.
    ///
    /// # Errors
    /// See [`PostError`].
    pub(super) async fn post(&self, path: &'static str, body: Vec<u8>) -> Result<Bytes, PostError> {
        let counter = self.counter.fetch_add(1, Ordering::Relaxed);
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{AUTHORITY}{path}"))
            .header(CONTENT_TYPE, wire::MEDIA_TYPE)
            .body(())?;
        if let Some(keys) = &self.keys {
            let from = Side::Dialler;
            let tag = keys.sign(&Message {
                from,
                counter,
                path,
                body: &body,
            });
            Signature { counter, tag }.write(request.headers_mut());
        }
        let request = request.map(|()| Full::new(Bytes::from(body)));
        let response = self.sender.clone().send_request(request).await;
        let response = response.map_err(unanswered)?;
        let (parts, body) = response.into_parts();
        if parts.status != StatusCode::OK {
            let body = read(body, wire::OPENING_BYTES_MAX).await?;
            return Err(PostError::Refused(wire::read_code(&body)));
        }
        let body = read(body, wire::ANSWER_BYTES_MAX).await?;
        if let Some(keys) = &self.keys {
            let signature = Signature::read(&parts.headers).ok_or(PostError::Unsigned)?;
            let from = Side::Listener;
            let said = Message {
                from,
                counter,
                path,
                body: &body,
            };
            if signature.counter != counter || !keys.is_signed(&said, &signature.tag) {
                return Err(PostError::Unsigned);
            }
        }
        Ok(body)
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

/// A connection that the other end is about to close takes no more questions, and says so only to the next.
fn unanswered(error: hyper::Error) -> PostError {
    if error.is_canceled() {
        PostError::Unsent(error)
    } else {
        PostError::Broken(error)
    }
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, PostError> {
    let collected = Limited::new(body, bytes_max).collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| PostError::Body(error.to_string()))
}

/// HTTP/2 wants one; who is meant stands in the message.
const AUTHORITY: &str = "http://back-channel.portway.invalid";
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const HEADER_BYTES_MAX: u32 = 8 << 10;

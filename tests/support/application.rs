//! A scripted application: echo, WebSocket, streams, uploads, late and broken answers.
//!
//! Ordinary pages are better asked of real nginx; this serves what nginx has no directive for.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::StreamExt;
use http::Request;
use http::Response;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::combinators::BoxBody;
use hyper::body::Frame;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::ports;

/// A running application; it stops when dropped.
pub(crate) struct Application {
    address: SocketAddr,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: AtomicUsize,
    /// Streams and sockets that are open.
    open: AtomicUsize,
    uploaded: AtomicU64,
}

type Body = BoxBody<Bytes, Infallible>;

impl Application {
    /// Starts one on a free port. It serves
    /// `/ws` (WebSocket echo), `/ticks` (an endless stream, a tick every 20 ms), `/still` (a stream that
    /// says `begin` and nothing more), `/hang` (no answer at all), `/upload` (answers how many bytes it
    /// was sent), `/slow/N` (N pieces of 1 KiB, one every 20 ms), `/bulk/N` (N KiB at once), and echoes
    /// the request anywhere else.
    pub(crate) async fn start() -> Self {
        Self::over(ports::listen().await)
    }

    /// Starts one at this address.
    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        Self::over(TcpListener::bind(address).await.unwrap())
    }

    fn over(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&counts)));
        Self {
            address,
            counts,
            accepting,
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests it has seen.
    pub(crate) fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// How many streams and sockets are open at it.
    pub(crate) fn open(&self) -> usize {
        self.counts.open.load(Ordering::SeqCst)
    }

    /// How many bytes have been uploaded to it.
    pub(crate) fn uploaded(&self) -> u64 {
        self.counts.uploaded.load(Ordering::SeqCst)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, counts: Arc<Counts>) {
    let mut serving = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        stream.set_nodelay(true).ok();
        let counts = Arc::clone(&counts);
        serving.spawn(async move {
            let answer = service_fn(move |request| answer(request, Arc::clone(&counts)));
            let http = hyper::server::conn::http1::Builder::new();
            http.serve_connection(TokioIo::new(stream), answer)
                .with_upgrades()
                .await
                .ok();
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    counts: Arc<Counts>,
) -> Result<Response<Body>, Infallible> {
    counts.requests.fetch_add(1, Ordering::SeqCst);
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/ws" | "/public/ws" => websocket(request, counts),
        "/ticks" => stream(Forever::Ticks, counts),
        "/still" => stream(Forever::Still, counts),
        "/hang" => std::future::pending().await,
        "/upload" => upload(request, &counts).await,
        _ => pieces(&path).unwrap_or_else(|| echo(&request)),
    })
}

/// A body of so many pieces of 1 KiB, if the path asks for one.
fn pieces(path: &str) -> Option<Response<Body>> {
    let count = |text: &str| text.parse().unwrap_or(1);
    match path.strip_prefix("/slow/") {
        Some(pieces) => Some(slow(count(pieces))),
        None => {
            let pieces = path.strip_prefix("/bulk/")?;
            Some(Response::new(full(vec![b'x'; count(pieces) << 10])))
        }
    }
}

/// Each request header on a line of its own, after method and target.
fn echo(request: &Request<Incoming>) -> Response<Body> {
    let mut text = format!("method: {}\nuri: {}\n", request.method(), request.uri());
    for (name, value) in request.headers() {
        text.push_str(&format!(
            "{name}: {}\n",
            String::from_utf8_lossy(value.as_bytes())
        ));
    }
    Response::new(full(text))
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

#[derive(Clone, Copy)]
enum Forever {
    Still,
    Ticks,
}

/// Counts something open until it is dropped.
struct Open(Arc<Counts>);

impl Open {
    fn new(counts: &Arc<Counts>) -> Self {
        counts.open.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counts))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A body whose pieces come by a channel.
struct Pieces(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .poll_recv(cx)
            .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

fn stream(what: Forever, counts: Arc<Counts>) -> Response<Body> {
    let (sender, pieces) = mpsc::channel(1);
    tokio::spawn(async move {
        let _open = Open::new(&counts);
        if sender.send(Bytes::from_static(b"begin\n")).await.is_err() {
            return;
        }
        match what {
            Forever::Still => sender.closed().await,
            Forever::Ticks => tick(&sender, usize::MAX, b"tick\n").await,
        }
    });
    let mut response = Response::new(Pieces(pieces).boxed());
    let kind = http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", kind);
    response
}

fn slow(pieces: usize) -> Response<Body> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move { tick(&sender, pieces, &[b'x'; 1024]).await });
    Response::new(Pieces(receiver).boxed())
}

async fn tick(sender: &mpsc::Sender<Bytes>, times: usize, piece: &'static [u8]) {
    let mut ticks = tokio::time::interval(TICK);
    for _ in 0..times {
        ticks.tick().await;
        if sender.send(Bytes::from_static(piece)).await.is_err() {
            return;
        }
    }
}

async fn upload(request: Request<Incoming>, counts: &Counts) -> Response<Body> {
    let mut body = request.into_body();
    let mut bytes: u64 = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { break };
        let length = frame.data_ref().map_or(0, Bytes::len) as u64;
        bytes += length;
        counts.uploaded.fetch_add(length, Ordering::SeqCst);
    }
    Response::new(full(format!("uploaded: {bytes}\n")))
}

fn websocket(mut request: Request<Incoming>, counts: Arc<Counts>) -> Response<Body> {
    let Some(key) = request.headers().get("sec-websocket-key") else {
        return Response::builder().status(426).body(full("")).unwrap();
    };
    let accept = derive_accept_key(key.as_bytes());
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(&mut request).await else {
            return;
        };
        let _open = Open::new(&counts);
        let stream = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    Response::builder()
        .status(101)
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-accept", accept)
        .body(full(""))
        .unwrap()
}

const TICK: Duration = Duration::from_millis(20);

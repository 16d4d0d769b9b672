//! An upstream that speaks HTTP/2, plain or by TLS, and does by the path of a request what is hard to bring a
//! real one to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use h2::RecvStream;
use h2::SendStream;
use h2::server::SendResponse;
use http::HeaderMap;
use http::Request;
use http::Response;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::certificates;
use super::ports;

/// A running upstream; it stops when dropped.
pub(crate) struct Multiplexed {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

/// What is kept of what it was asked.
#[derive(Default)]
struct State {
    connections: AtomicUsize,
    /// Streams that are open.
    open: AtomicUsize,
    heads: Mutex<Vec<Head>>,
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
}

/// How connections begin.
#[derive(Clone)]
pub(crate) enum Manner {
    /// At once.
    Plain,
    /// By TLS, with these application protocols.
    Tls(&'static [&'static [u8]]),
    /// At once, and the first is ended as soon as a request has come, before anything is done about it.
    GoingAway,
    /// At once, and the first is ended over too many frames as soon as a request has come.
    Calming,
}

impl Multiplexed {
    /// Starts one. It serves
    /// `/hang` (no answer), `/still` (the head of an answer and no more), `/ticks` (an endless answer, a tick
    /// every 20 ms), `/echo` (what it is sent, piece by piece, with trailers), `/late-echo` (the same, its head
    /// with the first piece), `/refuse` (turned away by a reset), `/refuse-once` (only the first time),
    /// `/reset` (broken off), `/sum` (how many bytes it was sent), `/text` (a text, its end with no byte of it),
    /// `/noted-text` (the same with trailers), `/head-only` (the head of a text that is over with it), and answers
    /// `ok` with trailers elsewhere.
    pub(crate) async fn start(manner: Manner) -> Self {
        let listener = ports::listen().await;
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(accept(listener, manner, Arc::clone(&state)));
        Self {
            address,
            state,
            accepting,
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// How many of its requests are being answered.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// The heads it was sent.
    pub(crate) fn heads(&self) -> Vec<Head> {
        self.state.heads.lock().unwrap().clone()
    }
}

impl Drop for Multiplexed {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, manner: Manner, state: Arc<State>) {
    let mut serving = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        stream.set_nodelay(true).ok();
        let before = state.connections.fetch_add(1, Ordering::SeqCst);
        let (manner, state) = (manner.clone(), Arc::clone(&state));
        serving.spawn(begin(stream, manner, before, state));
    }
}

async fn begin(stream: TcpStream, manner: Manner, before: usize, state: Arc<State>) {
    match manner {
        Manner::Plain => serve(stream, state).await,
        Manner::GoingAway if before == 0 => go_away(stream, 0, Reason::NO_ERROR).await,
        Manner::Calming if before == 0 => go_away(stream, 1, Reason::ENHANCE_YOUR_CALM).await,
        Manner::GoingAway | Manner::Calming => serve(stream, state).await,
        Manner::Tls(protocols) => {
            if let Ok(stream) = acceptor(protocols).accept(stream).await {
                serve(stream, state).await;
            }
        }
    }
}

fn acceptor(protocols: &[&[u8]]) -> TlsAcceptor {
    let issued = certificates::issue(&["app.test"]);
    let chain = vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Reads until a request has come, and says then that none after `last` was looked at, and why no more are
/// (RFC 9113 §6.8).
async fn go_away(mut stream: TcpStream, last: u32, why: Reason) {
    const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    const GO_AWAY: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];
    stream.write_all(&SETTINGS).await.unwrap();
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return;
        }
        let [a, b, c, kind, ..] = head;
        let mut rest = vec![0; usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)];
        stream.read_exact(&mut rest).await.unwrap();
        if kind == 1 {
            break;
        }
    }
    let [last, why] = [last, u32::from(why)].map(u32::to_be_bytes);
    let frame = [GO_AWAY.as_slice(), &last, &why].concat();
    stream.write_all(&frame).await.unwrap();
    // What was begun with is broken off, what was not is told to go elsewhere.
    if why != [0; 4] {
        return;
    }
    // Reading on lets the other end close first, so that nothing it has sent resets the connection.
    while stream.read(&mut preface).await.is_ok_and(|read| read > 0) {}
}

async fn serve<S>(stream: S, state: Arc<State>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut answering = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let state = Arc::clone(&state);
        answering.spawn(async move {
            state.open.fetch_add(1, Ordering::SeqCst);
            let _open = Open(Arc::clone(&state));
            answer(request, respond, &state).await;
        });
    }
}

struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn answer(request: Request<RecvStream>, mut respond: SendResponse<Bytes>, state: &State) {
    let (head, body) = request.into_parts();
    let before = {
        let mut heads = state.heads.lock().unwrap();
        heads.push(Head {
            method: head.method.to_string(),
            uri: head.uri.to_string(),
            headers: head.headers,
        });
        heads.len() - 1
    };
    match head.uri.path() {
        "/hang" => gone(&mut respond).await,
        "/still" => {
            let mut up = respond.send_response(Response::new(()), false).unwrap();
            std::future::poll_fn(|cx| up.poll_reset(cx)).await.ok();
        }
        "/ticks" => tick(respond.send_response(Response::new(()), false).unwrap()).await,
        "/echo" => {
            let up = respond.send_response(Response::new(()), false).unwrap();
            echo(body, up).await;
        }
        "/late-echo" => late_echo(body, respond).await,
        "/refuse" => respond.send_reset(Reason::REFUSED_STREAM),
        "/refuse-once" if before == 0 => respond.send_reset(Reason::REFUSED_STREAM),
        "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
        "/text" => {
            let mut up = text(&mut respond).await;
            up.send_data(Bytes::new(), true).unwrap();
        }
        "/noted-text" => {
            let mut up = text(&mut respond).await;
            up.send_trailers(trailers()).unwrap();
        }
        "/head-only" => {
            respond.send_response(text_head(), true).unwrap();
        }
        "/sum" => {
            let bytes = sum(body).await;
            done(respond, format!("{bytes}").into());
        }
        _ => {
            sum(body).await;
            done(respond, Bytes::from_static(b"ok"));
        }
    }
}

/// Begins an answer with [`TEXT`], without a length.
async fn text(respond: &mut SendResponse<Bytes>) -> SendStream<Bytes> {
    let mut up = respond.send_response(text_head(), false).unwrap();
    send(&mut up, Bytes::from_static(TEXT)).await.unwrap();
    up
}

fn text_head() -> Response<()> {
    let head = Response::builder().header("content-type", "text/plain");
    head.body(()).unwrap()
}

async fn gone(respond: &mut SendResponse<Bytes>) {
    std::future::poll_fn(|cx| respond.poll_reset(cx)).await.ok();
}

/// Answers with a body, and trailers of which only some are anybody's business.
fn done(mut respond: SendResponse<Bytes>, body: Bytes) {
    let mut up = respond.send_response(Response::new(()), false).unwrap();
    up.send_data(body, false).unwrap();
    up.send_trailers(trailers()).unwrap();
}

fn trailers() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("set-cookie", "a=b".parse().unwrap());
    trailers.insert("location", "https://evil.test/".parse().unwrap());
    trailers
}

async fn tick(mut up: SendStream<Bytes>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        ticks.tick().await;
        if send(&mut up, Bytes::from_static(b"tick\n")).await.is_err() {
            return;
        }
    }
}

async fn late_echo(mut body: RecvStream, mut respond: SendResponse<Bytes>) {
    let Some(Ok(first)) = body.data().await else {
        return;
    };
    let mut up = respond.send_response(Response::new(()), false).unwrap();
    body.flow_control().release_capacity(first.len()).unwrap();
    if send(&mut up, first).await.is_ok() {
        echo(body, up).await;
    }
}

/// Takes a piece only when the one before it has been sent back.
async fn echo(mut body: RecvStream, mut up: SendStream<Bytes>) {
    while let Some(Ok(piece)) = body.data().await {
        let length = piece.len();
        if send(&mut up, piece).await.is_err() {
            return;
        }
        body.flow_control().release_capacity(length).unwrap();
    }
    up.send_trailers(trailers()).ok();
}

async fn send(up: &mut SendStream<Bytes>, mut piece: Bytes) -> Result<(), h2::Error> {
    while !piece.is_empty() {
        up.reserve_capacity(piece.len());
        let room = std::future::poll_fn(|cx| up.poll_capacity(cx)).await;
        let Some(room) = room.transpose()? else {
            return Err(Reason::CANCEL.into());
        };
        up.send_data(piece.split_to(room.min(piece.len())), false)?;
    }
    Ok(())
}

async fn sum(mut body: RecvStream) -> usize {
    let mut bytes = 0;
    while let Some(Ok(piece)) = body.data().await {
        bytes += piece.len();
        body.flow_control().release_capacity(piece.len()).unwrap();
    }
    bytes
}

/// What `/text` says.
pub(crate) const TEXT: &[u8] = b"all that there is to say";

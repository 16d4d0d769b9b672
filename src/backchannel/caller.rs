//! One connection that somebody made to this node: its first byte, TLS, HTTP/2, and its end.
//!
//! Every wait has a bound. Who the caller is becomes clear here (by its certificate) or at the desk (by a
//! password); what it asks is the desk's.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::backchannel::desk::Desk;
use crate::backchannel::server::Place;
use crate::backchannel::server::Server;
use crate::backchannel::standing::Standing;
use crate::backchannel::wire::Code;
use crate::crypto::peer_tls;

/// Serves a connection to its end.
pub(super) async fn run(
    desk: Arc<Desk>,
    stream: TcpStream,
    address: SocketAddr,
    mut place: Place,
    shutdown: watch::Receiver<bool>,
) {
    let server = Arc::clone(desk.server());
    let limit = server.limits.proof_timeout;
    let begun = tokio::time::timeout(limit, begin(&server, stream, address)).await;
    let Ok(Some(begun)) = begun else { return };
    match begun {
        Begun::Plain(stream) => {
            let standing = Arc::new(Standing::plain(&server));
            let served = Served {
                desk,
                standing,
                address,
                shutdown,
            };
            served.serve(stream, &mut place).await;
        }
        Begun::Tls(stream) => {
            let standing = Arc::new(by_certificate(&server, &stream));
            let served = Served {
                desk,
                standing,
                address,
                shutdown,
            };
            served.serve(stream, &mut place).await;
        }
    }
}

enum Begun {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Tells TLS from plain HTTP/2 by the first byte, so that a mode that differs is a clear word at both ends
/// (MDC-SEC-4).
async fn begin(server: &Server, stream: TcpStream, address: SocketAddr) -> Option<Begun> {
    let mut first = [0];
    stream.peek(&mut first).await.ok()?;
    match (first, server.trust.server()) {
        ([TLS_HANDSHAKE], Some(config)) => {
            let accepted = TlsAcceptor::from(config).accept(stream).into_fallible();
            match accepted.await {
                Ok(stream) => Some(Begun::Tls(Box::new(stream))),
                Err((error, stream)) => {
                    let why = format!("no TLS with it: {error}");
                    complain(server, address, None, &why);
                    linger(stream).await;
                    None
                }
            }
        }
        ([TLS_HANDSHAKE], None) => {
            let why = "it speaks TLS, and nobody here is configured to";
            complain(server, address, Some(Code::ModeMismatch), why);
            let mut stream = stream;
            stream.write_all(&TLS_NOT_HERE).await.ok();
            linger(stream).await;
            None
        }
        ([HTTP2_PREFACE], _) => Some(Begun::Plain(stream)),
        _ => {
            complain(
                server,
                address,
                Some(Code::Malformed),
                "it speaks neither TLS nor HTTP/2",
            );
            None
        }
    }
}

/// Lets the last words of this end arrive: closing over unread bytes would take them back.
async fn linger(mut stream: TcpStream) {
    stream.shutdown().await.ok();
    let mut rest = [0; 1024];
    let drained = async {
        let mut left = LINGER_BYTES_MAX;
        while let Ok(read @ 1..) = stream.read(&mut rest).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    tokio::time::timeout(LINGER_MAX, drained).await.ok();
}

/// Who a verified certificate names, and whether this node knows it.
fn by_certificate(server: &Server, stream: &TlsStream<TcpStream>) -> Standing {
    let (_, session) = stream.get_ref();
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    match leaf.map(peer_tls::proven) {
        Some(Ok(proven)) => Standing::certified(server, proven),
        // Verified already; this is here so that nothing else can come of it.
        Some(Err(_)) | None => Standing::turned(Code::NotProven, "it has no certificate"),
    }
}

/// A connection that is served.
struct Served {
    desk: Arc<Desk>,
    standing: Arc<Standing>,
    address: SocketAddr,
    shutdown: watch::Receiver<bool>,
}

impl Served {
    async fn serve<S>(mut self, stream: S, place: &mut Place)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limits = self.desk.server().limits;
        let (desk, standing, address) = (&self.desk, &self.standing, self.address.ip());
        let (desk, caller) = (Arc::clone(desk), Arc::clone(standing));
        let service = service_fn(move |request| {
            let (desk, caller) = (Arc::clone(&desk), Arc::clone(&caller));
            async move { desk.receive(&caller, address, request).await }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.keep_alive_interval)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .max_concurrent_streams(STREAMS_MAX)
            .max_pending_accept_reset_streams(RESETS_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            // A broken connection is told of by whoever had a question under way.
            _ = connection.as_mut() => return,
            ended = self.end(place) => ended,
        };
        if let Ended::Cut = ended {
            return;
        }
        connection.as_mut().graceful_shutdown();
        tokio::time::timeout(FINISH_MAX, connection).await.ok();
    }

    /// Waits until the connection is to end, and says how.
    async fn end(&mut self, place: &mut Place) -> Ended {
        let server = Arc::clone(self.desk.server());
        let limits = server.limits;
        let mut trust = server.trust.watch();
        tokio::select! {
            proven = self.standing.settled() => {
                if proven.is_err() {
                    // Turned away: one word for the caller, then it is over.
                    tokio::time::sleep(LINGER_MAX).await;
                    return Ended::Finish;
                }
            }
            () = tokio::time::sleep(limits.proof_timeout) => {
                complain(&server, self.address, Some(Code::TooSlow), "it has not said who it is");
                return Ended::Cut;
            }
        }
        place.proven();
        let Some(_connection) = self.standing.take_connection() else {
            complain(
                &server,
                self.address,
                Some(Code::Busy),
                "it has too many connections",
            );
            return Ended::Finish;
        };
        tokio::select! {
            () = tokio::time::sleep(limits.connection_age_max) => {}
            () = self.standing.idle(limits.idle_timeout) => {}
            () = self.standing.to_be_closed() => {}
            // Whoever is no longer believed loses its connection too; the others make a new one.
            _ = trust.changed() => {}
            _ = self.shutdown.wait_for(|stop| *stop) => {}
        }
        Ended::Finish
    }
}

enum Ended {
    /// At once.
    Cut,
    /// After the questions under way.
    Finish,
}

fn complain(server: &Server, address: SocketAddr, code: Option<Code>, why: &str) {
    let now = server.clock.now();
    server.complaints.tell(address.ip(), code, why, now);
}

/// First bytes of a TLS handshake and of HTTP/2 (RFC 9113 §3.4).
const TLS_HANDSHAKE: u8 = 0x16;
const HTTP2_PREFACE: u8 = b'P';
/// A fatal alert, insufficient_security (RFC 8446 §6): the one word of TLS that a plain listener knows.
const TLS_NOT_HERE: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 71];
const LINGER_MAX: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 64 << 10;
const FINISH_MAX: Duration = Duration::from_secs(5);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const STREAMS_MAX: u32 = 256;
/// Questions that callers gave up before this end looked at them; after a stall there are many.
const RESETS_MAX: usize = 512;
const HEADER_BYTES_MAX: u32 = 8 << 10;
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 4 << 20;

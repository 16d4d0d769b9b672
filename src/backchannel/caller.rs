//! One connection that somebody made to this node: its first byte, TLS, HTTP/2, and its end.
//!
//! Every wait has a bound. Who the caller is becomes clear here (by its certificate) or at the desk (by a
//! password); what it asks is the desk's.

use std::net::SocketAddr;
use std::pin::Pin;
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
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::backchannel::answers::STREAM_BUFFER;
use crate::backchannel::desk::Desk;
use crate::backchannel::places::Place;
use crate::backchannel::server::Server;
use crate::backchannel::standing::Standing;
use crate::backchannel::wire::Code;
use crate::crypto::peer_tls;

/// Serves a connection to its end.
pub(super) async fn run(
    desk: Arc<Desk>,
    stream: TcpStream,
    address: SocketAddr,
    place: Place,
    shutdown: watch::Receiver<bool>,
) {
    let server = Arc::clone(desk.server());
    // From before the handshake on: it may last, and be over with trust that was withdrawn meanwhile.
    let trust = server.trust.watch();
    let mut proof_due = Box::pin(tokio::time::sleep(server.limits.proof_timeout));
    let begun = tokio::select! {
        begun = begin(&server, stream, address) => begun,
        () = proof_due.as_mut() => return,
        () = place.evicted() => return,
    };
    let Some(begun) = begun else { return };
    let served = |standing| Served {
        desk,
        standing: Arc::new(standing),
        address,
        place,
        proof_due,
        trust,
        shutdown,
    };
    match begun {
        Begun::Plain(stream) => served(Standing::plain(&server)).serve(stream).await,
        Begun::Tls(stream) => {
            let standing = by_certificate(&server, &stream);
            served(standing).serve(stream).await;
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
    place: Place,
    /// By then the caller must have proven who it is, or be gone.
    proof_due: Pin<Box<Sleep>>,
    trust: watch::Receiver<u64>,
    shutdown: watch::Receiver<bool>,
}

impl Served {
    async fn serve<S>(mut self, stream: S)
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
            .max_send_buf_size(STREAM_BUFFER)
            .max_header_list_size(HEADER_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let ended = tokio::select! {
            // A broken connection is told of by whoever had a question under way.
            _ = connection.as_mut() => return,
            ended = self.end() => ended,
        };
        match ended {
            Ended::Cut => {}
            Ended::Farewell => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    _ = tokio::time::timeout(LINGER_MAX, connection) => {}
                    () = self.proof_due.as_mut() => {}
                    () = self.place.evicted() => {}
                }
            }
            // Its connection counts until it is closed.
            Ended::Finish(_counted) => {
                connection.as_mut().graceful_shutdown();
                tokio::time::timeout(FINISH_MAX, connection).await.ok();
            }
        }
    }

    /// Waits until the connection is to end, and says how.
    async fn end(&mut self) -> Ended {
        let limits = self.desk.server().limits;
        let settled = tokio::select! {
            settled = self.standing.settled() => settled,
            () = self.place.evicted() => return Ended::Cut,
            () = self.proof_due.as_mut() => {
                self.complain(Code::TooSlow, "it has not said who it is");
                return Ended::Cut;
            }
        };
        if settled.is_err() {
            return self.turned_away().await;
        }
        // Verified by what is believed no more.
        if self.trust.has_changed().unwrap_or(true) {
            return Ended::Cut;
        }
        self.place.proven();
        let Some(counted) = self.standing.take_connection() else {
            return Ended::Cut;
        };
        let is_overdue = tokio::select! {
            () = tokio::time::sleep(limits.connection_age_max) => false,
            () = self.standing.idle(limits.idle_timeout) => false,
            () = self.standing.to_be_closed() => false,
            () = self.standing.answers().overdue(limits.answer_timeout) => true,
            // Whoever is no longer believed loses its connection too; the others make a new one.
            _ = self.trust.changed() => false,
            _ = self.shutdown.wait_for(|stop| *stop) => false,
        };
        if is_overdue {
            self.complain(Code::TooSlow, "it does not take its answers");
            return Ended::Cut;
        }
        Ended::Finish(counted)
    }

    /// One word for the caller, if it asks at all, then it is over.
    async fn turned_away(&mut self) -> Ended {
        tokio::select! {
            () = self.standing.answers().farewell() => Ended::Farewell,
            () = self.place.evicted() => Ended::Cut,
            () = self.proof_due.as_mut() => Ended::Cut,
        }
    }

    fn complain(&self, code: Code, why: &str) {
        complain(self.desk.server(), self.address, Some(code), why);
    }
}

enum Ended {
    /// At once.
    Cut,
    /// After the answer that turned the caller away.
    Farewell,
    /// After the questions under way.
    Finish(OwnedSemaphorePermit),
}

fn complain(server: &Server, address: SocketAddr, code: Option<Code>, why: &str) {
    server
        .complaints
        .tell(address.ip(), code, why, server.clock.now());
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

//! The edge loop: accepts connections, ends the TLS handshake, and runs every request of a connection
//! against its deadlines and cuts.
//!
//! pingora's own services cannot bound a header as a whole, count connections by address, or drop a
//! single HTTP/2 stream from outside; wrapping its `HttpServerApp` here can. What a request says is read
//! in `inbound`.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::apps::HttpServerApp;
use pingora::apps::HttpServerOptions;
use pingora::apps::ReusedHttpStream;
use pingora::apps::ServerApp;
use pingora::protocols::ALPN;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::H2Options;
use pingora::protocols::l4::listener::Listener as RawListener;
use pingora::protocols::l4::stream::Stream as RawStream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora_runtime::current_handle;
use tokio::net::TcpListener;
use tokio::time::Sleep;

use crate::logbook::access::Decision;
use crate::model::name::ListenerName;
use crate::model::network::Network;
use crate::proxy::access;
use crate::proxy::connections::Connections;
use crate::proxy::context::CURRENT;
use crate::proxy::context::ConnectionFacts;
use crate::proxy::context::Current;
use crate::proxy::context::Transport;
use crate::proxy::handshake::secure;
use crate::proxy::line::Observed;
use crate::proxy::linger::linger;
use crate::proxy::live::Live;
use crate::proxy::service::Portway;
use crate::proxy::terms::ConnectionTerms;
use crate::proxy::tls::Terminator;
use crate::proxy::watch::Expired;
use crate::proxy::watch::RequestWatch;
use crate::telemetry::complaints::Complaints;

/// A listener that has been bound and is about to accept.
pub struct Bound {
    /// Its name in the configuration.
    pub name: ListenerName,
    /// The socket, listening.
    pub socket: std::net::TcpListener,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bound")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// Accepts connections on all listeners and runs them.
pub struct Edge {
    proxy: Arc<HttpProxy<Portway>>,
    live: Arc<Live>,
    connections: Arc<Connections>,
    complaints: Complaints,
}

impl Edge {
    /// Puts the edge together.
    #[must_use]
    pub fn new(proxy: Arc<HttpProxy<Portway>>, live: Arc<Live>) -> Self {
        Self {
            proxy,
            live,
            connections: Arc::default(),
            complaints: Complaints::default(),
        }
    }

    /// How many connections are open.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.open()
    }

    /// Accepts on a listener until the shutdown begins.
    ///
    /// # Errors
    /// When the socket cannot be used by the runtime.
    pub async fn accept(
        self: Arc<Self>,
        bound: Bound,
        mut shutdown: ShutdownWatch,
    ) -> std::io::Result<()> {
        bound.socket.set_nonblocking(true)?;
        let listener: RawListener = TcpListener::from_std(bound.socket)?.into();
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            };
            match accepted {
                Ok(stream) => self.begin(stream, &bound.name, &shutdown),
                Err(error) => {
                    tracing::warn!(listener = %bound.name, %error, "a connection was not accepted");
                    // Out of descriptors, most likely: trying again at once would only spin.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Closes idle connections, waits for running requests within the drain time-out, and answers how many
    /// connections were still open then.
    pub async fn drain(&self) -> usize {
        self.proxy.http_cleanup().await;
        let all_closed = self.connections.all_closed();
        let limit = self.live.look().limits.drain_timeout;
        tokio::time::timeout(limit, all_closed).await.ok();
        self.connections.open()
    }

    fn begin(
        self: &Arc<Self>,
        stream: RawStream,
        listener: &ListenerName,
        shutdown: &ShutdownWatch,
    ) {
        let Some((peer, local)) = addresses(&stream) else {
            return;
        };
        let serving = self.live.look();
        let Some(place) = self.connections.admit(peer.ip(), &serving) else {
            serving.counts.note_too_many();
            let why = "too many connections";
            let (network, now) = (Network::of(peer.ip()), serving.clock.now());
            if let Some(kept_back) = self.complaints.note(network, why, now) {
                tracing::warn!(client = %peer.ip(), kept_back, "too many connections; one was closed");
            }
            return;
        };
        let open = serving.counts.note_connection();
        let tls = serving.tls.get(listener).map(Arc::clone);
        let transport = if tls.is_some() {
            Transport::Tls
        } else {
            Transport::Plain
        };
        let terms = Arc::clone(&serving.connection);
        let facts = ConnectionFacts {
            listener: listener.clone(),
            transport,
            tls: None,
            greeting: None,
            peer,
            local,
            line: Arc::default(),
            memory: Arc::default(),
        };
        let (edge, shutdown) = (Arc::clone(self), shutdown.clone());
        // The threads of the edge share no tasks: each connection stays on the one that it is given here.
        current_handle().spawn(async move {
            let _place = (place, open);
            edge.run(stream, tls, (facts, terms), &shutdown).await;
        });
    }

    async fn run(
        &self,
        mut stream: RawStream,
        tls: Option<Arc<Terminator>>,
        (mut facts, terms): (ConnectionFacts, Arc<ConnectionTerms>),
        shutdown: &ShutdownWatch,
    ) {
        let limits = &terms.limits;
        if stream.set_nodelay().is_err() {
            return;
        }
        let stream: Stream = match tls {
            None => Box::new(stream),
            Some(terminator) => {
                let served = (self.live.take(), &facts.listener);
                let handshake = secure(stream, &terminator, served);
                match tokio::time::timeout(limits.handshake_timeout, handshake).await {
                    Ok(Ok(secured)) => {
                        facts.tls = secured.facts;
                        facts.greeting = secured.greeting;
                        self.live.look().counts.note_handshake();
                        Box::new(secured.stream)
                    }
                    failed => {
                        let error = failed.ok().and_then(Result::err);
                        tracing::debug!(client = %facts.peer.ip(), ?error, "no TLS handshake");
                        access::is_unread(&self.live.look(), &facts, Decision::HandshakeFailed);
                        return;
                    }
                }
            }
        };
        let is_h2 = stream.selected_alpn_proto() == Some(ALPN::H2);
        let (stream, mut back) = if is_h2 {
            Observed::without_lines(stream)
        } else {
            Observed::new(stream, Arc::clone(&facts.line))
        };
        let connection = Arc::new(Connection {
            proxy: Arc::clone(&self.proxy),
            live: Arc::clone(&self.live),
            facts: Arc::new(facts),
            terms: Arc::clone(&terms),
            served: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
            timer: Mutex::default(),
        });
        let running = ServerApp::process_new(&connection, Box::new(stream), shutdown);
        if is_h2 {
            connection.or_is_unused(running).await;
        } else {
            running.await;
        }
        if !connection.given_up.load(Ordering::Relaxed)
            && let Ok(stream) = back.try_recv()
        {
            linger(stream).await;
        }
    }
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Edge")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// One connection and the requests that come by it.
struct Connection {
    proxy: Arc<HttpProxy<Portway>>,
    live: Arc<Live>,
    facts: Arc<ConnectionFacts>,
    terms: Arc<ConnectionTerms>,
    /// Whether a request has come by it already, so that the next may be waited for.
    served: AtomicBool,
    /// Whether the last request of HTTP/1.1 was dropped: its client gets no time. Over HTTP/2 there may be
    /// answers of other requests that the client has not read.
    given_up: AtomicBool,
    /// The timer of a request before, for the next one: deadlines mostly move back, and a timer that
    /// stands before them costs nothing until it fires.
    timer: Mutex<Timer>,
}

impl Connection {
    /// Runs a connection of HTTP/2, unless it sends no request within the time for a header: it would be
    /// seen by no request's deadline.
    async fn or_is_unused<R>(&self, mut running: R)
    where
        R: Future<Output = Option<Stream>> + Unpin,
    {
        let first = tokio::time::timeout(self.terms.limits.header_timeout, &mut running);
        if first.await.is_err() && self.served.load(Ordering::Relaxed) {
            running.await;
        }
    }
}

#[async_trait]
impl HttpServerApp for Connection {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        self.facts.line.expect();
        let is_first = !self.served.swap(true, Ordering::Relaxed);
        let is_alone = !session.is_http2();
        let limits = &self.terms.limits;
        let pause = (is_alone && !is_first).then_some(limits.keep_alive_timeout);
        let line = Arc::clone(&self.facts.line);
        let watch = Arc::new(RequestWatch::new(pause, limits.header_timeout, line));
        let current = Current {
            connection: Arc::clone(&self.facts),
            watch: Arc::clone(&watch),
        };
        let request = CURRENT.scope(current, self.proxy.process_new_http(session, shutdown));
        let mut timer = std::mem::take(&mut *self.timer.lock());
        let done = race(pin!(request), &watch, &mut timer).await;
        *self.timer.lock() = timer;
        if is_alone {
            // One that never began is no request: its client may be sending it just now.
            let given_up = done.is_err() && self.facts.line.has_begun();
            self.given_up.store(given_up, Ordering::Relaxed);
        }
        if watch.since_head().is_none() && self.facts.line.has_begun() {
            let decision = match done {
                Ok(_) => Decision::Malformed,
                Err(GivenUp) => Decision::HeaderLate,
            };
            access::is_unread(&self.live.look(), &self.facts, decision);
        }
        done.unwrap_or_default()
    }

    fn h2_options(&self) -> Option<H2Options> {
        Some(self.terms.h2.clone())
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        Some(&self.terms.server)
    }
}

/// Runs a request until it is done, cut, or late; the last two drop it, which closes an HTTP/1.1
/// connection and resets an HTTP/2 stream.
async fn race<F>(
    mut request: Pin<&mut F>,
    watch: &RequestWatch,
    timer: &mut Timer,
) -> Result<Option<ReusedHttpStream>, GivenUp>
where
    F: Future<Output = Option<ReusedHttpStream>>,
{
    std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(done) = request.as_mut().poll(cx) {
                return Poll::Ready(Ok(done));
            }
            if watch.poll_cut(cx) {
                return Poll::Ready(Err(GivenUp));
            }
            match poll_deadline(watch, timer, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Expired::Drop) => return Poll::Ready(Err(GivenUp)),
                Poll::Ready(Expired::PollAgain | Expired::Wait) => {}
            }
        }
    })
    .await
}

/// A request that was dropped before it was done.
struct GivenUp;

/// A timer, once one was needed.
#[derive(Default)]
struct Timer(Option<Pin<Box<Sleep>>>);

/// Keeps one timer at or before the deadline: a deadline that moves back leaves it alone until it fires.
fn poll_deadline(watch: &RequestWatch, timer: &mut Timer, cx: &mut Context<'_>) -> Poll<Expired> {
    loop {
        let Some(due) = watch.due() else {
            return Poll::Pending;
        };
        let sleep = timer
            .0
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        if sleep.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        if sleep.deadline() >= due {
            return Poll::Ready(watch.expire());
        }
        sleep.as_mut().reset(due);
    }
}

fn addresses(stream: &RawStream) -> Option<(SocketAddr, SocketAddr)> {
    use pingora::protocols::GetSocketDigest;

    let digest = stream.get_socket_digest()?;
    let peer = *digest.peer_addr()?.as_inet()?;
    let local = *digest.local_addr()?.as_inet()?;
    Some((peer, local))
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

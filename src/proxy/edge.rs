//! The edge loop: accepts connections, opens them and hands each to a `Connection`.
//!
//! pingora's own services cannot bound a header as a whole, count connections by address, or drop a
//! single HTTP/2 stream from outside; wrapping its `HttpServerApp` can. What a request says is read
//! in `inbound`.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use pingora::protocols::GetSocketDigest;
use pingora::protocols::l4::listener::Listener as RawListener;
use pingora::protocols::l4::stream::Stream as RawStream;
use pingora::proxy::HttpProxy;
use pingora::server::ShutdownWatch;
use pingora_runtime::current_handle;
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio::time::sleep;
use tokio::time::timeout;

use crate::config::Announcers;
use crate::config::Bind;
use crate::config::Http2;
use crate::decision::forwarded::is_trusted;
use crate::decision::proxy_header::Announcement;
use crate::logbook::access::Decision;
use crate::proxy::access;
use crate::proxy::connection::Connection;
use crate::proxy::connections::Connections;
use crate::proxy::connections::Place;
use crate::proxy::context::ConnectionFacts;
use crate::proxy::context::Transport;
use crate::proxy::counts::OpenConnection;
use crate::proxy::listening::Bound;
use crate::proxy::listening::Entrance;
use crate::proxy::listening::ListenerRuntime;
use crate::proxy::live::Live;
use crate::proxy::opening::Opened;
use crate::proxy::opening::announcement;
use crate::proxy::opening::begins_with_http2;
use crate::proxy::opening::secured;
use crate::proxy::service::Portway;
use crate::proxy::serving::Serving;
use crate::proxy::terms::ConnectionTerms;
use crate::telemetry::complaints::Complaints;

/// Accepts connections on all listeners and runs them.
pub struct Edge {
    pub(super) proxy: Arc<HttpProxy<Portway>>,
    pub(super) live: Arc<Live>,
    pub(super) connections: Arc<Connections>,
    complaints: Complaints,
}

/// A connection that has been accepted.
struct Accepted {
    listener: Arc<ListenerRuntime>,
    facts: ConnectionFacts,
    terms: Arc<ConnectionTerms>,
    place: Place,
    open: OpenConnection,
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

    /// Accepts on a listener until the shutdown begins or the listener is closed. Who has connected by then is
    /// served; connections end with the answer that they are on.
    pub async fn accept(self: Arc<Self>, mut bound: Bound, mut shutdown: ShutdownWatch) {
        let Some(listener) = acceptor(&mut bound, &mut shutdown).await else {
            return;
        };
        let leaving = Arc::new(watch::Sender::new(false));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = shutdown.wait_for(|stop| *stop) => break,
                _ = bound.closing.wait_for(|close| *close) => break,
            };
            self.take(accepted, &bound.entrance, &leaving).await;
        }
        if !(bound.is_passed && *shutdown.borrow()) {
            self.take_the_waiting(&listener, &bound.entrance, &leaving)
                .await;
        }
        leaving.send_replace(true);
    }

    /// Takes the connections that the system has made already: closing the socket would reset them.
    async fn take_the_waiting(
        self: &Arc<Self>,
        listener: &RawListener,
        entrance: &Arc<Entrance>,
        leaving: &Arc<watch::Sender<bool>>,
    ) {
        let waiting = async {
            loop {
                self.take(listener.accept().await, entrance, leaving).await;
            }
        };
        timeout(LAST_LOOK, waiting).await.ok();
    }

    async fn take(
        self: &Arc<Self>,
        accepted: std::io::Result<RawStream>,
        entrance: &Arc<Entrance>,
        leaving: &Arc<watch::Sender<bool>>,
    ) {
        match accepted {
            Ok(stream) => self.begin(stream, entrance, leaving),
            Err(error) => {
                let listener = &entrance.listener;
                tracing::warn!(%listener, %error, "a connection was not accepted");
                // Out of descriptors, most likely: trying again at once would only spin.
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    fn begin(
        self: &Arc<Self>,
        stream: RawStream,
        entrance: &Arc<Entrance>,
        leaving: &Arc<watch::Sender<bool>>,
    ) {
        let serving = self.live.look();
        // Whether it speaks TLS is known of listeners that are served, and of no others.
        let Some(listener) = serving.listener_at(entrance).map(Arc::clone) else {
            return;
        };
        let Some(ends) = Ends::of(&stream, &listener) else {
            return;
        };
        let sender = ends.address();
        if !may_announce(sender, &listener) {
            self.complain(
                &serving,
                sender,
                "a sender may not announce clients; closed",
            );
            return;
        }
        // Who passes on the connections of others has as many as these.
        let counted = sender.filter(|_| listener.announcers.is_none());
        let Some(place) = self.connections.admit(counted, &serving) else {
            self.turn_away(&serving, sender);
            return;
        };
        let facts = ConnectionFacts {
            entrance: Arc::clone(entrance),
            transport: listener.transport(),
            tls: None,
            greeting: None,
            peer: ends.peer,
            local: ends.local,
            line: Arc::default(),
            memory: Arc::default(),
            is_stalled: Arc::default(),
            resets: Arc::default(),
        };
        let accepted = Accepted {
            listener,
            facts,
            terms: Arc::clone(&serving.connection),
            place,
            open: serving.counts.note_connection(),
        };
        let (edge, leaving) = (Arc::clone(self), Arc::clone(leaving));
        // The threads of the edge share no tasks: each connection stays on the one that it is given here.
        current_handle().spawn(async move {
            edge.run(stream, accepted, &leaving.subscribe()).await;
        });
    }

    async fn run(&self, stream: RawStream, mut accepted: Accepted, shutdown: &ShutdownWatch) {
        let Some(opened) = self.open(stream, &mut accepted).await else {
            return;
        };
        let Accepted {
            facts,
            terms,
            place,
            open,
            ..
        } = accepted;
        let connection = Connection::new(&self.proxy, &self.live, facts, &terms);
        connection.run(opened, shutdown).await;
        drop((place, open));
    }

    /// Ends what comes before the first request.
    async fn open(&self, mut stream: RawStream, accepted: &mut Accepted) -> Option<Opened> {
        stream.set_nodelay().ok()?;
        let mut late = pin!(sleep(accepted.terms.limits.handshake_timeout));
        if accepted.listener.announcers.is_some() {
            let announced = within(&mut late, announcement(&mut stream)).await;
            let Some(Ok(announcement)) = announced else {
                let sender = Some(accepted.facts.peer.ip());
                let why = "a connection was not announced; closed";
                self.complain(&self.live.look(), sender, why);
                return None;
            };
            self.admit(announcement, accepted)?;
        }
        self.agree(stream, accepted, late).await
    }

    /// Notes whose connection it is, and counts it as one of theirs; none where they have too many.
    fn admit(&self, announcement: Announcement, accepted: &mut Accepted) -> Option<()> {
        let Announcement::Client { from, to } = announcement else {
            return Some(());
        };
        let facts = &mut accepted.facts;
        (facts.peer, facts.local) = (from, to);
        let serving = self.live.look();
        let is_admitted = accepted.place.count_for(from.ip(), &serving);
        if !is_admitted {
            self.turn_away(&serving, Some(from.ip()));
        }
        is_admitted.then_some(())
    }

    /// Agrees on TLS and on the protocol.
    async fn agree(
        &self,
        mut stream: RawStream,
        accepted: &mut Accepted,
        mut late: Pin<&mut Sleep>,
    ) -> Option<Opened> {
        let facts = &mut accepted.facts;
        let Some(terminator) = &accepted.listener.tls else {
            let is_http2 = match accepted.listener.h2c {
                Http2::Off => false,
                Http2::Offered => {
                    let limit = accepted.terms.limits.header_timeout;
                    let began = timeout(limit, begins_with_http2(&mut stream)).await;
                    began.ok()?.ok()?
                }
            };
            let stream = Box::new(stream);
            return Some(Opened { stream, is_http2 });
        };
        // Much larger than what the connection needs later.
        let secured = Box::pin(secured(stream, terminator, self.live.take(), facts));
        match within(&mut late, secured).await {
            Some(Ok(opened)) => {
                self.live.look().counts.note_handshake();
                Some(opened)
            }
            failed => {
                let error = failed.and_then(Result::err);
                tracing::debug!(client = %facts.peer.ip(), ?error, "no TLS handshake");
                access::is_unread(&self.live.look(), facts, Decision::HandshakeFailed);
                None
            }
        }
    }

    fn turn_away(&self, serving: &Serving, client: Option<IpAddr>) {
        serving.counts.note_too_many();
        self.complain(serving, client, "too many connections; one was closed");
    }

    fn complain(&self, serving: &Serving, client: Option<IpAddr>, why: &str) {
        let client = client.unwrap_or(THIS_MACHINE);
        if let Some(kept_back) = self.complaints.note(client, why, serving.clock.now()) {
            tracing::warn!(%client, kept_back, "{why}");
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

/// Both ends of a connection, as requests are told of them.
struct Ends {
    peer: SocketAddr,
    local: SocketAddr,
    is_unix: bool,
}

impl Ends {
    /// Those of a connection over the file system are this machine's, at the usual port.
    fn of(stream: &RawStream, listener: &ListenerRuntime) -> Option<Self> {
        if matches!(listener.bind, Bind::Tcp(_)) {
            let digest = stream.get_socket_digest()?;
            return Some(Self {
                peer: *digest.peer_addr()?.as_inet()?,
                local: *digest.local_addr()?.as_inet()?,
                is_unix: false,
            });
        }
        let port = match listener.transport() {
            Transport::Plain => 80,
            Transport::Tls => 443,
        };
        Some(Self {
            peer: SocketAddr::new(THIS_MACHINE, 0),
            local: SocketAddr::new(THIS_MACHINE, port),
            is_unix: true,
        })
    }

    /// The address that connections are counted by; over the file system there is none.
    fn address(&self) -> Option<IpAddr> {
        (!self.is_unix).then(|| self.peer.ip())
    }
}

/// What accepts at a socket: as soon as the system has a descriptor for it. None where it is not wanted any more.
async fn acceptor(bound: &mut Bound, shutdown: &mut ShutdownWatch) -> Option<RawListener> {
    loop {
        let error = match bound.socket.acceptor() {
            Ok(listener) => return Some(listener),
            Err(error) => error,
        };
        let listener = &bound.entrance.listener;
        tracing::error!(%listener, %error, "the listener cannot be used; trying again");
        tokio::select! {
            () = sleep(ACCEPTOR_PAUSE) => {}
            _ = shutdown.wait_for(|stop| *stop) => return None,
            _ = bound.closing.wait_for(|close| *close) => return None,
        }
    }
}

fn may_announce(sender: Option<IpAddr>, listener: &ListenerRuntime) -> bool {
    match (&listener.announcers, sender) {
        (None | Some(Announcers::Anybody), _) => true,
        (Some(Announcers::At(networks)), Some(sender)) => is_trusted(sender, networks),
        (Some(Announcers::At(_)), None) => false,
    }
}

/// What something comes to, unless it is late.
async fn within<T>(late: &mut Pin<&mut Sleep>, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = late => None,
    }
}

const THIS_MACHINE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const ACCEPTOR_PAUSE: Duration = Duration::from_secs(1);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a listener that closes still takes connections.
const LAST_LOOK: Duration = Duration::from_millis(20);

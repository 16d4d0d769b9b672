//! The answering end: who may call, what a caller may take, and the listener (R12).
//!
//! Places of connections are counted in `places`. What happens on a connection is `caller`'s, what happens
//! to a question `desk`'s.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::backchannel::caller;
use crate::backchannel::complaints::Complaints;
use crate::backchannel::desk::Desk;
use crate::backchannel::desk::Services;
use crate::backchannel::places::Places;
use crate::backchannel::status::Served;
use crate::backchannel::trust::Trust;
use crate::crypto::pki::node_name::NodeName;
use crate::model::secret::Secret;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;

/// Answers the engines of other data centres, and gates without an engine.
pub struct Server {
    pub(super) own: NodeName,
    pub(super) trust: Arc<Trust>,
    pub(super) known: HashMap<NodeName, KnownCaller>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) limits: ServerLimits,
    pub(super) complaints: Complaints,
    /// What callers without a name of ours asked.
    pub(super) strangers: Served,
    places: Arc<Places>,
}

/// Somebody who may call.
#[derive(Debug)]
pub(super) struct KnownCaller {
    /// How it proves who it is.
    pub(super) mode: Mode,
    /// What it asked.
    pub(super) served: Served,
    /// Questions of it that are being answered.
    pub(super) places: Arc<Semaphore>,
    /// Large questions of it that are being read or answered.
    pub(super) large: Arc<Semaphore>,
    /// Connections of it.
    pub(super) connections: Arc<Semaphore>,
}

/// How a caller proves who it is.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    /// By this password.
    Password(Secret),
    /// By its certificate.
    Tls,
}

impl KnownCaller {
    pub(super) fn new(mode: Mode) -> Self {
        Self {
            mode,
            served: Served::default(),
            places: Arc::new(Semaphore::new(ANSWERS_PER_CALLER_MAX)),
            large: Arc::new(Semaphore::new(LARGE_PER_CALLER_MAX)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_PER_CALLER_MAX)),
        }
    }
}

/// What a caller may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServerLimits {
    /// From accepting a connection to the proof of who calls, or to its end.
    pub(super) proof_timeout: Duration,
    /// For the whole of one question to arrive.
    pub(super) question_timeout: Duration,
    /// For an answer to be taken by the caller; up to twice as long may pass until that is noticed.
    pub(super) answer_timeout: Duration,
    /// How long a connection without any question is kept.
    pub(super) idle_timeout: Duration,
    /// How often a connection is pinged.
    pub(super) keep_alive_interval: Duration,
    /// How old a connection may grow; callers replace theirs long before.
    pub(super) connection_age_max: Duration,
    /// How far back the end of a question's time may lie (R11, S-22).
    pub(super) hard_skew: Duration,
}

/// What a server is made of.
pub(super) struct ServerParts {
    pub(super) own: NodeName,
    pub(super) trust: Arc<Trust>,
    pub(super) known: HashMap<NodeName, KnownCaller>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) limits: ServerLimits,
}

impl Server {
    pub(super) fn new(parts: ServerParts) -> Self {
        Self {
            own: parts.own,
            trust: parts.trust,
            known: parts.known,
            complaints: Complaints::default(),
            strangers: Served::default(),
            clock: parts.clock,
            entropy: parts.entropy,
            limits: parts.limits,
            places: Arc::default(),
        }
    }

    /// Accepts connections until the shutdown begins, then lets questions under way finish. `threads` says,
    /// one connection after the other, where it is to be served.
    ///
    /// # Errors
    /// When the socket cannot be used by the runtime.
    pub async fn serve(
        self: Arc<Self>,
        socket: std::net::TcpListener,
        services: Services,
        threads: fn() -> Handle,
        mut shutdown: watch::Receiver<bool>,
    ) -> std::io::Result<()> {
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(socket)?;
        let desk = Arc::new(Desk::new(Arc::clone(&self), services));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = shutdown.wait_for(|stop| *stop) => break,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a back-channel connection was not accepted");
                    // Out of descriptors, most likely: trying again at once would only spin.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Some(serving) = self.begin(stream, address, &desk, &shutdown) else {
                continue;
            };
            threads().spawn(serving);
        }
        drop(listener);
        let all_closed = self.places.all_closed();
        tokio::time::timeout(DRAIN_MAX, all_closed).await.ok();
        Ok(())
    }

    /// A connection from its first byte to its last; none if its network comes too fast.
    fn begin(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        desk: &Arc<Desk>,
        shutdown: &watch::Receiver<bool>,
    ) -> Option<impl Future<Output = ()> + use<>> {
        let now = self.clock.now();
        let Some((place, gave_way)) = Places::take(&self.places, address.ip(), now) else {
            let why = "more connections that have proven nothing than it may begin";
            self.complaints.tell(address.ip(), None, why, now);
            return None;
        };
        if let Some(gave_way) = gave_way {
            let why = "too many connections that have proven nothing; the oldest gave way";
            self.complaints.tell(gave_way, None, why, now);
        }
        stream.set_nodelay(true).ok();
        let stream = stream.into_std().ok()?;
        let (desk, shutdown) = (Arc::clone(desk), shutdown.clone());
        Some(async move {
            // Its thread watches the socket, so that the others may be busy.
            if let Ok(stream) = TcpStream::from_std(stream) {
                caller::run(desk, stream, address, place, shutdown).await;
            }
        })
    }

    /// Connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.places.open()
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

/// Connections of one caller: a data centre may be many nodes.
const CONNECTIONS_PER_CALLER_MAX: usize = 64;
/// Questions of one caller that are answered at the same time.
const ANSWERS_PER_CALLER_MAX: usize = 1024;
/// Large questions of one caller that are held in memory at the same time.
const LARGE_PER_CALLER_MAX: usize = 32;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long questions under way may take when the server is asked to stop.
const DRAIN_MAX: Duration = Duration::from_secs(5);

//! One address of a peer and the connection that is kept to it: made before anybody asks, kept alive,
//! replaced before it is too old, made again when it breaks (MDC-TOPO-3, M-051, M-052).
//!
//! Which address a question goes to is `line`'s matter.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::backchannel::connection::Connection;
use crate::backchannel::dial::DialError;
use crate::backchannel::dial::Dialler;
use crate::backchannel::dial::Proof;
use crate::backchannel::dial::Target;
use crate::decision::upstream::Member;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::PassiveHealth;
use crate::decision::upstream::stable_hash;
use crate::model::peer::Silence;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;

/// An address and its connection.
pub(super) struct Address {
    target: Target,
    /// Host and port, for logs.
    authority: String,
    weight: u32,
    seed: u64,
    state: watch::Sender<State>,
    /// Told when a question waits for a connection that could not be made, or is good no more.
    wanted: Notify,
    in_flight: AtomicUsize,
    health: Mutex<PassiveHealth>,
    clock: Arc<dyn Clock>,
}

#[derive(Clone, Debug)]
enum State {
    Connected(Arc<Connection>),
    Failed(Silence),
    /// Being connected for the first time, or after a connection broke.
    Starting,
}

/// How long connections are kept, and how fast they are made again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Upkeep {
    /// A connection is replaced before this age, less a random part.
    pub(super) age_max: Duration,
    /// How long an address that did not answer in time is left alone if there are others.
    pub(super) fail_timeout: Duration,
}

impl Address {
    pub(super) fn new(target: Target, weight: u32, upkeep: &Upkeep, clock: Arc<dyn Clock>) -> Self {
        let authority = if target.host.contains(':') {
            format!("[{}]:{}", target.host, target.port)
        } else {
            format!("{}:{}", target.host, target.port)
        };
        Self {
            target,
            weight,
            seed: stable_hash(authority.as_bytes()),
            authority,
            state: watch::Sender::new(State::Starting),
            wanted: Notify::new(),
            in_flight: AtomicUsize::new(0),
            health: Mutex::new(PassiveHealth::new(FAILURES_MAX, upkeep.fail_timeout)),
            clock,
        }
    }

    pub(super) const fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether a question could be sent at once.
    pub(super) fn is_connected(&self) -> bool {
        let now = self.clock.now();
        matches!(&*self.state.borrow(), State::Connected(open) if open.is_usable(now))
    }

    /// The connection; waits for it to be made, however long that takes.
    ///
    /// # Errors
    /// When an attempt to make it fails.
    pub(super) async fn connection(&self) -> Result<Arc<Connection>, Silence> {
        let mut states = self.state.subscribe();
        match &*states.borrow_and_update() {
            State::Connected(open) if open.is_usable(self.clock.now()) => {
                return Ok(Arc::clone(open));
            }
            State::Connected(_) | State::Failed(_) => self.wanted.notify_one(),
            State::Starting => {}
        }
        loop {
            states.changed().await.map_err(|_| Silence::Unreachable)?;
            match &*states.borrow_and_update() {
                State::Connected(open) => return Ok(Arc::clone(open)),
                State::Failed(why) => return Err(*why),
                State::Starting => {}
            }
        }
    }

    /// Counts a question until the guard is dropped.
    pub(super) fn enter(&self, now: Timestamp) -> UnderWay<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.health.lock().picked(now);
        UnderWay(self)
    }

    /// A question got no answer over an open connection.
    pub(super) fn failed(&self, now: Timestamp) {
        self.health.lock().failed(now);
    }

    /// A question was answered.
    pub(super) fn succeeded(&self, now: Timestamp) {
        self.health.lock().succeeded(now);
    }

    /// Keeps a connection open until the future is dropped.
    pub(super) async fn keep(&self, dialler: &Dialler, upkeep: Upkeep) {
        let keeper = Keeper {
            address: self,
            dialler,
            upkeep,
            changes: changes(dialler),
            turn: AtomicUsize::new(0),
        };
        keeper.run().await;
    }
}

impl Member for Address {
    fn weight(&self) -> u32 {
        self.weight
    }

    fn state(&self) -> MemberState {
        // Connecting for the first time counts as well: a start must not begin with the secondaries.
        let is_failed = matches!(&*self.state.borrow(), State::Failed(_));
        if is_failed || self.health.lock().is_out(self.clock.now()) {
            MemberState::Suspected
        } else {
            MemberState::Healthy
        }
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Address")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// A question under way at an address.
#[derive(Debug)]
pub(super) struct UnderWay<'a>(&'a Address);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Keeps the connection of one address.
struct Keeper<'a> {
    address: &'a Address,
    dialler: &'a Dialler,
    upkeep: Upkeep,
    /// Told when certificates have changed.
    changes: Option<watch::Receiver<u64>>,
    turn: AtomicUsize,
}

impl Keeper<'_> {
    async fn run(mut self) {
        let mut pause = PAUSE_MIN;
        let mut told = None;
        loop {
            match self.dial().await {
                Ok(connection) => {
                    pause = PAUSE_MIN;
                    told = None;
                    tracing::info!(
                        peer = %self.address.target.node,
                        address = self.address.authority,
                        "back-channel connected"
                    );
                    self.hold(connection).await;
                    self.address.state.send_replace(State::Starting);
                }
                Err(error) => {
                    self.tell(&error, &mut told);
                    self.address
                        .state
                        .send_replace(State::Failed(error.silence()));
                    tokio::select! {
                        () = tokio::time::sleep(self.jittered(pause)) => {}
                        () = self.address.wanted.notified() => {}
                    }
                    pause = pause.saturating_mul(2).min(PAUSE_MAX);
                }
            }
        }
    }

    async fn dial(&self) -> Result<Arc<Connection>, DialError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let dialled = self.dialler.dial(&self.address.target, turn).await;
        dialled.map(Arc::new)
    }

    /// Keeps a connection, and what replaces it, until one breaks or grows too old.
    async fn hold(&mut self, mut connection: Arc<Connection>) {
        let address = self.address;
        loop {
            let open = State::Connected(Arc::clone(&connection));
            address.state.send_replace(open);
            let grace = tokio::select! {
                () = connection.closed() => return,
                () = unusable(address, &connection) => return,
                grace = self.due() => grace,
            };
            let renewed = tokio::select! {
                () = connection.closed() => return,
                // Whoever cannot replace it in time must let go of it all the same: a balancer between
                // the ends is about to.
                () = tokio::time::sleep(grace) => return,
                renewed = self.renew() => renewed,
            };
            // The questions under way on the old one keep it open until they are answered.
            connection = renewed;
        }
    }

    /// Waits until a connection is to be replaced; answers how long that may take.
    async fn due(&mut self) -> Duration {
        let age_max = self.upkeep.age_max;
        let age = age_max.mul_f64(0.7) + self.jittered(age_max.mul_f64(0.2));
        tokio::select! {
            () = tokio::time::sleep(age) => age_max.saturating_sub(age),
            () = changed(&mut self.changes) => self.dialler.timeout.saturating_mul(2),
        }
    }

    async fn renew(&self) -> Arc<Connection> {
        let mut told = None;
        loop {
            match self.dial().await {
                Ok(connection) => return connection,
                Err(error) => self.tell(&error, &mut told),
            }
            tokio::time::sleep(self.jittered(PAUSE_MIN)).await;
        }
    }

    /// Tells of a failure, once for each of its kinds in a row.
    fn tell(&self, error: &DialError, told: &mut Option<String>) {
        let what = error.to_string();
        if told.as_ref() != Some(&what) {
            tracing::warn!(
                peer = %self.address.target.node,
                address = self.address.authority,
                error = error as &dyn std::error::Error,
                "the back-channel cannot be connected"
            );
            *told = Some(what);
        }
    }

    /// A random part of a time, at least half of it: connections made together must not end together.
    fn jittered(&self, span: Duration) -> Duration {
        let mut bytes = [0; 2];
        self.dialler.entropy.fill(&mut bytes);
        let part = f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX);
        span.mul_f64(0.5 + part / 2.0)
    }
}

/// Waits until somebody wants a connection and this one is good no more.
async fn unusable(address: &Address, connection: &Connection) {
    while connection.is_usable(address.clock.now()) {
        address.wanted.notified().await;
    }
}

fn changes(dialler: &Dialler) -> Option<watch::Receiver<u64>> {
    match &dialler.proof {
        Proof::Password(_) => None,
        Proof::Tls { trust, .. } => Some(trust.watch()),
    }
}

async fn changed(changes: &mut Option<watch::Receiver<u64>>) {
    let Some(changes) = changes else {
        return std::future::pending().await;
    };
    if changes.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Questions without an answer that make an address suspect.
const FAILURES_MAX: u32 = 1;
/// Between two attempts to connect, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

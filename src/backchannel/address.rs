//! One address of a peer and the connection that is kept to it: made before anybody asks, kept alive,
//! replaced before it is too old, made again when it breaks (MDC-TOPO-3, M-051, M-052).
//!
//! How that is done is `keeper`'s, which address a question goes to `line`'s matter.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::watch;

use self::keeper::Keeper;
use crate::backchannel::connection::Connection;
use crate::backchannel::dial::Dialler;
use crate::backchannel::dial::Target;
use crate::decision::upstream::Member;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::PassiveHealth;
use crate::decision::upstream::stable_hash;
use crate::model::peer::Silence;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;

mod keeper;

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
    /// Told when a question got no answer over the connection.
    suspected: Notify,
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
            suspected: Notify::new(),
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
        self.suspected.notify_one();
    }

    /// A question was answered.
    pub(super) fn succeeded(&self, now: Timestamp) {
        self.health.lock().succeeded(now);
    }

    /// Keeps a connection open until the future is dropped.
    pub(super) async fn keep(&self, dialler: &Dialler, upkeep: Upkeep) {
        Keeper::new(self, dialler, upkeep).run().await;
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

/// Questions without an answer that make an address suspect.
const FAILURES_MAX: u32 = 1;

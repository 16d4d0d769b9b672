//! Keeps the connection of one address: connects, holds, replaces, connects again.
//!
//! It never gives up, and never hurries: between attempts it pauses, longer each time, unless somebody
//! waits.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use super::Address;
use super::State;
use super::Upkeep;
use crate::backchannel::connection::Connection;
use crate::backchannel::dial::DialError;
use crate::backchannel::dial::Dialler;
use crate::backchannel::dial::Proof;
use crate::model::peer::Silence;

/// Keeps the connection of one address.
pub(super) struct Keeper<'a> {
    address: &'a Address,
    dialler: &'a Dialler,
    upkeep: Upkeep,
    turn: AtomicUsize,
}

/// Why a connection is to be replaced.
enum Due {
    /// It is old, or certificates have changed; the new one may take so long.
    Aged(Duration),
    /// A question got no answer over it.
    Suspected,
}

impl<'a> Keeper<'a> {
    pub(super) const fn new(address: &'a Address, dialler: &'a Dialler, upkeep: Upkeep) -> Self {
        Self {
            address,
            dialler,
            upkeep,
            turn: AtomicUsize::new(0),
        }
    }

    /// Keeps a connection open until the future is dropped.
    pub(super) async fn run(self) {
        let mut pause = PAUSE_MIN;
        let mut told = None;
        loop {
            let (held, failed) = self.dial_and_hold().await;
            if held > Duration::ZERO {
                told = None;
            }
            if held >= LASTING {
                pause = PAUSE_MIN;
            }
            let why = match failed {
                None if held >= LASTING => {
                    self.address.state.send_replace(State::Starting);
                    continue;
                }
                // Closed soon after it was made, as may happen once: whoever asks can wait that long.
                None if pause == PAUSE_MIN => {
                    self.address.state.send_replace(State::Starting);
                    tokio::time::sleep(self.jittered(pause)).await;
                    pause = pause.saturating_mul(2);
                    continue;
                }
                None => Silence::Unreachable,
                Some(error) => {
                    self.tell(&error, &mut told);
                    error.silence()
                }
            };
            self.address.state.send_replace(State::Failed(why));
            tokio::select! {
                () = tokio::time::sleep(self.jittered(pause)) => {}
                () = self.address.wanted.notified() => {}
            }
            pause = pause.saturating_mul(2).min(PAUSE_MAX);
        }
    }

    /// Connects and keeps the connection for as long as that goes well; answers how long it was.
    async fn dial_and_hold(&self) -> (Duration, Option<DialError>) {
        // From before the handshake on, which may end with certificates that have changed meanwhile.
        let changes = changes(self.dialler);
        let connection = match self.dial().await {
            Ok(connection) => connection,
            Err(error) => return (Duration::ZERO, Some(error)),
        };
        let address = &self.address.authority;
        tracing::info!(peer = %self.address.target.node, address, "back-channel connected");
        let begun = self.address.clock.now();
        let failed = self.hold(connection, changes).await.err();
        tracing::info!(peer = %self.address.target.node, address, "back-channel connection lost");
        (self.address.clock.now().since(begun), failed)
    }

    async fn dial(&self) -> Result<Arc<Connection>, DialError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let dialled = self.dialler.dial(&self.address.target, turn).await;
        dialled.map(Arc::new)
    }

    /// Keeps a connection, and what replaces it, until one breaks or grows too old.
    ///
    /// # Errors
    /// When one that did not answer could not be replaced either.
    async fn hold(
        &self,
        mut connection: Arc<Connection>,
        mut changes: Option<watch::Receiver<u64>>,
    ) -> Result<(), DialError> {
        loop {
            let open = State::Connected(Arc::clone(&connection));
            self.address.state.send_replace(open);
            let due = tokio::select! {
                () = connection.closed() => return Ok(()),
                () = self.unusable(&connection) => return Ok(()),
                due = self.due(&mut changes) => due,
            };
            // The questions under way on the old one keep it open until they are answered.
            connection = match due {
                // A network that swallows bytes looks like a peer that thinks: a new connection tells
                // one from the other long before TCP gives the old one up.
                Due::Suspected => self.dial().await?,
                Due::Aged(grace) => tokio::select! {
                    () = connection.closed() => return Ok(()),
                    // Whoever cannot replace it in time must let go of it all the same: a balancer
                    // between the ends is about to.
                    () = tokio::time::sleep(grace) => return Ok(()),
                    renewed = self.renew() => renewed,
                },
            };
        }
    }

    /// Waits until a connection is to be replaced.
    async fn due(&self, changes: &mut Option<watch::Receiver<u64>>) -> Due {
        let age_max = self.upkeep.age_max;
        let age = age_max.mul_f64(0.7) + self.jittered(age_max.mul_f64(0.2));
        let suspected = async {
            // One that is merely slow is not replaced over and over.
            tokio::time::sleep(self.upkeep.fail_timeout / 4).await;
            self.address.suspected.notified().await;
        };
        tokio::select! {
            () = tokio::time::sleep(age) => Due::Aged(age_max.saturating_sub(age)),
            () = changed(changes) => Due::Aged(self.dialler.timeout.saturating_mul(2)),
            () = suspected => Due::Suspected,
        }
    }

    /// Waits until somebody wants a connection and this one is good no more.
    async fn unusable(&self, connection: &Connection) {
        while connection.is_usable(self.address.clock.now()) {
            self.address.wanted.notified().await;
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

/// Between two attempts to connect, at first and at most.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// A connection that broke sooner is not made again at once: whoever takes and drops connections would be
/// called without end.
const LASTING: Duration = Duration::from_secs(1);

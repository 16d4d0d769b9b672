//! One address that requests of a pool are sent to: its health and the requests in flight.
//!
//! An upstream that is given by name has as many members as its name has addresses; which those are is
//! `pool`'s matter. Which member a request gets is decided in `decision::upstream`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::config::Pool;
use crate::config::Upstream;
use crate::decision::upstream::ActiveHealth;
use crate::decision::upstream::Answer;
use crate::decision::upstream::Change;
use crate::decision::upstream::Member;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::PassiveHealth;
use crate::decision::upstream::stable_hash;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::telemetry::metrics::UpstreamSnapshot;

/// A member of a pool at run time.
pub struct MemberRuntime {
    /// The upstream that it is part of, as configured.
    pub upstream: Upstream,
    /// Host and port of the upstream as written, for the `Host` header.
    pub authority: String,
    /// Where to connect to.
    pub address: SocketAddr,
    /// The address as it is shown to operators.
    pub shown: String,
    seed: u64,
    /// Sets connections that carry many requests apart from those made before one of them was late.
    generation: AtomicU64,
    standing: Arc<Standing>,
    clock: Arc<dyn Clock>,
}

/// How a member is; one for all configurations that the member is part of.
pub(super) struct Standing {
    in_flight: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
    is_drained: AtomicBool,
    passive: Mutex<PassiveHealth>,
    active: Mutex<ActiveHealth>,
}

impl Standing {
    pub(super) fn new(pool: &Pool) -> Self {
        let check = pool.health_check.as_ref();
        let active = ActiveHealth::new(
            check.map_or(1, |check| check.healthy_after),
            check.map_or(1, |check| check.unhealthy_after),
        );
        Self {
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            is_drained: AtomicBool::new(false),
            passive: Mutex::new(PassiveHealth::new(pool.max_fails, pool.fail_timeout)),
            active: Mutex::new(active),
        }
    }

    /// Requests that were ever sent there.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Failed requests that were ever sent there.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Takes it out on the word of whoever runs the gateway, or lets it in again.
    pub(super) fn set_drained(&self, is_drained: bool) {
        self.is_drained.store(is_drained, Ordering::Relaxed);
    }

    /// Goes by other settings, with what is known so far. What only a check could take back is forgotten
    /// where nothing is checked any more.
    pub(super) fn retune(&self, pool: &Pool) {
        self.passive
            .lock()
            .retune(pool.max_fails, pool.fail_timeout);
        let mut active = self.active.lock();
        match &pool.health_check {
            Some(check) => active.retune(check.healthy_after, check.unhealthy_after),
            None => *active = ActiveHealth::new(1, 1),
        }
    }
}

impl MemberRuntime {
    pub(super) fn new(
        upstream: &Upstream,
        address: SocketAddr,
        standing: Arc<Standing>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let authority = upstream.authority();
        let (shown, seed) = if upstream.is_name() {
            let shown = address.to_string();
            // Two names may lead to one address, and are two members then.
            let seed = stable_hash(format!("{authority} {shown}").as_bytes());
            (shown, seed)
        } else {
            (authority.clone(), stable_hash(authority.as_bytes()))
        };
        Self {
            upstream: upstream.clone(),
            authority,
            address,
            shown,
            seed,
            generation: AtomicU64::new(0),
            standing,
            clock: Arc::clone(clock),
        }
    }

    /// Which of the connections that carry many requests the next one may go by.
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The next request goes by another connection: this one may hang, and who is on it already finds out by
    /// himself.
    pub(super) fn connects_anew(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) const fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    /// Whether whoever runs the gateway has taken it out.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.standing.is_drained.load(Ordering::Relaxed)
    }

    pub(super) fn snapshot(&self, tier: &'static str) -> UpstreamSnapshot {
        UpstreamSnapshot {
            upstream: self.authority.clone(),
            address: self.shown.clone(),
            tier,
            state: self.state(),
            requests: self.standing.requests(),
            failures: self.standing.failures(),
            in_flight: self.in_flight(),
        }
    }

    /// Counts a request as in flight until the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, now: Timestamp) -> InFlight {
        self.standing.in_flight.fetch_add(1, Ordering::Relaxed);
        self.standing.requests.fetch_add(1, Ordering::Relaxed);
        self.standing.passive.lock().picked(now);
        InFlight(Arc::clone(self))
    }

    /// A request failed at it.
    pub fn failed(&self, now: Timestamp) {
        self.standing.failures.fetch_add(1, Ordering::Relaxed);
        if self.standing.passive.lock().failed(now) == Some(Change::Down) {
            tracing::warn!(
                upstream = self.authority,
                address = self.address_of_name(),
                "pool member down: requests fail there"
            );
        }
    }

    /// A request was answered by it.
    pub fn succeeded(&self, now: Timestamp) {
        if self.standing.passive.lock().succeeded(now) == Some(Change::Up) {
            tracing::info!(
                upstream = self.authority,
                address = self.address_of_name(),
                "pool member up: requests are answered there"
            );
        }
    }

    /// Takes over the answer of a health check.
    pub fn checked(&self, answer: Answer) {
        match self.standing.active.lock().report(answer) {
            Some(Change::Down) => {
                tracing::warn!(
                    upstream = self.authority,
                    address = self.address_of_name(),
                    "pool member down: its health check fails"
                );
            }
            Some(Change::Up) => {
                tracing::info!(
                    upstream = self.authority,
                    address = self.address_of_name(),
                    "pool member up: its health check passes"
                );
            }
            None => {}
        }
    }

    /// The address, where the upstream does not say it already.
    fn address_of_name(&self) -> Option<&str> {
        self.upstream.is_name().then_some(self.shown.as_str())
    }
}

impl Member for MemberRuntime {
    fn weight(&self) -> u32 {
        self.upstream.weight
    }

    fn state(&self) -> MemberState {
        if self.standing.active.lock().is_down() {
            MemberState::Down
        } else if self.is_drained() {
            MemberState::Drained
        } else if self.standing.passive.lock().is_out(self.clock.now()) {
            MemberState::Suspected
        } else {
            MemberState::Healthy
        }
    }

    fn in_flight(&self) -> usize {
        self.standing.in_flight.load(Ordering::Relaxed)
    }

    fn seed(&self) -> u64 {
        self.seed
    }
}

impl std::fmt::Debug for MemberRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberRuntime")
            .field("authority", &self.authority)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// A request in flight at a member.
#[derive(Debug)]
pub struct InFlight(Arc<MemberRuntime>);

impl InFlight {
    /// The member.
    #[must_use]
    pub const fn member(&self) -> &Arc<MemberRuntime> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.standing.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

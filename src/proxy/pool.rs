//! Pools at run time: the members with their addresses, health and requests in flight.
//!
//! Which member a request gets is decided in `decision::upstream`; asking after their health is
//! `health`'s.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::config::Pool;
use crate::config::Upstream;
use crate::decision::upstream::ActiveHealth;
use crate::decision::upstream::Answer;
use crate::decision::upstream::Change;
use crate::decision::upstream::Member;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::PassiveHealth;
use crate::decision::upstream::RetryBudget;
use crate::decision::upstream::Tiers;
use crate::decision::upstream::stable_hash;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::telemetry::metrics::PoolSnapshot;
use crate::telemetry::metrics::UpstreamHealth;
use crate::telemetry::metrics::UpstreamSnapshot;

/// A pool at run time.
#[derive(Debug)]
pub struct PoolRuntime {
    /// As configured.
    pub config: Arc<Pool>,
    /// Its members, in tiers.
    pub tiers: Tiers<Arc<MemberRuntime>>,
    /// Counts choices, for taking turns.
    turn: AtomicU64,
    retries: AtomicU64,
    retries_refused: AtomicU64,
    budget: Mutex<RetryBudget>,
}

impl PoolRuntime {
    /// Puts a pool together. A member that was in the pool `before`, and is spoken to as it was then, goes
    /// on as it is: with its addresses, its health and the requests in flight.
    #[must_use]
    pub fn new(config: Arc<Pool>, before: Option<&Self>, clock: &Arc<dyn Clock>) -> Self {
        let before = before.filter(|before| match (&before.config.tls, &config.tls) {
            (None, None) => true,
            (Some(before), Some(tls)) => before.expects_the_same(tls),
            (None, Some(_)) | (Some(_), None) => false,
        });
        let member = |upstream: &Upstream| {
            let same = before.and_then(|before| before.member(upstream));
            Arc::new(MemberRuntime::new(upstream, &config, same, clock))
        };
        let tiers = Tiers {
            primary: config.primary.iter().map(member).collect(),
            secondary: config.secondary.iter().map(member).collect(),
            failover_threshold: config.failover_threshold,
        };
        Self {
            config,
            tiers,
            turn: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            retries_refused: AtomicU64::new(0),
            budget: Mutex::default(),
        }
    }

    /// Judges the members by the settings of this pool. Called when it is about to be served: until then
    /// members that it shares with the pool before go by the settings of that one.
    pub fn take_charge(&self) {
        for (_, member) in self.tiers.members() {
            member.standing.retune(&self.config);
        }
    }

    fn member(&self, upstream: &Upstream) -> Option<&MemberRuntime> {
        let mut members = self.tiers.members().map(|(_, member)| member.as_ref());
        members.find(|member| {
            let known = &member.upstream;
            known.host == upstream.host && known.port == upstream.port
        })
    }

    /// Whether another member may be tried for a request, which counts as tried then.
    pub fn may_retry(&self, now: Timestamp) -> bool {
        let sent = self.tiers.members();
        let sent = sent.map(|(_, member)| member.standing.requests.load(Ordering::Relaxed));
        let sent = sent.fold(0, u64::saturating_add);
        let retries = self.retries.load(Ordering::Relaxed);
        let asked = sent.saturating_sub(retries);
        let terms = &self.config.retry_budget;
        let may = self.budget.lock().take(terms, asked, now);
        let count = if may {
            &self.retries
        } else {
            &self.retries_refused
        };
        count.fetch_add(1, Ordering::Relaxed);
        may
    }

    /// What there is to tell of it.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let members = self.tiers.members();
        PoolSnapshot {
            pool: self.config.name.to_string(),
            retries: self.retries.load(Ordering::Relaxed),
            retries_refused: self.retries_refused.load(Ordering::Relaxed),
            upstreams: members.map(|(_, member)| member.snapshot()).collect(),
        }
    }

    /// The next turn.
    #[must_use]
    pub fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// A member of a pool at run time.
pub struct MemberRuntime {
    /// As configured.
    pub upstream: Upstream,
    /// Host and port as written, for the `Host` header and logs.
    pub authority: String,
    seed: u64,
    standing: Arc<Standing>,
    clock: Arc<dyn Clock>,
}

/// How a member is; one for all configurations that the member is part of.
struct Standing {
    addresses: ArcSwap<Vec<IpAddr>>,
    next_address: AtomicUsize,
    in_flight: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
    passive: Mutex<PassiveHealth>,
    active: Mutex<ActiveHealth>,
}

impl Standing {
    fn new(literal: Option<IpAddr>, pool: &Pool) -> Self {
        let check = pool.health_check.as_ref();
        let active = ActiveHealth::new(
            check.map_or(1, |check| check.healthy_after),
            check.map_or(1, |check| check.unhealthy_after),
        );
        Self {
            addresses: ArcSwap::from_pointee(literal.into_iter().collect()),
            next_address: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            passive: Mutex::new(PassiveHealth::new(pool.max_fails, pool.fail_timeout)),
            active: Mutex::new(active),
        }
    }

    /// Goes by other settings, with what is known so far. What only a check could take back is forgotten
    /// where nothing is checked any more.
    fn retune(&self, pool: &Pool) {
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
    fn new(
        upstream: &Upstream,
        pool: &Pool,
        before: Option<&Self>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let literal = upstream.host.parse::<IpAddr>().ok();
        let authority = upstream.authority();
        let fresh = || Arc::new(Standing::new(literal, pool));
        Self {
            upstream: upstream.clone(),
            seed: stable_hash(authority.as_bytes()),
            authority,
            standing: before.map_or_else(fresh, |before| Arc::clone(&before.standing)),
            clock: Arc::clone(clock),
        }
    }

    /// Whether an address is known to connect to.
    #[must_use]
    pub fn has_address(&self) -> bool {
        !self.standing.addresses.load().is_empty()
    }

    fn snapshot(&self) -> UpstreamSnapshot {
        UpstreamSnapshot {
            address: self.authority.clone(),
            health: match self.state() {
                MemberState::Healthy => UpstreamHealth::Up,
                MemberState::Down | MemberState::Suspected => UpstreamHealth::Down,
            },
            requests: self.standing.requests.load(Ordering::Relaxed),
            failures: self.standing.failures.load(Ordering::Relaxed),
            in_flight: self.in_flight(),
        }
    }

    /// Whether the member is a name that has to be resolved.
    #[must_use]
    pub fn is_name(&self) -> bool {
        self.upstream.host.parse::<IpAddr>().is_err()
    }

    /// Takes over what its name resolved to.
    pub fn resolved_to(&self, addresses: Vec<IpAddr>) {
        self.standing.addresses.store(Arc::new(addresses));
    }

    /// An address to connect to; the addresses of a name take turns.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let addresses = self.standing.addresses.load();
        let turn = self.standing.next_address.fetch_add(1, Ordering::Relaxed);
        let index = turn.checked_rem(addresses.len())?;
        addresses
            .get(index)
            .map(|ip| SocketAddr::new(*ip, self.upstream.port))
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
                "pool member down: requests fail there"
            );
        }
    }

    /// A request was answered by it.
    pub fn succeeded(&self, now: Timestamp) {
        if self.standing.passive.lock().succeeded(now) == Some(Change::Up) {
            tracing::info!(
                upstream = self.authority,
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
                    "pool member down: its health check fails"
                );
            }
            Some(Change::Up) => {
                tracing::info!(
                    upstream = self.authority,
                    "pool member up: its health check passes"
                );
            }
            None => {}
        }
    }
}

impl Member for MemberRuntime {
    fn weight(&self) -> u32 {
        self.upstream.weight
    }

    fn state(&self) -> MemberState {
        if self.standing.active.lock().is_down() || self.standing.addresses.load().is_empty() {
            MemberState::Down
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

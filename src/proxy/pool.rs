//! Pools at run time: the upstreams with their members, and what is left of the budget for retries.
//!
//! Which member a request gets is decided in `decision::upstream`; asking after their health is
//! `health`'s, asking for the addresses of names `naming`'s.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use arc_swap::Guard;
use parking_lot::Mutex;

use crate::config::Pool;
use crate::config::Upstream;
use crate::decision::upstream::Drains;
use crate::decision::upstream::RetryBudget;
use crate::decision::upstream::Tiers;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::resolver::Offered;
use crate::ports::resolver::Resolved;
use crate::proxy::member::MemberRuntime;
use crate::proxy::member::Rank;
use crate::proxy::upstream::Naming;
use crate::proxy::upstream::Turnover;
use crate::proxy::upstream::UpstreamRuntime;
use crate::telemetry::metrics::NameSnapshot;
use crate::telemetry::metrics::PoolSnapshot;

/// A pool at run time.
#[derive(Debug)]
pub struct PoolRuntime {
    /// As configured.
    pub config: Arc<Pool>,
    /// Its upstreams, in tiers.
    pub upstreams: Tiers<Arc<UpstreamRuntime>>,
    /// The members of all upstreams, as requests choose among them.
    members: ArcSwap<Members>,
    /// Which upstreams of all pools are taken out.
    drains: Arc<ArcSwap<Drains>>,
    /// Held while the members change: names are resolved side by side.
    changing: Mutex<()>,
    /// Counts choices, for taking turns.
    turn: AtomicU64,
    retries: AtomicU64,
    retries_refused: AtomicU64,
    budget: Mutex<RetryBudget>,
    /// Held while a member is ejected.
    pub(super) ejecting: Arc<Mutex<()>>,
    spared: AtomicU64,
}

/// What pools share with each other, and with those of other configurations.
pub struct PoolParts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Which upstreams of all pools are taken out.
    pub drains: Arc<ArcSwap<Drains>>,
    /// Held while a member of any of them is ejected: earlier configurations share members with later ones.
    pub ejecting: Arc<Mutex<()>>,
}

impl std::fmt::Debug for PoolParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolParts").finish_non_exhaustive()
    }
}

/// The members of a pool, in tiers.
pub type Members = Tiers<Arc<MemberRuntime>>;

impl PoolRuntime {
    /// Puts a pool together. An upstream that was in the pool `before`, and is spoken to as it was then, goes
    /// on as it is: with its addresses, their health and the requests in flight.
    #[must_use]
    pub fn new(config: Arc<Pool>, before: Option<&Self>, parts: &PoolParts) -> Self {
        let before = before.filter(|before| match (&before.config.tls, &config.tls) {
            (None, None) => true,
            (Some(before), Some(tls)) => before.expects_the_same(tls),
            (None, Some(_)) | (Some(_), None) => false,
        });
        let upstream = |upstream: &Upstream| {
            let same = before.and_then(|before| before.upstream(upstream));
            let made = UpstreamRuntime::new(upstream, &config, same, &parts.clock);
            if before.is_some() && same.is_none() {
                made.joins();
            }
            Arc::new(made)
        };
        let upstreams = Tiers {
            primary: config.primary.iter().map(upstream).collect(),
            secondary: config.secondary.iter().map(upstream).collect(),
            failover_threshold: config.failover_threshold,
        };
        let pool = Self {
            members: ArcSwap::from_pointee(members_of(&upstreams)),
            config,
            upstreams,
            changing: Mutex::default(),
            turn: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            retries_refused: AtomicU64::new(0),
            budget: Mutex::default(),
            ejecting: Arc::clone(&parts.ejecting),
            spared: AtomicU64::new(0),
            drains: Arc::clone(&parts.drains),
        };
        pool.keep_drained();
        pool
    }

    /// The members as they are now; to be let go of soon.
    #[must_use]
    pub fn members(&self) -> Guard<Arc<Members>> {
        self.members.load()
    }

    /// Judges the members by the settings of this pool. Called when it is about to be served: until then
    /// members that it shares with the pool before go by the settings of that one.
    pub fn take_charge(&self) {
        for (_, upstream) in self.upstreams.members() {
            upstream.retune(&self.config);
        }
    }

    /// Takes over what the name of one of its upstreams resolved to. Requests that run go on where they
    /// are; others choose among the new members from now on.
    pub(super) fn resolved_to(
        &self,
        upstream: &UpstreamRuntime,
        resolved: &Resolved,
    ) -> Option<Turnover> {
        let _held = self.changing.lock();
        let turnover = upstream.resolved_to(resolved, &self.config)?;
        self.has_turned(upstream);
        Some(turnover)
    }

    /// Takes over what offers one of its upstreams, which is a service, in the same way.
    pub(super) fn offered_by(
        &self,
        upstream: &UpstreamRuntime,
        offered: &Offered,
    ) -> Option<Turnover> {
        let _held = self.changing.lock();
        let turnover = upstream.offered_by(offered, &self.config)?;
        self.has_turned(upstream);
        Some(turnover)
    }

    /// Lets requests choose among the members as they are now.
    fn has_turned(&self, upstream: &UpstreamRuntime) {
        upstream.keep_drained(&self.config.name, &self.drains.load());
        self.members.store(Arc::new(members_of(&self.upstreams)));
    }

    /// Takes out the members that are drained now, and lets the others in.
    pub fn keep_drained(&self) {
        let _held = self.changing.lock();
        let drains = self.drains.load();
        for (_, upstream) in self.upstreams.members() {
            upstream.keep_drained(&self.config.name, &drains);
        }
    }

    fn upstream(&self, upstream: &Upstream) -> Option<&UpstreamRuntime> {
        let mut upstreams = self.upstreams.members().map(|(_, known)| known.as_ref());
        upstreams.find(|known| known.upstream.place == upstream.place)
    }

    /// Whether another member may be tried for a request, which counts as tried then.
    pub fn may_retry(&self, now: Timestamp) -> bool {
        let sent = self.upstreams.members();
        let sent = sent.map(|(_, upstream)| upstream.requests());
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
        let members = self.members();
        let primary = members.primary.iter().map(|at| at.snapshot("primary"));
        let secondary = members.secondary.iter().map(|at| at.snapshot("secondary"));
        let names = self.upstreams.members().map(|(_, upstream)| upstream);
        let names = names.filter(|upstream| upstream.upstream.is_name());
        PoolSnapshot {
            pool: self.config.name.to_string(),
            retries: self.retries.load(Ordering::Relaxed),
            retries_refused: self.retries_refused.load(Ordering::Relaxed),
            ejections_spared: self.spared.load(Ordering::Relaxed),
            upstreams: primary.chain(secondary).collect(),
            names: names.map(|upstream| name_snapshot(upstream)).collect(),
        }
    }

    /// A member was not ejected, because the pool could not do without it.
    pub(super) fn spare(&self) {
        self.spared.fetch_add(1, Ordering::Relaxed);
    }

    /// The next turn.
    #[must_use]
    pub fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

fn members_of(upstreams: &Tiers<Arc<UpstreamRuntime>>) -> Members {
    let of = |tier: &[Arc<UpstreamRuntime>]| -> Vec<Arc<MemberRuntime>> {
        tier.iter().flat_map(|at| at.members()).collect()
    };
    let is_first = |member: &Arc<MemberRuntime>| member.rank == Rank::First;
    let (primary, later): (Vec<_>, Vec<_>) = of(&upstreams.primary).into_iter().partition(is_first);
    Tiers {
        primary,
        secondary: later.into_iter().chain(of(&upstreams.secondary)).collect(),
        failover_threshold: upstreams.failover_threshold,
    }
}

fn name_snapshot(upstream: &UpstreamRuntime) -> NameSnapshot {
    NameSnapshot {
        upstream: upstream.name.clone(),
        addresses: upstream.members().len(),
        is_resolved: upstream.naming() == Naming::Working,
    }
}

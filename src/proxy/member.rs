//! One address that requests of a pool are sent to: its health and the requests in flight.
//!
//! An upstream that is given by name has as many members as its name has addresses; which those are is
//! `pool`'s matter. Which member a request gets is decided in `decision::upstream`.

use std::sync::Arc;

use crate::config::Upstream;
use crate::decision::upstream::Change;
use crate::decision::upstream::Member;
use crate::decision::upstream::MemberState;
use crate::decision::upstream::stable_hash;
use crate::logbook::causes::with_causes;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::proxy::address::Address;
use crate::proxy::health::CheckError;
use crate::proxy::standing::Standing;
use crate::telemetry::metrics::UpstreamSnapshot;

/// A member of a pool at run time.
pub struct MemberRuntime {
    /// The upstream that it is part of; of a service the host that offers it.
    pub upstream: Upstream,
    /// Host and port of that, for the `Host` header; `localhost` of a socket.
    pub authority: String,
    /// What the upstream is called: host and port as configured, the service, or the socket.
    pub name: String,
    /// When requests are sent there.
    pub rank: Rank,
    /// Where to connect to.
    pub address: Address,
    /// The address as it is shown to operators.
    pub shown: String,
    seed: u64,
    /// Sets connections that carry many requests apart from those made before one of them was late.
    standing: Arc<Standing>,
    clock: Arc<dyn Clock>,
}

impl MemberRuntime {
    pub(super) fn new(
        name: &str,
        wanted: &Wanted,
        standing: Arc<Standing>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let Wanted {
            address,
            upstream,
            rank,
        } = wanted;
        let called = upstream.called();
        let (shown, seed) = if upstream.is_name() {
            let shown = address.to_string();
            // Two names may lead to one address, and are two members then.
            let seed = stable_hash(format!("{called} {shown}").as_bytes());
            (shown, seed)
        } else {
            let seed = stable_hash(called.as_bytes());
            (called, seed)
        };
        Self {
            upstream: upstream.clone(),
            authority: upstream.authority(),
            name: name.to_owned(),
            rank: *rank,
            address: address.clone(),
            shown,
            seed,
            standing,
            clock: Arc::clone(clock),
        }
    }

    /// Where and as what it was wanted.
    pub(super) fn is_as(&self, wanted: &Wanted) -> bool {
        let same = self.address == wanted.address && self.rank == wanted.rank;
        same && self.upstream == wanted.upstream
    }

    /// The name that its certificate is to have, where nothing else is configured: of a service its domain, for
    /// whoever can forge an answer of a name server chooses the hosts (RFC 9525 §6.1).
    #[must_use]
    pub fn certificate_name(&self) -> &str {
        if self.upstream.is_socket() || self.name == self.authority {
            return self.upstream.host();
        }
        let domain = self.name.splitn(3, '.').nth(2);
        domain.unwrap_or(&self.name).trim_end_matches('.')
    }

    /// Whether a check of one is a check of the other: of the same host, at the same address.
    pub(super) fn is_checked_as(&self, other: &Self) -> bool {
        self.address == other.address && self.upstream.place == other.upstream.place
    }

    pub(super) const fn standing(&self) -> &Arc<Standing> {
        &self.standing
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// How often it was ejected, and until when it is, if it is.
    #[must_use]
    pub fn ejections(&self) -> (u64, Option<Timestamp>) {
        let until = self.standing.ejected_until(self.clock.now());
        (self.standing.ejections(), until)
    }

    /// Requests that were ever sent there, and those of them that failed.
    #[must_use]
    pub fn requests(&self) -> (u64, u64) {
        (self.standing.requests(), self.standing.failures())
    }

    /// Whether whoever runs the gateway has taken it out.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.standing.is_drained()
    }

    pub(super) fn snapshot(&self, tier: &'static str) -> UpstreamSnapshot {
        UpstreamSnapshot {
            upstream: self.name.clone(),
            address: self.shown.clone(),
            tier,
            state: self.state(),
            requests: self.standing.requests(),
            failures: self.standing.failures(),
            ejections: self.standing.ejections(),
            in_flight: self.in_flight(),
        }
    }

    /// Counts a request as in flight until the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>, now: Timestamp) -> InFlight {
        self.standing.enter(now);
        InFlight(Arc::clone(self))
    }

    /// A request failed at it, and why.
    pub fn failed(&self, now: Timestamp, why: impl FnOnce() -> String) {
        if self.standing.failed(now) == Some(Change::Down) {
            tracing::warn!(
                upstream = self.name,
                address = self.address_of_name(),
                error = why(),
                "pool member down: requests fail there"
            );
        }
    }

    /// A request was answered by it.
    pub fn succeeded(&self, now: Timestamp) {
        if self.standing.succeeded(now) == Some(Change::Up) {
            tracing::info!(
                upstream = self.name,
                address = self.address_of_name(),
                "pool member up: requests are answered there"
            );
        }
    }

    /// Why its last health check failed, if it did.
    #[must_use]
    pub fn check_fault(&self) -> Option<String> {
        self.standing.check_fault()
    }

    /// Takes over the outcome of a health check.
    pub fn checked(&self, outcome: Result<(), CheckError>) {
        let fault = outcome
            .err()
            .map(|error| with_causes(&error).replace(char::is_control, "\u{fffd}"));
        let why = fault.clone().unwrap_or_default();
        match self.standing.checked(fault, self.clock.now()) {
            Some(Change::Down) => {
                tracing::warn!(
                    upstream = self.name,
                    address = self.address_of_name(),
                    error = why,
                    "pool member down: its health check fails"
                );
            }
            Some(Change::Up) => {
                tracing::info!(
                    upstream = self.name,
                    address = self.address_of_name(),
                    "pool member up: its health check passes"
                );
            }
            None => {}
        }
    }

    /// The address, where the upstream does not say it already.
    pub(super) fn address_of_name(&self) -> Option<&str> {
        self.upstream.is_name().then_some(self.shown.as_str())
    }
}

impl Member for MemberRuntime {
    fn weight(&self) -> u32 {
        self.upstream.weight
    }

    fn percent_of_share(&self) -> u32 {
        self.standing.percent_of_share(|| self.clock.now())
    }

    fn state(&self) -> MemberState {
        self.standing.state(self.clock.now())
    }

    fn in_flight(&self) -> usize {
        self.standing.in_flight()
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

/// A member that there is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) address: Address,
    /// The host that has the address, with its port and its share.
    pub(super) upstream: Upstream,
    pub(super) rank: Rank,
}

/// When requests are sent to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    /// With those of its tier.
    First,
    /// With the secondaries: a service names others that come before it.
    Later,
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
        self.0.standing.leave();
    }
}

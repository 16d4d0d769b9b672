//! The requests in flight, by SSO session, so that an end closes them within a second (D-13, S-17). Each
//! comes with the claim that it was permitted by, so that its session can be judged again (S-20).
//!
//! A cut takes effect at the edge loop, which races every request against it: an idle HTTP/2 stream or
//! WebSocket passes through no filter that could stop it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::model::claim::Claim;
use crate::model::claim::HostLimits;
use crate::model::id::SsoId;
use crate::proxy::entered::Entered;
use crate::proxy::watch::RequestWatch;

/// The requests in flight.
#[derive(Debug)]
pub struct Streams {
    shards: Vec<Mutex<HashMap<SsoId, Vec<Running>, RandomState>>>,
    next: AtomicU64,
}

/// A request in flight.
#[derive(Debug)]
pub struct Running {
    ticket: u64,
    /// The claim that it was permitted by.
    pub claim: Arc<Claim>,
    /// What cuts it.
    pub watch: Arc<RequestWatch>,
    entered: Option<Arc<Entered>>,
}

/// A request in flight that has become a stream.
#[derive(Debug)]
pub struct Stream {
    /// What it was let in for.
    pub entered: Arc<Entered>,
    /// The claim that it was permitted by.
    pub claim: Arc<Claim>,
    /// What cuts it.
    pub watch: Arc<RequestWatch>,
}

impl Streams {
    /// Makes an empty registry.
    #[must_use]
    pub fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self {
            shards,
            next: AtomicU64::new(0),
        }
    }

    /// Registers a request; it is forgotten when the registration is dropped.
    #[must_use]
    pub fn register(self: &Arc<Self>, claim: Arc<Claim>, watch: Arc<RequestWatch>) -> Registration {
        let sso = claim.facts.sso;
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        if let Some(shard) = self.shard(&sso) {
            let running = Running {
                ticket,
                claim,
                watch,
                entered: None,
            };
            shard.lock().entry(sso).or_default().push(running);
        }
        Registration {
            streams: Arc::clone(self),
            sso,
            ticket,
            has_entered: false,
        }
    }

    /// Those that have become streams.
    #[must_use]
    pub fn streams(&self) -> Vec<Stream> {
        let stream = |running: &Running| {
            Some(Stream {
                entered: running.entered.clone()?,
                claim: Arc::clone(&running.claim),
                watch: Arc::clone(&running.watch),
            })
        };
        let of = |shard: &Mutex<HashMap<SsoId, Vec<Running>, RandomState>>| {
            let shard = shard.lock();
            let streams = shard.values().flatten().filter_map(stream);
            streams.collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    /// Takes out every request of an SSO session, for whoever is to cut them.
    #[must_use]
    pub fn take(&self, sso: &SsoId) -> Vec<Running> {
        let running = self.shard(sso).and_then(|shard| shard.lock().remove(sso));
        running.unwrap_or_default()
    }

    /// The SSO sessions that have requests in flight.
    #[must_use]
    pub fn sessions(&self) -> Vec<SsoId> {
        let of = |shard: &Mutex<HashMap<SsoId, Vec<Running>, RandomState>>| {
            shard.lock().keys().copied().collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    /// The newest claim of an SSO session that has requests in flight.
    #[must_use]
    pub fn claim(&self, sso: &SsoId) -> Option<Arc<Claim>> {
        let shard = self.shard(sso)?.lock();
        let newest = shard.get(sso)?.last()?;
        Some(Arc::clone(&newest.claim))
    }

    /// Takes out those of them that came to hosts with these limits of their own.
    #[must_use]
    pub fn take_within(&self, sso: &SsoId, limits: HostLimits) -> Vec<Running> {
        let Some(shard) = self.shard(sso) else {
            return Vec::new();
        };
        let mut shard = shard.lock();
        let Some(running) = shard.get_mut(sso) else {
            return Vec::new();
        };
        let is_within = |running: &mut Running| running.claim.presented.limits == limits;
        let taken = running.extract_if(.., is_within).collect();
        if running.is_empty() {
            shard.remove(sso);
        }
        taken
    }

    /// The newest claim of each SSO session that has requests in flight; where they came to hosts with
    /// limits of their own, the newest for each of these.
    #[must_use]
    pub fn claims(&self) -> Vec<Arc<Claim>> {
        let of = |shard: &Mutex<HashMap<SsoId, Vec<Running>, RandomState>>| {
            let shard = shard.lock();
            let newest = shard.values().flat_map(|running| newest(running));
            newest.collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of).collect()
    }

    fn shard(&self, sso: &SsoId) -> Option<&Mutex<HashMap<SsoId, Vec<Running>, RandomState>>> {
        let [first, ..] = sso.as_bytes();
        self.shards.get(usize::from(*first) % SHARDS)
    }
}

/// The newest claim for each kind of host. A session may have many requests in flight, at few kinds.
fn newest(running: &[Running]) -> Vec<Arc<Claim>> {
    let mut newest: Vec<Arc<Claim>> = Vec::new();
    for Running { claim, .. } in running.iter().rev() {
        let limits = claim.presented.limits;
        if newest.iter().all(|newer| newer.presented.limits != limits) {
            newest.push(Arc::clone(claim));
        }
    }
    newest
}

impl Default for Streams {
    fn default() -> Self {
        Self::new()
    }
}

/// A registered request.
#[derive(Debug)]
pub struct Registration {
    streams: Arc<Streams>,
    sso: SsoId,
    ticket: u64,
    has_entered: bool,
}

impl Registration {
    /// The claim that the request was permitted by; none once it is to be cut.
    #[must_use]
    pub fn claim(&self) -> Option<Arc<Claim>> {
        let shard = self.streams.shard(&self.sso)?.lock();
        let mut running = shard.get(&self.sso)?.iter();
        let own = running.find(|running| running.ticket == self.ticket)?;
        Some(Arc::clone(&own.claim))
    }

    /// Notes once that the request has become a stream, and what it was let in for.
    pub fn enter(&mut self, entered: impl FnOnce() -> Entered) {
        if std::mem::replace(&mut self.has_entered, true) {
            return;
        }
        let entered = Arc::new(entered());
        let Some(shard) = self.streams.shard(&self.sso) else {
            return;
        };
        let mut shard = shard.lock();
        let mut running = shard.get_mut(&self.sso).into_iter().flatten();
        if let Some(own) = running.find(|running| running.ticket == self.ticket) {
            own.entered = Some(entered);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let Some(shard) = self.streams.shard(&self.sso) else {
            return;
        };
        let mut shard = shard.lock();
        if let Some(running) = shard.get_mut(&self.sso) {
            running.retain(|running| running.ticket != self.ticket);
            if running.is_empty() {
                shard.remove(&self.sso);
            }
        }
    }
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::model::claim::Place;
    use crate::model::claim::Presented;
    use crate::model::id::SessionId;
    use crate::model::identity::AuthLevel;
    use crate::model::name::ClusterId;
    use crate::model::name::StoreName;
    use crate::model::name::UserName;
    use crate::model::session::Generation;
    use crate::model::session::SsoFacts;
    use crate::model::time::Timestamp;

    #[test]
    fn every_request_of_the_session_is_taken_and_no_other() {
        let streams = Arc::new(Streams::new());
        let (one, other) = (claim(1), claim(2));
        let watches: Vec<_> = (0..3)
            .map(|_| Arc::new(RequestWatch::new(None, Duration::ZERO, Arc::default())))
            .collect();
        let _a = streams.register(Arc::clone(&one), Arc::clone(&watches[0]));
        let _b = streams.register(Arc::clone(&one), Arc::clone(&watches[1]));
        let _c = streams.register(other, Arc::clone(&watches[2]));
        let taken = streams.take(&one.facts.sso);
        taken.iter().for_each(|running| running.watch.cut());
        let cut: Vec<_> = watches.iter().map(|w| w.is_cut()).collect();
        assert_eq!(cut, [true, true, false]);
    }

    #[test]
    fn a_finished_request_is_forgotten() {
        let streams = Arc::new(Streams::new());
        let watch = Arc::new(RequestWatch::new(None, Duration::ZERO, Arc::default()));
        drop(streams.register(claim(1), watch));
        assert!(streams.sessions().is_empty() && streams.claims().is_empty());
        assert!(streams.take(&claim(1).facts.sso).is_empty());
    }

    #[test]
    fn each_session_is_judged_once_and_by_what_was_presented_last_s_20() {
        let streams = Arc::new(Streams::new());
        let mut later = Claim::clone(&claim(1));
        later.facts.generation = Generation(7);
        let claims = [claim(1), claim(2), Arc::new(later)];
        let watch = Arc::new(RequestWatch::new(None, Duration::ZERO, Arc::default()));
        let running = claims.map(|claim| streams.register(claim, Arc::clone(&watch)));
        let generations = || {
            let mut claims = streams.claims();
            claims.sort_by_key(|claim| claim.facts.sso);
            let generations = claims.iter().map(|claim| claim.facts.generation.0);
            generations.collect::<Vec<_>>()
        };
        assert_eq!(generations(), [7, 0]);
        let [_first, other, later] = running;
        drop((other, later));
        assert_eq!(generations(), [0]);
    }

    #[test]
    fn a_host_with_limits_of_its_own_is_judged_by_itself_and_loses_its_requests_alone_d_19() {
        let streams = Arc::new(Streams::new());
        let limits = HostLimits {
            idle_timeout: Some(Duration::from_mins(1)),
            lifetime: None,
        };
        let mut strict = Claim::clone(&claim(1));
        strict.presented.limits = limits;
        let strict = Arc::new(strict);
        let watch = Arc::new(RequestWatch::new(None, Duration::ZERO, Arc::default()));
        let running = [&strict, &claim(1), &strict]
            .map(|claim| streams.register(Arc::clone(claim), Arc::clone(&watch)));
        assert_eq!(streams.claims().len(), 2);
        let sso = strict.facts.sso;
        assert_eq!(streams.take_within(&sso, limits).len(), 2);
        assert_eq!(streams.claims(), [claim(1)]);
        assert_eq!(streams.take_within(&sso, HostLimits::NONE).len(), 1);
        assert!(streams.sessions().is_empty());
        drop(running);
    }

    fn claim(n: u8) -> Arc<Claim> {
        let facts = SsoFacts {
            sso: SsoId::from_bytes([n; 16]),
            subject: UserName::parse("alice").unwrap(),
            store: StoreName::parse("staff").unwrap(),
            first_authenticated: Timestamp::default(),
            expires: Timestamp::default(),
            generation: Generation(0),
            level: AuthLevel::MAX,
            level_reached: Timestamp::default(),
        };
        Arc::new(Claim {
            facts,
            cluster: ClusterId::parse("north").unwrap(),
            session: SessionId::from_bytes([n; 16]),
            hints: Vec::new(),
            last_access: None,
            presented: Presented {
                at: Place::Application,
                client_address: Ipv4Addr::LOCALHOST.into(),
                limits: HostLimits::NONE,
            },
        })
    }
}

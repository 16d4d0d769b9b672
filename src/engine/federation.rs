//! What an engine keeps in mind about the other data centres: settings, leases, clocks, adoptions under
//! way, refusals just given, ends still to be told.
//!
//! All of it may be lost: what must survive is in the store and the end log.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::config::mdc::SkewLimits;
use crate::decision::adoption::AdoptionPolicy;
use crate::decision::following::Following;
use crate::decision::following::lease::Lease;
use crate::decision::following::lease::LeaseOver;
use crate::decision::following::skew::Offset;
use crate::decision::following::skew::Skew;
use crate::engine::counts::AdoptionCounts;
use crate::engine::refusals::Refusals;
use crate::engine::surplus::Crowded;
use crate::model::end::End;
use crate::model::end::Position;
use crate::model::end::Pulled;
use crate::model::id::KeyId;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::network::Network;
use crate::model::peer::ENDS_MAX;
use crate::model::peer::Greeting;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::end_log::EndLog;

/// What the operator chose about other data centres, as far as the engine goes.
#[derive(Clone, Debug)]
pub struct FederationSettings {
    /// What is done about sessions of other data centres.
    pub adoption: AdoptionPolicy,
    /// How long a data centre that has not been heard of is taken at its last word (S-16).
    pub partition_lease: Duration,
    /// How long a session is held before it is let go of (S-9).
    pub min_hold: Duration,
    /// How long a reservation holds without a commit (S-6).
    pub reservation_lapse: Duration,
    /// How far clocks may differ (S-22).
    pub skew: SkewLimits,
    /// Questions of adoptions that may be under way to one peer (S-7).
    pub adoptions_per_peer_max: usize,
    /// Adoptions that may be under way for one client address (S-7).
    pub adoptions_per_address_max: usize,
    /// The keys that this data centre can open with when it begins (S-23).
    pub keys: Vec<KeyId>,
}

/// The keys of this data centre, as it tells others of them (S-23).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OwnKeys {
    /// Those that it can open with.
    pub opens: Vec<KeyId>,
    /// The one that it seals with, once that is known.
    pub seals: Option<KeyId>,
}

/// What is known of the other data centres.
#[derive(Debug)]
pub(super) struct Federation {
    pub(super) settings: FederationSettings,
    pub(super) peers: Vec<PeerState>,
    pub(super) keys: ArcSwap<OwnKeys>,
    /// When this life of the own end log began.
    began: Timestamp,
    /// How far the end log of each peer has been read.
    pulled: ArcSwap<Vec<(ClusterId, Option<Pulled>)>>,
    flights: Mutex<HashMap<SsoId, Arc<Notify>>>,
    /// What was in vain a moment ago.
    pub(super) refusals: Refusals,
    /// Where sessions had been that other data centres ended a moment ago.
    visited: Mutex<HashMap<SsoId, (Timestamp, Vec<HostName>)>>,
    per_address: Mutex<HashMap<Network, usize>>,
    untold: Mutex<Vec<End>>,
    has_untold: Notify,
    /// What came of adoptions.
    pub(super) adoptions: AdoptionCounts,
    /// Users with more sessions here than they may have.
    pub(super) crowded: Crowded,
}

/// What is known of one peer.
#[derive(Debug)]
pub(super) struct PeerState {
    pub(super) cluster: ClusterId,
    /// How far the reading of its end log has come; taken out while it goes on.
    following: Mutex<Option<Following>>,
    /// Questions of adoptions under way.
    asking: AtomicUsize,
    greeted: Mutex<Option<Greeted>>,
    /// How far it has read the own end log, in this life of the process.
    has_read: AtomicU64,
}

/// What a peer said of itself when it was last greeted.
#[derive(Clone, Debug)]
pub(super) struct Greeted {
    pub(super) greeting: Greeting,
    /// How far its clock is off.
    pub(super) offset: Offset,
    /// What that means.
    pub(super) skew: Skew,
}

/// Whether somebody else is at it already.
pub(super) enum Boarding<'f> {
    /// Nobody is; it is for the caller to do.
    Lead(Flight<'f>),
    /// Somebody is; the bell rings when it is over.
    Wait(OwnedNotified),
}

/// The one adoption of an SSO session that is under way; over when dropped (MDC-INDEX-3).
pub(super) struct Flight<'f> {
    federation: &'f Federation,
    sso: SsoId,
}

/// A place among the adoptions of one client address; given back when dropped.
pub(super) struct Seat<'f> {
    federation: &'f Federation,
    network: Network,
}

/// A place among the questions to one peer; given back when dropped.
pub(super) struct Question<'f>(&'f AtomicUsize);

impl Federation {
    pub(super) fn new(
        settings: FederationSettings,
        peers: &[ClusterId],
        ends: &dyn EndLog,
    ) -> Self {
        let peer = |cluster: &ClusterId| PeerState {
            cluster: cluster.clone(),
            following: Mutex::new(Some(Following::resume(ends.pulled(cluster)))),
            asking: AtomicUsize::new(0),
            greeted: Mutex::new(None),
            has_read: AtomicU64::new(0),
        };
        let pulled = |cluster: &ClusterId| (cluster.clone(), ends.pulled(cluster));
        let keys = OwnKeys {
            opens: settings.keys.clone(),
            seals: None,
        };
        Self {
            settings,
            keys: ArcSwap::from_pointee(keys),
            began: ends.began(),
            pulled: ArcSwap::from_pointee(peers.iter().map(pulled).collect()),
            peers: peers.iter().map(peer).collect(),
            flights: Mutex::default(),
            refusals: Refusals::default(),
            visited: Mutex::default(),
            per_address: Mutex::default(),
            untold: Mutex::default(),
            has_untold: Notify::new(),
            adoptions: AdoptionCounts::default(),
            crowded: Crowded::default(),
        }
    }

    pub(super) fn peer(&self, cluster: &ClusterId) -> Option<&PeerState> {
        self.peers.iter().find(|peer| peer.cluster == *cluster)
    }

    /// Whether a session may be made without its origin's word (S-16).
    pub(super) fn may_create(&self, now: Timestamp) -> Result<(), LeaseOver> {
        self.with_lease(|lease| lease.may_create(now))
    }

    /// Whether a session may be honoured whose chain names these data centres (S-15, S-16).
    pub(super) fn honours<'c>(
        &self,
        chain: impl Iterator<Item = &'c ClusterId>,
        facts: &SsoFacts,
        now: Timestamp,
    ) -> Result<(), LeaseOver> {
        self.with_lease(|lease| lease.honours(chain, facts, now))
    }

    fn with_lease<T>(&self, judge: impl FnOnce(&Lease<'_>) -> T) -> T {
        let peers = self.pulled.load();
        judge(&Lease {
            began: self.began,
            hard_skew: self.settings.skew.hard,
            term: self.settings.partition_lease,
            peers: &peers,
        })
    }

    /// How far the end log of a peer has been read.
    pub(super) fn pulled(&self, peer: &ClusterId) -> Option<Pulled> {
        let all = self.pulled.load();
        all.iter().find(|(known, _)| known == peer)?.1
    }

    /// Notes that the end log of a peer was read to its end.
    pub(super) fn note_pulled(&self, peer: &ClusterId, pulled: Pulled) {
        self.pulled.rcu(|all| {
            let mut all = Vec::clone(all);
            let known = all.iter_mut().find(|(known, _)| known == peer);
            known.into_iter().for_each(|(_, read)| *read = Some(pulled));
            all
        });
    }

    /// Takes the lead of an adoption, or tells who has it.
    pub(super) fn board(&self, sso: SsoId) -> Boarding<'_> {
        match self.flights.lock().entry(sso) {
            std::collections::hash_map::Entry::Occupied(flight) => {
                // It listens from here on, while the flight cannot end.
                Boarding::Wait(Arc::clone(flight.get()).notified_owned())
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(Arc::new(Notify::new()));
                Boarding::Lead(Flight {
                    federation: self,
                    sso,
                })
            }
        }
    }

    /// Takes a place among the adoptions of a client address; none is left where it has too many.
    pub(super) fn seat(&self, address: IpAddr) -> Option<Seat<'_>> {
        let network = Network::of(address);
        let mut seats = self.per_address.lock();
        let taken = seats.entry(network).or_insert(0);
        if *taken >= self.settings.adoptions_per_address_max {
            return None;
        }
        *taken += 1;
        Some(Seat {
            federation: self,
            network,
        })
    }

    /// The application hosts of a session that another data centre ended a moment ago.
    pub(super) fn visited(&self, sso: &SsoId, now: Timestamp) -> Vec<HostName> {
        let visited = self.visited.lock();
        let noted = visited.get(sso);
        noted
            .filter(|(at, _)| now.since(*at) < VISITED_LIFETIME)
            .map_or_else(Vec::new, |(_, hosts)| hosts.clone())
    }

    pub(super) fn note_visited(&self, sso: SsoId, hosts: &[HostName], now: Timestamp) {
        if hosts.is_empty() {
            return;
        }
        let mut visited = self.visited.lock();
        if visited.len() >= VISITED_MAX {
            visited.retain(|_, (at, _)| now.since(*at) < VISITED_LIFETIME);
        }
        if visited.len() < VISITED_MAX {
            visited.insert(sso, (now, hosts.to_vec()));
        }
    }

    /// Puts ends by to be told to the peers at once. What does not fit is read by them later (S-15).
    pub(super) fn tell_later(&self, end: End) {
        let mut untold = self.untold.lock();
        if untold.len() < ENDS_MAX {
            untold.push(end);
        }
        self.has_untold.notify_one();
    }

    /// Waits for ends to tell, and takes them.
    pub(super) async fn untold(&self) -> Vec<End> {
        loop {
            let ends = std::mem::take(&mut *self.untold.lock());
            if !ends.is_empty() {
                return ends;
            }
            self.has_untold.notified().await;
        }
    }
}

impl PeerState {
    /// Takes the reading of the end log out; none while somebody else is at it.
    pub(super) fn take_following(&self) -> Option<Following> {
        self.following.lock().take()
    }

    pub(super) fn put_following(&self, following: Following) {
        *self.following.lock() = Some(following);
    }

    pub(super) fn note_greeting(&self, greeted: Greeted) {
        *self.greeted.lock() = Some(greeted);
    }

    pub(super) fn greeted(&self) -> Option<Greeted> {
        self.greeted.lock().clone()
    }

    /// Notes how far the peer says to have read the own end log.
    pub(super) fn note_read(&self, position: Position) {
        self.has_read.store(position.0, Ordering::Relaxed);
    }

    /// How far the peer has read the own end log; its beginning if it has not asked yet.
    pub(super) fn has_read(&self) -> Position {
        Position(self.has_read.load(Ordering::Relaxed))
    }

    /// Whether the clocks were found too far apart to adopt from this peer (S-22).
    pub(super) fn is_beyond_skew(&self) -> bool {
        let greeted = self.greeted.lock();
        greeted
            .as_ref()
            .is_some_and(|said| said.skew == Skew::Beyond)
    }

    /// Takes a place among the questions to this peer, if there is one.
    pub(super) fn question(&self, most: usize) -> Option<Question<'_>> {
        let question = Question(&self.asking);
        let before = self.asking.fetch_add(1, Ordering::AcqRel);
        (before < most).then_some(question)
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if let Some(bell) = self.federation.flights.lock().remove(&self.sso) {
            bell.notify_waiters();
        }
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut seats = self.federation.per_address.lock();
        if let Some(taken) = seats.get_mut(&self.network) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.network);
            }
        }
    }
}

/// How long it is known where an ended session had been: longer than a sign-out waits for its peers.
const VISITED_LIFETIME: Duration = Duration::from_secs(10);
/// Ended sessions of which that is kept in mind.
const VISITED_MAX: usize = 4096;

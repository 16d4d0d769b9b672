//! The places of connections at the listening end: all of them are counted, and those that have proven
//! nothing yet are bounded, in number here and in time by `handshakes` (R12).
//!
//! Whoever does not come too fast finds a place: where there is none, the connection that has waited longest without
//! a proof gives way. A peer proves itself within a moment, so a crowd that says nothing pushes itself out,
//! not the peer. A network from which somebody has proven itself before has places of its own: strangers
//! elsewhere do not even make it hurry.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::backchannel::handshakes;
use crate::backchannel::handshakes::Group;
use crate::backchannel::handshakes::Handshakes;
use crate::model::network::Network;
use crate::model::time::Timestamp;

/// Counts connections: all of them, and those that have proven nothing yet by network.
#[derive(Debug, Default)]
pub(super) struct Places {
    open: AtomicUsize,
    unproven: Mutex<Unproven>,
    closed: Notify,
}

#[derive(Debug)]
struct Unproven {
    next: u64,
    /// By number, so the oldest first.
    waiting: BTreeMap<u64, Waiting>,
    /// Networks from which somebody has proven itself, with the number of the last that did.
    returning: HashMap<Network, u64>,
    /// What strangers have begun lately, and what those have.
    by_strangers: Handshakes,
    by_returning: Handshakes,
}

impl Default for Unproven {
    fn default() -> Self {
        Self {
            next: 0,
            waiting: BTreeMap::new(),
            returning: HashMap::new(),
            by_strangers: Handshakes::new(handshakes::STRANGERS),
            by_returning: Handshakes::new(handshakes::RETURNING),
        }
    }
}

/// A connection that has proven nothing yet.
#[derive(Debug)]
struct Waiting {
    address: IpAddr,
    network: Network,
    group: Group,
    evicted: Arc<Notify>,
}

impl Places {
    /// Takes a place; answers also who had to give way for it. There is none for whoever comes too fast.
    pub(super) fn take(
        places: &Arc<Self>,
        address: IpAddr,
        now: Timestamp,
    ) -> Option<(Place, Option<IpAddr>)> {
        let network = Network::of(address);
        let evicted = Arc::new(Notify::new());
        let mut unproven = places.unproven.lock();
        let group = unproven.group(network);
        if !unproven.may_begin(network, group, now) {
            return None;
        }
        let gave_way = unproven.make_room(network, group);
        let number = unproven.next;
        unproven.next = number.wrapping_add(1);
        let waiting = Waiting {
            address,
            network,
            group,
            evicted: Arc::clone(&evicted),
        };
        unproven.waiting.insert(number, waiting);
        places.open.fetch_add(1, Ordering::AcqRel);
        let place = Place {
            places: Arc::clone(places),
            number,
            network,
            evicted,
        };
        Some((place, gave_way))
    }

    /// Connections that are open now.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open() == 0 {
                return;
            }
            closed.await;
        }
    }
}

impl Unproven {
    fn group(&self, network: Network) -> Group {
        if self.returning.contains_key(&network) {
            Group::Returning
        } else {
            Group::Strangers
        }
    }

    fn may_begin(&mut self, network: Network, group: Group, now: Timestamp) -> bool {
        match group {
            Group::Returning => self.by_returning.begin(network, now),
            Group::Strangers => self.by_strangers.begin(network, now),
        }
    }

    /// Has the oldest connection give way if there is no room for another one.
    fn make_room(&mut self, network: Network, group: Group) -> Option<IpAddr> {
        let oldest = match group {
            Group::Strangers => self
                .oldest(PER_STRANGER_MAX, |waiting| waiting.network == network)
                .or_else(|| self.oldest(STRANGERS_MAX, |waiting| waiting.group == group)),
            Group::Returning => self.oldest(RETURNING_MAX, |waiting| waiting.group == group),
        }?;
        let waiting = self.waiting.remove(&oldest)?;
        waiting.evicted.notify_one();
        Some(waiting.address)
    }

    /// The oldest of a kind, if there are so many of it.
    fn oldest(&self, max: usize, is_of: impl Fn(&Waiting) -> bool) -> Option<u64> {
        let of_kind = self.waiting.iter().filter(|(_, waiting)| is_of(waiting));
        let mut numbers = of_kind.map(|(number, _)| *number);
        let first = numbers.next()?;
        (numbers.count().saturating_add(1) >= max).then_some(first)
    }

    /// Remembers a network for the next time.
    fn remember(&mut self, network: Network, number: u64) {
        self.returning.insert(network, number);
        if self.returning.len() > NETWORKS_MAX {
            let longest_ago = self.returning.iter().min_by_key(|(_, number)| **number);
            if let Some(network) = longest_ago.map(|(network, _)| *network) {
                self.returning.remove(&network);
            }
        }
    }
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    network: Network,
    evicted: Arc<Notify>,
}

impl Place {
    /// Waits until the connection has to give way to another one.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    /// The caller has proven who it is: its own bounds hold from here on.
    pub(super) fn proven(&self) {
        let mut unproven = self.places.unproven.lock();
        unproven.waiting.remove(&self.number);
        unproven.remember(self.network, self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.unproven.lock().waiting.remove(&self.number);
        self.places.open.fetch_sub(1, Ordering::AcqRel);
        self.places.closed.notify_waiters();
    }
}

/// Connections that have proven nothing yet, from networks that have not either: in all, and from one.
const STRANGERS_MAX: usize = 256;
const PER_STRANGER_MAX: usize = 32;
/// The same, from networks from which somebody has proven itself: a balancer may stand before all peers.
const RETURNING_MAX: usize = 256;
/// Networks that are remembered; only peers get here.
const NETWORKS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::net::Ipv6Addr;

    use futures_util::FutureExt;

    use super::*;

    fn v4(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    fn v6(network: u16, host: u16) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, network, 1, 2, 3, host).into()
    }

    /// Takes a place, long after whoever came before.
    fn take(places: &Arc<Places>, address: IpAddr) -> (Place, Option<IpAddr>) {
        let now = Timestamp::from_millis(places.unproven.lock().next * 60_000);
        Places::take(places, address, now).expect("nobody comes too fast")
    }

    fn is_evicted(place: &Place) -> bool {
        place.evicted().now_or_never().is_some()
    }

    /// R12
    #[test]
    fn the_oldest_of_a_network_gives_way_to_the_next_one() {
        let places = Arc::new(Places::default());
        let first = take(&places, v4(1)).0;
        let second = take(&places, v4(1)).0;
        let elsewhere = take(&places, v4(2)).0;
        let rest: Vec<_> = (2..PER_STRANGER_MAX)
            .map(|_| take(&places, v4(1)))
            .collect();
        assert!(rest.iter().all(|(_, gave_way)| gave_way.is_none()));
        let (newest, gave_way) = take(&places, v4(1));
        assert_eq!(gave_way, Some(v4(1)));
        assert!(is_evicted(&first));
        assert!(![&second, &elsewhere, &newest].into_iter().any(is_evicted));
        drop(second);
        let (_another, gave_way) = take(&places, v4(1));
        assert_eq!(gave_way, None, "a place was given back");
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one() {
        let places = Arc::new(Places::default());
        let crowd: Vec<_> = (0..100).map(|host| take(&places, v6(1, host))).collect();
        let other = take(&places, v6(2, 0));
        let evicted = crowd.iter().filter(|(place, _)| is_evicted(place)).count();
        assert_eq!(evicted, 100 - PER_STRANGER_MAX);
        assert_eq!(other.1, None);
    }

    #[test]
    fn strangers_do_not_take_the_places_of_networks_that_have_proven_themselves() {
        let places = Arc::new(Places::default());
        let before = take(&places, v4(1)).0;
        before.proven();
        let peer = take(&places, v4(1)).0;
        let crowd: Vec<_> = (2..1000).map(|number| take(&places, v4(number))).collect();
        assert!(!is_evicted(&peer));
        assert!(!is_evicted(&before), "whoever has proven itself stays");
        let evicted = crowd.iter().filter(|(place, _)| is_evicted(place)).count();
        assert_eq!(evicted, 998 - STRANGERS_MAX);
        assert_eq!(places.open(), 1000);
        drop((before, peer, crowd));
        assert_eq!(places.open(), 0);
        assert!(places.unproven.lock().waiting.is_empty());
    }

    #[test]
    fn the_networks_that_are_remembered_are_bounded() {
        let places = Arc::new(Places::default());
        for number in 0..2000 {
            take(&places, v4(number)).0.proven();
        }
        let returning = places.unproven.lock().returning.len();
        assert_eq!(returning, NETWORKS_MAX);
        let last = take(&places, v4(1999)).0;
        assert_eq!(places.unproven.lock().group(last.network), Group::Returning);
    }

    #[test]
    fn whoever_comes_too_fast_finds_no_place_until_it_has_proven_itself() {
        let places = Arc::new(Places::default());
        let now = Timestamp::from_millis(60_000);
        let come = || Places::take(&places, v4(1), now);
        let first = come().unwrap().0;
        let strangers = handshakes::STRANGERS.network.burst;
        let taken: Vec<_> = std::iter::from_fn(come).collect();
        assert_eq!(taken.len() as u64, strangers - 1);
        assert!(Places::take(&places, v4(2), now).is_some());
        first.proven();
        assert!(come().is_some());
    }
}

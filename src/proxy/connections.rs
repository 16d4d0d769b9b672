//! Counts connections, in all and by the client's address, and bounds both. Of an IPv6 address its network
//! counts: who has one address of those has all of them. A trusted proxy has as many clients as it likes, so that
//! only the connections in all are bounded there.
//!
//! Accepting and closing them is the edge loop's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::decision::forwarded::is_trusted;
use crate::model::network::Network;
use crate::proxy::serving::Serving;

/// The open connections, in all and by address.
#[derive(Debug, Default)]
pub(super) struct Connections {
    open: AtomicUsize,
    by_network: Mutex<HashMap<Network, usize>>,
    closed: Notify,
}

impl Connections {
    /// A place for one more connection, from an address if that is known; none when there are too many.
    pub(super) fn admit(
        self: &Arc<Self>,
        address: Option<IpAddr>,
        serving: &Serving,
    ) -> Option<Place> {
        let mut place = self.admit_at_most(serving.limits.connections_max)?;
        let is_counted = address.is_none_or(|address| place.count_for(address, serving));
        is_counted.then_some(place)
    }

    fn admit_at_most(self: &Arc<Self>, most: usize) -> Option<Place> {
        let one_more = |open: usize| (open < most).then_some(open + 1);
        let counted = self
            .open
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more);
        counted.ok().map(|_| Place {
            connections: Arc::clone(self),
            network: None,
        })
    }

    /// How many there are.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    /// Waits until there is none.
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

/// The place that one connection takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    /// Where it is counted besides.
    network: Option<Network>,
}

impl Place {
    /// Counts it as one of an address, unless that has too many.
    pub(super) fn count_for(&mut self, address: IpAddr, serving: &Serving) -> bool {
        let most = if is_trusted(address, &serving.trusted_proxies) {
            usize::MAX
        } else {
            serving.limits.connections_per_address_max
        };
        self.count_at_most(Network::of(address), most)
    }

    fn count_at_most(&mut self, network: Network, most: usize) -> bool {
        let mut by_network = self.connections.by_network.lock();
        let here = by_network.get(&network).copied().unwrap_or_default();
        let is_counted = here < most && self.network.is_none();
        if is_counted {
            by_network.insert(network, here + 1);
            self.network = Some(network);
        }
        is_counted
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(network) = self.network {
            let mut by_network = self.connections.by_network.lock();
            match by_network.get_mut(&network) {
                Some(here @ 2..) => *here -= 1,
                Some(_) | None => drop(by_network.remove(&network)),
            }
        }
        self.connections.open.fetch_sub(1, Ordering::AcqRel);
        self.connections.closed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(connections: &Arc<Connections>, address: &str) -> Option<Place> {
        let mut place = connections.admit_at_most(4)?;
        let network = Network::of(address.parse().unwrap());
        place.count_at_most(network, 2).then_some(place)
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_their_places() {
        let connections = Arc::new(Connections::default());
        let first = admit(&connections, "2001:db8::1");
        let second = admit(&connections, "2001:db8::2");
        assert!(first.is_some() && second.is_some());
        assert!(admit(&connections, "2001:db8::3").is_none());
        let elsewhere = admit(&connections, "2001:db8:0:1::1");
        let old = admit(&connections, "192.0.2.1");
        assert!(elsewhere.is_some() && old.is_some());
        assert!(admit(&connections, "192.0.2.2").is_none(), "all are taken");
        drop(first);
        assert!(admit(&connections, "2001:db8::3").is_some());
        drop((second, elsewhere, old));
        assert_eq!(connections.open(), 0);
        assert!(connections.by_network.lock().is_empty());
    }
}

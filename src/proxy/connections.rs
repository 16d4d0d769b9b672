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
    /// A place for one more connection from an address; none when there are too many.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr, serving: &Serving) -> Option<Place> {
        let limits = &serving.limits;
        let here_max = if is_trusted(address, &serving.trusted_proxies) {
            usize::MAX
        } else {
            limits.connections_per_address_max
        };
        self.admit_at_most(Network::of(address), (here_max, limits.connections_max))
    }

    fn admit_at_most(
        self: &Arc<Self>,
        network: Network,
        (here_max, total_max): (usize, usize),
    ) -> Option<Place> {
        let mut by_network = self.by_network.lock();
        let here = by_network.get(&network).copied().unwrap_or_default();
        if here >= here_max || self.open() >= total_max {
            return None;
        }
        by_network.insert(network, here + 1);
        self.open.fetch_add(1, Ordering::AcqRel);
        Some(Place {
            connections: Arc::clone(self),
            network,
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
    network: Network,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_network = self.connections.by_network.lock();
        if let Some(here) = by_network.get_mut(&self.network) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                by_network.remove(&self.network);
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
        connections.admit_at_most(Network::of(address.parse().unwrap()), (2, 4))
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

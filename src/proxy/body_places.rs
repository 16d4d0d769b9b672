//! Places for the bodies that are being read to be kept while their users sign in: a share of them for each
//! client, so that one that sends slowly leaves room for the others' (D-22).
//!
//! What is kept once it has been read is counted by `decision::kept_posts`, by the same bounds.

use std::collections::HashMap;
use std::net::IpAddr;

use parking_lot::Mutex;

use crate::decision::kept_posts::KeptRules;
use crate::model::network::Network;

/// The places, in all and by address.
#[derive(Debug)]
pub(super) struct BodyPlaces {
    rules: KeptRules,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_network: HashMap<Network, usize>,
}

impl BodyPlaces {
    /// All of them free.
    pub(super) fn new(rules: KeptRules) -> Self {
        Self {
            rules,
            taken: Mutex::default(),
        }
    }

    /// A place for a body from an address; none where that address or all together have as many as they may.
    pub(super) fn take(&self, address: IpAddr) -> Option<BodyPlace<'_>> {
        let network = Network::of(address);
        let mut taken = self.taken.lock();
        let here = taken.by_network.get(&network).copied().unwrap_or_default();
        if taken.all >= self.rules.posts_max || here >= self.rules.per_address_max {
            return None;
        }
        taken.all += 1;
        taken.by_network.insert(network, here + 1);
        Some(BodyPlace {
            places: self,
            network,
        })
    }
}

/// The place of one body, until it is dropped.
#[derive(Debug)]
pub(super) struct BodyPlace<'p> {
    places: &'p BodyPlaces,
    network: Network,
}

impl Drop for BodyPlace<'_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        taken.all -= 1;
        match taken.by_network.get_mut(&self.network) {
            Some(here @ 2..) => *here -= 1,
            Some(_) | None => drop(taken.by_network.remove(&self.network)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> BodyPlaces {
        BodyPlaces::new(KeptRules {
            posts_max: 5,
            per_address_max: 2,
            ..KeptRules::default()
        })
    }

    fn take<'p>(places: &'p BodyPlaces, address: &str) -> Option<BodyPlace<'p>> {
        places.take(address.parse().unwrap())
    }

    #[test]
    fn one_address_leaves_places_to_others_d_22() {
        let places = places();
        let first = take(&places, "192.0.2.1");
        let second = take(&places, "192.0.2.1");
        assert!(first.is_some() && second.is_some());
        assert!(take(&places, "192.0.2.1").is_none());
        let other = take(&places, "192.0.2.2");
        assert!(other.is_some());
        drop(first);
        assert!(take(&places, "192.0.2.1").is_some());
        drop((second, other));
        let taken = places.taken.lock();
        assert_eq!(taken.all, 0);
        assert!(taken.by_network.is_empty());
    }

    #[test]
    fn an_ipv6_network_is_one_client_and_there_are_so_many_in_all_d_22() {
        let places = places();
        let addresses = [
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8::3",
            "2001:db8:0:1::1",
            "2001:db8:0:1::2",
            "2001:db8:0:2::1",
        ];
        let held = addresses.map(|address| take(&places, address));
        let is_held: Vec<bool> = held.iter().map(Option::is_some).collect();
        assert_eq!(is_held, [true, true, false, true, true, true]);
        assert!(take(&places, "192.0.2.1").is_none(), "all are taken");
    }
}

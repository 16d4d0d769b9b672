//! Who may begin a handshake now: a token bucket for each network, and one for all of them (R12).
//!
//! A handshake costs a signature, and whoever can connect can ask for one; how many are under way is bounded
//! in `places`, how many there may be in a second here. Nothing here waits, locks or looks at a clock.

use std::collections::HashMap;
use std::time::Duration;

use crate::model::network::Network;
use crate::model::time::Timestamp;

/// Whom a connection shares its bounds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// Networks from which somebody has proven itself before.
    Returning,
    /// All others.
    Strangers,
}

/// What one group has begun lately.
#[derive(Debug)]
pub(super) struct Handshakes {
    bounds: Bounds,
    all: Bucket,
    networks: HashMap<Network, Bucket>,
    tidied: Timestamp,
}

/// How many handshakes there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// From all networks together.
    pub(super) all: Rate,
    /// From one.
    pub(super) network: Rate,
}

/// So many at once, and so many a second from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) burst: u64,
    pub(super) per_second: u64,
}

impl Handshakes {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            all: Bucket::default(),
            networks: HashMap::new(),
            tidied: Timestamp::default(),
        }
    }

    /// Whether a network may begin another one now; if so, it is counted.
    ///
    /// The last half of what is left for all is for networks that have begun few lately: whoever comes again
    /// and again takes from its like, and not from a peer that comes for the first time.
    pub(super) fn begin(&mut self, network: Network, now: Timestamp) -> bool {
        self.tidy(now);
        let Bounds { all, network: own } = self.bounds;
        let is_full = self.networks.len() >= NETWORKS_MAX && !self.networks.contains_key(&network);
        self.all.refill(all, now);
        let mut bucket = match self.networks.get(&network) {
            Some(bucket) => *bucket,
            // Of whoever cannot be remembered nothing good is assumed.
            None if is_full => Bucket::used(FEW, now),
            None => Bucket::default(),
        };
        bucket.refill(own, now);
        let reserve = if bucket.spent < FEW * WHOLE {
            0
        } else {
            all.burst / 2
        };
        let may = self.all.tokens(all) > reserve && bucket.tokens(own) > 0;
        if may {
            self.all.take();
            bucket.take();
        }
        if !is_full {
            self.networks.insert(network, bucket);
        }
        may
    }

    /// Forgets the networks whose buckets are full again, now and then.
    fn tidy(&mut self, now: Timestamp) {
        let was_just_done = self.tidied <= now && now.since(self.tidied) < TIDY_EVERY;
        if was_just_done || self.networks.len() < NETWORKS_MAX {
            return;
        }
        self.tidied = now;
        let own = self.bounds.network;
        self.networks.retain(|_, bucket| {
            bucket.refill(own, now);
            bucket.spent > 0
        });
    }
}

/// What has been taken of a rate, as it was at a moment; by default nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// In thousandths.
    spent: u64,
    at: Timestamp,
}

impl Bucket {
    const fn used(tokens: u64, at: Timestamp) -> Self {
        Self {
            spent: tokens.saturating_mul(WHOLE),
            at,
        }
    }

    /// Gives back what has come in since; a clock that was set back gives nothing.
    fn refill(&mut self, rate: Rate, now: Timestamp) {
        let passed = now.since(self.at).as_millis();
        let gained = u64::try_from(passed).unwrap_or(u64::MAX);
        let gained = gained.saturating_mul(rate.per_second);
        self.spent = self.spent.saturating_sub(gained);
        self.at = now;
    }

    const fn tokens(&self, rate: Rate) -> u64 {
        rate.burst.saturating_sub(self.spent.div_ceil(WHOLE))
    }

    const fn take(&mut self) {
        self.spent = self.spent.saturating_add(WHOLE);
    }
}

/// A token, in the unit that a bucket counts in: what one a second makes in a millisecond.
const WHOLE: u64 = 1000;
/// For strangers: of a first start, where a federation of a thousand nodes connects at once, none is turned
/// away; of a crowd that goes on, what a fraction of a thread can sign.
pub(super) const STRANGERS: Bounds = Bounds {
    all: Rate {
        burst: 2048,
        per_second: 128,
    },
    network: Rate {
        burst: 256,
        per_second: 2,
    },
};
/// For networks from which somebody has proven itself: a balancer may stand before all peers.
pub(super) const RETURNING: Bounds = Bounds {
    all: Rate {
        burst: 4096,
        per_second: 512,
    },
    network: Rate {
        burst: 2048,
        per_second: 256,
    },
};
/// What a node begins when it comes for the first time, and more.
const FEW: u64 = 16;
/// Networks that are counted one by one.
const NETWORKS_MAX: usize = 4096;
const TIDY_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn network(number: u32) -> Network {
        Network::of(Ipv4Addr::from_bits(number).into())
    }

    /// How many of so many a network may begin at one moment.
    fn begun(handshakes: &mut Handshakes, from: u32, tries: u64, now: Timestamp) -> u64 {
        let begun = (0..tries).filter(|_| handshakes.begin(network(from), now));
        begun.count() as u64
    }

    /// R12
    #[test]
    fn a_large_federation_that_connects_at_once_is_let_in_as_a_whole() {
        let mut handshakes = Handshakes::new(STRANGERS);
        for node in 0..1000 {
            assert_eq!(begun(&mut handshakes, node, 2, BEGINNING), 2, "{node}");
        }
        // Behind one address, as soon as the first of them has proven itself.
        let mut handshakes = Handshakes::new(RETURNING);
        assert_eq!(begun(&mut handshakes, 1, 2000, BEGINNING), 2000);
        // And again at every restart of the other end, a few seconds later.
        let later = BEGINNING.after(Duration::from_secs(8));
        assert_eq!(begun(&mut handshakes, 1, 2000, later), 2000);
    }

    /// R12
    #[test]
    fn a_stranger_that_comes_as_fast_as_it_can_gets_what_it_may_and_the_others_theirs() {
        let mut handshakes = Handshakes::new(STRANGERS);
        let Rate { burst, per_second } = STRANGERS.network;
        let (mut taken, seconds) = (0, 60);
        for second in 0..seconds {
            for tick in 0..10 {
                let span = Duration::from_millis(second * 1000 + tick * 100);
                taken += begun(&mut handshakes, 1, 1000, BEGINNING.after(span));
            }
            let now = BEGINNING.after(Duration::from_millis(second * 1000 + 900));
            let peer = 100 + u32::try_from(second).unwrap();
            assert_eq!(begun(&mut handshakes, peer, 4, now), 4, "{second}");
        }
        assert!(taken <= burst + per_second * seconds, "{taken}");
        assert!(taken >= burst, "{taken}");
    }

    /// R12
    #[test]
    fn a_crowd_that_comes_again_and_again_leaves_room_for_who_comes_first() {
        let mut handshakes = Handshakes::new(STRANGERS);
        let mut taken = 0;
        for second in 0..60 {
            let now = BEGINNING.after(Duration::from_secs(second));
            for stranger in 0..50 {
                taken += begun(&mut handshakes, stranger, 300, now);
            }
            let peer = 100 + u32::try_from(second).unwrap();
            assert_eq!(begun(&mut handshakes, peer, 1, now), 1, "{second}");
        }
        let Rate { burst, per_second } = STRANGERS.all;
        assert!(taken <= burst + per_second * 60, "{taken}");
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing_and_takes_nothing() {
        let mut handshakes = Handshakes::new(STRANGERS);
        let burst = STRANGERS.network.burst;
        assert_eq!(begun(&mut handshakes, 1, burst + 1, BEGINNING), burst);
        let back = BEGINNING.before(Duration::from_hours(1));
        assert_eq!(begun(&mut handshakes, 1, 1, back), 0);
        assert_eq!(begun(&mut handshakes, 2, 1, back), 1);
        let later = back.after(Duration::from_secs(1));
        assert_eq!(begun(&mut handshakes, 1, 10, later), 2);
    }

    #[test]
    fn networks_are_counted_within_a_bound_and_those_at_rest_forgotten() {
        let mut handshakes = Handshakes::new(RETURNING);
        let crowd = u32::try_from(NETWORKS_MAX).unwrap() + 100;
        for stranger in 0..crowd {
            handshakes.begin(network(stranger), BEGINNING);
        }
        assert_eq!(handshakes.networks.len(), NETWORKS_MAX);
        let later = BEGINNING.after(Duration::from_secs(10));
        assert!(handshakes.begin(network(1), later));
        assert_eq!(handshakes.networks.len(), 1);
    }
}

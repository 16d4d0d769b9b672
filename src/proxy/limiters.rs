//! What clients have taken of what they may take: by rule and address, and by rule and user.
//!
//! It outlives configurations: a rule that a reload leaves as it is goes on where it was. How much is too much is
//! `decision::rate`'s to say, and `allowances` asks.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::decision::rate::RequestRate;
use crate::decision::rate::table::Dues;
use crate::decision::rate::table::Place;
use crate::telemetry::complaints::Complaints;

/// What clients have taken.
#[derive(Debug)]
pub struct Limiters {
    began: Instant,
    seeds: [RandomState; 2],
    /// Made when the first rule asks: most gateways have none.
    dues: OnceLock<Vec<Mutex<Dues>>>,
    /// Which clients were complained about lately.
    pub(super) complaints: Complaints,
}

/// A rule, as far as what was counted by it is concerned: the same as long as it is written alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RuleId(u64);

impl Default for Limiters {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            seeds: [RandomState::new(), RandomState::new()],
            dues: OnceLock::new(),
            complaints: Complaints::default(),
        }
    }
}

impl Limiters {
    /// The rule that is written like this.
    pub(super) fn rule(&self, written: impl Hash) -> RuleId {
        let [seed, _] = &self.seeds;
        RuleId(seed.hash_one(written))
    }

    /// Where what somebody takes by a rule is counted.
    pub(super) fn place(&self, rule: RuleId, client: impl Hash) -> Place {
        let [bucket, mark] = &self.seeds;
        Place {
            bucket: bucket.hash_one((rule, &client)),
            mark: mark.hash_one((rule, client)),
        }
    }

    /// Counts one more request, if it may come now.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn admit(&self, place: Place, rate: &RequestRate) -> Result<(), Duration> {
        let now = self.now();
        self.with_due(place, |due| {
            *due = rate.admit(*due, now)?;
            Ok(())
        })
        .unwrap_or(Ok(()))
    }

    /// Nanoseconds since the beginning.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn with_due<T>(&self, place: Place, with: impl FnOnce(&mut u64) -> T) -> Option<T> {
        let shards = self.dues.get_or_init(|| {
            let shard = || Mutex::new(Dues::new(PLACES / SHARDS));
            std::iter::repeat_with(shard).take(SHARDS).collect()
        });
        let mut shard = shards.get(shard_of(place))?.lock();
        shard.at(place).map(with)
    }
}

/// The upper bits; the lower ones choose the bucket.
fn shard_of(place: Place) -> usize {
    usize::try_from(place.bucket >> SHARD_SHIFT).unwrap_or_default()
}

/// Threads that count at the same time rarely meet in one.
const SHARDS: usize = 64;
const SHARD_SHIFT: u32 = u64::BITS - SHARDS.trailing_zeros();
/// Clients that are counted at the same time, over all rules; 16 bytes each.
const PLACES: usize = 1 << 17;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::model::network::Network;

    fn network(address: &str) -> Network {
        Network::of(address.parse::<IpAddr>().unwrap())
    }

    fn hourly(burst: u32) -> RequestRate {
        RequestRate::new(1, Duration::from_hours(1), burst)
    }

    #[test]
    fn rules_and_clients_are_counted_apart_and_networks_together() {
        let limiters = Limiters::default();
        let rules = [limiters.rule("a"), limiters.rule("b")];
        let take = |rule, address| {
            let place = limiters.place(rule, network(address));
            limiters.admit(place, &hourly(1)).is_ok()
        };
        assert!(take(rules[0], "2001:db8::1"));
        assert!(!take(rules[0], "2001:db8::2"), "the same network");
        assert!(take(rules[0], "2001:db8:0:1::1"));
        assert!(take(rules[1], "2001:db8::1"));
        assert_eq!(limiters.rule("a"), rules[0]);
    }

    #[test]
    fn threads_together_are_admitted_no_more_than_the_burst() {
        let limiters = Limiters::default();
        let place = limiters.place(limiters.rule("a"), "somebody");
        let admitted = || (0..1000).filter(|_| limiters.admit(place, &hourly(37)).is_ok());
        let total: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| admitted().count())).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(total, 37);
    }

    #[test]
    fn more_clients_than_places_take_no_more_memory_and_those_who_owe_stay() {
        let limiters = Limiters::default();
        let rule = limiters.rule("a");
        let take = |client: u64, burst| {
            let place = limiters.place(rule, client);
            limiters.admit(place, &hourly(burst))
        };
        for _ in 0..20 {
            take(0, 20).unwrap();
        }
        for client in 1..300_000 {
            take(client, 20).unwrap();
        }
        assert!(take(0, 20).is_err(), "it owes more than any of the crowd");
    }
}

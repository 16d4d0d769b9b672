//! What clients have taken of what they may take: by rule and address, and by rule and user.
//!
//! It outlives configurations: a rule that a reload leaves as it is goes on where it was. How much is too much is
//! `decision::rate`'s to say, and `allowances` asks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::decision::rate::ByteRate;
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
    /// Requests in flight that count: never more places than there are such.
    held: [Mutex<HashMap<Place, usize>>; SHARDS],
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
            held: std::array::from_fn(|_| Mutex::default()),
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

    /// Counts bytes, and says how long they have to wait.
    pub(super) fn take(&self, place: Place, rate: &ByteRate, bytes: usize) -> Duration {
        let now = self.now();
        let wait = self.with_due(place, |due| {
            let (then, wait) = rate.take(*due, now, bytes);
            *due = then;
            wait
        });
        wait.unwrap_or_default()
    }

    /// Bytes that were counted, and have so long `left` to wait for this rate, never pass: those that come after need
    /// not wait for them.
    pub(super) fn give_back(&self, place: Place, rate: &ByteRate, bytes: usize, left: Duration) {
        self.with_due(place, |due| *due = rate.give_back(*due, bytes, left));
    }

    /// How long bytes would have to wait for those that wait already.
    pub(super) fn backlog(&self, place: Place, rate: &ByteRate) -> Duration {
        let now = self.now();
        let wait = self.with_due(place, |due| rate.wait(*due, now));
        wait.unwrap_or_default()
    }

    /// Counts one more request in flight, if there are fewer than `most`.
    fn hold(&self, place: Place, most: usize) -> bool {
        let Some(shard) = self.held.get(shard_of(place)) else {
            return true;
        };
        match shard.lock().entry(place) {
            Entry::Vacant(vacant) => {
                vacant.insert(1);
                true
            }
            Entry::Occupied(occupied) if *occupied.get() >= most => false,
            Entry::Occupied(mut occupied) => {
                *occupied.get_mut() += 1;
                true
            }
        }
    }

    fn let_go(&self, place: Place) {
        let Some(shard) = self.held.get(shard_of(place)) else {
            return;
        };
        if let Entry::Occupied(mut occupied) = shard.lock().entry(place) {
            *occupied.get_mut() -= 1;
            if *occupied.get() == 0 {
                occupied.remove();
            }
        }
    }

    /// Nanoseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
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

/// The places that a request takes while it is in flight, until it is dropped.
#[derive(Debug, Default)]
pub struct Held {
    limiters: Option<Arc<Limiters>>,
    places: [Option<Place>; PLACES_OF_ONE],
}

impl Held {
    /// Takes one more place, if fewer than `most` are taken there.
    ///
    /// # Errors
    /// When as many are.
    pub(super) fn take(
        &mut self,
        limiters: &Arc<Limiters>,
        place: Place,
        most: usize,
    ) -> Result<(), Full> {
        let mut places = self.places.iter_mut();
        let Some(free) = places.find(|place| place.is_none()) else {
            return Err(Full);
        };
        if !limiters.hold(place, most) {
            return Err(Full);
        }
        *free = Some(place);
        self.limiters.get_or_insert_with(|| Arc::clone(limiters));
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(limiters) = &self.limiters {
            for place in self.places.iter().flatten() {
                limiters.let_go(*place);
            }
        }
    }
}

/// As many requests are in flight as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("as many requests are in flight as may be")]
pub(super) struct Full;

/// The upper bits; the lower ones choose the bucket.
fn shard_of(place: Place) -> usize {
    usize::try_from(place.bucket >> SHARD_SHIFT).unwrap_or_default()
}

/// Threads that count at the same time rarely meet in one.
const SHARDS: usize = 64;
const SHARD_SHIFT: u32 = u64::BITS - SHARDS.trailing_zeros();
/// By address and by user, for the virtual host and for the route.
const PLACES_OF_ONE: usize = 4;
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
    fn what_is_given_back_is_in_nobodys_way() {
        let limiters = Limiters::default();
        let place = limiters.place(limiters.rule("a"), "somebody");
        let rate = ByteRate::new(1 << 16);
        let pieces = [(); 100].map(|()| limiters.take(place, &rate, 1 << 16));
        assert!(pieces.iter().all(|wait| *wait < Duration::from_secs(100)));
        assert!(limiters.backlog(place, &rate) > Duration::from_secs(90));
        for wait in pieces {
            limiters.give_back(place, &rate, 1 << 16, wait);
        }
        assert_eq!(limiters.backlog(place, &rate), Duration::ZERO);
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

    #[test]
    fn places_are_free_again_when_their_requests_are_over() {
        let limiters = Arc::new(Limiters::default());
        let place = |client| limiters.place(limiters.rule("a"), network(client));
        let take = |client| {
            let mut held = Held::default();
            held.take(&limiters, place(client), 2).map(|()| held)
        };
        let first = take("2001:db8::1").unwrap();
        let second = take("2001:db8::2").unwrap();
        assert_eq!(take("2001:db8::3").unwrap_err(), Full);
        let elsewhere = take("192.0.2.1").unwrap();
        drop(first);
        let third = take("2001:db8::3").unwrap();
        drop((second, third, elsewhere));
        assert!(limiters.held.iter().all(|shard| shard.lock().is_empty()));
    }

    #[test]
    fn a_request_that_finds_one_place_taken_gives_the_others_back() {
        let limiters = Arc::new(Limiters::default());
        let place = |rule| limiters.place(limiters.rule(rule), "somebody");
        let mut other = Held::default();
        other.take(&limiters, place("route"), 1).unwrap();
        let mut held = Held::default();
        held.take(&limiters, place("host"), 1).unwrap();
        assert!(held.take(&limiters, place("route"), 1).is_err());
        drop(held);
        assert!(limiters.hold(place("host"), 1));
    }
}

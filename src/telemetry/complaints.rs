//! Which complaints about clients are worth a log line: a few of each kind, since whoever can connect must not
//! be able to fill the log.
//!
//! What is complained about, and in which words, is said where it happens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::decision::upstream::stable_hash;
use crate::model::network::Network;
use crate::model::time::Timestamp;

/// What was complained about lately.
#[derive(Debug, Default)]
pub struct Complaints(Mutex<Lately>);

/// For each network the reasons, as hashes.
#[derive(Debug, Default)]
struct Lately {
    clients: HashMap<Network, Vec<Told>>,
    /// Of all for whom no place was left.
    crowd: Vec<Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    reason: u64,
    at: Timestamp,
    /// Not told since.
    kept_back: u64,
}

impl Complaints {
    /// Whether to tell of a client, and how often it was not told before; none if the same was told of its
    /// network lately. Networks for which no place is left count as one, so that nobody who has many of them silences
    /// what others have to be told of.
    pub fn note(&self, client: IpAddr, why: &str, now: Timestamp) -> Option<u64> {
        let client = Network::of(client);
        let mut lately = self.0.lock();
        let Lately { clients, crowd } = &mut *lately;
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
            clients.retain(|_, told| told.iter().any(|told| is_recent(told.at, now)));
            if clients.len() >= CLIENTS_MAX {
                return tell(crowd, REASONS_OF_CROWD_MAX, why, now);
            }
        }
        let told = clients.entry(client).or_default();
        tell(told, REASONS_PER_CLIENT_MAX, why, now)
    }
}

/// Whether to tell of a reason, beside at most so many others.
fn tell(told: &mut Vec<Told>, most: usize, why: &str, now: Timestamp) -> Option<u64> {
    let reason = stable_hash(why.as_bytes());
    if let Some(last) = told.iter_mut().find(|told| told.reason == reason) {
        if is_recent(last.at, now) {
            last.kept_back = last.kept_back.saturating_add(1);
            return None;
        }
        last.at = now;
        return Some(std::mem::take(&mut last.kept_back));
    }
    told.retain(|told| is_recent(told.at, now) || told.kept_back > 0);
    if told.len() >= most {
        told.retain(|told| is_recent(told.at, now));
    }
    if told.len() >= most {
        return None;
    }
    told.push(Told {
        reason,
        at: now,
        kept_back: 0,
    });
    Some(0)
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    at <= now && now.since(at) < QUIET
}

/// How long the same is not told again.
const QUIET: Duration = Duration::from_secs(10);
/// Clients that are remembered, and reasons for each: a client may make up names without end.
const CLIENTS_MAX: usize = 1024;
const REASONS_PER_CLIENT_MAX: usize = 16;
/// Reasons for all others together.
const REASONS_OF_CROWD_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    fn caller(number: u32) -> IpAddr {
        Ipv4Addr::from_bits(number).into()
    }

    #[test]
    fn the_same_is_told_once_in_a_while_with_how_often_it_happened() {
        let complaints = Complaints::default();
        let note = |why, seconds| complaints.note(caller(1), why, at(seconds));
        assert_eq!(note("unknown", 0), Some(0));
        assert_eq!(note("unknown", 1), None);
        assert_eq!(note("wrong cluster", 1), Some(0));
        assert_eq!(note("unknown", 9), None);
        assert_eq!(note("unknown", 10), Some(2));
        assert_eq!(note("unknown", 20), Some(0));
    }

    #[test]
    fn who_finds_no_place_is_told_of_with_all_others_who_find_none() {
        let complaints = Complaints::default();
        let told = |number, why, seconds| complaints.note(caller(number), why, at(seconds));
        let crowd = (0..3000).filter_map(|number| told(number, "unknown", 0));
        assert_eq!(crowd.count(), CLIENTS_MAX + 1);
        assert_eq!(told(4000, "wrong cluster", 1), Some(0));
        assert_eq!(told(4001, "wrong cluster", 2), None);
        assert_eq!(told(1, "wrong cluster", 2), Some(0));
        // Those who have a place keep it as long as they are told of.
        for number in 0..3000 {
            told(number, "again", 9);
        }
        assert_eq!(told(4000, "wrong cluster", 11), Some(1));
    }

    #[test]
    fn a_crowd_of_callers_and_a_caller_of_many_names_are_not_told_one_by_one() {
        let complaints = Complaints::default();
        for number in 0..3000 {
            complaints.note(caller(number), "unknown", at(0));
        }
        assert_eq!(complaints.0.lock().clients.len(), CLIENTS_MAX);
        let caller = caller(1);
        let names = (0..100).map(|name| format!("{name}"));
        let told = names.filter_map(|name| complaints.note(caller, &name, at(20)));
        assert_eq!(told.count(), REASONS_PER_CLIENT_MAX);
        assert_eq!(complaints.note(caller, "another", at(40)), Some(0));
    }
}

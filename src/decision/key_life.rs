//! The life of a key: when it may seal, when another one is due, and when it may go (S-23, X-23).
//!
//! What was sealed with a key may be good for as long as a session lives. So each node notes, in a ledger that
//! outlives it, until when each key may be needed, and up to where its uses are counted: before that many are
//! reached, and in blocks, so that a crash never counts too few.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::crypto::key_ring::KeyFacts;
use crate::model::id::KeyId;
use crate::model::time::Timestamp;

/// What the operator chose about keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRules {
    /// How long a new key is known before it seals, where there are others who need it.
    pub publish_for: Duration,
    /// After this many uses on one node another key is due.
    pub rotate_after_uses: u64,
    /// After this time another key is due; none where that is never.
    pub rotate_every: Option<Duration>,
}

impl Default for KeyRules {
    fn default() -> Self {
        Self {
            publish_for: Duration::from_hours(1),
            rotate_after_uses: 1 << 28,
            rotate_every: Some(Duration::from_hours(90 * 24)),
        }
    }
}

/// Why another key is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The one that seals has done so for long enough.
    Age,
    /// It has been used often enough: random nonces must not meet.
    Uses,
}

impl KeyRules {
    /// Whether another key is due, and why.
    #[must_use]
    pub fn due(&self, sealing: &KeyFacts, uses: u64, now: Timestamp) -> Option<Due> {
        let since = sealing.created.max(sealing.seals_from);
        if uses >= self.rotate_after_uses {
            Some(Due::Uses)
        } else if self
            .rotate_every
            .is_some_and(|every| now.since(since) >= every)
        {
            Some(Due::Age)
        } else {
            None
        }
    }
}

/// What another data centre said of its keys; none if it has not said anything yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerKeys {
    /// The keys that it can open with.
    pub opens: Option<Vec<KeyId>>,
    /// The key that it seals with, if it says so.
    pub seals: Option<KeyId>,
}

/// What is noted of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ledger(BTreeMap<KeyId, Line>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    /// Something that it has sealed may be good until then.
    needed_until: Timestamp,
    /// Whether it is known to have sealed anywhere.
    sealed: bool,
    /// It has been used at most this often.
    uses: u64,
}

/// The keys as they are used at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The keys of the ring, and how often each has sealed here.
    pub uses: &'a [(KeyId, u64)],
    /// The keys that may be sealing, here or elsewhere.
    pub sealing: &'a [KeyId],
    /// How long what is sealed now may be good.
    pub keep_for: Duration,
    /// The time.
    pub now: Timestamp,
}

/// Whether a ledger has to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It says something else than before.
    Changed,
    /// It says the same.
    Unchanged,
}

impl Ledger {
    /// Begins with a key that was made at this moment: nothing has been sealed with it.
    pub fn begin(&mut self, key: KeyId, now: Timestamp) {
        let line = Line {
            needed_until: now,
            sealed: false,
            uses: 0,
        };
        self.0.entry(key).or_insert(line);
    }

    /// Notes how keys are used. A key that comes from elsewhere may have sealed anything.
    pub fn note(&mut self, seen: &Sighting<'_>) -> Noted {
        let before = self.0.len();
        self.0
            .retain(|key, _| seen.uses.iter().any(|(known, _)| known == key));
        let mut noted = if self.0.len() == before {
            Noted::Unchanged
        } else {
            Noted::Changed
        };
        let needed_until = seen.now.after(seen.keep_for);
        let ahead = needed_until.after(AHEAD);
        for (key, uses) in seen.uses {
            let line = self.0.entry(*key).or_insert_with(|| {
                noted = Noted::Changed;
                Line {
                    needed_until: ahead,
                    sealed: false,
                    uses: 0,
                }
            });
            if uses.saturating_add(BLOCK / 2) >= line.uses {
                line.uses = uses.saturating_add(BLOCK);
                noted = Noted::Changed;
            }
            if !seen.sealing.contains(key) {
                continue;
            }
            if !line.sealed || line.needed_until < needed_until.after(AHEAD / 2) {
                line.sealed = true;
                line.needed_until = line.needed_until.max(ahead);
                noted = Noted::Changed;
            }
        }
        noted
    }

    /// How often a key has been used at most, as far as is written.
    #[must_use]
    pub fn uses(&self, key: KeyId) -> u64 {
        self.0.get(&key).map_or(0, |line| line.uses)
    }

    /// Until when a key is needed; for ever where nothing is noted of it.
    #[must_use]
    pub fn needed_until(&self, key: KeyId) -> Timestamp {
        let end = Timestamp::from_millis(u64::MAX);
        self.0.get(&key).map_or(end, |line| line.needed_until)
    }

    /// Whether something that the key has sealed may be good.
    #[must_use]
    pub fn is_in_use(&self, key: KeyId, now: Timestamp) -> bool {
        let line = self.0.get(&key);
        line.is_some_and(|line| line.sealed && line.needed_until > now)
    }

    /// The own keys that all others can open with (S-23). While one of them has not been heard of, these are
    /// keys that have sealed before: only of those is it known that all had them.
    #[must_use]
    pub fn common(&self, own: &[KeyId], peers: &[PeerKeys]) -> Vec<KeyId> {
        let has = |peer: &PeerKeys, key: &KeyId| match &peer.opens {
            Some(opens) => opens.contains(key),
            None => self.0.get(key).is_some_and(|line| line.sealed),
        };
        let is_common = |key: &&KeyId| peers.iter().all(|peer| has(peer, key));
        own.iter().filter(is_common).copied().collect()
    }
}

/// The keys that may be sealing somewhere: the own one, and those of the others. One that has not said which
/// may be using any that it has, and one that has not been heard of, any.
#[must_use]
pub fn sealing_anywhere(own: KeyId, ring: &[KeyId], peers: &[PeerKeys]) -> Vec<KeyId> {
    let mut sealing = vec![own];
    for peer in peers {
        match (peer.seals, &peer.opens) {
            (Some(key), _) => sealing.push(key),
            (None, Some(opens)) => sealing.extend(opens),
            (None, None) => sealing.extend(ring),
        }
    }
    sealing
}

/// How far ahead it is noted until when a key is needed: the ledger is written twice in that time.
const AHEAD: Duration = Duration::from_hours(1);
/// Uses that are counted in advance; what a crash leaves of them is lost.
const BLOCK: u64 = 1 << 18;

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: KeyId = KeyId(1);
    const NEW: KeyId = KeyId(2);
    const DAY: Duration = Duration::from_hours(24);
    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

    fn seen<'a>(uses: &'a [(KeyId, u64)], sealing: &'a [KeyId], now: Timestamp) -> Sighting<'a> {
        Sighting {
            uses,
            sealing,
            keep_for: DAY,
            now,
        }
    }

    fn peer(opens: &[KeyId], seals: Option<KeyId>) -> PeerKeys {
        PeerKeys {
            opens: Some(opens.to_vec()),
            seals,
        }
    }

    const SILENT: PeerKeys = PeerKeys {
        opens: None,
        seals: None,
    };

    #[test]
    fn a_key_is_needed_for_as_long_as_what_it_sealed_last_may_be_good_s_23() {
        let mut ledger = Ledger::default();
        let both = [(OLD, 5), (NEW, 0)];
        assert!(ledger.needed_until(OLD) > NOW.after(DAY * 365), "unknown");
        ledger.note(&seen(&both, &[OLD], NOW));
        let last_use = NOW.after(DAY * 3);
        ledger.note(&seen(&both, &[OLD], last_use));
        for hours in 1..48 {
            let now = last_use.after(Duration::from_hours(hours));
            ledger.note(&seen(&both, &[NEW], now));
            assert!(ledger.needed_until(OLD) >= last_use.after(DAY));
            assert!(ledger.needed_until(NEW) >= now.after(DAY));
        }
        assert!(ledger.needed_until(OLD) <= last_use.after(DAY + AHEAD));
        assert!(!ledger.is_in_use(OLD, last_use.after(DAY + AHEAD)));
        assert!(ledger.is_in_use(NEW, last_use.after(DAY + AHEAD)));
    }

    #[test]
    fn a_key_that_came_from_elsewhere_may_have_sealed_anything_and_an_own_new_one_nothing() {
        let mut ledger = Ledger::default();
        ledger.begin(NEW, NOW);
        ledger.note(&seen(&[(OLD, 0), (NEW, 0)], &[], NOW));
        assert!(ledger.needed_until(OLD) >= NOW.after(DAY));
        assert_eq!(ledger.needed_until(NEW), NOW);
    }

    #[test]
    fn uses_are_counted_in_blocks_that_are_written_before_they_are_used_up() {
        let mut ledger = Ledger::default();
        let (mut uses, mut written) = (0_u64, 0);
        for second in 0..1000 {
            let now = NOW.after(Duration::from_secs(second));
            uses += BLOCK / 4;
            if ledger.note(&seen(&[(OLD, uses)], &[OLD], now)) == Noted::Changed {
                written += 1;
            }
            assert!(ledger.uses(OLD) > uses, "a crash would count too few");
        }
        assert!(written <= 502, "{written}");
        // A process that begins counts on from what is written.
        let counted = ledger.uses(OLD);
        ledger.note(&seen(&[(OLD, counted)], &[OLD], NOW));
        assert!(ledger.uses(OLD) > counted);
    }

    #[test]
    fn a_quiet_ledger_is_written_twice_an_hour_at_most() {
        let mut ledger = Ledger::default();
        let notes = (0..3600).map(|second| {
            let now = NOW.after(Duration::from_secs(second));
            ledger.note(&seen(&[(OLD, 0)], &[OLD], now))
        });
        assert!(notes.filter(|noted| *noted == Noted::Changed).count() <= 3);
    }

    #[test]
    fn a_key_is_common_when_every_other_data_centre_has_said_so_s_23() {
        let mut ledger = Ledger::default();
        ledger.note(&seen(&[(OLD, 1), (NEW, 0)], &[OLD], NOW));
        let own = [OLD, NEW];
        let knows_both = peer(&[OLD, NEW], Some(OLD));
        let knows_old = peer(&[OLD], Some(OLD));
        let common = |peers: &[PeerKeys]| ledger.common(&own, peers);
        assert_eq!(common(&[]), own);
        assert_eq!(common(std::slice::from_ref(&knows_both)), own);
        assert_eq!(common(&[knows_both.clone(), knows_old]), [OLD]);
        assert_eq!(common(&[knows_both, SILENT]), [OLD], "as before the start");
    }

    #[test]
    fn whatever_may_be_sealing_elsewhere_counts_s_23() {
        let ring = [OLD, NEW];
        let anywhere = |peers: &[PeerKeys]| sealing_anywhere(NEW, &ring, peers);
        assert_eq!(anywhere(&[]), [NEW]);
        assert_eq!(anywhere(&[peer(&[OLD, NEW], Some(OLD))]), [NEW, OLD]);
        assert_eq!(anywhere(&[peer(&[OLD, NEW], None)]), [NEW, OLD, NEW]);
        assert_eq!(anywhere(&[SILENT]), [NEW, OLD, NEW]);
    }

    #[test]
    fn another_key_is_due_by_age_or_by_use() {
        let rules = KeyRules::default();
        let facts = KeyFacts {
            id: OLD,
            created: NOW,
            seals_from: NOW.after(DAY),
        };
        let day = |n: u32| NOW.after(DAY * n);
        assert_eq!(rules.due(&facts, 0, day(90)), None);
        assert_eq!(rules.due(&facts, 0, day(91)), Some(Due::Age));
        assert_eq!(rules.due(&facts, 1 << 28, day(1)), Some(Due::Uses));
        let never = KeyRules {
            rotate_every: None,
            ..rules
        };
        assert_eq!(never.due(&facts, 0, day(9000)), None);
    }

    #[test]
    fn a_key_that_is_gone_is_forgotten() {
        let mut ledger = Ledger::default();
        ledger.note(&seen(&[(OLD, 1), (NEW, 0)], &[OLD], NOW));
        assert_eq!(ledger.note(&seen(&[(NEW, 0)], &[NEW], NOW)), Noted::Changed);
        assert!(!ledger.is_in_use(OLD, NOW));
    }
}

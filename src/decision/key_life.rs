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
use crate::model::end::End;
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

    /// Whether a key that does not seal will in due course: none is published for longer than it has to be known.
    #[must_use]
    pub fn is_waited_for(&self, key: &KeyFacts, now: Timestamp) -> bool {
        key.seals_from <= now.after(self.publish_for)
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
    /// Whether it is known to have sealed anywhere; so everybody had it.
    sealed: bool,
    /// It has been used at most this often.
    uses: u64,
}

/// The keys as they are used at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// The keys of the ring, and how often each has sealed here.
    pub uses: &'a [(KeyId, u64)],
    /// The keys that seal here or elsewhere.
    pub sealing: &'a Sealing,
    /// How long what is sealed now may be good.
    pub keep_for: Duration,
    /// The time.
    pub now: Timestamp,
}

/// The keys that are sealing somewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sealing {
    /// Those of which that is known: whoever seals with a key knows that everybody has it.
    pub known: Vec<KeyId>,
    /// Those of which nobody knows that it is not so.
    pub possible: Vec<KeyId>,
}

/// For how long another data centre that has said nothing yet has been asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// What was noted before the start still covers whatever it seals with.
    Brief,
    /// Any key may be needed for longer than is noted.
    Long,
}

impl Silence {
    /// The silence of those who have not been heard of since this process `began`, with a ledger that was
    /// [`Written`] when it did.
    #[must_use]
    pub fn of(ledger: Written, began: Timestamp, now: Timestamp) -> Self {
        if ledger == Written::Lately && (began..began.after(AHEAD / 4)).contains(&now) {
            Self::Brief
        } else {
            Self::Long
        }
    }
}

/// When the process before wrote its ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Just before it ended, and so shortly before this process began.
    Lately,
    /// Nobody knows when.
    SomeTimeAgo,
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
            if seen.sealing.known.contains(key) && !line.sealed {
                line.sealed = true;
                noted = Noted::Changed;
            }
            let is_sealing = seen.sealing.may_include(*key);
            if is_sealing && line.needed_until < needed_until.after(AHEAD / 2) {
                line.needed_until = ahead;
                noted = Noted::Changed;
            }
        }
        if self.inherit(seen) == Noted::Changed {
            noted = Noted::Changed;
        }
        noted
    }

    /// What another key has sealed may be sealed anew with the one that seals, and be good for as long.
    fn inherit(&mut self, seen: &Sighting<'_>) -> Noted {
        // What is noted for later than any session lives comes of a clock that was wrong.
        let conceivable = seen.now.after(End::KEPT_MAX).after(AHEAD);
        let lines = self.0.values().map(|line| line.needed_until);
        let Some(longest) = lines.filter(|until| *until <= conceivable).max() else {
            return Noted::Unchanged;
        };
        let mut noted = Noted::Unchanged;
        for (key, line) in &mut self.0 {
            if line.needed_until < longest && seen.sealing.may_include(*key) {
                line.needed_until = longest;
                noted = Noted::Changed;
            }
        }
        noted
    }

    /// Whether the process that wrote this ended a moment ago: then each key that was sealing is noted as needed
    /// for longer than what is sealed now, which is good for `keep_for`.
    #[must_use]
    pub fn written(&self, keep_for: Duration, now: Timestamp) -> Written {
        let slack = now.after(keep_for).after(AHEAD / 4);
        if self.0.values().any(|line| line.needed_until > slack) {
            Written::Lately
        } else {
            Written::SomeTimeAgo
        }
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

    /// The keys that something may be sealed with that is good.
    #[must_use]
    pub fn in_use(&self, now: Timestamp) -> Vec<KeyId> {
        let keys = self.0.keys().copied();
        keys.filter(|key| self.is_in_use(*key, now)).collect()
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

impl Sealing {
    /// The keys that seal: the own one, and those of the others. One that has not said which may be using any
    /// that it has; and one that has not been heard of for long, any.
    #[must_use]
    pub fn anywhere(own: KeyId, ring: &[KeyId], peers: &[PeerKeys], silence: Silence) -> Self {
        let mut sealing = Self {
            known: vec![own],
            possible: Vec::new(),
        };
        for peer in peers {
            match (peer.seals, &peer.opens) {
                (Some(key), _) => sealing.known.push(key),
                (None, Some(opens)) => sealing.possible.extend(opens),
                (None, None) if silence == Silence::Long => sealing.possible.extend(ring),
                (None, None) => {}
            }
        }
        sealing
    }

    fn may_include(&self, key: KeyId) -> bool {
        self.known.contains(&key) || self.possible.contains(&key)
    }
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

    fn seen<'a>(uses: &'a [(KeyId, u64)], sealing: &'a Sealing, now: Timestamp) -> Sighting<'a> {
        Sighting {
            uses,
            sealing,
            keep_for: DAY,
            now,
        }
    }

    fn only(key: KeyId) -> Sealing {
        Sealing {
            known: vec![key],
            possible: Vec::new(),
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
        ledger.note(&seen(&both, &only(OLD), NOW));
        let last_use = NOW.after(DAY * 3);
        ledger.note(&seen(&both, &only(OLD), last_use));
        for hours in 1..48 {
            let now = last_use.after(Duration::from_hours(hours));
            ledger.note(&seen(&both, &only(NEW), now));
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
        ledger.note(&seen(&[(OLD, 0), (NEW, 0)], &Sealing::default(), NOW));
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
            if ledger.note(&seen(&[(OLD, uses)], &only(OLD), now)) == Noted::Changed {
                written += 1;
            }
            assert!(ledger.uses(OLD) > uses, "a crash would count too few");
        }
        assert!(written <= 502, "{written}");
        // A process that begins counts on from what is written.
        let counted = ledger.uses(OLD);
        ledger.note(&seen(&[(OLD, counted)], &only(OLD), NOW));
        assert!(ledger.uses(OLD) > counted);
    }

    #[test]
    fn a_quiet_ledger_is_written_twice_an_hour_at_most() {
        let mut ledger = Ledger::default();
        let notes = (0..3600).map(|second| {
            let now = NOW.after(Duration::from_secs(second));
            ledger.note(&seen(&[(OLD, 0)], &only(OLD), now))
        });
        assert!(notes.filter(|noted| *noted == Noted::Changed).count() <= 3);
    }

    #[test]
    fn a_key_is_common_when_every_other_data_centre_has_said_so_s_23() {
        let mut ledger = Ledger::default();
        ledger.note(&seen(&[(OLD, 1), (NEW, 0)], &only(OLD), NOW));
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
        let anywhere = |peers: &[PeerKeys]| {
            let sealing = Sealing::anywhere(NEW, &ring, peers, Silence::Long);
            (sealing.known, sealing.possible)
        };
        assert_eq!(anywhere(&[]), (vec![NEW], vec![]));
        let said = peer(&[OLD, NEW], Some(OLD));
        assert_eq!(anywhere(&[said]), (vec![NEW, OLD], vec![]));
        let unsaid = peer(&[OLD, NEW], None);
        assert_eq!(anywhere(&[unsaid]), (vec![NEW], vec![OLD, NEW]));
        assert_eq!(anywhere(&[SILENT]), (vec![NEW], vec![OLD, NEW]));
    }

    #[test]
    fn a_new_key_does_not_seal_before_one_that_was_not_heard_of_has_it_s_23() {
        for silence in [Silence::Brief, Silence::Long] {
            let mut ledger = Ledger::default();
            let ring = [OLD, NEW];
            ledger.note(&seen(&[(OLD, 5)], &only(OLD), NOW));
            ledger.begin(NEW, NOW);
            // The process begins anew while the other data centre is away, and goes on looking.
            for minutes in 0..120 {
                let now = NOW.after(Duration::from_mins(minutes));
                let sealing = Sealing::anywhere(OLD, &ring, &[SILENT], silence);
                ledger.note(&seen(&[(OLD, 5), (NEW, 0)], &sealing, now));
                assert_eq!(ledger.common(&ring, &[SILENT]), [OLD], "{silence:?}");
            }
            // It comes back without the new one.
            let lacks = peer(&[OLD], Some(OLD));
            assert_eq!(ledger.common(&ring, &[lacks]), [OLD]);
        }
    }

    #[test]
    fn a_key_retires_though_the_process_begins_anew_each_day_with_others_unheard_of() {
        let mut ledger = Ledger::default();
        let both = [(OLD, 5), (NEW, 1)];
        ledger.note(&seen(&both, &only(OLD), NOW));
        let mut last = NOW;
        for minutes in 0..60 * 24 * 4 {
            let now = NOW.after(Duration::from_mins(minutes));
            let running_for = Duration::from_mins(minutes % (60 * 24));
            let written = if running_for.is_zero() && minutes > 0 {
                ledger.written(DAY, now)
            } else {
                Written::Lately
            };
            let heard = peer(&[OLD, NEW], Some(NEW));
            let said = if running_for < Duration::from_mins(2) {
                SILENT
            } else {
                heard
            };
            let silence = Silence::of(written, now.before(running_for), now);
            let sealing = Sealing::anywhere(NEW, &[OLD, NEW], &[said], silence);
            ledger.note(&seen(&both, &sealing, now));
            last = now;
        }
        assert!(ledger.needed_until(OLD) <= NOW.after(DAY + AHEAD));
        assert!(ledger.needed_until(NEW) >= last.after(DAY));
    }

    #[test]
    fn a_ledger_of_some_time_ago_covers_nothing_that_others_have_sealed_since() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.written(DAY, NOW), Written::SomeTimeAgo);
        ledger.note(&seen(&[(OLD, 5)], &only(OLD), NOW));
        let later = |minutes| NOW.after(Duration::from_mins(minutes));
        assert_eq!(ledger.written(DAY, later(5)), Written::Lately);
        assert_eq!(ledger.written(DAY, later(50)), Written::SomeTimeAgo);
        let silence = |written, minutes| Silence::of(written, NOW, later(minutes));
        assert_eq!(silence(Written::Lately, 1), Silence::Brief);
        assert_eq!(silence(Written::Lately, 60), Silence::Long);
        assert_eq!(silence(Written::SomeTimeAgo, 1), Silence::Long);
        let set_back = Silence::of(Written::Lately, later(1), NOW);
        assert_eq!(set_back, Silence::Long);
    }

    #[test]
    fn what_a_key_seals_anew_is_needed_for_as_long_as_the_key_before_it() {
        let mut ledger = Ledger::default();
        let week = DAY * 7;
        let keep = |keep_for, sealing: &Sealing, ledger: &mut Ledger| {
            let uses = [(OLD, 5), (NEW, 0)];
            let seen = Sighting {
                keep_for,
                ..seen(&uses, sealing, NOW)
            };
            ledger.note(&seen)
        };
        ledger.begin(NEW, NOW);
        keep(week, &only(OLD), &mut ledger);
        // Sessions that begin live for an hour; those that stand are sealed with the new key.
        let hour = Duration::from_hours(1);
        keep(hour, &only(NEW), &mut ledger);
        assert!(ledger.needed_until(NEW) >= NOW.after(week));
        let again = keep(hour, &only(NEW), &mut ledger);
        assert_eq!(again, Noted::Unchanged);
        // A clock that was years ahead keeps nothing else for ever.
        let mut ledger = Ledger::default();
        ledger.begin(OLD, NOW.after(DAY * 9000));
        keep(hour, &only(NEW), &mut ledger);
        assert!(ledger.needed_until(NEW) <= NOW.after(hour * 2));
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
    fn a_key_that_was_made_years_ahead_is_not_waited_for() {
        let rules = KeyRules::default();
        let from = |seals_from| KeyFacts {
            id: NEW,
            created: NOW,
            seals_from,
        };
        assert!(rules.is_waited_for(&from(Timestamp::default()), NOW));
        assert!(rules.is_waited_for(&from(NOW.after(rules.publish_for)), NOW));
        assert!(!rules.is_waited_for(&from(NOW.after(DAY * 3000)), NOW));
    }

    #[test]
    fn a_key_that_is_gone_is_forgotten() {
        let mut ledger = Ledger::default();
        ledger.note(&seen(&[(OLD, 1), (NEW, 0)], &only(OLD), NOW));
        assert_eq!(
            ledger.note(&seen(&[(NEW, 0)], &only(NEW), NOW)),
            Noted::Changed
        );
        assert!(!ledger.is_in_use(OLD, NOW));
    }
}

//! Counts the adoptions that were tried, by what came of them.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::decision::adoption::Outcome;
use crate::model::claim::NotLive;

/// Counts adoptions; one place for each of [`OUTCOMES`].
#[derive(Debug, Default)]
pub(super) struct AdoptionCounts([AtomicU64; OUTCOMES.len()]);

impl AdoptionCounts {
    /// Counts an adoption that is over.
    pub(super) fn note(&self, outcome: &Outcome) {
        let name = name(outcome);
        let mut counts = OUTCOMES.iter().zip(&self.0);
        if let Some((_, count)) = counts.find(|(known, _)| **known == name) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts so far, each with the name of its outcome.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = OUTCOMES.iter().zip(&self.0);
        counts
            .map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
            .collect()
    }
}

const fn name(outcome: &Outcome) -> &'static str {
    let why = match outcome {
        Outcome::Serve => return "adopted",
        Outcome::CutOff => NotLive::Disabled,
        Outcome::Ended => NotLive::Ended,
        Outcome::Refuse(why) => *why,
    };
    match why {
        NotLive::Ended => "ended",
        NotLive::Reauthenticate => "reauthenticate",
        NotLive::Disabled => "disabled",
        NotLive::LeaseOver => "lease_over",
        NotLive::HeldElsewhere => "held_elsewhere",
        NotLive::Expired | NotLive::ExpiredHere => "expired",
        NotLive::Idle | NotLive::IdleHere => "idle",
        NotLive::Refused => "refused",
        NotLive::Mismatched => "mismatched",
        NotLive::Missing => "missing",
        NotLive::Skew => "clock_skew",
        NotLive::Unanswered => "unanswered",
        NotLive::UnknownStore => "unknown_store",
    }
}

const OUTCOMES: [&str; 14] = [
    "adopted",
    "clock_skew",
    "disabled",
    "ended",
    "expired",
    "held_elsewhere",
    "idle",
    "lease_over",
    "mismatched",
    "missing",
    "reauthenticate",
    "refused",
    "unanswered",
    "unknown_store",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_place() {
        let counts = AdoptionCounts::default();
        let refusals = [
            NotLive::Reauthenticate,
            NotLive::LeaseOver,
            NotLive::HeldElsewhere,
            NotLive::Expired,
            NotLive::Idle,
            NotLive::Refused,
            NotLive::Mismatched,
            NotLive::Missing,
            NotLive::Skew,
            NotLive::Unanswered,
            NotLive::UnknownStore,
        ];
        let others = [Outcome::Serve, Outcome::CutOff, Outcome::Ended];
        for outcome in refusals.map(Outcome::Refuse).into_iter().chain(others) {
            counts.note(&outcome);
        }
        for (name, count) in counts.counts() {
            assert_eq!(count, 1, "{name}");
        }
    }
}

//! Ejects members that answer with errors where others do well, for a while that grows with each time.
//!
//! Who the others are, and how they are, is told by whoever asks; nothing is counted here but one member's
//! answers.

use std::time::Duration;

use super::Member;
use super::MemberState;
use super::Tiers;
use crate::model::time::Timestamp;

/// When members of a pool are ejected, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutlierTerms {
    /// Answers of 500 to 599 or failures in a row; 0 ejects for none.
    pub consecutive_5xx: u32,
    /// Failures in a row to connect, to answer at all or in time; 0 ejects for none.
    pub consecutive_failures: u32,
    /// The first ejection; the second is twice as long, and so on.
    pub ejection: Duration,
    /// The longest.
    pub ejection_max: Duration,
    /// For each such span without an ejection the next one is a step shorter.
    pub interval: Duration,
    /// Of a hundred members so many may be ejected at a time, and one in any case.
    pub percent_max: u32,
}

/// What a request to a member came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, whatever the answer was.
    Answered,
    /// It was answered with a status of 500 to 599.
    Error,
    /// It was not answered.
    Failed,
}

/// What is to be told of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has answered well after its ejection.
    Back,
    /// It should be ejected, if the pool can do without it.
    Eject,
}

/// The answers of one member in a row, and its ejections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outlier {
    /// Bad answers and failures since the last good answer.
    bad: u32,
    /// Failures since the last answer of any kind.
    failed: u32,
    /// The last ejection.
    from: Timestamp,
    until: Timestamp,
    /// The steps that the last ejection was long.
    steps: u32,
    /// Whether it has yet to answer well since then.
    is_on_trial: bool,
}

impl OutlierTerms {
    /// Whether one more member may be ejected, this one, as the members are now (never the last: another one
    /// has to be left that is well).
    pub fn may_eject<M: Member>(&self, tiers: &Tiers<M>, is_it: impl Fn(&M) -> bool) -> bool {
        let (mut all, mut ejected, mut well) = (0_u64, 0_u64, 0_u64);
        for (_, member) in tiers.members() {
            all += 1;
            match member.state() {
                MemberState::Ejected => ejected += 1,
                MemberState::Healthy if !is_it(member) => well += 1,
                MemberState::Down
                | MemberState::Drained
                | MemberState::Healthy
                | MemberState::Suspected => {}
            }
        }
        let share = all * u64::from(self.percent_max) / 100;
        well > 0 && ejected < share.max(1)
    }
}

impl Outlier {
    /// Takes in what a request came to. While the member is ejected nothing counts: such requests began before,
    /// or went there because nobody else was left.
    pub fn note(
        &mut self,
        terms: &OutlierTerms,
        outcome: Outcome,
        now: Timestamp,
    ) -> Option<Verdict> {
        if self.is_out(now) {
            return None;
        }
        match outcome {
            Outcome::Answered => {
                (self.bad, self.failed) = (0, 0);
                return std::mem::take(&mut self.is_on_trial).then_some(Verdict::Back);
            }
            Outcome::Error => (self.bad, self.failed) = (self.bad.saturating_add(1), 0),
            Outcome::Failed => {
                self.bad = self.bad.saturating_add(1);
                self.failed = self.failed.saturating_add(1);
            }
        }
        let reaches = |count: u32, most: u32| most > 0 && count >= most;
        let is_due = reaches(self.bad, terms.consecutive_5xx)
            || reaches(self.failed, terms.consecutive_failures);
        is_due.then_some(Verdict::Eject)
    }

    /// Ejects the member from now on, and tells for how long. It comes back by itself.
    pub fn eject(&mut self, terms: &OutlierTerms, now: Timestamp) -> Duration {
        // A clock that was set back forgives nothing.
        let forgiven = now.since(self.until).as_millis() / terms.interval.as_millis().max(1);
        let most = terms.ejection_max.max(terms.ejection);
        let steps_max = most.as_millis().div_ceil(terms.ejection.as_millis().max(1));
        let count = |steps: u128| u32::try_from(steps).unwrap_or(u32::MAX);
        let steps = self.steps.saturating_sub(count(forgiven)).saturating_add(1);
        self.steps = steps.min(count(steps_max));
        let span = terms.ejection.saturating_mul(self.steps).min(most);
        (self.from, self.until) = (now, now.after(span));
        (self.bad, self.failed, self.is_on_trial) = (0, 0, true);
        span
    }

    /// Whether the member is ejected. A clock that was set back lets it in.
    #[must_use]
    pub fn is_out(&self, now: Timestamp) -> bool {
        (self.from..self.until).contains(&now)
    }

    /// The last ejection, from when to when; long ago where there was none.
    #[must_use]
    pub const fn last(&self) -> (Timestamp, Timestamp) {
        (self.from, self.until)
    }

    /// Whether a good answer would change nothing.
    #[must_use]
    pub const fn is_at_rest(&self) -> bool {
        self.bad == 0 && self.failed == 0 && !self.is_on_trial
    }
}

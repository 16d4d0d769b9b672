//! The adopter's side: whom to ask, what to make of the answers, when to give up.
//!
//! One effect at a time. Everything that waits for another data centre ends by the deadline of the
//! policy (S-7); the record is durable before its release is committed (S-6).

use std::time::Duration;

use crate::decision::adoption::Anchor;
use crate::decision::adoption::Case;
use crate::decision::adoption::Effect;
use crate::decision::adoption::Hop;
use crate::decision::adoption::Input;
use crate::decision::adoption::Kept;
use crate::decision::adoption::Local;
use crate::decision::adoption::Outcome;
use crate::decision::adoption::Retrieval;
use crate::decision::adoption::draft::Origin;
use crate::decision::adoption::keeping::outcome_of;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Data;
use crate::model::peer::Question;
use crate::model::peer::Refusal;
use crate::model::peer::Silence;
use crate::model::session::Generation;
use crate::model::session::Release;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// An adoption under way.
#[derive(Clone, Debug)]
pub struct Adoption {
    pub(super) case: Case,
    deadline: Timestamp,
    /// The data centres still to ask, the next one last.
    pub(super) queue: Vec<ClusterId>,
    asked: Vec<ClusterId>,
    /// Those of them that gave no answer.
    pub(super) silent: Vec<ClusterId>,
    /// The data centre that has said 'not yet': a silence after that is none (S-8).
    deferred: Option<ClusterId>,
    /// The highest generation seen in cookie, stub or reply (S-4).
    pub(super) seen: Generation,
    pub(super) heard: Heard,
    pub(super) step: Step,
}

/// What the data centres asked so far have said, short of a live session.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    pub(super) said: Vec<Said>,
    /// The first refusal.
    pub(super) refused: Option<NotLive>,
}

/// What a data centre said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Expired,
    Held,
    Idle,
    Missing,
    Nothing,
}

impl Heard {
    fn note(&mut self, said: Said) {
        self.said.push(said);
    }

    pub(super) fn has(&self, said: Said) -> bool {
        self.said.contains(&said)
    }
}

/// What the last effect was for.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Announcing(Box<Session>),
    Asking {
        peer: ClusterId,
        attempt: u32,
    },
    Committing {
        pending: Box<Session>,
        release: Release,
        attempt: u32,
    },
    GivingUp(Outcome),
    KeepingLive,
    KeepingPending {
        pending: Box<Session>,
        release: Release,
    },
    KeepingStub(NotLive),
    Over,
    Rereading(Origin),
    Waiting {
        peer: ClusterId,
    },
}

impl Adoption {
    /// Begins; answers the first thing to do.
    #[must_use]
    pub fn begin(case: Case, now: Timestamp) -> (Self, Effect) {
        let deadline = now.after(case.policy.deadline());
        let mut queue = case.candidates.clone();
        queue.reverse();
        let mut adoption = Self {
            deadline,
            queue,
            asked: Vec::new(),
            silent: Vec::new(),
            deferred: None,
            seen: case.facts.generation,
            heard: Heard::default(),
            step: Step::Over,
            case,
        };
        let effect = adoption.first(now);
        (adoption, effect)
    }

    /// Takes what came of the last effect; answers what to do next. After [`Effect::Finish`] there is
    /// nothing more.
    pub fn handle(&mut self, input: Input, now: Timestamp) -> Effect {
        match (std::mem::replace(&mut self.step, Step::Over), input) {
            (Step::Asking { peer, .. }, Input::Answer(answer)) => self.answered(peer, answer, now),
            (Step::Asking { peer, attempt }, Input::Silence(why)) => {
                self.unanswered(peer, attempt, why, now)
            }
            (Step::Waiting { peer }, Input::Waited) => self.ask(peer, 0, now),
            (Step::Rereading(origin), Input::Reread(reread)) => self.reread(&origin, reread, now),
            (Step::Announcing(record), Input::Announced) => self.keep_live(*record),
            (Step::KeepingLive, Input::Kept(kept)) => Effect::Finish(outcome_of(kept)),
            (
                Step::KeepingPending {
                    mut pending,
                    release,
                },
                Input::Kept(kept),
            ) => match kept {
                Kept::Kept { version } => {
                    pending.version = version;
                    self.commit(pending, release, 0, now)
                }
                Kept::Ended | Kept::Failed | Kept::Raced => {
                    self.give_up(release.from, outcome_of(kept), now)
                }
            },
            (Step::GivingUp(outcome), Input::Answer(_) | Input::Silence(_)) => {
                Effect::Finish(outcome)
            }
            (Step::KeepingStub(why), Input::Kept(_)) => Effect::Finish(Outcome::Refuse(why)),
            (
                Step::Committing {
                    pending, release, ..
                },
                Input::Answer(answer),
            ) => self.committed(pending, &release, answer, now),
            (
                Step::Committing {
                    pending,
                    release,
                    attempt,
                },
                Input::Silence(why),
            ) => {
                if attempt < self.case.policy.retries && why.is_worth_another_try() {
                    return self.commit(pending, release, attempt.saturating_add(1), now);
                }
                if why.is_total() {
                    self.silent.push(release.from);
                    return self.promote(pending, now);
                }
                Effect::Finish(Outcome::Refuse(NotLive::Unanswered))
            }
            // An input that does not belong to the last effect is a fault of the driver; fail closed.
            _ => Effect::Finish(Outcome::Refuse(NotLive::Unanswered)),
        }
    }

    fn first(&mut self, now: Timestamp) -> Effect {
        if let Local::Pending(pending) = &self.case.local
            && let SessionState::Pending(release) = &pending.state
        {
            let (pending, release) = (pending.clone(), release.clone());
            return self.commit(pending, release, 0, now);
        }
        let policy = &self.case.policy;
        if policy.hop == Hop::Reauthenticate && !self.has_signed_in_here() {
            return Effect::Finish(Outcome::Refuse(NotLive::Reauthenticate));
        }
        if policy.retrieval == Retrieval::Off && policy.anchor == Anchor::Free {
            return if self.queue.is_empty() {
                Effect::Finish(Outcome::Refuse(NotLive::Missing))
            } else {
                self.create(NotLive::Missing, now)
            };
        }
        self.next(now)
    }

    /// Whether the user has given their credentials to come here, just now or earlier in this SSO session:
    /// without that no record comes to stand here, and a stub is what is left of one (MDC-ADOPT-4).
    const fn has_signed_in_here(&self) -> bool {
        matches!(self.case.presented.at, Place::Arrival)
            || !matches!(self.case.local, Local::Absent)
    }

    /// Asks the next data centre, or draws the conclusion when there is none, or no time.
    fn next(&mut self, now: Timestamp) -> Effect {
        while let Some(peer) = self.queue.pop() {
            if !self.case.silent.contains(&peer) {
                return self.ask(peer, 0, now);
            }
            self.asked.push(peer.clone());
            self.note_silence(peer);
        }
        self.conclude(now)
    }

    fn ask(&mut self, peer: ClusterId, attempt: u32, now: Timestamp) -> Effect {
        let limit = self.limit(now);
        if limit.is_zero() {
            if self.deferred.as_ref() == Some(&peer) {
                self.heard.note(Said::Held);
            }
            return self.conclude(now);
        }
        let facts = SsoFacts {
            generation: self.seen,
            ..self.case.facts.clone()
        };
        let session = self.case.own_id();
        let question = match self.case.policy.anchor {
            Anchor::Free => Question::Fetch { facts, session },
            Anchor::Anchored => Question::Reserve {
                facts,
                adoption: self.case.adoption,
                data: match self.case.policy.retrieval {
                    Retrieval::Fetch => Data::All,
                    Retrieval::Off => Data::None,
                },
            },
        };
        if !self.asked.contains(&peer) {
            self.asked.push(peer.clone());
        }
        self.step = Step::Asking {
            peer: peer.clone(),
            attempt,
        };
        Effect::Ask {
            peer,
            question: Box::new(question),
            limit,
        }
    }

    fn answered(&mut self, peer: ClusterId, answer: Answer, now: Timestamp) -> Effect {
        match answer {
            Answer::Session(session) => return self.found(peer, session, now),
            Answer::TooSoon(rest) => {
                if let Some(effect) = self.wait(&peer, rest, now) {
                    return effect;
                }
                self.heard.note(Said::Held);
            }
            // The promise was made once, and is over; the holder serves on.
            Answer::Lapsed => self.heard.note(Said::Held),
            Answer::Reserved => {
                if let Some(effect) = self.wait(&peer, RESERVED_PAUSE, now) {
                    return effect;
                }
                self.heard.note(Said::Held);
            }
            Answer::Moved { to, generation } => self.follow(to, generation),
            Answer::Ended => return Effect::Finish(Outcome::Ended),
            Answer::Idle => self.heard.note(Said::Idle),
            Answer::Expired => self.heard.note(Said::Expired),
            Answer::Missing => self.heard.note(Said::Missing),
            Answer::Refused(Refusal::Mismatched) => self.refuse(NotLive::Mismatched),
            Answer::Refused(Refusal::NotPermitted) => self.refuse(NotLive::Refused),
            Answer::Refused(Refusal::Skew) => self.refuse(NotLive::Skew),
            Answer::Refused(Refusal::UnknownStore) => self.refuse(NotLive::UnknownStore),
            // It cannot promise anything, and serves on.
            Answer::NotDurable => self.heard.note(Said::Held),
            // An engine that cannot tell is as good as silent (S-19).
            Answer::Unknown => self.note_silence(peer),
            // One that talks of something else is there all the same (S-8).
            Answer::Hello(_)
            | Answer::Committed(_)
            | Answer::LastAccess(_)
            | Answer::Noted { .. }
            | Answer::Ends { .. }
            | Answer::Done => self.refuse(NotLive::Unanswered),
        }
        self.next(now)
    }

    fn unanswered(
        &mut self,
        peer: ClusterId,
        attempt: u32,
        why: Silence,
        now: Timestamp,
    ) -> Effect {
        let again = attempt < self.case.policy.retries && why.is_worth_another_try();
        if again && !self.limit(now).is_zero() {
            return self.ask(peer, attempt.saturating_add(1), now);
        }
        if why.is_total() {
            self.note_silence(peer);
        } else {
            self.refuse(NotLive::Unanswered);
        }
        self.next(now)
    }

    /// Whoever has said 'not yet' holds the session: what follows is no silence (S-8).
    fn note_silence(&mut self, peer: ClusterId) {
        if self.deferred.as_ref() == Some(&peer) {
            self.heard.note(Said::Held);
            return;
        }
        self.heard.note(Said::Nothing);
        self.silent.push(peer);
    }

    /// A stub is followed only to a strictly higher generation, and nobody is asked twice (S-7).
    fn follow(&mut self, to: ClusterId, generation: Generation) {
        let is_known = generation <= self.seen;
        self.seen = self.seen.max(generation);
        // A stub that points here tells of data that are lost by now.
        if to == self.case.own || is_known {
            self.heard.note(Said::Missing);
            return;
        }
        if !self.asked.contains(&to) {
            self.queue.retain(|queued| *queued != to);
            self.queue.push(to);
        } else if !self.silent.contains(&to) {
            // It has been handed around while this one asked; whoever has it was heard a moment ago.
            self.heard.note(Said::Held);
        }
    }

    fn wait(&mut self, peer: &ClusterId, span: Duration, now: Timestamp) -> Option<Effect> {
        let rest = self.deadline.since(now);
        (span < rest).then(|| {
            self.deferred = Some(peer.clone());
            self.step = Step::Waiting { peer: peer.clone() };
            Effect::Wait(span.max(PAUSE_MIN))
        })
    }

    fn found(&mut self, peer: ClusterId, session: Box<Session>, now: Timestamp) -> Effect {
        let (theirs, ours) = (&session.facts, &self.case.facts);
        let same = theirs.sso == ours.sso && theirs.subject == ours.subject;
        if !same || theirs.store != ours.store {
            return Effect::Finish(Outcome::Refuse(NotLive::Mismatched));
        }
        if now >= theirs.expires.min(ours.expires) {
            return Effect::Finish(Outcome::Refuse(NotLive::Expired));
        }
        if self.is_anchored() && theirs.generation < self.seen {
            // It does not know yet that another data centre took over.
            self.heard.note(Said::Missing);
            return self.next(now);
        }
        self.seen = self.seen.max(theirs.generation);
        self.step = Step::Rereading(Origin::Fetched { peer, session });
        Effect::Reread
    }

    fn refuse(&mut self, why: NotLive) {
        self.heard.refused.get_or_insert(why);
    }

    pub(super) fn limit(&self, now: Timestamp) -> Duration {
        self.case.policy.attempt_limit.min(self.deadline.since(now))
    }

    pub(super) fn is_anchored(&self) -> bool {
        self.case.policy.anchor == Anchor::Anchored
    }
}

/// How long an adoption waits before it asks again for what another has reserved.
const RESERVED_PAUSE: Duration = Duration::from_millis(50);
/// The least wait, so that an adoption never spins.
const PAUSE_MIN: Duration = Duration::from_millis(5);

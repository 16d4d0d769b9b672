//! What follows when a peer does not let go, or nobody is left to ask: waiting, giving up, or a session
//! made from the cookie's facts.

use crate::decision::adoption::Creation;
use crate::decision::adoption::Effect;
use crate::decision::adoption::OnMissing;
use crate::decision::adoption::OnSilence;
use crate::decision::adoption::Outcome;
use crate::decision::adoption::draft;
use crate::decision::adoption::draft::Origin;
use crate::decision::adoption::machine::Adoption;
use crate::decision::adoption::machine::Said;
use crate::decision::adoption::machine::Step;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Question;
use crate::model::session::Generation;
use crate::model::session::Release;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::time::Timestamp;

impl Adoption {
    /// Who gave no answer, short of those of whom that was known before.
    #[must_use]
    pub fn fell_silent(&self) -> Vec<ClusterId> {
        let silent = self.silent.iter();
        let fell = silent.filter(|peer| !self.case.silent.contains(peer));
        fell.cloned().collect()
    }

    pub(super) fn commit(
        &mut self,
        pending: Box<Session>,
        release: Release,
        attempt: u32,
        now: Timestamp,
    ) -> Effect {
        let limit = self.limit(now);
        if limit.is_zero() || self.case.silent.contains(&release.from) {
            return self.promote(pending, now);
        }
        let question = Question::Commit {
            sso: pending.facts.sso,
            adoption: release.adoption,
            version: release.version,
            generation: pending.facts.generation,
            session: pending.id,
        };
        let peer = release.from.clone();
        self.step = Step::Committing {
            pending,
            release,
            attempt,
        };
        Effect::Ask {
            peer,
            question: Box::new(question),
            limit,
        }
    }

    /// Takes the answer to a commit. Whoever did not let go serves on, and the copy is given up (S-6).
    pub(super) fn committed(
        &mut self,
        mut pending: Box<Session>,
        release: &Release,
        answer: Answer,
        now: Timestamp,
    ) -> Effect {
        match answer {
            Answer::Committed(newer) => {
                if let Some(newer) = newer {
                    draft::take_newer(&mut pending, &newer);
                }
                pending.held_since = now;
                self.keep_live(*pending)
            }
            Answer::Ended => Effect::Finish(Outcome::Ended),
            Answer::Moved { to, generation } if to != self.case.own => {
                self.keep_stub(*pending, to, generation)
            }
            Answer::TooSoon(_)
            | Answer::Reserved
            | Answer::Lapsed
            | Answer::Moved { .. }
            | Answer::Idle
            | Answer::Expired
            | Answer::Missing => {
                let (to, generation) = (release.from.clone(), release.generation);
                self.keep_stub(*pending, to, generation)
            }
            // An engine that cannot tell is as good as silent (S-19).
            Answer::Unknown => self.promote(pending, now),
            // Whether it has let go before is as open as it was: a copy that is given up now may be the
            // only one (S-6).
            Answer::Hello(_)
            | Answer::Session(_)
            | Answer::Refused(_)
            | Answer::LastAccess(_)
            | Answer::Noted { .. }
            | Answer::NotDurable
            | Answer::Ends { .. }
            | Answer::Done => Effect::Finish(Outcome::Refuse(NotLive::Unanswered)),
        }
    }

    fn keep_stub(&mut self, mut record: Session, to: ClusterId, generation: Generation) -> Effect {
        record.facts.generation = generation;
        record.state = SessionState::Moved {
            to,
            generation,
            adoption: None,
        };
        self.step = Step::KeepingStub(NotLive::HeldElsewhere);
        Effect::Keep(Box::new(record))
    }

    /// What becomes of a pending copy whose commit nobody answered: with `continue_on_sync_failure` it
    /// serves at a generation of its own, otherwise it waits (S-6).
    pub(super) fn promote(&mut self, mut pending: Box<Session>, now: Timestamp) -> Effect {
        let policy = &self.case.policy;
        if policy.on_silence == OnSilence::Challenge {
            return Effect::Finish(Outcome::Refuse(NotLive::Unanswered));
        }
        if self.case.creation == Creation::LeaseOver {
            return Effect::Finish(Outcome::Refuse(NotLive::LeaseOver));
        }
        pending.facts.generation = pending.facts.generation.next();
        pending.held_since = now;
        self.keep_announced(*pending)
    }

    /// Nobody is left to ask.
    pub(super) fn conclude(&mut self, now: Timestamp) -> Effect {
        let (heard, policy) = (&self.heard, self.case.policy);
        let refuse = |why| Effect::Finish(Outcome::Refuse(why));
        if let Some(why) = heard.refused {
            return refuse(why);
        }
        if heard.has(Said::Idle) {
            return refuse(NotLive::Idle);
        }
        if heard.has(Said::Expired) {
            return refuse(NotLive::Expired);
        }
        if heard.has(Said::Held) {
            return refuse(NotLive::HeldElsewhere);
        }
        // Time may have run out with somebody unasked: that is silence too.
        if heard.has(Said::Nothing) || !self.queue.is_empty() {
            return match policy.on_silence {
                OnSilence::Challenge => refuse(NotLive::Unanswered),
                OnSilence::Continue => self.create(NotLive::Unanswered, now),
            };
        }
        if self.case.presented.at == Place::Collector
            && policy.on_missing == OnMissing::Create
            && heard.has(Said::Missing)
        {
            return self.create(NotLive::Missing, now);
        }
        refuse(NotLive::Missing)
    }

    /// Makes the session from the cookie's facts, under the lease (S-16), unless the cookies themselves
    /// say that it has idled out. `otherwise` is the reason where they know no last access at all.
    pub(super) fn create(&mut self, otherwise: NotLive, now: Timestamp) -> Effect {
        match self.case.creation {
            Creation::Allowed => {}
            Creation::NoOrigin => return Effect::Finish(Outcome::Refuse(otherwise)),
            Creation::LeaseOver => return Effect::Finish(Outcome::Refuse(NotLive::LeaseOver)),
            Creation::Skew => return Effect::Finish(Outcome::Refuse(NotLive::Skew)),
        }
        let local = self.case.local.record().map(|record| record.last_access);
        let Some(last_access) = self.case.last_access.max(local) else {
            return Effect::Finish(Outcome::Refuse(otherwise));
        };
        if now.since(last_access) >= self.case.idle_timeout {
            return Effect::Finish(Outcome::Refuse(NotLive::Idle));
        }
        self.step = Step::Rereading(Origin::Claims);
        Effect::Reread
    }
}

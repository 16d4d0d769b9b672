//! What is stored of an adopted session, and the giving back of a promise that is not used.

use crate::decision::adoption::Effect;
use crate::decision::adoption::Kept;
use crate::decision::adoption::Outcome;
use crate::decision::adoption::Reread;
use crate::decision::adoption::draft;
use crate::decision::adoption::draft::Origin;
use crate::decision::adoption::draft::Unmade;
use crate::decision::adoption::machine::Adoption;
use crate::decision::adoption::machine::Step;
use crate::model::claim::NotLive;
use crate::model::name::ClusterId;
use crate::model::peer::Question;
use crate::model::session::Rank;
use crate::model::session::Release;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::time::Timestamp;

impl Adoption {
    /// Makes the record, now that the identity store has been asked.
    pub(super) fn reread(&mut self, origin: &Origin, reread: Reread, now: Timestamp) -> Effect {
        let generation = if self.is_anchored() {
            self.seen.next()
        } else {
            self.seen
        };
        let record = match draft::record(&self.case, origin, reread, generation, now) {
            Ok(record) => record,
            Err(why) => {
                let outcome = match why {
                    Unmade::Gone => Outcome::CutOff,
                    Unmade::Unavailable => Outcome::Refuse(NotLive::Unanswered),
                    Unmade::UnknownStore => Outcome::Refuse(NotLive::UnknownStore),
                };
                return match origin {
                    Origin::Fetched { peer, .. } => self.give_up(peer.clone(), outcome, now),
                    Origin::Claims => Effect::Finish(outcome),
                };
            }
        };
        match origin {
            Origin::Fetched { peer, session } if self.is_anchored() => {
                let release = Release {
                    adoption: self.case.adoption,
                    from: peer.clone(),
                    generation: session.facts.generation,
                    version: session.version,
                };
                self.keep_pending(record, release)
            }
            Origin::Fetched { .. } => self.keep_live(record),
            Origin::Claims => self.keep_announced(record),
        }
    }

    fn keep_pending(&mut self, mut record: Session, release: Release) -> Effect {
        record.state = SessionState::Pending(release.clone());
        let pending = Box::new(record);
        self.step = Step::KeepingPending {
            pending: pending.clone(),
            release,
        };
        Effect::Keep(pending)
    }

    pub(super) fn keep_live(&mut self, mut record: Session) -> Effect {
        record.state = SessionState::Live;
        self.step = Step::KeepingLive;
        Effect::Keep(Box::new(record))
    }

    /// Keeps a record that nobody has given away: where there is one holder, the others are told first.
    pub(super) fn keep_announced(&mut self, record: Session) -> Effect {
        if !self.is_anchored() {
            return self.keep_live(record);
        }
        let rank = Rank {
            generation: record.facts.generation,
            cluster: self.case.own.clone(),
        };
        self.step = Step::Announcing(Box::new(record));
        Effect::Announce(rank)
    }

    /// Ends an adoption that cannot use what it was given; a promise is given back, so that nobody else
    /// waits for it to lapse.
    pub(super) fn give_up(&mut self, peer: ClusterId, outcome: Outcome, now: Timestamp) -> Effect {
        let limit = self.limit(now);
        if !self.is_anchored() || limit.is_zero() {
            return Effect::Finish(outcome);
        }
        self.step = Step::GivingUp(outcome);
        let question = Question::Abort {
            sso: self.case.facts.sso,
            adoption: self.case.adoption,
        };
        Effect::Ask {
            peer,
            question: Box::new(question),
            limit,
        }
    }
}

/// What storing the last record comes to. Where something else stood first, that is to be looked at.
pub(super) const fn outcome_of(kept: Kept) -> Outcome {
    match kept {
        Kept::Kept { .. } | Kept::Raced => Outcome::Serve,
        Kept::Ended => Outcome::Refuse(NotLive::Ended),
        Kept::Failed => Outcome::Refuse(NotLive::Unanswered),
    }
}

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
                    Unmade::UnknownStore => Outcome::Refuse(NotLive::Refused),
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
            Origin::Fetched { .. } => self.keep_live(record, None),
            Origin::Claims => {
                let announce = self.is_anchored().then(|| self.rank(generation));
                self.keep_live(record, announce)
            }
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

    pub(super) fn keep_live(&mut self, mut record: Session, announce: Option<Rank>) -> Effect {
        record.state = SessionState::Live;
        self.step = Step::KeepingLive { announce };
        Effect::Keep(Box::new(record))
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
pub(super) fn outcome_of(kept: Kept, announce: Option<Rank>) -> Outcome {
    match kept {
        Kept::Kept { .. } => Outcome::Serve { announce },
        Kept::Raced => Outcome::Serve { announce: None },
        Kept::Ended => Outcome::Refuse(NotLive::Ended),
        Kept::Failed => Outcome::Refuse(NotLive::Unanswered),
    }
}

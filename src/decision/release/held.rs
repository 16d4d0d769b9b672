//! What a holder makes of its record: whether it may be given away, and what of it travels.
//!
//! What the record becomes is decided by its parent.

use std::time::Duration;

use crate::decision::release::Commit;
use crate::decision::release::Holding;
use crate::decision::release::Known;
use crate::model::attribute::AttributeSet;
use crate::model::id::AdoptionId;
use crate::model::id::SessionId;
use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Data;
use crate::model::peer::Refusal;
use crate::model::session::Attributes;
use crate::model::session::Holder;
use crate::model::session::Reservation;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// A record that the question is about, and what counts of it.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) session: &'a Session,
    /// The newest access known here, and none that lies ahead.
    pub(super) last_access: Timestamp,
    /// The earlier of the two expiries (S-3).
    expires: Timestamp,
}

impl<'a> Held<'a> {
    pub(super) fn new(
        holding: &Holding<'_>,
        session: &'a Session,
        last_access: Timestamp,
        expires: Timestamp,
    ) -> Self {
        Self {
            session,
            last_access: session.last_access.max(last_access).min(holding.now),
            expires: session.facts.expires.min(expires),
        }
    }

    pub(super) fn is_expired(&self, holding: &Holding<'_>) -> bool {
        holding.now >= self.expires
    }

    fn is_idle(&self, holding: &Holding<'_>) -> bool {
        holding.now.since(self.last_access) >= holding.idle_timeout
    }
}

/// The record that the facts of a question speak of, in whatever state (S-3).
pub(super) fn found<'a>(
    holding: &Holding<'_>,
    known: &Known<'a>,
    facts: &SsoFacts,
) -> Result<Held<'a>, Answer> {
    match known {
        Known::Absent => Err(holding.none_such(facts)),
        Known::Ended => Err(Answer::Ended),
        Known::Record { session, .. } if session.state == SessionState::Ended => Err(Answer::Ended),
        Known::Record { session, .. } if !matches(&session.facts, facts) => {
            Err(Answer::Refused(Refusal::Mismatched))
        }
        Known::Record {
            session,
            last_access,
        } => Ok(Held::new(holding, session, *last_access, facts.expires)),
    }
}

/// The record, if it may be given away.
pub(super) fn live<'a>(
    holding: &Holding<'_>,
    known: &Known<'a>,
    facts: &SsoFacts,
) -> Result<Held<'a>, Answer> {
    let held = found(holding, known, facts)?;
    match &held.session.state {
        SessionState::Ended => return Err(Answer::Ended),
        // It is about to be had from here or from where it is reserved. Silence would let the asker
        // build one more holder while everyone can be reached (R7, S-8).
        SessionState::Pending(_) => return Err(Answer::Reserved),
        SessionState::Moved { to, generation, .. } => {
            return Err(Answer::Moved {
                to: to.clone(),
                generation: *generation,
            });
        }
        SessionState::Live => {}
    }
    if held.is_expired(holding) {
        return Err(Answer::Expired);
    }
    if facts.generation > held.session.facts.generation {
        // Someone ranks above this record, and who cannot be told: it is not the newest, so it is not
        // given away, and nothing says that the session is gone either (S-4). It becomes a stub when
        // that holder's move is heard of.
        return Err(Answer::Unknown);
    }
    if held.is_idle(holding) {
        return Err(Answer::Idle);
    }
    Ok(held)
}

fn matches(own: &SsoFacts, theirs: &SsoFacts) -> bool {
    own.sso == theirs.sso && own.subject == theirs.subject && own.store == theirs.store
}

/// What travels of a record (MDC-ADOPT-7): a live session without the promise, its chain as the asker
/// will need it.
pub(super) fn given(own: &ClusterId, held: &Held<'_>, from: &ClusterId, data: Data) -> Session {
    let mut session = held.session.clone();
    session.state = SessionState::Live;
    session.reserved = None;
    session.last_access = held.last_access;
    session.facts.expires = held.expires;
    session.aliases.retain(|holder| holder.cluster != *from);
    note(&mut session, own, held.session.id);
    match data {
        Data::All => {}
        Data::None => {
            session.identity.name = None;
            session.identity.email = None;
            session.identity.groups.clear();
            session.identity.attributes = AttributeSet::default();
            session.noted = None;
            session.attributes = Attributes::Unknown;
        }
    }
    session
}

pub(super) fn note(session: &mut Session, cluster: &ClusterId, id: SessionId) {
    session.note_alias(Holder {
        cluster: cluster.clone(),
        session: id,
    });
}

pub(super) fn is_noted(session: &Session, cluster: &ClusterId, id: SessionId) -> bool {
    session
        .aliases
        .iter()
        .any(|holder| holder.cluster == *cluster && holder.session == id)
}

pub(super) fn is_for(promise: &Reservation, by: &ClusterId, adoption: AdoptionId) -> bool {
    promise.adoption == adoption && promise.by == *by
}

pub(super) const fn version_after(session: &Session) -> u64 {
    session.version.saturating_add(1)
}

impl Holding<'_> {
    /// Whether a promise holds. One that reaches further ahead than any was ever made for was made
    /// before the clock was set back.
    pub(super) fn keeps(&self, promise: &Reservation) -> bool {
        self.now < promise.until && promise.until <= self.now.after(self.lapse)
    }

    /// How much longer the session is kept here; a clock that was set back keeps it no longer (S-9).
    pub(super) fn rest_of_hold(&self, session: &Session) -> Option<Duration> {
        let is_new =
            session.held_since <= self.now && self.now.since(session.held_since) < self.min_hold;
        is_new.then(|| {
            self.min_hold
                .saturating_sub(self.now.since(session.held_since))
        })
    }

    pub(super) fn may_commit(
        &self,
        held: &Held<'_>,
        promise: &Reservation,
        from: &ClusterId,
        question: &Commit,
    ) -> bool {
        is_for(promise, from, question.adoption)
            && self.keeps(promise)
            // An older version belongs to a promise that lapsed and was made again by a late question:
            // whoever it was given to has deleted its copy.
            && question.version >= promise.version
            && question.generation > held.session.facts.generation
    }

    /// The answer for want of a record: 'no such session' only if this store would know it, wherever
    /// within the hard limit the clock stood that wrote its beginning (S-19, S-22).
    fn none_such(&self, facts: &SsoFacts) -> Answer {
        if self.remembers_since.after(self.hard_skew) < facts.first_authenticated {
            Answer::Missing
        } else {
            Answer::Unknown
        }
    }
}

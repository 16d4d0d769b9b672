//! Release: what a data centre that holds a session does when another one asks for it (S-4, S-6, S-9,
//! S-19, MDC-ADOPT-2, MDC-ADOPT-3, X-19).
//!
//! Each function judges one question by what the store has, and says the answer and what becomes of
//! the record. The change is stored before the answer is given; if the record changed meanwhile, the
//! question is judged again by the newer one. Who asks and when is `decision::adoption`; storing,
//! telling others of a move and refusing strangers are the engine's matter.
//!
//! That nobody is given a session twice does not depend on any clock: a commit turns the record into a
//! stub, and a stub commits to nobody else. Time only decides how long a promise keeps others waiting.

use std::time::Duration;

use crate::decision::release::held::Held;
use crate::decision::release::held::found;
use crate::decision::release::held::given;
use crate::decision::release::held::is_for;
use crate::decision::release::held::is_noted;
use crate::decision::release::held::live;
use crate::decision::release::held::note;
use crate::decision::release::held::version_after;
use crate::model::id::AdoptionId;
use crate::model::id::SessionId;
use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Data;
use crate::model::session::Generation;
use crate::model::session::Rank;
use crate::model::session::Reservation;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

mod held;

#[cfg(test)]
mod tests;

/// What a holder goes by.
#[derive(Clone, Copy, Debug)]
pub struct Holding<'a> {
    /// This data centre.
    pub own: &'a ClusterId,
    /// The present time.
    pub now: Timestamp,
    /// How long a session may go without a request.
    pub idle_timeout: Duration,
    /// How long a session is held before it is let go of (S-9).
    pub min_hold: Duration,
    /// How long a reservation holds without a commit (S-6).
    pub lapse: Duration,
    /// How far the clock of a peer may be off (S-22).
    pub hard_skew: Duration,
    /// How far back the memory of the store reaches (S-19).
    pub remembers_since: Timestamp,
}

/// What the store has under an `SsoId`.
#[derive(Clone, Copy, Debug)]
pub enum Known<'a> {
    /// Nothing.
    Absent,
    /// A tombstone (S-14).
    Ended,
    /// A record.
    Record {
        /// The record as it is stored.
        session: &'a Session,
        /// The last access noted, written back or not.
        last_access: Timestamp,
    },
}

/// What becomes of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    None,
    /// This takes its place, if its version is still the one that was read.
    Replace(Box<Session>),
}

/// What is answered, once the change is durable (S-6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// What is stored first.
    pub change: Change,
}

/// The question for a reservation and the session's data.
#[derive(Clone, Copy, Debug)]
pub struct Reserve<'a> {
    /// The SSO session as the asker's cookie has it.
    pub facts: &'a SsoFacts,
    /// The adoption.
    pub adoption: AdoptionId,
    /// Whether the attributes are wanted.
    pub data: Data,
}

/// The question to let go of a reserved session.
#[derive(Clone, Copy, Debug)]
pub struct Commit {
    /// The adoption.
    pub adoption: AdoptionId,
    /// The version of the record that the asker was given.
    pub version: u64,
    /// The generation that the asker will hold.
    pub generation: Generation,
    /// The asker's record.
    pub session: SessionId,
}

/// Gives a copy away; the session is served here as before (MDC-ADOPT-3).
///
/// The asker's record is noted in the chain, so that an idle session can be asked for there (S-20).
#[must_use]
pub fn fetch(
    holding: &Holding<'_>,
    known: &Known<'_>,
    from: &ClusterId,
    facts: &SsoFacts,
    session: SessionId,
) -> Reply {
    let held = match live(holding, known, facts) {
        Ok(held) => held,
        Err(answer) => return Reply::unchanged(answer),
    };
    let given = given(holding.own, &held, from, Data::All);
    if is_noted(held.session, from, session) {
        return Reply::unchanged(Answer::Session(Box::new(given)));
    }
    let mut noted = held.session.clone();
    note(&mut noted, from, session);
    Reply::changed(Answer::Session(Box::new(given)), noted)
}

/// Promises to let go of a session, and gives its data away (S-6). The session is served here as before.
///
/// Asked again with the same adoption, the same is answered, and the promise holds no longer than it
/// did. One that has lapsed is not given again: the late copy of a question must not keep others waiting.
#[must_use]
pub fn reserve(
    holding: &Holding<'_>,
    known: &Known<'_>,
    from: &ClusterId,
    question: &Reserve<'_>,
) -> Reply {
    let held = match live(holding, known, question.facts) {
        Ok(held) => held,
        Err(answer) => return Reply::unchanged(answer),
    };
    let give = || Box::new(given(holding.own, &held, from, question.data));
    match &held.session.reserved {
        Some(promise) if is_for(promise, from, question.adoption) => {
            return Reply::unchanged(if holding.keeps(promise) {
                Answer::Session(give())
            } else {
                Answer::Lapsed
            });
        }
        Some(promise) if holding.keeps(promise) => return Reply::unchanged(Answer::Reserved),
        Some(_) | None => {}
    }
    if let Some(rest) = holding.rest_of_hold(held.session) {
        return Reply::unchanged(Answer::TooSoon(rest));
    }
    // The version that the record has once the promise is stored: what the asker reads and names later.
    let mut given = give();
    given.version = version_after(held.session);
    let mut promised = held.session.clone();
    // Stored with the promise, so that the commit can tell whether a request came in between.
    promised.last_access = held.last_access;
    promised.reserved = Some(Reservation {
        adoption: question.adoption,
        by: from.clone(),
        until: holding.now.after(holding.lapse),
        version: given.version,
        data: question.data,
    });
    Reply::changed(Answer::Session(given), promised)
}

/// Lets go of a reserved session: the record becomes a stub that names the asker (S-6).
///
/// This compares and sets: the adoption must be the one that the promise was made to, unlapsed, by the
/// same asker, for a record as old as the promise or newer, and for a higher generation. Whatever fails
/// is answered `Lapsed`, and the asker deletes its copy. A session that expired or went idle meanwhile is
/// let go of all the same; the copy is as old and serves nobody either.
#[must_use]
pub fn commit(
    holding: &Holding<'_>,
    known: &Known<'_>,
    from: &ClusterId,
    question: &Commit,
) -> Reply {
    let held = match known {
        // Nothing was promised by a store that knows nothing.
        Known::Absent => return Reply::unchanged(Answer::Lapsed),
        Known::Ended => return Reply::unchanged(Answer::Ended),
        Known::Record {
            session,
            last_access,
        } => Held::new(holding, session, *last_access, session.facts.expires),
    };
    match &held.session.state {
        SessionState::Ended => Reply::unchanged(Answer::Ended),
        SessionState::Live => match &held.session.reserved {
            Some(promise) if holding.may_commit(&held, promise, from, question) => {
                let_go(holding, &held, promise, question)
            }
            Some(_) | None => Reply::unchanged(Answer::Lapsed),
        },
        // The answer may have been lost together with the newer record, so that comes along.
        SessionState::Moved {
            to,
            generation,
            adoption: Some(adoption),
        } if *adoption == question.adoption && to == from && *generation == question.generation => {
            let data = held
                .session
                .reserved
                .as_ref()
                .map_or(Data::None, |r| r.data);
            let newer = given(holding.own, &held, from, data);
            Reply::unchanged(Answer::Committed(Some(Box::new(newer))))
        }
        SessionState::Moved { .. } | SessionState::Pending(_) => Reply::unchanged(Answer::Lapsed),
    }
}

/// Forgets a promise (S-6).
///
/// Its adoption is remembered as lapsed, also where the question for it has not arrived yet: late copies
/// of that question must not make the promise again.
#[must_use]
pub fn abort(
    holding: &Holding<'_>,
    known: &Known<'_>,
    from: &ClusterId,
    adoption: AdoptionId,
) -> Reply {
    let Known::Record { session, .. } = known else {
        return Reply::unchanged(Answer::Done);
    };
    if session.state != SessionState::Live {
        return Reply::unchanged(Answer::Done);
    }
    let forgotten = match &session.reserved {
        Some(promise) if is_for(promise, from, adoption) => holding.keeps(promise).then(|| {
            let until = holding.now;
            Reservation {
                until,
                ..promise.clone()
            }
        }),
        Some(promise) if holding.keeps(promise) => None,
        Some(_) | None => Some(Reservation {
            adoption,
            by: from.clone(),
            until: holding.now,
            version: version_after(session),
            data: Data::None,
        }),
    };
    match forgotten {
        Some(reservation) => {
            let mut changed = Session::clone(session);
            changed.reserved = Some(reservation);
            Reply::changed(Answer::Done, changed)
        }
        None => Reply::unchanged(Answer::Done),
    }
}

/// Says when a session was last used here (S-20).
///
/// A record that serves nobody answers too: what it saw before it was moved is an access all the same,
/// and after a partition it may be the newest one (S-4). The question itself is no access.
#[must_use]
pub fn last_access(holding: &Holding<'_>, known: &Known<'_>, facts: &SsoFacts) -> Reply {
    Reply::unchanged(match found(holding, known, facts) {
        Ok(held) if held.is_expired(holding) => Answer::Expired,
        Ok(held) => Answer::LastAccess(held.last_access),
        Err(answer) => answer,
    })
}

/// Takes in that another data centre holds a session: the record becomes a stub, but only if that holder
/// ranks above what is known here (S-4, S-14).
///
/// Whoever waits for a commit ranks by what it will hold then. That a session has moved here is told by
/// the commit alone.
#[must_use]
pub fn moved(own: &ClusterId, known: &Known<'_>, holder: &Rank) -> Change {
    let Known::Record {
        session,
        last_access,
    } = known
    else {
        return Change::None;
    };
    let Some(held) = rank(own, session) else {
        return Change::None;
    };
    if holder.cluster == *own || *holder <= held {
        return Change::None;
    }
    let mut stub = Session::clone(session);
    stub.last_access = session.last_access.max(*last_access);
    stub.state = SessionState::Moved {
        to: holder.cluster.clone(),
        generation: holder.generation,
        adoption: None,
    };
    stub.reserved = None;
    Change::Replace(Box::new(stub))
}

/// Who holds a session, as far as its record here tells; nobody once it has ended.
fn rank(own: &ClusterId, session: &Session) -> Option<Rank> {
    let own_at = |generation| Rank {
        generation,
        cluster: own.clone(),
    };
    match &session.state {
        SessionState::Ended => None,
        SessionState::Live => Some(own_at(session.facts.generation)),
        SessionState::Moved { to, generation, .. } => Some(Rank {
            generation: *generation,
            cluster: to.clone(),
        }),
        SessionState::Pending(release) => {
            let next = release.generation.next();
            Some(own_at(next.max(session.facts.generation)))
        }
    }
}

fn let_go(
    holding: &Holding<'_>,
    held: &Held<'_>,
    promise: &Reservation,
    question: &Commit,
) -> Reply {
    let is_newer =
        held.session.version != question.version || held.last_access > held.session.last_access;
    let newer = is_newer.then(|| Box::new(given(holding.own, held, &promise.by, promise.data)));
    let mut stub = held.session.clone();
    stub.state = SessionState::Moved {
        to: promise.by.clone(),
        generation: question.generation,
        adoption: Some(question.adoption),
    };
    stub.last_access = held.last_access;
    note(&mut stub, &promise.by, question.session);
    Reply::changed(Answer::Committed(newer), stub)
}

impl Reply {
    const fn unchanged(answer: Answer) -> Self {
        Self {
            answer,
            change: Change::None,
        }
    }

    fn changed(answer: Answer, session: Session) -> Self {
        Self {
            answer,
            change: Change::Replace(Box::new(session)),
        }
    }
}

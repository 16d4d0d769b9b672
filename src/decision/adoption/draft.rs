//! The record that an adoption makes: from what was fetched, or from the cookie's facts alone.
//!
//! When it is made, and whether it may serve, is the machine's matter.

use crate::decision::adoption::Case;
use crate::decision::adoption::Local;
use crate::decision::adoption::Reread;
use crate::model::attribute::AttributeSet;
use crate::model::id::SessionId;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::session::Attributes;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// Where the data of the new record come from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// From the record of another data centre.
    Fetched {
        /// Whose.
        peer: ClusterId,
        /// The record.
        session: Box<Session>,
    },
    /// From the cookie (MDC-ADOPT-1, MDC-FAIL-4).
    Claims,
}

/// Why a record cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unmade {
    /// The user is gone or disabled (S-10).
    Gone,
    /// The identity store could not be asked, and nothing was fetched (S-10).
    Unavailable,
    /// The identity store is not known here (MDC-ADOPT-8).
    UnknownStore,
}

/// Makes the record, in state `live`, at `generation`.
pub(super) fn record(
    case: &Case,
    origin: &Origin,
    reread: Reread,
    generation: Generation,
    now: Timestamp,
) -> Result<Session, Unmade> {
    let (identity, attributes) = identity(case, origin, reread)?;
    let before = case.local.record();
    let mut session = Session {
        id: case.own_id(),
        facts: SsoFacts {
            generation,
            ..facts(case, origin)
        },
        state: SessionState::Live,
        identity,
        last_access: last_access(case, origin, now),
        client_address: case.presented.client_address,
        held_since: now,
        reserved: None,
        provider_session: before.and_then(|record| record.provider_session),
        attributes,
        noted: None,
        aliases: before.map_or_else(Vec::new, |record| record.aliases.clone()),
        visited: before.map_or_else(Vec::new, |record| record.visited.clone()),
        version: before.map_or(0, |record| record.version),
    };
    for holder in &case.chain {
        note(&mut session, &case.own, holder.clone());
    }
    if let Origin::Fetched {
        peer,
        session: from,
    } = origin
    {
        session.client_address = from.client_address;
        session.noted.clone_from(&from.noted);
        session.provider_session = from.provider_session.or(session.provider_session);
        merge_visited(&mut session, from);
        for holder in &from.aliases {
            note(&mut session, &case.own, holder.clone());
        }
        let holder = Holder {
            cluster: peer.clone(),
            session: from.id,
        };
        note(&mut session, &case.own, holder);
    }
    Ok(session)
}

/// Takes over what changed in the other data centre's record after it was fetched (S-6). Attributes that
/// were read again here stay.
pub(super) fn take_newer(session: &mut Session, newer: &Session) {
    session.facts.expires = session.facts.expires.min(newer.facts.expires);
    session.last_access = session.last_access.max(newer.last_access);
    if newer.facts.level_reached > session.facts.level_reached {
        session.facts.level = newer.facts.level;
        session.facts.level_reached = newer.facts.level_reached;
    }
    if newer.noted.is_some() {
        session.noted.clone_from(&newer.noted);
    }
    merge_visited(session, newer);
}

fn merge_visited(session: &mut Session, from: &Session) {
    for host in &from.visited {
        if session.visited.len() < Session::VISITED_MAX && !session.visited.contains(host) {
            session.visited.push(host.clone());
        }
    }
}

fn note(session: &mut Session, own: &ClusterId, holder: Holder) {
    if holder.cluster != *own {
        session.note_alias(holder);
    }
}

/// The facts with the earlier expiry: hopping never moves it later (S-3, MDC-ADOPT-7).
fn facts(case: &Case, origin: &Origin) -> SsoFacts {
    match origin {
        Origin::Claims => case.facts.clone(),
        Origin::Fetched { session, .. } => SsoFacts {
            expires: session.facts.expires.min(case.facts.expires),
            ..session.facts.clone()
        },
    }
}

/// The newest access anybody knows of, clamped to now (S-20).
fn last_access(case: &Case, origin: &Origin, now: Timestamp) -> Timestamp {
    let fetched = match origin {
        Origin::Claims => None,
        Origin::Fetched { session, .. } => Some(session.last_access),
    };
    let own = case.local.record().map(|record| record.last_access);
    let known = [fetched, own, case.last_access];
    let newest = known.into_iter().flatten().max();
    newest.unwrap_or(case.facts.first_authenticated).min(now)
}

fn identity(
    case: &Case,
    origin: &Origin,
    reread: Reread,
) -> Result<(Identity, Attributes), Unmade> {
    let fetched = match origin {
        Origin::Fetched { session, .. } if session.attributes == Attributes::Known => {
            Some(session.identity.clone())
        }
        Origin::Fetched { .. } | Origin::Claims => None,
    };
    match (reread, fetched) {
        (Reread::Known(identity), _) => Ok((identity, Attributes::Known)),
        (Reread::Gone, _) => Err(Unmade::Gone),
        (Reread::UnknownStore, _) => Err(Unmade::UnknownStore),
        (Reread::Unsupported | Reread::Unavailable, Some(identity)) => {
            Ok((identity, Attributes::Known))
        }
        (Reread::Unsupported, None) => Ok((bare_identity(&case.facts), Attributes::Unknown)),
        (Reread::Unavailable, None) => Err(Unmade::Unavailable),
    }
}

/// What the facts alone say of a user.
fn bare_identity(facts: &SsoFacts) -> Identity {
    Identity {
        store: facts.store.clone(),
        subject: facts.subject.clone(),
        name: None,
        email: None,
        groups: Vec::new(),
        attributes: AttributeSet::default(),
    }
}

impl Case {
    /// The id of the record: that of the one that stands here, if one does.
    pub(super) fn own_id(&self) -> SessionId {
        let local = self.local.record();
        local.map_or(self.session, |record| record.id)
    }
}

impl Local {
    /// The record that stands here already.
    pub(super) fn record(&self) -> Option<&Session> {
        match self {
            Self::Absent => None,
            Self::Outranked(session) | Self::Pending(session) | Self::Stub(session) => {
                Some(session)
            }
        }
    }
}

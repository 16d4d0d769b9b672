//! Records as they lie in memory while nobody asks for them: one short piece of bytes each.
//!
//! The bytes never leave the process, so they have no version, and what is read here was written here.
//! What a deadline is judged by, the table keeps beside them.

use std::net::IpAddr;

use crate::model::id::AdoptionId;
use crate::model::id::ProviderSessionId;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::UserName;
use crate::model::peer::Data;
use crate::model::session::Attributes;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Release;
use crate::model::session::Reservation;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::store::names::Names;
use crate::store::names::Shared;
use crate::store::packed::attributes::read_attributes;
use crate::store::packed::attributes::write_attributes;
use crate::store::packed::read::Reader;
use crate::store::packed::write::Writer;

mod attributes;
mod read;
mod write;

/// A packed record. It holds the names that it shares with others until it is taken back.
pub(super) struct Packed(Box<[u8]>);

/// What the table keeps beside a packed record.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beside {
    /// The SSO session.
    pub(super) sso: SsoId,
    /// When it ends whatever happens.
    pub(super) expires: Timestamp,
}

impl Beside {
    pub(super) const fn of(session: &Session) -> Self {
        Self {
            sso: session.facts.sso,
            expires: session.facts.expires,
        }
    }
}

impl std::fmt::Debug for Packed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packed({} bytes)", self.0.len())
    }
}

impl Packed {
    /// Packs a record.
    pub(super) fn new(session: &Session, names: &mut Names) -> Self {
        let Session {
            id,
            facts,
            state,
            identity,
            last_access,
            client_address,
            held_since,
            reserved,
            provider_session,
            attributes,
            noted,
            aliases,
            visited,
            version,
        } = session;
        let mut to = Writer::new(names);
        to.byte(state_code(state));
        to.bytes(id.as_bytes());
        write_facts(&mut to, facts);
        let since = facts.first_authenticated;
        to.time(*last_access, since);
        to.time(*held_since, since);
        to.number(*version);
        write_address(&mut to, *client_address);
        write_identity(&mut to, identity, facts);
        to.byte(match attributes {
            Attributes::Known => 0,
            Attributes::Unknown => 1,
        });
        to.option(noted.as_ref(), write_attributes);
        to.list(aliases, |to, alias| {
            to.name(&alias.cluster);
            to.bytes(alias.session.as_bytes());
        });
        to.list(visited, Writer::name);
        to.option(provider_session.as_ref(), |to, session| {
            to.bytes(session.as_bytes());
        });
        to.option(reserved.as_ref(), |to, reserved| {
            write_reservation(to, reserved, since);
        });
        write_state(&mut to, state);
        Self(to.finish())
    }

    /// The record; never none for what was packed with these names.
    pub(super) fn session(&self, beside: Beside, names: &Names) -> Option<Session> {
        read(&mut Reader::new(&self.0, names), beside)
    }

    /// The record, whose names are let go.
    pub(super) fn take(self, beside: Beside, names: &mut Names) -> Option<Session> {
        read(&mut Reader::new(&self.0, names), beside)
    }

    /// Whether a record may be dropped for want of activity (S-20). A stub, a copy that waits for its
    /// release and an ended record serve nobody; each stands for something until the SSO session expires.
    pub(super) fn goes_idle(&self) -> bool {
        self.0.first() == Some(&LIVE)
    }
}

/// The numbers of shared names, as they are read.
trait NameSource {
    fn name<N: Shared>(&mut self, number: u32) -> Option<N>;
}

impl NameSource for &Names {
    fn name<N: Shared>(&mut self, number: u32) -> Option<N> {
        self.get(number)
    }
}

impl NameSource for &mut Names {
    fn name<N: Shared>(&mut self, number: u32) -> Option<N> {
        self.let_go(number)
    }
}

fn read<S: NameSource>(from: &mut Reader<'_, S>, beside: Beside) -> Option<Session> {
    let state = from.byte()?;
    let id = SessionId::from_bytes(from.array()?);
    let facts = read_facts(from, beside)?;
    let since = facts.first_authenticated;
    Some(Session {
        id,
        last_access: from.time(since)?,
        held_since: from.time(since)?,
        version: from.number()?,
        client_address: read_address(from)?,
        identity: read_identity(from, &facts)?,
        attributes: match from.byte()? {
            0 => Attributes::Known,
            _ => Attributes::Unknown,
        },
        noted: from.option(read_attributes)?,
        aliases: from.list(|from| {
            Some(Holder {
                cluster: from.name()?,
                session: SessionId::from_bytes(from.array()?),
            })
        })?,
        visited: from.list(Reader::name)?,
        provider_session: from.option(|from| Some(ProviderSessionId::from_bytes(from.array()?)))?,
        reserved: from.option(|from| read_reservation(from, since))?,
        state: read_state(from, state)?,
        facts,
    })
}

fn write_facts(to: &mut Writer<'_>, facts: &SsoFacts) {
    let SsoFacts {
        sso: _,
        subject,
        store,
        first_authenticated,
        expires: _,
        generation,
        level,
        level_reached,
    } = facts;
    to.bytes(&first_authenticated.as_millis().to_le_bytes());
    to.time(*level_reached, *first_authenticated);
    to.number(u64::from(generation.0));
    to.byte(level.get());
    to.text(subject.as_str());
    to.name(store);
}

fn read_facts<S: NameSource>(from: &mut Reader<'_, S>, beside: Beside) -> Option<SsoFacts> {
    let first_authenticated = Timestamp::from_millis(u64::from_le_bytes(from.array()?));
    Some(SsoFacts {
        sso: beside.sso,
        expires: beside.expires,
        first_authenticated,
        level_reached: from.time(first_authenticated)?,
        generation: Generation(u32::try_from(from.number()?).ok()?),
        level: AuthLevel::new(from.byte()?)?,
        subject: UserName::parse(from.text()?).ok()?,
        store: from.name()?,
    })
}

/// Writes an identity, whose user is nearly always the one of the facts.
fn write_identity(to: &mut Writer<'_>, identity: &Identity, facts: &SsoFacts) {
    let Identity {
        store,
        subject,
        name,
        email,
        groups,
        attributes,
    } = identity;
    to.option((*store != facts.store).then_some(store), Writer::name);
    to.option(
        (*subject != facts.subject).then_some(subject),
        |to, subject| {
            to.text(subject.as_str());
        },
    );
    to.option(name.as_deref(), Writer::text);
    to.option(email.as_deref(), Writer::text);
    to.list(groups, Writer::name);
    write_attributes(to, attributes);
}

fn read_identity<S: NameSource>(from: &mut Reader<'_, S>, facts: &SsoFacts) -> Option<Identity> {
    let store = from.option(Reader::name)?;
    let subject = from.option(|from| UserName::parse(from.text()?).ok())?;
    Some(Identity {
        store: store.unwrap_or_else(|| facts.store.clone()),
        subject: subject.unwrap_or_else(|| facts.subject.clone()),
        name: from.option(|from| from.text().map(str::to_owned))?,
        email: from.option(|from| from.text().map(str::to_owned))?,
        groups: from.list(Reader::name)?,
        attributes: read_attributes(from)?,
    })
}

fn write_address(to: &mut Writer<'_>, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            to.byte(IPV4);
            to.bytes(&address.octets());
        }
        IpAddr::V6(address) => {
            to.byte(IPV6);
            to.bytes(&address.octets());
        }
    }
}

fn read_address<S: NameSource>(from: &mut Reader<'_, S>) -> Option<IpAddr> {
    match from.byte()? {
        IPV4 => from.array::<4>().map(IpAddr::from),
        _ => from.array::<16>().map(IpAddr::from),
    }
}

fn write_reservation(to: &mut Writer<'_>, reserved: &Reservation, since: Timestamp) {
    let Reservation {
        adoption,
        by,
        until,
        version,
        data,
    } = reserved;
    to.bytes(adoption.as_bytes());
    to.name(by);
    to.time(*until, since);
    to.number(*version);
    to.byte(match data {
        Data::All => 0,
        Data::None => 1,
    });
}

fn read_reservation<S: NameSource>(
    from: &mut Reader<'_, S>,
    since: Timestamp,
) -> Option<Reservation> {
    Some(Reservation {
        adoption: AdoptionId::from_bytes(from.array()?),
        by: from.name()?,
        until: from.time(since)?,
        version: from.number()?,
        data: match from.byte()? {
            0 => Data::All,
            _ => Data::None,
        },
    })
}

fn write_state(to: &mut Writer<'_>, state: &SessionState) {
    match state {
        SessionState::Ended | SessionState::Live => {}
        SessionState::Moved {
            to: holder,
            generation,
            adoption,
        } => {
            to.name(holder);
            to.number(u64::from(generation.0));
            to.option(adoption.as_ref(), |to, adoption| {
                to.bytes(adoption.as_bytes());
            });
        }
        SessionState::Pending(release) => {
            let Release {
                adoption,
                from,
                generation,
                version,
            } = release;
            to.bytes(adoption.as_bytes());
            to.name(from);
            to.number(u64::from(generation.0));
            to.number(*version);
        }
    }
}

fn read_state<S: NameSource>(from: &mut Reader<'_, S>, code: u8) -> Option<SessionState> {
    Some(match code {
        LIVE => SessionState::Live,
        MOVED => SessionState::Moved {
            to: from.name()?,
            generation: Generation(u32::try_from(from.number()?).ok()?),
            adoption: from.option(|from| from.array().map(AdoptionId::from_bytes))?,
        },
        PENDING => SessionState::Pending(Release {
            adoption: AdoptionId::from_bytes(from.array()?),
            from: from.name()?,
            generation: Generation(u32::try_from(from.number()?).ok()?),
            version: from.number()?,
        }),
        _ => SessionState::Ended,
    })
}

const fn state_code(state: &SessionState) -> u8 {
    match state {
        SessionState::Ended => ENDED,
        SessionState::Live => LIVE,
        SessionState::Moved { .. } => MOVED,
        SessionState::Pending(_) => PENDING,
    }
}

const ENDED: u8 = 0;
const LIVE: u8 = 1;
const MOVED: u8 = 2;
const PENDING: u8 = 3;

const IPV4: u8 = 4;
const IPV6: u8 = 6;

#[cfg(test)]
mod tests;

//! How each claim is written inside its seal: one after the other, without names or padding, so that all
//! cookies of a host fit one kibibyte (D-1).

use crate::crypto::bearer::Bound;
use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Claims;
use crate::crypto::claims::Form;
use crate::crypto::claims::GitoCookie;
use crate::crypto::claims::IdCookie;
use crate::crypto::claims::SignInRequest;
use crate::crypto::claims::SignOut;
use crate::crypto::claims::Token;
use crate::crypto::claims::Visited;
use crate::crypto::claims::on_the_way::read_freshness;
use crate::crypto::claims::on_the_way::read_rounds;
use crate::crypto::claims::on_the_way::read_seen;
use crate::crypto::claims::on_the_way::rounds_count;
use crate::crypto::claims::on_the_way::write_freshness;
use crate::crypto::claims::on_the_way::write_rounds;
use crate::crypto::claims::on_the_way::write_seen;
use crate::crypto::codec::Malformed;
use crate::crypto::codec::Reader;
use crate::crypto::codec::Writer;
use crate::crypto::tags::ClusterTag;
use crate::crypto::tags::UserTag;
use crate::model::end::Confirmed;
use crate::model::id::Nonce;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::identity::AuthLevel;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

impl Claims for AuthnCookie {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(160);
        write_authn(&mut to, self);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let cookie = read_authn(&mut from)?;
        from.end().map(|()| cookie)
    }
}

impl Claims for IdCookie {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(192 + self.earlier.len() * VISITED_BYTES);
        write_facts(&mut to, &self.facts);
        to.time_after(self.facts.first_authenticated, self.last_access);
        write_holder(&mut to, &self.latest);
        write_list(&mut to, &self.earlier, |to, visited| {
            to.raw(visited.cluster.as_bytes())
                .raw(visited.session.as_bytes());
        });
        to.byte(rounds_count(self.rounds.as_ref()) | self.bound.kinds());
        write_rounds(
            &mut to,
            self.rounds.as_ref(),
            self.facts.first_authenticated,
        );
        self.bound.write_tags(&mut to);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let facts = read_facts(&mut from)?;
        let last_access = from.time_after(facts.first_authenticated)?;
        let latest = read_holder(&mut from)?;
        let earlier = read_list(&mut from, |from| {
            Ok(Visited {
                cluster: ClusterTag::from_bytes(from.array()?),
                session: SessionId::from_bytes(from.array()?),
            })
        })?;
        let what = from.byte()?;
        let (count, kinds) = (what & !Bound::KINDS, what & Bound::KINDS);
        let rounds = read_rounds(&mut from, count, facts.first_authenticated)?;
        let bound = Bound::read_tags(kinds, &mut from)?;
        from.end().map(|()| Self {
            facts,
            earlier,
            latest,
            last_access,
            rounds,
            bound,
        })
    }
}

impl Claims for GitoCookie {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(80);
        to.raw(self.sso.as_bytes())
            .raw(self.cluster.as_bytes())
            .raw(self.session.as_bytes())
            .raw(self.user.as_bytes());
        to.short_number(u64::from(self.generation.0))
            .short_number(self.created.as_millis())
            .time_after(self.created, self.last_access)
            .time_after(self.created, self.expires);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let (sso, cluster) = (from.array()?, from.array()?);
        let (session, user) = (from.array()?, from.array()?);
        let generation = read_generation(&mut from)?;
        let created = Timestamp::from_millis(from.short_number()?);
        let cookie = Self {
            sso: SsoId::from_bytes(sso),
            cluster: ClusterTag::from_bytes(cluster),
            session: SessionId::from_bytes(session),
            user: UserTag::from_bytes(user),
            generation,
            last_access: from.time_after(created)?,
            expires: from.time_after(created)?,
            created,
        };
        from.end().map(|()| cookie)
    }
}

impl Claims for SignInRequest {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(64 + self.target.len());
        to.text(self.host.as_str())
            .text(&self.target)
            .raw(self.nonce.as_bytes());
        to.byte(self.level.get()).time(self.issued);
        write_freshness(&mut to, self.freshness);
        write_seen(&mut to, self.seen, &self.limits, self.activity);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let host = read_host(&mut from)?;
        let target = from.text()?.to_owned();
        let nonce = Nonce::from_bytes(from.array()?);
        let level = read_level(&mut from)?;
        let issued = from.time()?;
        let freshness = read_freshness(&mut from)?;
        let (seen, limits, activity) = read_seen(&mut from)?;
        from.end().map(|()| Self {
            host,
            target,
            nonce,
            level,
            issued,
            freshness,
            seen,
            limits,
            activity,
        })
    }
}

impl Claims for Token {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(224 + self.target.len());
        to.raw(self.id.as_bytes());
        write_authn(&mut to, &self.cookie);
        to.raw(self.nonce.as_bytes())
            .text(&self.target)
            .time(self.expires);
        write_freshness(&mut to, self.freshness);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let token = Self {
            id: TokenId::from_bytes(from.array()?),
            cookie: read_authn(&mut from)?,
            nonce: Nonce::from_bytes(from.array()?),
            target: from.text()?.to_owned(),
            expires: from.time()?,
            freshness: read_freshness(&mut from)?,
        };
        from.end().map(|()| token)
    }
}

impl Claims for Form {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(24);
        to.raw(self.nonce.as_bytes()).time(self.issued);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let form = Self {
            nonce: Nonce::from_bytes(from.array()?),
            issued: from.time()?,
        };
        from.end().map(|()| form)
    }
}

impl Claims for SignOut {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(256);
        write_list(&mut to, &self.ended, |to, sso| {
            to.raw(sso.as_bytes());
        });
        write_list(&mut to, &self.hosts, |to, host| {
            to.text(host.as_str());
        });
        write_confirmed(&mut to, self.confirmed);
        write_list(&mut to, &self.data_centres, |to, (cluster, confirmed)| {
            write_confirmed(to.name(cluster.as_str()), *confirmed);
        });
        let provider = self.provider.as_ref().map_or("", StoreName::as_str);
        to.name(provider)
            .text(self.return_to.as_deref().unwrap_or_default())
            .time(self.expires);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let ended = read_list(&mut from, |from| from.array().map(SsoId::from_bytes))?;
        let hosts = read_list(&mut from, read_host)?;
        let confirmed = read_confirmed(&mut from)?;
        let data_centres = read_list(&mut from, |from| {
            Ok((read_cluster(from)?, read_confirmed(from)?))
        })?;
        let provider = match from.name()? {
            "" => None,
            name => Some(StoreName::parse(name).map_err(|_| Malformed)?),
        };
        let return_to = Some(from.text()?)
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        let expires = from.time()?;
        from.end().map(|()| Self {
            ended,
            hosts,
            provider,
            return_to,
            confirmed,
            data_centres,
            expires,
        })
    }
}

fn write_authn(to: &mut Writer, cookie: &AuthnCookie) {
    write_facts(to, &cookie.facts);
    to.name(cookie.cluster.as_str())
        .raw(cookie.session.as_bytes());
    let begun = cookie.facts.first_authenticated;
    let used = cookie.last_access.map_or(0, |_| USED);
    to.byte(used | cookie.bound.kinds());
    if let Some(last_access) = cookie.last_access {
        to.time_after(begun, last_access);
    }
    to.time_after(begun, cookie.issued);
    cookie.bound.write_tags(to);
}

fn read_authn(from: &mut Reader<'_>) -> Result<AuthnCookie, Malformed> {
    let facts = read_facts(from)?;
    let cluster = read_cluster(from)?;
    let session = SessionId::from_bytes(from.array()?);
    let begun = facts.first_authenticated;
    let what = from.byte()?;
    let kinds = what & Bound::KINDS;
    if what & !(kinds | USED) != 0 {
        return Err(Malformed);
    }
    let last_access = (what & USED != 0).then(|| from.time_after(begun));
    let last_access = last_access.transpose()?;
    let issued = from.time_after(begun)?;
    let bound = Bound::read_tags(kinds, from)?;
    Ok(AuthnCookie {
        facts,
        cluster,
        session,
        issued,
        last_access,
        bound,
    })
}

/// Most times of a session lie within hours of its beginning, which is what they are told from.
fn write_facts(to: &mut Writer, facts: &SsoFacts) {
    let begun = facts.first_authenticated;
    to.raw(facts.sso.as_bytes())
        .name(facts.subject.as_str())
        .name(facts.store.as_str());
    to.short_number(begun.as_millis())
        .time_after(begun, facts.expires)
        .short_number(u64::from(facts.generation.0));
    to.byte(facts.level.get())
        .time_after(begun, facts.level_reached);
}

fn read_facts(from: &mut Reader<'_>) -> Result<SsoFacts, Malformed> {
    let sso = SsoId::from_bytes(from.array()?);
    let subject = UserName::parse(from.name()?).map_err(|_| Malformed)?;
    let store = StoreName::parse(from.name()?).map_err(|_| Malformed)?;
    let begun = Timestamp::from_millis(from.short_number()?);
    Ok(SsoFacts {
        sso,
        subject,
        store,
        first_authenticated: begun,
        expires: from.time_after(begun)?,
        generation: read_generation(from)?,
        level: read_level(from)?,
        level_reached: from.time_after(begun)?,
    })
}

fn read_generation(from: &mut Reader<'_>) -> Result<Generation, Malformed> {
    let number = u32::try_from(from.short_number()?);
    number.map(Generation).map_err(|_| Malformed)
}

fn write_holder(to: &mut Writer, holder: &Holder) {
    to.name(holder.cluster.as_str())
        .raw(holder.session.as_bytes());
}

fn read_holder(from: &mut Reader<'_>) -> Result<Holder, Malformed> {
    Ok(Holder {
        cluster: read_cluster(from)?,
        session: SessionId::from_bytes(from.array()?),
    })
}

fn write_confirmed(to: &mut Writer, confirmed: Confirmed) {
    to.byte(match confirmed {
        Confirmed::Durable => 1,
        Confirmed::Outstanding => 0,
    });
}

fn read_confirmed(from: &mut Reader<'_>) -> Result<Confirmed, Malformed> {
    match from.byte()? {
        0 => Ok(Confirmed::Outstanding),
        1 => Ok(Confirmed::Durable),
        _ => Err(Malformed),
    }
}

fn read_level(from: &mut Reader<'_>) -> Result<AuthLevel, Malformed> {
    AuthLevel::new(from.byte()?).ok_or(Malformed)
}

fn read_host(from: &mut Reader<'_>) -> Result<HostName, Malformed> {
    HostName::parse(from.text()?).map_err(|_| Malformed)
}

fn read_cluster(from: &mut Reader<'_>) -> Result<ClusterId, Malformed> {
    ClusterId::parse(from.name()?).map_err(|_| Malformed)
}

/// Writes at most 255 items; every list has a smaller bound of its own.
fn write_list<T>(to: &mut Writer, items: &[T], write: impl Fn(&mut Writer, &T)) {
    let count = u8::try_from(items.len()).unwrap_or(u8::MAX);
    to.byte(count);
    for item in items.iter().take(usize::from(count)) {
        write(to, item);
    }
}

fn read_list<T>(
    from: &mut Reader<'_>,
    read: impl Fn(&mut Reader<'_>) -> Result<T, Malformed>,
) -> Result<Vec<T>, Malformed> {
    let count = from.byte()?;
    (0..count).map(|_| read(from)).collect()
}

/// Set beside what an authn cookie is bound to where it says when the session was last used.
const USED: u8 = 1;
/// What one visited data centre takes.
const VISITED_BYTES: usize = ClusterTag::BYTES + 16;

//! What travels sealed: the ID cookie, the authn cookie, sign-in requests, one-step tokens, forms and
//! sign-outs, each with its encoding.
//!
//! A claim that does not parse is no claim. Nothing here judges whether a claim is still good.

use crate::crypto::codec::Malformed;
use crate::crypto::codec::Reader;
use crate::crypto::codec::Writer;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::sealed::Binding;
use crate::crypto::sealed::SealNonce;
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
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// Something that travels sealed.
pub trait Claims: Sized {
    /// Writes it.
    fn encode(&self) -> Vec<u8>;

    /// Reads it.
    ///
    /// # Errors
    /// When the bytes are not exactly one of these.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed>;
}

/// The authn cookie of an application host (MDC-COOKIE-3, M-015).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthnCookie {
    /// The facts of the SSO session (S-1).
    pub facts: SsoFacts,
    /// The data centre that issued it.
    pub cluster: ClusterId,
    /// That data centre's record.
    pub session: SessionId,
    /// When it was issued.
    pub issued: Timestamp,
}

/// The ID cookie of the collector (MDC-COOKIE-1, M-010…M-012).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdCookie {
    /// The facts of the SSO session (S-1).
    pub facts: SsoFacts,
    /// The data centres visited, in order, each with its record; the last is the latest.
    pub chain: Vec<(ClusterId, SessionId)>,
    /// The last access when the cookie was written.
    pub last_access: Timestamp,
}

/// A request for a sign-in, from an application host to the collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignInRequest {
    /// The application host.
    pub host: HostName,
    /// Path and query to come back to.
    pub target: String,
    /// The application host's nonce cookie.
    pub nonce: Nonce,
    /// The level that the route asks for.
    pub level: AuthLevel,
    /// When it was made.
    pub issued: Timestamp,
}

/// The one-step token that the collector sends back (S-24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Spent once.
    pub id: TokenId,
    /// What the authn cookie will say.
    pub cookie: AuthnCookie,
    /// The application host's nonce cookie.
    pub nonce: Nonce,
    /// Path and query to go to.
    pub target: String,
    /// When it stops being good.
    pub expires: Timestamp,
}

/// The hidden field that ties a posted form to the browser it was shown in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The collector's nonce cookie.
    pub nonce: Nonce,
    /// When the form was made.
    pub issued: Timestamp,
}

/// The state of a sign-out that goes from host to host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignOut {
    /// What has been ended; an authn cookie of any of these is cleared.
    pub ended: Vec<SsoId>,
    /// The application hosts still to visit.
    pub hosts: Vec<HostName>,
    /// Where to go at the end; the collector's own page when there is nowhere.
    pub return_to: Option<String>,
    /// Whether every end is durable.
    pub confirmed: Confirmed,
    /// When this stops being good.
    pub expires: Timestamp,
}

/// Whether an end is durable (S-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmed {
    /// It is.
    Durable,
    /// It holds in memory only.
    Pending,
}

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
        let mut to = Writer::with_capacity(192);
        write_facts(&mut to, &self.facts);
        to.time(self.last_access);
        write_list(&mut to, &self.chain, |to, (cluster, session)| {
            to.text(cluster.as_str()).raw(session.as_bytes());
        });
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let facts = read_facts(&mut from)?;
        let last_access = from.time()?;
        let chain = read_list(&mut from, |from| {
            let cluster = read_cluster(from)?;
            Ok((cluster, SessionId::from_bytes(from.array()?)))
        })?;
        from.end().map(|()| Self {
            facts,
            chain,
            last_access,
        })
    }
}

impl Claims for SignInRequest {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::with_capacity(64 + self.target.len());
        to.text(self.host.as_str())
            .text(&self.target)
            .raw(self.nonce.as_bytes());
        to.byte(self.level.get()).time(self.issued);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let request = Self {
            host: read_host(&mut from)?,
            target: from.text()?.to_owned(),
            nonce: Nonce::from_bytes(from.array()?),
            level: read_level(&mut from)?,
            issued: from.time()?,
        };
        from.end().map(|()| request)
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
        to.byte(match self.confirmed {
            Confirmed::Durable => 1,
            Confirmed::Pending => 0,
        });
        to.text(self.return_to.as_deref().unwrap_or_default())
            .time(self.expires);
        to.into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        let ended = read_list(&mut from, |from| from.array().map(SsoId::from_bytes))?;
        let hosts = read_list(&mut from, read_host)?;
        let confirmed = match from.byte()? {
            0 => Confirmed::Pending,
            1 => Confirmed::Durable,
            _ => return Err(Malformed),
        };
        let return_to = Some(from.text()?)
            .filter(|text| !text.is_empty())
            .map(str::to_owned);
        let expires = from.time()?;
        from.end().map(|()| Self {
            ended,
            hosts,
            return_to,
            confirmed,
            expires,
        })
    }
}

fn write_authn(to: &mut Writer, cookie: &AuthnCookie) {
    write_facts(to, &cookie.facts);
    to.text(cookie.cluster.as_str())
        .raw(cookie.session.as_bytes())
        .time(cookie.issued);
}

fn read_authn(from: &mut Reader<'_>) -> Result<AuthnCookie, Malformed> {
    Ok(AuthnCookie {
        facts: read_facts(from)?,
        cluster: read_cluster(from)?,
        session: SessionId::from_bytes(from.array()?),
        issued: from.time()?,
    })
}

fn write_facts(to: &mut Writer, facts: &SsoFacts) {
    to.raw(facts.sso.as_bytes())
        .text(facts.subject.as_str())
        .text(facts.store.as_str());
    to.time(facts.first_authenticated)
        .time(facts.expires)
        .number(facts.generation.0);
    to.byte(facts.level.get()).time(facts.level_reached);
}

fn read_facts(from: &mut Reader<'_>) -> Result<SsoFacts, Malformed> {
    Ok(SsoFacts {
        sso: SsoId::from_bytes(from.array()?),
        subject: UserName::parse(from.text()?).map_err(|_| Malformed)?,
        store: StoreName::parse(from.text()?).map_err(|_| Malformed)?,
        first_authenticated: from.time()?,
        expires: from.time()?,
        generation: Generation(from.number()?),
        level: read_level(from)?,
        level_reached: from.time()?,
    })
}

fn read_level(from: &mut Reader<'_>) -> Result<AuthLevel, Malformed> {
    AuthLevel::new(from.byte()?).ok_or(Malformed)
}

fn read_host(from: &mut Reader<'_>) -> Result<HostName, Malformed> {
    HostName::parse(from.text()?).map_err(|_| Malformed)
}

fn read_cluster(from: &mut Reader<'_>) -> Result<ClusterId, Malformed> {
    ClusterId::parse(from.text()?).map_err(|_| Malformed)
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

impl KeyRing {
    /// Seals claims for a cookie or URL.
    #[must_use]
    pub fn seal_claims<C: Claims>(&self, to: &Binding<'_>, nonce: SealNonce, claims: &C) -> String {
        self.seal(to, nonce, &claims.encode())
    }

    /// Opens claims; whatever does not open or parse is none (MDC-COOKIE-6).
    #[must_use]
    pub fn open_claims<C: Claims>(&self, from: &Binding<'_>, text: &str) -> Option<C> {
        let plain = self.open(from, text).ok()?;
        C::decode(&plain).ok()
    }
}

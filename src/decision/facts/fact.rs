//! Facts by name: how each is found when the configuration is read, and read when a request comes.

use std::fmt;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::decision::facts::ClientFact;
use crate::decision::facts::Reading;
use crate::decision::facts::RequestFacts;
use crate::decision::facts::Subject;
use crate::decision::facts::Texts;
use crate::decision::facts::TlsFacts;
use crate::decision::facts::Value;
use crate::decision::facts::parts_differ;
use crate::model::name::AttributeName;

/// A fact that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// About the request.
    Request(RequestFact),
    /// About the session.
    Session(SessionFact),
    /// The time of the decision.
    Now,
    /// About the TLS of the connection.
    Tls(TlsFact),
    /// About the user.
    User(UserFact),
}

/// A fact about the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestFact {
    /// The client's address.
    Address,
    /// A header, as the client sent it.
    Header(HeaderName),
    /// The host.
    Host,
    /// Its id.
    Id,
    /// The method.
    Method,
    /// A parameter of the query, decoded.
    Parameter(Box<str>),
    /// The canonical path.
    Path,
    /// The query as it was written.
    Query,
    /// `http` or `https`.
    Scheme,
}

/// A fact about the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFact {
    /// An attribute that a policy gave it.
    Attribute(AttributeName),
    /// When it began.
    Created,
    /// When it ends at the latest.
    Expires,
    /// The level that counts.
    Level,
}

/// A fact about the TLS of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFact {
    /// The cipher suite.
    Cipher,
    /// About the certificate of the client.
    Client(ClientFact),
    /// The version.
    Version,
}

/// A fact about the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserFact {
    /// An attribute.
    Attribute(AttributeName),
    /// The e-mail address.
    Email,
    /// The groups.
    Groups,
    /// The name the user signs in with.
    Id,
    /// The name to show.
    Name,
    /// The identity store.
    Store,
}

/// Why a name is not that of a fact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// Cookies are not to be read: Portway's own are among them (M-014).
    #[error("the header `cookie` cannot be read")]
    Cookie,
    /// What follows the last dot cannot be a name there.
    #[error("`{0}` is not the name of an attribute, a header or a parameter")]
    Name(String),
    /// No fact has this name.
    #[error("there is no `{0}`")]
    Unknown(String),
}

impl Fact {
    /// Finds a fact by its name, such as `user.email` or `request.header.x-tenant`.
    ///
    /// # Errors
    /// When there is no such fact.
    pub fn parse(name: &str) -> Result<Self, FactError> {
        if let Some((_, fact)) = SINGLE.iter().find(|(known, _)| *known == name) {
            return Ok(fact.clone());
        }
        let family = FAMILIES.iter().find_map(|(prefix, make)| {
            let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
            Some((make, rest))
        });
        match family {
            Some((make, rest)) => make(rest),
            None => Err(FactError::Unknown(name.to_owned())),
        }
    }

    /// Every name there is; families end with a dot and a word in capitals.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        let single = SINGLE.iter().map(|(name, _)| *name);
        single.chain(FAMILY_NAMES.iter().copied())
    }

    /// Reads the fact.
    #[must_use]
    pub fn read<'a>(&self, subject: &Subject<'a>) -> Reading<'a> {
        match self {
            Self::Request(fact) => fact.read(subject.request),
            Self::Session(fact) => fact.read(subject),
            Self::Now => Reading::Known(Value::Moment(subject.now)),
            Self::Tls(fact) => fact.read(subject.request.tls),
            Self::User(fact) => fact.read(subject),
        }
    }

    /// How many bytes reading the fact looks through, where a client chooses how many.
    pub(in crate::decision) fn bytes(&self, subject: &Subject<'_>) -> usize {
        match self {
            Self::Request(RequestFact::Header(name)) => {
                let lines = subject.request.headers.get_all(name).iter();
                lines.map(HeaderValue::len).sum()
            }
            Self::Request(RequestFact::Parameter(_)) => subject.request.query.map_or(0, str::len),
            Self::Now | Self::Request(_) | Self::Session(_) | Self::Tls(_) | Self::User(_) => 0,
        }
    }
}

/// As it is written in conditions, expressions and templates.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((name, _)) = SINGLE.iter().find(|(_, fact)| fact == self) {
            return f.write_str(name);
        }
        match self {
            Self::Request(RequestFact::Header(name)) => write!(f, "request.header.{name}"),
            Self::Request(RequestFact::Parameter(name)) => write!(f, "request.query.{name}"),
            Self::Session(SessionFact::Attribute(name)) => write!(f, "session.attributes.{name}"),
            Self::User(UserFact::Attribute(name)) => write!(f, "user.attributes.{name}"),
            // Every other one is among those above.
            Self::Now | Self::Request(_) | Self::Session(_) | Self::Tls(_) | Self::User(_) => {
                Ok(())
            }
        }
    }
}

impl RequestFact {
    fn read<'a>(&self, request: &'a RequestFacts<'a>) -> Reading<'a> {
        match self {
            Self::Address => Reading::text(request.address.to_string()),
            Self::Header(name) => header_of(request.headers, name),
            Self::Host => Reading::text(request.host),
            Self::Id => Reading::text(request.id.to_string()),
            Self::Method => Reading::text(request.method.as_str()),
            Self::Parameter(name) => parameter_of(request.query, name),
            Self::Path => Reading::text(request.path),
            Self::Query => request.query.map_or(Reading::Absent, Reading::text),
            Self::Scheme => Reading::text(request.scheme.as_str()),
        }
    }
}

impl SessionFact {
    /// An attribute of the session.
    pub(in crate::decision) fn attribute<'a>(
        name: &AttributeName,
        subject: &Subject<'a>,
    ) -> Reading<'a> {
        let noted = subject.session.and_then(|session| session.noted);
        noted.map_or(Reading::Unknown, |noted| Reading::of_attribute(noted, name))
    }

    fn read<'a>(&self, subject: &Subject<'a>) -> Reading<'a> {
        let Some(session) = subject.session else {
            return Reading::Unknown;
        };
        match self {
            Self::Attribute(name) => Self::attribute(name, subject),
            Self::Created => Reading::Known(Value::Moment(session.created)),
            Self::Expires => Reading::Known(Value::Moment(session.expires)),
            Self::Level => Reading::Known(Value::Number(subject.level.get().into())),
        }
    }
}

impl TlsFact {
    fn read(self, tls: Option<&TlsFacts>) -> Reading<'_> {
        match (self, tls) {
            (_, None) => Reading::Absent,
            (Self::Cipher, Some(tls)) => Reading::of_text(Some(tls.cipher.as_ref())),
            (Self::Client(fact), Some(tls)) => match &tls.client {
                Some(client) => fact.read(client),
                None => Reading::Absent,
            },
            (Self::Version, Some(tls)) => Reading::of_text(Some(tls.version.as_ref())),
        }
    }
}

impl UserFact {
    /// An attribute of the user.
    pub(in crate::decision) fn attribute<'a>(
        name: &AttributeName,
        subject: &Subject<'a>,
    ) -> Reading<'a> {
        let known = subject.known();
        known.map_or(Reading::Unknown, |user| {
            Reading::of_attribute(&user.attributes, name)
        })
    }

    /// Who it is, is a fact of the session and known even where nothing else is (S-10).
    fn read<'a>(&self, subject: &Subject<'a>) -> Reading<'a> {
        let Some(identity) = subject.identity else {
            return Reading::Unknown;
        };
        match (self, subject.known()) {
            (Self::Id, _) => Reading::text(identity.subject.as_str()),
            (Self::Store, _) => Reading::text(identity.store.as_str()),
            (Self::Attribute(name), _) => Self::attribute(name, subject),
            (Self::Email | Self::Groups | Self::Name, None) => Reading::Unknown,
            (Self::Email, Some(user)) => Reading::of_text(user.email.as_deref()),
            (Self::Groups, Some(user)) => Reading::Known(Value::Texts(Texts::Groups(&user.groups))),
            (Self::Name, Some(user)) => Reading::of_text(user.name.as_deref()),
        }
    }
}

/// A header of the request. One that comes several times and says different things cannot be told: the
/// application might go by another line than the policy did. The same goes for what is no text.
#[must_use]
pub fn header_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Reading<'a> {
    let mut lines = headers.get_all(name).iter();
    let Some(first) = lines.next() else {
        return Reading::Absent;
    };
    match str::from_utf8(first.as_bytes()) {
        Ok(text) if lines.all(|line| line == first) => Reading::text(text),
        _ => Reading::Unknown,
    }
}

/// A parameter of a query, decoded as forms are. One that comes several times and says different things
/// cannot be told, nor can what decodes to no text, nor any where [`parts_differ`].
#[must_use]
pub fn parameter_of<'a>(query: Option<&'a str>, name: &str) -> Reading<'a> {
    if parts_differ(query) {
        return Reading::Unknown;
    }
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(own, _)| own == name).map(|(_, value)| value);
    let Some(first) = values.next() else {
        return Reading::Absent;
    };
    if values.any(|other| other != first) || first.contains(char::REPLACEMENT_CHARACTER) {
        return Reading::Unknown;
    }
    Reading::text(first)
}

const SINGLE: &[(&str, Fact)] = &[
    ("request.address", Fact::Request(RequestFact::Address)),
    ("request.host", Fact::Request(RequestFact::Host)),
    ("request.id", Fact::Request(RequestFact::Id)),
    ("request.method", Fact::Request(RequestFact::Method)),
    ("request.path", Fact::Request(RequestFact::Path)),
    ("request.query_string", Fact::Request(RequestFact::Query)),
    ("request.scheme", Fact::Request(RequestFact::Scheme)),
    ("session.created", Fact::Session(SessionFact::Created)),
    ("session.expires", Fact::Session(SessionFact::Expires)),
    ("session.level", Fact::Session(SessionFact::Level)),
    ("time.now", Fact::Now),
    ("tls.cipher", Fact::Tls(TlsFact::Cipher)),
    (
        "tls.client.certificate",
        Fact::Tls(TlsFact::Client(ClientFact::Certificate)),
    ),
    (
        "tls.client.fingerprint",
        Fact::Tls(TlsFact::Client(ClientFact::Fingerprint)),
    ),
    (
        "tls.client.issuer_dn",
        Fact::Tls(TlsFact::Client(ClientFact::IssuerDn)),
    ),
    (
        "tls.client.issuer_dn_legacy",
        Fact::Tls(TlsFact::Client(ClientFact::IssuerDnLegacy)),
    ),
    (
        "tls.client.not_after",
        Fact::Tls(TlsFact::Client(ClientFact::NotAfter)),
    ),
    (
        "tls.client.not_before",
        Fact::Tls(TlsFact::Client(ClientFact::NotBefore)),
    ),
    (
        "tls.client.serial",
        Fact::Tls(TlsFact::Client(ClientFact::Serial)),
    ),
    (
        "tls.client.subject_dn",
        Fact::Tls(TlsFact::Client(ClientFact::SubjectDn)),
    ),
    (
        "tls.client.subject_dn_legacy",
        Fact::Tls(TlsFact::Client(ClientFact::SubjectDnLegacy)),
    ),
    (
        "tls.client.verified",
        Fact::Tls(TlsFact::Client(ClientFact::Verified)),
    ),
    ("tls.version", Fact::Tls(TlsFact::Version)),
    ("user.email", Fact::User(UserFact::Email)),
    ("user.groups", Fact::User(UserFact::Groups)),
    ("user.id", Fact::User(UserFact::Id)),
    ("user.name", Fact::User(UserFact::Name)),
    ("user.store", Fact::User(UserFact::Store)),
];

type MakeFact = fn(&str) -> Result<Fact, FactError>;

const FAMILIES: &[(&str, MakeFact)] = &[
    ("request.header", header_fact),
    ("request.query", parameter_fact),
    ("session.attributes", |name| {
        attribute_name(name).map(|name| Fact::Session(SessionFact::Attribute(name)))
    }),
    ("user.attributes", |name| {
        attribute_name(name).map(|name| Fact::User(UserFact::Attribute(name)))
    }),
];
const FAMILY_NAMES: &[&str] = &[
    "request.header.NAME",
    "request.query.NAME",
    "session.attributes.NAME",
    "user.attributes.NAME",
];

/// The prefixes of the families, such as `user.attributes`.
#[must_use]
pub fn is_family(prefix: &str) -> bool {
    FAMILIES.iter().any(|(known, _)| *known == prefix)
}

fn attribute_name(name: &str) -> Result<AttributeName, FactError> {
    AttributeName::parse(name).map_err(|_| FactError::Name(name.to_owned()))
}

fn header_fact(name: &str) -> Result<Fact, FactError> {
    let header = HeaderName::from_bytes(name.as_bytes());
    let header = header.map_err(|_| FactError::Name(name.to_owned()))?;
    if header == header::COOKIE {
        return Err(FactError::Cookie);
    }
    Ok(Fact::Request(RequestFact::Header(header)))
}

fn parameter_fact(name: &str) -> Result<Fact, FactError> {
    if name.is_empty() {
        return Err(FactError::Name(name.to_owned()));
    }
    Ok(Fact::Request(RequestFact::Parameter(Box::from(name))))
}

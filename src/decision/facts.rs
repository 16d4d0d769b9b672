//! What policies and templates can read of a request: who asks, in which session, for what, and when.
//!
//! One list of names for conditions, expressions and templates. A fact is known, absent, or cannot be
//! told; what that means for a decision is said where it is read. Nothing of Portway's own cookies and no
//! secret is among the facts.

use std::borrow::Cow;
use std::net::IpAddr;

use http::HeaderMap;
use http::Method;

use crate::decision::forwarded::Scheme;
use crate::model::attribute::AttributeSet;
use crate::model::id::RequestId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::session::Attributes;
use crate::model::session::Session;
use crate::model::time::Timestamp;

pub use self::client::ClientFact;
pub use self::client::ClientFacts;
pub use self::client::Verified;
pub use self::fact::Fact;
pub use self::fact::FactError;
pub use self::fact::RequestFact;
pub use self::fact::SessionFact;
pub use self::fact::TlsFact;
pub use self::fact::UserFact;
pub use self::fact::header_of;
pub use self::fact::is_family;
pub use self::fact::parameter_of;
pub use self::value::Reading;
pub use self::value::Texts;
pub use self::value::Value;

mod client;
mod fact;
mod value;

/// A request as policies read it.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Its id.
    pub id: RequestId,
    /// What it wants to do.
    pub method: &'a Method,
    /// How it came to the gateway, or to the trusted proxy in front of it.
    pub scheme: Scheme,
    /// The host that it was routed on.
    pub host: &'a str,
    /// Its canonical path.
    pub path: &'a str,
    /// Its query, as it was written.
    pub query: Option<&'a str>,
    /// Its headers, as the client sent them.
    pub headers: &'a HeaderMap,
    /// Where it comes from.
    pub address: IpAddr,
    /// The TLS of its connection; none where a proxy in front ends it.
    pub tls: Option<&'a TlsFacts>,
}

/// The TLS of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFacts {
    /// The version, such as `TLSv1.3`; empty where it is not known.
    pub version: Cow<'static, str>,
    /// The cipher suite; empty where it is not known.
    pub cipher: Cow<'static, str>,
    /// The certificate of the client, where the virtual host asks for one.
    pub client: Option<ClientFacts>,
}

/// A session as policies read it.
#[derive(Clone, Copy, Debug)]
pub struct SessionFacts<'a> {
    /// When it began with a sign-in.
    pub created: Timestamp,
    /// When it ends at the latest.
    pub expires: Timestamp,
    /// What policies gave it; none where that was not fetched.
    pub noted: Option<&'a AttributeSet>,
}

impl<'a> From<&'a Session> for SessionFacts<'a> {
    fn from(session: &'a Session) -> Self {
        Self {
            created: session.facts.first_authenticated,
            expires: session.facts.expires,
            noted: session.noted.as_ref(),
        }
    }
}

/// What is decided about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Who is signed in, if anybody is.
    pub identity: Option<&'a Identity>,
    /// How far the attributes of that identity can be relied on (S-10).
    pub attributes: Attributes,
    /// How surely.
    pub level: AuthLevel,
    /// In which session.
    pub session: Option<SessionFacts<'a>>,
    /// The request.
    pub request: &'a RequestFacts<'a>,
    /// The time of the decision.
    pub now: Timestamp,
}

impl<'a> Subject<'a> {
    /// A request, and the session it belongs to with the level that counts (S-12).
    #[must_use]
    pub fn of(
        session: Option<(&'a Session, AuthLevel)>,
        request: &'a RequestFacts<'a>,
        now: Timestamp,
    ) -> Self {
        Self {
            identity: session.map(|(session, _)| &session.identity),
            attributes: session.map_or(Attributes::Unknown, |(session, _)| session.attributes),
            level: session.map_or(AuthLevel::NONE, |(_, level)| level),
            session: session.map(|(session, _)| session.into()),
            request,
            now,
        }
    }

    /// The identity, where its attributes can be relied on.
    #[must_use]
    pub fn known(&self) -> Option<&'a Identity> {
        self.identity
            .filter(|_| self.attributes == Attributes::Known)
    }
}

/// Whether servers differ in where the parameters of a query end: some take `;` for `&`.
pub(in crate::decision) fn parts_differ(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.contains(';'))
}

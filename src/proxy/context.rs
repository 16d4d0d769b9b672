//! What a connection and a request carry with them from phase to phase.
//!
//! Values only; the phases themselves are in `service`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::decision::admission::Permit;
use crate::decision::cookies::CookieNames;
use crate::decision::facts::TlsFacts;
use crate::decision::header_rules::HeaderChanges;
use crate::decision::response::Given;
use crate::gate::admit::GitoResponse;
use crate::model::id::RequestId;
use crate::proxy::access::Noted;
use crate::proxy::access::OpenLine;
use crate::proxy::allowances::Share;
use crate::proxy::arrival::Arrived;
use crate::proxy::client_auth::Greeting;
use crate::proxy::compression::Compressor;
use crate::proxy::error_pages::Replacement;
use crate::proxy::hosts::RouteRuntime;
use crate::proxy::line::RequestLine;
use crate::proxy::listening::Entrance;
use crate::proxy::member::InFlight;
use crate::proxy::member::MemberRuntime;
use crate::proxy::memory::ConnectionMemory;
use crate::proxy::memory::Headers;
use crate::proxy::resets::Resets;
use crate::proxy::serving::Serving;
use crate::proxy::streams::Registration;
use crate::proxy::watch::RequestWatch;

tokio::task_local! {
    /// The request that the edge loop is running in this task.
    pub static CURRENT: Current;
}

/// The request that a task is running.
#[derive(Clone, Debug)]
pub struct Current {
    /// The connection it came by.
    pub connection: Arc<ConnectionFacts>,
    /// What the edge loop watches.
    pub watch: Arc<RequestWatch>,
}

/// What is known of a connection.
#[derive(Clone, Debug)]
pub struct ConnectionFacts {
    /// Where it came in.
    pub entrance: Arc<Entrance>,
    /// Whether it is TLS.
    pub transport: Transport,
    /// What the handshake came to, on a TLS connection.
    pub tls: Option<TlsFacts>,
    /// What the client has said of itself in it, where some virtual host asks for certificates.
    pub greeting: Option<Arc<Greeting>>,
    /// The other end.
    pub peer: SocketAddr,
    /// This end.
    pub local: SocketAddr,
    /// What has been seen of the request line that it is on.
    pub line: Arc<RequestLine>,
    /// What its last request leaves to the next.
    pub memory: Arc<ConnectionMemory>,
    /// Whether its client did not take an answer in time.
    pub is_stalled: Arc<AtomicBool>,
    /// What of its streams is taken back.
    pub resets: Arc<Resets>,
}

impl ConnectionFacts {
    /// The version of TLS; empty on a plain connection.
    pub fn tls_version(&self) -> &str {
        self.tls.as_ref().map_or("", |tls| &tls.version)
    }
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Not at all.
    Plain,
    /// By TLS.
    Tls,
}

/// What a request carries from phase to phase.
#[derive(Debug)]
pub struct RequestContext {
    /// What was served when it began: the request keeps it.
    pub serving: Arc<Serving>,
    /// The connection it came by; absent only outside the edge loop.
    pub current: Option<Current>,
    /// Its id.
    pub id: RequestId,
    /// What is known once it has been admitted.
    pub admitted: Option<Box<Admitted>>,
    /// How much of the body has arrived, in bytes, and since when.
    pub body: BodyProgress,
    /// Encodes the answer, where it is compressed.
    pub compressor: Option<Box<Compressor>>,
    /// What takes the place of its upstream's error.
    pub replacement: Option<Box<Replacement>>,
    /// What is noted of it in case that it is not forwarded.
    pub noted: Noted,
    /// Its access line, until it is written.
    pub line: Option<OpenLine>,
    /// Whether it came to its end.
    pub is_over: bool,
}

impl RequestContext {
    /// The route that took it, or would have.
    pub fn route(&self) -> Option<&Arc<RouteRuntime>> {
        let admitted = self.admitted.as_ref().map(|admitted| &admitted.route);
        admitted.or(self.noted.route.as_ref())
    }
}

/// How a request body comes in.
#[derive(Clone, Copy, Debug, Default)]
pub struct BodyProgress {
    /// Bytes so far.
    pub bytes: u64,
    /// When the first of them came, in the life of the request.
    pub began: Option<Duration>,
    /// How long pieces of it had to wait for the bandwidth that its client may have.
    pub waited: Duration,
    /// When a piece of it, or of the answer, was last an access, in the life of the request.
    pub accessed: Duration,
}

impl BodyProgress {
    /// When the body began, in the life of the request; now, if it has not yet.
    pub fn begins(&mut self, now: Duration) -> Duration {
        *self.began.get_or_insert(now)
    }
}

/// Whether a request has a connection to its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// For itself.
    Own,
    /// With others beside it (HTTP/2).
    Shared,
    /// With others beside it, and pingora keeps the time of its answer.
    SharedAndTimed,
}

/// A request that may be forwarded.
#[derive(Debug)]
pub struct Admitted {
    /// The proof of it.
    pub permit: Permit,
    /// Its route.
    pub route: Arc<RouteRuntime>,
    /// Where it goes and where it comes from.
    pub arrived: Arc<Arrived>,
    /// The canonical path and the query, as forwarded; `None` when the target is canonical already.
    pub target: Option<String>,
    /// The members tried, the present one last.
    pub tried: Vec<Arc<MemberRuntime>>,
    /// Counts as in flight at the present member.
    pub in_flight: Option<InFlight>,
    /// What connects it to that member.
    pub link: Link,
    /// How often a member has said that it did not begin with it.
    pub turned_away: u32,
    /// Registered for being cut.
    pub registration: Option<Registration>,
    /// The GITO cookie that the answer sets, unless it comes too late.
    pub gito: Option<GitoResponse>,
    /// What tells its upstream who is signed in.
    pub identity: Option<Headers>,
    /// What its policy gives it.
    pub given: Given,
    /// What it takes of what its client may have.
    pub share: Share,
    /// What is changed about its headers and those of its answer; none where no rule says so.
    pub headers: Option<Box<HeaderChanges>>,
}

/// The `Cookie` headers of a request, in order.
#[must_use]
pub fn cookie_headers(headers: &http::HeaderMap) -> Vec<&[u8]> {
    headers
        .get_all(http::header::COOKIE)
        .iter()
        .map(http::HeaderValue::as_bytes)
        .collect()
}

/// The value of a cookie of an application, for hashing.
#[must_use]
pub fn application_cookie<'h>(headers: &'h http::HeaderMap, name: &str) -> Option<&'h str> {
    let lines = headers
        .get_all(http::header::COOKIE)
        .iter()
        .map(http::HeaderValue::as_bytes);
    CookieNames::find(lines, name).next()
}

//! What is known of a request when it is over, as an access line tells it.
//!
//! Values only; how they are written is `line_format`.

use std::net::IpAddr;
use std::time::Duration;

use crate::model::id::RequestId;
use crate::model::time::Timestamp;

/// A request that is over, or a connection that never came to one. An empty text is unknown.
#[derive(Clone, Copy, Debug)]
pub struct AccessRecord<'a> {
    /// When it was over.
    pub at: Timestamp,
    /// The client, behind trusted proxies.
    pub client: IpAddr,
    /// What the client asked for; none where nothing could be read.
    pub asked: Option<AskedFor<'a>>,
    /// The listener it came by.
    pub listener: &'a str,
    /// The version of TLS; empty on a plain connection.
    pub tls: &'a str,
    /// The virtual host it was routed to, as asked for.
    pub host: &'a str,
    /// The route that took it.
    pub route: &'a str,
    /// The user behind it.
    pub user: &'a str,
    /// What was decided on it.
    pub decision: Decision,
    /// The status of the answer; none where there was none.
    pub status: Option<u16>,
    /// Bytes of the answer's body.
    pub bytes_sent: u64,
    /// Bytes of the request's body.
    pub bytes_received: u64,
    /// From its head to its end.
    pub duration: Duration,
    /// What the upstream had to do with it.
    pub upstream: Option<Forwarded<'a>>,
}

/// What a client asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedFor<'a> {
    /// Its id.
    pub id: RequestId,
    /// The method.
    pub method: &'a str,
    /// The path as written.
    pub path: &'a str,
    /// The query; none where it is never to be written.
    pub query: Option<&'a str>,
    /// The version of HTTP.
    pub protocol: &'static str,
    /// The page it came from, as it says.
    pub referer: &'a [u8],
    /// The client's name of itself.
    pub user_agent: &'a [u8],
}

/// What an upstream had to do with a request.
#[derive(Clone, Copy, Debug)]
pub struct Forwarded<'a> {
    /// The upstream tried last, as host and port.
    pub address: &'a str,
    /// Its pool.
    pub pool: &'a str,
    /// How many were tried.
    pub attempts: usize,
    /// From the first attempt to the head of the answer; none where there was none.
    pub time: Option<Duration>,
}

/// What was decided on a request. Which rule decided, and why somebody has to sign in, is in the audit trail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It was forwarded.
    Allow,
    /// The policy denied it.
    Deny,
    /// No TLS came about on its connection.
    HandshakeFailed,
    /// Its client takes more than it may.
    Limit,
    /// Somebody had to sign in first.
    LogIn,
    /// Its virtual host is in maintenance.
    Maintenance,
    /// It could be read in more than one way, or not at all.
    Malformed,
    /// Its header did not arrive in time.
    HeaderLate,
    /// Portway answered by itself: its own pages, redirects, what nothing is served for.
    Own,
    /// It broke a limit, or asked for what is not served.
    Refuse,
}

impl Decision {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::HandshakeFailed => "handshake_failed",
            Self::HeaderLate => "header_late",
            Self::Limit => "limit",
            Self::LogIn => "log_in",
            Self::Maintenance => "maintenance",
            Self::Malformed => "malformed",
            Self::Own => "own",
            Self::Refuse => "refuse",
        }
    }
}

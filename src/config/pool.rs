//! Upstreams: where they are, how they are chosen, asked after and waited for.

use std::time::Duration;

use crate::config::listener::CertificateSource;
use crate::decision::proxy_header::HeaderVersion;
use crate::decision::text_test::TextPattern;
use crate::decision::upstream::Balance;
use crate::decision::upstream::BudgetTerms;
use crate::decision::upstream::OutlierTerms;
use crate::model::name::HostName;
use crate::model::name::PoolName;

/// Upstreams that serve the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Its name.
    pub name: PoolName,
    /// TLS towards the upstreams; absent for plain http.
    pub tls: Option<UpstreamTls>,
    /// HTTP/2 towards the upstreams; absent for HTTP/1.1.
    pub http2: Option<Http2Terms>,
    /// How upstreams are told by the PROXY protocol whose requests a connection carries; they are not without.
    pub proxy_protocol: Option<HeaderVersion>,
    /// How a request chooses among the healthy.
    pub balance: Balance,
    /// The upstreams of this data centre.
    pub primary: Vec<Upstream>,
    /// The upstreams that join when too few primaries are healthy (MDC-TOPO-2).
    pub secondary: Vec<Upstream>,
    /// The secondaries join below this many healthy primaries.
    pub failover_threshold: usize,
    /// Failures within `fail_timeout` that make an upstream unhealthy; 0 never does (W-07).
    pub max_fails: u32,
    /// The window of `max_fails`, and how long an upstream stays out.
    pub fail_timeout: Duration,
    /// Ejects upstreams that answer with errors; none are where it is absent.
    pub outliers: Option<OutlierTerms>,
    /// For how long an upstream that has just come, or come back, gets less than its share.
    pub slow_start: Option<Duration>,
    /// Asks upstreams regularly whether they are well.
    pub health_check: Option<HealthCheck>,
    /// How long an upstream may take.
    pub timeouts: Timeouts,
    /// Further upstreams tried for a request.
    pub connect_retries: u32,
    /// How often requests may be tried again.
    pub retry_budget: BudgetTerms,
}

/// One address requests are forwarded to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Where it is.
    pub place: UpstreamPlace,
    /// Its share of the requests, at least 1.
    pub weight: u32,
}

/// Where an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamPlace {
    /// At a host and a port.
    Inet {
        /// A host name or an IP address, without brackets.
        host: String,
        /// The port, at least 1.
        port: u16,
    },
    /// Wherever name servers say that the hosts of this service are (RFC 2782).
    Service(String),
    /// At a socket of the file system: an absolute path, as long as the system takes one, and no longer.
    Unix(String),
}

/// HTTP/2 towards upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http2Terms {
    /// Requests that share a connection, at least 1; an upstream may allow fewer.
    pub streams: u32,
}

/// TLS towards upstreams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The name the certificate must carry and that is sent as SNI; the upstream's own host by default.
    pub server_name: Option<HostName>,
    /// The CAs to trust, as PEM; the platform's by default.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether the certificate is verified.
    pub verify: Verify,
    /// What the gateway shows for itself where an upstream asks.
    pub client: Option<CertificateSource>,
}

impl UpstreamTls {
    /// Whether upstreams are known by the same certificates, whatever the gateway shows for itself.
    #[must_use]
    pub fn expects_the_same(&self, other: &Self) -> bool {
        self.server_name == other.server_name
            && self.ca_pem == other.ca_pem
            && self.verify == other.verify
    }
}

/// Whether a certificate is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Chain, time and name.
    Full,
    /// Not at all; the operator wrote so.
    Off,
}

/// Asks upstreams regularly whether they are well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// The port that is asked at; the upstream's own by default.
    pub port: Option<u16>,
    /// Between two questions to one upstream.
    pub interval: Duration,
    /// For one answer.
    pub timeout: Duration,
    /// Good answers in a row that make an upstream healthy.
    pub healthy_after: u32,
    /// Bad ones in a row that make it unhealthy.
    pub unhealthy_after: u32,
}

impl HealthCheck {
    /// How the check of a pool speaks TLS, if it does.
    #[must_use]
    pub fn tls<'p>(&'p self, pool: &'p Pool) -> Option<&'p UpstreamTls> {
        match &self.probe {
            Probe::Grpc { .. } | Probe::Http { .. } | Probe::Tcp => pool.tls.as_ref(),
            Probe::Tls(own) => Some(own),
        }
    }
}

/// What a health check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A call of `grpc.health.v1.Health/Check`, which must answer SERVING.
    Grpc {
        /// The service that is asked after; the server as a whole, where it is empty.
        service: String,
        /// The authority of the call; the upstream's address by default.
        host: Option<HostName>,
    },
    /// A GET whose status must lie in the range.
    Http {
        /// The path and query.
        path: String,
        /// The `Host` header; the upstream's address by default.
        host: Option<HostName>,
        /// Lowest and highest good status.
        status: (u16, u16),
        /// What must be somewhere in the body.
        body: Option<TextPattern>,
    },
    /// A TCP connection, and a TLS handshake where the pool has TLS.
    Tcp,
    /// A TLS handshake of its own, whatever the pool speaks.
    Tls(Box<UpstreamTls>),
}

/// How long an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To be connected, TLS included.
    pub connect: Duration,
    /// To the first byte of the answer.
    pub first_byte: Duration,
    /// Between two reads (W-14).
    pub read_idle: Duration,
    /// Between two writes (W-15).
    pub write_idle: Duration,
    /// For everything, upgraded connections excepted; none by default.
    pub total: Option<Duration>,
}

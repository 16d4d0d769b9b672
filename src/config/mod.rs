//! What the operator configured, validated: the domain model that everything above runs on.
//!
//! `raw` is the YAML as written, `load` reads files and the environment, `parse` turns one into the
//! other and reports every fault at once. A `Config` that exists is right; nobody checks it again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::Method;
use ipnet::IpNet;

use crate::config::allowance::Allowance;
pub use crate::config::authority::UNIX_PREFIX;
use crate::config::client_certificates::ClientCertificates;
use crate::config::destination::Destination;
use crate::config::diagnostic::Warnings;
pub use crate::config::listener::Announcers;
pub use crate::config::listener::Bind;
pub use crate::config::listener::CertificateSource;
pub use crate::config::listener::Http2;
pub use crate::config::listener::Listener;
pub use crate::config::listener::ListenerTls;
pub use crate::config::listener::TlsVersion;
use crate::config::logs::Logs;
use crate::config::mdc::CollectorPlace;
use crate::config::mdc::EngineSource;
use crate::config::mdc::Mdc;
use crate::config::names::NameRules;
use crate::config::outcome::Outcomes;
pub use crate::config::pool::HealthCheck;
pub use crate::config::pool::Http2Terms;
pub use crate::config::pool::Pool;
pub use crate::config::pool::Probe;
pub use crate::config::pool::Timeouts;
pub use crate::config::pool::Upstream;
pub use crate::config::pool::UpstreamPlace;
pub use crate::config::pool::UpstreamTls;
pub use crate::config::pool::Verify;
pub use crate::config::route::Caching;
pub use crate::config::route::Flow;
pub use crate::config::route::Preflight;
pub use crate::config::session::SessionSettings;
pub use crate::config::session::StoreKind;
pub use crate::config::sign_in::Authentication;
pub use crate::config::sign_in::Branding;
pub use crate::config::sign_in::ClientKey;
pub use crate::config::sign_in::OpenIdProvider;
use crate::decision::address_rules::AddressRules;
use crate::decision::compression::Compression;
use crate::decision::error_pages::ErrorPages;
use crate::decision::forwarded_headers::ForwardedHeaders;
use crate::decision::group_filter::GroupFilter;
use crate::decision::header_rules::HeaderRules;
pub use crate::decision::identity_headers::IdentityHeaderNames;
use crate::decision::kept_posts::KeptRules;
use crate::decision::key_life::KeyRules;
use crate::decision::maintenance::Maintenance;
use crate::decision::path::Tolerance;
use crate::decision::policy::Access;
use crate::decision::policy::Policy;
use crate::decision::response::Responses;
use crate::decision::retry::RetryOn;
use crate::decision::rewrite::Rewrite;
use crate::decision::routing::HostPattern;
use crate::decision::routing::Narrowing;
use crate::decision::routing::PathPattern;
use crate::decision::template::Template;
use crate::model::claim::Activity;
use crate::model::claim::HostLimits;
use crate::model::identity::AuthLevel;
use crate::model::name::ClusterId;
use crate::model::name::DeploymentId;
use crate::model::name::HostName;
use crate::model::name::ListenerName;
use crate::model::name::PoolName;

pub mod allowance;
mod authority;
pub mod client_certificates;
pub mod destination;
pub mod diagnostic;
mod listener;
pub mod load;
pub mod logs;
pub mod mdc;
pub mod names;
pub mod outcome;
pub mod parse;
mod pool;
pub mod problem;
pub mod raw;
mod route;
pub mod restart;
mod session;
mod sign_in;
pub mod sources;
pub mod texts;
pub mod userinfo;
pub mod yaml;

/// A whole, valid configuration.
#[derive(Debug)]
pub struct Config {
    /// The name of this data centre.
    pub cluster: ClusterId,
    /// The part of every cookie name that is this deployment's own (D-24).
    pub deployment: DeploymentId,
    /// Where keys and sessions are kept.
    pub state_dir: PathBuf,
    /// The keys of cookies and records, alike in all data centres (MDC-COOKIE-5).
    pub key_ring_file: PathBuf,
    /// Worker threads of the edge.
    pub threads: usize,
    /// Senders whose forwarding headers are believed; nobody by default.
    pub trusted_proxies: Vec<IpNet>,
    /// When another key is made.
    pub keys: KeyRules,
    /// Where connections are accepted.
    pub listeners: Vec<Listener>,
    /// The host that signs users in; absent when no route needs one.
    pub collector: Option<Collector>,
    /// How Portway's own pages look.
    pub branding: Branding,
    /// How long sessions live and where they are kept.
    pub session: SessionSettings,
    /// Where the engine is.
    pub engine: EngineSource,
    /// The other data centres; absent where there is one.
    pub mdc: Option<Mdc>,
    /// How users prove who they are; absent when no route needs it.
    pub authentication: Option<Authentication>,
    /// Where users sign in elsewhere, in the order in which they are offered it.
    pub providers: Vec<OpenIdProvider>,
    /// The headers that tell an application who is signed in.
    pub identity_headers: IdentityHeaderNames,
    /// Headers of presets that tell it as well.
    pub preset_headers: Vec<(HeaderName, Template)>,
    /// Bounds on what a client may take.
    pub limits: Limits,
    /// How names are resolved.
    pub names: NameRules,
    /// The pools, by name.
    pub pools: BTreeMap<PoolName, Arc<Pool>>,
    /// The virtual hosts, the collector's not among them.
    pub virtual_hosts: Vec<VirtualHost>,
    /// Where health and metrics are told; absent: nowhere.
    pub ops: Option<SocketAddr>,
    /// What is written down, and where to.
    pub logs: Logs,
    /// The SHA-256, in hex, of what `portway config show` prints.
    pub sha256: String,
    /// What is allowed and looks like a mistake.
    pub warnings: Warnings,
}

/// The virtual host that signs users in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Its name.
    pub host: HostName,
    /// Who serves it.
    pub place: CollectorPlace,
    /// The port users reach it on; by default the one of the first TLS listener.
    pub public_port: Option<u16>,
    /// The title of the login page; by default its own words in the reader's language.
    pub title: Option<String>,
}

/// Bounds on what a client may take. None is infinite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From accepting a connection, or the first wait for a request, to the end of the TLS handshake; an announcement
    /// by the PROXY protocol counts into it.
    pub handshake_timeout: Duration,
    /// For the whole header of a request.
    pub header_timeout: Duration,
    /// Largest header block, in bytes.
    pub header_bytes_max: usize,
    /// Largest request body, in bytes, where a route says nothing else.
    pub body_bytes_max: u64,
    /// Between two reads of a request body.
    pub body_idle_timeout: Duration,
    /// A body slower than this many bytes a second is cut off once `body_idle_timeout` has passed.
    pub body_rate_min: u64,
    /// Between two writes to a client that does not read.
    pub send_timeout: Duration,
    /// How long an idle connection is kept.
    pub keep_alive_timeout: Duration,
    /// Most connections at the same time, over all listeners.
    pub connections_max: usize,
    /// Most connections at the same time from one address that is no trusted proxy.
    pub connections_per_address_max: usize,
    /// What is kept of posts while their users sign in (D-22).
    pub kept: KeptRules,
    /// How long connections are still accepted when the process is asked to stop, and balancers are told that it
    /// is.
    pub drain_delay: Duration,
    /// How long running requests may take to finish after that.
    pub drain_timeout: Duration,
}

/// Names that are served together.
#[derive(Clone, Debug)]
pub struct VirtualHost {
    /// Its names.
    pub hosts: Vec<HostPattern>,
    /// The listeners it is served on; empty means all.
    pub listeners: Vec<ListenerName>,
    /// What happens on a plain listener.
    pub plain_http: PlainHttp,
    /// The port users reach it on by https; by default the one of the first TLS listener.
    pub public_port: Option<u16>,
    /// What it asks of the certificates of clients; absent where it asks for none.
    pub client_certificates: Option<ClientCertificates>,
    /// Why it serves nobody, or hardly anybody, for a while.
    pub maintenance: Option<Maintenance>,
    /// What is answered in place of errors where no route has been found.
    pub error_pages: Arc<ErrorPages>,
    /// What it asks of sessions beyond what holds everywhere.
    pub session: HostLimits,
    /// What is changed about headers where no route has been found; the rules of routes have these in them.
    pub headers: HeaderRules,
    /// What each client may take of it, beside what a route says.
    pub allowance: Allowance,
    /// Its routes, in the order in which they are asked.
    pub routes: Vec<Route>,
}

/// What a virtual host does on a plain listener (W-02).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// Everything is redirected to https.
    Redirect,
    /// Nothing is answered but a refusal.
    Refuse,
    /// Routes that are not protected are served; protected ones are redirected.
    Serve,
}

/// Paths that are treated alike.
#[derive(Clone, Debug)]
pub struct Route {
    /// What it is called in logs: the pattern as written.
    pub name: Arc<str>,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; empty means all that the gateway forwards.
    pub methods: Vec<Method>,
    /// Which requests beside that; all where there is none.
    pub narrowing: Option<Arc<Narrowing>>,
    /// How far it is protected.
    pub access: Access,
    /// Which addresses are let in, before anything else is asked.
    pub addresses: AddressRules,
    /// Who may pass, on a protected route.
    pub policy: Arc<Policy>,
    /// What the policy is called; empty where its rules stand in the route, or there are none.
    pub policy_name: Arc<str>,
    /// The authentication level it takes to be let in at all; lower ones are challenged.
    pub level: AuthLevel,
    /// Whether its requests are activity in their sessions.
    pub activity: Activity,
    /// What serves it.
    pub destination: Destination,
    /// Largest request body, in bytes.
    pub body_bytes_max: u64,
    /// How long bodies may go on, and how slowly.
    pub flow: Flow,
    /// What each client may take of it, beside what its virtual host says.
    pub allowance: Allowance,
    /// How long its upstreams may take.
    pub timeouts: Timeouts,
    /// Which headers tell its upstreams where a request comes from.
    pub forwarded_headers: ForwardedHeaders,
    /// Which groups of a user they are told of.
    pub only_groups: GroupFilter,
    /// Which `Host` the upstream sees (W-13).
    pub upstream_host: UpstreamHost,
    /// Which odd spellings of a path are let through.
    pub tolerance: Tolerance,
    /// What is done with CORS preflights on a protected route.
    pub preflight: Preflight,
    /// How answers are compressed, where they are.
    pub compression: Option<Arc<Compression>>,
    /// What is answered in place of errors, pages of the virtual host included.
    pub error_pages: Arc<ErrorPages>,
    /// What answers say about caching.
    pub caching: Caching,
    /// What requests are tried again after at another upstream, if they may be repeated.
    pub retry_on: RetryOn,
    /// The paths that its upstreams are asked for, where they are other ones.
    pub rewrite: Option<Rewrite>,
    /// What is changed about headers, rules of the virtual host included.
    pub headers: HeaderRules,
    /// What permitted requests are given, presets of identity headers included.
    pub responses: Arc<Responses>,
    /// What happens around the decision.
    pub outcomes: Outcomes,
}

/// Which `Host` the upstream sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamHost {
    /// This one.
    Fixed(HostName),
    /// The client's, port included.
    Preserved,
    /// The upstream's own address.
    Upstream,
    /// The client's, without a port.
    WithoutPort,
}

//! What the operator configured about other data centres: policy, peers, the back-channel, and where a
//! gate without an engine of its own finds one.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;

use crate::decision::adoption::AdoptionPolicy;
use crate::decision::cookies::gito::Gito;
use crate::model::name::ClusterId;
use crate::model::secret::Secret;

/// Several data centres (`mdc`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mdc {
    /// What is done about sessions of other data centres.
    pub adoption: AdoptionPolicy,
    /// The common parent domain of the GITO cookie; absent where there is none (M-024).
    pub gito: Option<Gito>,
    /// How long an authn cookie is good; the collector renews it silently (MDC-COOKIE-3, M-078).
    pub authn_lifetime: Duration,
    /// How long a data centre that has not been heard of is taken at its last word (S-16).
    pub partition_lease: Duration,
    /// How long a session is held before it is let go of (S-9).
    pub min_hold: Duration,
    /// How long a reservation holds without a commit (S-6).
    pub reservation_lapse: Duration,
    /// Adoptions that may be under way towards one peer (S-7).
    pub adoptions_per_peer_max: usize,
    /// Adoptions that may be under way for one client address (S-7).
    pub adoptions_per_address_max: usize,
    /// How often the end logs of peers are read (S-15).
    pub pull_interval: Duration,
    /// How far clocks may differ.
    pub skew: SkewLimits,
    /// How balancers in front learn which data centre answered.
    pub marks: DataCentreMarks,
    /// Where peers and enrolled gates reach this data centre.
    pub back_channel: BackChannel,
    /// The other data centres.
    pub peers: Vec<Peer>,
    /// Gates without an engine that may use this one.
    pub gates: Vec<EnrolledGate>,
}

/// What an answer says about the data centre it comes from, for balancers that keep a user to one (M-006).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataCentreMarks {
    /// The header that names it.
    pub header: Option<HeaderName>,
    /// The cookie that names it.
    pub cookie: Option<String>,
}

/// How far clocks may differ (S-22).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkewLimits {
    /// Up to here nothing is said of it.
    pub allowance: Duration,
    /// Beyond it nothing is adopted from that peer.
    pub hard: Duration,
}

/// The listener of the back-channel, and how its connections behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackChannel {
    /// Where it listens.
    pub bind: SocketAddr,
    /// How both ends prove who they are; each peer may say otherwise.
    pub security: Security,
    /// A connection is replaced before this age, less a random part (M-052).
    pub connection_age_max: Duration,
    /// How often an idle connection is pinged (M-051).
    pub keep_alive_interval: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// Questions that may be under way to one peer at the same time.
    pub questions_max: usize,
    /// Silences in a row that open the circuit (R12).
    pub circuit_failures: u32,
    /// How long an open circuit stays open before one question tries it.
    pub circuit_pause: Duration,
}

/// How both ends of a back-channel prove who they are (MDC-SEC-1…3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Security {
    /// Mutual TLS with the operator's own CA.
    Cert(PeerTls),
    /// Mutual TLS with the private CA that `portway pki` made.
    Simple(PeerTls),
    /// No TLS; both ends prove that they know the peer's password.
    Open,
}

/// Files of mutual TLS; followed while the gateway runs (MDC-SEC-3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerTls {
    /// The certificate chain, leaf first; the leaf names this data centre.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
    /// The CA that every peer's certificate comes from.
    pub ca_file: PathBuf,
}

/// Another data centre (MDC-SEC-5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its cluster id.
    pub cluster: ClusterId,
    /// Where it is reached first; load is spread over these.
    pub primary: Vec<NodeAddress>,
    /// Where it is reached when too few primaries are well.
    pub secondary: Vec<NodeAddress>,
    /// The secondaries join below this many healthy primaries.
    pub failover_threshold: usize,
    /// How both ends prove who they are, the same at both ends (MDC-SEC-4).
    pub security: Security,
    /// What is shared with it: required in `open` mode.
    pub password: Option<Secret>,
}

/// A gate without an engine that may use this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolledGate {
    /// Its name, as its certificate has it.
    pub name: ClusterId,
    /// What is shared with it: required in `open` mode.
    pub password: Option<Secret>,
}

/// Where the engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineSource {
    /// In this process.
    Embedded,
    /// Behind the back-channel: this node is a gate only.
    Remote(RemoteEngine),
}

/// Who serves the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectorPlace {
    /// The engine nodes; this one is a gate only and leads browsers there.
    Elsewhere,
    /// This node.
    Here,
}

/// The engines of a gate that has none of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteEngine {
    /// This gate's name, as its certificate has it.
    pub name: ClusterId,
    /// The engine nodes of its own data centre.
    pub primary: Vec<RemoteAddress>,
    /// Engine nodes of other data centres.
    pub secondary: Vec<RemoteAddress>,
    /// The secondaries join below this many healthy primaries.
    pub failover_threshold: usize,
    /// How both ends prove who they are.
    pub security: Security,
    /// What is shared with the engines: required in `open` mode.
    pub password: Option<Secret>,
    /// How long an engine may take to answer.
    pub timeout: Duration,
    /// Sessions remembered; the least used go first.
    pub cache_max: usize,
}

/// Where another node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// The port, at least 1.
    pub port: u16,
    /// Its share of the load, at least 1.
    pub weight: u32,
}

/// An engine node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAddress {
    /// The data centre that it must prove to be of.
    pub cluster: ClusterId,
    /// Where it listens.
    pub address: NodeAddress,
}

impl Default for SkewLimits {
    fn default() -> Self {
        Self {
            allowance: Duration::from_secs(30),
            hard: Duration::from_mins(2),
        }
    }
}

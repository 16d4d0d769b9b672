//! Where connections are accepted, by which certificates, and who may say where they come from.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use crate::model::name::ListenerName;
use crate::model::secret::Secret;

/// A place that accepts connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The name other parts of the configuration refer to.
    pub name: ListenerName,
    /// Where it listens.
    pub bind: Bind,
    /// Who announces clients by the PROXY protocol; nobody without.
    pub proxy_protocol: Option<Announcers>,
    /// Whether clients of a plain listener may speak HTTP/2 from the first byte (RFC 9113 §3.3).
    pub h2c: Http2,
    /// TLS; absent on a plain listener.
    pub tls: Option<ListenerTls>,
    /// Where balancers ask whether requests may be sent here.
    pub ready_path: Option<String>,
}

/// Where a listener accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// At an address.
    Tcp(SocketAddr),
    /// At a socket in the file system.
    Unix {
        /// The file.
        path: PathBuf,
        /// Who may connect, as the permissions of the file.
        mode: u32,
    },
}

impl Bind {
    /// Whether both are the same place, whoever may connect to it.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp(here), Self::Tcp(there)) => here == there,
            (Self::Unix { path: here, .. }, Self::Unix { path: there, .. }) => here == there,
            (Self::Tcp(_) | Self::Unix { .. }, _) => false,
        }
    }

    /// Whether every listener that asks for it gets another one: the system chooses the port.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        matches!(self, Self::Tcp(address) if address.port() == 0)
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Who announces clients by the PROXY protocol. Each connection has to begin with a header of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announcers {
    /// Whoever may connect: the socket is in the file system.
    Anybody,
    /// Senders with one of these addresses; no others are served.
    At(Vec<IpNet>),
}

/// The TLS side of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificates, chosen by server name; the first answers clients that send none.
    pub certificates: Vec<CertificateSource>,
    /// The lowest version that is spoken.
    pub min_version: TlsVersion,
    /// Whether HTTP/2 is offered.
    pub http2: Http2,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V12,
    /// TLS 1.3 (RFC 8446).
    V13,
}

/// A switch of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// Offered: by ALPN, where there is TLS.
    Offered,
    /// Not offered.
    Off,
}

/// A certificate chain and its key, as PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSource {
    /// The chain, leaf first.
    pub chain_pem: Vec<u8>,
    /// The private key of the leaf.
    pub key_pem: Secret,
    /// Where the key was read, if in a file.
    pub key_file: Option<PathBuf>,
    /// Where the chain was read, for messages.
    pub origin: String,
}

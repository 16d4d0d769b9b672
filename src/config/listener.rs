//! Where connections are accepted, and by which certificates.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::model::name::ListenerName;
use crate::model::secret::Secret;

/// An address that accepts connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The name other parts of the configuration refer to.
    pub name: ListenerName,
    /// Where it listens.
    pub bind: SocketAddr,
    /// TLS; absent on a plain listener.
    pub tls: Option<ListenerTls>,
    /// Where balancers ask whether requests may be sent here.
    pub ready_path: Option<String>,
}

/// The TLS side of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificates, chosen by server name; the first answers clients that send none.
    pub certificates: Vec<CertificateSource>,
    /// Whether HTTP/2 is offered.
    pub http2: Http2,
}

/// A switch of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http2 {
    /// Offered by ALPN.
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

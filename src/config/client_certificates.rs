//! What a virtual host asks of the certificates of clients.

use std::sync::Arc;

/// Whom a virtual host lets in by certificate, and whose word it takes (W-23, W-24).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// What becomes of clients without a good one.
    pub mode: ClientMode,
    /// The authorities, as PEM; absent only where nothing is verified by them.
    pub ca_pem: Option<Arc<[u8]>>,
    /// How many authorities may stand between a certificate and one that has signed itself.
    pub depth: u8,
    /// The revocation lists of all authorities in a chain, as PEM; without, nothing is revoked.
    pub crl_pem: Option<Arc<[u8]>>,
}

/// What becomes of clients without a good certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMode {
    /// Those without one are served; a bad one is refused.
    Optional,
    /// As optional, and one that nobody trusted has signed is served too, without its names.
    OptionalUnverified,
    /// They are refused.
    Required,
}

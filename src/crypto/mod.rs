//! Sealed cookies and one-step tokens, the key ring, certificates: bytes in, trusted values out.
//!
//! Nothing here reads a file, a clock or randomness: nonces, keys and times come in.

pub mod audit_seal;
pub mod bearer;
pub mod certificates;
pub mod claims;
pub mod client_certificate;
pub mod codec;
pub mod distinguished_name;
pub mod jose;
pub mod key_ring;
mod object_names;
pub mod peer_proof;
pub mod peer_tls;
pub mod pki;
mod rejected;
pub mod sameness;
pub mod sealed;
pub mod tags;

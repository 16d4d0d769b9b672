//! How names of upstreams, peers and engines are resolved.

use std::net::SocketAddr;
use std::time::Duration;

/// How names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameRules {
    /// The name servers to ask; with none those of the system are.
    pub servers: Vec<SocketAddr>,
    /// Which addresses are asked for.
    pub families: Families,
    /// An answer is used for at least as long, whatever it says.
    pub ttl_min: Duration,
    /// And at most for as long.
    pub ttl_max: Duration,
}

/// Kinds of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 and IPv6.
    Both,
    /// IPv4 alone.
    V4,
    /// IPv6 alone.
    V6,
}

impl Default for NameRules {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            families: Families::Both,
            ttl_min: Duration::from_secs(1),
            ttl_max: Duration::from_mins(5),
        }
    }
}

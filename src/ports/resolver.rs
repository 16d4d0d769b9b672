//! The port to name resolution.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

/// The addresses of a name and how long they may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, at least one: IPv4 before IPv6, each family in ascending order.
    pub addresses: Vec<IpAddr>,
    /// How long the answer holds.
    pub valid_for: Duration,
    /// The family that no server told anything about; what is known of it holds on.
    pub unknown: Option<Family>,
}

/// A kind of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// That of an address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
#[error("the name {name} could not be resolved")]
pub struct ResolveError {
    /// The name that was asked for.
    pub name: String,
    /// After how long another answer may be expected.
    pub ask_again: Duration,
    /// What the resolver said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

/// Resolves host names. A wrong answer sends requests to the wrong upstream.
#[async_trait]
pub trait Resolver: Send + Sync + 'static {
    /// Looks up the IPv4 and IPv6 addresses of a name.
    ///
    /// # Errors
    /// When the name does not exist, has no addresses, or no server answered.
    async fn resolve(&self, name: &str) -> Result<Resolved, ResolveError>;
}

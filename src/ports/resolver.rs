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

/// What offers a service (RFC 2782), and how long that may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Where it is offered, at least once.
    pub targets: Vec<Target>,
    /// How long the answer holds.
    pub valid_for: Duration,
}

/// Where a service is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The host, without a trailing dot.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Those with the lowest number come first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The addresses of the host, at least one.
    pub addresses: Vec<IpAddr>,
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

    /// Looks up where a service is offered, with the addresses there. Hosts that have none are left out.
    ///
    /// # Errors
    /// When the name does not exist, nothing offers the service, or no server answered, also about one host.
    async fn offered(&self, service: &str) -> Result<Offered, ResolveError>;
}

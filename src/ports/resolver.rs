//! The port to name resolution.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;

/// The addresses of a name and how long they may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The addresses, in the resolver's order.
    pub addresses: Vec<IpAddr>,
    /// How long the answer holds.
    pub valid_for: Duration,
}

/// Why a name has no addresses.
#[derive(Debug, thiserror::Error)]
#[error("the name {name} could not be resolved")]
pub struct ResolveError {
    /// The name that was asked for.
    pub name: String,
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
    /// When the name does not exist or no server answered.
    async fn resolve(&self, name: &str) -> Result<Resolved, ResolveError>;
}

//! What each client may take of a virtual host or a route.
//!
//! Bounds that hold for the process as a whole are `Limits`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::decision::rate::ByteRate;
use crate::decision::rate::RequestRate;

/// What each client may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// How fast requests may come.
    pub requests: PerClient<RequestRate>,
    /// How many may be served at the same time, streams and WebSockets among them.
    pub concurrent: PerClient<usize>,
    /// How fast bodies of answers may go down.
    pub download: Bandwidth,
    /// How fast bodies of requests may come up.
    pub upload: Bandwidth,
    /// Addresses that none of it is for.
    pub except: Vec<IpNet>,
}

/// How fast bodies may pass in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// That of one request.
    pub request: Option<ByteRate>,
    /// Those of one client together.
    pub client: PerClient<ByteRate>,
}

/// What one client may have, by what it is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerClient<T> {
    /// The requests of one address; of an IPv6 address, of its /64.
    pub address: Option<T>,
    /// Those of one user, whatever the address.
    pub user: Option<T>,
}

impl<T> Default for PerClient<T> {
    fn default() -> Self {
        Self {
            address: None,
            user: None,
        }
    }
}

impl Allowance {
    /// Whether it is for a client at this address.
    #[must_use]
    pub fn is_for(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !self.except.iter().any(|network| network.contains(&address))
    }
}

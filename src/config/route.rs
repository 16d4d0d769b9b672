//! Choices of a route that are words, and its place in a table of routes.

use crate::config::Route;
use crate::decision::routing::RouteEntry;

/// What is done with CORS preflights on a protected route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preflight {
    /// Forwarded without an identity.
    Forward,
    /// Decided like any other request.
    Refuse,
}

/// How long bodies may go on, and how slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// As the limits say: each direction has a pace of its own.
    Bounded,
    /// As long as something moves, in whichever direction, and at any pace.
    Streaming,
}

/// What answers say about caching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caching {
    /// `Cache-Control: no-store`: on a protected route whatever the upstream said, on an unprotected one
    /// when it was told who asks and said nothing.
    NoStore,
    /// What the upstream said.
    Upstream,
}

impl Route {
    /// Its entry in a table of routes, which leads to this.
    pub fn entry<T>(&self, value: T) -> RouteEntry<T> {
        RouteEntry {
            pattern: self.path.clone(),
            methods: self.methods.clone(),
            narrowing: self.narrowing.clone(),
            tolerance: self.tolerance,
            value,
        }
    }
}

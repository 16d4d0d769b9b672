//! Choices of a route that are words.

/// What is done with CORS preflights on a protected route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preflight {
    /// Forwarded without an identity.
    Forward,
    /// Decided like any other request.
    Refuse,
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

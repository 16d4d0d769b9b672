//! Several data centres as their users and operators meet them: the built binary, twice or more often,
//! over TLS on loopback, with a relay on every way between them that can be cut or fall silent.
//!
//! What one gateway does by itself is `tests/gateway`'s; hostile networks by the thousand are the
//! simulation's.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what goes wrong in a test stops the test, and says so"
)]

#[path = "../support/mod.rs"]
mod support;

mod link;
mod pair;

mod balancers;
mod balancing;
mod binding;
mod clocks;
mod conformance;
mod endings;
mod failures;
mod flows;
mod idle;
mod index;
mod keys;
mod loops;
mod openid;
mod policies;
mod slow;
mod streams;
mod topologies;

//! Attacks on the running gateway: what went wrong in systems that do the same job, sent as bytes.
//!
//! The gateway is the built binary, its upstreams record every byte they get, and the clients are raw
//! sockets, so that nothing in between tidies an attack up. What the gateway should do for honest
//! clients is tested elsewhere.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    clippy::too_many_lines,
    reason = "what goes wrong in a test stops the test; real time is measured; attacks are long lists"
)]

#[path = "../support/mod.rs"]
mod support;

mod browser;
mod frames;
mod rig;
mod upstream;
mod wire;

mod answers;
mod conditions;
mod cookies;
mod framing;
mod h2;
mod hosts;
mod identity_headers;
mod multiplexed;
mod paths;
mod redirects;
mod secrets;
mod slow;
mod tls;

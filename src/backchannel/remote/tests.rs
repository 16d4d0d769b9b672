//! Tests of a gate without an engine: real sockets on loopback, mutual TLS with a private CA as `portway
//! pki` makes it, engines that answer as they are told, and relays between that freeze or cut.

mod failover_tests;
mod following_tests;
pub(in crate::backchannel) mod rig_tests;
mod serving_tests;
mod terms_tests;

//! The body `client_certificate::run`, driven by coverage.
#![no_main]

#[allow(dead_code, reason = "a target uses one body")]
#[path = "../bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::client_certificate::run(data));

//! Properties of the plain decisions, checked from outside: path, routing, upstream, headers,
//! admission and authorization, rates, release, idleness and the following of end logs.
//!
//! Nothing here opens a socket or reads a clock.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test fails by panicking, in its helpers too"
)]

mod admission;
mod authorization;
mod certificates;
mod conditions;
mod following;
mod headers;
mod idle;
mod narrowing;
mod outliers;
#[expect(dead_code, reason = "no library is looked for here")]
#[path = "../support/parts.rs"]
mod parts;
mod path;
mod rate;
mod release;
mod responses;
mod routing;
mod servers;
mod upstream;

/// How many cases a property is tried with; failures are reported, not filed away.
fn cases(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        cases,
        failure_persistence: None,
        ..Default::default()
    }
}

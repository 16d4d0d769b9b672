//! The simulation: several data centres of real engines, gates and collectors in virtual time, with users,
//! a hostile balancer, a bad network, crashes and wrong clocks, all from one seed. A witness holds every
//! event against the rules.
//!
//! The way through the files:
//! - `seeds` and `mutations` are the tests: many seeds that break no rule, and engines without a rule that
//!   do. A seed that fails replays exactly, and tells its story: `make simulate SEED=… RUNS=1`.
//! - `world` is one run from beginning to end. Its `plan` follows from the seed; `fate` brings the
//!   misfortunes, `browser` the users (`trip` their way); `settled` says what must hold when all is healed.
//! - `centre` puts one data centre together: the real parts behind a `door` that the witness watches, what
//!   they answer a browser (`serve`), their `store` (`contents`), `directory` and `network`; `house` does
//!   what `app` does for an engine from time to time.
//! - `executor` is virtual time and `random` the seed: nothing else may decide what happens next.
//! - `event` is what happens (`story` tells it), `truth` what follows from it whatever any engine believes,
//!   `rules` what must never happen, one file per matter; `witness` brings the three together and `tally`
//!   counts.
//! - `mutant` stands between an engine and its ports, and takes one rule away.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "what goes wrong in a test stops the test"
)]
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "of many events and mutations each place is concerned with a few"
)]

mod browser;
mod centre;
mod contents;
mod directory;
mod door;
mod event;
mod executor;
mod fate;
mod house;
#[expect(dead_code, reason = "other suites look into a jar, too")]
#[path = "../support/jar.rs"]
mod jar;
mod mutant;
mod mutations;
mod network;
mod plan;
mod random;
mod rules;
mod seeds;
mod serve;
mod settled;
mod store;
mod story;
mod tally;
mod trip;
mod truth;
mod witness;
mod world;

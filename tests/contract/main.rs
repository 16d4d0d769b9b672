//! One suite per port, run the same against every implementation of it.
//!
//! What only one implementation can do wrong is tested beside it.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]
#![expect(clippy::panic, reason = "a test may stop at what it did not expect")]

mod end_log;
mod session_store;
mod world;

/// Runs each rule against the memory store, the disk store, and the disk store opened again in the
/// middle of every rule, after a clean and after an unclean stop.
macro_rules! for_every_store {
    ($($rule:ident),+ $(,)?) => {
        mod memory {
            $(#[test] fn $rule() { crate::world::run(crate::world::World::memory(), super::$rule); })+
        }
        mod disk {
            $(#[test] fn $rule() { crate::world::run(crate::world::World::disk(), super::$rule); })+
        }
        mod disk_closed_and_opened {
            $(#[test] fn $rule() { crate::world::run(crate::world::World::reopened(), super::$rule); })+
        }
        mod disk_dropped_and_opened {
            $(#[test] fn $rule() { crate::world::run(crate::world::World::dropped(), super::$rule); })+
        }
    };
}
pub(crate) use for_every_store;

//! One suite per port, run the same against every implementation of it.
//!
//! What only one implementation can do wrong is tested beside it.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]
#![expect(clippy::panic, reason = "a test may stop at what it did not expect")]

mod end_log;
mod ending;
mod session_store;
mod session_states;
mod world;

/// Runs each rule against the memory store, the disk store, the disk store opened again in the middle
/// of every rule, after a clean and after an unclean stop, and the disk store that keeps no records.
macro_rules! for_every_store {
    ($($rule:ident),+ $(,)?) => {
        crate::for_store!(memory, crate::world::World::memory(), $($rule),+);
        crate::for_store!(disk, crate::world::World::disk(), $($rule),+);
        crate::for_store!(disk_closed_and_opened, crate::world::World::reopened(), $($rule),+);
        crate::for_store!(disk_dropped_and_opened, crate::world::World::dropped(), $($rule),+);
        crate::for_store!(volatile, crate::world::World::volatile(), $($rule),+);
    };
}
pub(crate) use for_every_store;

/// Runs each rule against a disk store that keeps no records and is opened again in the middle, too: for
/// rules that ask nothing of records after that. A module has rules of one kind or the other.
macro_rules! for_every_log {
    ($($rule:ident),+ $(,)?) => {
        crate::for_every_store!($($rule),+);
        crate::for_store!(
            volatile_closed_and_opened,
            crate::world::World::volatile_reopened(),
            $($rule),+
        );
        crate::for_store!(
            volatile_dropped_and_opened,
            crate::world::World::volatile_dropped(),
            $($rule),+
        );
    };
}
pub(crate) use for_every_log;

macro_rules! for_store {
    ($store:ident, $world:expr, $($rule:ident),+) => {
        mod $store {
            $(#[test] fn $rule() { crate::world::run($world, super::$rule); })+
        }
    };
}
pub(crate) use for_store;

//! Hands the gateway over to another process: sockets, sessions, and what is known of them in memory only.
//!
//! The predecessor starts its successor as its child, with the way to it as standard input, so that nobody else can
//! be either. `predecessor`, `progress` and `attempt` are one side, `heir` the other, `letters` what they write to each
//! other; the order is `decision::succession`'s.

mod attempt;
mod duties;
mod heir;
mod letters;
mod memory;
mod predecessor;
mod progress;
mod starting;
mod stop;

pub use heir::Heir;

pub(super) use duties::Duties;
pub(super) use heir::Blessing;
pub(super) use heir::Claims;
pub(super) use predecessor::Succession;

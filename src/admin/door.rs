//! The door to the sessions of this process for the one that it has followed: the port `SessionEngine` over the
//! control socket.
//!
//! `wire` has what is asked and answered, `verb` answers, `successor` asks. Both ends are the same program in two
//! versions and run as the same user, so whoever may use the control socket may use this: everything can be asked.
//! Between data centres and gates other rules hold, which are the back-channel's.

mod asking;
mod feed;
mod outbox;
mod successor;
mod verb;
mod wire;

pub use successor::SuccessorEngine;

pub(in crate::admin) use feed::ended;
pub(in crate::admin) use verb::answer;

/// Below `/v1`.
pub(in crate::admin) const DOOR: &str = "door";
/// Below that: the sessions that stop serving, as they do.
pub(in crate::admin) const ENDED: &str = "ended";
/// Largest question: a post that is kept is one.
pub(in crate::admin) const QUESTION_BYTES_MAX: usize = 8 << 20;

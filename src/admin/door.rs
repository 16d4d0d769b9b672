//! The door to the sessions of this process for the one that it has followed: the ports `SessionEngine` and
//! `PeerService` over the control socket.
//!
//! `wire` has what is asked and answered, `verb` answers, `successor` asks. Both ends are the same program in two
//! versions and run as the same user, so whoever may use the control socket may use this: everything can be asked.
//! Between data centres and gates other rules hold, which are the back-channel's.

use std::sync::Arc;

use crate::ports::peer_service::PeerService;
use crate::ports::session_engine::SessionEngine;

mod asking;
mod feed;
mod judged;
mod outbox;
mod successor;
mod verb;
mod wire;

pub use successor::SuccessorEngine;

pub(in crate::admin) use feed::ended;
pub(in crate::admin) use verb::answer;

/// What answers at the door.
#[derive(Clone)]
pub struct DoorServices {
    /// Questions about sessions.
    pub sessions: Arc<dyn SessionEngine>,
    /// Questions of other data centres that the process before still receives.
    pub peers: Arc<dyn PeerService>,
}

impl std::fmt::Debug for DoorServices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DoorServices").finish_non_exhaustive()
    }
}

/// Below `/v1`.
pub(in crate::admin) const DOOR: &str = "door";
/// Below that: the sessions that stop serving, as they do.
pub(in crate::admin) const ENDED: &str = "ended";
/// Largest question: a post that is kept is one.
pub(in crate::admin) const QUESTION_BYTES_MAX: usize = 8 << 20;

//! The control socket: an HTTP/1.1 API with JSON bodies, on a Unix socket in the state directory, for those
//! who run the node.
//!
//! `socket` binds it and lets in only the owner, `server` reads requests, `verbs` knows what there is to ask,
//! and `client` is the other end, for the command line. What is told and done comes in by the ports of
//! [`Desk`]; nothing here knows an implementation. To add a verb: its port in `ports/`, a line in [`Desk`],
//! a file in `verbs/` and a line in its table.

use std::sync::Arc;

use crate::ports::audit_trail::AuditTrail;
use crate::ports::clock::Clock;
use crate::ports::control::Control;
use crate::ports::keys::Keys;
use crate::ports::pools::Pools;
use crate::ports::sessions::Sessions;

pub mod client;
mod door;
mod reply;
mod server;
mod socket;
mod verbs;

pub use door::DoorServices;
pub use door::SuccessorEngine;
pub use server::serve;
pub use socket::BindError;
pub use socket::ControlSocket;
pub use socket::SOCKET;
pub use socket::SharedControl;

/// Those who do what is asked for.
#[derive(Clone)]
pub struct Desk {
    /// The node as a whole.
    pub control: Arc<dyn Control>,
    /// Its keys.
    pub keys: Arc<dyn Keys>,
    /// Its pools.
    pub pools: Arc<dyn Pools>,
    /// Its sessions.
    pub sessions: Arc<dyn Sessions>,
    /// What answers the process that it has followed; none where it has no engine of its own.
    pub door: Option<DoorServices>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it is noted who asked for what.
    pub audit: Arc<dyn AuditTrail>,
}

/// The header by which the command line tells who called `sudo`. Whoever may ask at all may say anything there:
/// the user of the system that is noted beside it is what the system says.
const SUDO_USER: &str = "portway-sudo-user";

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

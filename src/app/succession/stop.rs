//! A gateway that is told to stop while it hands over: it breaks the attempt off, or is past going back.
//!
//! Were it to end at any other moment, its successor would be left with sessions that it has been given and with
//! nobody who says that it may serve.

use std::os::fd::OwnedFd;
use std::process::Child;

use parking_lot::Mutex;
use rustix::process::Pid;
use rustix::process::PidfdFlags;
use rustix::process::Signal;
use rustix::process::pidfd_open;
use rustix::process::pidfd_send_signal;
use tokio::sync::watch;

/// Whether the gateway is to stop, and how far it has got with handing over.
#[derive(Debug, Default)]
pub(super) struct Stop {
    state: Mutex<State>,
    /// Turns true when it is to stop, for those who wait for something else meanwhile.
    told: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    is_told: bool,
    has_left: bool,
    /// The successor that has been started, for as long as it has not been waited for.
    successor: Option<OwnedFd>,
}

impl Stop {
    /// The gateway is to stop: ends a successor that has not been taken leave of.
    pub(super) fn tell(&self) {
        let mut state = self.state.lock();
        state.is_told = true;
        if !state.has_left {
            state.end_successor();
        }
        self.told.send_replace(true);
    }

    /// Waits for something, unless the gateway is to stop: none then.
    pub(super) async fn unless_told<T>(&self, what: impl Future<Output = T>) -> Option<T> {
        let mut told = self.told.subscribe();
        tokio::select! {
            biased;
            // This is where the other end is.
            _ = told.wait_for(|is_told| *is_told) => None,
            done = what => Some(done),
        }
    }

    /// Whether it is to stop.
    pub(super) fn is_told(&self) -> bool {
        self.state.lock().is_told
    }

    /// A successor has been started.
    pub(super) fn started(&self, successor: &Child) {
        let id = i32::try_from(successor.id()).ok().and_then(Pid::from_raw);
        // Without it, the attempt is broken off at its next step.
        let successor = id.and_then(|id| pidfd_open(id, PidfdFlags::empty()).ok());
        let mut state = self.state.lock();
        state.successor = successor;
        if state.is_told {
            state.end_successor();
        }
    }

    /// Takes leave, if the gateway is not to stop. From then on a stop is the end of one that has been followed.
    pub(super) fn may_leave(&self) -> bool {
        let mut state = self.state.lock();
        state.has_left = !state.is_told;
        state.has_left
    }

    /// There is no successor any more.
    pub(super) fn ended(&self) {
        let mut state = self.state.lock();
        state.has_left = false;
        state.successor = None;
    }
}

impl State {
    fn end_successor(&self) {
        if let Some(successor) = &self.successor {
            // One that has ended is as good.
            pidfd_send_signal(successor, Signal::KILL).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::future::ready;
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn whatever_is_waited_for_a_stop_is_heard_at_once() {
        let stop = Stop::default();
        assert_eq!(stop.unless_told(ready(1)).now_or_never(), Some(Some(1)));
        let mut waiting = pin!(stop.unless_told(pending::<()>()));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        stop.tell();
        assert_eq!(waiting.as_mut().now_or_never(), Some(None));
        assert_eq!(stop.unless_told(ready(1)).now_or_never(), Some(None));
    }
}

//! What a gate without an engine still has to tell engines: accesses, and ends that nobody heard.
//!
//! Bounded: there is one access per remembered session, and ends beyond the bound are forgotten, the
//! oldest first, with a line in the log. It does not outlast the process.

use std::collections::VecDeque;

use parking_lot::Mutex;

use crate::model::id::SsoId;
use crate::model::session::EndCause;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// What is still to be told.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    touched: Mutex<Vec<SsoId>>,
    ends: Mutex<VecDeque<(SsoFacts, EndCause)>>,
}

impl Outbox {
    /// Notes that a session saw a request; the caller does so once until it was taken.
    pub(super) fn touched(&self, sso: SsoId) {
        self.touched.lock().push(sso);
    }

    /// Takes the sessions that saw requests.
    pub(super) fn take_touched(&self) -> Vec<SsoId> {
        std::mem::take(&mut *self.touched.lock())
    }

    /// Notes an end that no engine has heard.
    pub(super) fn unsaid(&self, facts: SsoFacts, cause: EndCause) {
        let mut ends = self.ends.lock();
        if ends.len() >= ENDS_MAX {
            ends.pop_front();
            tracing::error!("too many ends wait for an engine; the oldest is forgotten");
        }
        ends.push_back((facts, cause));
    }

    /// The oldest end that no engine has heard; those that are over by themselves are dropped.
    pub(super) fn next_unsaid(&self, now: Timestamp) -> Option<(SsoFacts, EndCause)> {
        let mut ends = self.ends.lock();
        ends.retain(|(facts, _)| facts.expires > now);
        ends.pop_front()
    }
}

/// Ends that wait for an engine.
const ENDS_MAX: usize = 4096;

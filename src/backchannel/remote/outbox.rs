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
        ends.front().cloned()
    }

    /// Notes that an engine has heard of an end.
    pub(super) fn said(&self, sso: &SsoId) {
        self.ends.lock().retain(|(facts, _)| facts.sso != *sso);
    }

    /// Whether an end waits here: then no engine's word of the session is good.
    pub(super) fn holds(&self, sso: &SsoId) -> bool {
        self.ends.lock().iter().any(|(facts, _)| facts.sso == *sso)
    }
}

/// Ends that wait for an engine.
const ENDS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::identity::AuthLevel;
    use crate::model::name::StoreName;
    use crate::model::name::UserName;
    use crate::model::session::Generation;

    #[test]
    fn an_end_waits_until_an_engine_has_heard_of_it_or_it_is_over_s_15() {
        let outbox = Outbox::default();
        let early = Timestamp::from_millis(1);
        outbox.unsaid(facts(1), EndCause::LoggedOut);
        outbox.unsaid(facts(2), EndCause::LoggedOut);
        for _ in 0..2 {
            let (next, _) = outbox.next_unsaid(early).unwrap();
            assert_eq!(next, facts(1), "asking does not take it out");
        }
        outbox.said(&facts(1).sso);
        assert!(!outbox.holds(&facts(1).sso) && outbox.holds(&facts(2).sso));
        let late = facts(2).expires;
        assert!(outbox.next_unsaid(late).is_none());
        assert!(!outbox.holds(&facts(2).sso));
    }

    fn facts(number: u8) -> SsoFacts {
        SsoFacts {
            sso: SsoId::from_bytes([number; 16]),
            subject: UserName::parse("alice").unwrap(),
            store: StoreName::parse("users").unwrap(),
            first_authenticated: Timestamp::default(),
            expires: Timestamp::from_millis(100),
            generation: Generation(1),
            level: AuthLevel::MAX,
            level_reached: Timestamp::default(),
        }
    }
}

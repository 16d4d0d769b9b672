//! What a gate without an engine still has to tell engines: accesses, and ends that nobody heard.
//!
//! Bounded: there is one access per remembered session, and ends beyond the bound are forgotten, the
//! oldest first, with a line in the log. It does not outlast the process.

use std::collections::BTreeMap;
use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::id::SsoId;
use crate::model::session::EndCause;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// What is still to be told.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    touched: Mutex<Vec<SsoId>>,
    ends: Mutex<Ends>,
}

/// Ends that no engine has confirmed to have heard.
#[derive(Debug, Default)]
struct Ends {
    next: u64,
    /// By number, so the oldest first.
    order: BTreeMap<u64, SsoId>,
    unsaid: HashMap<SsoId, Unsaid>,
}

#[derive(Debug)]
struct Unsaid {
    number: u64,
    facts: SsoFacts,
    cause: EndCause,
    /// How many are telling of it now.
    tellers: usize,
}

/// An end that is being told; it waits for the next attempt when this is dropped before it was said.
#[derive(Debug)]
pub(super) struct Telling<'o> {
    outbox: &'o Outbox,
    /// Of which session.
    pub(super) facts: SsoFacts,
    /// Why it ended.
    pub(super) cause: EndCause,
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

    /// Begins to tell of an end. From here on it is known here, whatever becomes of whoever tells.
    pub(super) fn tell(&self, facts: &SsoFacts, cause: EndCause) -> Telling<'_> {
        self.ends.lock().enter(facts, cause);
        Telling {
            outbox: self,
            facts: facts.clone(),
            cause,
        }
    }

    /// Begins to tell of the oldest end that nobody is telling of; those that are over by themselves are
    /// dropped.
    pub(super) fn tell_next(&self, now: Timestamp) -> Option<Telling<'_>> {
        let mut ends = self.ends.lock();
        ends.drop_expired(now);
        let mut waiting = ends.order.values();
        let sso = *waiting.find(|sso| ends.unsaid.get(sso).is_some_and(|end| end.tellers == 0))?;
        let unsaid = ends.unsaid.get_mut(&sso)?;
        unsaid.tellers = 1;
        Some(Telling {
            outbox: self,
            facts: unsaid.facts.clone(),
            cause: unsaid.cause,
        })
    }

    /// Whether an end waits here: then no engine's word of the session is good.
    pub(super) fn holds(&self, sso: &SsoId) -> bool {
        self.ends.lock().unsaid.contains_key(sso)
    }
}

impl Ends {
    fn enter(&mut self, facts: &SsoFacts, cause: EndCause) {
        if let Some(unsaid) = self.unsaid.get_mut(&facts.sso) {
            unsaid.tellers = unsaid.tellers.saturating_add(1);
            return;
        }
        if self.unsaid.len() >= ENDS_MAX
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.unsaid.remove(&oldest);
            tracing::error!("too many ends wait for an engine; the oldest is forgotten");
        }
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.order.insert(number, facts.sso);
        let unsaid = Unsaid {
            number,
            facts: facts.clone(),
            cause,
            tellers: 1,
        };
        self.unsaid.insert(facts.sso, unsaid);
    }

    fn drop_expired(&mut self, now: Timestamp) {
        let (order, unsaid) = (&mut self.order, &mut self.unsaid);
        unsaid.retain(|_, end| {
            let is_good = end.facts.expires > now;
            if !is_good {
                order.remove(&end.number);
            }
            is_good
        });
    }
}

impl Telling<'_> {
    /// An engine has heard of it.
    pub(super) fn said(self) {
        let mut ends = self.outbox.ends.lock();
        if let Some(unsaid) = ends.unsaid.remove(&self.facts.sso) {
            ends.order.remove(&unsaid.number);
        }
    }
}

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        let mut ends = self.outbox.ends.lock();
        if let Some(unsaid) = ends.unsaid.get_mut(&self.facts.sso) {
            unsaid.tellers = unsaid.tellers.saturating_sub(1);
        }
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
        let telling = outbox.tell(&facts(1), EndCause::LoggedOut);
        drop(outbox.tell(&facts(2), EndCause::LoggedOut));
        assert!(outbox.holds(&facts(1).sso), "while it is told too");
        let next = outbox.tell_next(early).unwrap();
        assert_eq!(next.facts, facts(2), "the other one is being told");
        assert!(outbox.tell_next(early).is_none());
        drop((telling, next));
        let next = outbox.tell_next(early).unwrap();
        assert_eq!(next.facts, facts(1), "giving up does not take it out");
        next.said();
        assert!(!outbox.holds(&facts(1).sso) && outbox.holds(&facts(2).sso));
        let late = facts(2).expires;
        assert!(outbox.tell_next(late).is_none());
        assert!(!outbox.holds(&facts(2).sso));
        assert!(outbox.ends.lock().order.is_empty());
    }

    #[test]
    fn an_end_that_is_told_twice_is_said_once_and_the_oldest_of_too_many_goes() {
        let outbox = Outbox::default();
        let first = outbox.tell(&facts(1), EndCause::LoggedOut);
        let second = outbox.tell(&facts(1), EndCause::LoggedOut);
        drop(first);
        assert!(outbox.tell_next(Timestamp::default()).is_none());
        second.said();
        assert!(!outbox.holds(&facts(1).sso));
        for number in 0..=u128::try_from(ENDS_MAX).unwrap() {
            drop(outbox.tell(&facts(number), EndCause::LoggedOut));
        }
        assert_eq!(outbox.ends.lock().unsaid.len(), ENDS_MAX);
        assert!(!outbox.holds(&facts(0).sso) && outbox.holds(&facts(1).sso));
    }

    fn facts(number: u128) -> SsoFacts {
        SsoFacts {
            sso: SsoId::from_bytes(number.to_be_bytes()),
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

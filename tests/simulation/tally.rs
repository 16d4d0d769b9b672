//! Counts what happened, so that runs in which nothing happens cannot pass for runs in which all is well.

use std::collections::BTreeMap;
use std::fmt;

use portway::model::session::EndCause;

use crate::event::Event;
use crate::event::Link;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Counted {
    /// Copies of other data centres' records that came to serve, anchored or not.
    Adoption,
    Challenge,
    ClockSet,
    Crash,
    /// Records made from the cookie's facts alone.
    Creation,
    CutOff,
    Event,
    FullDisk,
    Logout,
    LostLog,
    Partition,
    /// Judgements that a session does not serve.
    Refusal,
    Request,
    /// Requests that were served where the session had not begun.
    RequestAfterHop,
    SignIn,
}

/// How often it happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(BTreeMap<Counted, u64>);

impl Tally {
    pub(crate) fn of(&self, counted: Counted) -> u64 {
        self.0.get(&counted).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (counted, count) in &other.0 {
            *self.0.entry(*counted).or_insert(0) += count;
        }
    }

    pub(crate) fn count(&mut self, counted: Counted) {
        *self.0.entry(counted).or_insert(0) += 1;
    }

    /// Counts an event. How a record came to serve is counted by whoever judges that.
    pub(crate) fn take(&mut self, event: &Event<'_>) {
        self.count(Counted::Event);
        match event {
            Event::Permitted(_, _, session) => {
                self.count(Counted::Request);
                if !session.aliases.is_empty() {
                    self.count(Counted::RequestAfterHop);
                }
            }
            Event::Judged(_, _, judgement) => {
                if matches!(judgement.result, Err(Some(_))) {
                    self.count(Counted::Refusal);
                }
            }
            Event::EndAnswered(_, _, EndCause::LoggedOut, _) => self.count(Counted::Logout),
            Event::Challenged(..) => self.count(Counted::Challenge),
            Event::ClockSet(..) => self.count(Counted::ClockSet),
            Event::Crashed(_) => self.count(Counted::Crash),
            Event::CutOffAnswered(..) => self.count(Counted::CutOff),
            Event::DiskFull(_) => self.count(Counted::FullDisk),
            Event::Linked(_, _, Link::Cut) => self.count(Counted::Partition),
            Event::SignedIn(_, Some(_), _) => self.count(Counted::SignIn),
            Event::Started(_, start) if !start.has_its_log => self.count(Counted::LostLog),
            _ => {}
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts: Vec<_> = self
            .0
            .iter()
            .map(|(counted, count)| format!("{counted:?} {count}"))
            .collect();
        f.write_str(&counts.join(", "))
    }
}

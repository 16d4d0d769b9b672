//! The witness: is told everything, holds it against the rules, and remembers the story if asked to.

use std::sync::Arc;

use parking_lot::Mutex;

use crate::event::Event;
use crate::executor::Handle;
use crate::plan::Plan;
use crate::rules::Broken;
use crate::rules::Rules;
use crate::tally::Tally;
use crate::truth::Truth;

/// Sees a whole run.
pub(crate) struct Witness {
    handle: Handle,
    seen: Mutex<Seen>,
}

/// Whether the story is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    Silent,
    Story,
}

struct Seen {
    truth: Truth,
    rules: Rules,
    telling: Telling,
    story: Vec<String>,
    broken: Option<Broken>,
    tally: Tally,
}

impl Witness {
    pub(crate) fn new(plan: &Plan, handle: &Handle, telling: Telling) -> Arc<Self> {
        let seen = Seen {
            truth: Truth::new(plan.clone()),
            rules: Rules::default(),
            telling,
            story: Vec::new(),
            broken: None,
            tally: Tally::default(),
        };
        Arc::new(Self {
            handle: handle.clone(),
            seen: Mutex::new(seen),
        })
    }

    /// Tells the witness of an event. Nothing is said any more once something is broken.
    pub(crate) fn note(&self, event: &Event<'_>) {
        let now = self.handle.now();
        let mut seen = self.seen.lock();
        if seen.broken.is_some() {
            return;
        }
        if seen.telling == Telling::Story {
            seen.story.push(format!("{:>9.3} s  {event}", seconds(now)));
        }
        seen.take(now, event);
    }

    /// A line of the story that is no event; made only if somebody wants to read it.
    pub(crate) fn tell(&self, line: impl FnOnce() -> String) {
        if self.seen.lock().telling == Telling::Story {
            self.note(&Event::Told(line()));
        }
    }

    pub(crate) fn fail(&self, broken: Broken) {
        self.seen.lock().broken.get_or_insert(broken);
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.seen.lock().broken.is_some()
    }

    pub(crate) fn broken(&self) -> Option<Broken> {
        self.seen.lock().broken.clone()
    }

    /// How much has happened.
    pub(crate) fn tally(&self) -> Tally {
        let seen = self.seen.lock();
        let mut tally = seen.tally.clone();
        tally.add(seen.rules.tally());
        tally
    }

    pub(crate) fn take_story(&self) -> Vec<String> {
        std::mem::take(&mut self.seen.lock().story)
    }

    /// Asks something of the truth.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&Truth) -> T) -> T {
        question(&self.seen.lock().truth)
    }
}

impl Seen {
    fn take(&mut self, now: u64, event: &Event<'_>) {
        self.truth.take(now, event);
        self.broken = self.rules.look(&self.truth, event).err();
        self.tally.take(event);
    }
}

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

//! What must never happen, one file per matter. Each rule looks at an event in the light of the truth and
//! names what is broken, with the id of the property or rule.
//!
//! Every rule holds at every moment of every run. What holds only at the end is in `settled`.

use crate::event::Event;
use crate::tally::Tally;
use crate::truth::Truth;

pub(crate) mod adopting;
pub(crate) mod ending;
mod flight;
pub(crate) mod holding;
pub(crate) mod living;

/// What is broken, in a sentence.
pub(crate) type Broken = String;

/// All rules, with what each of them remembers.
#[derive(Default)]
pub(crate) struct Rules {
    adopting: adopting::Adopting,
    ending: ending::Ending,
    holding: holding::Holding,
    living: living::Living,
}

impl Rules {
    /// What was counted while judging.
    pub(crate) const fn tally(&self) -> &Tally {
        &self.adopting.tally
    }

    /// Looks at an event; the truth has taken it in.
    pub(crate) fn look(&mut self, truth: &Truth, event: &Event<'_>) -> Result<(), Broken> {
        self.ending.look(truth, event)?;
        self.holding.look(truth, event)?;
        self.living.look(truth, event)?;
        self.adopting.look(truth, event)
    }
}

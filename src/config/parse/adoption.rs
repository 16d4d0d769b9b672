//! `mdc.adoption`: the operator's choice for sessions of other data centres.
//!
//! Every combination is accepted (A.6); one in which a choice has no effect is a warning. What the
//! choices come to is `decision::adoption`.

use std::time::Duration;

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::advice::Advice;
use crate::decision::adoption::AdoptionPolicy;
use crate::decision::adoption::Anchor;
use crate::decision::adoption::Hop;
use crate::decision::adoption::OnMissing;
use crate::decision::adoption::OnSilence;
use crate::decision::adoption::Retrieval;

impl Reading<'_> {
    pub(super) fn adoption(&mut self, found: Option<&Found<'_>>) -> AdoptionPolicy {
        let mut policy = AdoptionPolicy::default();
        let Some(section) = found.and_then(|found| self.section(found, KEYS)) else {
            return policy;
        };
        self.set(
            &section,
            "anchor_session",
            &mut policy.anchor,
            |this, at| this.either(at, Anchor::Anchored, Anchor::Free),
        );
        self.set(
            &section,
            "retrieve_data",
            &mut policy.retrieval,
            |this, at| this.either(at, Retrieval::Fetch, Retrieval::Off),
        );
        self.set(&section, "reauthenticate", &mut policy.hop, |this, at| {
            this.either(at, Hop::Reauthenticate, Hop::Silent)
        });
        self.set(
            &section,
            "retrieve_retries",
            &mut policy.retries,
            |this, at| this.number(at, 0..=RETRIES_MAX),
        );
        self.set(
            &section,
            "retrieve_timeout",
            &mut policy.attempt_limit,
            Self::brief_duration,
        );
        self.set(
            &section,
            "on_remote_missing",
            &mut policy.on_missing,
            |this, at| this.word(at, ON_MISSING),
        );
        self.set(
            &section,
            "continue_on_sync_failure",
            &mut policy.on_silence,
            |this, at| this.either(at, OnSilence::Continue, OnSilence::Challenge),
        );
        self.advise_inert_choices(&section, &policy);
        if policy.deadline() > WAIT_SENSIBLE {
            let place = section.first_of(&["retrieve_timeout", "retrieve_retries"]);
            let place = place.map_or(&section.found, |(_, found)| found);
            self.advise(place, Advice::LongWait(policy.deadline()));
        }
        policy
    }

    /// What a switch stands for.
    pub(super) fn either<T>(&mut self, found: &Found<'_>, on: T, off: T) -> Option<T> {
        self.switch(found).map(|is_on| if is_on { on } else { off })
    }

    /// Choices that never come to bear. One that states its default is left in peace: files in the old
    /// form state everything.
    fn advise_inert_choices(&mut self, section: &Section<'_>, policy: &AdoptionPolicy) {
        let because = match (policy.hop, policy.anchor, policy.retrieval) {
            (Hop::Reauthenticate, _, _) => "with `reauthenticate: true`: every hop is challenged",
            (Hop::Silent, Anchor::Free, Retrieval::Off) => {
                "without `retrieve_data` and `anchor_session`: no other data centre is asked"
            }
            (Hop::Silent, ..) => return,
        };
        let default = AdoptionPolicy::default();
        let chosen = [
            ("on_remote_missing", policy.on_missing != default.on_missing),
            (
                "continue_on_sync_failure",
                policy.on_silence != default.on_silence,
            ),
            (
                "retrieve_data",
                policy.hop == Hop::Reauthenticate && policy.retrieval != default.retrieval,
            ),
        ];
        for (key, is_chosen) in chosen {
            if let Some(found) = section.get(key).filter(|_| is_chosen) {
                self.advise_inert(found, key, because);
            }
        }
    }
}

pub(super) const KEYS: &[&str] = &[
    "anchor_session",
    "continue_on_sync_failure",
    "on_remote_missing",
    "reauthenticate",
    "retrieve_data",
    "retrieve_retries",
    "retrieve_timeout",
];
const ON_MISSING: &[(&str, OnMissing)] = &[
    ("challenge", OnMissing::Challenge),
    ("create", OnMissing::Create),
];
const RETRIES_MAX: u32 = 10;

/// Nobody waits longer for a page.
const WAIT_SENSIBLE: Duration = Duration::from_secs(15);

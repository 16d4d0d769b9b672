//! What is done without being asked for: on a node that shares its ring with nobody, another key is made when it
//! is due and old ones go; elsewhere somebody is told.

use std::time::Duration;

use crate::app::key_watch::KeyWatch;
use crate::app::key_watch::State;
use crate::app::key_watch::shown;
use crate::decision::key_life::Due;
use crate::model::id::KeyId;
use crate::model::time::Timestamp;

impl KeyWatch {
    /// Lets keys go that are needed no more, and makes another one when it is due. What fails is told once, and
    /// tried again after a while.
    pub(super) fn rotate_when_due(&self, state: &mut State, now: Timestamp) {
        // A clock that was set back makes nobody wait.
        let waits = |failed: Timestamp| (failed..failed.after(RETRY_AFTER)).contains(&now);
        if state.failed.is_some_and(waits) {
            return;
        }
        let gone = self.unneeded(state, now);
        let retired = if gone.is_empty() {
            Ok(())
        } else {
            self.remove(state, &gone)
        };
        let rotated = match self.due(state, now) {
            Some(_) => self.publish(state).map(drop),
            None => Ok(()),
        };
        let Err(error) = retired.and(rotated) else {
            state.failed = None;
            return;
        };
        if state.failed.replace(now).is_none() {
            let error = format_args!("{error:#}");
            tracing::error!(%error, "the key ring could not be changed; it is tried again");
        }
    }

    /// Says that another key is due, once for each key that seals.
    pub(super) fn tell_when_due(&self, state: &mut State, now: Timestamp) {
        if let Some((key, why)) = self.due(state, now)
            && state.told_due.replace(key) != Some(key)
        {
            let why = match why {
                Due::Age => "it is old",
                Due::Uses => "it has been used often",
            };
            tracing::warn!(
                key = shown(key),
                why,
                "another key is due: run `portway keys rotate` in one data centre, and copy the file to the others"
            );
        }
    }

    /// Whether another key is due, and none is on its way.
    fn due(&self, state: &State, now: Timestamp) -> Option<(KeyId, Due)> {
        if self.under_way(state, now).is_some() {
            return None;
        }
        let seals = self.ring.seals_with();
        let facts = state.file.facts();
        let sealing = facts.iter().find(|facts| facts.id == seals)?;
        let uses = self.ring.uses();
        let uses = uses.iter().find(|(key, _)| *key == seals)?.1;
        Some((seals, state.rules.due(sealing, uses, now)?))
    }

    /// The key that is to seal and does not yet. One that a clock made which was far ahead is none: it would be
    /// waited for until then.
    pub(in crate::app) fn under_way(&self, state: &State, now: Timestamp) -> Option<KeyId> {
        let named = *state.file.facts().first()?;
        let is_waited_for = state.rules.is_waited_for(&named, now);
        (is_waited_for && named.id != self.ring.seals_with()).then_some(named.id)
    }
}

/// How long a disk is left alone that has just refused a ring.
const RETRY_AFTER: Duration = Duration::from_secs(10);

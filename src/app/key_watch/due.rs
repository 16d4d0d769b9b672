//! What is done without being asked for: on a node that shares its ring with nobody, another key is made when it
//! is due and old ones go; elsewhere somebody is told.

use crate::app::key_watch::KeyWatch;
use crate::app::key_watch::State;
use crate::app::key_watch::shown;
use crate::decision::key_life::Due;
use crate::model::id::KeyId;
use crate::model::time::Timestamp;

impl KeyWatch {
    /// Lets keys go that are needed no more, and makes another one when it is due.
    pub(super) fn rotate_when_due(&self, state: &mut State, now: Timestamp) {
        let gone = self.unneeded(state, now);
        let retired = if gone.is_empty() {
            Ok(())
        } else {
            self.remove(state, &gone)
        };
        let rotated = match self.due(state, now) {
            Some((key, _)) if state.told_due != Some(key) => self.publish(state).map(drop),
            Some(_) | None => Ok(()),
        };
        let Err(error) = retired.and(rotated) else {
            return;
        };
        // It is tried again when another process begins: it needs somebody to look at it.
        let sealing = self.ring.seals_with();
        if state.told_due.replace(sealing) != Some(sealing) {
            let error = format_args!("{error:#}");
            tracing::error!(%error, "the key ring could not be changed");
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
        let seals = self.ring.seals_with();
        let facts = state.file.facts();
        let sealing = facts.first().filter(|first| first.id == seals)?;
        let uses = self.ring.uses();
        let uses = uses.iter().find(|(key, _)| *key == seals)?.1;
        Some((seals, state.rules.due(sealing, uses, now)?))
    }
}

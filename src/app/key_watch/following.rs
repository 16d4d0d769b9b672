//! The key-ring file while the node runs: takes over what somebody else has written, and writes what the node
//! changes.
//!
//! No key goes by a file that was copied here while something good may be sealed with it: the node keeps such a
//! key, and writes it back, so that the next process has it, too (S-23).

use crate::app::key_watch::Agreement;
use crate::app::key_watch::KeyWatch;
use crate::app::key_watch::Sharing;
use crate::app::key_watch::State;
use crate::app::key_watch::shown;
use crate::app::keys;
use crate::crypto::key_ring::RingFile;
use crate::logbook::moment::rfc3339_seconds;
use crate::model::id::KeyId;
use crate::provider::users_file::replace::FileLock;

impl KeyWatch {
    /// Takes over a file that has changed, and completes it where it lacks keys. What fails is told once.
    pub(super) fn follow(&self, state: &mut State) {
        if self.take_over(state).is_err() || state.agreement == Agreement::Same {
            return;
        }
        let Err(error) = self.change(state, |_| Ok(())) else {
            return;
        };
        if std::mem::replace(&mut state.agreement, Agreement::LackingAndTold) == Agreement::Lacking
        {
            tracing::error!(
                path = %self.path.display(),
                error = %format_args!("{error:#}"),
                "keys that are needed could not be written back to the key ring; it is tried again"
            );
        }
    }

    /// Says which keys an earlier process had and needed, and are not there any more.
    pub(super) fn warn_of_lost_keys(&self, state: &State) {
        if self.sharing == Sharing::Engines {
            return;
        }
        let ring = self.ring.ids();
        let lost = state.ledger.in_use(self.clock.now()).into_iter();
        for key in lost.filter(|key| !ring.contains(key)) {
            tracing::warn!(
                key = shown(key),
                needed_until = rfc3339_seconds(state.ledger.needed_until(key)),
                "the key ring lacks a key that was used before the start; whoever has a cookie of it signs in again"
            );
        }
    }

    /// Goes by a file that has changed.
    fn take_over(&self, state: &mut State) -> anyhow::Result<()> {
        let now = state.seen.again();
        if now == state.seen {
            return Ok(());
        }
        let mut file = match keys::read(&self.path) {
            Ok(file) => file,
            Err(error) => {
                if state.refused.as_ref() != Some(&now) {
                    tracing::error!(
                        path = %self.path.display(),
                        error = %format_args!("{error:#}"),
                        "the key ring is not taken over, and the one before goes on"
                    );
                }
                state.refused = Some(now);
                return Err(error);
            }
        };
        let kept = self.needed_beyond(&file, state);
        file.keep(&state.file, &kept);
        state.agreement = if kept.is_empty() {
            Agreement::Same
        } else {
            self.warn_of_kept_keys(state, &kept);
            Agreement::Lacking
        };
        let before = self.ring.ids();
        self.ring.replace(&file);
        state.file = file;
        state.seen = now;
        state.refused = None;
        let after = self.ring.ids();
        self.tell("added", &missing(&after, &before));
        self.tell("removed", &missing(&before, &after));
        Ok(())
    }

    /// The keys of now that a file lacks and that are needed. A gate does not know until when they are; its engines
    /// do.
    fn needed_beyond(&self, file: &RingFile, state: &State) -> Vec<KeyId> {
        if self.sharing == Sharing::Engines {
            return Vec::new();
        }
        let there: Vec<KeyId> = file.facts().iter().map(|facts| facts.id).collect();
        let mut needed = missing(&self.ring.ids(), &there);
        let now = self.clock.now();
        needed.retain(|key| state.ledger.is_in_use(*key, now));
        needed
    }

    fn warn_of_kept_keys(&self, state: &State, kept: &[KeyId]) {
        for key in kept {
            tracing::warn!(
                path = %self.path.display(),
                key = shown(*key),
                needed_until = rfc3339_seconds(state.ledger.needed_until(*key)),
                "the key ring lacks a key that is needed, which stays in it; `portway keys retire \
                 --even-if-needed` removes it all the same"
            );
        }
    }

    /// Changes a copy of the file, writes it, and goes by it.
    pub(super) fn change(
        &self,
        state: &mut State,
        change: impl FnOnce(&mut RingFile) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let lock = FileLock::acquire(&self.path)?;
        // Somebody may have written it since the last look. What cannot be read may have a key that is nowhere else.
        if let Err(error) = self.take_over(state)
            && self.path.exists()
        {
            return Err(error);
        }
        let mut file = RingFile::parse(&state.file.to_text()?)?;
        change(&mut file)?;
        let text = file.to_text()?;
        lock.replace(std::str::from_utf8(&text)?)?;
        self.ring.replace(&file);
        state.file = file;
        state.agreement = Agreement::Same;
        state.seen = state.seen.again();
        Ok(())
    }
}

fn missing(from: &[KeyId], of: &[KeyId]) -> Vec<KeyId> {
    let missing = from.iter().filter(|key| !of.contains(key));
    missing.copied().collect()
}

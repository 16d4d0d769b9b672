//! Giving way to a data centre that ranks above this one in a session (S-4, S-14).
//!
//! Who ranks above whom is decided in `decision::release`.

use crate::decision::release;
use crate::decision::release::Change;
use crate::decision::release::Known;
use crate::engine::EmbeddedEngine;
use crate::engine::REPLACE_TRIES_MAX;
use crate::model::id::SsoId;
use crate::model::session::Rank;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::ports::session_store::Found;
use crate::ports::session_store::Replaced;
use crate::ports::session_store::StoreError;

/// Why an end that a peer told of was not taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum TakeEndError {
    /// The record that was to give way changed each time: it stands as it did.
    #[error("the record of a session that is held elsewhere kept changing")]
    Raced,
    /// What was to be written is not durable.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EmbeddedEngine {
    /// Becomes a stub at once where the own log knows of a holder above the rank that was announced: it may
    /// have been told before the record stood, and is not told again (S-4).
    pub(super) async fn yield_to_higher(&self, facts: &SsoFacts, announced: Option<Rank>) {
        let Some(own) = announced else {
            return;
        };
        let known = self.parts.ends.holder(&facts.sso);
        let Some(higher) = known.filter(|known| *known > own) else {
            return;
        };
        if let Err(error) = self.step_down(&facts.sso, &higher).await {
            tracing::error!(
                session = facts.sso.short_hash(),
                error = &error as &dyn std::error::Error,
                "a session held elsewhere could not be let go of"
            );
        }
    }

    /// The rank at which a session is held here, or is about to be, where that is above another holder's.
    pub(super) fn outranking(&self, sso: &SsoId, other: &Rank) -> Option<Rank> {
        let Found::Record(session) = self.parts.store.find(sso) else {
            return None;
        };
        let own = Rank {
            generation: session.facts.generation,
            cluster: self.cluster.clone(),
        };
        let holds = matches!(session.state, SessionState::Live | SessionState::Pending(_));
        (holds && own > *other).then_some(own)
    }

    /// Becomes a stub if another data centre ranks above what is held here (S-4, S-14).
    ///
    /// # Errors
    /// When the record holds the session still; the end is to be read again then.
    pub(super) async fn step_down(&self, sso: &SsoId, holder: &Rank) -> Result<(), TakeEndError> {
        for _ in 0..REPLACE_TRIES_MAX {
            let found = self.parts.store.find(sso);
            let Found::Record(session) = &found else {
                return Ok(());
            };
            let known = Known::Record {
                session,
                last_access: self.noted_access(session),
            };
            let Change::Replace(stub) = release::moved(&self.cluster, &known, holder) else {
                return Ok(());
            };
            if let Replaced::Replaced = self.parts.store.replace_if_version(*stub).await? {
                self.announce(*sso);
                return Ok(());
            }
        }
        Err(TakeEndError::Raced)
    }
}

//! The errands of an adoption: asking a peer, reading attributes again, storing a record.
//!
//! When each is due is decided in `decision::adoption`.

use std::time::Duration;

use crate::decision::adoption::Kept;
use crate::decision::adoption::Reread;
use crate::engine::EmbeddedEngine;
use crate::model::id::SsoId;
use crate::model::identity::Refreshed;
use crate::model::name::ClusterId;
use crate::model::peer::Answer;
use crate::model::peer::Question;
use crate::model::peer::Refusal;
use crate::model::peer::Silence;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::session_store::Inserted;
use crate::ports::session_store::Replaced;
use crate::ports::session_store::StoreError;

impl EmbeddedEngine {
    pub(super) async fn ask_for_adoption(
        &self,
        peer: &ClusterId,
        question: Question,
        limit: Duration,
    ) -> Result<Answer, Silence> {
        let state = self.federation.as_ref().and_then(|federation| {
            let most = federation.settings.adoptions_per_peer_max;
            federation.peer(peer).map(|state| (state, most))
        });
        // A data centre that is not configured is nobody's to ask (S-7).
        let Some((state, most)) = state else {
            return Ok(Answer::Refused(Refusal::NotPermitted));
        };
        if state.is_beyond_skew() {
            return Ok(Answer::Refused(Refusal::Skew));
        }
        let Some(_place) = state.question(most) else {
            return Err(Silence::Busy);
        };
        self.parts.peers.ask(peer, question, limit).await
    }

    /// Remembers who was waited for in vain, where that took the whole time of an attempt: what failed at
    /// once costs nothing when it is tried again.
    pub(super) fn note_silence(&self, sso: &SsoId, peers: Vec<ClusterId>, begun: Timestamp) {
        let now = self.parts.clock.now();
        if let Some(federation) = &self.federation
            && now.since(begun) >= federation.settings.adoption.attempt_limit
        {
            federation.refusals.note_silent(*sso, peers, now);
        }
    }

    pub(super) async fn reread(&self, facts: &SsoFacts) -> Reread {
        let provider = &self.parts.provider;
        if self.stores.load().contains(&facts.store) {
            return Reread::Unsupported;
        }
        if *provider.store() != facts.store {
            return Reread::UnknownStore;
        }
        match provider.refresh(&facts.subject).await {
            Ok(Refreshed::Known(identity)) => Reread::Known(identity),
            Ok(Refreshed::Gone) => Reread::Gone,
            Ok(Refreshed::Unsupported) => Reread::Unsupported,
            Err(error) => {
                tracing::warn!(
                    user = facts.subject.as_str(),
                    error = &error as &dyn std::error::Error,
                    "attributes could not be read again"
                );
                Reread::Unavailable
            }
        }
    }

    /// Stores a record where none stands.
    pub(super) async fn keep_first(&self, session: Session) -> Kept {
        let (sso, version) = (session.facts.sso, session.version);
        match self.parts.store.insert_unless_ended(session).await {
            Ok(Inserted::Inserted) => Kept::Kept { version },
            Ok(Inserted::Ended) => Kept::Ended,
            Ok(Inserted::Exists) => Kept::Raced,
            Err(error) => not_kept(&sso, &error),
        }
    }

    /// Stores a record in place of the one that stands.
    pub(super) async fn keep_over(&self, session: Session) -> Kept {
        let (sso, version) = (session.facts.sso, session.version);
        match self.parts.store.replace_if_version(session).await {
            Ok(Replaced::Replaced) => Kept::Kept {
                version: version.saturating_add(1),
            },
            Ok(Replaced::Ended) => Kept::Ended,
            Ok(Replaced::Missing | Replaced::Stale(_)) => Kept::Raced,
            Err(error) => not_kept(&sso, &error),
        }
    }
}

fn not_kept(sso: &SsoId, error: &StoreError) -> Kept {
    tracing::error!(
        session = sso.short_hash(),
        error = error as &dyn std::error::Error,
        "an adopted session could not be stored"
    );
    Kept::Failed
}

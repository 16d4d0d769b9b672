//! Reads the attributes of users again for the sessions that stand here, once their identity store says something
//! else (S-10).
//!
//! When that is, whoever follows the store knows. Sessions that are held elsewhere are read again where they are
//! held, and when they are taken over.

use std::sync::Arc;

use crate::decision::adoption::Reread;
use crate::engine::EmbeddedEngine;
use crate::engine::REPLACE_TRIES_MAX;
use crate::model::name::UserName;
use crate::model::session::Attributes;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::ports::session_store::Found;
use crate::ports::session_store::Replaced;
use crate::ports::session_store::StoreError;
use crate::ports::session_store::WalkPlace;

/// What came of reading attributes again for some of the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RereadPiece {
    /// How many say something else now.
    pub changed: usize,
    /// Where to go on; none at the end.
    pub next: Option<WalkPlace>,
}

impl EmbeddedEngine {
    /// Reads the attributes of a user again for each session that is held here; answers how many say something
    /// else now. Requests that have begun keep what they began with.
    ///
    /// # Errors
    /// When a record is not durable; some may have been changed then.
    pub async fn reread_user(&self, subject: &UserName) -> Result<usize, StoreError> {
        let store = self.parts.provider.store();
        let mut changed = 0;
        for session in self.parts.store.list_by_user(store, subject).await {
            changed += self.reread_session(session).await?;
        }
        Ok(changed)
    }

    /// The same for at most so many records of whomever, from a place on.
    ///
    /// # Errors
    /// When a record is not durable; some may have been changed then.
    pub async fn reread_piece(
        &self,
        from: Option<WalkPlace>,
        limit: usize,
    ) -> Result<RereadPiece, StoreError> {
        let piece = self.parts.store.walk(from, limit);
        let mut changed = 0;
        for (session, _) in piece.records {
            changed += self.reread_session(session).await?;
        }
        Ok(RereadPiece {
            changed,
            next: piece.next,
        })
    }

    /// Whether all records of an earlier run are there to be read again.
    #[must_use]
    pub fn has_all_records(&self) -> bool {
        self.parts.store.is_complete()
    }

    /// Answers 1 if the record was changed.
    async fn reread_session(&self, session: Arc<Session>) -> Result<usize, StoreError> {
        let sso = session.facts.sso;
        let mut found = Found::Record(session);
        for _ in 0..REPLACE_TRIES_MAX {
            let Found::Record(session) = found else {
                return Ok(0);
            };
            if session.state != SessionState::Live {
                return Ok(0);
            }
            // Whoever is gone is cut off by whoever follows the store.
            let Reread::Known(identity) = self.reread(&session.facts).await else {
                return Ok(0);
            };
            if session.identity == identity && session.attributes == Attributes::Known {
                return Ok(0);
            }
            let fresh = Session {
                identity,
                attributes: Attributes::Known,
                ..Session::clone(&session)
            };
            match self.parts.store.replace_if_version(fresh).await? {
                Replaced::Replaced => return Ok(1),
                Replaced::Ended | Replaced::Missing => return Ok(0),
                Replaced::Stale(_) => found = self.parts.store.find(&sso),
            }
        }
        Err(StoreError::Closed)
    }
}

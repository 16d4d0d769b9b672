//! Keeps the attributes that policies give to sessions (S-10).

use crate::engine::EmbeddedEngine;
use crate::engine::REPLACE_TRIES_MAX;
use crate::model::attribute::Attribute;
use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::ports::session_store::Found;
use crate::ports::session_store::Replaced;
use crate::ports::session_store::StoreError;

impl EmbeddedEngine {
    /// Gives attributes to a session that stands here. One whose attributes were not fetched stays as it is:
    /// what is known of them would look like all there are.
    ///
    /// # Errors
    /// When the record is not durable, or the attributes are beyond the bounds.
    pub(super) async fn note_attributes(
        &self,
        sso: &SsoId,
        new: &[Attribute],
    ) -> Result<(), StoreError> {
        for _ in 0..REPLACE_TRIES_MAX {
            let Found::Record(session) = self.parts.store.find(sso) else {
                return Ok(());
            };
            let Some(noted) = &session.noted else {
                return Ok(());
            };
            let noted = noted.with(new).map_err(|source| StoreError::Failed {
                operation: "keep the attributes of a session",
                source: Box::new(source),
            })?;
            if session.noted.as_ref() == Some(&noted) {
                return Ok(());
            }
            let changed = Session {
                noted: Some(noted),
                ..Session::clone(&session)
            };
            match self.parts.store.replace_if_version(changed).await? {
                Replaced::Ended | Replaced::Missing | Replaced::Replaced => return Ok(()),
                Replaced::Stale(_) => {}
            }
        }
        Err(StoreError::Closed)
    }
}

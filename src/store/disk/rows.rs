//! Rows of the file: a record as the disk has it, sealed, with a tag that says whose it is.

use std::sync::Arc;

use crate::model::end::Incarnation;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Session;
use crate::ports::session_store::StoreError;
use crate::store::RecordSealer;
use crate::store::disk::queue::Row;
use crate::store::record;

/// Makes rows.
#[derive(Clone)]
pub(super) struct Rows {
    sealer: Arc<dyn RecordSealer>,
    /// The first life of the end log in the file: the tags of rows written since go by it.
    first_life: Incarnation,
}

impl Rows {
    pub(super) const fn new(sealer: Arc<dyn RecordSealer>, first_life: Incarnation) -> Self {
        Self { sealer, first_life }
    }

    /// A record as the disk will have it.
    ///
    /// # Errors
    /// `Failed` when it cannot be written down.
    pub(super) fn row(&self, session: &Session) -> Result<Row, StoreError> {
        let bytes = record::write_session(session, self.sealer.as_ref());
        let bytes = bytes.map_err(|error| StoreError::Failed {
            operation: "seal a session",
            source: error.into(),
        })?;
        let user_tag = self.user_tag(&session.facts.store, &session.facts.subject);
        Ok(Row { bytes, user_tag })
    }

    /// Whose a record may be.
    pub(super) fn user_tag(&self, store: &StoreName, subject: &UserName) -> u64 {
        record::user_tag(self.first_life, store, subject)
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rows")
    }
}

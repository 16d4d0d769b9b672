//! The last accesses of records, read in step with the records themselves.
//!
//! What they count as is `backlog`'s.

use redb::Range;

use crate::model::id::SsoId;
use crate::model::time::Timestamp;

/// The last accesses beside the records, walked together: both are in the order of their ids.
pub(super) struct Accesses<'s> {
    rows: Range<'s, &'static [u8; 16], u64>,
    next: Option<(SsoId, Timestamp)>,
}

impl<'s> Accesses<'s> {
    pub(super) const fn new(rows: Range<'s, &'static [u8; 16], u64>) -> Self {
        Self { rows, next: None }
    }

    pub(super) fn of(&mut self, sso: &SsoId) -> Result<Option<Timestamp>, redb::Error> {
        while self.next.is_none_or(|(next, _)| next < *sso) {
            let Some(row) = self.rows.next() else {
                return Ok(None);
            };
            let (key, access) = row?;
            let next = (
                SsoId::from_bytes(*key.value()),
                Timestamp::from_millis(access.value()),
            );
            self.next = Some(next);
        }
        Ok(self
            .next
            .filter(|(next, _)| next == sso)
            .map(|(_, access)| access))
    }
}

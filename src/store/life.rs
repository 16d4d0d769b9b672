//! The present life of an end log: its name, when it began, how far its memory reaches back (S-15, S-19).

use parking_lot::RwLock;

use crate::model::end::Incarnation;
use crate::model::time::Timestamp;

/// One life of an end log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    /// Its name.
    pub(super) incarnation: Incarnation,
    /// When it began.
    pub(super) began: Timestamp,
    /// Since when no record has been forgotten.
    pub(super) remembers_since: Timestamp,
}

/// The life that a log is in.
#[derive(Debug)]
pub(super) struct PresentLife(RwLock<Life>);

impl PresentLife {
    pub(super) const fn new(life: Life) -> Self {
        Self(RwLock::new(life))
    }

    pub(super) fn get(&self) -> Life {
        *self.0.read()
    }

    /// Begins another life at `now` if the present one is still `over`, telling the journal of it. What the
    /// store was put back from does not hold what came after it was copied, so its memory begins anew.
    pub(super) fn renew(
        &self,
        over: Incarnation,
        next: Incarnation,
        now: Timestamp,
        journal: impl FnOnce(Life),
    ) {
        let mut life = self.0.write();
        if life.incarnation == over {
            *life = Life {
                incarnation: next,
                began: now,
                remembers_since: now,
            };
            journal(*life);
        }
    }
}

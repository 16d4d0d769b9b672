//! How much of what an engine remembers each gate may fill: none may fill the memory that all share, this
//! node's own gate among them (S-24).

use std::collections::BTreeMap;
use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::name::ClusterId;
use crate::model::time::Timestamp;

/// The shares of the gates in one kind of memory; only enrolled ones get here.
#[derive(Debug)]
pub(super) struct Shares {
    kind: &'static str,
    max: usize,
    /// What is forgotten within as many seconds is counted together.
    together: u64,
    gates: Mutex<HashMap<ClusterId, Taken>>,
}

/// How much is remembered, by when it is forgotten.
type Taken = BTreeMap<u64, usize>;

impl Shares {
    /// Of the one-step tokens that are remembered until they expire.
    pub(super) fn of_tokens() -> Self {
        Self::of("one-step tokens", TOKENS_MAX, 1)
    }

    /// Of the ends of sessions that have no record here.
    pub(super) fn of_ends() -> Self {
        Self::of("ends", ENDS_MAX, 3600)
    }

    fn of(kind: &'static str, max: usize, together: u64) -> Self {
        Self {
            kind,
            max,
            together,
            gates: Mutex::default(),
        }
    }

    /// Does what is remembered until `expires`, unless the gate has used up its share; what `take` answers
    /// with false takes none of it.
    pub(super) fn take(
        &self,
        gate: &ClusterId,
        expires: Timestamp,
        now: Timestamp,
        take: impl FnOnce() -> bool,
    ) -> bool {
        let mut gates = self.gates.lock();
        let taken = gates.entry(gate.clone()).or_default();
        *taken = taken.split_off(&(now.as_secs() / self.together));
        let count = taken.values().sum::<usize>();
        let is_taken = count < self.max && take();
        if is_taken {
            *taken.entry(expires.as_secs() / self.together).or_default() += 1;
            if count.saturating_add(1) == self.max {
                let kind = self.kind;
                tracing::warn!(%gate, kind, "a gate has used up its share; it has to wait");
            }
        }
        is_taken
    }
}

/// Most tokens of one gate, an eighth of all that are remembered: 500 sign-ins a second.
pub(super) const TOKENS_MAX: usize = 1 << 15;
/// Most ends of one gate: of sessions of a day, one every second.
pub(super) const ENDS_MAX: usize = 86_400;

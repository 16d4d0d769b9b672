//! How many one-step tokens each gate has spent that are remembered still: none may fill the memory that
//! all share, this node's own gate among them (S-24).

use std::collections::BTreeMap;
use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::name::ClusterId;
use crate::model::time::Timestamp;

/// The shares of the gates; only enrolled ones get here.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<HashMap<ClusterId, Spent>>);

/// Tokens by the second in which they expire.
type Spent = BTreeMap<u64, usize>;

impl Shares {
    /// Spends a token unless the gate has spent its share; one that was spent before takes none of it.
    pub(super) fn spend(
        &self,
        gate: &ClusterId,
        expires: Timestamp,
        now: Timestamp,
        spend: impl FnOnce() -> bool,
    ) -> bool {
        let mut gates = self.0.lock();
        let spent = gates.entry(gate.clone()).or_default();
        *spent = spent.split_off(&now.as_secs());
        let count = spent.values().sum::<usize>();
        let is_spent = count < SHARE_MAX && spend();
        if is_spent {
            *spent.entry(expires.as_secs()).or_default() += 1;
            if count.saturating_add(1) == SHARE_MAX {
                tracing::warn!(%gate, "a gate has spent its share of tokens; it has to wait");
            }
        }
        is_spent
    }
}

/// Most tokens of one gate, an eighth of all that are remembered: 500 sign-ins a second.
pub(super) const SHARE_MAX: usize = 1 << 15;

//! One-step tokens that have been used, until they expire (S-24).
//!
//! An exact table instead of a cache: a cache that forgets under pressure would let a token in twice.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::id::TokenId;
use crate::model::time::Timestamp;

/// The tokens spent so far.
#[derive(Debug, Default)]
pub(super) struct SpentTokens(Mutex<HashMap<TokenId, Timestamp>>);

impl SpentTokens {
    /// Spends a token; `false` when it was spent before, or when the table is full.
    pub(super) fn spend(&self, token: TokenId, expires: Timestamp) -> bool {
        let mut spent = self.0.lock();
        if spent.len() >= SPENT_MAX || spent.contains_key(&token) {
            return false;
        }
        spent.insert(token, expires);
        true
    }

    /// Forgets tokens that have expired.
    pub(super) fn forget_expired(&self, now: Timestamp) {
        self.0.lock().retain(|_, expires| *expires > now);
    }
}

/// Most tokens remembered: what 4,000 sign-ins a second spend in a token's lifetime.
pub(super) const SPENT_MAX: usize = 1 << 18;

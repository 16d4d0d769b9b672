//! The one-step tokens that were used at this gate (S-24).
//!
//! A token lives for a minute at most, so the memory of it does too.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::model::id::TokenId;
use crate::model::time::Timestamp;

/// The tokens that were used.
#[derive(Debug, Default)]
pub(super) struct Spent(Mutex<HashMap<TokenId, Timestamp>>);

impl Spent {
    /// Notes that a token is used; false when it was before.
    pub(super) fn spend(&self, token: TokenId, expires: Timestamp, now: Timestamp) -> bool {
        let mut spent = self.0.lock();
        if spent.len() >= TIDY_AT {
            spent.retain(|_, expires| *expires > now);
        }
        spent.insert(token, expires).is_none()
    }
}

/// Tokens from which on those that are over are forgotten.
const TIDY_AT: usize = 1024;

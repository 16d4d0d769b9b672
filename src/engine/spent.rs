//! One-step tokens that have been used, until they expire (S-24).
//!
//! An exact table instead of a cache: a cache that forgets under pressure would let a token in twice. An
//! engine keeps one for its data centre, and a gate without an engine one of its own.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::time::Duration;

use parking_lot::Mutex;

use crate::model::id::TokenId;
use crate::model::time::Timestamp;

/// The tokens spent so far.
#[derive(Debug, Default)]
pub(crate) struct SpentTokens(Mutex<Spent>);

impl SpentTokens {
    /// Spends a token; `false` when it was spent before, or when the table is full.
    pub(crate) fn spend(&self, token: TokenId, expires: Timestamp, now: Timestamp) -> bool {
        let mut spent = self.0.lock();
        spent.forget_expired(now);
        if spent.tokens.contains(&token) {
            return false;
        }
        if spent.tokens.len() >= SPENT_MAX {
            if spent.is_to_be_told(now) {
                tracing::error!(
                    most = SPENT_MAX,
                    "too many one-step tokens were used within a minute; nobody can go on to an \
                     application until some of them expire"
                );
            }
            return false;
        }
        spent.tokens.insert(token);
        spent.by_expiry.entry(expires).or_default().push(token);
        true
    }

    /// The tokens that are remembered, and until when.
    pub(crate) fn all(&self) -> Vec<(TokenId, Timestamp)> {
        let spent = self.0.lock();
        let by_expiry = spent.by_expiry.iter();
        let each = by_expiry.flat_map(|(expires, tokens)| {
            let tokens = tokens.iter();
            tokens.map(|token| (*token, *expires))
        });
        each.collect()
    }

    /// Forgets tokens that have expired.
    pub(crate) fn forget_expired(&self, now: Timestamp) {
        self.0.lock().forget_expired(now);
    }
}

#[derive(Debug, Default)]
struct Spent {
    tokens: HashSet<TokenId>,
    by_expiry: BTreeMap<Timestamp, Vec<TokenId>>,
    /// When it was last told that there is no room.
    told: Option<Timestamp>,
}

impl Spent {
    /// Costs what it forgets, not what is remembered.
    fn forget_expired(&mut self, now: Timestamp) {
        while let Some(first) = self.by_expiry.first_entry()
            && *first.key() <= now
        {
            for token in first.remove() {
                self.tokens.remove(&token);
            }
        }
    }

    fn is_to_be_told(&mut self, now: Timestamp) -> bool {
        let is_quiet = self.told.is_some_and(|told| now.since(told) < QUIET);
        if !is_quiet {
            self.told = Some(now);
        }
        !is_quiet
    }
}

/// Most tokens remembered: what 4,000 sign-ins a second spend in a token's lifetime.
pub(crate) const SPENT_MAX: usize = 1 << 18;
/// How long it is not told again that there is no room.
const QUIET: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + seconds * 1000)
    }

    fn token(number: u128) -> TokenId {
        TokenId::from_bytes(number.to_be_bytes())
    }

    #[test]
    fn a_token_is_good_once_and_forgotten_when_it_expires_s_24() {
        let spent = SpentTokens::default();
        assert!(spent.spend(token(1), at(60), at(0)));
        assert!(spent.spend(token(2), at(90), at(0)));
        assert!(!spent.spend(token(1), at(60), at(59)));
        assert!(spent.spend(token(1), at(120), at(60)));
        assert!(!spent.spend(token(2), at(90), at(60)));
        assert_eq!(spent.0.lock().tokens.len(), 2);
    }

    #[test]
    fn a_full_table_is_told_of_once_in_a_while_and_lets_nobody_in_s_24() {
        let spent = SpentTokens::default();
        for number in 0..SPENT_MAX as u128 {
            assert!(spent.spend(token(number), at(60), at(0)));
        }
        let next = token(SPENT_MAX as u128);
        assert!(!spent.spend(next, at(60), at(1)));
        assert_eq!(spent.0.lock().told, Some(at(1)));
        assert!(!spent.spend(next, at(60), at(2)));
        assert_eq!(spent.0.lock().told, Some(at(1)), "not again at once");
        assert!(!spent.spend(next, at(60), at(11)));
        assert_eq!(spent.0.lock().told, Some(at(11)));
        assert!(spent.spend(next, at(120), at(60)));
    }
}

//! What a connection remembers of the authn cookie that was opened on it last.
//!
//! A browser sends the same cookies with every request of a connection; decrypting and reading them again
//! says nothing new. Only that is spared: whether the cookie is still good, and whether its session serves,
//! is judged each time.

use parking_lot::Mutex;
use subtle::Choice;
use subtle::ConstantTimeEq;

use crate::crypto::claims::AuthnCookie;
use crate::crypto::key_ring::Edition;
use crate::model::name::HostName;

/// The authn cookie that was opened last, by what it was opened from.
#[derive(Default)]
pub struct OpenedCookie(Mutex<Option<Opened>>);

struct Opened {
    /// As it was sent.
    sealed: Box<[u8]>,
    /// The host it was sent to: at another one the same bytes do not open (M-015).
    host: HostName,
    /// The keys it was opened with: a retired one opens nothing.
    keys: Edition,
    cookie: AuthnCookie,
}

impl OpenedCookie {
    /// The cookie that these bytes open to, if they are those of last time; compared in constant time, for
    /// a connection may carry requests of many users.
    pub(super) fn recall(
        &self,
        sealed: &str,
        host: &HostName,
        keys: Edition,
    ) -> Option<AuthnCookie> {
        let opened = self.0.lock();
        let opened = opened.as_ref()?;
        let is_same = opened.keys == keys
            && opened.host == *host
            && are_same(&opened.sealed, sealed.as_bytes());
        is_same.then(|| opened.cookie.clone())
    }

    /// Remembers a cookie that was opened with keys of at least that edition.
    pub(super) fn keep(&self, sealed: &str, host: &HostName, keys: Edition, cookie: &AuthnCookie) {
        let opened = Opened {
            sealed: sealed.as_bytes().into(),
            host: host.clone(),
            keys,
            cookie: cookie.clone(),
        };
        let before = self.0.lock().replace(opened);
        drop(before);
    }
}

impl std::fmt::Debug for OpenedCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedCookie").finish_non_exhaustive()
    }
}

/// Whether two texts are the same, in a time that depends on their lengths alone. By words: byte by byte
/// it would take longer than opening the cookie.
fn are_same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let (words, rest) = one.as_chunks::<WORD>();
    let (other_words, other_rest) = other.as_chunks::<WORD>();
    let word = |bytes: &[u8; WORD]| u64::from_ne_bytes(*bytes);
    let differs = std::iter::zip(words, other_words).fold(0, |differs, (one, other)| {
        differs | (word(one) ^ word(other))
    });
    let same: Choice = differs.ct_eq(&0) & rest.ct_eq(other_rest);
    same.into()
}

const WORD: usize = size_of::<u64>();

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Wherever two texts differ, it is seen.
        #[test]
        fn texts_are_the_same_if_all_their_bytes_are(
            text in proptest::collection::vec(any::<u8>(), 0..64),
            at in any::<prop::sample::Index>(),
            change in 1_u8..,
        ) {
            prop_assert!(are_same(&text, &text.clone()));
            prop_assert!(!are_same(&text, &[text.as_slice(), &[0]].concat()));
            if !text.is_empty() {
                let mut other = text.clone();
                other[at.index(text.len())] ^= change;
                prop_assert!(!are_same(&text, &other));
            }
        }
    }
}

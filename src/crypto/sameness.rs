//! Whether two texts are the same, told in a time that says nothing of where they differ.

use subtle::Choice;
use subtle::ConstantTimeEq;

/// Whether two texts are the same, in a time that depends on their lengths alone. By words: byte by byte
/// it would take longer than opening a cookie.
#[must_use]
pub fn are_same(one: &[u8], other: &[u8]) -> bool {
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

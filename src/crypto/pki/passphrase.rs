//! The pass phrase of a private CA: what is taken as a new one, and what is tried at all.
//!
//! How a key is made of it is in `bundle`.

use std::collections::BTreeSet;

use crate::model::secret::Secret;

/// Why a text is not taken as a pass phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PassphraseError {
    /// It has no characters.
    #[error("the pass phrase is empty")]
    Empty,
    /// It is a repetition of few characters.
    #[error("the pass phrase has fewer than {DIFFERENT_MIN} different characters")]
    Monotonous,
    /// It is not text, or holds a control character that a terminal may have put there.
    #[error("the pass phrase is not plain text")]
    NotText,
    /// It is longer than [`Passphrase::BYTES_MAX`].
    #[error("the pass phrase is longer than {} bytes", Passphrase::BYTES_MAX)]
    TooLong,
    /// It can be guessed by trying.
    #[error("the pass phrase has fewer than {CHARS_MIN} characters")]
    TooShort,
}

/// A pass phrase. Whoever knows it and has the bundle can enrol nodes of any data centre.
#[derive(Clone, Debug)]
pub struct Passphrase(Secret);

impl Passphrase {
    /// Longest pass phrase, in bytes.
    pub const BYTES_MAX: usize = 1024;

    /// Takes a pass phrase for a new CA. The bundle may be copied about and tried at leisure, so it must
    /// be hard to guess: at least 14 characters, at least 8 of them different.
    ///
    /// # Errors
    /// Says which rule it breaks.
    pub fn choose(text: Secret) -> Result<Self, PassphraseError> {
        let chosen = Self::given(text)?;
        let text = std::str::from_utf8(chosen.0.expose()).map_err(|_| PassphraseError::NotText)?;
        if text.chars().count() < CHARS_MIN {
            return Err(PassphraseError::TooShort);
        }
        if text.chars().collect::<BTreeSet<_>>().len() < DIFFERENT_MIN {
            return Err(PassphraseError::Monotonous);
        }
        Ok(chosen)
    }

    /// Takes a pass phrase to try on a CA that exists. Nothing about its strength is said.
    ///
    /// # Errors
    /// When it cannot be a pass phrase at all.
    pub fn given(text: Secret) -> Result<Self, PassphraseError> {
        match text.expose().len() {
            0 => return Err(PassphraseError::Empty),
            1..=Self::BYTES_MAX => {}
            _ => return Err(PassphraseError::TooLong),
        }
        match std::str::from_utf8(text.expose()) {
            Ok(plain) if !plain.contains(char::is_control) => Ok(Self(text)),
            Ok(_) | Err(_) => Err(PassphraseError::NotText),
        }
    }

    /// The bytes that the key is derived from.
    pub(super) fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

/// Five random words of a list, or two dozen keys of a keyboard, have more.
const CHARS_MIN: usize = 14;
const DIFFERENT_MIN: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn a_new_pass_phrase_must_be_hard_to_guess() {
        for (text, error) in [
            ("", PassphraseError::Empty),
            ("short phrase", PassphraseError::TooShort),
            ("äöüäöüäöüß", PassphraseError::TooShort),
            ("aaaaaaaaaaaaaaaaaaaaaa", PassphraseError::Monotonous),
            ("abcabcabcabcabcabc", PassphraseError::Monotonous),
            ("with a\ttabulator in it", PassphraseError::NotText),
        ] {
            assert_eq!(
                Passphrase::choose(secret(text)).unwrap_err(),
                error,
                "{text}"
            );
        }
        let long = "lang ist die Nacht ".repeat(60);
        let refused = Passphrase::choose(secret(&long));
        assert_eq!(refused.unwrap_err(), PassphraseError::TooLong);
        assert!(Passphrase::choose(secret("five words are quite enough")).is_ok());
    }

    #[test]
    fn a_weak_pass_phrase_may_be_tried_and_is_never_shown() {
        let tried = Passphrase::given(secret("weak")).unwrap();
        assert_eq!(format!("{tried:?}"), "Passphrase(Secret(…))");
        let binary = Passphrase::given(Secret::new(vec![0xff, 0xfe]));
        assert_eq!(binary.unwrap_err(), PassphraseError::NotText);
    }
}

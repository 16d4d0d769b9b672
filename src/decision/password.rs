//! What a new password has to be (NIST SP 800-63B-4 §3.1.1.2): long enough, and not what anybody would try
//! first. Nothing is asked about its characters.
//!
//! Whether an old one is right is the identity provider's to say.

use serde::Deserialize;
use serde::Serialize;

/// What a new password has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    /// Least length, in characters.
    pub length_min: usize,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self { length_min: 15 }
    }
}

/// Why a new password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Weakness {
    /// It says little beside the user's name.
    #[error("it is the user's name, or little more")]
    Name,
    /// It is the one before.
    #[error("it is the one before")]
    Same,
    /// It has too few characters.
    #[error("it has fewer than {0} characters")]
    Short(usize),
    /// It is longer than any that is taken.
    #[error("it is longer than {LONGEST} bytes")]
    TooLong,
    /// It is one character or a short row of them, again and again.
    #[error("it repeats itself")]
    Uniform,
}

/// Judges a new password of a user.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn judge(new: &str, old: &str, user: &str, rules: PasswordRules) -> Result<(), Weakness> {
    if new.len() > LONGEST {
        return Err(Weakness::TooLong);
    }
    if new.chars().count() < rules.length_min {
        return Err(Weakness::Short(rules.length_min));
    }
    if new == old {
        return Err(Weakness::Same);
    }
    let (folded, name) = (new.to_lowercase(), user.trim().to_lowercase());
    let rest = if name.is_empty() {
        folded.chars().count()
    } else {
        folded.replace(&name, "").chars().count()
    };
    if rest < BESIDE_NAME_MIN && folded.contains(&name) {
        return Err(Weakness::Name);
    }
    if repeats(&folded) {
        return Err(Weakness::Uniform);
    }
    Ok(())
}

/// Whether a text has so few different characters, or repeats so short a row of them, that its length says
/// nothing.
fn repeats(text: &str) -> bool {
    let characters: Vec<char> = text.chars().collect();
    let mut different = characters.clone();
    different.sort_unstable();
    different.dedup();
    let is_row = |length: usize| {
        let before = characters.iter();
        before
            .zip(characters.iter().skip(length))
            .all(|(one, other)| one == other)
    };
    different.len() < DIFFERENT_MIN || (1..=ROW_MAX).any(is_row)
}

/// Longest password, in bytes.
pub const LONGEST: usize = 1024;
/// What a password has to say beside the user's name, in characters.
const BESIDE_NAME_MIN: usize = 8;
/// Fewer different characters than this are one typed again and again.
const DIFFERENT_MIN: usize = 5;
/// Longest row whose repetition counts as one row.
const ROW_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn judged(new: &str) -> Result<(), Weakness> {
        judge(new, "what it was before", "Alice", PasswordRules::default())
    }

    #[test]
    fn a_long_phrase_is_taken_whatever_it_is_made_of() {
        for new in [
            "correct horse battery",
            "nineteenlowercases",
            "Ünïcödé päßwörter ok",
            "my name is alice and so what",
            "                 a b c d e f",
        ] {
            assert_eq!(judged(new), Ok(()), "{new:?}");
        }
    }

    #[test]
    fn what_anybody_would_try_first_is_not_taken() {
        for (new, why) in [
            ("short", Weakness::Short(15)),
            ("fourteen chars", Weakness::Short(15)),
            ("ääääääääääääää", Weakness::Short(15)),
            ("what it was before", Weakness::Same),
            ("alicealicealice", Weakness::Name),
            ("ALICE-alice-2026", Weakness::Name),
            ("aaaaaaaaaaaaaaaaaaaa", Weakness::Uniform),
            ("abababababababababab", Weakness::Uniform),
            ("12345123451234512345", Weakness::Uniform),
        ] {
            assert_eq!(judged(new), Err(why), "{new:?}");
        }
        assert_eq!(
            judged(&"correct horse ".repeat(100)),
            Err(Weakness::TooLong)
        );
    }

    #[test]
    fn a_user_without_a_name_is_no_reason_to_refuse() {
        let rules = PasswordRules::default();
        assert_eq!(judge("correct horse battery", "", "", rules), Ok(()));
    }

    proptest! {
        #[test]
        fn a_password_that_is_taken_is_long_enough_and_another(
            new in "\\PC{0,40}", old in "\\PC{0,40}", user in "\\PC{0,20}", least in 8_usize..20,
        ) {
            let rules = PasswordRules { length_min: least };
            if judge(&new, &old, &user, rules).is_ok() {
                prop_assert!(new.chars().count() >= least);
                prop_assert_ne!(&new, &old);
            }
        }
    }
}

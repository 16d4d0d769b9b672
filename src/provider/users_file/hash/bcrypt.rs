//! Hashes of bcrypt, as `htpasswd -B` makes them: read and checked, never made.
//!
//! bcrypt looks at the first 72 bytes of a password, and at none after a zero byte. Here a password beyond
//! that matches nothing, so that nobody gets in with the beginning of one.

use base64::Engine;
use base64::alphabet::BCRYPT;
use base64::engine::GeneralPurpose;
use base64::engine::general_purpose::NO_PAD;
use bcrypt::HashParts;
use subtle::ConstantTimeEq;

use crate::provider::users_file::hash::Outcome;
use crate::provider::users_file::hash::ParseHashError;

/// A stored bcrypt hash whose cost is bearable.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct BcryptHash {
    cost: u32,
    salt: [u8; 16],
    output: [u8; OUTPUT_BYTES],
}

impl BcryptHash {
    /// Whether a text is to be read as a bcrypt hash.
    pub(super) fn is_one(text: &str) -> bool {
        PREFIXES.iter().any(|prefix| text.starts_with(prefix))
    }

    /// Reads a hash.
    pub(super) fn parse(text: &str) -> Result<Self, ParseHashError> {
        let parts: HashParts = text.parse().map_err(|_| ParseHashError::Bcrypt)?;
        let cost = parts.get_cost();
        if !(COST_MIN..=COST_MAX).contains(&cost) {
            return Err(ParseHashError::BcryptCost(cost));
        }
        // The parts give salt and cost only; the output is the tail of the text, which is ASCII by now.
        let tail = text.get(TAIL..).ok_or(ParseHashError::Bcrypt)?;
        let output = GeneralPurpose::new(&BCRYPT, NO_PAD).decode(tail);
        let output = output.ok().and_then(|output| output.try_into().ok());
        Ok(Self {
            cost,
            salt: parts.get_salt_raw(),
            output: output.ok_or(ParseHashError::Bcrypt)?,
        })
    }

    /// Checks a password; always the whole work.
    pub(super) fn verify(&self, password: &[u8]) -> Outcome {
        let is_whole = password.len() <= PASSWORD_BYTES_MAX && !password.contains(&0);
        let mut read = zeroize::Zeroizing::new([0; PASSWORD_BYTES_MAX]);
        for (to, from) in read.iter_mut().zip(password) {
            *to = *from;
        }
        // The zero byte at the end belongs to the password, where there is room for it.
        let length = password.len().saturating_add(1).min(PASSWORD_BYTES_MAX);
        let computed = bcrypt::bcrypt(self.cost, self.salt, read.get(..length).unwrap_or_default());
        let computed = computed.get(..OUTPUT_BYTES).unwrap_or_default();
        let same: bool = computed.ct_eq(&self.output).into();
        if same && is_whole {
            Outcome::Match
        } else {
            Outcome::Mismatch
        }
    }

    /// Two to this power times the work of one round.
    pub(super) const fn cost(&self) -> u32 {
        self.cost
    }

    pub(super) const fn output(&self) -> &[u8] {
        &self.output
    }
}

/// What `htpasswd -B`, PHP and others write; `$2x$` marks hashes of a faulty implementation.
const PREFIXES: &[&str] = &["$2a$", "$2b$", "$2y$"];
/// Longest password that bcrypt looks at as a whole, in bytes.
const PASSWORD_BYTES_MAX: usize = 72;
/// bcrypt computes 24 bytes and writes 23.
const OUTPUT_BYTES: usize = 23;
/// Where the output begins: prefix, cost, salt.
const TAIL: usize = 7 + 22;
const COST_MIN: u32 = 4;
/// A check at this cost takes about a second of a processor.
pub(super) const COST_MAX: u32 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    /// `htpasswd -nbB -C 5 alice sesame`, and the same by other tools.
    const HTPASSWD: &str = "$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe";

    fn hash_of(password: &[u8], cost: u32) -> String {
        bcrypt::hash_with_salt(password, cost, [7; 16])
            .unwrap()
            .format_for_version(bcrypt::Version::TwoY)
    }

    #[test]
    fn a_hash_of_each_prefix_is_checked() {
        for prefix in PREFIXES {
            let text = hash_of(b"sesame", 4).replacen("$2y$", prefix, 1);
            let hash = BcryptHash::parse(&text).unwrap();
            assert_eq!(hash.verify(b"sesame"), Outcome::Match);
            for wrong in [&b"sesam"[..], b"sesame ", b"", b"sesame\0", b"sesame\0x"] {
                assert_eq!(hash.verify(wrong), Outcome::Mismatch, "{wrong:?}");
            }
        }
    }

    #[test]
    fn the_beginning_of_a_long_password_opens_nothing() {
        let password = [b'a'; 100];
        let hash = BcryptHash::parse(&hash_of(&password[..72], 4)).unwrap();
        assert_eq!(hash.verify(&password[..72]), Outcome::Match);
        assert_eq!(hash.verify(&password[..71]), Outcome::Mismatch);
        assert_eq!(hash.verify(&password[..73]), Outcome::Mismatch);
        assert_eq!(hash.verify(&password), Outcome::Mismatch);
    }

    #[test]
    fn hashes_that_cost_too_much_and_faulty_ones_are_refused() {
        let good = hash_of(b"sesame", 4);
        assert!(BcryptHash::parse(&good).is_ok() && BcryptHash::is_one(&good));
        assert!(BcryptHash::is_one(HTPASSWD) && BcryptHash::parse(HTPASSWD).is_ok());
        for cost in ["15", "31", "03", "00"] {
            let text = good.replacen("$04$", &format!("${cost}$"), 1);
            let error = BcryptHash::parse(&text).unwrap_err();
            assert_eq!(error, ParseHashError::BcryptCost(cost.parse().unwrap()));
        }
        for text in [
            "$2y$",
            "$2y$04$short",
            good.get(..59).unwrap(),
            &format!("{good}x"),
            &good.replacen("$04$", "$xx$", 1),
            &good.replacen("$04$", "$é$", 1),
        ] {
            assert_eq!(
                BcryptHash::parse(text),
                Err(ParseHashError::Bcrypt),
                "{text}"
            );
        }
        assert!(!BcryptHash::is_one("$2x$04$") && !BcryptHash::is_one("$2$04$"));
    }

    impl std::fmt::Debug for BcryptHash {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("BcryptHash")
        }
    }
}

//! Hashes of passwords: made with argon2id, read and checked with argon2id and, for files that come from
//! elsewhere, bcrypt.
//!
//! Other schemes are refused by name. Nothing here is asynchronous; a check takes tens of milliseconds
//! and belongs on the threads of `pool`.

use std::fmt;

use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::provider::users_file::hash::bcrypt::BcryptHash;

mod bcrypt;

/// Longest password, in bytes. Longer ones cost the same work and are refused.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Most memory a stored hash may ask for, in KiB: 1 GiB.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// Most passes a stored hash may ask for.
const PASSES_MAX: u32 = 10;
/// Most lanes a stored hash may ask for.
const LANES_MAX: u32 = 16;
/// A shorter output can be hit by guessing.
const OUTPUT_BYTES_MIN: usize = 16;

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It has no characters.
    #[error("the password is empty")]
    Empty,
    /// It is longer than [`PASSWORD_BYTES_MAX`].
    #[error("the password is longer than {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
}

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashPasswordError {
    /// The password is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The hash could not be computed: no memory, or no randomness for the salt.
    #[error("the password could not be hashed")]
    Failed(#[source] argon2::password_hash::Error),
}

/// Why a text is not a usable password hash. The text itself is never part of the message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseHashError {
    /// It begins like a bcrypt hash and is none.
    #[error("it is not a whole bcrypt hash")]
    Bcrypt,
    /// Checking it would take too long, or it can be guessed at too quickly.
    #[error("its bcrypt cost is {0}; 4 to {max} are allowed", max = bcrypt::COST_MAX)]
    BcryptCost(u32),
    /// It is not in PHC string format.
    #[error("it is not a password hash (`portway users passwd` makes one)")]
    Format,
    /// It is in PHC string format, but its parameters are not argon2's.
    #[error("its parameters are not those of argon2id")]
    Parameters,
    /// It lacks the salt or the output.
    #[error("it has no salt or no output")]
    Incomplete,
    /// The scheme is another.
    #[error(
        "the scheme {0} is not supported, only argon2id and bcrypt are (`portway users passwd` or \
         `htpasswd -B` makes one)"
    )]
    Scheme(String),
    /// Checking it would take too much memory, time or lanes.
    #[error(
        "it asks for m={memory_kib},t={passes},p={lanes}; at most \
         m={MEMORY_KIB_MAX},t={PASSES_MAX},p={LANES_MAX} is allowed"
    )]
    TooCostly {
        /// Memory, in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
    /// The output is so short that it can be hit by guessing.
    #[error("its output has fewer than {OUTPUT_BYTES_MIN} bytes")]
    TooShort,
}

/// What checking a password against a hash came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The password is the one that was hashed.
    Match,
    /// It is not.
    Mismatch,
}

/// Checks that a password has a length that is taken at all.
///
/// # Errors
/// When it is empty or too long.
pub const fn check_length(password: &[u8]) -> Result<(), PasswordError> {
    match password.len() {
        0 => Err(PasswordError::Empty),
        1..=PASSWORD_BYTES_MAX => Ok(()),
        _ => Err(PasswordError::TooLong),
    }
}

/// Hashes a password with a fresh salt and the parameters for new hashes: argon2id, 19 MiB, two
/// passes, one lane. Answers the PHC string.
///
/// # Errors
/// When the password is empty or too long, or memory or randomness is lacking.
pub fn hash_password(password: &[u8]) -> Result<String, HashPasswordError> {
    check_length(password)?;
    let hash: phc::PasswordHash = Argon2::default()
        .hash_password(password)
        .map_err(HashPasswordError::Failed)?;
    Ok(hash.to_string())
}

/// A stored hash whose cost has been judged bearable.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Scheme);

#[derive(Clone, PartialEq, Eq)]
enum Scheme {
    Argon2id(Argon2idHash),
    Bcrypt(BcryptHash),
}

#[derive(Clone, PartialEq, Eq)]
struct Argon2idHash {
    version: Version,
    params: Params,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl PasswordHash {
    /// Reads a hash: argon2id in PHC string format, or bcrypt.
    ///
    /// # Errors
    /// When it is of another scheme, is incomplete, or costs more than is allowed.
    pub fn parse(text: &str) -> Result<Self, ParseHashError> {
        if BcryptHash::is_one(text) {
            return BcryptHash::parse(text).map(|hash| Self(Scheme::Bcrypt(hash)));
        }
        Argon2idHash::parse(text).map(|hash| Self(Scheme::Argon2id(hash)))
    }

    /// A hash of nothing in particular with the parameters for new hashes: it costs what a real one
    /// costs.
    #[must_use]
    pub fn stand_in() -> Self {
        Self(Scheme::Argon2id(Argon2idHash {
            version: Version::V0x13,
            params: Params::DEFAULT,
            salt: vec![0; argon2::RECOMMENDED_SALT_LEN],
            output: vec![0; Params::DEFAULT_OUTPUT_LEN],
        }))
    }

    /// Checks a password; always the whole work, whatever its length. Only its first
    /// [`PASSWORD_BYTES_MAX`] bytes are looked at: the caller refuses longer ones.
    ///
    /// # Errors
    /// When the memory for it cannot be had.
    pub fn verify(&self, password: &[u8]) -> Result<Outcome, argon2::Error> {
        match &self.0 {
            Scheme::Argon2id(hash) => hash.verify(password),
            Scheme::Bcrypt(hash) => Ok(hash.verify(password)),
        }
    }

    /// Whether it can be guessed at more quickly than the hashes that are made here.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        match &self.0 {
            Scheme::Argon2id(_) => false,
            Scheme::Bcrypt(hash) => hash.cost() < BCRYPT_COST_ADVISED,
        }
    }

    /// Bytes that only the file's owner knows.
    pub(super) fn digest_input(&self) -> &[u8] {
        match &self.0 {
            Scheme::Argon2id(hash) => &hash.output,
            Scheme::Bcrypt(hash) => hash.output(),
        }
    }
}

impl Argon2idHash {
    fn parse(text: &str) -> Result<Self, ParseHashError> {
        let phc = phc::PasswordHash::new(text).map_err(|_| scheme_or_format(text))?;
        if phc.algorithm != argon2::ARGON2ID_IDENT {
            return Err(ParseHashError::Scheme(phc.algorithm.to_string()));
        }
        let params = Params::try_from(&phc).map_err(|_| ParseHashError::Parameters)?;
        let version = phc.version.map_or(Ok(Version::V0x13), Version::try_from);
        let (Some(salt), Some(output)) = (phc.salt, phc.hash) else {
            return Err(ParseHashError::Incomplete);
        };
        let (memory_kib, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
            return Err(ParseHashError::TooCostly {
                memory_kib,
                passes,
                lanes,
            });
        }
        if output.len() < OUTPUT_BYTES_MIN {
            return Err(ParseHashError::TooShort);
        }
        Ok(Self {
            version: version.map_err(|_| ParseHashError::Parameters)?,
            params,
            salt: salt.to_vec(),
            output: output.as_bytes().to_vec(),
        })
    }

    fn verify(&self, password: &[u8]) -> Result<Outcome, argon2::Error> {
        let password = password.get(..PASSWORD_BYTES_MAX).unwrap_or(password);
        let mut computed = Zeroizing::new(vec![0; self.output.len()]);
        Argon2::new(Algorithm::Argon2id, self.version, self.params.clone()).hash_password_into(
            password,
            &self.salt,
            &mut computed,
        )?;
        let same: bool = computed.as_slice().ct_eq(&self.output).into();
        Ok(if same {
            Outcome::Match
        } else {
            Outcome::Mismatch
        })
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("PasswordHash");
        match &self.0 {
            Scheme::Argon2id(hash) => shown
                .field("memory_kib", &hash.params.m_cost())
                .field("passes", &hash.params.t_cost())
                .field("lanes", &hash.params.p_cost()),
            Scheme::Bcrypt(hash) => shown.field("cost", &hash.cost()),
        };
        shown.finish_non_exhaustive()
    }
}

/// `$apr1$…` and `{SHA}…` are hashes of other kinds; naming the kind helps whoever moves a file over.
fn scheme_or_format(text: &str) -> ParseHashError {
    let name = match text.strip_prefix('$') {
        Some(rest) => rest.split('$').next(),
        None if is_crypt(text) => Some("crypt"),
        None => text
            .strip_prefix('{')
            .and_then(|rest| rest.split_once('}'))
            .map(|(name, _)| name),
    };
    match name {
        Some("1" | "apr1") => ParseHashError::Scheme("MD5".to_owned()),
        Some("5") => ParseHashError::Scheme("SHA-256".to_owned()),
        Some("6") => ParseHashError::Scheme("SHA-512".to_owned()),
        Some("SHA") => ParseHashError::Scheme("SHA-1".to_owned()),
        Some(name) if is_scheme(name) => ParseHashError::Scheme(name.to_owned()),
        Some(_) | None => ParseHashError::Format,
    }
}

/// What `htpasswd -d` writes; a plain password of that form would be refused as well.
fn is_crypt(text: &str) -> bool {
    let is_one = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/');
    text.len() == 13 && text.bytes().all(is_one)
}

fn is_scheme(name: &str) -> bool {
    (1..=16).contains(&name.len())
        && name != "argon2id"
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Below this a bcrypt hash is reported when the file is read.
const BCRYPT_COST_ADVISED: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_hash_verifies_its_password_and_no_other() {
        let text = hash_password(b"correct horse").unwrap();
        assert!(
            text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{text}"
        );
        let hash = PasswordHash::parse(&text).unwrap();
        assert_eq!(hash.verify(b"correct horse").unwrap(), Outcome::Match);
        assert_eq!(hash.verify(b"correct hors").unwrap(), Outcome::Mismatch);
        assert_eq!(hash.verify(b"").unwrap(), Outcome::Mismatch);
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        assert_ne!(
            hash_password(b"same").unwrap(),
            hash_password(b"same").unwrap()
        );
    }

    #[test]
    fn a_password_is_neither_empty_nor_longer_than_its_bound() {
        assert!(matches!(
            hash_password(b""),
            Err(HashPasswordError::Password(PasswordError::Empty))
        ));
        assert!(matches!(
            hash_password(&[b'a'; PASSWORD_BYTES_MAX + 1]),
            Err(HashPasswordError::Password(PasswordError::TooLong))
        ));
        assert!(hash_password(&[b'a'; PASSWORD_BYTES_MAX]).is_ok());
    }

    #[test]
    fn hashes_that_cost_too_much_are_refused() {
        let tail = "$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo";
        for params in ["m=1048577,t=1,p=1", "m=19456,t=11,p=1", "m=19456,t=2,p=17"] {
            let parsed = PasswordHash::parse(&format!("$argon2id$v=19${params}{tail}"));
            assert!(
                matches!(parsed, Err(ParseHashError::TooCostly { .. })),
                "{params}: {parsed:?}"
            );
        }
        assert!(PasswordHash::parse(&format!("$argon2id$v=19$m=1048576,t=10,p=1{tail}")).is_ok());
    }

    #[test]
    fn other_schemes_are_refused_by_name() {
        for (text, scheme) in [
            (
                "$2x$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
                "2x",
            ),
            ("$apr1$salt$hash", "MD5"),
            ("$1$salt$hash", "MD5"),
            ("$6$salt$hash", "SHA-512"),
            ("rqXexS6ZhobKA", "crypt"),
            ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SHA-1"),
            ("{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "SSHA"),
            (
                "$argon2i$v=19$m=16,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaA",
                "argon2i",
            ),
        ] {
            let error = PasswordHash::parse(text).unwrap_err();
            assert_eq!(error, ParseHashError::Scheme(scheme.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_hash_is_refused() {
        for (text, error) in [
            ("", ParseHashError::Format),
            ("secret", ParseHashError::Format),
            ("$argon2id$v=19$m=19456,t=2,p=1", ParseHashError::Incomplete),
            (
                "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0",
                ParseHashError::Incomplete,
            ),
            (
                "$argon2id$v=19$m=19456,t=2,x=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo",
                ParseHashError::Parameters,
            ),
            (
                "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNo",
                ParseHashError::TooShort,
            ),
        ] {
            assert_eq!(PasswordHash::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn debug_shows_neither_salt_nor_output() {
        let shown = format!("{:?}", PasswordHash::stand_in());
        assert!(
            !shown.contains("salt") && !shown.contains("output"),
            "{shown}"
        );
    }
}

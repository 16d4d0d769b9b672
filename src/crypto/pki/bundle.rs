//! The bundle of a private CA: its certificate, and its key under a pass phrase, in one JSON file that
//! can be copied anywhere and is of no use without the pass phrase (MDC-SEC-2).
//!
//! Argon2id makes a key of the pass phrase, AES-256-GCM seals the CA's key with it, and everything else
//! in the file is associated data. What the CA signs is in `authority`.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::KeyInit;
use argon2::Algorithm;
use argon2::Argon2;
use argon2::Params;
use argon2::Version;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;
use rcgen::PublicKeyData;
use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;
use crate::crypto::pki::authority::Authority;
use crate::crypto::pki::passphrase::Passphrase;
use crate::crypto::pki::summary::CertificateSummary;
use crate::crypto::pki::summary::Kind;

/// A bundle as read; its key is still sealed.
#[derive(Clone, Debug)]
pub struct Bundle {
    written: Written,
    summary: CertificateSummary,
}

/// The bytes that must be unpredictable: fresh ones for every sealing.
#[derive(Clone, Copy, Debug)]
pub struct Chance {
    /// Makes two keys of one pass phrase differ.
    pub salt: [u8; SALT_BYTES],
    /// The nonce of the sealing.
    pub nonce: [u8; NONCE_BYTES],
}

/// Why a file is not a bundle.
#[derive(Debug, thiserror::Error)]
pub enum ReadBundleError {
    /// The certificate in it cannot be used.
    #[error("its certificate is not that of a CA")]
    Certificate(#[source] Option<CertificateError>),
    /// Opening it would take too much memory or time.
    #[error("opening it would cost too much")]
    Cost,
    /// A field is not what it should be.
    #[error("its field `{0}` cannot be used")]
    Field(&'static str),
    /// It is not the JSON that it should be.
    #[error("it is not a CA bundle")]
    Json(#[from] serde_json::Error),
    /// A later release wrote it.
    #[error("its version {0} is not one that this program reads")]
    Version(u32),
}

/// Why a key could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealKeyError {
    /// The bundle would not be one.
    #[error("the bundle cannot be read back")]
    Bundle(#[from] ReadBundleError),
    /// The key of the pass phrase could not be computed: memory is lacking.
    #[error("the pass phrase could not be worked on: {0}")]
    Derivation(argon2::Error),
    /// The cipher refused.
    #[error("the key could not be sealed")]
    Seal,
}

/// Why a key does not open.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// The key of the pass phrase could not be computed: memory is lacking.
    #[error("the pass phrase could not be worked on: {0}")]
    Derivation(argon2::Error),
    /// The pass phrase is another, or the bundle has been changed. There is deliberately no telling
    /// which.
    #[error("the pass phrase does not open this CA")]
    Refused,
}

impl Bundle {
    /// Longest bundle that is worth reading, in bytes.
    pub const BYTES_MAX: usize = 64 * 1024;

    /// Reads a bundle.
    ///
    /// # Errors
    /// See [`ReadBundleError`].
    pub fn parse(text: &[u8]) -> Result<Self, ReadBundleError> {
        let head: Head = serde_json::from_slice(text)?;
        if head.format != FORMAT {
            return Err(ReadBundleError::Field("format"));
        }
        if head.version != VERSION {
            return Err(ReadBundleError::Version(head.version));
        }
        Self::of(serde_json::from_slice(text)?)
    }

    /// Writes the bundle.
    ///
    /// # Errors
    /// Never in practice: it is plain JSON.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut text = serde_json::to_vec_pretty(&self.written)?;
        text.push(b'\n');
        Ok(text)
    }

    /// The CA's certificate, as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.written.certificate
    }

    /// What the CA's certificate says.
    #[must_use]
    pub const fn summary(&self) -> &CertificateSummary {
        &self.summary
    }

    /// Seals the key of a CA.
    pub(super) fn seal(
        certificate_pem: String,
        key: &KeyPair,
        passphrase: &Passphrase,
        chance: Chance,
    ) -> Result<Self, SealKeyError> {
        let mut written = Written {
            format: FORMAT.to_owned(),
            version: VERSION,
            certificate: certificate_pem,
            derivation: Derivation {
                algorithm: ALGORITHM.to_owned(),
                memory_kib: MEMORY_KIB,
                passes: PASSES,
                lanes: LANES,
                salt: STANDARD.encode(chance.salt),
            },
            cipher: CIPHER.to_owned(),
            nonce: STANDARD.encode(chance.nonce),
            key: String::new(),
        };
        let cipher = written.cipher(passphrase, chance.salt);
        let cipher = cipher.map_err(SealKeyError::Derivation)?;
        let mut body = Zeroizing::new(key.serialize_der());
        cipher
            .encrypt_in_place(&chance.nonce.into(), &written.associated(), &mut *body)
            .map_err(|_| SealKeyError::Seal)?;
        written.key = STANDARD.encode(body.as_slice());
        Ok(Self::of(written)?)
    }

    /// Opens the CA's key. It takes about as long whether or not the pass phrase is right.
    ///
    /// # Errors
    /// See [`UnlockError`].
    pub fn unlock(&self, passphrase: &Passphrase) -> Result<Authority, UnlockError> {
        let written = &self.written;
        let (salt, nonce) = written.chance().ok_or(UnlockError::Refused)?;
        let cipher = written.cipher(passphrase, salt);
        let cipher = cipher.map_err(UnlockError::Derivation)?;
        let sealed = STANDARD.decode(&written.key);
        let mut body = Zeroizing::new(sealed.map_err(|_| UnlockError::Refused)?);
        cipher
            .decrypt_in_place(&nonce.into(), &written.associated(), &mut *body)
            .map_err(|_| UnlockError::Refused)?;
        let key = KeyPair::try_from(body.as_slice()).map_err(|_| UnlockError::Refused)?;
        // What is sealed was made by whoever knew the pass phrase; a slip there must not sign anything.
        if key.subject_public_key_info() != self.summary.public_key {
            return Err(UnlockError::Refused);
        }
        Ok(Authority::new(
            written.certificate.clone(),
            &self.summary,
            key,
        ))
    }

    fn of(written: Written) -> Result<Self, ReadBundleError> {
        let Derivation {
            memory_kib,
            passes,
            lanes,
            ..
        } = written.derivation;
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
            return Err(ReadBundleError::Cost);
        }
        if Params::new(memory_kib, passes, lanes, Some(KEY_BYTES)).is_err()
            || written.derivation.algorithm != ALGORITHM
        {
            return Err(ReadBundleError::Field("derivation"));
        }
        if written.cipher != CIPHER || written.chance().is_none() {
            return Err(ReadBundleError::Field("cipher"));
        }
        let chain = certificates::chain(written.certificate.as_bytes());
        let chain = chain.map_err(|error| ReadBundleError::Certificate(Some(error)))?;
        let [certificate] = chain.as_slice() else {
            return Err(ReadBundleError::Certificate(None));
        };
        let summary = CertificateSummary::of(certificate)
            .map_err(|error| ReadBundleError::Certificate(Some(error)))?;
        if summary.kind != Kind::Authority {
            return Err(ReadBundleError::Certificate(None));
        }
        Ok(Self { written, summary })
    }
}

/// What every version of the file says.
#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

/// The file as written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: String,
    version: u32,
    /// PEM.
    certificate: String,
    derivation: Derivation,
    cipher: String,
    /// Base64 of 12 bytes.
    nonce: String,
    /// Base64 of the sealed key (PKCS #8) with its tag.
    key: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Derivation {
    algorithm: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    /// Base64 of 16 bytes.
    salt: String,
}

impl Written {
    fn chance(&self) -> Option<([u8; SALT_BYTES], [u8; NONCE_BYTES])> {
        let salt = STANDARD.decode(&self.derivation.salt).ok()?;
        let nonce = STANDARD.decode(&self.nonce).ok()?;
        Some((salt.try_into().ok()?, nonce.try_into().ok()?))
    }

    fn cipher(
        &self,
        passphrase: &Passphrase,
        salt: [u8; SALT_BYTES],
    ) -> Result<Aes256Gcm, argon2::Error> {
        let Derivation {
            memory_kib,
            passes,
            lanes,
            ..
        } = self.derivation;
        let params = Params::new(memory_kib, passes, lanes, Some(KEY_BYTES))?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
            passphrase.expose(),
            &salt,
            key.as_mut_slice(),
        )?;
        Ok(Aes256Gcm::new(&(*key).into()))
    }

    /// Everything but the key itself, each field with its length: nothing of a bundle can be exchanged.
    fn associated(&self) -> Vec<u8> {
        let cost = &self.derivation;
        let mut data = Vec::new();
        for number in [self.version, cost.memory_kib, cost.passes, cost.lanes] {
            data.extend_from_slice(&number.to_be_bytes());
        }
        for text in [
            &self.format,
            &self.certificate,
            &cost.algorithm,
            &cost.salt,
            &self.cipher,
            &self.nonce,
        ] {
            let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
            data.extend_from_slice(&length.to_be_bytes());
            data.extend_from_slice(text.as_bytes());
        }
        data
    }
}

const FORMAT: &str = "portway-ca";
const VERSION: u32 = 1;
const ALGORITHM: &str = "argon2id";
const CIPHER: &str = "aes-256-gcm";
const KEY_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 12;
/// The second recommended choice of RFC 9106 §4.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// A bundle comes from elsewhere: what it may ask of this machine has an end.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

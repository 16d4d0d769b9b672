//! Tokens that others signed (RFC 7515): taken apart, and verified by keys that their issuer publishes.
//!
//! Only signatures by public keys count: a token that names `none` or a shared secret is refused before
//! any key is looked at (RFC 8725 §3.1). What a token says about keys of its own (`jku`, `jwk`, `x5u`,
//! `x5c`) is not read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

pub mod keys;

use crate::crypto::jose::keys::KeySet;

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
}

impl Algorithm {
    const NAMES: [(&'static str, Self); 9] = [
        ("EdDSA", Self::EdDsa),
        ("ES256", Self::Es256),
        ("ES384", Self::Es384),
        ("PS256", Self::Ps256),
        ("PS384", Self::Ps384),
        ("PS512", Self::Ps512),
        ("RS256", Self::Rs256),
        ("RS384", Self::Rs384),
        ("RS512", Self::Rs512),
    ];

    /// The algorithm of a registered name, if it is one that counts.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let mut names = Self::NAMES.iter();
        let found = names.find(|(known, _)| *known == name);
        found.map(|(_, algorithm)| *algorithm)
    }
}

/// Why a token was not verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// It is signed in a way that does not count, or not at all.
    #[error("the token is signed in a way that is not accepted")]
    Algorithm,
    /// It asks for an extension that must be understood (RFC 7515 §4.1.11).
    #[error("the token has a critical header that is not understood")]
    Critical,
    /// It is no signed token in compact form.
    #[error("the token cannot be read")]
    Malformed,
    /// The signature is none by the keys of its issuer.
    #[error("the signature of the token is wrong")]
    Signature,
    /// Its issuer has no such key, so far as is known.
    #[error("the token is signed with a key that is not known")]
    UnknownKey,
}

/// A signed token in compact form that has not been verified: nothing in it is to be believed.
#[derive(Debug)]
pub struct SignedToken<'t> {
    algorithm: Algorithm,
    key: Option<String>,
    kind: Option<String>,
    signed: &'t str,
    payload: &'t str,
    signature: Vec<u8>,
}

/// What a verified token says, and how it is typed.
#[derive(Debug)]
pub struct Payload {
    /// The `typ` of its header.
    pub kind: Option<String>,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    crit: Option<serde::de::IgnoredAny>,
}

impl<'t> SignedToken<'t> {
    /// Longest token, in bytes.
    pub const BYTES_MAX: usize = 64 * 1024;

    /// Takes a token apart.
    ///
    /// # Errors
    /// When it is none, or is signed in a way that does not count.
    pub fn read(text: &'t str) -> Result<Self, Unverified> {
        if text.len() > Self::BYTES_MAX {
            return Err(Unverified::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(Unverified::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Unverified::Malformed)?;
        // Base64 has no dot, so one with more or fewer parts does not decode.
        let header: Header = serde_json::from_slice(&decoded(header)?).map_err(malformed)?;
        if header.crit.is_some() {
            return Err(Unverified::Critical);
        }
        Ok(Self {
            algorithm: Algorithm::of(&header.alg).ok_or(Unverified::Algorithm)?,
            key: header.kid,
            kind: header.typ,
            signed,
            payload,
            signature: decoded(signature)?,
        })
    }

    /// Verifies the signature, and answers what was signed.
    ///
    /// # Errors
    /// When none of the keys that it may be signed with made the signature.
    pub fn verify(self, keys: &KeySet) -> Result<Payload, Unverified> {
        let mut fitting = keys.fitting(self.algorithm, self.key.as_deref()).peekable();
        if fitting.peek().is_none() {
            return Err(Unverified::UnknownKey);
        }
        let signed = self.signed.as_bytes();
        if !fitting.any(|key| key.made(self.algorithm, signed, &self.signature)) {
            return Err(Unverified::Signature);
        }
        Ok(Payload {
            kind: self.kind,
            bytes: decoded(self.payload)?,
        })
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, Unverified> {
    URL_SAFE_NO_PAD.decode(text).map_err(malformed)
}

fn malformed<E>(_: E) -> Unverified {
    Unverified::Malformed
}

#[cfg(test)]
mod tests;

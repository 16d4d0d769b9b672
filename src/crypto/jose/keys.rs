//! The keys that an issuer publishes (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature;
use ring::signature::RsaParameters;
use ring::signature::RsaPublicKeyComponents;
use ring::signature::UnparsedPublicKey;
use serde::Deserialize;
use serde_json::Value;

use crate::crypto::jose::Algorithm;

/// The public keys of an issuer that tokens may be verified with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeySet(Vec<PublicKey>);

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    id: Option<String>,
    /// The one algorithm that it is for, where its issuer says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Ed25519(Vec<u8>),
    /// The uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Rsa {
        modulus: Vec<u8>,
        exponent: Vec<u8>,
    },
}

/// The text is no key set (RFC 7517 §5).
#[derive(Debug, thiserror::Error)]
#[error("it is no set of keys")]
pub struct NotAKeySet(#[source] serde_json::Error);

#[derive(Deserialize)]
struct Written {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct WrittenKey {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    key_ops: Option<Vec<String>>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl KeySet {
    /// Most keys that are kept of a set.
    pub const KEYS_MAX: usize = 64;

    /// Reads a published set. Keys that are not for signatures, or of a kind that is not known, are left
    /// out, as RFC 7517 §5 has it.
    ///
    /// # Errors
    /// When it is none at all.
    pub fn read(json: &[u8]) -> Result<Self, NotAKeySet> {
        let written: Written = serde_json::from_slice(json).map_err(NotAKeySet)?;
        let keys = written.keys.into_iter().filter_map(PublicKey::of);
        Ok(Self(keys.take(Self::KEYS_MAX).collect()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that a token of this algorithm may be signed with; those of its name where it names one. An
    /// issuer that gives two keys one name is believed with either.
    pub(super) fn fitting<'k>(
        &'k self,
        algorithm: Algorithm,
        named: Option<&'k str>,
    ) -> impl Iterator<Item = &'k PublicKey> {
        self.0.iter().filter(move |key| {
            let is_named = named.is_none_or(|name| key.id.as_deref() == Some(name));
            is_named && key.fits(algorithm)
        })
    }
}

impl PublicKey {
    fn of(written: Value) -> Option<Self> {
        let key: WrittenKey = serde_json::from_value(written).ok()?;
        if key
            .purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "sig")
        {
            return None;
        }
        let verifies = |ops: &Vec<String>| ops.iter().any(|op| op == "verify");
        if key.key_ops.as_ref().is_some_and(|ops| !verifies(ops)) {
            return None;
        }
        let algorithm = match key.alg.as_deref() {
            Some(name) => Some(Algorithm::of(name)?),
            None => None,
        };
        let material = match (key.kty.as_str(), key.crv.as_deref()) {
            ("EC", Some("P-256")) => Material::P256(point(&key.x?, &key.y?, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(&key.x?, &key.y?, 48)?),
            ("OKP", Some("Ed25519")) => Material::Ed25519(bytes(&key.x?)?),
            ("RSA", _) => Material::Rsa {
                modulus: bytes(&key.n?)?,
                exponent: bytes(&key.e?)?,
            },
            _ => return None,
        };
        Some(Self {
            id: key.kid,
            algorithm,
            material,
        })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let is_of_kind = match self.material {
            Material::Ed25519(_) => algorithm == Algorithm::EdDsa,
            Material::P256(_) => algorithm == Algorithm::Es256,
            Material::P384(_) => algorithm == Algorithm::Es384,
            Material::Rsa { .. } => rsa(algorithm).is_some(),
        };
        is_of_kind && self.algorithm.is_none_or(|only| only == algorithm)
    }

    /// Whether this key made the signature. An RSA key of less than 2048 bits makes none that counts.
    pub(super) fn made(&self, algorithm: Algorithm, signed: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Ed25519(key) => {
                let key = UnparsedPublicKey::new(&signature::ED25519, key);
                key.verify(signed, signature).is_ok()
            }
            Material::P256(key) => {
                let key = UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, key);
                key.verify(signed, signature).is_ok()
            }
            Material::P384(key) => {
                let key = UnparsedPublicKey::new(&signature::ECDSA_P384_SHA384_FIXED, key);
                key.verify(signed, signature).is_ok()
            }
            Material::Rsa { modulus, exponent } => {
                let key = RsaPublicKeyComponents {
                    n: modulus,
                    e: exponent,
                };
                rsa(algorithm).is_some_and(|by| key.verify(by, signed, signature).is_ok())
            }
        }
    }
}

const fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Ps256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &signature::RSA_PSS_2048_8192_SHA512,
        Algorithm::Rs256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::EdDsa | Algorithm::Es256 | Algorithm::Es384 => return None,
    })
}

/// An uncompressed point (SEC 1 §2.3.3).
fn point(x: &str, y: &str, length: usize) -> Option<Vec<u8>> {
    let (x, y) = (bytes(x)?, bytes(y)?);
    let fits = x.len() == length && y.len() == length;
    fits.then(|| [&[4], x.as_slice(), y.as_slice()].concat())
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

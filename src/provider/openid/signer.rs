//! Signs tokens of our own with a private key (RFC 7515): what proves to a provider which client asks.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature;
use ring::signature::EcdsaKeyPair;
use ring::signature::Ed25519KeyPair;
use ring::signature::RsaKeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use serde_json::json;

use crate::model::secret::Secret;

/// A private key that signs tokens.
pub struct Signer {
    key: Key,
    id: Option<String>,
}

enum Key {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

/// The text is no private key that signs tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is no private key in PKCS#8 form, of RSA (2048 bits or more), of P-256, P-384 or Ed25519"
)]
pub struct NotASigner;

/// A token could not be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a token could not be signed")]
pub struct Unsigned;

impl Signer {
    /// Takes a key in PEM form, and the name by which whoever verifies knows it.
    ///
    /// # Errors
    /// When it is none that signs tokens.
    pub fn read(pem: &Secret, id: Option<String>) -> Result<Self, NotASigner> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.expose()).map_err(|_| NotASigner)?;
        let der = der.secret_pkcs8_der();
        let random = SystemRandom::new();
        let ecdsa = |kind| EcdsaKeyPair::from_pkcs8(kind, der, &random).ok();
        let key = ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)
            .map(Key::P256)
            .or_else(|| ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING).map(Key::P384))
            .or_else(|| {
                let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der);
                pair.ok().map(Key::Ed25519)
            })
            .or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Key::Rsa));
        Ok(Self {
            key: key.ok_or(NotASigner)?,
            id,
        })
    }

    /// A signed token in compact form.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn sign(&self, claims: &Value) -> Result<String, Unsigned> {
        let mut header = json!({ "alg": self.algorithm(), "typ": "JWT" });
        if let (Some(id), Some(header)) = (&self.id, header.as_object_mut()) {
            header.insert("kid".to_owned(), Value::from(id.as_str()));
        }
        let [header, claims] =
            [header.to_string(), claims.to_string()].map(|text| URL_SAFE_NO_PAD.encode(text));
        let signed = format!("{header}.{claims}");
        let signature = self.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    const fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Ed25519(_) => "EdDSA",
            Key::P256(_) => "ES256",
            Key::P384(_) => "ES384",
            Key::Rsa(_) => "RS256",
        }
    }

    fn signature(&self, signed: &[u8]) -> Result<Vec<u8>, Unsigned> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Ed25519(key) => Ok(key.sign(signed).as_ref().to_vec()),
            Key::P256(key) | Key::P384(key) => {
                let signature = key.sign(&random, signed).map_err(|_| Unsigned)?;
                Ok(signature.as_ref().to_vec())
            }
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &random,
                    signed,
                    &mut signature,
                )
                .map_err(|_| Unsigned)?;
                Ok(signature)
            }
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

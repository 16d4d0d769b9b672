//! The key ring: many keys that open, one that seals, each expanded once per purpose.
//!
//! The ring's file is read and written by `app`; here is its format and what the keys do. How a message
//! is laid out is `sealed`'s matter.

use std::collections::BTreeMap;
use std::fmt;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::KeyInit;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use serde::Deserialize;
use serde::Serialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::model::id::KeyId;
use crate::model::time::Timestamp;

/// What a sealed message is for; each purpose has its own sub-key, so that a message of one kind is
/// never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// The authn cookie of an application host.
    AuthnCookie = 1,
    /// The hidden field that ties a posted form to the browser it was shown in.
    Form = 2,
    /// The ID cookie of the collector.
    IdCookie = 3,
    /// A session record at rest.
    Record = 4,
    /// The request for a sign-in that an application host sends to the collector.
    SignInRequest = 5,
    /// The state of a sign-out that goes from host to host.
    SignOut = 6,
    /// The one-step token that the collector sends back (S-24).
    Token = 7,
    /// The GITO cookie of a domain (MDC-COOKIE-4).
    Gito = 8,
}

impl Purpose {
    const ALL: [Self; 8] = [
        Self::AuthnCookie,
        Self::Form,
        Self::Gito,
        Self::IdCookie,
        Self::Record,
        Self::SignInRequest,
        Self::SignOut,
        Self::Token,
    ];

    const fn label(self) -> &'static [u8] {
        match self {
            Self::AuthnCookie => b"portway/1/authn-cookie",
            Self::Form => b"portway/1/form",
            Self::Gito => b"portway/1/gito-cookie",
            Self::IdCookie => b"portway/1/id-cookie",
            Self::Record => b"portway/1/record",
            Self::SignInRequest => b"portway/1/sign-in-request",
            Self::SignOut => b"portway/1/sign-out",
            Self::Token => b"portway/1/token",
        }
    }
}

/// One key of a key-ring file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    id: KeyId,
    created: Timestamp,
    /// Base64 of 32 bytes.
    secret: Zeroizing<String>,
}

/// A key-ring file as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRing {
    version: u32,
    seal_with: KeyId,
    keys: Vec<WrittenKey>,
}

/// Why a key-ring file is not one.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// It is not the JSON that it should be.
    #[error("it is not a key ring")]
    Json(#[from] serde_json::Error),
    /// A key is not 32 bytes of base64.
    #[error("key {} is not 32 bytes in base64", .0.0)]
    Key(KeyId),
    /// The sealing key is not among the keys.
    #[error("the sealing key {} is not in the ring", .0.0)]
    Sealer(KeyId),
    /// Two keys have the same id.
    #[error("key {} is there twice", .0.0)]
    Twice(KeyId),
    /// It was written by a newer Portway.
    #[error("its version {0} is newer than this program")]
    Version(u32),
}

/// The keys of a deployment, expanded and ready.
pub struct KeyRing {
    keys: BTreeMap<KeyId, Expanded>,
    sealer: KeyId,
    sealing: Expanded,
}

/// A key with one expanded cipher per purpose.
#[derive(Clone)]
struct Expanded([Aes256Gcm; Purpose::ALL.len()]);

impl KeyRing {
    /// Reads a key-ring file.
    ///
    /// # Errors
    /// See [`KeyRingError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyRingError> {
        let written: WrittenRing = serde_json::from_slice(text)?;
        if written.version != FORMAT_VERSION {
            return Err(KeyRingError::Version(written.version));
        }
        let mut keys = BTreeMap::new();
        for key in &written.keys {
            let expanded = decode(&key.secret).ok_or(KeyRingError::Key(key.id))?;
            if keys.insert(key.id, Expanded::new(&expanded)).is_some() {
                return Err(KeyRingError::Twice(key.id));
            }
        }
        let sealing = keys.get(&written.seal_with).cloned();
        let sealing = sealing.ok_or(KeyRingError::Sealer(written.seal_with))?;
        Ok(Self {
            keys,
            sealer: written.seal_with,
            sealing,
        })
    }

    /// The keys that open, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<KeyId> {
        self.keys.keys().copied().collect()
    }

    /// Writes the file of a new ring with one key.
    ///
    /// # Errors
    /// Never in practice: the ring is plain JSON.
    pub fn first_file(
        secret: &Zeroizing<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Zeroizing<Vec<u8>>, KeyRingError> {
        let key = WrittenKey {
            id: KeyId(1),
            created: now,
            secret: Zeroizing::new(STANDARD.encode(secret.as_slice())),
        };
        let ring = WrittenRing {
            version: FORMAT_VERSION,
            seal_with: key.id,
            keys: vec![key],
        };
        Ok(Zeroizing::new(serde_json::to_vec_pretty(&ring)?))
    }

    /// The key that seals, and its id.
    pub(super) fn sealer(&self, purpose: Purpose) -> (KeyId, &Aes256Gcm) {
        (self.sealer, self.sealing.cipher(purpose))
    }

    /// The key of that id, if the ring has it.
    pub(super) fn opener(&self, key: KeyId, purpose: Purpose) -> Option<&Aes256Gcm> {
        self.keys.get(&key).map(|expanded| expanded.cipher(purpose))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.keys.keys().collect();
        f.debug_struct("KeyRing")
            .field("keys", &ids)
            .field("sealer", &self.sealer)
            .finish()
    }
}

impl Expanded {
    fn new(secret: &Zeroizing<[u8; 32]>) -> Self {
        let hkdf = Hkdf::<Sha256>::new(None, secret.as_slice());
        Self(Purpose::ALL.map(|purpose| {
            let mut sub_key = Zeroizing::new([0; 32]);
            // A sub-key of 32 bytes is always within what HKDF can give (RFC 5869 §2.3).
            let derived = hkdf.expand(purpose.label(), sub_key.as_mut_slice());
            debug_assert!(derived.is_ok(), "32 bytes are within HKDF's limit");
            Aes256Gcm::new(&(*sub_key).into())
        }))
    }

    const fn cipher(&self, purpose: Purpose) -> &Aes256Gcm {
        let [authn, form, gito, id, record, request, sign_out, token] = &self.0;
        match purpose {
            Purpose::AuthnCookie => authn,
            Purpose::Form => form,
            Purpose::Gito => gito,
            Purpose::IdCookie => id,
            Purpose::Record => record,
            Purpose::SignInRequest => request,
            Purpose::SignOut => sign_out,
            Purpose::Token => token,
        }
    }
}

fn decode(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    <[u8; 32]>::try_from(bytes.as_slice())
        .ok()
        .map(Zeroizing::new)
}

const FORMAT_VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_names_a_missing_sealer_is_refused() {
        let file = KeyRing::first_file(&Zeroizing::new([7; 32]), Timestamp::default()).unwrap();
        let text = String::from_utf8(file.to_vec()).unwrap();
        assert!(KeyRing::parse(text.as_bytes()).is_ok());
        let foreign = text.replace("\"seal_with\": 1", "\"seal_with\": 2");
        assert!(matches!(
            KeyRing::parse(foreign.as_bytes()),
            Err(KeyRingError::Sealer(KeyId(2)))
        ));
    }

    #[test]
    fn a_newer_or_broken_ring_is_refused() {
        let file = KeyRing::first_file(&Zeroizing::new([7; 32]), Timestamp::default()).unwrap();
        let text = String::from_utf8(file.to_vec()).unwrap();
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(
            KeyRing::parse(newer.as_bytes()),
            Err(KeyRingError::Version(2))
        ));
        assert!(matches!(KeyRing::parse(b"{}"), Err(KeyRingError::Json(_))));
        let short = text.replace("\"secret\": \"", "\"secret\": \"AAAA");
        assert!(matches!(
            KeyRing::parse(short.as_bytes()),
            Err(KeyRingError::Key(KeyId(1)))
        ));
    }

    #[test]
    fn a_ring_shows_no_key() {
        let file = KeyRing::first_file(&Zeroizing::new([7; 32]), Timestamp::default()).unwrap();
        let shown = format!("{:?}", KeyRing::parse(&file).unwrap());
        assert_eq!(shown, "KeyRing { keys: [KeyId(1)], sealer: KeyId(1) }");
    }
}

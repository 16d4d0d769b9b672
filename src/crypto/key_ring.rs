//! The key ring: many keys that open, one that seals, each expanded once per purpose.
//!
//! The ring's file is read and written by `app`; here is its format and what the keys do. How a message
//! is laid out is `sealed`'s matter.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::KeyInit;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use serde::Deserialize;
use serde::Serialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::crypto::rejected::Rejected;
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
    /// The device cookie of the collector.
    Device = 9,
    /// The way to a post that is kept while its user signs in (D-22).
    Replay = 10,
    /// The lines of the audit trail.
    Audit = 11,
}

impl Purpose {
    const ALL: [Self; 11] = [
        Self::Audit,
        Self::AuthnCookie,
        Self::Device,
        Self::Form,
        Self::Gito,
        Self::IdCookie,
        Self::Record,
        Self::Replay,
        Self::SignInRequest,
        Self::SignOut,
        Self::Token,
    ];

    const fn label(self) -> &'static [u8] {
        match self {
            Self::Audit => b"portway/1/audit",
            Self::AuthnCookie => b"portway/1/authn-cookie",
            Self::Device => b"portway/1/device-cookie",
            Self::Form => b"portway/1/form",
            Self::Gito => b"portway/1/gito-cookie",
            Self::IdCookie => b"portway/1/id-cookie",
            Self::Record => b"portway/1/record",
            Self::Replay => b"portway/1/replay",
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
    /// The newest first.
    by_age: Vec<KeyId>,
    /// The one that the file names to seal with.
    named: KeyId,
    named_key: Expanded,
    /// The one that seals now.
    sealer: AtomicU32,
    /// Cookies that were not believed.
    rejected: Rejected,
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
        let named_key = keys.get(&written.seal_with).cloned();
        let named_key = named_key.ok_or(KeyRingError::Sealer(written.seal_with))?;
        let mut by_age: Vec<_> = written
            .keys
            .iter()
            .map(|key| (key.created, key.id))
            .collect();
        by_age.sort_by(|one, other| other.cmp(one));
        Ok(Self {
            keys,
            by_age: by_age.into_iter().map(|(_, id)| id).collect(),
            named: written.seal_with,
            named_key,
            sealer: AtomicU32::new(written.seal_with.0),
            rejected: Rejected::default(),
        })
    }

    /// Seals from now on with a key that others have, too: the one that the file names if they have it,
    /// else the newest. Where they have none in common the named one goes on (S-23).
    pub fn seal_for(&self, common: &[KeyId]) {
        let preferred = [self.named].into_iter().chain(self.by_age.iter().copied());
        let shared = preferred.into_iter().find(|key| common.contains(key));
        let KeyId(sealer) = shared.unwrap_or(self.named);
        self.sealer.store(sealer, Ordering::Relaxed);
    }

    /// The keys that open, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<KeyId> {
        self.keys.keys().copied().collect()
    }

    /// Writes the file of a new ring with one key, whose id comes of its secret: data centres that made a
    /// ring each see by the ids that they have not got the same.
    ///
    /// # Errors
    /// Never in practice: the ring is plain JSON.
    pub fn first_file(
        secret: &Zeroizing<[u8; 32]>,
        now: Timestamp,
    ) -> Result<Zeroizing<Vec<u8>>, KeyRingError> {
        let key = WrittenKey {
            id: first_id(secret),
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

    /// Counts a cookie that is not believed (MDC-COOKIE-6).
    pub fn reject(&self, purpose: Purpose) {
        self.rejected.note(purpose);
    }

    /// Cookies that were not believed so far, by kind.
    #[must_use]
    pub fn rejected(&self) -> [(&'static str, u64); 3] {
        self.rejected.counts()
    }

    /// The key that seals, and its id.
    pub(super) fn sealer(&self, purpose: Purpose) -> (KeyId, &Aes256Gcm) {
        let sealer = KeyId(self.sealer.load(Ordering::Relaxed));
        match self.keys.get(&sealer) {
            Some(key) => (sealer, key.cipher(purpose)),
            None => (self.named, self.named_key.cipher(purpose)),
        }
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
            .field("sealer", &KeyId(self.sealer.load(Ordering::Relaxed)))
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
        let [
            audit,
            authn,
            device,
            form,
            gito,
            id,
            record,
            replay,
            request,
            sign_out,
            token,
        ] = &self.0;
        match purpose {
            Purpose::Audit => audit,
            Purpose::AuthnCookie => authn,
            Purpose::Device => device,
            Purpose::Form => form,
            Purpose::Gito => gito,
            Purpose::IdCookie => id,
            Purpose::Record => record,
            Purpose::Replay => replay,
            Purpose::SignInRequest => request,
            Purpose::SignOut => sign_out,
            Purpose::Token => token,
        }
    }
}

/// Says nothing about the secret but whether it may be the same.
fn first_id(secret: &Zeroizing<[u8; 32]>) -> KeyId {
    let hkdf = Hkdf::<Sha256>::new(None, secret.as_slice());
    let mut id = [0; 4];
    let derived = hkdf.expand(b"portway/1/key-id", &mut id);
    debug_assert!(derived.is_ok(), "4 bytes are within HKDF's limit");
    KeyId(u32::from_be_bytes(id))
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
        let text = first(7);
        assert!(KeyRing::parse(text.as_bytes()).is_ok());
        let own = first_id(&Zeroizing::new([7; 32])).0;
        let foreign = text.replace(&format!("\"seal_with\": {own}"), "\"seal_with\": 2");
        assert!(matches!(
            KeyRing::parse(foreign.as_bytes()),
            Err(KeyRingError::Sealer(KeyId(2)))
        ));
    }

    #[test]
    fn the_key_that_seals_is_one_that_all_can_open_s_23() {
        let key = |id: u32, created: u64| {
            let secret = STANDARD.encode([u8::try_from(id).unwrap(); 32]);
            format!(r#"{{"id":{id},"created":{created},"secret":"{secret}"}}"#)
        };
        let keys = [key(1, 100), key(7, 300), key(4, 200)].join(",");
        let text = format!(r#"{{"version":1,"seal_with":7,"keys":[{keys}]}}"#);
        let ring = KeyRing::parse(text.as_bytes()).unwrap();
        let seals_with = |common: &[u32]| {
            let common: Vec<_> = common.iter().copied().map(KeyId).collect();
            ring.seal_for(&common);
            ring.sealer(Purpose::IdCookie).0.0
        };
        assert_eq!(ring.sealer(Purpose::IdCookie).0, KeyId(7));
        assert_eq!(seals_with(&[1, 4]), 4, "the newest in common");
        assert_eq!(seals_with(&[1]), 1);
        assert_eq!(seals_with(&[7, 4, 1]), 7, "as the file says, again");
        assert_eq!(seals_with(&[9]), 7, "nothing in common");
    }

    #[test]
    fn a_newer_or_broken_ring_is_refused() {
        let text = first(7);
        let newer = text.replace("\"version\": 1", "\"version\": 2");
        assert!(matches!(
            KeyRing::parse(newer.as_bytes()),
            Err(KeyRingError::Version(2))
        ));
        assert!(matches!(KeyRing::parse(b"{}"), Err(KeyRingError::Json(_))));
        let short = text.replace("\"secret\": \"", "\"secret\": \"AAAA");
        assert!(matches!(
            KeyRing::parse(short.as_bytes()),
            Err(KeyRingError::Key(_))
        ));
    }

    #[test]
    fn a_ring_shows_no_key() {
        let shown = format!("{:?}", KeyRing::parse(first(7).as_bytes()).unwrap());
        let id = format!("{:?}", first_id(&Zeroizing::new([7; 32])));
        assert_eq!(shown, format!("KeyRing {{ keys: [{id}], sealer: {id} }}"));
    }

    /// S-23, MDC-COOKIE-5
    #[test]
    fn rings_that_were_made_apart_are_told_apart_by_their_ids() {
        let ids = |byte| KeyRing::parse(first(byte).as_bytes()).unwrap().ids();
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
    }

    fn first(byte: u8) -> String {
        let secret = Zeroizing::new([byte; 32]);
        let file = KeyRing::first_file(&secret, Timestamp::default()).unwrap();
        String::from_utf8(file.to_vec()).unwrap()
    }
}

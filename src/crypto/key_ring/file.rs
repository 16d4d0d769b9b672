//! The key-ring file: which keys there are, which of them is to seal, and from when on.
//!
//! It holds the secrets, so it is in memory only while a ring is read or changed. Reading and writing it on disk
//! is `app`'s matter, and so is when a key may go.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hkdf::Hkdf;
use serde::Deserialize;
use serde::Serialize;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::model::id::KeyId;
use crate::model::time::Timestamp;

/// A key-ring file, read.
pub struct RingFile {
    named: Entry,
    others: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    facts: KeyFacts,
    secret: Zeroizing<[u8; 32]>,
}

/// What there is to tell about a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// Its id.
    pub id: KeyId,
    /// When it was made.
    pub created: Timestamp,
    /// Before this it only opens, so that whoever else needs it can be given it first.
    pub seals_from: Timestamp,
}

/// Why a key-ring file is not one.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// It is not the JSON that it should be.
    #[error("it is not a key ring")]
    Json(#[from] serde_json::Error),
    /// A key is not 32 bytes of base64.
    #[error("key {:08x} is not 32 bytes in base64", .0.0)]
    Key(KeyId),
    /// The sealing key is not among the keys.
    #[error("the sealing key {:08x} is not in the ring", .0.0)]
    Sealer(KeyId),
    /// Two keys have the same id.
    #[error("key {:08x} is there twice", .0.0)]
    Twice(KeyId),
    /// It was written by a newer Portway.
    #[error("its version {0} is newer than this program")]
    Version(u32),
}

/// Why a key stays in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetireKeyError {
    /// It is the one that seals, or is to.
    #[error("key {:08x} seals, or is about to; `portway keys rotate` makes another one", .0.0)]
    Sealer(KeyId),
    /// The ring has no such key.
    #[error("there is no key {:08x} in the ring", .0.0)]
    Unknown(KeyId),
}

/// A file as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRing {
    version: u32,
    seal_with: KeyId,
    keys: Vec<WrittenKey>,
}

/// One key of a file as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenKey {
    id: KeyId,
    created: Timestamp,
    #[serde(default, skip_serializing_if = "is_ever")]
    seals_from: Timestamp,
    /// Base64 of 32 bytes.
    secret: Zeroizing<String>,
}

impl RingFile {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`KeyRingError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyRingError> {
        let written: WrittenRing = serde_json::from_slice(text)?;
        if !READ_VERSIONS.contains(&written.version) {
            return Err(KeyRingError::Version(written.version));
        }
        let (mut named, mut others) = (None, Vec::<Entry>::new());
        for key in &written.keys {
            let entry = Entry::read(key)?;
            let is_named = |entry: &Entry| entry.facts.id == key.id;
            if named.as_ref().is_some_and(is_named) || others.iter().any(is_named) {
                return Err(KeyRingError::Twice(key.id));
            }
            if key.id == written.seal_with {
                named = Some(entry);
            } else {
                others.push(entry);
            }
        }
        let named = named.ok_or(KeyRingError::Sealer(written.seal_with))?;
        Ok(Self { named, others })
    }

    /// A ring of one key, whose id comes of its secret.
    #[must_use]
    pub fn first(secret: &Zeroizing<[u8; 32]>, now: Timestamp) -> Self {
        Self {
            named: Entry::new(secret, now, Timestamp::default()),
            others: Vec::new(),
        }
    }

    /// Adds a key that opens from now on, and is to seal from `seals_from` on. Answers its id.
    pub fn publish(
        &mut self,
        secret: &Zeroizing<[u8; 32]>,
        now: Timestamp,
        seals_from: Timestamp,
    ) -> KeyId {
        let entry = Entry::new(secret, now, seals_from);
        let id = entry.facts.id;
        let before = std::mem::replace(&mut self.named, entry);
        self.others.retain(|other| other.facts.id != id);
        if before.facts.id != id {
            self.others.push(before);
        }
        id
    }

    /// Takes over keys of another ring that this one lacks. They only open, unless they seal already.
    pub fn keep(&mut self, from: &Self, keys: &[KeyId]) {
        for entry in std::iter::once(&from.named).chain(&from.others) {
            let id = entry.facts.id;
            let is_here = |own: &Entry| own.facts.id == id;
            if keys.contains(&id) && !is_here(&self.named) && !self.others.iter().any(is_here) {
                self.others.push(entry.clone());
            }
        }
    }

    /// Takes a key out: nothing opens any more that it has sealed.
    ///
    /// # Errors
    /// See [`RetireKeyError`]; the ring is as it was then.
    pub fn retire(&mut self, key: KeyId) -> Result<(), RetireKeyError> {
        if key == self.named.facts.id {
            return Err(RetireKeyError::Sealer(key));
        }
        let before = self.others.len();
        self.others.retain(|other| other.facts.id != key);
        if self.others.len() == before {
            return Err(RetireKeyError::Unknown(key));
        }
        Ok(())
    }

    /// What there is to tell about the keys, the one that is to seal first, then the newest first.
    #[must_use]
    pub fn facts(&self) -> Vec<KeyFacts> {
        let mut others: Vec<KeyFacts> = self.others.iter().map(|other| other.facts).collect();
        others.sort_by_key(|facts| std::cmp::Reverse((facts.created, facts.id)));
        std::iter::once(self.named.facts).chain(others).collect()
    }

    /// The file as text.
    ///
    /// # Errors
    /// Never in practice: the ring is plain JSON.
    pub fn to_text(&self) -> Result<Zeroizing<Vec<u8>>, KeyRingError> {
        let entries = || std::iter::once(&self.named).chain(&self.others);
        let is_staged = entries().any(|entry| !is_ever(&entry.facts.seals_from));
        let ring = WrittenRing {
            version: if is_staged { 2 } else { 1 },
            seal_with: self.named.facts.id,
            keys: entries().map(Entry::write).collect(),
        };
        Ok(Zeroizing::new(serde_json::to_vec_pretty(&ring)?))
    }

    /// In which order keys are tried for sealing.
    pub(super) fn preferred(&self) -> Vec<KeyId> {
        self.facts().into_iter().map(|facts| facts.id).collect()
    }

    /// The key that is to seal.
    pub(super) const fn named(&self) -> (&KeyFacts, &Zeroizing<[u8; 32]>) {
        (&self.named.facts, &self.named.secret)
    }

    /// The other keys.
    pub(super) fn others(&self) -> impl Iterator<Item = (&KeyFacts, &Zeroizing<[u8; 32]>)> {
        self.others
            .iter()
            .map(|other| (&other.facts, &other.secret))
    }
}

impl std::fmt::Debug for RingFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("RingFile").field(&self.facts()).finish()
    }
}

impl Entry {
    fn new(secret: &Zeroizing<[u8; 32]>, now: Timestamp, seals_from: Timestamp) -> Self {
        Self {
            facts: KeyFacts {
                id: id_of(secret),
                created: now,
                seals_from,
            },
            secret: secret.clone(),
        }
    }

    fn read(key: &WrittenKey) -> Result<Self, KeyRingError> {
        let bytes = STANDARD.decode(key.secret.trim()).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| KeyRingError::Key(key.id))?;
        let secret = <[u8; 32]>::try_from(bytes.as_slice());
        Ok(Self {
            facts: KeyFacts {
                id: key.id,
                created: key.created,
                seals_from: key.seals_from,
            },
            secret: secret
                .map(Zeroizing::new)
                .map_err(|_| KeyRingError::Key(key.id))?,
        })
    }

    fn write(&self) -> WrittenKey {
        WrittenKey {
            id: self.facts.id,
            created: self.facts.created,
            seals_from: self.facts.seals_from,
            secret: Zeroizing::new(STANDARD.encode(self.secret.as_slice())),
        }
    }
}

/// Says nothing about the secret but whether it may be the same.
fn id_of(secret: &Zeroizing<[u8; 32]>) -> KeyId {
    let hkdf = Hkdf::<Sha256>::new(None, secret.as_slice());
    let mut id = [0; 4];
    let derived = hkdf.expand(b"portway/1/key-id", &mut id);
    debug_assert!(derived.is_ok(), "4 bytes are within HKDF's limit");
    KeyId(u32::from_be_bytes(id))
}

fn is_ever(from: &Timestamp) -> bool {
    *from == Timestamp::default()
}

/// Version 2 has keys that seal from a time on.
const READ_VERSIONS: std::ops::RangeInclusive<u32> = 1..=2;

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        let file = RingFile::first(&Zeroizing::new([7; 32]), Timestamp::default());
        String::from_utf8(file.to_text().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_ring_that_names_a_missing_sealer_is_refused() {
        let text = text();
        assert!(RingFile::parse(text.as_bytes()).is_ok());
        let own = id_of(&Zeroizing::new([7; 32])).0;
        let foreign = text.replace(&format!("\"seal_with\": {own}"), "\"seal_with\": 2");
        assert!(matches!(
            RingFile::parse(foreign.as_bytes()),
            Err(KeyRingError::Sealer(KeyId(2)))
        ));
    }

    #[test]
    fn a_newer_or_broken_ring_is_refused() {
        let text = text();
        let newer = text.replace("\"version\": 1", "\"version\": 3");
        assert!(matches!(
            RingFile::parse(newer.as_bytes()),
            Err(KeyRingError::Version(3))
        ));
        assert!(matches!(RingFile::parse(b"{}"), Err(KeyRingError::Json(_))));
        let short = text.replace("\"secret\": \"", "\"secret\": \"AAAA");
        assert!(matches!(
            RingFile::parse(short.as_bytes()),
            Err(KeyRingError::Key(_))
        ));
    }

    #[test]
    fn keys_of_another_ring_are_kept_once_and_do_not_take_the_place_of_the_one_that_is_named() {
        let at = Timestamp::from_millis;
        let mut before = RingFile::first(&Zeroizing::new([1; 32]), at(1));
        let first = before.facts()[0].id;
        let second = before.publish(&Zeroizing::new([2; 32]), at(5), at(5));
        let mut copied = RingFile::first(&Zeroizing::new([1; 32]), at(1));
        copied.keep(&before, &[first, second, KeyId(3)]);
        assert_eq!(copied.preferred(), [first, second]);
        let kept = copied.facts();
        assert_eq!(kept[1], before.facts()[0]);
        RingFile::parse(&copied.to_text().unwrap()).unwrap();
    }

    #[test]
    fn a_changed_ring_is_read_as_it_was_written() {
        let at = Timestamp::from_millis;
        let mut file = RingFile::first(&Zeroizing::new([1; 32]), at(1));
        let first = file.facts()[0].id;
        let second = file.publish(&Zeroizing::new([2; 32]), at(5), at(9));
        let third = file.publish(&Zeroizing::new([3; 32]), at(7), at(9));
        let read = RingFile::parse(&file.to_text().unwrap()).unwrap();
        assert_eq!(read.facts(), file.facts());
        assert_eq!(read.preferred(), [third, second, first]);
        assert_eq!(file.retire(third), Err(RetireKeyError::Sealer(third)));
        file.retire(first).unwrap();
        assert_eq!(file.retire(first), Err(RetireKeyError::Unknown(first)));
        assert_eq!(file.preferred(), [third, second]);
    }
}

//! The key ring: many keys that open, one that seals, each expanded once per purpose.
//!
//! The ring can be swapped for another while messages are sealed and opened; whoever holds it goes on with the
//! new one. Its file's format is `file`'s matter, and how a message is laid out that of `sealed`. When a key
//! may seal, and when it may go, is decided elsewhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::KeyInit;
use arc_swap::ArcSwap;
use arc_swap::Guard;
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::crypto::rejected::Rejected;
use crate::model::id::KeyId;
use crate::model::time::Timestamp;

mod file;

pub use file::KeyFacts;
pub use file::KeyRingError;
pub use file::RetireKeyError;
pub use file::RingFile;

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
    /// What comes back with a browser from a provider at which its user signs in.
    ProviderVisit = 12,
}

impl Purpose {
    const ALL: [Self; 12] = [
        Self::Audit,
        Self::AuthnCookie,
        Self::Device,
        Self::Form,
        Self::Gito,
        Self::IdCookie,
        Self::ProviderVisit,
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
            Self::ProviderVisit => b"portway/1/provider-visit",
            Self::Record => b"portway/1/record",
            Self::Replay => b"portway/1/replay",
            Self::SignInRequest => b"portway/1/sign-in-request",
            Self::SignOut => b"portway/1/sign-out",
            Self::Token => b"portway/1/token",
        }
    }
}

/// Which keys a ring had; no two rings, and no two states of one, have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edition(u64);

impl Edition {
    fn next() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }
}

/// The keys of a deployment, expanded and ready.
pub struct KeyRing {
    now: ArcSwap<Keys>,
    edition: AtomicU64,
    /// Cookies that were not believed.
    rejected: Rejected,
}

/// The keys as they are at one time.
pub(super) struct Keys {
    keys: BTreeMap<KeyId, Arc<Key>>,
    /// In which order they are tried for sealing: the one that the file names, then the newest first.
    preferred: Vec<KeyId>,
    /// The one that seals.
    sealer: (KeyId, Arc<Key>),
}

/// A key with one expanded cipher per purpose.
struct Key {
    ciphers: Expanded,
    /// Before this it only opens.
    seals_from: Timestamp,
    /// How often it has sealed, as far as is counted. It goes on when the ring is swapped.
    uses: Arc<AtomicU64>,
}

struct Expanded([Aes256Gcm; Purpose::ALL.len()]);

impl KeyRing {
    /// Expands the keys of a file. Until [`Self::choose`] is called, one seals that may at any time.
    #[must_use]
    pub fn new(file: &RingFile) -> Self {
        Self {
            now: ArcSwap::from_pointee(Keys::of(file, None)),
            edition: AtomicU64::new(Edition::next()),
            rejected: Rejected::default(),
        }
    }

    /// Reads a key-ring file.
    ///
    /// # Errors
    /// See [`KeyRingError`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyRingError> {
        Ok(Self::new(&RingFile::parse(text)?))
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
        RingFile::first(secret, now).to_text()
    }

    /// Goes by another file from now on. The counts of keys that stay go on, and so does the key that seals
    /// until [`Self::choose`] is called, if it stays.
    pub fn replace(&self, file: &RingFile) {
        self.now.rcu(|before| Keys::of(file, Some(before)));
        // Later, so that nothing opened with keys of before counts as opened with these.
        self.edition.store(Edition::next(), Ordering::Release);
    }

    /// Which keys open. Asked before a message is opened, it is that of the keys that open it, or of
    /// earlier ones.
    #[must_use]
    pub fn edition(&self) -> Edition {
        Edition(self.edition.load(Ordering::Acquire))
    }

    /// Seals from now on with a key whose time has come and that all others have, too: the one that the file
    /// names, else the newest. Where they have none in common the one of before goes on (S-23). `common` is
    /// none where there are no others. Answers the key that seals if it is another one than before.
    pub fn choose(&self, common: Option<&[KeyId]>, now: Timestamp) -> Option<KeyId> {
        let before = self.now.load();
        let chosen = before.choice(common, now);
        if chosen.0 == before.sealer.0 {
            return None;
        }
        self.now.rcu(|before| Keys {
            keys: before.keys.clone(),
            preferred: before.preferred.clone(),
            sealer: before.choice(common, now),
        });
        Some(chosen.0)
    }

    /// The keys that open, in order.
    #[must_use]
    pub fn ids(&self) -> Vec<KeyId> {
        self.now.load().keys.keys().copied().collect()
    }

    /// The key that seals.
    #[must_use]
    pub fn seals_with(&self) -> KeyId {
        self.now.load().sealer.0
    }

    /// How often each key has sealed.
    #[must_use]
    pub fn uses(&self) -> Vec<(KeyId, u64)> {
        let keys = self.now.load();
        let uses = |(id, key): (&KeyId, &Arc<Key>)| (*id, key.uses.load(Ordering::Relaxed));
        keys.keys.iter().map(uses).collect()
    }

    /// Counts on from what was counted before, unless that is less than is counted already.
    pub fn count_from(&self, key: KeyId, uses: u64) {
        if let Some(key) = self.now.load().keys.get(&key) {
            key.uses.fetch_max(uses, Ordering::Relaxed);
        }
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

    /// The keys as they are now.
    pub(super) fn current(&self) -> Guard<Arc<Keys>> {
        self.now.load()
    }
}

impl Keys {
    fn of(file: &RingFile, before: Option<&Arc<Self>>) -> Self {
        let counted = |id: &KeyId| {
            let key = before.and_then(|before| before.keys.get(id));
            key.map_or_else(Arc::default, |key| Arc::clone(&key.uses))
        };
        let (named, secret) = file.named();
        let key = |facts: &KeyFacts, secret| {
            Arc::new(Key {
                ciphers: Expanded::new(secret),
                seals_from: facts.seals_from,
                uses: counted(&facts.id),
            })
        };
        let named = (named.id, key(named, secret));
        let mut keys = BTreeMap::from([(named.0, Arc::clone(&named.1))]);
        for (facts, secret) in file.others() {
            keys.insert(facts.id, key(facts, secret));
        }
        let mut ring = Self {
            keys,
            preferred: file.preferred(),
            sealer: named,
        };
        let going_on = before.map(|before| before.sealer.0);
        let going_on = going_on.and_then(|id| Some((id, Arc::clone(ring.keys.get(&id)?))));
        ring.sealer = going_on.unwrap_or_else(|| ring.choice(None, Timestamp::default()));
        ring
    }

    /// The key to seal with, see [`KeyRing::choose`].
    fn choice(&self, common: Option<&[KeyId]>, now: Timestamp) -> (KeyId, Arc<Key>) {
        let keys = self.preferred.iter();
        let keys = keys.filter_map(|id| Some((*id, self.keys.get(id)?)));
        let due = keys.clone().filter(|(_, key)| key.seals_from <= now);
        let is_common = |id: &KeyId| common.is_none_or(|common| common.contains(id));
        let shared = due.clone().find(|(id, _)| is_common(id));
        let same = || due.clone().find(|(id, _)| *id == self.sealer.0);
        let earliest = || keys.clone().min_by_key(|(_, key)| key.seals_from);
        let chosen = shared.or_else(same).or_else(|| due.clone().next());
        let chosen = chosen.or_else(earliest);
        chosen.map_or_else(
            || (self.sealer.0, Arc::clone(&self.sealer.1)),
            |(id, key)| (id, Arc::clone(key)),
        )
    }

    /// The key that seals, and its id; counts that it is used.
    pub(super) fn sealer(&self, purpose: Purpose) -> (KeyId, &Aes256Gcm) {
        let (id, key) = &self.sealer;
        key.uses.fetch_add(1, Ordering::Relaxed);
        (*id, key.ciphers.cipher(purpose))
    }

    /// The key of that id, if the ring has it.
    pub(super) fn opener(&self, key: KeyId, purpose: Purpose) -> Option<&Aes256Gcm> {
        let key = self.keys.get(&key)?;
        Some(key.ciphers.cipher(purpose))
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("keys", &self.ids())
            .field("sealer", &self.seals_with())
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
            visit,
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
            Purpose::ProviderVisit => visit,
            Purpose::Record => record,
            Purpose::Replay => replay,
            Purpose::SignInRequest => request,
            Purpose::SignOut => sign_out,
            Purpose::Token => token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::sealed::Binding;

    const BINDING: Binding<'_> = Binding {
        purpose: Purpose::IdCookie,
        name: "id",
        scope: "login.test",
    };

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn first(byte: u8) -> RingFile {
        RingFile::first(&Zeroizing::new([byte; 32]), at(1))
    }

    fn seal(ring: &KeyRing, nonce: u8) {
        assert!(!ring.seal(&BINDING, [nonce; 12], b"").is_empty());
    }

    fn ids(numbers: &[u32]) -> Vec<KeyId> {
        numbers.iter().copied().map(KeyId).collect()
    }

    #[test]
    fn the_key_that_seals_is_one_that_all_can_open_s_23() {
        use base64::Engine;

        let key = |id: u32, created: u64| {
            let secret = [u8::try_from(id).unwrap(); 32];
            let secret = base64::engine::general_purpose::STANDARD.encode(secret);
            format!(r#"{{"id":{id},"created":{created},"secret":"{secret}"}}"#)
        };
        let keys = [key(1, 100), key(7, 300), key(4, 200)].join(",");
        let text = format!(r#"{{"version":1,"seal_with":7,"keys":[{keys}]}}"#);
        let ring = KeyRing::parse(text.as_bytes()).unwrap();
        let seals_with = |common: &[u32]| {
            ring.choose(Some(&ids(common)), at(1000));
            ring.seals_with().0
        };
        assert_eq!(ring.seals_with(), KeyId(7));
        assert_eq!(seals_with(&[1, 4]), 4, "the newest in common");
        assert_eq!(seals_with(&[1]), 1);
        assert_eq!(seals_with(&[7, 4, 1]), 7, "as the file says, again");
        assert_eq!(seals_with(&[9]), 7, "nothing in common");
    }

    #[test]
    fn a_new_key_opens_at_once_and_seals_when_its_time_has_come_and_others_have_it_x_23() {
        let mut file = first(1);
        let ring = KeyRing::new(&file);
        let old = ring.seals_with();
        let early = ring.seal(&BINDING, [1; 12], b"early");
        let new = file.publish(&Zeroizing::new([2; 32]), at(1000), at(2000));
        ring.replace(&file);
        assert_eq!(ring.choose(None, at(1999)), None);
        assert_eq!(ring.seals_with(), old);
        assert_eq!(ring.choose(Some(&[old]), at(2000)), None, "S-23");
        assert_eq!(ring.choose(Some(&[old, new]), at(2000)), Some(new));
        let late = ring.seal(&BINDING, [2; 12], b"late");
        assert_eq!(ring.open(&BINDING, &early).unwrap(), b"early");
        // One that was started anew goes by the file alone, and waits too.
        let other = KeyRing::new(&RingFile::parse(&file.to_text().unwrap()).unwrap());
        assert_eq!(other.seals_with(), old);
        assert_eq!(other.open(&BINDING, &late).unwrap(), b"late");
        file.retire(old).unwrap();
        ring.replace(&file);
        assert!(ring.open(&BINDING, &early).is_err());
        assert_eq!(ring.open(&BINDING, &late).unwrap(), b"late");
    }

    #[test]
    fn uses_are_counted_per_key_and_a_swap_loses_none() {
        let mut file = first(1);
        let ring = KeyRing::new(&file);
        let old = ring.seals_with();
        ring.count_from(old, 40);
        seal(&ring, 1);
        let new = file.publish(&Zeroizing::new([2; 32]), at(1), at(1));
        ring.replace(&file);
        seal(&ring, 2);
        assert_eq!(ring.choose(None, at(1)), Some(new));
        seal(&ring, 3);
        ring.count_from(old, 7);
        let uses: BTreeMap<KeyId, u64> = ring.uses().into_iter().collect();
        assert_eq!(uses, BTreeMap::from([(old, 42), (new, 1)]));
    }

    #[test]
    fn a_ring_shows_no_key() {
        let shown = format!("{:?}", KeyRing::new(&first(7)));
        let id = format!("{:?}", first(7).preferred().first().unwrap());
        assert_eq!(shown, format!("KeyRing {{ keys: [{id}], sealer: {id} }}"));
    }

    /// S-23, MDC-COOKIE-5
    #[test]
    fn rings_that_were_made_apart_are_told_apart_by_their_ids() {
        let ids = |byte| KeyRing::new(&first(byte)).ids();
        assert_eq!(ids(7), ids(7));
        assert_ne!(ids(7), ids(8));
    }
}

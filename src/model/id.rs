//! Random identifiers: of an SSO session, of a session, of a request, of a sealing key.
//!
//! An id is 128 bits from the entropy port. Its `Debug` shows a short hash, never the id: a log line
//! must not hand out a session.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;
use subtle::ConstantTimeEq;

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Makes the id from its 16 bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Twelve hex digits of a SHA-256 over the id: enough to follow it through the logs,
            /// useless as a credential.
            #[must_use]
            pub fn short_hash(&self) -> String {
                short_hash(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}#{}", stringify!($name), self.short_hash())
            }
        }
    };
}

random_id! {
    /// The id of one SSO session: one authentication, whatever hosts and data centres it visits (S-1).
    SsoId
}

random_id! {
    /// The id of the record that one data centre keeps of an SSO session (S-2).
    SessionId
}

random_id! {
    /// The id of a one-step token, spent once (S-24).
    TokenId
}

random_id! {
    /// The id of one anchored adoption: reservation, pending copy and commit carry it (S-6).
    AdoptionId
}

random_id! {
    /// The id of a device with which somebody has signed in.
    DeviceId
}

random_id! {
    /// The id of a post that is kept while somebody signs in.
    PostId
}

random_id! {
    /// The value of a nonce cookie: it ties a sign-in to the browser that began it.
    Nonce
}

impl Nonce {
    /// Compares in constant time.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// The id of one request, shown to the user on error pages and written to every log line: made here, or by a
/// proxy that is believed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    /// ASCII without spaces or quotes; zeros behind the length.
    text: [u8; Self::BYTES_MAX],
    length: u8,
}

impl RequestId {
    /// Longest id, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Makes the id from 16 random bytes: 32 hex digits.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let mut text = [0; Self::BYTES_MAX];
        let (pairs, _) = text.as_chunks_mut();
        for ([high, low], byte) in pairs.iter_mut().zip(bytes) {
            (*high, *low) = (hex_digit(byte >> 4), hex_digit(byte & 0xf));
        }
        Self { text, length: 32 }
    }

    /// Takes up an id that another server made, if it is harmless wherever ids are written.
    #[must_use]
    pub fn parse(id: &[u8]) -> Option<Self> {
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:+/=@".contains(b);
        let fits = !id.is_empty() && id.len() <= Self::BYTES_MAX && id.iter().all(is_plain);
        let length = u8::try_from(id.len()).ok().filter(|_| fits)?;
        let mut text = [0; Self::BYTES_MAX];
        text.iter_mut().zip(id).for_each(|(to, from)| *to = *from);
        Some(Self { text, length })
    }

    /// An id in the form of those made here: the first half of a SHA-256 over this one.
    #[must_use]
    pub fn hashed(&self) -> Self {
        let hash: [u8; 32] = Sha256::digest(self.as_str()).into();
        Self::from_bytes(hash.first_chunk::<16>().copied().unwrap_or_default())
    }

    /// The id as text: ASCII letters, digits and a few marks.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.text.get(..usize::from(self.length));
        str::from_utf8(text.unwrap_or_default()).unwrap_or_default()
    }
}

const fn hex_digit(nibble: u8) -> u8 {
    match nibble {
        0..10 => b'0' + nibble,
        _ => b'a' - 10 + nibble,
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A session at an identity provider: a SHA-256 over its issuer and session id (S-15).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderSessionId([u8; 32]);

impl ProviderSessionId {
    /// Names the session that an issuer knows by an id.
    #[must_use]
    pub fn of(issuer: &str, sid: &str) -> Self {
        let mut hash = Sha256::new();
        // The length keeps one pair from reading like another.
        hash.update((issuer.len() as u64).to_be_bytes());
        hash.update(issuer.as_bytes());
        hash.update(sid.as_bytes());
        Self(hash.finalize().into())
    }

    /// Takes up a name that was made before.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the name.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for ProviderSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderSessionId#{}", short_hash(&self.0))
    }
}

impl TokenId {
    /// Names a token of somebody else, who gave it a name of its own.
    #[must_use]
    pub fn of(issuer: &str, name: &str) -> Self {
        let ProviderSessionId(digest) = ProviderSessionId::of(issuer, name);
        let (first, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
        Self::from_bytes(*first)
    }
}

/// The number of a key in the key ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub u32);

fn short_hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

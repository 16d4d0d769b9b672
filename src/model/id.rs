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

/// The id of one request, shown to the user on error pages and written to every log line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// Makes the id from its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The id as 32 hex digits, in ASCII.
    #[must_use]
    pub fn to_hex(self) -> [u8; 32] {
        let mut text = [0; 32];
        let (pairs, _) = text.as_chunks_mut();
        for ([high, low], byte) in pairs.iter_mut().zip(self.0) {
            (*high, *low) = (hex_digit(byte >> 4), hex_digit(byte & 0xf));
        }
        text
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
        let text = self.to_hex();
        f.write_str(str::from_utf8(&text).map_err(|_| fmt::Error)?)
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

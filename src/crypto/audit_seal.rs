//! Seals over the lines of an audit trail: only a holder of the key ring can have made one.
//!
//! A seal says nothing about the text of a line, which its hash covers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::crypto::sealed::SealNonce;
use crate::model::id::KeyId;

/// What a seal is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedThing {
    /// The note of where a trail ends.
    Head,
    /// A line.
    Line,
}

/// What became of a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealState {
    /// Its key is in the ring no more: nothing can be said.
    KeyGone(KeyId),
    /// It was made by a holder of the key.
    Good,
    /// It was not, or not for this.
    Wrong,
}

impl KeyRing {
    /// Makes the seal over a hash.
    #[must_use]
    pub fn seal_audit(&self, over: SealedThing, hash: &str, nonce: SealNonce) -> String {
        self.seal(&binding(over, hash), nonce, b"")
    }

    /// Judges the seal over a hash.
    #[must_use]
    pub fn judge_audit(&self, over: SealedThing, hash: &str, seal: &str) -> SealState {
        if self.open(&binding(over, hash), seal).is_ok() {
            return SealState::Good;
        }
        let bytes = URL_SAFE_NO_PAD.decode(seal).unwrap_or_default();
        // Version, then the key id.
        let key = bytes.get(1..).and_then(|rest| rest.first_chunk::<4>());
        match key.map(|key| KeyId(u32::from_be_bytes(*key))) {
            Some(key) if !self.ids().contains(&key) => SealState::KeyGone(key),
            _ => SealState::Wrong,
        }
    }
}

const fn binding(over: SealedThing, hash: &str) -> Binding<'_> {
    Binding {
        purpose: Purpose::Audit,
        name: match over {
            SealedThing::Head => "audit-head",
            SealedThing::Line => "audit-line",
        },
        scope: hash,
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::model::time::Timestamp;

    fn ring(secret: u8) -> KeyRing {
        let secret = Zeroizing::new([secret; 32]);
        let file = KeyRing::first_file(&secret, Timestamp::from_millis(0)).unwrap();
        KeyRing::parse(&file).unwrap()
    }

    #[test]
    fn a_seal_is_good_for_one_hash_and_one_thing_under_one_key() {
        let own = ring(1);
        let seal = own.seal_audit(SealedThing::Line, "abc", [7; 12]);
        let judge = |ring: &KeyRing, over, hash, seal: &str| ring.judge_audit(over, hash, seal);
        assert_eq!(
            judge(&own, SealedThing::Line, "abc", &seal),
            SealState::Good
        );
        assert_eq!(
            judge(&own, SealedThing::Line, "abd", &seal),
            SealState::Wrong
        );
        assert_eq!(
            judge(&own, SealedThing::Head, "abc", &seal),
            SealState::Wrong
        );
        assert_eq!(judge(&own, SealedThing::Line, "abc", "x"), SealState::Wrong);
        let gone = judge(&ring(2), SealedThing::Line, "abc", &seal);
        assert!(matches!(gone, SealState::KeyGone(_)), "{gone:?}");
    }
}

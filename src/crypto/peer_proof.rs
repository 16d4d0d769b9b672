//! How two nodes without TLS prove to each other that they know the same password, and sign what they
//! say afterwards (MDC-SEC-1).
//!
//! The password never travels, and nothing that travels is good a second time: each proof covers a fresh
//! nonce of both ends, each message a counter under a key made of both. Nothing is encrypted. Nonces come
//! in; who is asked for a proof, and when, is the back-channel's matter.

use std::collections::BTreeSet;

use hkdf::Hkdf;
use hmac::Hmac;
use hmac::KeyInit;
use hmac::Mac;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::crypto::pki::node_name::NodeName;
use crate::model::secret::Secret;

/// Bytes of a nonce and of a proof.
pub const PROOF_BYTES: usize = 32;

/// What both ends know of a connection when they prove themselves.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Who connects.
    pub dialler: NodeName,
    /// Who listens.
    pub listener: NodeName,
    /// Fresh from the one who connects.
    pub dialler_nonce: [u8; PROOF_BYTES],
    /// Fresh from the one who listens.
    pub listener_nonce: [u8; PROOF_BYTES],
}

/// One end of a connection. Each signs under its own label, so that nothing can be sent back to whoever
/// said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one who connects.
    Dialler,
    /// The one who listens.
    Listener,
}

/// The keys of one connection: one for each side's proof, one for its messages.
pub struct ConnectionKeys {
    proof: Zeroizing<[u8; PROOF_BYTES]>,
    message: Zeroizing<[u8; PROOF_BYTES]>,
}

impl ConnectionKeys {
    /// Makes the keys of a connection. Both ends come to the same ones if they know the same password
    /// and mean the same connection.
    #[must_use]
    pub fn new(password: &Secret, opening: &Opening) -> Self {
        let mut context = Vec::with_capacity(192);
        // Each part carries its length, so that no two openings read alike.
        let names = [opening.dialler.to_string(), opening.listener.to_string()];
        for part in names.iter().map(String::as_bytes) {
            context.extend_from_slice(&(part.len() as u64).to_be_bytes());
            context.extend_from_slice(part);
        }
        context.extend_from_slice(&opening.dialler_nonce);
        context.extend_from_slice(&opening.listener_nonce);
        let source = Hkdf::<Sha256>::new(Some(LABEL), password.expose());
        let derive = |purpose: &[u8]| {
            let mut key = Zeroizing::new([0; PROOF_BYTES]);
            // 32 bytes are within HKDF's bound, so this cannot fail; zeros would prove nothing to the
            // other end either.
            let info = [purpose, &context];
            source.expand_multi_info(&info, &mut *key).ok();
            key
        };
        Self {
            proof: derive(b"proof"),
            message: derive(b"message"),
        }
    }

    /// The proof of one side.
    #[must_use]
    pub fn prove(&self, side: Side) -> [u8; PROOF_BYTES] {
        tag(&self.proof, &[side.label()])
    }

    /// Whether `proof` is that of `side`, found out in constant time.
    #[must_use]
    pub fn is_proof(&self, side: Side, proof: &[u8; PROOF_BYTES]) -> bool {
        self.prove(side).ct_eq(proof).into()
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &Message<'_>) -> [u8; PROOF_BYTES] {
        let path = (message.path.len() as u64).to_be_bytes();
        let counter = message.counter.to_be_bytes();
        let parts = [
            message.from.label(),
            &counter,
            &path,
            message.path.as_bytes(),
            message.body,
        ];
        tag(&self.message, &parts)
    }

    /// Whether a message was signed by the other end, found out in constant time.
    #[must_use]
    pub fn is_signed(&self, message: &Message<'_>, signature: &[u8; PROOF_BYTES]) -> bool {
        self.sign(message).ct_eq(signature).into()
    }
}

impl std::fmt::Debug for ConnectionKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ConnectionKeys(…)")
    }
}

/// What is signed.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Who says it.
    pub from: Side,
    /// The number of the question on its connection; its answer has the same.
    pub counter: u64,
    /// What is asked for.
    pub path: &'a str,
    /// What is said.
    pub body: &'a [u8],
}

impl Side {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Dialler => b"dialler;",
            Self::Listener => b"listener",
        }
    }
}

/// The counters that a connection has seen. Questions overtake each other on their way, but each is taken
/// once.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// One more than the highest counter taken.
    next: u64,
    /// The counters below `next` that have not come yet.
    missing: BTreeSet<u64>,
}

impl Seen {
    /// Counters that may be missing; more are given up, the oldest first.
    pub const MISSING_MAX: usize = 1024;

    /// Takes a counter: `false` when it was taken before, was given up, or lies too far ahead.
    pub fn take(&mut self, counter: u64) -> bool {
        if counter < self.next {
            return self.missing.remove(&counter);
        }
        if counter - self.next > Self::MISSING_MAX as u64 || counter == u64::MAX {
            return false;
        }
        self.missing.extend(self.next..counter);
        while self.missing.len() > Self::MISSING_MAX {
            self.missing.pop_first();
        }
        self.next = counter + 1;
        true
    }
}

fn tag(key: &[u8; PROOF_BYTES], parts: &[&[u8]]) -> [u8; PROOF_BYTES] {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return [0; PROOF_BYTES];
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

const LABEL: &[u8] = b"portway back-channel 1";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::name::ClusterId;

    fn opening() -> Opening {
        let engine = |name| NodeName::Engine(ClusterId::parse(name).unwrap());
        Opening {
            dialler: engine("ny"),
            listener: engine("london"),
            dialler_nonce: [1; 32],
            listener_nonce: [2; 32],
        }
    }

    fn keys(password: &str, opening: &Opening) -> ConnectionKeys {
        ConnectionKeys::new(&Secret::new(password.as_bytes().to_vec()), opening)
    }

    #[test]
    fn both_ends_prove_the_password_and_a_wrong_one_proves_nothing() {
        let dialler = keys("the peers' password", &opening());
        let listener = keys("the peers' password", &opening());
        assert!(listener.is_proof(Side::Dialler, &dialler.prove(Side::Dialler)));
        assert!(dialler.is_proof(Side::Listener, &listener.prove(Side::Listener)));
        let stranger = keys("another password", &opening());
        assert!(!listener.is_proof(Side::Dialler, &stranger.prove(Side::Dialler)));
    }

    #[test]
    fn a_proof_is_good_for_one_side_of_one_connection_between_two_nodes() {
        let listener = keys("password", &opening());
        let reflected = listener.prove(Side::Listener);
        assert!(!listener.is_proof(Side::Dialler, &reflected));
        let changed: [fn(&mut Opening); 4] = [
            |opening| opening.dialler_nonce = [9; 32],
            |opening| opening.listener_nonce = [9; 32],
            |opening| std::mem::swap(&mut opening.dialler, &mut opening.listener),
            |opening| opening.dialler = NodeName::Gate(ClusterId::parse("ny").unwrap()),
        ];
        for change in changed {
            let mut other = opening();
            change(&mut other);
            let recorded = keys("password", &other).prove(Side::Dialler);
            assert!(!listener.is_proof(Side::Dialler, &recorded), "{other:?}");
        }
    }

    #[test]
    fn a_signature_covers_sender_counter_path_and_body() {
        let keys = keys("password", &opening());
        let said = Message {
            from: Side::Dialler,
            counter: 7,
            path: "/a",
            body: b"bc",
        };
        let signature = keys.sign(&said);
        assert!(keys.is_signed(&said, &signature));
        let others = [
            Message {
                from: Side::Listener,
                ..said
            },
            Message { counter: 8, ..said },
            Message {
                path: "/ab",
                body: b"c",
                ..said
            },
            Message {
                body: b"bd",
                ..said
            },
        ];
        for other in others {
            assert!(!keys.is_signed(&other, &signature), "{other:?}");
        }
    }

    #[test]
    fn a_counter_is_taken_once_in_whatever_order_it_comes() {
        let mut seen = Seen::default();
        for counter in [3, 0, 2, 1000, 5] {
            assert!(seen.take(counter), "{counter}");
            assert!(!seen.take(counter), "{counter} again");
        }
        assert!(!seen.take(1_000_000), "too far ahead");
        assert!(!seen.take(u64::MAX));
        assert!(seen.take(1), "late, and never seen");
    }

    proptest! {
        #[test]
        fn no_counter_is_taken_twice(counters in proptest::collection::vec(0_u64..3000, 0..300)) {
            let mut seen = Seen::default();
            let mut taken = std::collections::HashSet::new();
            for counter in counters {
                if seen.take(counter) {
                    prop_assert!(taken.insert(counter));
                }
            }
        }
    }
}

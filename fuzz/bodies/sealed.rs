//! The opener of cookies and tokens: nothing opens but what was sealed, in the one spelling that sealing gives.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portway::crypto::key_ring::KeyRing;
use portway::crypto::key_ring::Purpose;
use portway::crypto::sealed::Binding;

/// A text that opens is the very text that sealing what is in it gives.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let ring = ring();
    for binding in BINDINGS {
        let Ok(plain) = ring.open(&binding, text) else {
            continue;
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
        let nonce = bytes.get(5..17).and_then(|nonce| nonce.try_into().ok());
        let again = nonce.map(|nonce| ring.seal(&binding, nonce, &plain));
        assert_eq!(again.as_deref(), Some(text), "a second spelling opens");
        assert_eq!(plain, PLAIN, "what nobody sealed opens");
    }
}

/// What was sealed for each purpose, and what looks like it.
pub fn seeds() -> Vec<Vec<u8>> {
    let ring = ring();
    let sealed = BINDINGS
        .iter()
        .map(|binding| ring.seal(binding, [9; 12], PLAIN));
    let mut seeds: Vec<Vec<u8>> = sealed.map(String::into_bytes).collect();
    seeds.push(b"AQAAAAE".to_vec());
    seeds
}

/// A ring with one key.
pub fn ring() -> KeyRing {
    let secret = STANDARD.encode([7; 32]);
    let ring = format!(
        r#"{{"version":1,"seal_with":1,"keys":[{{"id":1,"created":0,"secret":"{secret}"}}]}}"#
    );
    KeyRing::parse(ring.as_bytes()).expect("it is a ring")
}

const BINDINGS: [Binding<'static>; 3] = [
    Binding {
        purpose: Purpose::AuthnCookie,
        name: "__Host-portway-authn-main",
        scope: "app.example.test",
    },
    Binding {
        purpose: Purpose::IdCookie,
        name: "__Host-portway-id-main",
        scope: "login.example.test",
    },
    Binding {
        purpose: Purpose::Token,
        name: "token",
        scope: "app.example.test",
    },
];
const PLAIN: &[u8] = b"what was sealed";

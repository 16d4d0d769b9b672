//! Properties of what travels sealed: it opens only under a key of the ring, unchanged, and for what it
//! was sealed for; what is inside reads back as it was written, and anything else is refused quietly.
//!
//! Nothing here opens a socket or reads a clock.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking, in its helpers too"
)]

mod cookies;
mod nonces;
mod opening;
mod reading;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portway::crypto::key_ring::KeyRing;
use portway::crypto::key_ring::Purpose;
use portway::crypto::sealed::Binding;

const PURPOSES: [Purpose; 10] = [
    Purpose::AuthnCookie,
    Purpose::Form,
    Purpose::Device,
    Purpose::Gito,
    Purpose::IdCookie,
    Purpose::Record,
    Purpose::Replay,
    Purpose::SignInRequest,
    Purpose::SignOut,
    Purpose::Token,
];

/// A ring of keys, each an id and the byte that its secret consists of, sealing with `sealer`.
fn ring(sealer: u32, keys: &[(u32, u8)]) -> KeyRing {
    let keys: Vec<_> = keys
        .iter()
        .map(|(id, byte)| {
            let secret = STANDARD.encode([*byte; 32]);
            serde_json::json!({ "id": id, "created": 0, "secret": secret })
        })
        .collect();
    let ring = serde_json::json!({ "version": 1, "seal_with": sealer, "keys": keys });
    KeyRing::parse(ring.to_string().as_bytes()).unwrap()
}

fn one_key() -> KeyRing {
    ring(1, &[(1, 7)])
}

const fn authn_cookie() -> Binding<'static> {
    Binding {
        purpose: Purpose::AuthnCookie,
        name: "__Host-portway-authn-main",
        scope: "app.example.test",
    }
}

/// How many cases a property is tried with; failures are reported, not filed away.
fn cases(cases: u32) -> proptest::test_runner::Config {
    proptest::test_runner::Config {
        cases,
        failure_persistence: None,
        ..Default::default()
    }
}

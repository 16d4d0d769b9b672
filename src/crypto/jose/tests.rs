//! Tokens that are good, and each way in which one is not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use ring::rand::SystemRandom;
use ring::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use ring::signature::EcdsaKeyPair;
use ring::signature::Ed25519KeyPair;
use ring::signature::KeyPair;
use serde_json::Value;
use serde_json::json;

use super::*;

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random);
        let pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            made.unwrap().as_ref(),
            &random,
        );
        Self(pair.unwrap())
    }

    fn jwk(&self, more: &Value) -> Value {
        let point = self.0.public_key().as_ref();
        let (x, y) = (point.get(1..33).unwrap(), point.get(33..65).unwrap());
        let mut jwk = json!({ "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) });
        for (name, value) in more.as_object().unwrap() {
            jwk.as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone());
        }
        jwk
    }

    fn sign(&self, header: &Value, payload: &str) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(payload));
        let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes());
        format!("{signed}.{}", encode(signature.unwrap().as_ref()))
    }
}

fn keys(jwks: &[Value]) -> KeySet {
    KeySet::read(json!({ "keys": jwks }).to_string().as_bytes()).unwrap()
}

fn verify(token: &str, keys: &KeySet) -> Result<String, Unverified> {
    let payload = SignedToken::read(token)?.verify(keys)?;
    String::from_utf8(payload.bytes).map_err(|_| Unverified::Malformed)
}

#[test]
fn a_token_is_verified_by_the_key_that_it_names_and_by_no_other() {
    let (one, other) = (Signer::new(), Signer::new());
    let set = keys(&[
        one.jwk(&json!({ "kid": "1" })),
        other.jwk(&json!({ "kid": "2" })),
    ]);
    let header = |kid| json!({ "alg": "ES256", "kid": kid });
    assert_eq!(verify(&one.sign(&header("1"), "{}"), &set).unwrap(), "{}");
    let refused = |token: String| verify(&token, &set).unwrap_err();
    assert_eq!(refused(one.sign(&header("2"), "{}")), Unverified::Signature);
    assert_eq!(
        refused(one.sign(&header("3"), "{}")),
        Unverified::UnknownKey
    );
    // Without a name each key of the kind is tried.
    let nameless = other.sign(&json!({ "alg": "ES256" }), "{}");
    assert!(verify(&nameless, &set).is_ok());
}

#[test]
fn two_keys_of_one_name_are_both_tried() {
    let (one, other) = (Signer::new(), Signer::new());
    let named = json!({ "kid": "1" });
    let set = keys(&[one.jwk(&named), other.jwk(&named)]);
    for signer in [&one, &other] {
        let token = signer.sign(&json!({ "alg": "ES256", "kid": "1" }), "{}");
        assert!(verify(&token, &set).is_ok());
    }
}

/// RFC 8725 §2.1: neither an unsigned token nor one signed with a public key as if it were a secret.
#[test]
fn only_signatures_by_public_keys_count() {
    let signer = Signer::new();
    let set = keys(&[signer.jwk(&json!({}))]);
    for name in ["none", "None", "HS256", "HS512", "es256", "", "RSA-OAEP"] {
        let token = signer.sign(&json!({ "alg": name }), "{}");
        assert_eq!(
            verify(&token, &set).unwrap_err(),
            Unverified::Algorithm,
            "{name}"
        );
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        let unsigned = format!("{unsigned}.");
        assert_eq!(verify(&unsigned, &set).unwrap_err(), Unverified::Algorithm);
    }
    // A key of another kind is none for it.
    let token = signer.sign(&json!({ "alg": "RS256" }), "{}");
    assert_eq!(verify(&token, &set).unwrap_err(), Unverified::UnknownKey);
}

#[test]
fn what_must_be_understood_and_is_not_refuses_the_token() {
    let signer = Signer::new();
    let set = keys(&[signer.jwk(&json!({}))]);
    for crit in [json!(["b64"]), json!([]), json!("exp")] {
        let header = json!({ "alg": "ES256", "crit": crit, "b64": false });
        let token = signer.sign(&header, "{}");
        assert_eq!(verify(&token, &set).unwrap_err(), Unverified::Critical);
    }
}

/// A token that brings the key it is signed with proves nothing (`jwk`, `jku`, `x5c`, `x5u`).
#[test]
fn the_keys_of_a_token_itself_are_not_read() {
    let (own, bait) = (Signer::new(), Signer::new());
    let set = keys(&[own.jwk(&json!({}))]);
    let header = json!({
        "alg": "ES256",
        "jwk": bait.jwk(&json!({})),
        "jku": "http://127.0.0.1:1/keys",
        "x5u": "http://127.0.0.1:1/chain",
    });
    let token = bait.sign(&header, "{}");
    assert_eq!(verify(&token, &set).unwrap_err(), Unverified::Signature);
}

#[test]
fn keys_that_are_not_for_signatures_are_left_out_of_a_set() {
    let signer = Signer::new();
    for more in [
        json!({ "use": "enc" }),
        json!({ "key_ops": ["encrypt"] }),
        json!({ "alg": "ECDH-ES" }),
        json!({ "crv": "P-521" }),
        json!({ "kty": "oct" }),
        json!({ "x": "AA" }),
        json!({ "x": 1 }),
    ] {
        assert!(keys(&[signer.jwk(&more)]).is_empty(), "{more}");
    }
    let wanted = json!({ "use": "sig", "key_ops": ["verify"], "alg": "ES256" });
    assert!(!keys(&[json!("odd"), signer.jwk(&wanted)]).is_empty());
    assert!(KeySet::read(b"{}").is_err());
    assert!(KeySet::read(b"<html>").is_err());
}

#[test]
fn a_key_for_one_algorithm_verifies_no_other() {
    let signer = Signer::new();
    let set = keys(&[signer.jwk(&json!({ "alg": "ES384" }))]);
    let token = signer.sign(&json!({ "alg": "ES256" }), "{}");
    assert_eq!(verify(&token, &set).unwrap_err(), Unverified::UnknownKey);
}

/// The example of RFC 8037 appendix A.4.
#[test]
fn the_published_example_of_ed25519_is_verified() {
    let set = keys(&[json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    })]);
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
        hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(verify(token, &set).unwrap(), "Example of Ed25519 signing");
}

#[test]
fn every_kind_of_key_made_here_is_read_again() {
    let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let pair = Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap();
    let x = encode(pair.public_key().as_ref());
    let set = keys(&[json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "e" })]);
    let signed = format!(
        "{}.{}",
        encode(r#"{"alg":"EdDSA","kid":"e"}"#),
        encode("{}")
    );
    let token = format!("{signed}.{}", encode(pair.sign(signed.as_bytes())));
    assert!(verify(&token, &set).is_ok());
}

proptest! {
    /// No byte of a token can be changed.
    #[test]
    fn a_token_that_was_changed_is_refused(at in 0usize..200, by in 1u8..128) {
        let signer = Signer::new();
        let set = keys(&[signer.jwk(&json!({}))]);
        let token = signer.sign(&json!({ "alg": "ES256" }), r#"{"sub":"alice"}"#);
        let mut bytes = token.into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= by;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(verify(&changed, &set).is_err(), "{changed}");
        }
    }

    #[test]
    fn whatever_arrives_is_read_or_refused(text in ".{0,80}") {
        let read = verify(&text, &KeySet::default());
        prop_assert!(read.is_err());
    }
}

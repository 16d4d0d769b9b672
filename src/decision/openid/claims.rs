//! Whether the claims of an ID token are good (OpenID Connect Core 1.0 §3.1.3.7). Its signature has been
//! verified before.

use std::time::Duration;

use serde_json::Map;
use serde_json::Value;

use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// The claims of a token.
pub type Claims = Map<String, Value>;

/// What an ID token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Who signed it.
    pub issuer: &'a str,
    /// Whom it is for.
    pub client_id: &'a str,
    /// What the browser was sent with.
    pub nonce: &'a Secret,
    /// The time.
    pub now: Timestamp,
    /// Since when the user has to have signed in there, where it was asked to sign in again.
    pub since: Option<Timestamp>,
}

/// Why the claims of a token are not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimFault {
    /// It is for somebody else, or for others as well.
    #[error("the token is for another client (aud)")]
    Audience,
    /// It was given to another client.
    #[error("the token was given to another client (azp)")]
    Party,
    /// Its time is over, or has no end.
    #[error("the token has expired (exp)")]
    Expired,
    /// It was made in the future, or nobody knows when.
    #[error("the token is from the future (iat)")]
    Future,
    /// Another issuer's.
    #[error("the token is another issuer's (iss)")]
    Issuer,
    /// It belongs to another sign-in.
    #[error("the token belongs to another sign-in (nonce)")]
    Nonce,
    /// The user signed in too long ago.
    #[error("the user was not asked to sign in again (auth_time)")]
    TooOld,
    /// It names nobody.
    #[error("the token names nobody (sub)")]
    Subject,
    /// It is not good yet.
    #[error("the token is not good yet (nbf)")]
    TooEarly,
}

/// Checks the claims of an ID token.
///
/// # Errors
/// The first that is not good.
pub fn check(claims: &Claims, expected: &Expected<'_>) -> Result<(), ClaimFault> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(ClaimFault::Issuer);
    }
    check_audience(claims, expected.client_id)?;
    check_times(claims, expected.now)?;
    let nonce = text("nonce").unwrap_or_default();
    if Secret::new(nonce.as_bytes().to_vec()) != *expected.nonce {
        return Err(ClaimFault::Nonce);
    }
    if let Some(since) = expected.since {
        let signed_in = seconds(claims.get("auth_time")).ok_or(ClaimFault::TooOld)?;
        if signed_in.after(SKEW) < since {
            return Err(ClaimFault::TooOld);
        }
    }
    let subject = text("sub").unwrap_or_default();
    if subject.is_empty() || subject.len() > SUBJECT_BYTES_MAX {
        return Err(ClaimFault::Subject);
    }
    Ok(())
}

/// A token for several clients has to say that it was given to this one.
fn check_audience(claims: &Claims, client_id: &str) -> Result<(), ClaimFault> {
    let is_own = |value: &Value| value.as_str() == Some(client_id);
    if !is_for(claims, client_id) {
        return Err(ClaimFault::Audience);
    }
    let audience = claims.get("aud").and_then(Value::as_array);
    let others = audience.is_some_and(|list| list.len() > 1);
    match claims.get("azp") {
        Some(party) if !is_own(party) => Err(ClaimFault::Party),
        None if others => Err(ClaimFault::Party),
        _ => Ok(()),
    }
}

/// Whether a token is for this client, and perhaps for others (RFC 7519 §4.1.3).
pub(super) fn is_for(claims: &Claims, client_id: &str) -> bool {
    let is_own = |value: &Value| value.as_str() == Some(client_id);
    match claims.get("aud") {
        Some(Value::Array(list)) => list.iter().any(is_own),
        Some(value) => is_own(value),
        None => false,
    }
}

fn check_times(claims: &Claims, now: Timestamp) -> Result<(), ClaimFault> {
    let expires = seconds(claims.get("exp")).ok_or(ClaimFault::Expired)?;
    if expires.after(SKEW) <= now {
        return Err(ClaimFault::Expired);
    }
    let issued = seconds(claims.get("iat")).ok_or(ClaimFault::Future)?;
    if issued > now.after(SKEW) {
        return Err(ClaimFault::Future);
    }
    let Some(begins) = claims.get("nbf") else {
        return Ok(());
    };
    let begins = seconds(Some(begins)).ok_or(ClaimFault::TooEarly)?;
    if begins > now.after(SKEW) {
        return Err(ClaimFault::TooEarly);
    }
    Ok(())
}

/// A point in time (RFC 7519 §2, NumericDate); parts of a second are cut.
pub(super) fn seconds(value: Option<&Value>) -> Option<Timestamp> {
    let value = value?;
    let whole = value.as_u64().or_else(|| {
        let text = value.as_f64()?.trunc().to_string();
        text.parse().ok()
    })?;
    Some(Timestamp::from_millis(whole.checked_mul(1000)?))
}

/// By so much the clocks of provider and gateway may differ.
pub const SKEW: Duration = Duration::from_mins(1);
/// Longest `sub` (OpenID Connect Core 1.0 §2).
const SUBJECT_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn token() -> Value {
        json!({
            "iss": "https://idp.test",
            "aud": "portway",
            "sub": "7",
            "nonce": "n-7",
            "iat": 1_800_000_000_u64,
            "exp": 1_800_000_600_u64,
        })
    }

    fn checked(change: &Value, since: Option<Timestamp>) -> Result<(), ClaimFault> {
        let mut token = token();
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                token.as_object_mut().unwrap().remove(name);
            } else {
                token[name] = value.clone();
            }
        }
        let nonce = Secret::new(b"n-7".to_vec());
        let expected = Expected {
            issuer: "https://idp.test",
            client_id: "portway",
            nonce: &nonce,
            now: NOW,
            since,
        };
        check(token.as_object().unwrap(), &expected)
    }

    #[test]
    fn a_token_for_this_sign_in_is_good() {
        for change in [
            json!({}),
            json!({ "aud": ["portway"] }),
            json!({ "aud": ["other", "portway"], "azp": "portway" }),
            json!({ "azp": "portway" }),
            json!({ "exp": 1_799_999_941_u64 }),
            json!({ "iat": 1_800_000_060_u64, "nbf": 1_800_000_060_u64 }),
            json!({ "exp": 1_800_000_600.5 }),
        ] {
            assert_eq!(checked(&change, None), Ok(()), "{change}");
        }
    }

    /// `threats.md` §1.5: every claim of a hostile provider that is off refuses the token, by its own name.
    #[test]
    fn each_claim_that_is_off_refuses_a_token() {
        use ClaimFault as Fault;

        for (change, fault) in [
            (json!({ "iss": "https://idp.test/" }), Fault::Issuer),
            (json!({ "iss": null }), Fault::Issuer),
            (json!({ "iss": ["https://idp.test"] }), Fault::Issuer),
            (json!({ "aud": "other" }), Fault::Audience),
            (json!({ "aud": null }), Fault::Audience),
            (json!({ "aud": [] }), Fault::Audience),
            (json!({ "aud": [["portway"]] }), Fault::Audience),
            (json!({ "aud": ["portway", "other"] }), Fault::Party),
            (
                json!({ "aud": ["portway", "other"], "azp": "other" }),
                Fault::Party,
            ),
            (json!({ "azp": "other" }), Fault::Party),
            (json!({ "azp": 7 }), Fault::Party),
            (json!({ "exp": null }), Fault::Expired),
            (json!({ "exp": "1800000600" }), Fault::Expired),
            (json!({ "exp": 1_799_999_940_u64 }), Fault::Expired),
            (json!({ "exp": u64::MAX }), Fault::Expired),
            (json!({ "exp": -1 }), Fault::Expired),
            (json!({ "iat": null }), Fault::Future),
            (json!({ "iat": 1_800_000_061_u64 }), Fault::Future),
            (json!({ "nbf": 1_800_000_061_u64 }), Fault::TooEarly),
            (json!({ "nbf": "soon" }), Fault::TooEarly),
            (json!({ "nonce": null }), Fault::Nonce),
            (json!({ "nonce": "n-8" }), Fault::Nonce),
            (json!({ "nonce": ["n-7"] }), Fault::Nonce),
            (json!({ "sub": null }), Fault::Subject),
            (json!({ "sub": "" }), Fault::Subject),
            (json!({ "sub": 7 }), Fault::Subject),
            (json!({ "sub": "7".repeat(256) }), Fault::Subject),
        ] {
            assert_eq!(checked(&change, None), Err(fault), "{change}");
        }
    }

    #[test]
    fn who_was_to_sign_in_again_has_signed_in_since() {
        let since = Some(NOW);
        let at = |secs: u64| json!({ "auth_time": secs });
        assert_eq!(checked(&at(1_800_000_000), since), Ok(()));
        assert_eq!(checked(&at(1_799_999_940), since), Ok(()));
        assert_eq!(checked(&at(1_799_999_939), since), Err(ClaimFault::TooOld));
        assert_eq!(checked(&json!({}), since), Err(ClaimFault::TooOld));
        assert_eq!(checked(&at(1), None), Ok(()));
    }
}

//! Whether a logout token is good, and what it says is over (OpenID Connect Back-Channel Logout 1.0 §2.6). Its
//! signature has been verified before.

use std::time::Duration;

use serde_json::Value;

use crate::decision::openid::claims::Claims;
use crate::decision::openid::claims::SKEW;
use crate::decision::openid::claims::is_for;
use crate::decision::openid::claims::seconds;
use crate::model::time::Timestamp;

/// What is over at a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over<'t> {
    /// One session there, where it is named.
    pub session: Option<&'t str>,
    /// Whose; all sessions of that user where none is named.
    pub subject: Option<&'t str>,
    /// The name of the token: no other has it.
    pub id: &'t str,
    /// When the token stops being good.
    pub expires: Timestamp,
}

/// Why a logout token is not good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutFault {
    /// It is for somebody else.
    #[error("the logout token is for another client (aud)")]
    Audience,
    /// It is no logout token.
    #[error("the token tells of no logout (events)")]
    Event,
    /// Its time is over, or too long.
    #[error("the logout token has expired, or is good for too long (exp, iat)")]
    Expired,
    /// It was made in the future, or nobody knows when.
    #[error("the logout token is from the future (iat)")]
    Future,
    /// It has no name, so that nobody could tell it from a copy.
    #[error("the logout token has no name (jti)")]
    Id,
    /// Another issuer's.
    #[error("the logout token is another issuer's (iss)")]
    Issuer,
    /// It is typed as something else.
    #[error("the token is no logout token (typ)")]
    Kind,
    /// It may be an ID token in disguise.
    #[error("the logout token has a nonce, which it may not have")]
    Nonce,
    /// It names neither user nor session.
    #[error("the logout token names neither user nor session (sub, sid)")]
    Nobody,
}

/// Checks a logout token.
///
/// # Errors
/// The first thing that is not good.
pub fn check<'t>(
    (kind, claims): (Option<&str>, &'t Claims),
    (issuer, client_id): (&str, &str),
    now: Timestamp,
) -> Result<Over<'t>, LogoutFault> {
    let text = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.as_str())),
        Some(_) => Err(LogoutFault::Nobody),
    };
    let kinds = ["logout+jwt", "jwt"];
    if kind.is_some_and(|kind| !kinds.iter().any(|known| kind.eq_ignore_ascii_case(known))) {
        return Err(LogoutFault::Kind);
    }
    if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
        return Err(LogoutFault::Issuer);
    }
    if !is_for(claims, client_id) {
        return Err(LogoutFault::Audience);
    }
    let expires = expiry(claims, now)?;
    let event = claims.get("events").and_then(|events| events.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(LogoutFault::Event);
    }
    if claims.contains_key("nonce") {
        return Err(LogoutFault::Nonce);
    }
    let id = text("jti").ok().flatten().ok_or(LogoutFault::Id)?;
    let (session, subject) = (text("sid")?, text("sub")?);
    if session.is_none() && subject.is_none() {
        return Err(LogoutFault::Nobody);
    }
    Ok(Over {
        session,
        subject,
        id,
        expires,
    })
}

/// Until when a token is good; one that does not say it is good for a moment.
fn expiry(claims: &Claims, now: Timestamp) -> Result<Timestamp, LogoutFault> {
    let issued = seconds(claims.get("iat")).ok_or(LogoutFault::Future)?;
    if issued > now.after(SKEW) {
        return Err(LogoutFault::Future);
    }
    let expires = match claims.get("exp") {
        Some(expires) => seconds(Some(expires)).ok_or(LogoutFault::Expired)?,
        None => issued.after(MOMENT),
    };
    let expires = expires.after(SKEW);
    // Its name has to be remembered for as long as it is good.
    if expires <= now || expires > now.after(LONGEST) {
        return Err(LogoutFault::Expired);
    }
    Ok(expires)
}

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const MOMENT: Duration = Duration::from_mins(2);
const LONGEST: Duration = Duration::from_hours(1);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn checked(kind: Option<&str>, change: &Value) -> Result<bool, LogoutFault> {
        let mut token = json!({
            "iss": "https://idp.test",
            "aud": ["portway"],
            "iat": 1_800_000_000_u64,
            "exp": 1_800_000_120_u64,
            "jti": "j-1",
            "sid": "s-1",
            "events": { EVENT: {} },
        });
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                token.as_object_mut().unwrap().remove(name);
            } else {
                token[name] = value.clone();
            }
        }
        let expected = ("https://idp.test", "portway");
        let over = check((kind, token.as_object().unwrap()), expected, NOW)?;
        Ok(over.session.is_some())
    }

    #[test]
    fn a_logout_token_names_a_session_or_a_user() {
        assert_eq!(checked(Some("logout+jwt"), &json!({})), Ok(true));
        assert_eq!(checked(None, &json!({ "sub": "7" })), Ok(true));
        let user = json!({ "sub": "7", "sid": null });
        assert_eq!(checked(Some("JWT"), &user), Ok(false));
        assert_eq!(checked(None, &json!({ "exp": null })), Ok(true));
    }

    /// `threats.md` §1.5: forged logout tokens end nothing.
    #[test]
    fn each_thing_that_is_off_refuses_a_logout_token() {
        use LogoutFault as Fault;

        for (change, fault) in [
            (json!({ "iss": "https://other.test" }), Fault::Issuer),
            (json!({ "aud": "other" }), Fault::Audience),
            (json!({ "aud": null }), Fault::Audience),
            (json!({ "iat": null }), Fault::Future),
            (json!({ "iat": 1_800_000_061_u64 }), Fault::Future),
            (json!({ "exp": 1_799_999_940_u64 }), Fault::Expired),
            (json!({ "exp": 1_800_009_999_u64 }), Fault::Expired),
            (
                json!({ "exp": null, "iat": 1_799_999_000_u64 }),
                Fault::Expired,
            ),
            (json!({ "events": null }), Fault::Event),
            (json!({ "events": {} }), Fault::Event),
            (json!({ "events": { EVENT: true } }), Fault::Event),
            (json!({ "events": [EVENT] }), Fault::Event),
            (json!({ "nonce": "n" }), Fault::Nonce),
            (json!({ "jti": null }), Fault::Id),
            (json!({ "jti": "" }), Fault::Id),
            (json!({ "sid": null }), Fault::Nobody),
            (json!({ "sid": 7 }), Fault::Nobody),
            (json!({ "sub": ["7"] }), Fault::Nobody),
        ] {
            assert_eq!(checked(None, &change), Err(fault), "{change}");
        }
        assert_eq!(checked(Some("at+jwt"), &json!({})), Err(Fault::Kind));
    }
}

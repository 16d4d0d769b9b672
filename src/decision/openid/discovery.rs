//! What a provider publishes about itself (OpenID Connect Discovery 1.0 §3).

use std::net::IpAddr;

use http::Uri;
use serde::Deserialize;

/// The name of an issuer, as its tokens spell it: an https URL without query and fragment. A provider on the
/// same machine may be reached without TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    text: Box<str>,
    needs_tls: bool,
}

impl Issuer {
    /// Checks the name of an issuer (OpenID Connect Core 1.0 §2, `iss`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let needs_tls = !is_loopback(&uri);
        let is_one = !text.contains(['?', '#']) && is_reached(&uri, needs_tls);
        is_one.then(|| Self {
            text: Box::from(text),
            needs_tls,
        })
    }

    /// As its tokens spell it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it describes itself (§4.1).
    #[must_use]
    pub fn description(&self) -> String {
        let base = self.text.trim_end_matches('/');
        format!("{base}/.well-known/openid-configuration")
    }

    fn endpoint(&self, name: &'static str, text: &str) -> Result<String, Unusable> {
        let uri = text.parse::<Uri>();
        let is_good = uri.is_ok_and(|uri| is_reached(&uri, self.needs_tls)) && !text.contains('#');
        is_good
            .then(|| text.to_owned())
            .ok_or(Unusable::Endpoint(name))
    }
}

/// How a client says who it is at the token endpoint (OpenID Connect Core 1.0 §9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// By HTTP Basic, with its id and its secret.
    Basic,
    /// With its secret in the form.
    Post,
}

/// What counts of a provider's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Where browsers are sent to sign in.
    pub authorization: String,
    /// Where codes are redeemed.
    pub token: String,
    /// Where its keys are.
    pub keys: String,
    /// Where more is told of a user.
    pub userinfo: Option<String>,
    /// Where browsers are sent to sign out.
    pub end_session: Option<String>,
    /// Whether it says with every answer who gave it (RFC 9207 §3).
    pub names_itself: bool,
    /// How it takes a client's secret.
    pub client_auth: ClientAuth,
}

/// Why a provider's description cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// An endpoint is no URL that may be used.
    #[error("its {0} is no https URL")]
    Endpoint(&'static str),
    /// It is another issuer's.
    #[error("it names itself {0:?}, which is not the issuer that is configured")]
    Issuer(String),
    /// It cannot do what is needed.
    #[error("it does not offer {0}")]
    Lacks(&'static str),
    /// It is no description.
    #[error("its description cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

#[derive(Deserialize)]
struct Written {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    end_session_endpoint: Option<String>,
    #[serde(default)]
    response_types_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl Description {
    /// Reads what a provider says of itself; it has to say who it is, to the letter (§4.3).
    ///
    /// # Errors
    /// When it is another's, or lacks what signing in takes: codes and PKCE by S256.
    pub fn read(issuer: &Issuer, json: &[u8]) -> Result<Self, Unusable> {
        let written: Written = serde_json::from_slice(json)?;
        if written.issuer != issuer.as_str() {
            return Err(Unusable::Issuer(written.issuer));
        }
        // Who lists nothing has not said that it cannot.
        let lacks = |list: &Option<Vec<String>>, wanted: &str| {
            list.as_ref()
                .is_some_and(|list| !list.iter().any(|one| one == wanted))
        };
        if lacks(&written.response_types_supported, "code") {
            return Err(Unusable::Lacks("the code flow"));
        }
        if lacks(&written.code_challenge_methods_supported, "S256") {
            return Err(Unusable::Lacks("PKCE by S256"));
        }
        let methods = &written.token_endpoint_auth_methods_supported;
        let posts = lacks(methods, "client_secret_basic") && !lacks(methods, "client_secret_post");
        let some =
            |name, text: Option<String>| text.map(|text| issuer.endpoint(name, &text)).transpose();
        Ok(Self {
            authorization: issuer
                .endpoint("authorization_endpoint", &written.authorization_endpoint)?,
            token: issuer.endpoint("token_endpoint", &written.token_endpoint)?,
            keys: issuer.endpoint("jwks_uri", &written.jwks_uri)?,
            userinfo: some("userinfo_endpoint", written.userinfo_endpoint)?,
            end_session: some("end_session_endpoint", written.end_session_endpoint)?,
            names_itself: written.authorization_response_iss_parameter_supported,
            client_auth: if posts {
                ClientAuth::Post
            } else {
                ClientAuth::Basic
            },
        })
    }
}

fn is_reached(uri: &Uri, needs_tls: bool) -> bool {
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    let has_user = uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'));
    let is_scheme = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => !needs_tls && is_loopback(uri),
        _ => false,
    };
    has_host && !has_user && is_scheme
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = address.parse().ok();
    address.is_some_and(|address| address.is_loopback()) && uri.scheme_str() == Some("http")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://idp.example.com/realm";

    fn issuer() -> Issuer {
        Issuer::parse(ISSUER).unwrap()
    }

    fn description(change: impl FnOnce(&mut Value)) -> Result<Description, Unusable> {
        let mut written = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example.com/auth?tenant=1",
            "token_endpoint": "https://idp.example.com/token",
            "jwks_uri": "https://keys.example.com/jwks",
            "end_session_endpoint": "https://idp.example.com/logout",
            "code_challenge_methods_supported": ["plain", "S256"],
        });
        change(&mut written);
        Description::read(&issuer(), written.to_string().as_bytes())
    }

    #[test]
    fn a_description_is_that_of_the_issuer_to_the_letter() {
        let read = description(|_| ()).unwrap();
        assert_eq!(read.authorization, "https://idp.example.com/auth?tenant=1");
        assert_eq!(read.client_auth, ClientAuth::Basic);
        assert_eq!(read.userinfo, None);
        for other in [
            "https://idp.example.com/realm/",
            "https://idp.example.com/Realm",
            "https://idp.example.com:443/realm",
            "https://evil.example.com/realm",
        ] {
            let read = description(|written| written["issuer"] = json!(other));
            assert!(matches!(read, Err(Unusable::Issuer(_))), "{other}");
        }
    }

    #[test]
    fn an_endpoint_without_tls_is_not_used() {
        for name in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "end_session_endpoint",
        ] {
            for odd in [
                "http://idp.example.com/x",
                "http://127.0.0.1/x",
                "https://u:p@idp.example.com/x",
                "https:///x",
                "/x",
                "javascript:alert(1)",
            ] {
                let read = description(|written| written[name] = json!(odd));
                assert!(
                    matches!(read, Err(Unusable::Endpoint(said)) if said == name),
                    "{name} {odd} {read:?}"
                );
            }
        }
    }

    #[test]
    fn a_provider_without_codes_or_pkce_is_not_used() {
        let lacks = |name: &str, list| description(|written| written[name] = list);
        let read = lacks("response_types_supported", json!(["id_token"]));
        assert!(matches!(read, Err(Unusable::Lacks(_))));
        let read = lacks("code_challenge_methods_supported", json!(["plain"]));
        assert!(matches!(read, Err(Unusable::Lacks(_))));
        let read = lacks(
            "token_endpoint_auth_methods_supported",
            json!(["client_secret_post"]),
        );
        assert_eq!(read.unwrap().client_auth, ClientAuth::Post);
    }

    #[test]
    fn an_issuer_is_an_https_url_or_on_this_machine() {
        for good in [
            "https://a.example",
            "https://a.example/b/",
            "http://127.0.0.1:4480",
            "http://[::1]:1/x",
        ] {
            assert!(Issuer::parse(good).is_some(), "{good}");
        }
        for bad in [
            "http://a.example",
            "http://localhost:1",
            "https://a.example?x",
            "https://a.example#x",
            "https://u@a.example",
            "a.example",
            "",
        ] {
            assert!(Issuer::parse(bad).is_none(), "{bad}");
        }
        let described = Issuer::parse("https://a.example/b/").unwrap().description();
        assert_eq!(
            described,
            "https://a.example/b/.well-known/openid-configuration"
        );
    }
}

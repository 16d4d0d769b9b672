//! The way to a provider: where a browser is sent to sign in (OpenID Connect Core 1.0 §3.1.2.1).

use form_urlencoded::Serializer;

/// What a browser is sent to a provider with.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Who asks.
    pub client_id: &'a str,
    /// Where the browser is to come back to.
    pub redirect_uri: &'a str,
    /// What is to be told of the user.
    pub scopes: &'a [String],
    /// What comes back with the browser.
    pub state: &'a str,
    /// What comes back in the ID token.
    pub nonce: &'a str,
    /// The challenge by S256 (RFC 7636 §4.2).
    pub challenge: &'a str,
    /// Whether the user is to sign in again, whatever the provider remembers.
    pub again: bool,
    /// What the provider calls the sign-ins that suffice; any where there are none (`acr_values`).
    pub contexts: &'a [&'a str],
}

/// The address at the provider, whose own query is kept.
#[must_use]
pub fn address(endpoint: &str, asked: &Asked<'_>) -> String {
    let mut query = query_behind(endpoint);
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", asked.client_id)
        .append_pair("redirect_uri", asked.redirect_uri)
        .append_pair("scope", &asked.scopes.join(" "))
        .append_pair("state", asked.state)
        .append_pair("nonce", asked.nonce)
        .append_pair("code_challenge", asked.challenge)
        .append_pair("code_challenge_method", "S256");
    if !asked.contexts.is_empty() {
        query.append_pair("acr_values", &asked.contexts.join(" "));
    }
    if asked.again {
        query
            .append_pair("prompt", "login")
            .append_pair("max_age", "0");
    }
    query.finish()
}

/// What a browser is sent to a provider with to sign out there (RP-Initiated Logout 1.0 §2).
#[must_use]
pub fn sign_out(endpoint: &str, client_id: &str, back: &Departing<'_>) -> String {
    query_behind(endpoint)
        .append_pair("client_id", client_id)
        .append_pair("post_logout_redirect_uri", back.address)
        .append_pair("state", back.state)
        .finish()
}

/// What follows is added to the endpoint's own query.
fn query_behind(endpoint: &str) -> Serializer<'static, String> {
    let mut address = String::from(endpoint);
    address.push(if endpoint.contains('?') { '&' } else { '?' });
    let length = address.len();
    Serializer::for_suffix(address, length)
}

/// Where a browser comes back to that has signed out at a provider.
#[derive(Clone, Copy, Debug)]
pub struct Departing<'a> {
    /// The address.
    pub address: &'a str,
    /// What comes back with it.
    pub state: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_of_an_endpoint_is_kept_and_every_value_escaped() {
        let scopes = ["openid".to_owned(), "e mail".to_owned()];
        let asked = Asked {
            client_id: "a&b",
            redirect_uri: "https://login.test/x",
            scopes: &scopes,
            state: "s",
            nonce: "n",
            challenge: "c",
            again: false,
            contexts: &[],
        };
        let address_of = |endpoint, again| address(endpoint, &Asked { again, ..asked });
        assert_eq!(
            address_of("https://idp.test/auth?t=1", false),
            "https://idp.test/auth?t=1&response_type=code&client_id=a%26b\
             &redirect_uri=https%3A%2F%2Flogin.test%2Fx&scope=openid+e+mail&state=s&nonce=n\
             &code_challenge=c&code_challenge_method=S256"
        );
        let again = address_of("https://idp.test/auth", true);
        assert!(again.starts_with("https://idp.test/auth?response_type=code&"));
        assert!(again.ends_with("&prompt=login&max_age=0"), "{again}");
        let contexts = ["urn:two", "urn:three"];
        let better = address(
            "https://idp.test/auth",
            &Asked {
                contexts: &contexts,
                ..asked
            },
        );
        assert!(
            better.ends_with("&acr_values=urn%3Atwo+urn%3Athree"),
            "{better}"
        );
    }
}

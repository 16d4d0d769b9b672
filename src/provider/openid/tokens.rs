//! What is given for a code: the question, by which this client proves itself, and the answer.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use form_urlencoded::Serializer;
use form_urlencoded::byte_serialize;
use http::Request;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use serde::Deserialize;
use serde_json::json;

use crate::decision::openid::discovery::ClientAuth;
use crate::model::secret::Secret;
use crate::ports::entropy::id_bytes;
use crate::ports::relying_party::Arrival;
use crate::ports::relying_party::RelyingError;
use crate::provider::openid::OpenId;
use crate::provider::openid::distrusted;
use crate::provider::openid::errors::AskError;
use crate::provider::openid::errors::Distrusted;
use crate::provider::openid::known::Known;
use crate::provider::openid::signer::Signer;
use crate::provider::openid::signer::Unsigned;
use crate::provider::web::WebError;

/// What a provider gives for a code (OpenID Connect Core 1.0 §3.1.3.3).
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) id_token: String,
}

/// Why it gives none (RFC 6749 §5.2).
#[derive(Deserialize)]
struct NoTokens {
    error: String,
}

impl OpenId {
    /// The question for tokens (OpenID Connect Core 1.0 §3.1.3.1).
    fn token_request(
        &self,
        known: &Known,
        arrival: &Arrival,
    ) -> Result<Request<Full<Bytes>>, AskError> {
        let client_id = self.settings.client_id.as_str();
        let text = |secret: &Secret| String::from_utf8_lossy(secret.expose()).into_owned();
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", &text(&arrival.code))
            .append_pair("redirect_uri", &arrival.redirect_uri)
            .append_pair("code_verifier", &text(&arrival.verifier));
        let mut request = Request::post(&known.description.token)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(signer) = &self.signer {
            form.append_pair("client_id", client_id)
                .append_pair("client_assertion_type", ASSERTION)
                .append_pair("client_assertion", &self.assertion(signer, known)?);
            return Ok(request
                .body(Full::from(form.finish()))
                .map_err(WebError::from)?);
        }
        match (&self.settings.client_secret, known.description.client_auth) {
            (Some(secret), ClientAuth::Basic) => {
                request = request.header(header::AUTHORIZATION, basic(client_id, secret));
            }
            (Some(secret), ClientAuth::Post) => {
                form.append_pair("client_id", client_id)
                    .append_pair("client_secret", &text(secret));
            }
            (None, _) => {
                form.append_pair("client_id", client_id);
            }
        }
        Ok(request
            .body(Full::from(form.finish()))
            .map_err(WebError::from)?)
    }

    /// Proves that this client asks (OpenID Connect Core 1.0 §9, `private_key_jwt`).
    fn assertion(&self, signer: &Signer, known: &Known) -> Result<String, Unsigned> {
        let client_id = self.settings.client_id.as_str();
        let now = self.clock.now();
        signer.sign(&json!({
            "iss": client_id,
            "sub": client_id,
            "aud": known.description.token,
            "jti": URL_SAFE_NO_PAD.encode(id_bytes(self.entropy.as_ref())),
            "iat": now.as_secs(),
            "exp": now.after(ASSERTED_FOR).as_secs(),
        }))
    }

    /// Redeems a code.
    pub(super) async fn tokens(
        &self,
        known: &Known,
        arrival: &Arrival,
    ) -> Result<Tokens, RelyingError> {
        let request = self.token_request(known, arrival);
        let request = request.map_err(|error| self.unavailable(error))?;
        let answer = self.web.call(request).await;
        let answer = answer.map_err(|error| self.unavailable(error.into()))?;
        let unreadable = |error| self.unavailable(AskError::Unreadable(error, TOKENS));
        if answer.status() == StatusCode::OK {
            return serde_json::from_slice(answer.body()).map_err(unreadable);
        }
        // Whoever is refused as a client is told it with 400 or 401, as is a code that is not good.
        let said: Option<NoTokens> = serde_json::from_slice(answer.body()).ok();
        Err(match said {
            Some(said) if said.error == "invalid_grant" => distrusted(Distrusted::Code),
            Some(said) => self.unavailable(AskError::Client(said.error)),
            None => self.unavailable(AskError::Status(answer.status(), TOKENS)),
        })
    }
}

/// Both are escaped first (RFC 6749 §2.3.1).
fn basic(client_id: &str, secret: &Secret) -> String {
    let id: String = byte_serialize(client_id.as_bytes()).collect();
    let secret: String = byte_serialize(secret.expose()).collect();
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const ASSERTED_FOR: Duration = Duration::from_mins(1);

const TOKENS: &str = "its token endpoint";

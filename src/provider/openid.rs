//! A provider of OpenID Connect: where users are sent to sign in, and what is made of their coming back.
//!
//! What a provider says of itself and its keys are fetched when they are first needed and kept; while it cannot
//! be asked, what it said last goes on. What counts of it, `decision::openid` says.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use form_urlencoded::Serializer;
use form_urlencoded::byte_serialize;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::config::OpenIdProvider;
use crate::crypto::jose::SignedToken;
use crate::crypto::jose::Unverified;
use crate::decision::openid::authorization;
use crate::decision::openid::authorization::Asked;
use crate::decision::openid::authorization::Departing;
use crate::decision::openid::claim_map::Told;
use crate::decision::openid::claims;
use crate::decision::openid::claims::Claims;
use crate::decision::openid::claims::Expected;
use crate::decision::openid::discovery::ClientAuth;
use crate::decision::openid::logout;
use crate::decision::openid::logout::Over;
use crate::model::end::ProviderEnd;
use crate::model::id::ProviderSessionId;
use crate::model::id::TokenId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::identity::Vouched;
use crate::model::name::GroupName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::relying_party::Arrival;
use crate::ports::relying_party::Departure;
use crate::ports::relying_party::LogoutNotice;
use crate::ports::relying_party::RelyingError;
use crate::ports::relying_party::RelyingParty;
use crate::provider::openid::errors::AskError;
use crate::provider::openid::errors::Distrusted;
use crate::provider::openid::known::Known;
use crate::provider::web::TrustError;
use crate::provider::web::Web;
use crate::provider::web::WebError;

mod errors;
mod known;

/// A provider, and what is known of it.
pub struct OpenId {
    settings: OpenIdProvider,
    web: Web,
    clock: Arc<dyn Clock>,
    known: ArcSwapOption<Known>,
    /// Held while it is asked: those who need the answer wait for one question. When that was last.
    asking: Mutex<Option<Timestamp>>,
}

/// What a provider gives for a code (OpenID Connect Core 1.0 §3.1.3.3).
#[derive(Deserialize)]
struct Tokens {
    access_token: String,
    id_token: String,
}

/// Why it gives none (RFC 6749 §5.2).
#[derive(Deserialize)]
struct NoTokens {
    error: String,
}

impl OpenId {
    /// Makes ready to ask a provider; it is not asked yet.
    ///
    /// # Errors
    /// When the certificates of those who vouch for it cannot be used.
    pub fn new(settings: OpenIdProvider, clock: Arc<dyn Clock>) -> Result<Self, TrustError> {
        Ok(Self {
            web: Web::new(settings.ca_pem.as_deref(), settings.timeout)?,
            settings,
            clock,
            known: ArcSwapOption::empty(),
            asking: Mutex::default(),
        })
    }

    /// What the operator configured.
    #[must_use]
    pub const fn settings(&self) -> &OpenIdProvider {
        &self.settings
    }

    /// The question for tokens (OpenID Connect Core 1.0 §3.1.3.1).
    fn token_request(
        &self,
        known: &Known,
        arrival: &Arrival,
    ) -> Result<Request<Full<Bytes>>, WebError> {
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
        Ok(request.body(Full::from(form.finish()))?)
    }

    /// Redeems a code.
    async fn tokens(&self, known: &Known, arrival: &Arrival) -> Result<Tokens, RelyingError> {
        let request = self.token_request(known, arrival);
        let request = request.map_err(|error| self.unavailable(error.into()))?;
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

    /// The type and the claims of a token whose signature is verified. Where it is by a key that is not known, the
    /// provider is asked for its keys again, but not by everybody.
    async fn verified(
        &self,
        known: Arc<Known>,
        token: &str,
    ) -> Result<(Option<String>, Claims), RelyingError> {
        let verified = match SignedToken::read(token).and_then(|token| token.verify(&known.keys)) {
            Err(Unverified::UnknownKey) => {
                let known = self.ask(Some(known)).await?;
                SignedToken::read(token).and_then(|token| token.verify(&known.keys))
            }
            verified => verified,
        };
        let payload = verified.map_err(|error| distrusted(error.into()))?;
        let claims = serde_json::from_slice(&payload.bytes);
        let claims = claims.map_err(|_| distrusted(Distrusted::Unreadable))?;
        Ok((payload.kind, claims))
    }

    /// Adds what the provider tells of the user elsewhere, where its token lacks something that is mapped (OpenID
    /// Connect Core 1.0 §5.3). What the token says counts.
    async fn completed(
        &self,
        known: &Known,
        mut claims: Claims,
        access_token: &str,
    ) -> Result<Claims, RelyingError> {
        let Some(address) = &known.description.userinfo else {
            return Ok(claims);
        };
        if !self.settings.claims.misses(&claims) {
            return Ok(claims);
        }
        let request = Request::get(address)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {access_token}"))
            .body(Full::<Bytes>::default());
        let told = async {
            let answer = self.web.call(request.map_err(WebError::from)?).await?;
            let answer = good(answer, USERINFO)?;
            let told: Claims = serde_json::from_slice(answer.body())
                .map_err(|error| AskError::Unreadable(error, USERINFO))?;
            Ok::<_, AskError>(told)
        };
        let told = told.await.map_err(|error| self.unavailable(error))?;
        if told.get("sub") != claims.get("sub") {
            return Err(distrusted(Distrusted::Userinfo));
        }
        for (name, value) in told {
            claims.entry(name).or_insert(value);
        }
        Ok(claims)
    }

    /// What is over. A user is known by `sub` alone where that is who users are.
    fn over(&self, over: &Over<'_>) -> Result<ProviderEnd, Distrusted> {
        if let Some(session) = over.session {
            let issuer = self.settings.issuer.as_str();
            return Ok(ProviderEnd::Session(ProviderSessionId::of(issuer, session)));
        }
        let subject = over
            .subject
            .filter(|_| self.settings.claims.is_by_subject());
        let subject = subject.and_then(|subject| UserName::parse(subject).ok());
        Ok(ProviderEnd::User {
            store: self.settings.store.clone(),
            subject: subject.ok_or(Distrusted::Unnamed)?,
        })
    }

    fn unavailable(&self, error: AskError) -> RelyingError {
        RelyingError::Unavailable(self.settings.store.clone(), error.into())
    }
}

#[async_trait]
impl RelyingParty for OpenId {
    fn store(&self) -> &StoreName {
        &self.settings.store
    }

    fn title(&self) -> &str {
        &self.settings.title
    }

    fn level(&self) -> AuthLevel {
        self.settings.level
    }

    async fn depart(&self, departure: Departure) -> Result<String, RelyingError> {
        let known = self.known().await?;
        let asked = Asked {
            client_id: &self.settings.client_id,
            redirect_uri: &departure.redirect_uri,
            scopes: &self.settings.scopes,
            state: &departure.state,
            nonce: &departure.nonce,
            challenge: &departure.challenge,
            again: departure.again,
        };
        Ok(authorization::address(
            &known.description.authorization,
            &asked,
        ))
    }

    async fn logged_out(&self, token: &Secret) -> Result<LogoutNotice, RelyingError> {
        let text = std::str::from_utf8(token.expose());
        let text = text.map_err(|_| distrusted(Distrusted::Unreadable))?;
        let known = self.known().await?;
        let (kind, claims) = self.verified(known, text).await?;
        let own = (
            self.settings.issuer.as_str(),
            self.settings.client_id.as_str(),
        );
        let over = logout::check((kind.as_deref(), &claims), own, self.clock.now());
        let over = over.map_err(|fault| distrusted(fault.into()))?;
        Ok(LogoutNotice {
            over: self.over(&over).map_err(distrusted)?,
            id: TokenId::of(own.0, over.id),
            expires: over.expires,
        })
    }

    fn logged_out_in_front(&self, issuer: &str, session: &str) -> Option<ProviderEnd> {
        let is_own = issuer == self.settings.issuer.as_str() && !session.is_empty();
        is_own.then(|| ProviderEnd::Session(ProviderSessionId::of(issuer, session)))
    }

    async fn sign_out(&self, address: &str, state: &str) -> Option<String> {
        if !self.settings.rp_initiated_logout {
            return None;
        }
        let known = self.known().await.ok()?;
        let endpoint = known.description.end_session.as_deref()?;
        let back = Departing { address, state };
        Some(authorization::sign_out(
            endpoint,
            &self.settings.client_id,
            &back,
        ))
    }

    async fn redeem(&self, arrival: Arrival) -> Result<Vouched, RelyingError> {
        let known = self.known().await?;
        let issuer = self.settings.issuer.as_str();
        // RFC 9207 §2.4: a code for another provider never gets to this one.
        match arrival.issuer.as_deref() {
            Some(said) if said != issuer => return Err(distrusted(Distrusted::MixedUp)),
            None if known.description.names_itself => {
                return Err(distrusted(Distrusted::MixedUp));
            }
            _ => {}
        }
        let tokens = self.tokens(&known, &arrival).await?;
        let (_, claims) = self.verified(Arc::clone(&known), &tokens.id_token).await?;
        let expected = Expected {
            issuer,
            client_id: &self.settings.client_id,
            nonce: &arrival.nonce,
            now: self.clock.now(),
            since: arrival.since,
        };
        claims::check(&claims, &expected).map_err(|fault| distrusted(fault.into()))?;
        let session = claims.get("sid").and_then(|sid| sid.as_str());
        let session = session.map(|sid| ProviderSessionId::of(issuer, sid));
        let claims = self.completed(&known, claims, &tokens.access_token).await?;
        let told = self.settings.claims.told(&claims);
        Ok(Vouched {
            identity: identity(self.store(), told).map_err(distrusted)?,
            level: self.settings.level,
            session,
        })
    }
}

impl std::fmt::Debug for OpenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenId")
            .field("store", &self.settings.store)
            .finish_non_exhaustive()
    }
}

/// Who it is.
fn identity(store: &StoreName, told: Told) -> Result<Identity, Distrusted> {
    let user = told.user.ok_or(Distrusted::Nameless)?;
    let groups = told.groups.iter();
    let mut known: Vec<GroupName> = Vec::new();
    for group in groups.filter_map(|group| GroupName::parse(group).ok()) {
        if known.len() < GROUPS_MAX && !known.contains(&group) {
            known.push(group);
        }
    }
    Ok(Identity {
        store: store.clone(),
        subject: UserName::parse(&user).map_err(|_| Distrusted::Nameless)?,
        name: told.name,
        email: told.email,
        groups: known,
        attributes: told.attributes,
    })
}

fn good(answer: Response<Bytes>, what: &'static str) -> Result<Response<Bytes>, AskError> {
    match answer.status() {
        StatusCode::OK => Ok(answer),
        other => Err(AskError::Status(other, what)),
    }
}

fn distrusted(why: Distrusted) -> RelyingError {
    RelyingError::Refused(why.into())
}

/// Both are escaped first (RFC 6749 §2.3.1).
fn basic(client_id: &str, secret: &Secret) -> String {
    let id: String = byte_serialize(client_id.as_bytes()).collect();
    let secret: String = byte_serialize(secret.expose()).collect();
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

const TOKENS: &str = "its token endpoint";
/// Most groups that are kept of a user.
const GROUPS_MAX: usize = 1000;
const USERINFO: &str = "its userinfo endpoint";

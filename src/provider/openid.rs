//! A provider of OpenID Connect: where users are sent to sign in, and what is made of their coming back.
//!
//! What a provider says of itself and its keys are fetched when they are first needed and kept; while it cannot
//! be asked, what it said last goes on. What counts of it, `decision::openid` says.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::Full;
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
use crate::ports::entropy::Entropy;
use crate::ports::relying_party::Arrival;
use crate::ports::relying_party::Departure;
use crate::ports::relying_party::LogoutNotice;
use crate::ports::relying_party::RelyingError;
use crate::ports::relying_party::RelyingParty;
use crate::provider::openid::errors::AskError;
use crate::provider::openid::errors::Distrusted;
use crate::provider::openid::known::Known;
use crate::provider::openid::signer::NotASigner;
use crate::provider::openid::signer::Signer;
use crate::provider::web::TrustError;
use crate::provider::web::Web;
use crate::provider::web::WebError;

mod errors;
mod known;
pub mod signer;
mod tokens;

/// A provider, and what is known of it.
pub struct OpenId {
    settings: OpenIdProvider,
    web: Web,
    signer: Option<Signer>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    known: ArcSwapOption<Known>,
    /// Held while it is asked: those who need the answer wait for one question. When that was last.
    asking: Mutex<Option<Timestamp>>,
}

/// Why a provider cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum NotUsable {
    /// The key of the client signs nothing.
    #[error("the key of the client cannot be used")]
    Key(#[from] NotASigner),
    /// Nobody can be verified.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

impl OpenId {
    /// Makes ready to ask a provider; it is not asked yet.
    ///
    /// # Errors
    /// When the certificates of those who vouch for it, or the client's key, cannot be used.
    pub fn new(
        settings: OpenIdProvider,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, NotUsable> {
        let (web, signer) = parts(&settings)?;
        Ok(Self {
            web,
            signer,
            settings,
            clock,
            entropy,
            known: ArcSwapOption::empty(),
            asking: Mutex::default(),
        })
    }

    /// Whether a provider can be asked as it is configured.
    ///
    /// # Errors
    /// As for [`Self::new`].
    pub fn check(settings: &OpenIdProvider) -> Result<(), NotUsable> {
        parts(settings).map(drop)
    }

    /// What the operator configured.
    #[must_use]
    pub const fn settings(&self) -> &OpenIdProvider {
        &self.settings
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

    /// What the provider calls sign-ins that give this level, where an ordinary one does not.
    fn contexts(&self, level: AuthLevel) -> Vec<&str> {
        if level <= self.settings.level {
            return Vec::new();
        }
        let levels = self.settings.levels.iter();
        let enough = levels.filter(|(_, given)| *given >= level);
        enough.map(|(name, _)| name.as_str()).collect()
    }

    /// The level that a sign-in has given, by what the provider calls it.
    fn level_of(&self, claims: &Claims) -> AuthLevel {
        let context = claims.get("acr").and_then(|acr| acr.as_str());
        let mut levels = self.settings.levels.iter();
        let named = context.and_then(|context| levels.find(|(name, _)| name == context));
        named.map_or(self.settings.level, |(_, level)| *level)
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
        self.settings.level_max()
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
            contexts: &self.contexts(departure.level),
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
        let level = self.level_of(&claims);
        let claims = self.completed(&known, claims, &tokens.access_token).await?;
        let told = self.settings.claims.told(&claims);
        Ok(Vouched {
            identity: identity(self.store(), told).map_err(distrusted)?,
            level,
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

fn parts(settings: &OpenIdProvider) -> Result<(Web, Option<Signer>), NotUsable> {
    let key = settings.client_key.as_ref();
    let signer = key.map(|key| Signer::read(&key.pem, key.id.clone()));
    let web = Web::new(settings.ca_pem.as_deref(), settings.timeout)?;
    Ok((web, signer.transpose()?))
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

/// Most groups that are kept of a user.
const GROUPS_MAX: usize = 1000;
const USERINFO: &str = "its userinfo endpoint";

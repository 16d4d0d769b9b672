//! The port to providers at which users sign in elsewhere: where to send a browser, and who it is that came
//! back.

use async_trait::async_trait;

use crate::model::end::ProviderEnd;
use crate::model::id::TokenId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Vouched;
use crate::model::name::StoreName;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// What a browser is sent to a provider with.
#[derive(Clone, Debug)]
pub struct Departure {
    /// What comes back with it.
    pub state: String,
    /// What comes back in the token.
    pub nonce: String,
    /// The challenge by S256 to the verifier of [`Arrival`] (RFC 7636).
    pub challenge: String,
    /// Where it is to come back to.
    pub redirect_uri: String,
    /// Whether the user is to sign in again, whatever the provider remembers.
    pub again: bool,
    /// The level that the sign-in is to give.
    pub level: AuthLevel,
}

/// What a browser comes back from a provider with.
#[derive(Debug)]
pub struct Arrival {
    /// Good once, for a token.
    pub code: Secret,
    /// Proves that it is redeemed by whom it was asked for.
    pub verifier: Secret,
    /// What the token has to say.
    pub nonce: Secret,
    /// Who is said to have sent the browser back (RFC 9207).
    pub issuer: Option<String>,
    /// Where it came back to.
    pub redirect_uri: String,
    /// Since when the user has to have signed in there, where that was asked for.
    pub since: Option<Timestamp>,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum RelyingError {
    /// The provider vouches for nobody, or its word is not taken.
    #[error("the sign-in was refused")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The provider could not be asked.
    #[error("the identity provider {0} gave no answer that can be used")]
    Unavailable(
        StoreName,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
}

/// What a logout token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotice {
    /// What is over.
    pub over: ProviderEnd,
    /// By this the token is spent: it is heard once.
    pub id: TokenId,
    /// When the token stops being good.
    pub expires: Timestamp,
}

/// A provider at which users sign in elsewhere. One that takes a token that is not for this sign-in signs one user
/// in as another.
#[async_trait]
pub trait RelyingParty: Send + Sync + 'static {
    /// The name of the store behind it, the same in every data centre (MDC-ADOPT-8).
    fn store(&self) -> &StoreName;

    /// What users know it by.
    fn title(&self) -> &str;

    /// How sure a sign-in there makes us at the most.
    fn level(&self) -> AuthLevel;

    /// The address to send a browser to.
    ///
    /// # Errors
    /// When the provider has not said where that is.
    async fn depart(&self, departure: Departure) -> Result<String, RelyingError>;

    /// Who it is that came back.
    ///
    /// # Errors
    /// See [`RelyingError`]; nothing in it may reach the client.
    async fn redeem(&self, arrival: Arrival) -> Result<Vouched, RelyingError>;

    /// What a logout token says is over (OpenID Connect Back-Channel Logout 1.0 §2.6).
    ///
    /// # Errors
    /// See [`RelyingError`]; nothing is over then.
    async fn logged_out(&self, token: &Secret) -> Result<LogoutNotice, RelyingError>;

    /// What is over where a browser says so on behalf of the provider (Front-Channel Logout 1.0 §2); nothing where
    /// that is another provider.
    fn logged_out_in_front(&self, issuer: &str, session: &str) -> Option<ProviderEnd>;

    /// Where a browser signs out at the provider (RP-Initiated Logout 1.0 §2), which sends it back to `address` with
    /// `state`; nowhere where it need not, or cannot at the moment.
    async fn sign_out(&self, address: &str, state: &str) -> Option<String>;
}

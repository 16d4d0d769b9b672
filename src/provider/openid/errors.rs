//! Why nobody is signed in at a provider. The client sees none of it.

use http::StatusCode;

use crate::crypto::jose::Unverified;
use crate::crypto::jose::keys::NotAKeySet;
use crate::decision::openid::claims::ClaimFault;
use crate::decision::openid::discovery::Unusable;
use crate::decision::openid::logout::LogoutFault;
use crate::provider::openid::signer::Unsigned;
use crate::provider::web::WebError;

/// Why nothing came of asking a provider.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error("what it says of itself cannot be used")]
    Description(#[from] Unusable),
    #[error("its keys cannot be read")]
    Keys(#[from] NotAKeySet),
    #[error("it gave no answer a moment ago")]
    Lately,
    #[error("it has no key that is known")]
    NoKeys,
    #[error("it answers with {0} at {1}")]
    Status(StatusCode, &'static str),
    /// The code is OAuth's (RFC 6749 §5.2).
    #[error("it does not take this client: {0}")]
    Client(String),
    #[error("its answer at {1} cannot be read")]
    Unreadable(#[source] serde_json::Error, &'static str),
    #[error(transparent)]
    Unsigned(#[from] Unsigned),
    #[error(transparent)]
    Web(#[from] WebError),
}

/// Why the word of a provider is not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Distrusted {
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    #[error("the code is not good (any more)")]
    Code,
    #[error(transparent)]
    Logout(#[from] LogoutFault),
    #[error("another provider sent the browser back (iss)")]
    MixedUp,
    #[error("the claims have no user name that can be used")]
    Nameless,
    #[error(transparent)]
    Token(#[from] Unverified),
    #[error("the logout token names a user alone, and users are not known by `sub` here")]
    Unnamed,
    #[error("what it tells of the user is of another user")]
    Userinfo,
    #[error("the claims of the token cannot be read")]
    Unreadable,
}

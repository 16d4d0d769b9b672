//! What the operator configured about signing in: how users prove who they are, and how the pages look.

use std::path::PathBuf;
use std::time::Duration;

use crate::decision::openid::claim_map::ClaimMap;
use crate::decision::openid::discovery::Issuer;
use crate::decision::password::PasswordRules;
use crate::decision::throttle::ThrottleRules;
use crate::model::identity::AuthLevel;
use crate::model::name::StoreName;
use crate::model::secret::Secret;

/// How users prove who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authentication {
    /// The name of the identity store (MDC-ADOPT-8).
    pub store: StoreName,
    /// The file of users and password hashes.
    pub users_file: PathBuf,
    /// The level a password gives.
    pub level: AuthLevel,
    /// Password hashes computed at the same time.
    pub hashing_threads: usize,
    /// Sign-ins that may wait for one; more are told to try again.
    pub hashing_queue: usize,
    /// What a new password has to be.
    pub password: PasswordRules,
    /// How often passwords may be guessed.
    pub throttle: ThrottleRules,
}

/// A provider of OpenID Connect at which users sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIdProvider {
    /// The name of the identity store that it is (MDC-ADOPT-8).
    pub store: StoreName,
    /// What users know it by.
    pub title: String,
    /// Its name in its tokens.
    pub issuer: Issuer,
    /// The name of this client there.
    pub client_id: String,
    /// Proves that it is this client; none of a public one.
    pub client_secret: Option<Secret>,
    /// Proves the same by a signature, in place of a secret (`private_key_jwt`).
    pub client_key: Option<ClientKey>,
    /// What it is asked to tell of users.
    pub scopes: Vec<String>,
    /// Which of its claims say what.
    pub claims: ClaimMap,
    /// The level that a sign-in there gives.
    pub level: AuthLevel,
    /// The levels of sign-ins that the provider calls by these names (`acr`).
    pub levels: Vec<(String, AuthLevel)>,
    /// Who vouches for its certificate; the platform's where there is none.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether whoever signs out here does so there as well.
    pub rp_initiated_logout: bool,
    /// For each call.
    pub timeout: Duration,
}

/// A private key by which a client proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// The key, as PEM.
    pub pem: Secret,
    /// The name by which the provider knows it.
    pub id: Option<String>,
}

impl OpenIdProvider {
    /// The highest level that a sign-in there gives.
    #[must_use]
    pub fn level_max(&self) -> AuthLevel {
        let named = self.levels.iter().map(|(_, level)| *level);
        named.fold(self.level, AuthLevel::max)
    }
}

/// How Portway's own pages look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// The folder with the operator's templates, texts and files.
    pub templates_dir: Option<PathBuf>,
    /// What is spoken to those who ask for no language that is spoken, in lower case.
    pub language: String,
}

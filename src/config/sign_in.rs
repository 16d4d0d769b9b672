//! What the operator configured about signing in: how users prove who they are, and how the pages look.

use std::path::PathBuf;

use crate::decision::password::PasswordRules;
use crate::decision::throttle::ThrottleRules;
use crate::model::identity::AuthLevel;
use crate::model::name::StoreName;

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

/// How Portway's own pages look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branding {
    /// The folder with the operator's templates, texts and files.
    pub templates_dir: Option<PathBuf>,
    /// What is spoken to those who ask for no language that is spoken, in lower case.
    pub language: String,
}

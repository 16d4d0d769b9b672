//! The engine: holds sessions, signs users in, ends sessions, keeps house.
//!
//! It works through ports only and never waits on a timer or starts a task: `app` drives its background
//! steps. Policy and routing are the gate's.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use crate::decision::kept_posts::KeptPosts;
use crate::decision::kept_posts::KeptRules;
use crate::decision::password::PasswordRules;
use crate::decision::throttle::ThrottleRules;
use crate::model::id::SsoId;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::ports::audit_trail::AuditTrail;
use crate::ports::audit_trail::NoTrail;
use crate::ports::clock::Clock;
use crate::ports::end_log::EndLog;
use crate::ports::entropy::Entropy;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::peer_channel::PeerChannel;
use crate::ports::session_store::SessionStore;

mod adoption;
mod attempts;
mod audit;
mod attributes;
pub mod collector;
mod counts;
mod errands;
mod federation;
mod following;
mod housekeeping;
mod login;
mod logout;
mod password;
mod peering;
mod reconciliation;
mod refusals;
pub mod remembered;
mod rereading;
mod sessions;
pub(crate) mod spent;
mod surplus;
mod yielding;

use crate::engine::attempts::Attempts;
use crate::engine::federation::Federation;
pub use crate::engine::federation::FederationSettings;
pub use crate::engine::federation::OwnKeys;
pub use crate::engine::following::Followed;
pub use crate::engine::following::PeerReport;
pub use crate::engine::following::Stores;
pub use crate::engine::housekeeping::Swept;
pub use crate::engine::rereading::RereadPiece;
use crate::engine::spent::SpentTokens;

/// What an engine is made of.
#[derive(Clone)]
pub struct EngineParts {
    /// The session records.
    pub store: Arc<dyn SessionStore>,
    /// The end log, one with the store (S-17).
    pub ends: Arc<dyn EndLog>,
    /// The engines of other data centres.
    pub peers: Arc<dyn PeerChannel>,
    /// Who verifies credentials.
    pub provider: Arc<dyn IdentityProvider>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for EngineParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineParts").finish_non_exhaustive()
    }
}

/// How long sessions live.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// This data centre.
    pub cluster: ClusterId,
    /// A session that saw no request for this long is over.
    pub idle_timeout: Duration,
    /// A session is over this long after the first authentication.
    pub lifetime: Duration,
    /// The most sessions a user may have (S-21).
    pub per_user_max: usize,
    /// How many posts of users who are signing in are kept.
    pub kept_posts: KeptRules,
    /// What a new password has to be.
    pub password: PasswordRules,
    /// How often credentials may be guessed.
    pub throttle: ThrottleRules,
    /// What is done about other data centres; none where there is one.
    pub federation: Option<FederationSettings>,
}

/// What of the settings may change while sessions live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionTerms {
    /// A session that saw no request for this long is over.
    pub idle_timeout: Duration,
    /// A session that begins is over this long after the first authentication.
    pub lifetime: Duration,
    /// The most sessions a user may have (S-21).
    pub per_user_max: usize,
    /// How many posts of users who are signing in are kept.
    pub kept_posts: KeptRules,
    /// What a new password has to be.
    pub password: PasswordRules,
}

/// The engine of a node that holds sessions itself.
pub struct EmbeddedEngine {
    parts: EngineParts,
    cluster: ClusterId,
    terms: ArcSwap<SessionTerms>,
    /// The stores of providers at which users sign in elsewhere.
    stores: ArcSwap<Vec<StoreName>>,
    /// What is known of other data centres; none where there is one.
    federation: Option<Federation>,
    spent: SpentTokens,
    attempts: Attempts,
    /// Posts of users who are signing in.
    posts: Mutex<KeptPosts>,
    audit: Arc<dyn AuditTrail>,
    ended: broadcast::Sender<SsoId>,
}

impl EmbeddedEngine {
    /// Puts an engine together.
    #[must_use]
    pub fn new(parts: EngineParts, settings: EngineSettings) -> Self {
        let (ended, _) = broadcast::channel(ENDED_BUFFER);
        let terms = SessionTerms {
            idle_timeout: settings.idle_timeout,
            lifetime: settings.lifetime,
            per_user_max: settings.per_user_max,
            kept_posts: settings.kept_posts,
            password: settings.password,
        };
        let federation = settings
            .federation
            .map(|settings| Federation::new(settings, parts.peers.peers(), parts.ends.as_ref()));
        let attempts = Attempts::new(settings.throttle, parts.entropy.as_ref());
        Self {
            federation,
            attempts,
            posts: Mutex::new(KeptPosts::new(settings.kept_posts)),
            parts,
            cluster: settings.cluster,
            terms: ArcSwap::from_pointee(terms),
            stores: ArcSwap::default(),
            spent: SpentTokens::default(),
            audit: Arc::new(NoTrail),
            ended,
        }
    }

    /// Has what happens noted in a trail.
    #[must_use]
    pub fn with_audit(mut self, audit: Arc<dyn AuditTrail>) -> Self {
        self.audit = audit;
        self
    }

    /// Goes by other terms from now on. Sessions that stand keep the end that they were given.
    pub fn retune(&self, terms: SessionTerms, throttle: ThrottleRules) {
        self.attempts.retune(throttle);
        self.posts.lock().retune(terms.kept_posts);
        self.terms.store(Arc::new(terms));
    }

    /// Takes the word of providers with these stores from now on, and of no others.
    pub fn rely_on(&self, stores: Vec<StoreName>) {
        self.stores.store(Arc::new(stores));
    }

    /// The stores whose users it knows: that of passwords first.
    fn known_stores(&self) -> Vec<StoreName> {
        let own = self.parts.provider.store().clone();
        let elsewhere = self.stores.load();
        std::iter::once(own)
            .chain(elsewhere.iter().cloned())
            .collect()
    }

    /// What it goes by.
    #[must_use]
    pub fn terms(&self) -> SessionTerms {
        **self.terms.load()
    }

    /// How many sign-ins there were, by what came of them.
    #[must_use]
    pub fn sign_ins(&self) -> Vec<(&'static str, u64)> {
        self.attempts.counts()
    }

    /// By which the watchers are told of sessions that stop serving.
    #[must_use]
    pub fn announcer(&self) -> broadcast::Sender<SsoId> {
        self.ended.clone()
    }

    /// Tells the watchers that a session stopped serving. Nobody listening is fine.
    fn announce(&self, sso: SsoId) {
        self.ended.send(sso).ok();
    }
}

impl std::fmt::Debug for EmbeddedEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedEngine")
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

/// Tries to replace a record that others keep changing before giving up.
const REPLACE_TRIES_MAX: usize = 16;

/// Ends that a slow watcher may lag behind before it has to look every session up.
const ENDED_BUFFER: usize = 8192;

#[cfg(test)]
mod tests;

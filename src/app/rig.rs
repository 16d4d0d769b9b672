//! An engine with nothing behind it, for the tests of what `app` does around one.

use std::sync::Arc;
use std::time::Duration;

use crate::decision::kept_posts::KeptRules;
use crate::decision::password::PasswordRules;
use crate::decision::throttle::ThrottleRules;
use crate::engine::EmbeddedEngine;
use crate::engine::EngineParts;
use crate::engine::EngineSettings;
use crate::model::end::Incarnation;
use crate::model::name::ClusterId;
use crate::model::time::Timestamp;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::peer_channel::NoPeers;
use crate::store::memory::MemoryStore;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

/// An empty store.
pub(super) fn store() -> Arc<MemoryStore> {
    let (incarnation, began) = (Incarnation([1; 16]), Timestamp::from_millis(0));
    Arc::new(MemoryStore::new(incarnation, began))
}

/// The engine of a single data centre, over this store and these users.
pub(super) fn engine(
    store: &Arc<MemoryStore>,
    provider: Arc<dyn IdentityProvider>,
) -> Arc<EmbeddedEngine> {
    let parts = EngineParts {
        store: Arc::<MemoryStore>::clone(store),
        ends: Arc::<MemoryStore>::clone(store),
        peers: Arc::new(NoPeers),
        provider,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
    };
    let settings = EngineSettings {
        cluster: ClusterId::parse("here").unwrap(),
        idle_timeout: Duration::from_secs(60),
        lifetime: Duration::from_secs(60),
        per_user_max: 1,
        kept_posts: KeptRules::default(),
        password: PasswordRules::default(),
        throttle: ThrottleRules::default(),
        federation: None,
    };
    Arc::new(EmbeddedEngine::new(parts, settings))
}

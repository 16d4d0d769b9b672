//! An engine with nothing behind it, for the tests of what `app` does around one.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use crate::decision::kept_posts::KeptRules;
use crate::decision::password::PasswordRules;
use crate::decision::throttle::ThrottleRules;
use crate::engine::EmbeddedEngine;
use crate::engine::EngineParts;
use crate::engine::EngineSettings;
use crate::model::end::Incarnation;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Attributes;
use crate::model::session::Generation;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
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

/// A session of somebody.
pub(super) fn session((sso, id): (SsoId, SessionId), at: Timestamp) -> Session {
    let subject = UserName::parse("alice").unwrap();
    let store = StoreName::parse("staff").unwrap();
    Session {
        id,
        facts: SsoFacts {
            sso,
            subject: subject.clone(),
            store: store.clone(),
            first_authenticated: at,
            expires: at.after(Duration::from_secs(60)),
            generation: Generation(0),
            level: AuthLevel::MAX,
            level_reached: at,
        },
        state: SessionState::Live,
        identity: Identity {
            store,
            subject,
            name: None,
            email: None,
            groups: Vec::new(),
            attributes: Default::default(),
        },
        last_access: at,
        client_address: Ipv4Addr::LOCALHOST.into(),
        held_since: at,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: None,
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    }
}

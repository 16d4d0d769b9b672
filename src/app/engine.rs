//! The engine of a node: its own, with store, users and back-channel, or those of others.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use crate::app::assembly::Ports;
use crate::app::door::Door;
use crate::app::federation;
use crate::app::federation::Answering;
use crate::app::federation::Federation;
use crate::app::reopenable::Reopenable;
use crate::app::reopenable::Stores;
use crate::app::users::UsersWatch;
use crate::backchannel::RemoteEngine;
use crate::backchannel::World;
use crate::config::Config;
use crate::config::StoreKind;
use crate::config::mdc::EngineSource;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies::settings::CookieSettings;
use crate::decision::password::PasswordRules;
use crate::decision::throttle::ThrottleRules;
use crate::engine::EmbeddedEngine;
use crate::engine::EngineParts;
use crate::engine::EngineSettings;
use crate::engine::SessionTerms;
use crate::model::end::Incarnation;
use crate::model::id::SsoId;
use crate::model::name::StoreName;
use crate::ports::cookie_terms::CookieTerms;
use crate::ports::end_log::EndLog;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::id_bytes;
use crate::ports::entropy::seal_nonce;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::peer_channel::NoPeers;
use crate::ports::peer_channel::PeerChannel;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_store::SessionStore;
use crate::provider::nobody::Nobody;
use crate::provider::users_file::current::CurrentUsers;
use crate::store::RecordSealer;
use crate::store::disk::DiskOptions;
use crate::store::disk::DiskStore;
use crate::store::disk::Records;
use crate::store::memory::MemoryStore;
use crate::telemetry::metrics::EngineSnapshot;

/// Where sessions are held.
#[derive(Clone)]
pub(super) enum Engine {
    /// In this process.
    Own(OwnEngine),
    /// By engine nodes behind the back-channel.
    Remote(Arc<RemoteEngine>),
}

/// The engine of this process.
#[derive(Clone)]
pub(super) struct OwnEngine {
    /// The engine.
    pub(super) engine: Arc<EmbeddedEngine>,
    /// The way to it that can be shut.
    pub(super) door: Arc<Door>,
    /// Its store.
    pub(super) store: Arc<dyn SessionStore>,
    /// The same, as it is kept.
    pub(super) kept: Kept,
    /// The users file, followed while the gateway runs.
    pub(super) users: Option<Arc<CurrentUsers>>,
    /// The back-channel; none where there is one data centre.
    pub(super) federation: Option<Arc<Federation>>,
}

/// How sessions are kept.
#[derive(Clone)]
pub(super) enum Kept {
    /// In memory, with what has ended.
    InMemory(Arc<dyn EndLog>),
    /// In a file, which another process can open once it is closed here.
    OnDisk(Arc<Reopenable>),
    /// In memory, with what has ended in such a file.
    EndsOnDisk(Arc<Reopenable>),
}

impl Engine {
    /// Opens the store and the users file, or reads the certificates for the way to other engines. `given` is a
    /// listener of another process for the back-channel, and where that one was told to listen.
    pub(super) fn build(
        config: &Config,
        ports: &Ports,
        keys: &Arc<KeyRing>,
        given: Option<(SocketAddr, TcpListener)>,
    ) -> anyhow::Result<Self> {
        match &config.engine {
            EngineSource::Embedded => OwnEngine::build(config, ports, keys, given).map(Self::Own),
            EngineSource::Remote(remote) => {
                let engine = RemoteEngine::new(remote, &World::from(ports), &federation::read);
                let engine = engine.context("the way to the engines cannot be used")?;
                Ok(Self::Remote(Arc::new(engine)))
            }
        }
    }

    /// The door that gate and collector know.
    pub(super) fn door(&self) -> Arc<dyn SessionEngine> {
        match self {
            Self::Own(own) => Arc::clone(&own.door) as Arc<dyn SessionEngine>,
            Self::Remote(engine) => Arc::clone(engine) as Arc<dyn SessionEngine>,
        }
    }

    /// What the gate goes by: what is configured, or what the engines say.
    pub(super) fn cookie_terms(&self, configured: &Arc<CookieSettings>) -> Arc<CookieTerms> {
        match self {
            Self::Own(_) => Arc::new(CookieTerms::configured(Arc::clone(configured))),
            Self::Remote(engine) => engine.cookie_terms(),
        }
    }

    /// What there is to tell about the engine; none on a gate without one.
    pub(super) fn snapshot(&self) -> Option<EngineSnapshot> {
        let Self::Own(own) = self else {
            return None;
        };
        let federation = own.federation.as_ref();
        Some(EngineSnapshot {
            sessions: own.store.count(),
            is_loading: !own.store.is_complete(),
            unreadable: own.store.unreadable(),
            sign_ins: own.engine.sign_ins(),
            commits: own.store.commit_times(),
            federation: federation.map(|federation| federation.snapshot(&own.engine)),
        })
    }

    /// Whether there is an engine to ask now.
    pub(super) fn is_there(&self) -> bool {
        match self {
            Self::Own(_) => true,
            Self::Remote(engine) => engine.is_there(),
        }
    }

    /// Where peers and gates reach this node.
    pub(super) fn back_channel(&self) -> anyhow::Result<Option<SocketAddr>> {
        match self {
            Self::Own(own) => own.federation.as_ref().map(|own| own.address()).transpose(),
            Self::Remote(_) => Ok(None),
        }
    }

    /// The listener of the back-channel for another process, and where it is configured to be.
    pub(super) fn share_back_channel(&self) -> anyhow::Result<Option<(SocketAddr, TcpListener)>> {
        match self {
            Self::Own(own) => own.federation.as_ref().map(|own| own.share()).transpose(),
            Self::Remote(_) => Ok(None),
        }
    }

    /// What answers peers and gates; none on a node that is not asked.
    pub(super) fn answering(&self) -> anyhow::Result<Option<Answering>> {
        let Self::Own(own) = self else {
            return Ok(None);
        };
        let federation = own.federation.as_ref();
        federation
            .map(|federation| federation.answering(&own.door))
            .transpose()
    }

    /// Follows the users file of an engine that has one.
    pub(super) fn watch_users(&self, state_dir: &Path) -> anyhow::Result<Option<UsersWatch>> {
        let Self::Own(own) = self else {
            return Ok(None);
        };
        let watch = |users| UsersWatch::open(users, Arc::clone(&own.engine), state_dir);
        own.users.clone().map(watch).transpose()
    }

    /// The users file, where there is one.
    pub(super) fn users(&self) -> Option<&Arc<CurrentUsers>> {
        match self {
            Self::Own(own) => own.users.as_ref(),
            Self::Remote(_) => None,
        }
    }

    /// Goes by other terms for sessions from now on.
    pub(super) fn retune(&self, config: &Config) {
        if let Self::Own(own) = self {
            let terms = SessionTerms {
                idle_timeout: config.session.idle_timeout,
                lifetime: config.session.lifetime,
                per_user_max: config.session.per_user_max,
                kept_posts: config.limits.kept,
                password: password(config),
            };
            own.engine.retune(terms, throttle(config));
            own.engine.rely_on(stores_elsewhere(config));
        }
    }

    /// The store, where there is one to close.
    pub(super) fn store(&self) -> Option<Arc<dyn SessionStore>> {
        match self {
            Self::Own(own) => Some(Arc::clone(&own.store)),
            Self::Remote(_) => None,
        }
    }
}

impl OwnEngine {
    fn build(
        config: &Config,
        ports: &Ports,
        keys: &Arc<KeyRing>,
        given: Option<(SocketAddr, TcpListener)>,
    ) -> anyhow::Result<Self> {
        let kept = open_store(config, keys, ports)?;
        let Stores {
            sessions: store,
            ends,
        } = kept.stores.clone();
        let users = open_users(config)?;
        let federation = Federation::build(config, ports, given)?.map(Arc::new);
        let parts = EngineParts {
            store: Arc::clone(&store),
            ends,
            peers: federation.as_ref().map_or_else(
                || Arc::new(NoPeers) as Arc<dyn PeerChannel>,
                |federation| federation.peers(),
            ),
            provider: provider(users.clone())?,
            clock: Arc::clone(&ports.clock),
            entropy: Arc::clone(&ports.entropy),
        };
        let engine = EmbeddedEngine::new(parts, engine_settings(config, keys));
        let engine = Arc::new(engine.with_audit(Arc::clone(&ports.audit)));
        engine.rely_on(stores_elsewhere(config));
        Ok(Self {
            door: Arc::new(Door::new(Arc::clone(&engine))),
            engine,
            store,
            kept: kept.kept,
            users,
            federation,
        })
    }
}

fn open_users(config: &Config) -> anyhow::Result<Option<Arc<CurrentUsers>>> {
    let Some(settings) = &config.authentication else {
        return Ok(None);
    };
    let file = settings.users_file.display();
    let users = CurrentUsers::open(settings);
    let users = users.with_context(|| format!("the users file {file} cannot be used"))?;
    Ok(Some(Arc::new(users)))
}

fn provider(users: Option<Arc<CurrentUsers>>) -> anyhow::Result<Arc<dyn IdentityProvider>> {
    Ok(match users {
        Some(users) => users,
        None => Arc::new(Nobody::new(StoreName::parse("nobody")?)),
    })
}

fn stores_elsewhere(config: &Config) -> Vec<StoreName> {
    let stores = config.providers.iter().map(|provider| &provider.store);
    stores.cloned().collect()
}

fn password(config: &Config) -> PasswordRules {
    let by = config.authentication.as_ref();
    by.map(|by| by.password).unwrap_or_default()
}

fn throttle(config: &Config) -> ThrottleRules {
    let by = config.authentication.as_ref();
    by.map(|by| by.throttle.clone()).unwrap_or_default()
}

fn engine_settings(config: &Config, keys: &KeyRing) -> EngineSettings {
    EngineSettings {
        cluster: config.cluster.clone(),
        idle_timeout: config.session.idle_timeout,
        lifetime: config.session.lifetime,
        per_user_max: config.session.per_user_max,
        kept_posts: config.limits.kept,
        password: password(config),
        throttle: throttle(config),
        federation: config
            .mdc
            .as_ref()
            .map(|mdc| federation::settings(mdc, keys)),
    }
}

/// A store, and how it is kept.
struct OpenStore {
    stores: Stores,
    kept: Kept,
}

fn open_store(config: &Config, keys: &Arc<KeyRing>, ports: &Ports) -> anyhow::Result<OpenStore> {
    let records = match (config.session.store, &config.mdc) {
        (StoreKind::Disk, _) => Records::Kept,
        // What has ended must not be forgotten while other data centres may know of it (S-15).
        (StoreKind::Memory, Some(_)) => Records::Volatile,
        (StoreKind::Memory, None) => {
            let incarnation = Incarnation(id_bytes(ports.entropy.as_ref()));
            let store = Arc::new(MemoryStore::new(incarnation, ports.clock.now()));
            let ends: Arc<dyn EndLog> = Arc::<MemoryStore>::clone(&store);
            return Ok(OpenStore {
                kept: Kept::InMemory(Arc::clone(&ends)),
                stores: Stores {
                    sessions: store,
                    ends,
                },
            });
        }
    };
    let sealer: Arc<dyn RecordSealer> = Arc::new(RingSealer {
        keys: Arc::clone(keys),
        entropy: Arc::clone(&ports.entropy),
    });
    let options = DiskOptions {
        records,
        ..DiskOptions::default()
    };
    let state_dir = config.state_dir.clone();
    let (clock, entropy) = (Arc::clone(&ports.clock), Arc::clone(&ports.entropy));
    let open = move || {
        let incarnation = Incarnation(id_bytes(entropy.as_ref()));
        let sealer = Arc::clone(&sealer);
        let store = DiskStore::open(&state_dir, sealer, incarnation, clock.now(), options);
        let store = Arc::new(store.context("the session store cannot be opened")?);
        Ok(Stores {
            sessions: Arc::<DiskStore>::clone(&store),
            ends: store,
        })
    };
    let store = Arc::new(Reopenable::open(open)?);
    Ok(OpenStore {
        stores: Stores {
            sessions: Arc::<Reopenable>::clone(&store),
            ends: Arc::<Reopenable>::clone(&store),
        },
        kept: match records {
            Records::Kept => Kept::OnDisk(store),
            Records::Volatile => Kept::EndsOnDisk(store),
        },
    })
}

/// Seals session records with the key ring.
struct RingSealer {
    keys: Arc<KeyRing>,
    entropy: Arc<dyn Entropy>,
}

impl RecordSealer for RingSealer {
    fn seal(&self, sso: &SsoId, plain: &[u8]) -> Vec<u8> {
        let scope = sso.short_hash();
        let binding = Binding {
            purpose: Purpose::Record,
            name: "session",
            scope: &scope,
        };
        self.keys
            .seal_bytes(&binding, seal_nonce(self.entropy.as_ref()), plain)
    }

    fn open(&self, sso: &SsoId, sealed: &[u8]) -> Option<Vec<u8>> {
        let scope = sso.short_hash();
        let binding = Binding {
            purpose: Purpose::Record,
            name: "session",
            scope: &scope,
        };
        self.keys.open_bytes(&binding, sealed.to_vec()).ok()
    }
}

//! Puts the rooms together: names every implementation behind a port, binds the listeners.
//!
//! Nothing runs yet when this is done; `services` starts it.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;

use crate::app::keys;
use crate::config::Config;
use crate::config::Listener;
use crate::config::StoreKind;
use crate::crypto::certificates::CertificateTable;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed::Binding;
use crate::decision::cookies::CookieNames;
use crate::decision::origins::Origins;
use crate::dns::HickoryResolver;
use crate::engine::EmbeddedEngine;
use crate::engine::EngineParts;
use crate::engine::EngineSettings;
use crate::engine::collector::Collector;
use crate::gate::Gate;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::ports::clock::Clock;
use crate::ports::end_log::EndLog;
use crate::ports::end_log::Incarnation;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::id_bytes;
use crate::ports::entropy::seal_nonce;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::resolver::Resolver;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_store::SessionStore;
use crate::provider::nobody::Nobody;
use crate::provider::users_file::UsersFileProvider;
use crate::proxy::edge::Bound;
use crate::proxy::serving::Serving;
use crate::proxy::serving::ServingParts;
use crate::proxy::tls;
use crate::store::RecordSealer;
use crate::store::disk::DiskOptions;
use crate::store::disk::DiskStore;
use crate::store::memory::MemoryStore;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

/// Everything that a gateway is made of, ready to run.
pub(super) struct Assembled {
    /// The listeners, bound.
    pub(super) listeners: Vec<Bound>,
    /// What is served.
    pub(super) serving: Arc<Serving>,
    /// The engine.
    pub(super) engine: Arc<EmbeddedEngine>,
    /// Its store.
    pub(super) store: Arc<dyn SessionStore>,
    /// The users file, followed while the gateway runs.
    pub(super) users: Option<Arc<UsersFileProvider>>,
    /// Resolves the names of upstreams.
    pub(super) resolver: Arc<dyn Resolver>,
    /// The title of the login page.
    pub(super) title: String,
}

impl Assembled {
    /// Where the listeners accept.
    pub(super) fn addresses(&self) -> anyhow::Result<Vec<(String, SocketAddr)>> {
        let address = |bound: &Bound| Ok((bound.name.to_string(), bound.socket.local_addr()?));
        self.listeners.iter().map(address).collect()
    }
}

/// Puts a gateway together.
pub(super) fn assemble(config: &Config) -> anyhow::Result<Assembled> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy::new());
    let listeners = config
        .listeners
        .iter()
        .map(bind)
        .collect::<anyhow::Result<Vec<_>>>()?;
    check_certificates(config)?;
    keys::make_state_dir(&config.state_dir)?;
    let keys = keys::load_or_make(&config.state_dir, clock.as_ref(), entropy.as_ref())?;
    let keys = Arc::new(keys);
    let (store, ends) = open_store(config, &keys, &clock, &entropy)?;
    let users = open_users(config)?;
    let parts = EngineParts {
        store: Arc::clone(&store),
        ends,
        provider: provider(users.clone())?,
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    };
    let engine = Arc::new(EmbeddedEngine::new(parts, engine_settings(config)));
    let origins = Arc::new(origins(config, &listeners)?);
    let names = CookieNames::new(&config.deployment);
    let gate = Gate {
        engine: Arc::clone(&engine) as Arc<dyn SessionEngine>,
        keys: Arc::clone(&keys),
        names: names.clone(),
        origins: Arc::clone(&origins),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    };
    let collector = config.collector.as_ref().map(|collector| {
        Arc::new(Collector {
            engine: Arc::clone(&engine) as Arc<dyn SessionEngine>,
            keys,
            names,
            origins,
            host: collector.host.clone(),
            cluster: config.cluster.clone(),
            level: config
                .authentication
                .as_ref()
                .map_or(AuthLevel::NONE, |by| by.level),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        })
    });
    let parts = ServingParts {
        gate: Arc::new(gate),
        collector,
        clock,
        entropy,
    };
    let serving = Serving::new(config, parts)?;
    let title = config
        .collector
        .as_ref()
        .map_or_else(String::new, |c| c.title.clone());
    Ok(Assembled {
        listeners,
        serving: Arc::new(serving),
        engine,
        store,
        users,
        resolver: Arc::new(HickoryResolver::from_system()),
        title,
    })
}

/// The platform's CA bundle, in the places where distributions keep it; pingora reads one when it
/// starts, and a missing one stops it.
pub(super) fn platform_ca() -> Option<String> {
    let places = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ];
    places
        .into_iter()
        .find(|place| Path::new(place).exists())
        .map(str::to_owned)
}

fn bind(listener: &Listener) -> anyhow::Result<Bound> {
    let cannot = || {
        format!(
            "the listener {} cannot listen on {}",
            listener.name, listener.bind
        )
    };
    let socket = TcpListener::bind(listener.bind).with_context(cannot)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = match &listener.tls {
        None => None,
        Some(tls) => Some(Arc::new(tls::acceptor(tls, &provider).with_context(
            || format!("the listener {} cannot have TLS", listener.name),
        )?)),
    };
    Ok(Bound {
        name: listener.name.clone(),
        socket,
        tls,
    })
}

/// Warns of hosts that no certificate is for: browsers will not go there.
fn check_certificates(config: &Config) -> anyhow::Result<()> {
    let provider = rustls::crypto::ring::default_provider();
    let tables = config
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    let tables = tables.map(|tls| tls::table(tls, &provider));
    let tables = tables.collect::<Result<Vec<CertificateTable>, _>>()?;
    for host in served_names(config) {
        if !tables.is_empty() && !tables.iter().any(|table| table.covers(&host)) {
            tracing::warn!(virtual_host = %host, "no certificate is for this host");
        }
    }
    Ok(())
}

fn served_names(config: &Config) -> impl Iterator<Item = HostName> {
    use crate::decision::routing::HostPattern;

    let collector = config
        .collector
        .iter()
        .map(|collector| collector.host.clone());
    let hosts = config.virtual_hosts.iter().flat_map(|host| &host.hosts);
    collector.chain(hosts.filter_map(|pattern| match pattern {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Wildcard(_) => None,
    }))
}

fn open_users(config: &Config) -> anyhow::Result<Option<Arc<UsersFileProvider>>> {
    let Some(settings) = &config.authentication else {
        return Ok(None);
    };
    let file = settings.users_file.display();
    let users = UsersFileProvider::open(settings);
    let users = users.with_context(|| format!("the users file {file} cannot be used"))?;
    Ok(Some(Arc::new(users)))
}

fn provider(users: Option<Arc<UsersFileProvider>>) -> anyhow::Result<Arc<dyn IdentityProvider>> {
    Ok(match users {
        Some(users) => users,
        None => Arc::new(Nobody::new(StoreName::parse("nobody")?)),
    })
}

fn engine_settings(config: &Config) -> EngineSettings {
    EngineSettings {
        cluster: config.cluster.clone(),
        idle_timeout: config.session.idle_timeout,
        lifetime: config.session.lifetime,
        per_user_max: config.session.per_user_max,
    }
}

type Stores = (Arc<dyn SessionStore>, Arc<dyn EndLog>);

fn open_store(
    config: &Config,
    keys: &Arc<KeyRing>,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> anyhow::Result<Stores> {
    let incarnation = Incarnation(id_bytes(entropy.as_ref()));
    match config.session.store {
        StoreKind::Memory => {
            let store = Arc::new(MemoryStore::new(incarnation));
            Ok((Arc::clone(&store) as Arc<dyn SessionStore>, store))
        }
        StoreKind::Disk => {
            let sealer = RingSealer {
                keys: Arc::clone(keys),
                entropy: Arc::clone(entropy),
            };
            let (sealer, options) = (Arc::new(sealer), DiskOptions::default());
            let dir = &config.state_dir;
            let store = DiskStore::open(dir, sealer, incarnation, clock.now(), options);
            let store = Arc::new(store.context("the session store cannot be opened")?);
            Ok((Arc::clone(&store) as Arc<dyn SessionStore>, store))
        }
    }
}

/// Where users reach each served host: its configured port, or that of the first TLS listener, which is
/// known once it is bound.
fn origins(config: &Config, listeners: &[Bound]) -> anyhow::Result<Origins> {
    let first_tls = listeners.iter().find(|bound| bound.tls.is_some());
    let default = first_tls
        .map(|bound| bound.socket.local_addr())
        .transpose()?;
    let default = default.map(|address| address.port());
    let port = |configured: Option<u16>| configured.or(default).unwrap_or(443);
    let served = config.virtual_hosts.iter().flat_map(|host| {
        host.hosts
            .iter()
            .map(|pattern| (pattern.clone(), port(host.public_port)))
    });
    let collector = config.collector.as_ref();
    if collector.is_some() && default.is_none() {
        bail!("users sign in by https only, and no listener has TLS");
    }
    let collector =
        collector.map(|collector| (collector.host.clone(), port(collector.public_port)));
    Ok(Origins::new(collector, served.collect()))
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

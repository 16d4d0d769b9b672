//! What is served: the configuration compiled into tables that a request walks without parsing
//! anything.
//!
//! Built from a valid configuration; nothing in it changes but the health of pool members. A reload builds
//! another one, with what has not changed taken over from the one before, and swaps it in as a whole
//! (`live`).

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use http::Method;
use ipnet::IpNet;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::config::IdentityHeaderNames;
use crate::config::Limits;
use crate::config::Listener;
use crate::crypto::client_certificate::ClientTrustError;
use crate::decision::facts::Fact;
use crate::decision::facts::TlsFact;
use crate::decision::header_rules::HeaderAction;
use crate::decision::header_rules::HeaderRule;
use crate::decision::identity_headers::ProtectedNames;
use crate::decision::response::Responses;
use crate::decision::routing::HostTable;
use crate::engine::collector::Collector;
use crate::gate::Gate;
use crate::model::id::RequestId;
use crate::model::name::ListenerName;
use crate::model::name::PoolName;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::proxy::answer::Voice;
use crate::proxy::body_places::BodyPlaces;
use crate::proxy::client_auth::ClientAuth;
use crate::proxy::compression::COMPRESSED_MAX;
use crate::proxy::connect::PeerTemplateError;
use crate::proxy::counts::RequestCounts;
use crate::proxy::hosts::HostRuntime;
use crate::proxy::hosts::Target;
use crate::proxy::limiters::Limiters;
use crate::proxy::listening::ListenerRuntime;
use crate::proxy::pages::Pages;
use crate::proxy::pool::PoolParts;
use crate::proxy::streams::Streams;
use crate::proxy::terms::ConnectionTerms;
use crate::proxy::tls::Terminator;
use crate::proxy::tls::TlsError;
use crate::proxy::upgrades::Upgrades;
use crate::proxy::whereabouts::Whereabouts;
use crate::telemetry::access::AccessLog;

/// Everything a request needs.
pub struct Serving {
    /// The virtual hosts by name.
    pub hosts: HostTable<Arc<HostRuntime>>,
    /// The gate of this node.
    pub gate: Arc<Gate>,
    /// The collector, where this node serves one.
    pub collector: Option<Arc<Collector>>,
    /// The operator's title of the login page.
    pub title: Option<String>,
    /// Portway's own pages.
    pub pages: Arc<Pages>,
    /// The redirects from http to https.
    pub upgrades: Arc<Upgrades>,
    /// What clients have taken.
    pub limiters: Arc<Limiters>,
    /// The requests in flight, whatever they began with.
    pub streams: Arc<Streams>,
    /// Where a line for each request goes; nowhere without.
    pub access: Option<Arc<AccessLog>>,
    /// The paths by which balancers ask whether requests may be sent here.
    pub ready_paths: Vec<(ListenerName, String)>,
    /// The requests that are over, since the start of the process.
    pub counts: Arc<RequestCounts>,
    /// The headers that only the gateway may set.
    pub protected: ProtectedNames,
    /// The cookies that policies set, on whatever route: a client's own are not believed.
    pub policy_cookies: Vec<Box<str>>,
    /// The identity headers to set.
    pub identity_headers: Arc<IdentityHeaderNames>,
    /// Senders whose forwarding headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bounds on what a client may take.
    pub limits: Limits,
    /// Places for bodies that are being read to be kept.
    pub(super) kept_bodies: BodyPlaces,
    /// Places for answers that are being compressed, whatever they began with.
    pub(super) compressing: Arc<Semaphore>,
    /// What a connection keeps from its beginning to its end.
    pub connection: Arc<ConnectionTerms>,
    /// The listeners.
    pub listeners: HashMap<ListenerName, Arc<ListenerRuntime>>,
    /// What virtual hosts ask of the certificates of clients, each once.
    pub client_auths: Vec<Arc<ClientAuth>>,
    /// Methods that some route names beyond the usual ones.
    pub methods: HashSet<Method>,
    /// What answers say about this data centre; a process goes by what it began with.
    pub(super) whereabouts: Option<Whereabouts>,
    /// The pools, for health checks and name resolution.
    pub pools: BTreeMap<PoolName, Arc<Target>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The parts of [`Serving`] that are made elsewhere, or outlive it.
pub struct ServingParts {
    /// The gate of this node.
    pub gate: Arc<Gate>,
    /// The collector, where this node serves one.
    pub collector: Option<Arc<Collector>>,
    /// Portway's own pages.
    pub pages: Arc<Pages>,
    /// The redirects from http to https.
    pub upgrades: Arc<Upgrades>,
    /// What clients have taken.
    pub limiters: Arc<Limiters>,
    /// The requests in flight.
    pub streams: Arc<Streams>,
    /// The requests that are over.
    pub counts: Arc<RequestCounts>,
    /// The access log, where there is one.
    pub access: Option<Arc<AccessLog>>,
    /// What pools share.
    pub pools: PoolParts,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for ServingParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServingParts")
            .field("gate", &self.gate)
            .finish_non_exhaustive()
    }
}

/// Why a configuration cannot be served although it is valid in itself.
#[derive(Debug, thiserror::Error)]
pub enum ServingError {
    /// The members of a pool cannot be connected to.
    #[error(transparent)]
    Pool(#[from] PeerTemplateError),
    /// The certificates of clients cannot be judged.
    #[error("the certificates of clients cannot be judged")]
    Clients(#[from] ClientTrustError),
    /// A listener cannot have TLS.
    #[error("the listener {listener} cannot have TLS")]
    Tls {
        /// The listener.
        listener: ListenerName,
        /// Why not.
        #[source]
        source: TlsError,
    },
}

impl Serving {
    /// The listeners with TLS, by name.
    pub fn terminators(&self) -> impl Iterator<Item = (&ListenerName, &Arc<Terminator>)> {
        let mut all: Vec<_> = self.listeners.iter().collect();
        all.sort_by_key(|(name, _)| *name);
        let listeners = all.into_iter();
        listeners.filter_map(|(name, listener)| Some((name, listener.tls.as_ref()?)))
    }

    /// What ends the handshakes of a listener with TLS.
    #[must_use]
    pub fn terminator(&self, listener: &ListenerName) -> Option<&Arc<Terminator>> {
        self.listeners.get(listener)?.tls.as_ref()
    }

    /// Compiles a configuration. What it has in common with the one `before` is taken over: pools with the
    /// health of their members, and the TLS side of listeners with the tickets that clients hold.
    ///
    /// # Errors
    /// See [`ServingError`].
    pub fn new(
        config: &Config,
        parts: ServingParts,
        before: Option<&Self>,
    ) -> Result<Self, ServingError> {
        let mut pools = BTreeMap::new();
        for (name, pool) in &config.pools {
            let same = before.and_then(|before| before.pools.get(name));
            let target = Target::new(pool, same, &parts.pools)?;
            pools.insert(name.clone(), target);
        }
        let client_auths = client_auths(config, before)?;
        let mut listeners = HashMap::new();
        for listener in &config.listeners {
            let same = before.and_then(|before| before.terminator(&listener.name));
            let auths = auths_on(listener, config, &client_auths);
            let runtime = ListenerRuntime {
                bind: listener.bind.clone(),
                announcers: listener.proxy_protocol.clone(),
                h2c: listener.h2c,
                tls: terminator(listener, &auths, same)?,
            };
            listeners.insert(listener.name.clone(), Arc::new(runtime));
        }
        let hosts = config
            .virtual_hosts
            .iter()
            .flat_map(|host| {
                let runtime = Arc::new(HostRuntime::new(host, &pools, &client_auths, &parts));
                host.hosts
                    .iter()
                    .map(move |pattern| (pattern.clone(), Arc::clone(&runtime)))
            })
            .collect();
        let routes = config.virtual_hosts.iter().flat_map(|host| &host.routes);
        let methods = routes
            .flat_map(|route| route.methods.iter().cloned())
            .collect();
        let headers =
            responses(config).flat_map(|given| given.headers.iter().map(|(name, _)| name));
        let presets = config.preset_headers.iter().map(|(name, _)| name);
        let own = config.identity_headers.iter().chain(headers).chain(presets);
        let own = own.chain(client_headers(config));
        let collector = config.collector.as_ref();
        Ok(Self {
            hosts,
            gate: parts.gate,
            collector: parts.collector,
            title: collector.and_then(|collector| collector.title.clone()),
            pages: parts.pages,
            upgrades: parts.upgrades,
            limiters: parts.limiters,
            streams: parts.streams,
            counts: parts.counts,
            access: parts.access,
            ready_paths: ready_paths(config),
            protected: ProtectedNames::new(own),
            policy_cookies: policy_cookies(config),
            identity_headers: Arc::new(config.identity_headers.clone()),
            trusted_proxies: config.trusted_proxies.clone(),
            limits: config.limits.clone(),
            kept_bodies: BodyPlaces::new(config.limits.kept),
            compressing: before.map_or_else(
                || Arc::new(Semaphore::new(COMPRESSED_MAX)),
                |before| Arc::clone(&before.compressing),
            ),
            connection: Arc::new(ConnectionTerms::of(&config.limits)),
            listeners,
            client_auths,
            methods,
            whereabouts: Whereabouts::of(config),
            pools,
            clock: parts.clock,
            entropy: parts.entropy,
        })
    }
}

impl Serving {
    /// What an answer of Portway's own is made with.
    #[must_use]
    pub fn voice(&self, id: RequestId) -> Voice<'_> {
        Voice {
            pages: &self.pages,
            id,
            entropy: self.entropy.as_ref(),
            changes: &[],
        }
    }

    /// Whether a request is a balancer's, for the readiness path of its listener. Balancers may ask without
    /// a host.
    #[must_use]
    pub fn is_asked_for_readiness(
        &self,
        listener: &ListenerName,
        method: &Method,
        path: &str,
    ) -> bool {
        let is_read = *method == Method::GET || *method == Method::HEAD;
        let mut paths = self.ready_paths.iter();
        is_read && paths.any(|(of, ready)| of == listener && ready == path)
    }
}

fn ready_paths(config: &Config) -> Vec<(ListenerName, String)> {
    let listeners = config.listeners.iter();
    let asked = listeners.filter_map(|listener| {
        let path = listener.ready_path.clone()?;
        Some((listener.name.clone(), path))
    });
    asked.collect()
}

/// What all routes give to requests, presets of identity headers included.
fn responses(config: &Config) -> impl Iterator<Item = &Responses> {
    let routes = config.virtual_hosts.iter().flat_map(|host| &host.routes);
    routes.map(|route| route.responses.as_ref())
}

/// The headers by which rules tell of the certificates of clients: a client's own are believed nowhere.
fn client_headers(config: &Config) -> impl Iterator<Item = &http::HeaderName> {
    let hosts = config.virtual_hosts.iter();
    let rules = hosts.flat_map(|host| {
        let routes = host.routes.iter().flat_map(|route| &route.headers.request);
        host.headers.request.iter().chain(routes)
    });
    let tells = |rule: &&HeaderRule| match &rule.action {
        HeaderAction::Add(value) | HeaderAction::Set(value) => {
            let mut facts = value.facts();
            facts.any(|fact| matches!(fact, Fact::Tls(TlsFact::Client(_))))
        }
        HeaderAction::Remove => false,
    };
    rules.filter(tells).map(|rule| &rule.name)
}

/// What virtual hosts ask of clients, each once; what was asked before already is the same.
fn client_auths(
    config: &Config,
    before: Option<&Serving>,
) -> Result<Vec<Arc<ClientAuth>>, ClientTrustError> {
    let mut auths: Vec<Arc<ClientAuth>> = Vec::new();
    let hosts = config.virtual_hosts.iter();
    for asked in hosts.filter_map(|host| host.client_certificates.as_ref()) {
        if auths.iter().any(|auth| auth.config == *asked) {
            continue;
        }
        let mut known = before.iter().flat_map(|before| &before.client_auths);
        auths.push(match known.find(|auth| auth.config == *asked) {
            Some(same) => Arc::clone(same),
            None => Arc::new(ClientAuth::new(asked)?),
        });
    }
    Ok(auths)
}

/// What the virtual hosts of a listener ask.
fn auths_on(
    listener: &Listener,
    config: &Config,
    auths: &[Arc<ClientAuth>],
) -> Vec<Arc<ClientAuth>> {
    let is_asked = |auth: &&Arc<ClientAuth>| {
        let mut hosts = config.virtual_hosts.iter();
        hosts.any(|host| {
            let is_on = host.listeners.is_empty() || host.listeners.contains(&listener.name);
            is_on && host.client_certificates.as_ref() == Some(&auth.config)
        })
    };
    auths.iter().filter(is_asked).map(Arc::clone).collect()
}

/// The names of the cookies that policies set, each once.
fn policy_cookies(config: &Config) -> Vec<Box<str>> {
    let cookies = responses(config).flat_map(|given| &given.cookies);
    let mut names: Vec<Box<str>> = cookies.map(|cookie| cookie.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving")
            .field("pools", &self.pools)
            .finish_non_exhaustive()
    }
}

/// The TLS side of a listener, with what has not changed of the one before.
fn terminator(
    listener: &Listener,
    auths: &[Arc<ClientAuth>],
    before: Option<&Arc<Terminator>>,
) -> Result<Option<Arc<Terminator>>, ServingError> {
    let Some(tls) = &listener.tls else {
        return Ok(None);
    };
    let before = before.map(Arc::as_ref);
    let terminator = Terminator::new(tls, auths, before).map_err(|source| ServingError::Tls {
        listener: listener.name.clone(),
        source,
    })?;
    Ok(Some(Arc::new(terminator)))
}

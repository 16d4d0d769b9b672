//! Virtual hosts, their routes and the pools that these lead to, as they are at run time.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::PlainHttp;
use crate::config::Pool;
use crate::config::Route;
use crate::config::VirtualHost;
use crate::decision::error_pages::ErrorPages;
use crate::decision::header_rules::HeaderRules;
use crate::decision::maintenance::Maintenance;
use crate::decision::response::CookieTemplate;
use crate::decision::routing::RouteTable;
use crate::model::claim::HostLimits;
use crate::model::name::ListenerName;
use crate::model::name::PoolName;
use crate::proxy::allowances::Allowances;
use crate::proxy::client_auth::ClientAuth;
use crate::proxy::connect::PeerTemplate;
use crate::proxy::counts::StatusCounts;
use crate::proxy::listening::Entrance;
use crate::proxy::listening::ListenerRuntime;
use crate::proxy::pool::PoolParts;
use crate::proxy::pool::PoolRuntime;
use crate::proxy::serving::Serving;
use crate::proxy::serving::ServingError;
use crate::proxy::serving::ServingParts;

/// A virtual host at run time.
#[derive(Debug)]
pub struct HostRuntime {
    /// The listeners it is served on; empty means all.
    pub listeners: Vec<ListenerName>,
    /// What happens on a plain listener.
    pub plain_http: PlainHttp,
    /// What it asks of the certificates of clients.
    pub client_auth: Option<Arc<ClientAuth>>,
    /// Why it serves nobody, or hardly anybody, for a while.
    pub maintenance: Option<Arc<Maintenance>>,
    /// What is answered in place of errors where no route has been found.
    pub error_pages: Arc<ErrorPages>,
    /// What it asks of sessions beyond what holds everywhere.
    pub limits: HostLimits,
    /// What is changed about headers where no route has been found.
    pub headers: HeaderRules,
    /// What makes a browser forget the cookies that policies give it here, each once.
    pub clearing: Vec<String>,
    /// Its routes.
    pub routes: RouteTable<Arc<RouteRuntime>>,
}

/// A route at run time.
#[derive(Debug)]
pub struct RouteRuntime {
    /// As configured.
    pub config: Route,
    /// What its virtual host asks of sessions.
    pub limits: HostLimits,
    /// Counts its requests, with others of its virtual host.
    pub counts: Arc<StatusCounts>,
    /// What each client may take of it.
    pub allowances: Allowances,
    /// Where its requests go; nowhere where it answers by itself.
    pub targets: Option<Targets>,
}

/// Where the requests of a route go.
#[derive(Debug)]
pub struct Targets {
    /// Those from plain listeners.
    pub http: Arc<Target>,
    /// Those from TLS listeners.
    pub https: Arc<Target>,
}

/// A pool and how its members are connected to.
#[derive(Debug)]
pub struct Target {
    /// The pool.
    pub pool: Arc<PoolRuntime>,
    /// What connections to its members have in common.
    pub peer: PeerTemplate,
}

impl HostRuntime {
    pub(super) fn new(
        host: &VirtualHost,
        targets: &BTreeMap<PoolName, Arc<Target>>,
        auths: &[Arc<ClientAuth>],
        parts: &ServingParts,
    ) -> Self {
        let name = host.hosts.first().map(ToString::to_string);
        let name = name.unwrap_or_default();
        let allowances = Allowances::of_routes(host, &parts.limiters);
        let routes = host.routes.iter().zip(allowances);
        let entries = routes.filter_map(|(route, allowances)| {
            // Configuration has checked that every pool exists.
            let target = |pool: &Pool| targets.get(&pool.name).map(Arc::clone);
            let targets = match route.destination.pools() {
                None => None,
                Some(pools) => Some(Targets {
                    http: target(&pools.http)?,
                    https: target(&pools.https)?,
                }),
            };
            Some(route.entry(Arc::new(RouteRuntime {
                config: route.clone(),
                limits: host.session,
                counts: parts.counts.of(&name, route.access),
                allowances,
                targets,
            })))
        });
        Self {
            listeners: host.listeners.clone(),
            plain_http: host.plain_http,
            client_auth: host.client_certificates.as_ref().and_then(|config| {
                let mut auths = auths.iter();
                auths.find(|auth| auth.config == *config).map(Arc::clone)
            }),
            maintenance: host.maintenance.clone().map(Arc::new),
            error_pages: Arc::clone(&host.error_pages),
            limits: host.session,
            headers: host.headers.clone(),
            clearing: clearing(host),
            routes: RouteTable::new(entries.collect()),
        }
    }
}

impl Serving {
    /// What is served where a connection came in; nothing once the listener is elsewhere.
    #[must_use]
    pub fn listener_at(&self, entrance: &Entrance) -> Option<&Arc<ListenerRuntime>> {
        let listener = self.listeners.get(&entrance.listener);
        listener.filter(|listener| listener.bind.is_at(&entrance.bind))
    }

    /// The virtual host of a name, as far as it is served where a connection came in.
    #[must_use]
    pub fn host_at(&self, name: &str, entrance: &Entrance) -> Option<&HostRuntime> {
        let host = self.hosts.find(name)?;
        let is_meant = host.listeners.is_empty()
            || host.listeners.contains(&entrance.listener) && self.listener_at(entrance).is_some();
        is_meant.then_some(host)
    }
}

fn clearing(host: &VirtualHost) -> Vec<String> {
    let given = host
        .routes
        .iter()
        .flat_map(|route| &route.responses.cookies);
    let mut clearing: Vec<String> = given.map(CookieTemplate::clearing).collect();
    clearing.sort_unstable();
    clearing.dedup();
    clearing
}

impl Target {
    /// Puts a pool together, or takes over the one before where nothing about it has changed.
    pub(super) fn new(
        pool: &Arc<Pool>,
        before: Option<&Arc<Self>>,
        parts: &PoolParts,
    ) -> Result<Arc<Self>, ServingError> {
        if let Some(same) = before.filter(|before| before.pool.config == *pool) {
            return Ok(Arc::clone(same));
        }
        let peer = PeerTemplate::new(pool)?;
        let before = before.map(|before| before.pool.as_ref());
        let pool = Arc::new(PoolRuntime::new(Arc::clone(pool), before, parts));
        Ok(Arc::new(Self { pool, peer }))
    }
}

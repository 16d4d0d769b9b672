//! Two services inside pingora's server: the edge, which serves, and the core, which keeps house. The third,
//! which answers other nodes, is `answering`.
//!
//! Each has a runtime of its own, so that housekeeping never delays a request.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use futures_util::future::join_all;
use pingora::apps::HttpServerOptions;
use pingora::protocols::http::v2::server::default_h2_options;
use pingora::proxy::http_proxy;
use pingora::server::ListenFds;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::services::ServiceReadyNotifier;
use pingora::services::ServiceWithDependents;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;

use crate::app::assembly::Assembled;
use crate::app::engine::Engine;
use crate::app::engine::OwnEngine;
use crate::app::federation;
use crate::app::ops::Node;
use crate::app::streams::StreamWatch;
use crate::app::users::UsersWatch;
use crate::config::Config;
use crate::engine::EmbeddedEngine;
use crate::engine::Swept;
use crate::ops;
use crate::ports::resolver::Resolver;
use crate::proxy::edge::Bound;
use crate::proxy::edge::Edge;
use crate::proxy::health;
use crate::proxy::pool::PoolRuntime;
use crate::proxy::service::Portway;
use crate::proxy::serving::Serving;
use crate::proxy::tls;

/// Keeps house: sweeps sessions, closes their streams, follows the users, checks upstreams, resolves names.
pub(super) struct Core {
    engine: Engine,
    users: Option<UsersWatch>,
    ops: Option<TcpListener>,
    node: Arc<Node>,
    serving: Arc<Serving>,
    resolver: Arc<dyn Resolver>,
    /// To be set when whoever was removed meanwhile is cut off.
    settled: watch::Sender<bool>,
}

impl Core {
    pub(super) fn new(
        assembled: &mut Assembled,
        is_serving: &Arc<AtomicBool>,
        draining: &watch::Receiver<bool>,
    ) -> Self {
        let node = Node {
            engine: assembled.engine.clone(),
            serving: Arc::clone(&assembled.serving),
            is_serving: Arc::clone(is_serving),
            draining: draining.clone(),
        };
        Self {
            engine: assembled.engine.clone(),
            users: assembled.users.take(),
            ops: assembled.ops.take(),
            node: Arc::new(node),
            serving: Arc::clone(&assembled.serving),
            resolver: Arc::clone(&assembled.resolver),
            settled: watch::Sender::new(false),
        }
    }

    /// Turns true when sessions may be told of.
    pub(super) fn settled(&self) -> watch::Receiver<bool> {
        self.settled.subscribe()
    }
}

#[async_trait]
impl ServiceWithDependents for Core {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _: usize,
        ready: ServiceReadyNotifier,
    ) {
        if let Some(socket) = self.ops.take() {
            let node = Arc::<Node>::clone(&self.node);
            tokio::spawn(tell(socket, node, shutdown.clone()));
        }
        let door = self.engine.door();
        let ended = door.watch_ended();
        let streams = StreamWatch::new(door, Arc::clone(&self.serving));
        tokio::spawn(Arc::clone(&streams).close(ended));
        if self.engine.has_others() {
            tokio::spawn(streams.check());
        }
        if let Some(mut users) = self.users.take() {
            // Before anybody is served: somebody may have been removed since the last run.
            users.settle().await;
            tokio::spawn(users.run());
        }
        self.settled.send_replace(true);
        match &self.engine {
            Engine::Own(own) => keep_house(own, &shutdown),
            Engine::Remote(engine) => federation::start_remote(engine, &shutdown),
        }
        let mut names = Vec::new();
        for pool in &self.serving.pools {
            names.extend(watch_pool(pool, &self.resolver));
        }
        // Serving before the names of upstreams are known, or before a gate without an engine has heard of
        // one, would refuse the first requests.
        let beginning = join(join_all(names), told(&self.engine));
        tokio::time::timeout(BEGINNING, beginning).await.ok();
        ready.notify_ready();
        // The runtime of this service ends the tasks above when this returns.
        shutdown.wait_for(|stop| *stop).await.ok();
    }

    fn name(&self) -> &'static str {
        "core"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

/// Tells those who run the node how it is.
async fn tell(socket: TcpListener, node: Arc<Node>, shutdown: ShutdownWatch) {
    if let Err(error) = ops::serve(socket, node, shutdown).await {
        tracing::error!(%error, "the ops listener stopped");
    }
}

/// Waits until the gate knows what it goes by.
async fn told(engine: &Engine) {
    if let Engine::Remote(engine) = engine {
        engine.told().await;
    }
}

/// Starts what an engine of this process needs done for it.
fn keep_house(own: &OwnEngine, shutdown: &ShutdownWatch) {
    tokio::spawn(sweep(Arc::clone(&own.engine)));
    if let Some(federation) = &own.federation {
        federation.start(&own.engine, shutdown);
    }
}

async fn sweep(engine: Arc<EmbeddedEngine>) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut until_trim = 0_u32;
    loop {
        ticks.tick().await;
        while let Ok(Swept::More) = engine.sweep().await.inspect_err(not_swept) {}
        if until_trim == 0 {
            engine.trim_ends().await.inspect_err(not_swept).ok();
            until_trim = SWEEPS_PER_TRIM;
        }
        until_trim -= 1;
    }
}

fn not_swept(error: &crate::ports::session_store::StoreError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "housekeeping failed"
    );
}

/// Begins to watch the members of a pool; answers what is told when their names have been looked up.
fn watch_pool(pool: &Arc<PoolRuntime>, resolver: &Arc<dyn Resolver>) -> Vec<oneshot::Receiver<()>> {
    let speaks_tls = pool.config.tls.is_some();
    let tls = health_tls(pool);
    let mut names = Vec::new();
    for (_, member) in pool.tiers.members() {
        if member.is_name() {
            let (first, answered) = oneshot::channel();
            let (member, resolver) = (Arc::clone(member), Arc::clone(resolver));
            tokio::spawn(health::resolve(member, resolver, first));
            names.push(answered);
        }
        // Asking in plain where TLS is spoken would take every member out.
        if let Some(check) = pool
            .config
            .health_check
            .as_ref()
            .filter(|_| tls.is_some() || !speaks_tls)
        {
            let (pool, member) = (Arc::clone(pool), Arc::clone(member));
            tokio::spawn(health::check(pool, member, check.clone(), tls.clone()));
        }
    }
    names
}

/// How health checks speak TLS: verified as the pool's requests are.
fn health_tls(pool: &PoolRuntime) -> Option<TlsConnector> {
    let settings = pool.config.tls.as_ref()?;
    match tls::client(settings.ca_pem.as_deref(), settings.verify) {
        Ok(connector) => Some(connector),
        Err(error) => {
            tracing::error!(pool = %pool.config.name, %error, "health checks cannot speak TLS");
            None
        }
    }
}

/// What the edge service is made of.
pub(super) struct EdgeParts {
    pub(super) conf: Arc<ServerConf>,
    pub(super) assembled: Assembled,
    pub(super) config: Config,
    /// Turns true when the drain begins.
    pub(super) draining: watch::Receiver<bool>,
    /// To be set when connections are accepted.
    pub(super) is_serving: Arc<AtomicBool>,
    /// Told when the drain is over.
    pub(super) drained: Arc<Notify>,
    /// Told when connections are accepted.
    pub(super) ready: mpsc::Sender<()>,
}

/// Serves: the edge loop on every listener.
pub(super) struct EdgeService {
    edge: Arc<Edge>,
    listeners: Vec<Bound>,
    drain_timeout: Duration,
    draining: watch::Receiver<bool>,
    is_serving: Arc<AtomicBool>,
    drained: Arc<Notify>,
    ready: Option<mpsc::Sender<()>>,
}

impl EdgeService {
    pub(super) fn new(parts: EdgeParts) -> Self {
        let EdgeParts {
            conf,
            assembled,
            config,
            draining,
            is_serving,
            drained,
            ready,
        } = parts;
        let portway = Portway::new(assembled.serving, assembled.title);
        let mut proxy = http_proxy(&conf, portway);
        let mut options = HttpServerOptions::default();
        // What a client is slow to take is counted as idle, and would be lost.
        let idle = config
            .limits
            .keep_alive_timeout
            .max(config.limits.send_timeout);
        options.h2_idle_timeout = Some(idle);
        options.keepalive_request_limit = Some(REQUESTS_PER_CONNECTION);
        proxy.server_options = Some(options);
        let mut h2 = default_h2_options();
        let header_list = u32::try_from(config.limits.header_bytes_max).unwrap_or(u32::MAX);
        h2.initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(header_list.saturating_mul(2));
        proxy.h2_options = Some(h2);
        Self {
            drain_timeout: config.limits.drain_timeout,
            edge: Arc::new(Edge::new(Arc::new(proxy), config.limits)),
            listeners: assembled.listeners,
            draining,
            is_serving,
            drained,
            ready: Some(ready),
        }
    }
}

#[async_trait]
impl ServiceWithDependents for EdgeService {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        _: ShutdownWatch,
        _: usize,
        notifier: ServiceReadyNotifier,
    ) {
        for bound in self.listeners.drain(..) {
            let (edge, draining) = (Arc::clone(&self.edge), self.draining.clone());
            tokio::spawn(async move {
                let name = bound.name.clone();
                if let Err(error) = edge.accept(bound, draining).await {
                    tracing::error!(listener = %name, %error, "the listener stopped");
                }
            });
        }
        notifier.notify_ready();
        self.is_serving.store(true, Ordering::Release);
        if let Some(ready) = self.ready.take() {
            // Nobody waits for it any more when the start was given up.
            ready.send(()).ok();
        }
        self.draining.wait_for(|drain| *drain).await.ok();
        let open = self.edge.drain(self.drain_timeout).await;
        if open > 0 {
            tracing::warn!(
                connections = open,
                "the drain time-out is over; connections are cut"
            );
        }
        self.drained.notify_one();
    }

    fn name(&self) -> &'static str {
        "edge"
    }
}

/// How long the start waits for the names of upstreams and the word of an engine.
const BEGINNING: Duration = Duration::from_secs(3);
const SWEEP_EVERY: Duration = Duration::from_millis(500);
const SWEEPS_PER_TRIM: u32 = 120;
/// Requests after which a connection is closed, so that its memory is given back now and then.
const REQUESTS_PER_CONNECTION: u32 = 100_000;
/// HTTP/2 windows: the 64 KiB of the RFC would slow uploads over long ways down.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

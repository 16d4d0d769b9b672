//! Two services inside pingora's server: the edge, which serves, and the core, which keeps house. The third,
//! which answers other nodes, is `answering`.
//!
//! Each has a runtime of its own, so that housekeeping never delays a request.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use futures_util::future::join_all;
use pingora::proxy::http_proxy;
use pingora::server::ListenFds;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::services::ServiceReadyNotifier;
use pingora::services::ServiceWithDependents;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::admin;
use crate::admin::ControlSocket;
use crate::admin::Desk;
use crate::app::Origin;
use crate::app::assembly::Assembled;
use crate::app::control;
use crate::app::control::NodeControl;
use crate::app::engine::Engine;
use crate::app::engine::OwnEngine;
use crate::app::federation;
use crate::app::hang_ups::HangUps;
use crate::app::key_verbs::NodeKeys;
use crate::app::lasting::Lasting;
use crate::app::logs;
use crate::app::ops::Node;
use crate::app::pool_verbs::NodePools;
use crate::app::pools::PoolWatch;
use crate::app::record::Record;
use crate::app::reload::Reloader;
use crate::app::sessions::NodeSessions;
use crate::app::streams::StreamWatch;
use crate::app::tasks::Ending;
use crate::app::tasks::Outage;
use crate::app::tasks::Tasks;
use crate::app::users::UsersWatch;
use crate::engine::EmbeddedEngine;
use crate::engine::Swept;
use crate::ports::vitals::Vitals;
use crate::proxy::edge::Edge;
use crate::proxy::listening::Bound;
use crate::proxy::naming::Asking;
use crate::proxy::service::Portway;

/// Keeps house: sweeps sessions, closes their streams, follows the users, checks upstreams, resolves names,
/// reads the configuration again.
pub(super) struct Core {
    lasting: Arc<Lasting>,
    users: Option<UsersWatch>,
    node: Arc<Node>,
    desk: Desk,
    socket: Option<ControlSocket>,
    reloader: Option<(Reloader, HangUps)>,
    /// To be set when whoever was removed meanwhile is cut off.
    settled: watch::Sender<bool>,
    outage: Arc<Outage>,
}

impl Core {
    pub(super) fn new(
        assembled: &mut Assembled,
        (origin, hang_ups): (Origin, HangUps),
        (is_serving, leaving): (&Arc<AtomicBool>, &watch::Receiver<bool>),
        outage: &Arc<Outage>,
    ) -> Self {
        let lasting = &assembled.lasting;
        let now = lasting.ports.clock.now();
        let record = Arc::new(Record::new(control::shown(&origin.path), now));
        let node = Arc::new(Node {
            engine: lasting.engine.clone(),
            counts: Arc::clone(&lasting.counts),
            live: Arc::clone(&assembled.live),
            logs: Arc::clone(&lasting.logs),
            record: Arc::clone(&record),
            keys: Arc::clone(&lasting.keys),
            is_serving: Arc::clone(is_serving),
            leaving: leaving.clone(),
            outage: Arc::clone(outage),
        });
        let (asks, asked) = tokio::sync::mpsc::channel(ASKS_MAX);
        let control = NodeControl {
            node: Arc::clone(&node),
            lasting: Arc::clone(lasting),
            live: Arc::clone(&assembled.live),
            record: Arc::clone(&record),
            asks,
            cluster_id: control::cluster_of(&origin.config),
        };
        let sessions = NodeSessions {
            engine: lasting.engine.clone(),
            cluster: origin.config.cluster.clone(),
            clock: Arc::clone(&lasting.ports.clock),
        };
        let pools = NodePools {
            drains: Arc::clone(&lasting.drains),
            live: Arc::clone(&assembled.live),
        };
        let desk = Desk {
            control: Arc::new(control),
            keys: Arc::new(NodeKeys(Arc::clone(&lasting.key_watch))),
            pools: Arc::new(pools),
            sessions: Arc::new(sessions),
            audit: Arc::clone(&lasting.ports.audit),
        };
        let reloader = Reloader {
            path: origin.path,
            running: origin.config,
            sources: origin.sources,
            lasting: Arc::clone(lasting),
            live: Arc::clone(&assembled.live),
            pools: PoolWatch::default(),
            asking: Asking::new(lasting.ports.resolver.clone()),
            record,
            asks: asked,
        };
        Self {
            lasting: Arc::clone(lasting),
            users: assembled.users.take(),
            node,
            desk,
            socket: assembled.control.take(),
            reloader: Some((reloader, hang_ups)),
            settled: watch::Sender::new(false),
            outage: Arc::clone(outage),
        }
    }

    /// The node, as those who run it see it.
    pub(super) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
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
        let mut tasks = Tasks::default();
        if let Some(socket) = self.socket.take() {
            let obeying = obey(socket, self.desk.clone(), shutdown.clone());
            tasks.spawn("the control socket", obeying);
        }
        let keys = Arc::clone(&self.lasting.key_watch);
        tasks.spawn("the watch over the key ring", keys.run());
        let files = Arc::clone(&self.lasting.logs);
        tasks.spawn("the watch for SIGUSR1", logs::reopen_when_told(files));
        let engine = &self.lasting.engine;
        let door = engine.door();
        let ended = door.watch_ended();
        let (running, clock) = (&self.lasting.streams, &self.lasting.ports.clock);
        let live = Arc::clone(&self.node.live);
        let streams = StreamWatch::new(door, (Arc::clone(running), live), Arc::clone(clock));
        tasks.spawn("the cutting of streams", Arc::clone(&streams).close(ended));
        tasks.spawn("the check of streams", streams.check());
        if let Some(mut users) = self.users.take() {
            // Before anybody is served: somebody may have been removed since the last run.
            users.settle().await;
            tasks.spawn("the watch over the users file", users.run());
        }
        self.settled.send_replace(true);
        match engine {
            Engine::Own(own) => keep_house(own, &mut tasks, &shutdown),
            Engine::Remote(engine) => federation::start_remote(engine, &mut tasks, &shutdown),
        }
        let mut names = Vec::new();
        if let Some((mut reloader, hang_ups)) = self.reloader.take() {
            names = reloader.begin();
            tasks.spawn(
                "the watch over configuration and pools",
                reloader.run(hang_ups),
            );
        }
        // Serving before the names of upstreams are known, or before a gate without an engine has heard of
        // one, would refuse the first requests.
        let beginning = join(join_all(names), told(engine));
        tokio::time::timeout(BEGINNING, beginning).await.ok();
        ready.notify_ready();
        if let Some(lost) = tasks.lost_before(&mut shutdown).await {
            self.outage.begin(lost);
        }
        // What is left keeps house while connections are drained.
        shutdown.wait_for(|stop| *stop).await.ok();
    }

    fn name(&self) -> &'static str {
        "core"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}

/// Lets those who run the node act on it.
async fn obey(socket: ControlSocket, desk: Desk, shutdown: ShutdownWatch) {
    if let Err(error) = admin::serve(socket, desk, shutdown).await {
        tracing::error!(%error, "the control socket cannot be used");
    }
}

/// Waits until the gate knows what it goes by.
async fn told(engine: &Engine) {
    if let Engine::Remote(engine) = engine {
        engine.told().await;
    }
}

/// Starts what an engine of this process needs done for it.
fn keep_house(own: &OwnEngine, tasks: &mut Tasks, shutdown: &ShutdownWatch) {
    tasks.spawn("the sweep of sessions", sweep(Arc::clone(&own.engine)));
    if let Some(federation) = &own.federation {
        federation.start(&own.engine, tasks, shutdown);
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

/// What the edge service is made of.
pub(super) struct EdgeParts {
    pub(super) conf: Arc<ServerConf>,
    pub(super) assembled: Assembled,
    /// Tells balancers whether requests may be sent here.
    pub(super) vitals: Arc<dyn Vitals>,
    /// Turns true when the drain begins.
    pub(super) draining: watch::Receiver<bool>,
    /// To be set when connections are accepted.
    pub(super) is_serving: Arc<AtomicBool>,
    /// Told when the drain is over.
    pub(super) drained: Arc<Notify>,
    /// What the node has lost; a listener may be it.
    pub(super) outage: Arc<Outage>,
    /// Told when connections are accepted.
    pub(super) ready: mpsc::Sender<()>,
}

/// Serves: the edge loop on every listener.
pub(super) struct EdgeService {
    edge: Arc<Edge>,
    listeners: tokio::sync::mpsc::UnboundedReceiver<Bound>,
    draining: watch::Receiver<bool>,
    is_serving: Arc<AtomicBool>,
    drained: Arc<Notify>,
    outage: Arc<Outage>,
    ready: Option<mpsc::Sender<()>>,
}

impl EdgeService {
    pub(super) fn new(parts: EdgeParts) -> Self {
        let EdgeParts {
            conf,
            assembled,
            vitals,
            draining,
            is_serving,
            drained,
            outage,
            ready,
        } = parts;
        let live = assembled.live;
        let mut proxy = http_proxy(&conf, Portway::new(Arc::clone(&live), vitals));
        // What holds for one connection is given to it by the edge loop.
        proxy.server_options = Some(live.look().connection.server.clone());
        Self {
            edge: Arc::new(Edge::new(Arc::new(proxy), live)),
            listeners: assembled.listeners,
            draining,
            is_serving,
            drained,
            outage,
            ready: Some(ready),
        }
    }

    /// Accepts on a listener, until a reload closes it.
    fn accept(&self, bound: Bound, tasks: &mut Tasks) {
        let (edge, draining) = (Arc::clone(&self.edge), self.draining.clone());
        tasks.spawn_until_asked("a listener", async move {
            let closing = bound.closing.clone();
            edge.accept(bound, draining).await;
            if *closing.borrow() {
                Ending::AsAsked
            } else {
                Ending::Lost
            }
        });
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
        if self.outage.lost().is_some() {
            // Whoever waits for the start learns that there is none.
            self.ready = None;
            self.drained.notify_one();
            return;
        }
        let mut tasks = Tasks::default();
        while let Ok(bound) = self.listeners.try_recv() {
            self.accept(bound, &mut tasks);
        }
        notifier.notify_ready();
        self.is_serving.store(true, Ordering::Release);
        if let Some(ready) = self.ready.take() {
            // Nobody waits for it any more when the start was given up.
            ready.send(()).ok();
        }
        loop {
            let lost = tokio::select! {
                lost = tasks.lost_before(&mut self.draining) => lost,
                Some(bound) = self.listeners.recv() => {
                    self.accept(bound, &mut tasks);
                    continue;
                }
            };
            if let Some(lost) = lost {
                self.outage.begin(lost);
            }
            break;
        }
        // What a reload opens from now on is closed at once.
        self.listeners.close();
        while self.listeners.try_recv().is_ok() {}
        self.draining.wait_for(|drain| *drain).await.ok();
        let open = self.edge.drain().await;
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
/// Reloads that may be waited for at the same time; more wait until they can be asked for.
const ASKS_MAX: usize = 64;

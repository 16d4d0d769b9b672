//! The service inside pingora's server that keeps house: the core. The edge, which serves, is `edge_service`;
//! `answering` answers other nodes.
//!
//! Each has a runtime of its own, so that housekeeping never delays a request.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join;
use futures_util::future::join_all;
use pingora::server::ListenFds;
use pingora::server::ShutdownWatch;
use pingora::services::ServiceReadyNotifier;
use pingora::services::ServiceWithDependents;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::admin;
use crate::admin::ControlSocket;
use crate::admin::Desk;
use crate::admin::DoorServices;
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
use crate::app::notify;
use crate::app::ops::Node;
use crate::app::pool_verbs::NodePools;
use crate::app::pools::PoolWatch;
use crate::app::record::Record;
use crate::app::reload::Reloader;
use crate::app::sessions::NodeSessions;
use crate::app::streams::StreamWatch;
use crate::app::succession::Duties;
use crate::app::succession::Succession;
use crate::app::tasks::Ending;
use crate::app::tasks::Outage;
use crate::app::tasks::Tasks;
use crate::app::tasks::on_duty;
use crate::app::tasks::stopped_or_retired;
use crate::app::users::UsersWatch;
use crate::engine::EmbeddedEngine;
use crate::engine::Swept;
use crate::ports::peer_service::PeerService;
use crate::ports::session_engine::SessionEngine;
use crate::proxy::naming::Asking;

/// Keeps house: sweeps sessions, closes their streams, follows the users, checks upstreams, resolves names,
/// reads the configuration again.
pub(super) struct Core {
    lasting: Arc<Lasting>,
    users: Option<UsersWatch>,
    node: Arc<Node>,
    desk: Desk,
    /// With it, when it is not to be answered on any more.
    socket: Option<(ControlSocket, watch::Receiver<bool>)>,
    reloader: Option<(Reloader, HangUps)>,
    /// To be set when whoever was removed meanwhile is cut off.
    settled: watch::Sender<bool>,
    outage: Arc<Outage>,
    succession: Arc<Succession>,
    is_on_duty: watch::Receiver<bool>,
    /// Turns true when commands may be answered.
    begun: watch::Receiver<bool>,
}

impl Core {
    pub(super) fn new(
        assembled: &mut Assembled,
        (origin, hang_ups): (Origin, HangUps),
        (is_serving, leaving): (&Arc<AtomicBool>, &watch::Receiver<bool>),
        (outage, duties, begun): (&Arc<Outage>, Duties, watch::Receiver<bool>),
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
            succession: Arc::clone(&duties.succession),
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
            succession: Arc::clone(&duties.succession),
            changing: Arc::clone(&lasting.changing),
        };
        let desk = Desk {
            control: Arc::new(control),
            keys: Arc::new(NodeKeys(Arc::clone(&lasting.key_watch))),
            pools: Arc::new(pools),
            sessions: Arc::new(sessions),
            door: door_services(&lasting.engine),
            clock: Arc::clone(&lasting.ports.clock),
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
            socket: assembled.control.take().zip(Some(duties.retired)),
            reloader: Some((reloader, hang_ups)),
            settled: watch::Sender::new(false),
            outage: Arc::clone(outage),
            succession: duties.succession,
            is_on_duty: duties.is_on,
            begun,
        }
    }

    /// The node, as those who run it see it.
    pub(super) fn node(&self) -> Arc<Node> {
        Arc::clone(&self.node)
    }

    /// Work that is the successor's once there is one.
    fn on_duty<W>(&self, work: W) -> impl Future<Output = ()> + Send + use<W>
    where
        W: Future<Output = ()> + Send,
    {
        on_duty(work, self.is_on_duty.clone())
    }

    /// Starts what an engine of this process needs done for it.
    fn keep_house(&self, own: &OwnEngine, tasks: &mut Tasks, shutdown: &ShutdownWatch) {
        let sweeping = self.on_duty(sweep(Arc::clone(&own.engine)));
        tasks.spawn("the sweep of sessions", sweeping);
        if let Some(federation) = &own.federation {
            federation.start(&own.engine, tasks, (shutdown, &self.is_on_duty));
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
        let mut tasks = Tasks::default();
        if let Some((socket, retired)) = self.socket.take() {
            let begun = self.begun.clone();
            let stop = stopped_or_retired(shutdown.clone(), retired);
            let obeying = obey(socket, self.desk.clone(), (begun, stop));
            tasks.spawn_until_asked("the control socket", obeying);
        }
        self.succession.begin(Handle::current());
        let keys = Arc::clone(&self.lasting.key_watch);
        tasks.spawn("the watch over the key ring", self.on_duty(keys.run()));
        let files = Arc::clone(&self.lasting.logs);
        tasks.spawn("the watch for SIGUSR1", logs::reopen_when_told(files));
        let engine = &self.lasting.engine;
        let door = engine.door();
        let ended = door.watch_ended();
        let (running, clock) = (&self.lasting.streams, &self.lasting.ports.clock);
        let live = Arc::clone(&self.node.live);
        let streams = StreamWatch::new(door, (Arc::clone(running), live), Arc::clone(clock));
        let pulse = Arc::clone(&self.lasting.pulse);
        tasks.spawn("the watchdog", notify::keep_alive(pulse));
        tasks.spawn("the cutting of streams", Arc::clone(&streams).close(ended));
        tasks.spawn("the check of streams", streams.check());
        if let Some(mut users) = self.users.take() {
            // Before anybody is served: somebody may have been removed since the last run.
            users.settle().await;
            tasks.spawn("the watch over the users file", self.on_duty(users.run()));
        }
        self.settled.send_replace(true);
        match engine {
            Engine::Own(own) => self.keep_house(own, &mut tasks, &shutdown),
            Engine::Remote(engine) => federation::start_remote(engine, &mut tasks, &shutdown),
        }
        let mut names = Vec::new();
        if let Some((mut reloader, hang_ups)) = self.reloader.take() {
            names = reloader.begin();
            tasks.spawn(
                "the watch over configuration and pools",
                self.on_duty(reloader.run(hang_ups)),
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

fn door_services(engine: &Engine) -> Option<DoorServices> {
    let Engine::Own(own) = engine else {
        return None;
    };
    Some(DoorServices {
        sessions: Arc::clone(&own.door) as Arc<dyn SessionEngine>,
        peers: Arc::clone(&own.door) as Arc<dyn PeerService>,
    })
}

/// Lets those who run the node act on it.
async fn obey(
    socket: ControlSocket,
    desk: Desk,
    (mut begun, stop): (watch::Receiver<bool>, impl Future<Output = ()>),
) -> Ending {
    // An error means that the end is near.
    begun.wait_for(|begun| *begun).await.ok();
    match admin::serve(socket, desk, stop).await {
        Ok(()) => Ending::AsAsked,
        Err(error) => {
            tracing::error!(%error, "the control socket cannot be used");
            Ending::Lost
        }
    }
}

/// Waits until the gate knows what it goes by.
async fn told(engine: &Engine) {
    if let Engine::Remote(engine) = engine {
        engine.told().await;
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

/// How long the start waits for the names of upstreams and the word of an engine.
const BEGINNING: Duration = Duration::from_secs(3);
const SWEEP_EVERY: Duration = Duration::from_millis(500);
const SWEEPS_PER_TRIM: u32 = 120;
/// Reloads that may be waited for at the same time; more wait until they can be asked for.
const ASKS_MAX: usize = 64;

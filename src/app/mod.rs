//! Assembly: names the implementations, starts the services, drives background steps, stops.
//!
//! `keys` makes the key ring, `assembly` puts the rooms together, `services` runs them inside pingora's
//! server. `reload` puts another configuration in the place of the one that is served, on top of what
//! `lasting` keeps.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context;
use anyhow::anyhow;
use anyhow::bail;
use parking_lot::Mutex;
use pingora::server::RunArgs;
use pingora::server::Server;
use pingora::server::configuration::Opt;
use pingora::server::configuration::ServerConf;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::app::answering::AnsweringService;
use crate::app::answering::Term;
use crate::app::assembly::Assembled;
use crate::app::assembly::Given;
use crate::app::edge_service::EdgeParts;
use crate::app::edge_service::EdgeService;
use crate::app::engine::Engine;
use crate::app::federation::Answering;
use crate::app::hang_ups::HangUps;
use crate::app::ops::OpsService;
use crate::app::services::Core;
use crate::app::signals::Signals;
use crate::app::succession::Blessing;
use crate::app::succession::Claims;
use crate::app::succession::Duties;
use crate::app::succession::Heir;
use crate::app::tasks::Outage;
use crate::config::Config;
use crate::config::sources::Sources;
use crate::ports::clock::Clock;
use crate::proxy::listening::Socket;
use crate::system::SystemClock;

pub(crate) mod activation;
mod answering;
mod assembly;
pub mod branding;
mod changes;
mod control;
mod descriptors;
mod door;
pub(crate) mod doubts;
mod drains;
mod edge_service;
mod engine;
mod federation;
mod hang_ups;
mod key_verbs;
mod key_watch;
mod keys;
mod lasting;
pub(crate) mod leads;
mod logs;
pub(crate) mod notify;
mod ops;
mod places;
mod pool_status;
mod pool_verbs;
mod pools;
mod prepare;
mod pulse;
mod record;
mod reload;
mod reopenable;
#[cfg(test)]
mod rig;
mod services;
mod sessions;
mod signals;
mod sockets;
mod streams;
pub mod succession;
mod tasks;
mod users;
pub(crate) mod verify;

/// A configuration, and where it can be read again.
#[derive(Debug)]
pub struct Origin {
    /// The file.
    pub path: PathBuf,
    /// What was read.
    pub config: Arc<Config>,
    /// The files that it was read from.
    pub sources: Sources,
    /// How the process was started, for its successor; none where it can have none.
    pub invocation: Option<Invocation>,
    /// Sockets that a service manager listens at already, see [`activation::passed`].
    pub sockets: Vec<Arc<Socket>>,
}

/// How a process was started.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The file of its program.
    pub binary: PathBuf,
    /// Its arguments, without the program's name.
    pub arguments: Vec<OsString>,
}

/// A gateway that is running.
#[derive(Debug)]
pub struct Running {
    addresses: Vec<(String, SocketAddr)>,
    stop: Arc<Notify>,
    thread: Mutex<Option<JoinHandle<anyhow::Result<()>>>>,
}

/// Starts a gateway: binds every listener, opens the store, and returns once it accepts connections.
///
/// # Errors
/// When something that the configuration names cannot be used.
pub fn start(origin: Origin) -> anyhow::Result<Running> {
    begin(origin, None)
}

/// Starts a gateway in the place of the one that runs: takes over its sockets and sessions, and returns once it
/// accepts connections.
///
/// # Errors
/// When something that the configuration names cannot be used, or the other one does not hand over. That one goes on
/// then, unless it is gone.
pub fn take_over(origin: Origin, mut heir: Heir) -> anyhow::Result<Running> {
    let unusable = verify::unusable(&origin.config, SystemClock.now());
    if !unusable.is_empty() {
        let text = unusable.join("\n");
        heir.refuse(&text);
        bail!("{text}");
    }
    let inherited = heir.inherit(&origin.config);
    let begun = inherited.and_then(|given| begin(origin, Some((given, &mut heir))));
    if let Err(error) = &begun {
        heir.fail(error);
    }
    begun
}

fn begin(mut origin: Origin, inherited: Option<(Given, &mut Heir)>) -> anyhow::Result<Running> {
    pingora::tls::install_default_crypto_provider();
    descriptors::raise(&origin.config.limits);
    let stop = Arc::new(Notify::new());
    let hang_ups = HangUps::listen()?;
    let (given, mut heir) = inherited.unzip();
    let assembled = assembly::assemble(&origin.config, given, std::mem::take(&mut origin.sockets))?;
    if let Some(heir) = &mut heir {
        heir.take_up(&assembled.lasting.engine)?;
    }
    let addresses = assembled.addresses()?;
    let claims = Claims::of(&assembled)?;
    let (ready, is_ready) = mpsc::channel();
    let (blessing, blessed) = Blessing::new();
    let launch = Launch {
        origin,
        hang_ups,
        assembled,
        stop: Arc::clone(&stop),
        ready,
        blessing: heir.is_some().then_some(blessing),
    };
    let thread = std::thread::Builder::new()
        .name("portway".to_owned())
        .spawn(move || run(launch))
        .context("no thread can be started")?;
    if let Some(heir) = heir {
        blessed.wait_for(heir, &claims);
    }
    let running = Running {
        addresses,
        stop,
        thread: Mutex::new(Some(thread)),
    };
    // The sender is dropped without a word when the server fails before it is ready.
    if is_ready.recv().is_err() {
        running.wait()?;
        return Err(anyhow!("the gateway stopped while it was starting"));
    }
    Ok(running)
}

impl Running {
    /// The address a listener accepts on.
    #[must_use]
    pub fn address(&self, listener: &str) -> Option<SocketAddr> {
        let found = self.addresses.iter().find(|(name, _)| name == listener);
        found.map(|(_, address)| *address)
    }

    /// Waits until the gateway has stopped, by a signal or [`Self::stop`].
    ///
    /// # Errors
    /// When it did not stop in order.
    pub fn wait(&self) -> anyhow::Result<()> {
        match self.thread.lock().take() {
            None => Ok(()),
            Some(thread) => thread
                .join()
                .map_err(|_| anyhow!("the gateway stopped by a fault of its own"))?,
        }
    }

    /// Stops: accepts nothing more, lets running requests finish within the drain time-out, closes the
    /// store.
    ///
    /// # Errors
    /// When it did not stop in order.
    pub fn stop(self) -> anyhow::Result<()> {
        self.stop.notify_one();
        self.wait()
    }
}

/// What a server is made of.
struct Launch {
    origin: Origin,
    hang_ups: HangUps,
    assembled: Assembled,
    /// Told when it is to stop.
    stop: Arc<Notify>,
    /// Told when it accepts connections.
    ready: mpsc::Sender<()>,
    /// Keeps it from accepting before another process has let go.
    blessing: Option<Blessing>,
}

fn run(launch: Launch) -> anyhow::Result<()> {
    let Launch {
        origin,
        hang_ups,
        mut assembled,
        stop,
        ready,
        blessing,
    } = launch;
    let conf = server_conf(origin.config.threads);
    let mut server = Server::new_with_opt_and_conf(Some(Opt::default()), conf);
    let (give_notice, leaving) = watch::channel(false);
    let (begin_drain, draining) = watch::channel(false);
    let drained = Arc::new(Notify::new());
    let live = Arc::clone(&assembled.live);
    let logs = Arc::clone(&assembled.lasting.logs);
    let is_serving = Arc::new(AtomicBool::new(false));
    let outage = Arc::new(Outage::new(Arc::clone(&stop)));
    let engine = assembled.lasting.engine.clone();
    let duties = Duties::of(&origin, &assembled, &outage)?;
    // What is done before could be undone, where another process may take its sessions back.
    let (begins, begun) = watch::channel(blessing.is_none());
    let others = Others {
        ops: assembled.ops.take(),
        answering: assembled.lasting.engine.answering()?,
        begun: begun.clone(),
        retired: duties.retired.clone(),
    };
    let succession = Arc::clone(&duties.succession);
    let succeeded = Arc::clone(&duties.succeeded);
    let has_successor = Arc::clone(&duties.has_successor);
    let core = Core::new(
        &mut assembled,
        (origin, hang_ups),
        (&is_serving, &leaving),
        (&outage, duties, begun),
    );
    add_others(&mut server, &core, others, &outage);
    let edge = EdgeService::new(EdgeParts {
        conf: Arc::clone(&server.configuration),
        assembled,
        vitals: core.node(),
        draining,
        is_serving,
        drained: Arc::clone(&drained),
        outage: Arc::clone(&outage),
        ready,
        blessing,
        begun: begins,
        has_successor: Arc::clone(&has_successor),
    });
    let core = server.add_service(core);
    let edge = server.add_service(edge);
    edge.add_dependency(&core);
    let signals = Signals {
        succession,
        succeeded,
        has_successor,
        live,
        stop,
        give_notice,
        begin_drain,
        drained,
    };
    server.run(RunArgs {
        shutdown_signal: Box::new(signals),
    });
    let closed = farewell(&engine);
    logs.finish();
    closed?;
    nothing_lost(&outage)
}

/// What answers others than the users of applications.
struct Others {
    ops: Option<TcpListener>,
    answering: Option<Answering>,
    /// See [`Term`].
    begun: watch::Receiver<bool>,
    /// Turns true when another process answers them; whoever says so knows by the end of these that this one does not.
    retired: watch::Receiver<bool>,
}

fn add_others(server: &mut Server, core: &Core, others: Others, outage: &Arc<Outage>) {
    if let Some(socket) = others.ops {
        let service = OpsService::new(socket, core.node(), others.retired.clone());
        server.add_service(service);
    }
    if let Some(answering) = others.answering {
        let term = Term {
            settled: core.settled(),
            begun: others.begun,
            retired: others.retired,
        };
        let service = AnsweringService::new(answering, term, Arc::clone(outage));
        server.add_service(service);
    }
}

fn nothing_lost(outage: &Outage) -> anyhow::Result<()> {
    match outage.lost() {
        None => Ok(()),
        Some(lost) => Err(anyhow!("the node stopped because it lost {lost}")),
    }
}

fn server_conf(threads: usize) -> ServerConf {
    ServerConf {
        threads,
        // A request is polled by one thread: pingora closes a WebSocket whose acceptance another thread
        // sees before the end of its request has been sent on (ADR 0010).
        work_stealing: false,
        // The signal watch has drained before it returns.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        max_retries: MAX_RETRIES,
        upstream_keepalive_pool_size: UPSTREAM_KEEP_ALIVE,
        ca_file: assembly::platform_ca(),
        ..ServerConf::default()
    }
}

/// Writes back what the store kept lazily, or tells the process that has it now. The runtimes are gone by now, so it
/// gets one of its own.
fn farewell(engine: &Engine) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.context("no runtime can be made")?;
    if let Engine::Own(own) = engine
        && let Some(successor) = own.door.successor()
    {
        runtime.block_on(successor.flush());
    }
    let Some(store) = engine.store() else {
        return Ok(());
    };
    runtime.block_on(store.close()).context("closing the store")
}

/// Upstreams tried for one request at most, whatever a pool says.
const MAX_RETRIES: usize = 16;
/// Idle upstream connections kept for each worker thread.
const UPSTREAM_KEEP_ALIVE: usize = 512;

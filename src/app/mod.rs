//! Assembly: names the implementations, starts the services, drives background steps, stops.
//!
//! `keys` makes the key ring, `assembly` puts the rooms together, `services` runs them inside pingora's
//! server. `reload` puts another configuration in the place of the one that is served, on top of what
//! `lasting` keeps.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context;
use anyhow::anyhow;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora::server::RunArgs;
use pingora::server::Server;
use pingora::server::ShutdownSignal;
use pingora::server::ShutdownSignalWatch;
use pingora::server::configuration::Opt;
use pingora::server::configuration::ServerConf;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::app::answering::AnsweringService;
use crate::app::assembly::Assembled;
use crate::app::hang_ups::HangUps;
use crate::app::ops::OpsService;
use crate::app::tasks::Outage;
use crate::config::Config;
use crate::config::sources::Sources;
use crate::proxy::live::Live;

mod answering;
mod assembly;
pub mod branding;
mod changes;
mod control;
mod descriptors;
pub(crate) mod doubts;
mod drains;
mod engine;
mod federation;
mod hang_ups;
mod key_verbs;
mod key_watch;
mod keys;
mod lasting;
mod logs;
mod ops;
mod places;
mod pool_status;
mod pool_verbs;
mod pools;
mod prepare;
mod record;
mod reload;
#[cfg(test)]
mod rig;
mod services;
mod sessions;
mod sockets;
mod streams;
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
    pingora::tls::install_default_crypto_provider();
    descriptors::raise(&origin.config.limits);
    let stop = Arc::new(Notify::new());
    let hang_ups = HangUps::listen()?;
    let assembled = assembly::assemble(&origin.config)?;
    let addresses = assembled.addresses()?;
    let (ready, is_ready) = mpsc::channel();
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name("portway".to_owned())
        .spawn(move || run((origin, hang_ups), assembled, stopped, ready))
        .context("no thread can be started")?;
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

fn run(
    started: (Origin, HangUps),
    mut assembled: Assembled,
    stop: Arc<Notify>,
    ready: mpsc::Sender<()>,
) -> anyhow::Result<()> {
    let conf = ServerConf {
        threads: started.0.config.threads,
        // A request is polled by one thread: pingora closes a WebSocket whose acceptance another thread
        // sees before the end of its request has been sent on (ADR 0010).
        work_stealing: false,
        // The signal watch below has drained before it returns.
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(1),
        max_retries: MAX_RETRIES,
        upstream_keepalive_pool_size: UPSTREAM_KEEP_ALIVE,
        ca_file: assembly::platform_ca(),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(Some(Opt::default()), conf);
    let (give_notice, leaving) = watch::channel(false);
    let (begin_drain, draining) = watch::channel(false);
    let drained = Arc::new(Notify::new());
    let live = Arc::clone(&assembled.live);
    let store = assembled.lasting.engine.store();
    let logs = Arc::clone(&assembled.lasting.logs);
    let is_serving = Arc::new(AtomicBool::new(false));
    let outage = Arc::new(Outage::new(Arc::clone(&stop)));
    let core = services::Core::new(&mut assembled, started, (&is_serving, &leaving), &outage);
    if let Some(socket) = assembled.ops.take() {
        server.add_service(OpsService::new(socket, core.node()));
    }
    let answering = assembled.lasting.engine.answering()?;
    let answering = answering
        .map(|answering| AnsweringService::new(answering, core.settled(), Arc::clone(&outage)));
    let edge = services::EdgeService::new(services::EdgeParts {
        conf: Arc::clone(&server.configuration),
        assembled,
        vitals: core.node(),
        draining,
        is_serving,
        drained: Arc::clone(&drained),
        outage: Arc::clone(&outage),
        ready,
    });
    if let Some(answering) = answering {
        server.add_service(answering);
    }
    let core = server.add_service(core);
    let edge = server.add_service(edge);
    edge.add_dependency(&core);
    let signals = Signals {
        live,
        stop,
        give_notice,
        begin_drain,
        drained,
    };
    server.run(RunArgs {
        shutdown_signal: Box::new(signals),
    });
    let closed = store.map_or(Ok(()), |store| close(store.as_ref()));
    logs.finish();
    closed?;
    match outage.lost() {
        None => Ok(()),
        Some(lost) => Err(anyhow!("the node stopped because it lost {lost}")),
    }
}

/// Writes back what the store kept lazily. The runtimes are gone by now, so it gets one of its own.
fn close(store: &dyn crate::ports::session_store::SessionStore) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime
        .context("no runtime can be made")?
        .block_on(store.close())
        .context("closing the store")
}

/// Stops the gateway in order: on SIGTERM or SIGINT, or when told to, the edge drains first. Before a signal has it
/// drain, balancers get time to hear that the node is not ready.
struct Signals {
    live: Arc<Live>,
    stop: Arc<Notify>,
    give_notice: watch::Sender<bool>,
    begin_drain: watch::Sender<bool>,
    drained: Arc<Notify>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        use tokio::signal::unix::SignalKind;
        use tokio::signal::unix::signal;

        let (terminate, interrupt) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        );
        if let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) {
            let mut told = pin!(self.stop.notified());
            let signal = tokio::select! {
                _ = terminate.recv() => Some("SIGTERM"),
                _ = interrupt.recv() => Some("SIGINT"),
                () = &mut told => None,
            };
            self.give_notice.send_replace(true);
            let delay = self.live.look().limits.drain_delay;
            if let Some(signal) = signal.filter(|_| !delay.is_zero()) {
                tracing::info!(signal, ?delay, "not ready any more; draining after a delay");
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    () = told => {}
                }
            }
            if let Some(signal) = signal {
                tracing::info!("{signal}: draining");
            }
        } else {
            self.stop.notified().await;
            self.give_notice.send_replace(true);
        }
        self.begin_drain.send_replace(true);
        self.drained.notified().await;
        ShutdownSignal::FastShutdown
    }
}

/// Upstreams tried for one request at most, whatever a pool says.
const MAX_RETRIES: usize = 16;
/// Idle upstream connections kept for each worker thread.
const UPSTREAM_KEEP_ALIVE: usize = 512;

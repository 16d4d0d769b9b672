//! When a gateway stops: at a signal, when it is told to, or when another process serves in its place.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::ShutdownSignal;
use pingora::server::ShutdownSignalWatch;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::app::notify;
use crate::app::succession::Succession;
use crate::proxy::live::Live;

/// Stops the gateway in order: on SIGTERM or SIGINT, or when told to, the edge drains first. Before a signal has it
/// drain, balancers get time to hear that the node is not ready.
pub(super) struct Signals {
    pub(super) live: Arc<Live>,
    pub(super) stop: Arc<Notify>,
    pub(super) give_notice: watch::Sender<bool>,
    pub(super) begin_drain: watch::Sender<bool>,
    pub(super) drained: Arc<Notify>,
    /// What may be handing over just then.
    pub(super) succession: Arc<Succession>,
    /// Told when another process serves.
    pub(super) succeeded: Arc<Notify>,
    pub(super) has_successor: Arc<AtomicBool>,
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let (terminate, interrupt) = (
            signal(SignalKind::terminate()),
            signal(SignalKind::interrupt()),
        );
        if let (Ok(mut terminate), Ok(mut interrupt)) = (terminate, interrupt) {
            let mut told = pin!(self.stop.notified());
            let signal = tokio::select! {
                () = self.succeeded.notified() => None,
                _ = terminate.recv() => Some("SIGTERM"),
                _ = interrupt.recv() => Some("SIGINT"),
                () = &mut told => None,
            };
            self.give_notice.send_replace(true);
            if !self.has_successor.load(Ordering::Acquire) {
                tokio::select! {
                    () = self.succession.break_off() => {}
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            let delay = self.live.look().limits.drain_delay;
            if !self.has_successor.load(Ordering::Acquire) {
                notify::stopping(delay + self.live.look().limits.drain_timeout + ENDING).await;
            }
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
            tokio::select! {
                () = self.stop.notified() => {}
                () = self.succeeded.notified() => {}
            }
            self.give_notice.send_replace(true);
        }
        self.begin_drain.send_replace(true);
        self.drained.notified().await;
        if self.has_successor.load(Ordering::Acquire) {
            tokio::time::sleep(LAST_ANSWER).await;
        }
        ShutdownSignal::FastShutdown
    }
}

/// How long it takes to write the rest.
const ENDING: Duration = Duration::from_secs(5);
/// How long the answer to whoever asked for a successor may be on its way.
const LAST_ANSWER: Duration = Duration::from_secs(2);

//! The hang-up signals of the process: each asks for the configuration to be read again.
//!
//! Until somebody listens, the signal ends a process. So it is listened to before anything is bound, on a
//! thread of its own: the runtimes of the services come later.

use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::sync::Notify;

/// The hang-up signals that the process gets.
#[derive(Clone)]
pub(super) struct HangUps(Arc<Notify>);

impl HangUps {
    /// Begins to listen. Signals that come before anybody waits count as one.
    ///
    /// # Errors
    /// When the system does not let the process listen.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build();
        let runtime = runtime.context("no runtime can be made")?;
        let within = runtime.enter();
        let mut signals = signal(SignalKind::hangup()).context("SIGHUP cannot be listened to")?;
        drop(within);
        let heard = Arc::new(Notify::new());
        let tell = Arc::clone(&heard);
        let listen = async move {
            while signals.recv().await.is_some() {
                tell.notify_one();
            }
        };
        std::thread::Builder::new()
            .name("hang-ups".to_owned())
            .spawn(move || runtime.block_on(listen))
            .context("no thread can be started")?;
        Ok(Self(heard))
    }

    /// Waits for the next one.
    pub(super) async fn next(&self) {
        self.0.notified().await;
    }
}

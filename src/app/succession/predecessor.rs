//! What can be handed over, and the attempts to do so, one at a time.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use rustix::process::Pid;
use rustix::process::getppid;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::oneshot;
use tokio::sync::watch;

use crate::admin::SharedControl;
use crate::app::Invocation;
use crate::app::lasting::Lasting;
use crate::app::succession::attempt::Attempt;
use crate::app::succession::letters::Keeping;
use crate::app::succession::progress::Attempts;
use crate::app::succession::progress::Running;
use crate::app::succession::stop::Stop;
use crate::app::tasks::Outage;
use crate::config::Config;
use crate::config::StoreKind;
use crate::config::mdc::EngineSource;
use crate::decision::succession::Happened;
use crate::decision::succession::Predecessor;
use crate::ports::control::UpgradeError;
use crate::ports::control::UpgradeQuestion;
use crate::ports::control::UpgradeReport;

/// What can be handed over, and how the rest of the process is told.
pub(in crate::app) struct SuccessionParts {
    pub(in crate::app) invocation: Option<Invocation>,
    pub(in crate::app) config: Arc<Config>,
    pub(in crate::app) lasting: Arc<Lasting>,
    pub(in crate::app) control: SharedControl,
    pub(in crate::app) ops: Option<(SocketAddr, TcpListener)>,
    /// The listener for other data centres and gates.
    pub(in crate::app) back_channel: Option<(SocketAddr, TcpListener)>,
    /// Whether this process keeps house.
    pub(in crate::app) duty: watch::Sender<bool>,
    /// Turns true when those who run the node are answered by the successor.
    pub(in crate::app) retired: watch::Sender<bool>,
    /// To be told when the successor serves.
    pub(in crate::app) succeeded: Arc<Notify>,
    /// To be set with that.
    pub(in crate::app) has_successor: Arc<AtomicBool>,
    pub(in crate::app) outage: Arc<Outage>,
}

/// Hands the gateway over.
pub(in crate::app) struct Succession {
    parts: SuccessionParts,
    /// Where what goes on beside requests is run, once it is.
    core: OnceLock<Handle>,
    attempts: Attempts,
    stop: Stop,
}

/// Where the sessions of a configuration are kept.
pub(super) fn keeping_of(config: &Config) -> Keeping {
    match (&config.engine, config.session.store, &config.mdc) {
        (EngineSource::Remote(_), _, _) => Keeping::Elsewhere,
        (EngineSource::Embedded, StoreKind::Disk, _) => Keeping::OnDisk,
        (EngineSource::Embedded, StoreKind::Memory, Some(_)) => Keeping::EndsOnDisk,
        (EngineSource::Embedded, StoreKind::Memory, None) => Keeping::InMemory,
    }
}

/// Whether a container ends with this process: it is its first one, or the child that its init waits for.
fn ends_its_container() -> bool {
    let is_child_of_first = getppid().is_some_and(Pid::is_init);
    let first = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    std::process::id() == 1 || is_child_of_first && waits_for_one(&first)
}

/// Whether a program ends when the one ends that it was started to run; by its name, as Docker, Podman and images have
/// it.
fn waits_for_one(program: &str) -> bool {
    matches!(
        program.trim_end(),
        "catatonit" | "docker-init" | "dumb-init" | "tini"
    )
}

impl Succession {
    pub(in crate::app) fn new(parts: SuccessionParts) -> Self {
        Self {
            parts,
            core: OnceLock::new(),
            attempts: Attempts::default(),
            stop: Stop::default(),
        }
    }

    /// Has the work beside requests done here from now on.
    pub(in crate::app) fn begin(&self, core: Handle) {
        self.core.get_or_init(|| core);
    }

    /// Tries it once. Whoever asked may hang up; it is done to its end all the same.
    pub(in crate::app) async fn upgrade(
        self: &Arc<Self>,
        question: &UpgradeQuestion,
    ) -> Result<UpgradeReport, UpgradeError> {
        let invocation = self.parts.invocation.as_ref();
        let invocation = invocation.ok_or(UpgradeError::NotByCommand)?;
        if ends_its_container() {
            return Err(UpgradeError::FirstProcess);
        }
        if self.stop.is_told() {
            return Err(UpgradeError::Stopping);
        }
        let running = self.attempts.begin(&self.parts.outage)?;
        let binary = question.binary.clone();
        let binary = binary.unwrap_or_else(|| invocation.binary.clone());
        let (tell, told) = oneshot::channel();
        let succession = Arc::clone(self);
        let attempt = move || {
            let report = succession.attempt(binary, running);
            tell.send(report).ok();
        };
        let thread = std::thread::Builder::new().name("succession".to_owned());
        if let Err(error) = thread.spawn(attempt) {
            let why = format!("no thread can be started: {error}");
            return Ok(UpgradeReport::Failed { why });
        }
        told.await.map_err(|_| UpgradeError::Stopping)?
    }

    /// Returns when another process answers those who run the node.
    pub(in crate::app) async fn is_over(&self) {
        let mut retired = self.parts.retired.subscribe();
        // This is where the other end is.
        retired.wait_for(|is_retired| *is_retired).await.ok();
    }

    /// The gateway is to stop: breaks off an attempt that is under way, unless it is past going back, and returns when
    /// that is over. Nobody is handed over to afterwards.
    pub(in crate::app) async fn break_off(&self) {
        self.stop.tell();
        self.attempts.rest().await;
    }

    fn attempt(&self, binary: PathBuf, running: Running) -> Result<UpgradeReport, UpgradeError> {
        let core = self.core.get().ok_or(UpgradeError::Stopping)?;
        let mut attempt = Attempt {
            parts: &self.parts,
            stop: &self.stop,
            core,
            binary,
            successor: None,
            version: String::new(),
            process_id: 0,
            unchanged: None,
            failed: None,
        };
        let mut at = Predecessor::default();
        let mut step = at.hear(Happened::Asked);
        while let Some(next) = step {
            step = at.hear(attempt.take(next));
        }
        let unchanged = attempt.unchanged.take();
        let report = attempt.report();
        match &report {
            UpgradeReport::Done { .. } => running.hand_over(unchanged),
            UpgradeReport::Failed { .. } | UpgradeReport::Refused { .. } => drop(running),
        }
        Ok(report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_init_of_a_container_ends_with_its_child_and_a_service_manager_does_not() {
        for init in ["tini\n", "docker-init\n", "dumb-init", "catatonit\n"] {
            assert!(waits_for_one(init), "{init}");
        }
        for manager in ["systemd\n", "init", "s6-svscan", "runit", "tinit", ""] {
            assert!(!waits_for_one(manager), "{manager}");
        }
        assert!(!ends_its_container());
    }
}

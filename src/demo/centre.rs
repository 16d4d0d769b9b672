//! A data centre of the demonstration: a gateway in a process of its own, and its sample applications.
//!
//! A process, because it is to be killed. It is started from its configuration file, as an operator would
//! start it.

use std::fs::OpenOptions;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use anyhow::bail;
use parking_lot::Mutex;
use rustix::process::Pid;
use rustix::process::Signal;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::demo::apps::Apps;
use crate::demo::site::Site;

/// A data centre of the demonstration.
#[derive(Debug)]
pub(super) struct Centre {
    /// What it is called: `A` or `B`.
    pub(super) name: &'static str,
    /// Where it listens.
    pub(super) site: Site,
    /// Its sample applications.
    pub(super) apps: Arc<Apps>,
    config_file: PathBuf,
    log_file: PathBuf,
    log: String,
    gateway: Mutex<Option<Child>>,
}

/// What a gateway is started from.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) config: PathBuf,
    pub(super) log: PathBuf,
}

impl Centre {
    /// Puts a data centre together; `log` chooses the lines that its gateway writes.
    pub(super) fn new(name: &'static str, site: Site, apps: Apps, files: Files, log: &str) -> Self {
        Self {
            name,
            site,
            apps: Arc::new(apps),
            config_file: files.config,
            log_file: files.log,
            log: log.to_owned(),
            gateway: Mutex::new(None),
        }
    }

    /// Starts the gateway, if it is not running, and waits until it accepts connections.
    pub(super) async fn start(&self) -> anyhow::Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let program = std::env::current_exe().context("the gateway's own program")?;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&self.log_file)
            .with_context(|| format!("{} cannot be written", self.log_file.display()))?;
        let gateway = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(&self.config_file)
            .args(["--log-format", "json", "--log", &self.log])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .with_context(|| format!("the gateway of {} cannot be started", self.name))?;
        *self.gateway.lock() = Some(gateway);
        let deadline = Instant::now() + START_TIMEOUT;
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.site.https))
            .await
            .is_err()
        {
            pause.tick().await;
            if !self.is_running() || Instant::now() > deadline {
                let log = self.log_file.display();
                bail!("the gateway of {} did not start; see {log}", self.name);
            }
        }
        Ok(())
    }

    /// Ends the gateway as a crash would.
    pub(super) fn kill(&self) -> anyhow::Result<()> {
        if let Some(mut gateway) = self.gateway.lock().take() {
            gateway.kill().context("the gateway cannot be killed")?;
            gateway.wait()?;
        }
        Ok(())
    }

    /// Ends the gateway in order.
    pub(super) fn stop(&self) -> anyhow::Result<()> {
        let Some(mut gateway) = self.gateway.lock().take() else {
            return Ok(());
        };
        if let Some(pid) = i32::try_from(gateway.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself, by the same Ctrl-C.
            rustix::process::kill_process(pid, Signal::TERM).ok();
        }
        let status = gateway.wait()?;
        if !status.success() {
            let log = self.log_file.display();
            bail!(
                "the gateway of {} ended with {status}; see {log}",
                self.name
            );
        }
        Ok(())
    }

    pub(super) fn is_running(&self) -> bool {
        let mut gateway = self.gateway.lock();
        let ended = gateway.as_mut().map(Child::try_wait);
        matches!(ended, Some(Ok(None)))
    }

    /// What its gateway has logged so far.
    pub(super) fn log(&self) -> anyhow::Result<String> {
        let log = std::fs::read_to_string(&self.log_file);
        log.with_context(|| format!("{} cannot be read", self.log_file.display()))
    }
}

impl Drop for Centre {
    fn drop(&mut self) {
        // Nobody is left who could be told.
        self.kill().ok();
    }
}

/// A machine that compiles meanwhile is slow.
const START_TIMEOUT: Duration = Duration::from_secs(30);

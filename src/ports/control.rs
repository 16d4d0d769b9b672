//! The port by which those who run a node ask how it is and act on it.
//!
//! What is told and reported is plain data that can be sent as JSON: the control socket speaks it, and the
//! command line reads it. How it is gathered and done is `app`'s; nothing here holds a secret.

use std::path::PathBuf;

use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;

/// A node, to those who run it.
#[async_trait]
pub trait Control: Send + Sync + 'static {
    /// How the node is now.
    fn status(&self) -> NodeStatus;

    /// Reads the configuration again, and takes it over as a whole unless it has a fault. The answer comes
    /// once that is done: whatever begins after it goes by the new configuration.
    ///
    /// # Errors
    /// When the node is about to stop.
    async fn reload(&self) -> Result<ReloadReport, ReloadError>;

    /// Starts another process in the place of this one, which takes over its sockets and sessions. The answer comes
    /// once that one serves, or it is certain that this one goes on.
    ///
    /// # Errors
    /// When nothing was tried.
    async fn upgrade(&self, question: &UpgradeQuestion) -> Result<UpgradeReport, UpgradeError>;
}

/// Why nothing was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// Another process serves by now.
    #[error("another process serves by now; ask again")]
    HandedOver,
    /// The node is about to stop.
    #[error("the gateway is about to stop")]
    Stopping,
}

/// What a node is to be followed by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpgradeQuestion {
    /// The program; none is the one that the node was started with.
    #[serde(default)]
    pub binary: Option<PathBuf>,
}

/// Why no successor was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeError {
    /// One is being started.
    #[error("an upgrade is under way")]
    Busy,
    /// The node is about to stop.
    #[error("the gateway is about to stop")]
    Stopping,
    /// Its end would take the successor with it.
    #[error(
        "the gateway is what its container runs, which would end with it; replace the container"
    )]
    FirstProcess,
    /// It was not started by the command line.
    #[error("this gateway was not started by `portway run`")]
    NotByCommand,
}

/// What came of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum UpgradeReport {
    /// Another process serves; this one ends its last requests.
    Done {
        /// The process that serves.
        process_id: u32,
        /// Its version.
        version: String,
    },
    /// This one goes on as before.
    Failed {
        /// Why.
        why: String,
    },
    /// The successor does not serve this configuration; this one goes on as before.
    Refused {
        /// What is wrong with it, as `portway check` shows it.
        text: String,
    },
}

/// How a node is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Portway's version.
    pub version: String,
    /// The process.
    pub process_id: u32,
    /// The data centre.
    pub cluster_id: String,
    /// Since when it runs, as RFC 3339 has it.
    pub started: String,
    /// How long that is.
    pub uptime_seconds: u64,
    /// Whether it serves: `ready`, `starting`, `draining` or `no_engine`.
    pub readiness: String,
    /// What it goes by.
    pub configuration: ConfigurationStatus,
    /// Where it accepts connections.
    pub listeners: Vec<ListenerStatus>,
    /// Where requests go.
    pub pools: Vec<PoolStatus>,
    /// Session records that stand; none on a gate without an engine.
    pub sessions: Option<usize>,
    /// The users file; none on a node without users of its own.
    #[serde(default)]
    pub users: Option<UsersStatus>,
    /// The other data centres.
    pub peers: Vec<PeerStatus>,
}

/// What a node goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationStatus {
    /// The file.
    pub file: String,
    /// 1 at the start, and one more with each reload that took effect.
    pub generation: u64,
    /// Since when, as RFC 3339 has it.
    pub since: String,
    /// Keys that differ in the file and that only a restart brings.
    pub needs_restart: Vec<String>,
    /// Configurations from before that requests in flight still go by.
    pub earlier_in_use: usize,
    /// What came of the last attempt to read it again.
    pub last_reload: Option<ReloadReport>,
}

/// What came of an attempt to read the configuration again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReloadReport {
    /// When, as RFC 3339 has it.
    pub at: String,
    /// Who asked for it.
    pub trigger: Trigger,
    /// What came of it.
    #[serde(flatten)]
    pub result: ReloadResult,
}

/// Who asked for the configuration to be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// `portway reload`.
    Command,
    /// A file changed.
    Files,
    /// SIGHUP.
    Signal,
}

/// What came of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum ReloadResult {
    /// It is in effect.
    Applied {
        /// Its number.
        generation: u64,
        /// Keys that only a restart brings.
        needs_restart: Vec<String>,
        /// What looks like a mistake, a line each.
        warnings: Vec<String>,
    },
    /// It has faults; nothing has changed.
    Refused {
        /// Each of them.
        faults: Vec<FaultReport>,
        /// All of them, as `portway check` shows them.
        text: String,
    },
}

/// One fault of a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultReport {
    /// The file.
    pub file: Option<String>,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column, from 1.
    pub column: Option<usize>,
    /// The keys and list indices that lead there.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

impl FaultReport {
    /// The fault in one line, for a log.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.file.clone().unwrap_or_default();
        for number in [self.line, self.column].into_iter().flatten() {
            line.push_str(&format!(":{number}"));
        }
        if let Some(key) = &self.key {
            line.push_str(&format!("  {key}"));
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&self.message);
        if let Some(hint) = &self.hint {
            line.push_str(&format!(" ({hint})"));
        }
        line.replace(char::is_control, "\u{fffd}")
    }
}

/// The users file, as it is gone by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsersStatus {
    /// How many may sign in.
    pub may_sign_in: usize,
    /// Why the file as it is now is not gone by; none while it is.
    pub trouble: Option<String>,
}

/// A listener, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// Its name.
    pub name: String,
    /// Where it accepts.
    pub address: String,
    /// Whether it speaks TLS.
    pub tls: bool,
    /// The certificates that it shows, in their order.
    #[serde(default)]
    pub certificates: Vec<CertificateStatus>,
}

/// Until when a certificate is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// The first name in it.
    pub name: String,
    /// When it expires, as RFC 3339 has it.
    pub expires: String,
    /// `good`, `expires_soon` (within 30 days) or `expired`.
    pub state: String,
}

/// A pool, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Its upstreams, primaries first; of one that is given by name, each address.
    pub upstreams: Vec<UpstreamStatus>,
    /// Those of its upstreams that are given by name.
    #[serde(default)]
    pub names: Vec<NameStatus>,
}

/// An upstream that is given by name, as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameStatus {
    /// Host and port, as configured.
    pub name: String,
    /// How many addresses it has.
    pub addresses: usize,
    /// Why its name is not resolved, and since when; none while it is.
    pub failing: Option<NameFault>,
}

/// Why a name is not resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameFault {
    /// Since when.
    pub since: String,
    /// In the words of the resolver.
    pub why: String,
}

/// An upstream, as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamStatus {
    /// Host and port.
    pub address: String,
    /// Host and port as configured, of an upstream that is given by name.
    #[serde(default)]
    pub name: Option<String>,
    /// `primary` or `secondary`.
    pub tier: String,
    /// `healthy`, `suspected` after failed requests, `ejected` after answers with errors, `drained`, or `down`.
    pub state: String,
    /// Whether it is taken out by `portway pool drain`; it may be down besides.
    #[serde(default)]
    pub is_drained: bool,
    /// Why its last health check failed; none where it passed, or nothing is checked.
    #[serde(default)]
    pub check_fault: Option<String>,
    /// Until when it is ejected, as RFC 3339 has it; none while it is not.
    #[serde(default)]
    pub ejected_until: Option<String>,
    /// How often it was ejected.
    #[serde(default)]
    pub ejections: u64,
    /// Its share of the requests.
    pub weight: u32,
    /// How much of that it gets now, in percent; none where it is all of it.
    #[serde(default)]
    pub percent_of_share: Option<u32>,
    /// Requests that it is serving.
    pub in_flight: usize,
    /// Requests that were ever sent there.
    #[serde(default)]
    pub requests: u64,
    /// Those of them that failed there.
    #[serde(default)]
    pub failures: u64,
}

/// Another data centre, as seen from here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Which.
    pub cluster_id: String,
    /// `closed` while it is asked, `open` while it is not.
    pub circuit: String,
    /// How far its clock is ahead, in seconds; none before the first hello.
    pub clock_skew_seconds: Option<f64>,
    /// Ends that it has not read yet.
    pub ends_pending: usize,
}

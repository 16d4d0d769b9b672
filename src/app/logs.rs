//! The files that lines go to: opened when a configuration names them, opened anew on SIGUSR1, written out at the
//! end.
//!
//! What is in a line, and when there is one, is not known here.

use std::sync::Arc;
use std::sync::Weak;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::app::assembly::Ports;
use crate::audit::AuditParts;
use crate::audit::AuditWriter;
use crate::audit::Trail;
use crate::config::Config;
use crate::config::logs::LinesTo;
use crate::crypto::key_ring::KeyRing;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::ports::audit_trail::AuditTrail;
use crate::telemetry::access::AccessLog;
use crate::telemetry::lines::Destination;
use crate::telemetry::lines::LineTotals;
use crate::telemetry::lines::Lines;
use crate::telemetry::metrics::LogsSnapshot;
use crate::telemetry::metrics::TrailHealth;

/// The files that lines go to. They outlast a configuration: another one that names the same file goes on in it.
#[derive(Debug)]
pub(super) struct LogFiles {
    access: Mutex<Vec<Weak<Lines>>>,
    totals: Arc<LineTotals>,
    audit: Arc<AuditWriter>,
}

impl LogFiles {
    /// Opens the audit trail, and notes in it that a gateway begins.
    pub(super) fn open(
        config: &Config,
        ports: &Ports,
        keys: &Arc<KeyRing>,
    ) -> anyhow::Result<Self> {
        let parts = AuditParts {
            keys: Arc::clone(keys),
            clock: Arc::clone(&ports.clock),
            entropy: Arc::clone(&ports.entropy),
        };
        let data_centre = config.cluster.to_string();
        let cannot = "the audit trail cannot be written";
        if let Some(settings) = &config.logs.audit {
            // Once it runs, a node may go on without its trail; it does not begin without one.
            let trail = Trail::new(settings.file.clone(), data_centre.clone(), &parts);
            trail.begin_writing().context(cannot)?;
        }
        let audit = AuditWriter::open(config.logs.audit.as_ref(), &parts, &data_centre);
        let audit = audit.context(cannot)?;
        let ids = keys.ids();
        let ids: Vec<String> = ids.iter().map(|id| format!("{:08x}", id.0)).collect();
        let started = Event::new(EventKind::Started)
            .with("version", env!("CARGO_PKG_VERSION"))
            .with("keys", ids.join(","));
        audit.note(started);
        audit.note(loaded(config));
        Ok(Self {
            access: Mutex::default(),
            totals: Arc::default(),
            audit: Arc::new(audit),
        })
    }

    /// The audit trail.
    pub(super) fn audit(&self) -> Arc<dyn AuditTrail> {
        Arc::<AuditWriter>::clone(&self.audit)
    }

    /// The access log of a configuration, if it wants one.
    pub(super) fn access(&self, config: &Config) -> anyhow::Result<Option<Arc<AccessLog>>> {
        let Some(settings) = &config.logs.access else {
            return Ok(None);
        };
        let lines = self.lines(&match &settings.to {
            LinesTo::File(path) => Destination::File(path.clone()),
            LinesTo::Stderr => Destination::Stderr,
            LinesTo::Stdout => Destination::Stdout,
        })?;
        let (format, data_centre) = (settings.format.clone(), config.cluster.to_string());
        let log = AccessLog::new(format, settings.query, data_centre, lines);
        Ok(Some(Arc::new(log)))
    }

    fn lines(&self, to: &Destination) -> anyhow::Result<Arc<Lines>> {
        let mut open = self.access.lock();
        open.retain(|lines| lines.strong_count() > 0);
        let mut standing = open.iter().filter_map(Weak::upgrade);
        if let Some(lines) = standing.find(|lines| lines.destination() == to) {
            return Ok(lines);
        }
        let cannot = || format!("the access log {to} cannot be opened");
        let lines = Lines::open(to.clone(), Arc::clone(&self.totals)).with_context(cannot)?;
        let lines = Arc::new(lines);
        open.push(Arc::downgrade(&lines));
        Ok(lines)
    }

    /// Has every file opened anew.
    pub(super) fn reopen(&self) {
        self.standing().iter().for_each(|lines| lines.reopen());
    }

    /// Writes what is left. Later lines go nowhere.
    pub(super) fn finish(&self) {
        self.audit.note(Event::new(EventKind::Stopped));
        self.audit.finish();
        self.standing().iter().for_each(|lines| lines.finish());
    }

    /// What the logs have to tell of themselves.
    pub(super) fn snapshot(&self) -> LogsSnapshot {
        let audit = self.audit.counts();
        LogsSnapshot {
            access_written: self.totals.written(),
            access_lost: self.totals.lost(),
            events: audit.events,
            audit_written: audit.written,
            audit_lost: audit.lost,
            audit_sequence: audit.sequence,
            audit: if audit.is_failing {
                TrailHealth::Failing
            } else {
                TrailHealth::Written
            },
        }
    }

    fn standing(&self) -> Vec<Arc<Lines>> {
        self.access
            .lock()
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }
}

/// A configuration that is served from now on.
fn loaded(config: &Config) -> Event {
    let hosts = &config.virtual_hosts;
    let routes: usize = hosts.iter().map(|host| host.routes.len()).sum();
    Event::new(EventKind::ConfigurationLoaded)
        .with("virtual_hosts", hosts.len().to_string())
        .with("routes", routes.to_string())
        .with("sha256", &config.sha256)
}

/// Opens the files anew on each SIGUSR1: they have been moved away (logrotate).
pub(super) async fn reopen_when_told(files: Arc<LogFiles>) {
    match signal(SignalKind::user_defined1()) {
        Ok(mut told) => {
            while told.recv().await.is_some() {
                files.reopen();
            }
        }
        Err(error) => tracing::error!(%error, "SIGUSR1 cannot be heard"),
    }
    // Without it files are written as before.
    std::future::pending::<()>().await;
}

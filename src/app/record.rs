//! What is known of the configuration in effect: its number, since when, and what came of the last reload.

use parking_lot::Mutex;

use crate::logbook::moment::rfc3339_seconds;
use crate::model::time::Timestamp;
use crate::ports::control::ConfigurationStatus;
use crate::ports::control::ReloadReport;
use crate::ports::control::ReloadResult;
use crate::ports::control::Trigger;
use crate::telemetry::metrics::ConfigurationSnapshot;
use crate::telemetry::metrics::Reload;

/// What is known of the configuration in effect.
pub(super) struct Record {
    /// The file.
    file: String,
    pub(super) started: Timestamp,
    known: Mutex<Known>,
}

struct Known {
    generation: u64,
    since: Timestamp,
    needs_restart: Vec<String>,
    earlier_in_use: usize,
    last_reload: Option<ReloadReport>,
}

impl Record {
    /// Begins with the configuration that the process was started with.
    pub(super) fn new(file: String, now: Timestamp) -> Self {
        Self {
            file,
            started: now,
            known: Mutex::new(Known {
                generation: 1,
                since: now,
                needs_restart: Vec::new(),
                earlier_in_use: 0,
                last_reload: None,
            }),
        }
    }

    /// Notes that another configuration is in effect.
    pub(super) fn applied(
        &self,
        now: Timestamp,
        trigger: Trigger,
        (needs_restart, warnings): (Vec<String>, Vec<String>),
    ) -> ReloadReport {
        let mut known = self.known.lock();
        known.generation = known.generation.saturating_add(1);
        known.since = now;
        known.needs_restart.clone_from(&needs_restart);
        let result = ReloadResult::Applied {
            generation: known.generation,
            needs_restart,
            warnings,
        };
        known.note(now, trigger, result)
    }

    /// Notes that nothing has changed, because of what came out.
    pub(super) fn refused(
        &self,
        now: Timestamp,
        trigger: Trigger,
        result: ReloadResult,
    ) -> ReloadReport {
        self.known.lock().note(now, trigger, result)
    }

    /// Notes how many configurations from before are still gone by.
    pub(super) fn earlier_in_use(&self, count: usize) {
        self.known.lock().earlier_in_use = count;
    }

    /// What there is to tell of it as metrics.
    pub(super) fn snapshot(&self) -> ConfigurationSnapshot {
        let known = self.known.lock();
        let last = known.last_reload.as_ref().map(|report| &report.result);
        ConfigurationSnapshot {
            generation: known.generation,
            last_reload: match last {
                Some(ReloadResult::Refused { .. }) => Reload::Refused,
                Some(ReloadResult::Applied { .. }) | None => Reload::Taken,
            },
        }
    }

    pub(super) fn status(&self) -> ConfigurationStatus {
        let known = self.known.lock();
        ConfigurationStatus {
            file: self.file.clone(),
            generation: known.generation,
            since: rfc3339_seconds(known.since),
            needs_restart: known.needs_restart.clone(),
            earlier_in_use: known.earlier_in_use,
            last_reload: known.last_reload.clone(),
        }
    }
}

impl Known {
    fn note(&mut self, now: Timestamp, trigger: Trigger, result: ReloadResult) -> ReloadReport {
        let report = ReloadReport {
            at: rfc3339_seconds(now),
            trigger,
            result,
        };
        self.last_reload = Some(report.clone());
        report
    }
}

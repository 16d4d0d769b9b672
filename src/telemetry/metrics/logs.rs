//! What the logs have to tell of themselves.

use std::fmt;

use crate::telemetry::metrics::page::Page;

/// What the logs have to tell.
#[derive(Clone, Debug, Default)]
pub struct LogsSnapshot {
    /// Access lines that were written.
    pub access_written: u64,
    /// Access lines that were lost.
    pub access_lost: u64,
    /// Events for the audit trail by kind, written or not.
    pub events: Vec<(&'static str, u64)>,
    /// Lines of the trail that were written.
    pub audit_written: u64,
    /// Events that were lost to it.
    pub audit_lost: u64,
    /// The number of its last line.
    pub audit_sequence: u64,
    /// Whether it is being written.
    pub audit: TrailHealth,
}

/// Whether a trail is being written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TrailHealth {
    /// Its last write failed.
    Failing,
    /// It is, or there is none.
    #[default]
    Written,
}

impl LogsSnapshot {
    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            ("portway_log_lines", "Lines written, by log"),
            "log",
            &[
                ("access", self.access_written),
                ("audit", self.audit_written),
            ],
        )?;
        page.counters(
            (
                "portway_log_lines_lost",
                "Lines lost because there was no room or no disk for them, by log",
            ),
            "log",
            &[("access", self.access_lost), ("audit", self.audit_lost)],
        )?;
        page.counters(
            (
                "portway_audit_events",
                "Events for the audit trail, written or left out, by kind",
            ),
            "event",
            &self.events,
        )?;
        page.gauge(
            (
                "portway_audit_sequence",
                "The number of the last line of the audit trail",
            ),
            self.audit_sequence,
        )?;
        page.gauge(
            (
                "portway_audit_failing",
                "Whether the last write to the audit trail failed",
            ),
            u64::from(self.audit == TrailHealth::Failing),
        )
    }
}

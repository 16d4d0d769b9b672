//! What the operator configured about logs.

use std::path::PathBuf;

use crate::logbook::line_format::LineFormat;
use crate::logbook::query::QueryRule;

/// What is written down, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logs {
    /// A line for each request; absent: none.
    pub access: Option<AccessLines>,
    /// Sign-ins, denials and changes; absent: nowhere.
    pub audit: Option<AuditFile>,
}

/// A line for each request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLines {
    /// How it looks.
    pub format: LineFormat,
    /// What it says of queries.
    pub query: QueryRule,
    /// Where it goes.
    pub to: LinesTo,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinesTo {
    /// To the end of a file.
    File(PathBuf),
    /// To standard error.
    Stderr,
    /// To standard output.
    Stdout,
}

/// The audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFile {
    /// The file.
    pub file: PathBuf,
    /// What happens while it cannot be written.
    pub on_failure: OnAuditFailure,
}

/// What happens while the audit trail cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAuditFailure {
    /// Everything goes on; what could not be written is counted.
    Continue,
    /// Nobody is signed in.
    Refuse,
}

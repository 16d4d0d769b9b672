//! `logs`: the access log and the audit trail.

use std::path::Path;

use crate::config::logs::AccessLines;
use crate::config::logs::AuditFile;
use crate::config::logs::LinesTo;
use crate::config::logs::Logs;
use crate::config::logs::OnAuditFailure;
use crate::config::parse::nearest::nearest;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::Problem;
use crate::logbook::field::FIELDS;
use crate::logbook::line_format::LineFormat;
use crate::logbook::line_format::LineFormatError;
use crate::logbook::query::QueryRule;

impl Reading<'_> {
    pub(super) fn logs(&mut self, found: Option<&Found<'_>>, state_dir: &Path) -> Logs {
        let audit = AuditFile {
            file: state_dir.join(AUDIT_FILE),
            on_failure: OnAuditFailure::Continue,
        };
        let mut logs = Logs {
            access: None,
            audit: Some(audit),
        };
        let Some(section) = found.and_then(|found| self.section(found, KEYS)) else {
            return logs;
        };
        self.set(&section, "access", &mut logs.access, Self::access_lines);
        if let Some(found) = section.get("audit") {
            self.audit_file(found, &mut logs.audit);
        }
        logs
    }

    fn access_lines(&mut self, found: &Found<'_>) -> Option<Option<AccessLines>> {
        if !found.is_map() {
            return self.word(found, OFF).map(|()| None);
        }
        let section = self.section(found, ACCESS_KEYS)?;
        let format = self.or(&section, "format", LineFormat::text(), Self::line_format);
        let query = self.or(&section, "query", QueryRule::Omit, |this, found| {
            this.word(found, QUERY_RULES)
        });
        let to = self.or(&section, "to", LinesTo::Stdout, Self::lines_to);
        Some(Some(AccessLines { format, query, to }))
    }

    /// The name of a format, or a template.
    fn line_format(&mut self, found: &Found<'_>) -> Option<LineFormat> {
        let text = self.text(found)?;
        if !text.contains('$') {
            return self.word(found, FORMATS).map(|make| make());
        }
        match LineFormat::parse(&text) {
            Ok(format) => Some(format),
            Err(error) => {
                let names = FIELDS.iter().map(|(name, _)| *name);
                let nearest = match &error {
                    LineFormatError::Unknown(name) => nearest(name, names),
                    LineFormatError::Control | LineFormatError::NoField => None,
                };
                let nearest = nearest.map(str::to_owned);
                self.fault(found, Problem::LineFormat { error, nearest });
                None
            }
        }
    }

    fn lines_to(&mut self, found: &Found<'_>) -> Option<LinesTo> {
        match self.text(found)?.as_str() {
            "stderr" => Some(LinesTo::Stderr),
            "stdout" => Some(LinesTo::Stdout),
            _ => self.path(found).map(LinesTo::File),
        }
    }

    fn audit_file(&mut self, found: &Found<'_>, audit: &mut Option<AuditFile>) {
        if !found.is_map() {
            if self.word(found, OFF).is_some() {
                *audit = None;
            }
            return;
        }
        let section = self.section(found, AUDIT_KEYS);
        if let (Some(section), Some(audit)) = (section, audit) {
            self.set(&section, "file", &mut audit.file, Self::path);
            self.set(
                &section,
                "on_failure",
                &mut audit.on_failure,
                |this, found| this.word(found, FAILURES),
            );
        }
    }
}

type MakeFormat = fn() -> LineFormat;

pub(super) const KEYS: &[&str] = &["access", "audit"];
pub(super) const ACCESS_KEYS: &[&str] = &["format", "query", "to"];
pub(super) const AUDIT_KEYS: &[&str] = &["file", "on_failure"];
const OFF: &[(&str, ())] = &[("off", ())];
const FORMATS: &[(&str, MakeFormat)] = &[
    ("combined", LineFormat::combined),
    ("json", LineFormat::json),
    ("text", LineFormat::text),
];
const QUERY_RULES: &[(&str, QueryRule)] = &[
    ("names", QueryRule::Names),
    ("omit", QueryRule::Omit),
    ("values", QueryRule::Values),
];
const FAILURES: &[(&str, OnAuditFailure)] = &[
    ("continue", OnAuditFailure::Continue),
    ("refuse", OnAuditFailure::Refuse),
];
/// Below the state directory; `portway audit` knows it too.
const AUDIT_FILE: &str = "audit.jsonl";

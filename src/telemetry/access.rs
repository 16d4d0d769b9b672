//! The access log: one line for each request that is over, in the format that was configured.
//!
//! What a line says is `logbook`'s matter, taking it to its place is `lines`'s.

use std::cell::RefCell;
use std::sync::Arc;

use crate::logbook::access::AccessRecord;
use crate::logbook::field::Field;
use crate::logbook::line_format::LineFormat;
use crate::logbook::line_format::LineSetting;
use crate::logbook::moment::MomentWriter;
use crate::logbook::query::QueryRule;
use crate::telemetry::lines::Lines;

/// Writes access lines.
#[derive(Debug)]
pub struct AccessLog {
    format: LineFormat,
    query: QueryRule,
    data_centre: String,
    lines: Arc<Lines>,
    /// Whether lines say how long upstreams took.
    pub times_upstreams: bool,
}

impl AccessLog {
    /// A log of lines in a format.
    #[must_use]
    pub fn new(
        format: LineFormat,
        query: QueryRule,
        data_centre: String,
        lines: Arc<Lines>,
    ) -> Self {
        Self {
            times_upstreams: format.has(Field::UpstreamTime),
            format,
            query,
            data_centre,
            lines,
        }
    }

    /// Writes a line, without waiting for it to arrive. Each thread has one buffer for all of its lines.
    pub fn note(&self, record: &AccessRecord<'_>) {
        let setting = LineSetting {
            query: self.query,
            data_centre: &self.data_centre,
        };
        SCRATCH.with_borrow_mut(|Scratch { line, moments }| {
            line.clear();
            self.format.write(record, &setting, moments, line);
            self.lines.append(line);
        });
    }
}

#[derive(Default)]
struct Scratch {
    line: Vec<u8>,
    moments: MomentWriter,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

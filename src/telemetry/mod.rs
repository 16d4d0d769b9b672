//! What the gateway says about itself: log lines on standard error, and metrics.
//!
//! No secret, cookie or session id is ever among them; ids appear as short hashes.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::telemetry::stderr::LogLines;

pub mod access;
pub mod complaints;
pub mod histogram;
pub mod lines;
pub mod metrics;
mod stderr;
pub mod stopwatch;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Begins to write log lines to standard error. `filter` is a comma-separated list of `target=level`; a
/// second call does nothing. A thread of its own writes them; [`settle`] waits for it.
pub fn begin(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(format!("{filter},{CAPS}"));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new(format!("{DEFAULT_FILTER},{CAPS}")));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer());
    // tracing-subscriber honours NO_COLOR by itself.
    let lines = lines.with_target(false);
    let lines = if std::io::stderr().is_terminal() {
        lines
    } else {
        lines.with_ansi(false)
    };
    let begun = match format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => lines.try_init(),
    };
    begun.ok();
}

/// Waits until the log lines so far are written, for two seconds at most: whoever reads them may have stopped. To be
/// called before the process ends, and before anything else is written to standard error.
pub fn settle() {
    if let Some(lines) = LINES.get() {
        lines.settle();
    }
}

/// [`settle`]s when it is dropped, after a panic too.
#[derive(Debug)]
pub struct SettleAtEnd;

impl Drop for SettleAtEnd {
    fn drop(&mut self) {
        settle();
    }
}

/// Where lines go. Without a thread for them they are written by whoever has something to say.
fn writer() -> BoxMakeWriter {
    if let Some(lines) = LINES.get() {
        return BoxMakeWriter::new(Arc::clone(lines));
    }
    match LogLines::begin() {
        Ok(lines) => BoxMakeWriter::new(Arc::clone(LINES.get_or_init(|| lines))),
        Err(_) => BoxMakeWriter::new(std::io::stderr),
    }
}

static LINES: OnceLock<Arc<LogLines>> = OnceLock::new();

/// What is logged unless the operator asks for something else.
pub const DEFAULT_FILTER: &str = "info";

/// What the operator cannot ask for: the lines of these crates quote requests with their paths, queries
/// and cookies. Connectors are silent: a kept connection that is busy closing is an error to pingora, and a
/// connection that fails is told of by the request that wanted it. So are its applications, which call it an error
/// that a client of HTTP/2 has gone before the two had greeted each other.
const CAPS: &str = "pingora_core=error,pingora_core::apps=off,pingora_core::connectors=off,pingora_proxy=off,pingora_http=off,pingora_pool=error,\
    h2=off,hyper=off,rustls=error,hickory_resolver=error,hickory_proto=error,hickory_net=error";

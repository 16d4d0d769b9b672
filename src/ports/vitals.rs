//! The port by which a node tells those who run it how it is.

use crate::telemetry::metrics::Snapshot;

/// Tells how a node is.
pub trait Vitals: Send + Sync + 'static {
    /// What there is to tell now.
    fn snapshot(&self) -> Snapshot;

    /// Whether requests are served as they should be, or why not.
    fn readiness(&self) -> Readiness;
}

/// Whether requests are served as they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The process is about to stop.
    Draining,
    /// Something has ended that the node cannot do without, and it is about to stop.
    Lost(&'static str),
    /// No engine is there to ask.
    NoEngine,
    /// They are.
    Ready,
    /// Connections are not accepted yet.
    Starting,
}

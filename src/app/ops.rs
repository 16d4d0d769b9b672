//! Tells those who run a node how it is: gathers what its rooms have to say.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use anyhow::Context;
use tokio::sync::watch;

use crate::app::engine::Engine;
use crate::crypto::key_ring::KeyRing;
use crate::ports::vitals::Readiness;
use crate::ports::vitals::Vitals;
use crate::proxy::counts::RequestCounts;
use crate::telemetry::metrics::Snapshot;

/// The node, as those who run it see it.
pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) counts: Arc<RequestCounts>,
    pub(super) keys: Arc<KeyRing>,
    /// Turns true when the edge accepts connections.
    pub(super) is_serving: Arc<AtomicBool>,
    /// Turns true when the drain begins.
    pub(super) draining: watch::Receiver<bool>,
}

impl Vitals for Node {
    fn snapshot(&self) -> Snapshot {
        Snapshot {
            requests: self.counts.counts(),
            cookies_rejected: self.keys.rejected().into(),
            engine: self.engine.snapshot(),
        }
    }

    fn readiness(&self) -> Readiness {
        if *self.draining.borrow() {
            Readiness::Draining
        } else if !self.is_serving.load(Ordering::Acquire) {
            Readiness::Starting
        } else if !self.engine.is_there() {
            Readiness::NoEngine
        } else {
            Readiness::Ready
        }
    }
}

/// Binds the ops listener, where there is one.
pub(super) fn bind(at: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    let bind = |at| {
        let cannot = || format!("the ops listener cannot listen on {at}");
        TcpListener::bind(at).with_context(cannot)
    };
    at.map(bind).transpose()
}

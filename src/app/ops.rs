//! Tells those who run a node how it is: gathers what its rooms have to say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use anyhow::Context;
use async_trait::async_trait;
use pingora::server::ListenFds;
use pingora::server::ShutdownWatch;
use pingora::services::ServiceReadyNotifier;
use pingora::services::ServiceWithDependents;
use tokio::sync::watch;

use crate::app::engine::Engine;
use crate::app::logs::LogFiles;
use crate::app::record::Record;
use crate::app::tasks::Outage;
use crate::app::tasks::stopped_or_retired;
use crate::crypto::key_ring::KeyRing;
use crate::ops;
use crate::ports::vitals::Readiness;
use crate::ports::vitals::Vitals;
use crate::proxy::counts::RequestCounts;
use crate::proxy::live::Live;
use crate::proxy::serving::Serving;
use crate::telemetry::metrics::CertificateSnapshot;
use crate::telemetry::metrics::Snapshot;

/// The node, as those who run it see it.
pub(super) struct Node {
    pub(super) engine: Engine,
    pub(super) counts: Arc<RequestCounts>,
    pub(super) live: Arc<Live>,
    pub(super) logs: Arc<LogFiles>,
    pub(super) record: Arc<Record>,
    pub(super) keys: Arc<KeyRing>,
    /// Turns true when the edge accepts connections.
    pub(super) is_serving: Arc<AtomicBool>,
    /// Turns true when the node is asked to stop.
    pub(super) leaving: watch::Receiver<bool>,
    /// What the node has lost, if it has.
    pub(super) outage: Arc<Outage>,
}

impl Vitals for Node {
    fn snapshot(&self) -> Snapshot {
        let serving = self.live.look();
        let pools = serving.pools.values();
        Snapshot {
            edge: self.counts.snapshot(),
            pools: pools.map(|target| target.pool.snapshot()).collect(),
            certificates: certificates(&serving),
            logs: self.logs.snapshot(),
            configuration: Some(self.record.snapshot()),
            cookies_rejected: self.keys.rejected().into(),
            engine: self.engine.snapshot(),
        }
    }

    fn readiness(&self) -> Readiness {
        if let Some(lost) = self.outage.lost() {
            Readiness::Lost(lost)
        } else if *self.leaving.borrow() {
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

/// Until when the certificates of each listener are good; of two for one name the one that ends first.
fn certificates(serving: &Serving) -> Vec<CertificateSnapshot> {
    let mut all = BTreeMap::new();
    for (listener, terminator) in serving.terminators() {
        for term in terminator.table.terms() {
            let until = all.entry((listener, &term.name)).or_insert(term.until);
            *until = term.until.min(*until);
        }
    }
    let told = all.into_iter();
    told.map(|((listener, name), until)| CertificateSnapshot {
        listener: listener.to_string(),
        name: name.clone(),
        until: until.as_secs(),
    })
    .collect()
}

/// Answers on the ops listener, on a thread of its own: whoever asks how the node is neither waits for what
/// keeps it busy nor holds it up.
pub(super) struct OpsService {
    socket: Option<TcpListener>,
    node: Arc<Node>,
    /// Turns true when the process that has followed answers.
    retired: Option<watch::Receiver<bool>>,
}

impl OpsService {
    pub(super) const fn new(
        socket: TcpListener,
        node: Arc<Node>,
        retired: watch::Receiver<bool>,
    ) -> Self {
        Self {
            socket: Some(socket),
            node,
            retired: Some(retired),
        }
    }
}

#[async_trait]
impl ServiceWithDependents for OpsService {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        shutdown: ShutdownWatch,
        _: usize,
        ready: ServiceReadyNotifier,
    ) {
        ready.notify_ready();
        let (Some(socket), Some(retired)) = (self.socket.take(), self.retired.take()) else {
            return;
        };
        let node = Arc::<Node>::clone(&self.node);
        let stop = stopped_or_retired(shutdown, retired);
        if let Err(error) = ops::serve(socket, node, stop).await {
            tracing::error!(%error, "the ops listener cannot be used");
            self.node.outage.begin("the ops listener");
        }
    }

    fn name(&self) -> &'static str {
        "ops"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
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

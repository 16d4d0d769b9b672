//! The service inside pingora's server that serves: the edge loop on every listener, from the moment that it may to the
//! end of the drain.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

use async_trait::async_trait;
use pingora::proxy::http_proxy;
use pingora::server::ListenFds;
use pingora::server::ShutdownWatch;
use pingora::server::configuration::ServerConf;
use pingora::services::ServiceReadyNotifier;
use pingora::services::ServiceWithDependents;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::app::assembly::Assembled;
use crate::app::notify;
use crate::app::pulse::Pulse;
use crate::app::succession::Blessing;
use crate::app::tasks::Ending;
use crate::app::tasks::Outage;
use crate::app::tasks::Tasks;
use crate::ports::vitals::Vitals;
use crate::proxy::edge::Edge;
use crate::proxy::farewell::Farewell;
use crate::proxy::listening::Bound;
use crate::proxy::service::Portway;

/// What the edge service is made of.
pub(super) struct EdgeParts {
    pub(super) conf: Arc<ServerConf>,
    pub(super) assembled: Assembled,
    /// Tells balancers whether requests may be sent here.
    pub(super) vitals: Arc<dyn Vitals>,
    /// Turns true when the drain begins.
    pub(super) draining: watch::Receiver<bool>,
    /// To be set when connections are accepted.
    pub(super) is_serving: Arc<AtomicBool>,
    /// Told when the drain is over.
    pub(super) drained: Arc<Notify>,
    /// What the node has lost; a listener may be it.
    pub(super) outage: Arc<Outage>,
    /// Told when connections are accepted.
    pub(super) ready: mpsc::Sender<()>,
    /// Waited for before connections are accepted.
    pub(super) blessing: Option<Blessing>,
    /// Turned true when connections are accepted, for those who wait elsewhere.
    pub(super) begun: watch::Sender<bool>,
    /// Turns true when another process accepts connections at the same sockets.
    pub(super) has_successor: Arc<AtomicBool>,
}

/// Serves: the edge loop on every listener.
pub(super) struct EdgeService {
    edge: Arc<Edge>,
    listeners: tokio::sync::mpsc::UnboundedReceiver<Bound>,
    draining: watch::Receiver<bool>,
    is_serving: Arc<AtomicBool>,
    drained: Arc<Notify>,
    outage: Arc<Outage>,
    ready: Option<mpsc::Sender<()>>,
    blessing: Option<Blessing>,
    begun: watch::Sender<bool>,
    has_successor: Arc<AtomicBool>,
    pulse: Arc<Pulse>,
    threads: usize,
}

impl EdgeService {
    pub(super) fn new(parts: EdgeParts) -> Self {
        let EdgeParts {
            conf,
            assembled,
            vitals,
            draining,
            is_serving,
            drained,
            outage,
            ready,
            blessing,
            begun,
            has_successor,
        } = parts;
        let live = assembled.live;
        let mut proxy = http_proxy(&conf, Portway::new(Arc::clone(&live), vitals));
        // What holds for one connection is given to it by the edge loop.
        proxy.server_options = Some(live.look().connection.server.clone());
        Self {
            edge: Arc::new(Edge::new(Arc::new(proxy), live)),
            listeners: assembled.listeners,
            draining,
            is_serving,
            drained,
            outage,
            ready: Some(ready),
            blessing,
            begun,
            has_successor,
            pulse: Arc::clone(&assembled.lasting.pulse),
            threads: conf.threads,
        }
    }

    /// Accepts on a listener, until a reload closes it.
    fn accept(&self, bound: Bound, tasks: &mut Tasks) {
        let (edge, draining) = (Arc::clone(&self.edge), self.draining.clone());
        tasks.spawn_until_asked("a listener", async move {
            let closing = bound.closing.clone();
            edge.accept(bound, draining).await;
            if *closing.borrow() {
                Ending::AsAsked
            } else {
                Ending::Lost
            }
        });
    }
}

#[async_trait]
impl ServiceWithDependents for EdgeService {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        _: ShutdownWatch,
        _: usize,
        notifier: ServiceReadyNotifier,
    ) {
        if self.outage.lost().is_some() {
            // Whoever waits for the start learns that there is none.
            self.ready = None;
            self.drained.notify_one();
            return;
        }
        if let Some(every) = notify::pulse_every() {
            self.pulse.begin(self.threads, every);
        }
        if let Some(blessing) = self.blessing.take() {
            blessing.wait().await;
        }
        let mut tasks = Tasks::default();
        while let Ok(bound) = self.listeners.try_recv() {
            self.accept(bound, &mut tasks);
        }
        notifier.notify_ready();
        self.is_serving.store(true, Ordering::Release);
        self.begun.send_replace(true);
        if let Some(ready) = self.ready.take() {
            // Nobody waits for it any more when the start was given up.
            ready.send(()).ok();
        }
        loop {
            let lost = tokio::select! {
                lost = tasks.lost_before(&mut self.draining) => lost,
                Some(bound) = self.listeners.recv() => {
                    self.accept(bound, &mut tasks);
                    continue;
                }
            };
            if let Some(lost) = lost {
                self.outage.begin(lost);
            }
            break;
        }
        // What a reload opens from now on is closed at once.
        self.listeners.close();
        while self.listeners.try_recv().is_ok() {}
        self.draining.wait_for(|drain| *drain).await.ok();
        let farewell = if self.has_successor.load(Ordering::Acquire) {
            Farewell::Lingering
        } else {
            Farewell::AtOnce
        };
        let open = self.edge.drain(farewell).await;
        if open > 0 {
            tracing::warn!(
                connections = open,
                "the drain time-out is over; connections are cut"
            );
        }
        self.drained.notify_one();
    }

    fn name(&self) -> &'static str {
        "edge"
    }
}

//! The service inside pingora's server that answers other data centres, and gates without an engine.
//!
//! It has threads of its own: whoever can connect can have handshakes made, and neither the requests of users
//! nor what keeps house may wait for those (R12). Asking is part of keeping house.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::server::ListenFds;
use pingora::server::ShutdownWatch;
use pingora::services::ServiceReadyNotifier;
use pingora::services::ServiceWithDependents;
use pingora_runtime::current_handle;
use tokio::sync::watch;

use crate::app::federation::Answering;
use crate::app::tasks::Outage;

/// Answers other nodes.
pub(super) struct AnsweringService {
    /// There until it runs.
    answering: Option<Answering>,
    settled: watch::Receiver<bool>,
    outage: Arc<Outage>,
}

impl AnsweringService {
    /// One that begins when `settled` turns true: before, somebody who was removed meanwhile would be told of
    /// as signed in.
    pub(super) const fn new(
        answering: Answering,
        settled: watch::Receiver<bool>,
        outage: Arc<Outage>,
    ) -> Self {
        Self {
            answering: Some(answering),
            settled,
            outage,
        }
    }
}

#[async_trait]
impl ServiceWithDependents for AnsweringService {
    async fn start_service(
        &mut self,
        _: Option<ListenFds>,
        shutdown: ShutdownWatch,
        _: usize,
        ready: ServiceReadyNotifier,
    ) {
        ready.notify_ready();
        let Some(answering) = self.answering.take() else {
            return;
        };
        // An error means that the core is gone, and the end near.
        if self.settled.wait_for(|settled| *settled).await.is_err() {
            return;
        }
        let Answering {
            server,
            socket,
            services,
        } = answering;
        let served = server.serve(socket, services, current_handle, shutdown);
        if let Err(error) = served.await {
            tracing::error!(%error, "the back-channel cannot be used");
            self.outage.begin("the back-channel");
        }
    }

    fn name(&self) -> &'static str {
        "back-channel"
    }

    fn threads(&self) -> Option<usize> {
        Some(THREADS)
    }
}

/// So that one that signs does not hold up all answers.
const THREADS: usize = 2;

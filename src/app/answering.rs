//! The service inside pingora's server that answers other data centres, and gates without an engine.
//!
//! It has threads of its own: whoever can connect can have handshakes made, and neither the requests of users
//! nor what keeps house may wait for those (R12). Asking is part of keeping house.

use std::pin::pin;
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
use crate::app::tasks::stopped_or_retired;

/// From when to when it answers.
pub(super) struct Term {
    /// Turns true when nobody who was removed meanwhile would be told of as signed in.
    pub(super) settled: watch::Receiver<bool>,
    /// Turns true when the sessions are not taken back by another process.
    pub(super) begun: watch::Receiver<bool>,
    /// Turns true when another process answers.
    pub(super) retired: watch::Receiver<bool>,
}

/// Answers other nodes.
pub(super) struct AnsweringService {
    /// There until it runs.
    parts: Option<(Answering, Term)>,
    outage: Arc<Outage>,
}

impl AnsweringService {
    pub(super) const fn new(answering: Answering, term: Term, outage: Arc<Outage>) -> Self {
        Self {
            parts: Some((answering, term)),
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
        let Some((answering, mut term)) = self.parts.take() else {
            return;
        };
        for begins in [&mut term.settled, &mut term.begun] {
            // An error means that whoever would say so is gone, and the end near.
            if begins.wait_for(|begins| *begins).await.is_err() {
                return;
            }
        }
        let Answering {
            server,
            socket,
            services,
        } = answering;
        let (stop, stopped) = watch::channel(false);
        let mut serving = pin!(server.serve(socket, services, current_handle, stopped));
        let served = tokio::select! {
            served = &mut serving => served,
            () = stopped_or_retired(shutdown, term.retired) => {
                stop.send_replace(true);
                serving.await
            }
        };
        if let Err(error) = served {
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

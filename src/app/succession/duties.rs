//! What a process does until another one does it, and how its rooms learn that it does no more.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::Context;
use tokio::sync::Notify;
use tokio::sync::watch;

use crate::app::Origin;
use crate::app::assembly::Assembled;
use crate::app::succession::predecessor::Succession;
use crate::app::succession::predecessor::SuccessionParts;
use crate::app::tasks::Outage;

/// What this process does until another one does it.
pub(in crate::app) struct Duties {
    /// Hands the gateway over.
    pub(in crate::app) succession: Arc<Succession>,
    /// Whether this process keeps house.
    pub(in crate::app) is_on: watch::Receiver<bool>,
    /// Turns true when another process answers those who run the node; whoever says so knows by the end of these that
    /// this one does not.
    pub(in crate::app) retired: watch::Receiver<bool>,
    /// Told when another process serves.
    pub(in crate::app) succeeded: Arc<Notify>,
    /// Turns true with that.
    pub(in crate::app) has_successor: Arc<AtomicBool>,
}

impl Duties {
    /// Those of a process that has just been put together.
    pub(in crate::app) fn of(
        origin: &Origin,
        assembled: &Assembled,
        outage: &Arc<Outage>,
    ) -> anyhow::Result<Self> {
        let control = assembled
            .control
            .as_ref()
            .context("there is no control socket")?;
        let ops = assembled.ops.as_ref().map(TcpListener::try_clone);
        let ops = ops
            .transpose()
            .context("the ops listener cannot be shared")?;
        let (duty, is_on) = watch::channel(true);
        let (retired, is_retired) = watch::channel(false);
        let succeeded = Arc::new(Notify::new());
        let has_successor = Arc::new(AtomicBool::new(false));
        let succession = Succession::new(SuccessionParts {
            invocation: origin.invocation.clone(),
            config: Arc::clone(&origin.config),
            lasting: Arc::clone(&assembled.lasting),
            control: control
                .share()
                .context("the control socket cannot be shared")?,
            ops: origin.config.ops.zip(ops),
            back_channel: assembled
                .lasting
                .engine
                .share_back_channel()
                .context("the back-channel cannot be shared")?,
            duty,
            retired,
            succeeded: Arc::clone(&succeeded),
            has_successor: Arc::clone(&has_successor),
            outage: Arc::clone(outage),
        });
        Ok(Self {
            succession: Arc::new(succession),
            is_on,
            retired: is_retired,
            succeeded,
            has_successor,
        })
    }
}

//! The background tasks of a node, by name, and what becomes of a node that loses one.
//!
//! Each goes on until the process stops. One that ends before, by a panic or by returning, would leave
//! something undone without anybody noticing: streams of ended sessions, records that have expired, the ends
//! of other data centres. So the node says that it is not ready, and stops.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::OnceLock;

use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::Id;
use tokio::task::JoinSet;

/// Tasks that go on until their runtime ends, and are watched while this is there.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    running: JoinSet<Ending>,
    names: HashMap<Id, &'static str>,
}

/// How a task came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Somebody asked it to.
    AsAsked,
    /// The node has to do without it.
    Lost,
}

impl Tasks {
    /// Starts a task; the name is what the log and `/readyz` call it.
    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.spawn_until_asked(name, async {
            task.await;
            Ending::Lost
        });
    }

    /// Starts a task that may be asked to end before the process does.
    pub(super) fn spawn_until_asked(
        &mut self,
        name: &'static str,
        task: impl Future<Output = Ending> + Send + 'static,
    ) {
        let id = self.running.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits until one of them ends before the time has come to stop, and answers which; none where all of
    /// them went on until then.
    pub(super) async fn lost_before(
        &mut self,
        stop: &mut watch::Receiver<bool>,
    ) -> Option<&'static str> {
        let lost = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return None,
            lost = self.first_to_end() => lost,
        };
        // A task that ends because of the stop may be heard of before the stop is.
        (!*stop.borrow()).then_some(lost)
    }

    /// Waits until one of them ends, and answers which; for ever where all of them go on.
    async fn first_to_end(&mut self) -> &'static str {
        loop {
            let (ended, ending) = match self.running.join_next_with_id().await {
                Some(Ok(ended)) => ended,
                Some(Err(error)) => {
                    tracing::error!(%error, "a background task broke off");
                    (error.id(), Ending::Lost)
                }
                None => return std::future::pending().await,
            };
            let name = self.names.remove(&ended).unwrap_or("a task");
            match ending {
                Ending::AsAsked => {}
                Ending::Lost => return name,
            }
        }
    }
}

impl Drop for Tasks {
    /// Some of them have last words to say when the process stops.
    fn drop(&mut self) {
        self.running.detach_all();
    }
}

/// Whether a node has lost something that it cannot do without, and the way to stop it then.
#[derive(Debug)]
pub(super) struct Outage {
    lost: OnceLock<&'static str>,
    stop: Arc<Notify>,
}

impl Outage {
    /// Nothing is lost; `stop` is what is told when something is.
    pub(super) const fn new(stop: Arc<Notify>) -> Self {
        Self {
            lost: OnceLock::new(),
            stop,
        }
    }

    /// Notes what is lost, and has the node stop. The first is what is told.
    pub(super) fn begin(&self, lost: &'static str) {
        if self.lost.set(lost).is_ok() {
            tracing::error!(task = lost, "this has ended, and the node stops");
            self.stop.notify_one();
        }
    }

    /// What is lost; none in a node that is well.
    pub(super) fn lost(&self) -> Option<&'static str> {
        self.lost.get().copied()
    }
}

/// Does work only while the process is on duty; meanwhile it rests where it is.
pub(super) async fn on_duty<T>(
    work: impl Future<Output = T>,
    mut duty: watch::Receiver<bool>,
) -> T {
    let mut work = pin!(work);
    loop {
        if duty.wait_for(|on| *on).await.is_err() {
            return work.await;
        }
        tokio::select! {
            biased;
            () = rest(&mut duty) => {}
            done = &mut work => return done,
        }
    }
}

/// Waits until the process is off duty.
async fn rest(duty: &mut watch::Receiver<bool>) {
    if duty.wait_for(|on| !*on).await.is_err() {
        // It will never be.
        std::future::pending::<()>().await;
    }
}

/// Waits until the process stops, or another one answers in its place.
pub(super) async fn stopped_or_retired(
    mut stop: watch::Receiver<bool>,
    mut retired: watch::Receiver<bool>,
) {
    let is_retired = async {
        if retired.wait_for(|retired| *retired).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = is_retired => {}
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_task_that_returns_or_panics_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("sweep", std::future::pending());
        assert_eq!(tasks.first_to_end().now_or_never(), None);
        tasks.spawn("follow", async {});
        assert_eq!(tasks.first_to_end().await, "follow");
        tasks.spawn("close", async { panic!("by a fault of its own") });
        assert_eq!(tasks.first_to_end().await, "close");
        tasks.spawn_until_asked("a listener", async { Ending::AsAsked });
        assert_eq!(tasks.first_to_end().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_task_that_ends_because_of_the_stop_is_not_lost() {
        let (stop, mut stopped) = watch::channel(false);
        let stop = Arc::new(stop);
        let mut tasks = Tasks::default();
        let silent = Arc::clone(&stop);
        tasks.spawn("a listener", async move {
            // The stop is there, and whoever waits for it has not been told yet.
            silent.send_if_modified(set_silently);
        });
        assert_eq!(tasks.lost_before(&mut stopped).await, None);
    }

    fn set_silently(stop: &mut bool) -> bool {
        *stop = true;
        false
    }

    #[tokio::test]
    async fn a_task_that_ends_before_the_stop_is_lost() {
        let (_stop, mut stopped) = watch::channel(false);
        let mut tasks = Tasks::default();
        tasks.spawn("sweep", async {});
        assert_eq!(tasks.lost_before(&mut stopped).await, Some("sweep"));
    }

    #[tokio::test]
    async fn a_task_that_nobody_watches_any_more_goes_on() {
        let (said, heard) = tokio::sync::oneshot::channel();
        let mut tasks = Tasks::default();
        tasks.spawn("the last words", async {
            tokio::task::yield_now().await;
            said.send(()).ok();
        });
        drop(tasks);
        heard.await.unwrap();
    }

    #[tokio::test]
    async fn work_rests_while_the_process_is_off_duty_and_goes_on_afterwards() {
        let (duty, on) = watch::channel(true);
        let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let done = Arc::new(parking_lot::Mutex::new(Vec::new()));
        let does = Arc::clone(&done);
        let work = async move {
            let first = asked.recv().await;
            does.lock().extend(first);
            let second = asked.recv().await;
            does.lock().extend(second);
        };
        let mut working = tokio::spawn(on_duty(work, on));
        ask.send(1).unwrap();
        while done.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        duty.send_replace(false);
        tokio::task::yield_now().await;
        ask.send(2).unwrap();
        drop(ask);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*done.lock(), [1]);
        assert!((&mut working).now_or_never().is_none());
        duty.send_replace(true);
        working.await.unwrap();
        assert_eq!(*done.lock(), [1, 2]);
    }

    #[tokio::test]
    async fn a_node_is_stopped_by_the_first_loss_and_says_what_it_was() {
        let stop = Arc::new(Notify::new());
        let outage = Outage::new(Arc::clone(&stop));
        assert_eq!(outage.lost(), None);
        assert!(stop.notified().now_or_never().is_none());
        outage.begin("sweep");
        outage.begin("follow");
        assert_eq!(outage.lost(), Some("sweep"));
        stop.notified().await;
        assert!(stop.notified().now_or_never().is_none());
    }
}

//! What the service manager is told, where one has asked for it: the protocol of systemd's `sd_notify`.
//!
//! Nobody has to listen: without `NOTIFY_SOCKET` nothing is said, and what cannot be said is left. A manager that does
//! not read what it is told holds up who starts and who hands over, and nothing else for long.

use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::app::pulse::Looks;
use crate::app::pulse::Pulse;
use crate::ports::control::ReloadReport;
use crate::ports::control::ReloadResult;

/// Connections are accepted. The process that says so is the main one from now on: it may have taken over.
pub(crate) fn serving() {
    say(&[
        NotifyState::MainPid(std::process::id()),
        NotifyState::Ready,
        NotifyState::Status("serving"),
    ]);
}

/// Another process is the main one now. It says so itself when it serves, and the service manager must know before
/// this one has ended.
pub(super) fn succeeded_by(process_id: u32) {
    say(&[NotifyState::MainPid(process_id)]);
}

/// A configuration is about to be read.
pub(super) async fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => apart(move || say(&[NotifyState::Reloading, now])).await,
        Err(error) => tracing::debug!(%error, "the service manager is not told of a reload"),
    }
}

/// What came of it. The node serves either way.
pub(super) async fn reloaded(report: &ReloadReport) {
    let status = match &report.result {
        ReloadResult::Applied { generation, .. } => {
            format!("serving; configuration {generation} is in effect")
        }
        ReloadResult::Refused { faults, .. } => {
            format!(
                "serving; another configuration was refused, {} faults",
                faults.len()
            )
        }
    };
    apart(move || say(&[NotifyState::Ready, NotifyState::Status(&status)])).await;
}

/// The node is about to stop, which takes no longer than this.
pub(super) async fn stopping(within: Duration) {
    let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    let stopping = move || {
        say(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(within),
            NotifyState::Status("draining"),
        ]);
    };
    apart(stopping).await;
}

/// How often the threads of the edge are to show that they turn, where the service manager wants to hear of it.
pub(super) fn pulse_every() -> Option<Duration> {
    watchdog().map(|limit| limit / (2 * OFTEN))
}

/// Says that the node is alive as often as the service manager wants to hear it; for ever, or never. Nothing is said
/// while a thread of the edge has not turned for all of the manager's limit.
pub(super) async fn keep_alive(pulse: Arc<Pulse>) {
    let Some(limit) = watchdog() else {
        return std::future::pending().await;
    };
    let mut looks = Looks::new(pulse);
    let mut hung_before = 0;
    let mut ticks = tokio::time::interval(limit / OFTEN);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let hung = looks.hung(OFTEN);
        if hung == 0 {
            apart(|| say(&[NotifyState::Watchdog])).await;
        } else if hung_before == 0 {
            tracing::error!(
                threads = hung,
                "threads that serve do not turn; the service manager is not told that the node is alive"
            );
        }
        hung_before = hung;
    }
}

fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero())
}

/// Says something where nobody waits long for a manager whose queue is full. One thread at most waits for it.
async fn apart(say: impl FnOnce() + Send + 'static) {
    static TELLING: Semaphore = Semaphore::const_new(1);
    in_turn(&TELLING, say).await;
}

/// Says something when nobody else does. Whoever asks may rest meanwhile, as a reload does off duty: a place in the
/// queue that is given to them would hold up all others.
async fn in_turn(turns: &'static Semaphore, say: impl FnOnce() + Send + 'static) {
    let said = async move {
        let turn = turns.acquire().await;
        tokio::task::spawn_blocking(move || {
            say();
            drop(turn);
        })
        .await
    };
    let telling = tokio::spawn(async move {
        if timeout(HEARD_WITHIN, said).await.is_err() {
            tracing::debug!("the service manager does not read what it is told");
        }
    });
    // It breaks off only with the process.
    telling.await.ok();
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}

/// How often within the limit: one may be late.
const OFTEN: u32 = 3;
const HEARD_WITHIN: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    /// The watchdog was not told for as long as a reload rested in the queue.
    #[tokio::test]
    async fn one_that_rests_while_it_waits_for_its_turn_holds_up_nobody() {
        static TURNS: Semaphore = Semaphore::const_new(1);
        let turn = TURNS.acquire().await.unwrap();
        let mut resting = pin!(in_turn(&TURNS, || {}));
        assert!(resting.as_mut().now_or_never().is_none());
        // It gets into the queue.
        tokio::task::yield_now().await;
        drop(turn);
        let (say, said) = oneshot::channel();
        let tell = move || {
            say.send(()).ok();
        };
        in_turn(&TURNS, tell).await;
        said.await.unwrap();
    }
}

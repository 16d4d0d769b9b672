//! What the service manager is told, where one has asked for it: the protocol of systemd's `sd_notify`.
//!
//! Nobody has to listen: without `NOTIFY_SOCKET` nothing is said, and what cannot be said is left.

use std::time::Duration;

use sd_notify::NotifyState;

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
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => say(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "the service manager is not told of a reload"),
    }
}

/// What came of it. The node serves either way.
pub(super) fn reloaded(report: &ReloadReport) {
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
    say(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The node is about to stop, which takes no longer than this.
pub(super) fn stopping(within: Duration) {
    let within = u32::try_from(within.as_micros()).unwrap_or(u32::MAX);
    say(&[
        NotifyState::Stopping,
        NotifyState::ExtendTimeoutUsec(within),
        NotifyState::Status("draining"),
    ]);
}

/// Says that the node is alive as often as the service manager wants to hear it; for ever, or never.
pub(super) async fn keep_alive() {
    let Some(limit) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(limit / OFTEN);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        say(&[NotifyState::Watchdog]);
    }
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(what) {
        tracing::debug!(%error, "the service manager does not listen");
    }
}

/// How often within the limit: one may be late.
const OFTEN: u32 = 3;

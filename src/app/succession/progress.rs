//! How far a gateway is with handing over: one attempt at a time, and none after the one that succeeds.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use tokio::sync::watch;

use crate::app::tasks::Outage;
use crate::ports::control::UpgradeError;

/// The attempts of a gateway to hand over.
#[derive(Debug, Default)]
pub(super) struct Attempts(watch::Sender<Progress>);

#[derive(Debug, Default)]
enum Progress {
    /// An attempt has panicked: what it has shut stays shut until the node has stopped.
    BrokenOff,
    /// Another process serves, and nothing is changed in this one any more.
    HandedOver {
        _unchanged: Option<OwnedMutexGuard<()>>,
    },
    #[default]
    Idle,
    UnderWay,
}

/// An attempt that is under way until this is dropped.
pub(super) struct Running {
    progress: watch::Sender<Progress>,
    outage: Arc<Outage>,
}

impl Attempts {
    /// Begins one. It stops the node if it panics.
    ///
    /// # Errors
    /// `Busy` while another is under way and once one has succeeded, `Stopping` once one has panicked.
    pub(super) fn begin(&self, outage: &Arc<Outage>) -> Result<Running, UpgradeError> {
        let mut refused = None;
        self.0.send_if_modified(|progress| match progress {
            Progress::Idle => {
                *progress = Progress::UnderWay;
                true
            }
            Progress::HandedOver { .. } | Progress::UnderWay => {
                refused = Some(UpgradeError::Busy);
                false
            }
            Progress::BrokenOff => {
                refused = Some(UpgradeError::Stopping);
                false
            }
        });
        if let Some(refused) = refused {
            return Err(refused);
        }
        Ok(Running {
            progress: self.0.clone(),
            outage: Arc::clone(outage),
        })
    }

    /// Returns when none is under way.
    pub(super) async fn rest(&self) {
        let mut progress = self.0.subscribe();
        let is_at_rest = |progress: &Progress| !matches!(progress, Progress::UnderWay);
        // This is where the other end is.
        progress.wait_for(is_at_rest).await.ok();
    }
}

impl Running {
    /// It has succeeded. What is held by whoever changes something is not let go of.
    pub(super) fn hand_over(self, unchanged: Option<OwnedMutexGuard<()>>) {
        self.progress.send_replace(Progress::HandedOver {
            _unchanged: unchanged,
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let has_panicked = std::thread::panicking();
        let left = if has_panicked {
            Progress::BrokenOff
        } else {
            Progress::Idle
        };
        // Whoever stops the node waits until none is under way.
        self.progress.send_if_modified(|progress| {
            let is_under_way = matches!(progress, Progress::UnderWay);
            if is_under_way {
                *progress = left;
            }
            is_under_way
        });
        if has_panicked {
            self.outage.begin("the hand-over");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::JoinHandle;

    use futures_util::FutureExt;
    use tokio::sync::Mutex;
    use tokio::sync::Notify;

    use super::*;

    fn outage() -> Arc<Outage> {
        Arc::new(Outage::new(Arc::new(Notify::new())))
    }

    fn is_at_rest(attempts: &Attempts) -> bool {
        attempts.rest().now_or_never().is_some()
    }

    /// The node used to wait for its end without an end: what it had shut stayed shut.
    #[test]
    fn an_attempt_that_panics_is_over_and_stops_the_node() {
        let (attempts, outage) = (Attempts::default(), outage());
        let running = attempts.begin(&outage).unwrap();
        assert!(!is_at_rest(&attempts));
        let attempt: JoinHandle<()> = std::thread::spawn(move || {
            let _running = running;
            panic!("by a fault of its own");
        });
        assert!(attempt.join().is_err());
        assert!(is_at_rest(&attempts));
        assert_eq!(outage.lost(), Some("the hand-over"));
        let again = attempts.begin(&outage);
        assert!(matches!(again, Err(UpgradeError::Stopping)));
    }

    #[test]
    fn one_that_fails_may_be_followed_by_another() {
        let (attempts, outage) = (Attempts::default(), outage());
        let running = attempts.begin(&outage).unwrap();
        let second = attempts.begin(&outage);
        assert!(matches!(second, Err(UpgradeError::Busy)));
        drop(running);
        assert!(is_at_rest(&attempts));
        assert!(attempts.begin(&outage).is_ok());
        assert_eq!(outage.lost(), None);
    }

    #[tokio::test]
    async fn after_one_that_succeeds_nothing_changes_and_none_is_begun() {
        let (attempts, outage) = (Attempts::default(), outage());
        let changing = Arc::new(Mutex::new(()));
        let unchanged = Arc::clone(&changing).lock_owned().await;
        let running = attempts.begin(&outage).unwrap();
        running.hand_over(Some(unchanged));
        assert!(is_at_rest(&attempts));
        assert!(changing.try_lock().is_err());
        let again = attempts.begin(&outage);
        assert!(matches!(again, Err(UpgradeError::Busy)));
        assert_eq!(outage.lost(), None);
    }
}

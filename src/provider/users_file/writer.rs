//! The thread that writes changes of the users file: what waits while one write is under way goes into the next,
//! all of it at once.
//!
//! A write costs as much for one change as for many, and waits for the disk and for whoever holds the file's
//! lock. Neither is anything a thread that hashes should wait for.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use tokio::sync::oneshot;

use crate::ports::identity_provider::ChangeError;
use crate::provider::users_file::edit::Changed;
use crate::provider::users_file::edit::EditUsersError;
use crate::provider::users_file::edit::PasswordChange;

/// Puts changes into the file, durably and all at once: `edit::change_passwords`, or a stand-in that counts.
pub(super) type Write =
    dyn Fn(&[PasswordChange]) -> Result<Vec<Changed>, EditUsersError> + Send + Sync;

/// One thread that writes, behind a queue of fixed length. The thread ends when this is dropped, after it
/// has written what waits.
pub(super) struct ChangeWriter {
    changes: mpsc::SyncSender<Waiting>,
}

struct Waiting {
    change: PasswordChange,
    answer: oneshot::Sender<Result<(), ChangeError>>,
}

/// Why nobody was told what became of a change.
#[derive(Debug, thiserror::Error)]
#[error("the thread that writes the users file has stopped")]
struct Stopped;

impl ChangeWriter {
    pub(super) fn start(write: Box<Write>) -> io::Result<Self> {
        let (changes, waiting) = mpsc::sync_channel(WAITING_MAX);
        thread::Builder::new()
            .name("users-writer".to_owned())
            .spawn(move || work(&waiting, write.as_ref()))?;
        Ok(Self { changes })
    }

    /// Has a password changed; answers when it is on the disk. It is written even if nobody waits any more.
    ///
    /// # Errors
    /// `Busy` at once when too many wait; the others when it is not written.
    pub(super) async fn change(&self, change: PasswordChange) -> Result<(), ChangeError> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting { change, answer };
        self.changes
            .try_send(waiting)
            .map_err(|error| match error {
                mpsc::TrySendError::Full(_) => ChangeError::Busy,
                mpsc::TrySendError::Disconnected(_) => ChangeError::Failed(Box::new(Stopped)),
            })?;
        let answered = answered.await;
        answered.unwrap_or_else(|_| Err(ChangeError::Failed(Box::new(Stopped))))
    }
}

impl fmt::Debug for ChangeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangeWriter").finish_non_exhaustive()
    }
}

/// Changes that wait, and as many that are written at once.
const WAITING_MAX: usize = 1024;

fn work(waiting: &mpsc::Receiver<Waiting>, write: &Write) {
    while let Ok(first) = waiting.recv() {
        let others = waiting.try_iter().take(WAITING_MAX - 1);
        let all = std::iter::once(first).chain(others);
        let (changes, answers): (Vec<_>, Vec<_>) =
            all.map(|waiting| (waiting.change, waiting.answer)).unzip();
        for (answer, outcome) in answers.into_iter().zip(outcomes(write(&changes))) {
            let _asker_gone = answer.send(outcome).is_err();
        }
    }
}

/// What each of the askers is told, in their order.
fn outcomes(
    written: Result<Vec<Changed>, EditUsersError>,
) -> Box<dyn Iterator<Item = Result<(), ChangeError>>> {
    match written {
        Ok(each) => Box::new(each.into_iter().map(|changed| match changed {
            Changed::Outdated => Err(ChangeError::Changed),
            Changed::Written => Ok(()),
        })),
        Err(EditUsersError::Foreign) => {
            Box::new(std::iter::repeat_with(|| Err(ChangeError::Unsupported)))
        }
        Err(
            error @ (EditUsersError::Exists(_)
            | EditUsersError::Load(_)
            | EditUsersError::Unknown(_)
            | EditUsersError::Write(_)),
        ) => {
            let error = Arc::new(error);
            let failed = move || Err(ChangeError::Failed(Box::new(Arc::clone(&error))));
            Box::new(std::iter::repeat_with(failed))
        }
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::task::JoinHandle;
    use tokio::task::spawn_blocking;
    use tokio::task::yield_now;

    use super::*;
    use crate::model::name::UserName;
    use crate::provider::users_file::hash::PasswordHash;

    #[tokio::test]
    async fn what_waits_while_one_write_is_under_way_is_written_at_once_afterwards() {
        let mut held = Held::start(|changes| Ok(vec![Changed::Written; changes.len()]));
        let first = held.change("first");
        assert_eq!(held.entered().await, ["first"]);
        let names: Vec<_> = (0..20).map(|number| format!("user{number}")).collect();
        let waiting: Vec<_> = names.iter().map(|name| held.change(name)).collect();
        yield_now().await;
        assert!(!first.is_finished());
        held.release();
        first.await.unwrap().unwrap();
        assert_eq!(held.entered().await, names);
        assert!(!waiting.iter().any(JoinHandle::is_finished));
        held.release();
        for change in waiting {
            change.await.unwrap().unwrap();
        }
        assert_eq!(held.writes(), 2);
    }

    #[tokio::test]
    async fn a_write_that_fails_fails_for_all_that_are_in_it_and_for_nobody_else() {
        let mut held = Held::start(|changes| {
            let is_second = changes.len() == 3;
            let full = || EditUsersError::Write(io::ErrorKind::StorageFull.into());
            let written = (!is_second).then(|| vec![Changed::Written; changes.len()]);
            written.ok_or_else(full)
        });
        let first = held.change("first");
        held.entered().await;
        let second = ["a", "b", "c"].map(|name| held.change(name));
        yield_now().await;
        held.release();
        held.entered().await;
        let third = held.change("third");
        yield_now().await;
        held.release();
        held.entered().await;
        held.release();
        first.await.unwrap().unwrap();
        for change in second {
            let failed = change.await.unwrap();
            assert!(matches!(failed, Err(ChangeError::Failed(_))), "{failed:?}");
        }
        third.await.unwrap().unwrap();
        assert_eq!(held.writes(), 3);
    }

    #[tokio::test]
    async fn one_change_that_comes_too_late_is_told_so_and_keeps_nobody_waiting() {
        let mut held = Held::start(|changes| {
            let late = |change: &PasswordChange| match change.user.as_str() {
                "late" => Changed::Outdated,
                _ => Changed::Written,
            };
            Ok(changes.iter().map(late).collect())
        });
        let first = held.change("first");
        held.entered().await;
        let waiting = ["a", "late", "b"].map(|name| held.change(name));
        yield_now().await;
        held.release();
        held.release();
        first.await.unwrap().unwrap();
        let [a, late, b] = waiting;
        a.await.unwrap().unwrap();
        let late = late.await.unwrap();
        assert!(matches!(late, Err(ChangeError::Changed)), "{late:?}");
        b.await.unwrap().unwrap();
        assert_eq!(held.writes(), 2);
    }

    /// A writer whose writes are told of, and wait until they are let go.
    struct Held {
        writer: Arc<ChangeWriter>,
        /// Whose changes are in a write; given back by whoever has waited for one.
        entered: Option<mpsc::Receiver<Vec<String>>>,
        releases: mpsc::Sender<()>,
        writes: Arc<Mutex<usize>>,
    }

    impl Held {
        fn start(
            write: impl Fn(&[PasswordChange]) -> Result<Vec<Changed>, EditUsersError>
            + Send
            + Sync
            + 'static,
        ) -> Self {
            let (enter, entered) = mpsc::channel();
            let (releases, released) = mpsc::channel();
            let released = Mutex::new(released);
            let writes = Arc::new(Mutex::new(0));
            let count = Arc::clone(&writes);
            let write = move |changes: &[PasswordChange]| {
                *count.lock() += 1;
                let names = changes.iter().map(|change| change.user.to_string());
                // Whoever counts only does not listen.
                enter.send(names.collect()).ok();
                released.lock().recv().unwrap();
                write(changes)
            };
            Self {
                writer: Arc::new(ChangeWriter::start(Box::new(write)).unwrap()),
                entered: Some(entered),
                releases,
                writes,
            }
        }

        fn change(&self, user: &str) -> JoinHandle<Result<(), ChangeError>> {
            let writer = Arc::clone(&self.writer);
            let change = PasswordChange {
                user: UserName::parse(user).unwrap(),
                known: Arc::new(PasswordHash::stand_in()),
                hash: String::new(),
            };
            tokio::spawn(async move { writer.change(change).await })
        }

        /// Waits for the next write to begin.
        async fn entered(&mut self) -> Vec<String> {
            let entered = self.entered.take().unwrap();
            let (names, entered) = spawn_blocking(move || (entered.recv().unwrap(), entered))
                .await
                .unwrap();
            self.entered = Some(entered);
            names
        }

        fn release(&self) {
            self.releases.send(()).unwrap();
        }

        fn writes(&self) -> usize {
            *self.writes.lock()
        }
    }
}

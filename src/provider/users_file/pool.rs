//! The threads that compute password hashes, and the bounded queue before them.
//!
//! A hash takes a core for tens of milliseconds: on the threads of the edge it would hold up requests
//! that have nothing to do with it. Who may hash how often is not decided here.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::model::secret::Secret;
use crate::provider::users_file::hash::Outcome;
use crate::provider::users_file::hash::PasswordHash;

/// Checks a password against a hash: [`PasswordHash::verify`], or a stand-in that counts.
pub(super) type Check =
    dyn Fn(&PasswordHash, &[u8]) -> Result<Outcome, argon2::Error> + Send + Sync;

/// Why a password was not checked.
#[derive(Debug, thiserror::Error)]
pub enum HashingError {
    /// The queue is full.
    #[error("too many passwords are waiting to be checked")]
    Busy,
    /// The hash could not be computed.
    #[error("the hash could not be computed")]
    Failed(#[source] argon2::Error),
    /// The threads have stopped.
    #[error("password hashing has stopped")]
    Stopped,
}

/// A fixed number of threads that hash, behind a queue of fixed length. The threads end when the pool
/// is dropped.
pub struct HashingPool {
    jobs: mpsc::SyncSender<Job>,
}

enum Job {
    /// Checks a password.
    Verify {
        hash: Arc<PasswordHash>,
        password: Secret,
        answer: oneshot::Sender<Result<Outcome, argon2::Error>>,
    },
    /// Does something else that takes as long, and answers by itself.
    Work(Box<dyn FnOnce() + Send>),
}

impl HashingPool {
    /// Starts `threads` threads, at least one, behind a queue of `queue` places.
    pub(super) fn start(threads: usize, queue: usize, check: Box<Check>) -> io::Result<Self> {
        let (jobs, waiting) = mpsc::sync_channel(queue);
        let waiting = Arc::new(Mutex::new(waiting));
        let check: Arc<Check> = Arc::from(check);
        for number in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            let check = Arc::clone(&check);
            thread::Builder::new()
                .name(format!("hashing-{number}"))
                .spawn(move || work(&waiting, check.as_ref()))?;
        }
        Ok(Self { jobs })
    }

    /// Checks a password as soon as a thread is free.
    ///
    /// # Errors
    /// `Busy` at once when the queue is full; the others when hashing itself fails.
    pub async fn verify(
        &self,
        hash: Arc<PasswordHash>,
        password: Secret,
    ) -> Result<Outcome, HashingError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Verify {
            hash,
            password,
            answer,
        })?;
        answered
            .await
            .map_err(|_| HashingError::Stopped)?
            .map_err(HashingError::Failed)
    }

    /// Does something that takes a thread for a while, as soon as one is free.
    ///
    /// # Errors
    /// `Busy` at once when the queue is full; `Stopped`.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let (answer, answered) = oneshot::channel();
        self.send(Job::Work(Box::new(move || {
            let _asker_gone = answer.send(work()).is_err();
        })))?;
        answered.await.map_err(|_| HashingError::Stopped)
    }

    fn send(&self, job: Job) -> Result<(), HashingError> {
        self.jobs.try_send(job).map_err(|error| match error {
            mpsc::TrySendError::Full(_) => HashingError::Busy,
            mpsc::TrySendError::Disconnected(_) => HashingError::Stopped,
        })
    }
}

impl fmt::Debug for HashingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashingPool").finish_non_exhaustive()
    }
}

fn work(waiting: &Mutex<mpsc::Receiver<Job>>, check: &Check) {
    while let Some(job) = next(waiting) {
        match job {
            // Whoever asked may have gone away while the job waited; the core is better used for the next.
            Job::Verify { answer, .. } if answer.is_closed() => {}
            Job::Verify {
                hash,
                password,
                answer,
            } => {
                let outcome = check(&hash, password.expose());
                let _asker_gone = answer.send(outcome).is_err();
            }
            Job::Work(work) => work(),
        }
    }
}

/// Takes the next job. The lock is held while waiting, so that one thread waits on the queue and the
/// others on the lock.
fn next(waiting: &Mutex<mpsc::Receiver<Job>>) -> Option<Job> {
    waiting.lock().recv().ok()
}

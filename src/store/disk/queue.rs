//! The queue in front of the writer thread: what is to become durable, in the order of memory.
//!
//! Whoever changes a record first waits for one of a bounded number of places. An end waits for
//! nothing: it holds in memory before anything is asked of the disk, and there are never more of them
//! in the queue than callers that wait for one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;

use crate::model::end::End;
use crate::model::end::Position;
use crate::model::id::SsoId;
use crate::model::session::Session;
use crate::ports::session_store::StoreError;
use crate::store::cursors::AllPulled;
use crate::store::life::Life;
use crate::store::table::Change;
use crate::telemetry::histogram::Histogram;

/// Changes on their way to the disk.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    places: Arc<Semaphore>,
    /// How long commits take.
    pub(super) commits: Histogram,
}

/// One change on its way to the disk.
#[derive(Debug)]
pub(super) enum Write {
    /// Nothing: who waits for it learns that everything before it is durable.
    Barrier,
    /// An end, the record that it concerns, and the end that it takes the place of.
    End {
        /// Its place.
        position: Position,
        /// The end.
        end: End,
        /// The end that it takes the place of.
        superseded: Option<Position>,
    },
    /// The end log begins another life.
    NewLife(Life),
    /// A record in place of another or of none.
    Put {
        /// The record as memory has it.
        session: Arc<Session>,
        /// What stood before, for taking the change back.
        replaced: Option<Arc<Session>>,
        /// The record as the disk will have it.
        row: Row,
    },
    /// A record that is gone.
    Remove(SsoId),
    /// The file is to be opened again: it refuses to be read.
    Reopen,
    /// Ends that are of no more use.
    Trim(Vec<Position>),
}

impl Write {
    /// An end that a table tells of; `None` for any other change.
    pub(super) fn of_end(change: Change) -> Option<Self> {
        match change {
            Change::Ended {
                position,
                end,
                superseded,
            } => Some(Self::End {
                position,
                end,
                superseded,
            }),
            Change::Put { .. } | Change::Removed(_) => None,
        }
    }
}

/// A record as the disk has it.
#[derive(Debug)]
pub(super) struct Row {
    /// The sealed record.
    pub(super) bytes: Vec<u8>,
    /// Whose it is, as [`crate::store::record::user_tag`] says it.
    pub(super) user_tag: u64,
}

/// A change and whoever waits for it.
#[derive(Debug)]
pub(super) struct Queued {
    /// The change.
    pub(super) write: Write,
    /// Told whether it is durable.
    pub(super) reply: Option<oneshot::Sender<Outcome>>,
    /// The place that it takes up until it is durable.
    _place: Option<OwnedSemaphorePermit>,
}

/// Whether a change is durable.
pub(super) type Outcome = Result<(), CommitFailed>;

/// Why a commit did not happen; shared by all who waited for it.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the changes could not be committed")]
pub(super) struct CommitFailed(#[source] pub(super) Arc<dyn std::error::Error + Send + Sync>);

/// What the writer does next.
#[derive(Debug)]
pub(super) struct Batch {
    /// The changes, in order.
    pub(super) writes: Vec<Queued>,
    /// What is kept lazily.
    pub(super) lazy: Lazy,
    /// Whether it is the last.
    pub(super) then: Then,
}

/// What is written with whichever commit comes next, and costs at most a later time after a crash.
#[derive(Debug, Default)]
pub(super) struct Lazy {
    /// Records whose last access is to be written; each once, however often a commit fails.
    pub(super) touched: BTreeSet<SsoId>,
    /// How far the logs of peers were read, if it is to be written. It was noted after every end in
    /// this batch and the batches before, so a crash never leaves a cursor without its ends.
    pub(super) pulled: Option<AllPulled>,
}

impl Lazy {
    fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.pulled.is_none()
    }
}

/// What comes after a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Then {
    /// The next.
    #[default]
    GoOn,
    /// Everything kept lazily is written and the file is closed as clean.
    Close,
    /// The file is let go as it is.
    Stop,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            places: Arc::new(Semaphore::new(PLACES)),
            commits: Histogram::default(),
        }
    }

    /// Waits for a place; has none once the queue is closed.
    ///
    /// # Errors
    /// `Closed` when the store is closing.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| StoreError::Closed)
    }

    /// Appends a change that nobody waits for; whoever wants to know waits for a later barrier.
    pub(super) fn push(&self, write: Write) {
        self.append(Queued {
            write,
            reply: None,
            _place: None,
        });
    }

    /// Appends a change; its outcome arrives in the answer, which breaks off if the writer is gone.
    pub(super) fn push_awaited(
        &self,
        write: Write,
        place: Option<OwnedSemaphorePermit>,
    ) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        self.append(Queued {
            write,
            reply: Some(reply),
            _place: place,
        });
        outcome
    }

    /// Waits until everything pushed before is durable.
    ///
    /// # Errors
    /// When something of it may not be.
    pub(super) async fn settle(&self, operation: &'static str) -> Result<(), StoreError> {
        durable(self.push_awaited(Write::Barrier, None), operation).await
    }

    /// Asks for the last access of a record to be written with one of the next commits.
    pub(super) fn note_touched(&self, sso: SsoId) {
        self.note(|lazy| {
            lazy.touched.insert(sso);
        });
    }

    /// Asks for the cursors to be written with one of the next commits.
    pub(super) fn note_pulled(&self, pulled: AllPulled) {
        self.note(|lazy| lazy.pulled = Some(pulled));
    }

    /// Gives back what was not written, for a later commit; what was noted since is newer.
    pub(super) fn put_back(&self, lazy: Lazy) {
        let mut state = self.state.lock();
        state.lazy.touched.extend(lazy.touched);
        if let (None, Some(pulled)) = (&state.lazy.pulled, lazy.pulled) {
            state.lazy.pulled = Some(pulled);
        }
    }

    /// Whether the store still takes changes.
    ///
    /// # Errors
    /// `Closed` when it does not.
    pub(super) fn admit(&self) -> Result<(), StoreError> {
        if self.places.is_closed() {
            Err(StoreError::Closed)
        } else {
            Ok(())
        }
    }

    /// Asks the writer to close the file after what was pushed; `None` if it was asked before.
    pub(super) fn close(&self) -> Option<oneshot::Receiver<Outcome>> {
        let mut state = self.state.lock();
        if state.then != Then::GoOn {
            return None;
        }
        let (reply, outcome) = oneshot::channel();
        state.writes.push(Queued {
            write: Write::Barrier,
            reply: Some(reply),
            _place: None,
        });
        self.finish(&mut state, Then::Close);
        Some(outcome)
    }

    /// Asks the writer to let the file go after what was pushed.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        if state.then == Then::GoOn {
            self.finish(&mut state, Then::Stop);
        }
    }

    /// Refuses everything that waits: the writer is gone.
    pub(super) fn abandon(&self) {
        self.stop();
        self.state.lock().writes.clear();
    }

    fn finish(&self, state: &mut State, then: Then) {
        self.places.close();
        state.then = then;
        self.wake.notify_all();
    }

    /// Waits for work. After a batch that several callers shared, it waits up to `gathering` for as
    /// many again, so that they share the next commit too; a lone caller is never made to wait.
    pub(super) fn next(&self, owed: Owed, shared: usize, gathering: Duration) -> Batch {
        let mut state = self.state.lock();
        while state.writes.is_empty() && state.then == Then::GoOn {
            if state.lazy.is_empty() && owed == Owed::Nothing {
                self.wake.wait(&mut state);
            } else if self.wake.wait_for(&mut state, LAZY_PERIOD).timed_out() {
                break;
            }
        }
        if state.then == Then::GoOn && state.writes.len() < shared && !gathering.is_zero() {
            state.wake_at = shared;
            self.wake.wait_for(&mut state, gathering);
            state.wake_at = 0;
        }
        Batch {
            writes: std::mem::take(&mut state.writes),
            lazy: std::mem::take(&mut state.lazy),
            then: state.then,
        }
    }

    fn note(&self, note: impl FnOnce(&mut Lazy)) {
        let mut state = self.state.lock();
        if state.then == Then::GoOn {
            let was_empty = state.lazy.is_empty();
            note(&mut state.lazy);
            if was_empty {
                self.wake.notify_all();
            }
        }
    }

    fn append(&self, queued: Queued) {
        let mut state = self.state.lock();
        if state.then != Then::GoOn {
            return;
        }
        state.writes.push(queued);
        if state.writes.len() >= state.wake_at {
            self.wake.notify_all();
        }
    }
}

/// Waits for the outcome of a change.
///
/// # Errors
/// `Failed` when it is not durable, `Closed` when the writer is gone.
pub(super) async fn durable(
    outcome: oneshot::Receiver<Outcome>,
    operation: &'static str,
) -> Result<(), StoreError> {
    match outcome.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failed)) => Err(StoreError::Failed {
            operation,
            source: Box::new(failed),
        }),
        Err(_gone) => Err(StoreError::Closed),
    }
}

/// Whether earlier changes still wait for a commit that succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// None do.
    Nothing,
    /// Some do; they are tried again with the next batch.
    Something,
}

/// The most changes of records that wait at once.
const PLACES: usize = 4096;

/// How long accesses, and what a full disk refused, wait for other changes to share a commit with.
const LAZY_PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    writes: Vec<Queued>,
    lazy: Lazy,
    then: Then,
    /// While the writer gathers: how many changes are worth waking it.
    wake_at: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_takes_one_place_however_often_it_is_noted_and_a_commit_fails() {
        let queue = Queue::new();
        for _ in 0..2 {
            for number in [1, 2, 1, 2, 1] {
                queue.note_touched(SsoId::from_bytes([number; 16]));
            }
            let batch = queue.next(Owed::Nothing, 0, Duration::ZERO);
            assert_eq!(batch.lazy.touched.len(), 2);
            queue.put_back(batch.lazy);
        }
    }
}

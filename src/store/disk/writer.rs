//! The writer: one thread that makes changes durable, as many in one commit as have gathered.
//!
//! When a commit fails, records are as they were before it; ends and removals stand in memory and are
//! tried again with every later commit, because what has ended must not come back (R1, R9).

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::end::Position;
use crate::store::disk::backlog::Backlog;
use crate::store::disk::file::Commit;
use crate::store::disk::file::StoreFile;
use crate::store::disk::header::Closed;
use crate::store::disk::open::Records;
use crate::store::disk::queue::Batch;
use crate::store::disk::queue::CommitFailed;
use crate::store::disk::queue::Lazy;
use crate::store::disk::queue::Outcome;
use crate::store::disk::queue::Owed;
use crate::store::disk::queue::Queue;
use crate::store::disk::queue::Queued;
use crate::store::disk::queue::Then;
use crate::store::disk::queue::Write;
use crate::store::table::Change;
use crate::store::table::Table;

/// Writes to the file until it is told to finish.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: StoreFile,
    pub(super) table: Arc<Table>,
    pub(super) queue: Arc<Queue>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) gathering: Duration,
    pub(super) records: Records,
    /// Ends, removals and trims that no commit has taken yet, in order.
    pub(super) owed: Vec<Write>,
}

impl Writer {
    /// Writes until the queue says that this is the last batch.
    pub(super) fn run(mut self) {
        let gone = Gone(Arc::clone(&self.queue));
        let mut shared = 0;
        loop {
            let mut batch = self.queue.next(self.owes(), shared, self.gathering);
            // A change and the barrier behind it are one caller.
            shared = if batch.writes.len() > 2 {
                batch.writes.len()
            } else {
                0
            };
            let then = batch.then;
            if then == Then::Close && self.records == Records::Kept {
                batch.lazy.touched.extend(self.table.unwritten());
            }
            self.write(batch);
            if then != Then::GoOn {
                break;
            }
        }
        drop(self);
        drop(gone);
    }

    fn owes(&self) -> Owed {
        let nothing = self.owed.is_empty() && !self.file.is_lost();
        if nothing {
            Owed::Nothing
        } else {
            Owed::Something
        }
    }

    fn write(&mut self, batch: Batch) {
        let committed = self.reopen_if_lost().and_then(|()| {
            let writes: Vec<&Write> = self
                .owed
                .iter()
                .chain(batch.writes.iter().map(|queued| &queued.write))
                .collect();
            let accesses: Vec<_> = batch
                .lazy
                .touched
                .iter()
                .filter_map(|sso| self.table.write_back(sso).map(|access| (*sso, access)))
                .collect();
            let last_position = last_position(&writes);
            let is_clean = batch.then == Then::Close && !self.backlog.is_credit_open();
            let closed = is_clean.then_some(Closed::Cleanly);
            self.file.commit(&Commit {
                writes,
                accesses,
                pulled: batch.lazy.pulled.as_deref(),
                last_position,
                closed,
            })
        });
        match committed {
            Ok(()) => {
                self.owed.clear();
                batch
                    .writes
                    .into_iter()
                    .for_each(|queued| reply(queued.reply, Ok(())));
            }
            Err(error) => {
                let failed = CommitFailed(Arc::new(error));
                if self.owed.is_empty() || !batch.writes.is_empty() {
                    let changes = batch.writes.len();
                    tracing::error!(error = ?failed, changes, "sessions could not be written");
                }
                self.take_back(batch.writes, batch.lazy, &failed);
            }
        }
    }

    fn reopen_if_lost(&mut self) -> Result<(), redb::Error> {
        if self.file.is_lost() {
            self.file.reopen()?;
            // The loader's view of the file closed with it.
            self.backlog.renew(&self.file)?;
        }
        Ok(())
    }

    fn take_back(&mut self, writes: Vec<Queued>, lazy: Lazy, failed: &CommitFailed) {
        self.queue.put_back(lazy);
        let mut undone = Vec::new();
        // The latest first: a replacement of a replacement is taken back before what it replaced.
        let mut kept = Vec::new();
        for queued in writes.into_iter().rev() {
            match queued.write {
                Write::Barrier => {}
                Write::Put {
                    session,
                    replaced: None,
                    ..
                } => {
                    self.table
                        .undo_insert(&session, |change| undone.push(change));
                }
                Write::Put {
                    session,
                    replaced: Some(old),
                    ..
                } => {
                    self.table.undo_replace(&session, &old);
                }
                write @ (Write::End { .. } | Write::Remove(_) | Write::Trim(_)) => kept.push(write),
            }
            reply(queued.reply, Err(failed.clone()));
        }
        self.owed.extend(kept.into_iter().rev());
        // The failed commit may have reached the disk all the same.
        self.owed
            .extend(undone.into_iter().filter_map(|change| match change {
                Change::Removed(sso) => Some(Write::Remove(sso)),
                Change::Ended { .. } | Change::Put { .. } => None,
            }));
    }
}

fn reply(waiting: Option<oneshot::Sender<Outcome>>, outcome: Outcome) {
    if let Some(waiting) = waiting {
        // Whoever waited may have gone; the change is as durable without them.
        drop(waiting.send(outcome));
    }
}

fn last_position(writes: &[&Write]) -> Option<Position> {
    writes
        .iter()
        .filter_map(|write| match write {
            Write::End { position, .. } => Some(*position),
            Write::Barrier | Write::Put { .. } | Write::Remove(_) | Write::Trim(_) => None,
        })
        .max()
}

/// Refuses what comes after the writer, also when it ends by a panic.
struct Gone(Arc<Queue>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

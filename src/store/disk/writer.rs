//! The writer: one thread that makes changes durable, as many in one commit as have gathered.
//!
//! When a commit fails, records are as they were before it, on the disk too where it had got that far; ends
//! and removals stand in memory and are tried again with every later commit, because what has ended must
//! not come back (R1, R9).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::model::end::Position;
use crate::model::id::SsoId;
use crate::model::session::Session;
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
use crate::store::disk::rows::Rows;
use crate::store::life::Life;
use crate::store::table::Table;
use crate::store::table::Undone;
use crate::telemetry::stopwatch::Stopwatch;

/// Writes to the file until it is told to finish.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) file: StoreFile,
    pub(super) table: Arc<Table>,
    pub(super) queue: Arc<Queue>,
    pub(super) backlog: Arc<Backlog>,
    pub(super) gathering: Duration,
    pub(super) records: Records,
    pub(super) rows: Rows,
    /// Ends, removals, trims and new lives that no commit has taken yet, in order.
    pub(super) owed: Vec<Write>,
    /// What should stand on the disk where a failed commit may have left something else.
    pub(super) doubtful: BTreeMap<SsoId, Option<Arc<Session>>>,
    /// What was refused when others had built on it already.
    pub(super) overtaken: Vec<RefusedChange>,
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
        let nothing = self.owed.is_empty() && self.doubtful.is_empty() && !self.file.is_lost();
        if nothing {
            Owed::Nothing
        } else {
            Owed::Something
        }
    }

    fn write(&mut self, batch: Batch) {
        let Batch { writes, lazy, then } = batch;
        if writes
            .iter()
            .any(|queued| matches!(queued.write, Write::Reopen))
        {
            self.file.lose();
        }
        let (writes, mut refused) = self.refuse_late(writes);
        let begun = Stopwatch::begin();
        let done = self.commit(&writes, &lazy, then);
        self.queue.commits.note(begun.elapsed());
        match done {
            Ok(()) => writes
                .into_iter()
                .for_each(|queued| reply(queued.reply, Ok(()))),
            Err(error) => {
                let failed = CommitFailed(Arc::new(error));
                if self.owed.is_empty() || !writes.is_empty() {
                    let changes = writes.len();
                    tracing::error!(error = ?failed, changes, "sessions could not be written");
                }
                self.queue.put_back(lazy);
                refused.extend(self.take_back(writes, &failed));
                if !self.doubtful.is_empty() {
                    // Nobody is refused before the refusal holds on the disk too, if it can: a crash may
                    // come right behind. If it cannot, every later commit tries again.
                    self.commit(&[], &Lazy::default(), Then::GoOn).ok();
                }
            }
        }
        for (waiting, failed) in refused {
            reply(waiting, Err(failed));
        }
    }

    fn commit(&mut self, queued: &[Queued], lazy: &Lazy, then: Then) -> Result<(), redb::Error> {
        self.reopen_if_lost()?;
        let repairs = self.repairs();
        let writes: Vec<&Write> = repairs
            .iter()
            .chain(&self.owed)
            .chain(queued.iter().map(|queued| &queued.write))
            .collect();
        let accesses: Vec<_> = lazy
            .touched
            .iter()
            .filter_map(|sso| self.table.write_back(sso).map(|access| (*sso, access)))
            .collect();
        let last_position = last_position(&writes);
        let life = new_life(&writes);
        let is_clean = then == Then::Close && !self.backlog.is_credit_open();
        let closed = is_clean.then_some(Closed::Cleanly);
        self.file.commit(&Commit {
            writes,
            accesses,
            pulled: lazy.pulled.as_deref(),
            last_position,
            life,
            closed,
        })?;
        self.owed.clear();
        self.doubtful.clear();
        Ok(())
    }

    fn reopen_if_lost(&mut self) -> Result<(), redb::Error> {
        if self.file.is_lost() {
            self.file.reopen()?;
            // The loader's view of the file closed with it.
            self.backlog.renew(&self.file)?;
        }
        Ok(())
    }

    /// What undoes on the disk whatever a failed commit may have left there.
    fn repairs(&self) -> Vec<Write> {
        let repair = |(sso, before): (&SsoId, &Option<Arc<Session>>)| {
            let Some(session) = before else {
                return Some(Write::Remove(*sso));
            };
            match self.rows.row(session) {
                Ok(row) => Some(Write::Put {
                    session: Arc::clone(session),
                    replaced: None,
                    row,
                }),
                Err(error) => {
                    tracing::error!(%error, "a session could not be put back on the disk");
                    None
                }
            }
        };
        self.doubtful.iter().filter_map(repair).collect()
    }

    /// Refuses what builds on a change that was refused, and had been queued by then.
    fn refuse_late(&mut self, writes: Vec<Queued>) -> (Vec<Queued>, Vec<Refusal>) {
        // Whatever builds on a change was queued before the change was found overtaken.
        let earlier = std::mem::take(&mut self.overtaken);
        if earlier.is_empty() {
            return (writes, Vec::new());
        }
        let (mut kept, mut refused) = (Vec::new(), Vec::new());
        for queued in writes {
            let mut overtaken = earlier.iter().chain(&self.overtaken);
            let base = overtaken.find(|change| change.is_base_of(&queued.write));
            let (Some(base), Write::Put { session, .. }) = (base, &queued.write) else {
                kept.push(queued);
                continue;
            };
            let change = RefusedChange {
                session: Arc::clone(session),
                before: base.before.clone(),
                failed: base.failed.clone(),
            };
            refused.push((queued.reply, change.failed.clone()));
            self.undo(change);
        }
        (kept, refused)
    }

    /// Takes back what a failed commit refused; answers who waits for that.
    fn take_back(&mut self, writes: Vec<Queued>, failed: &CommitFailed) -> Vec<Refusal> {
        let mut kept = Vec::new();
        let mut refused = Vec::new();
        // The latest first: a replacement of a replacement is taken back before what it replaced.
        for queued in writes.into_iter().rev() {
            refused.push((queued.reply, failed.clone()));
            match queued.write {
                Write::Barrier | Write::Reopen => {}
                Write::Put {
                    session, replaced, ..
                } => {
                    let sso = session.facts.sso;
                    // The failed commit may have reached the disk all the same (S-6, R9).
                    self.doubtful.insert(sso, replaced.clone());
                    self.undo(RefusedChange {
                        session,
                        before: replaced,
                        failed: failed.clone(),
                    });
                }
                write @ (Write::End { .. }
                | Write::NewLife(_)
                | Write::Remove(_)
                | Write::Trim(_)) => kept.push(write),
            }
        }
        self.owed.extend(kept.into_iter().rev());
        refused
    }

    fn undo(&mut self, change: RefusedChange) {
        let undone = match &change.before {
            None => self.table.undo_insert(&change.session, drop),
            Some(before) => self.table.undo_replace(&change.session, before),
        };
        if undone == Undone::Overtaken {
            self.overtaken.push(change);
        }
    }
}

/// Who waits for a change that is refused, and why it is.
type Refusal = (Option<oneshot::Sender<Outcome>>, CommitFailed);

/// A change that was refused.
#[derive(Debug)]
pub(super) struct RefusedChange {
    session: Arc<Session>,
    /// What stood before it.
    before: Option<Arc<Session>>,
    failed: CommitFailed,
}

impl RefusedChange {
    /// Whether a write puts something in the place of this change. Memory keeps no copy of what was queued,
    /// so it is known by all that it says.
    fn is_base_of(&self, write: &Write) -> bool {
        matches!(
            write,
            Write::Put { replaced: Some(replaced), .. } if *replaced == self.session
        )
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
            Write::Barrier
            | Write::NewLife(_)
            | Write::Put { .. }
            | Write::Remove(_)
            | Write::Reopen
            | Write::Trim(_) => None,
        })
        .max()
}

fn new_life(writes: &[&Write]) -> Option<Life> {
    let mut lives = writes.iter().filter_map(|write| match write {
        Write::NewLife(life) => Some(*life),
        Write::Barrier
        | Write::End { .. }
        | Write::Put { .. }
        | Write::Remove(_)
        | Write::Reopen
        | Write::Trim(_) => None,
    });
    lives.next_back()
}

/// Refuses what comes after the writer, also when it ends by a panic.
struct Gone(Arc<Queue>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

//! The audit trail on disk: a file of chained and sealed lines, written by a thread of its own.
//!
//! What a line looks like is `logbook`'s matter. Several processes may write one trail: the gateway, and whoever
//! changes users while it runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

use crate::config::logs::AuditFile;
use crate::config::logs::OnAuditFailure;
use crate::crypto::key_ring::KeyRing;
use crate::logbook::allowance::Allowance;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::ports::audit_trail::AuditTrail;
use crate::ports::audit_trail::TrailStanding;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;

use trail::Noted;
pub use trail::Trail;
pub use trail::TrailError;

pub mod find;
mod head;
mod tail;
mod trail;
pub mod verify;

/// Writes events to a trail in the background.
#[derive(Debug)]
pub struct AuditWriter {
    shared: Arc<Shared>,
}

/// What a trail is written with.
#[derive(Clone)]
pub struct AuditParts {
    /// The keys that seal.
    pub keys: Arc<KeyRing>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for AuditParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditParts").finish_non_exhaustive()
    }
}

struct Shared {
    /// Nowhere without a file: events are counted all the same.
    trail: Option<Trail>,
    on_failure: OnAuditFailure,
    clock: Arc<dyn Clock>,
    waiting: Mutex<Waiting>,
    /// Tells the thread that there is something to do.
    work: Condvar,
    /// Tells whoever waits for the end.
    ended: Condvar,
    /// One place for each kind of event.
    counts: [AtomicU64; EventKind::ALL.len()],
    written: AtomicU64,
    lost: AtomicU64,
    /// The number of the line written last.
    sequence: AtomicU64,
}

struct Waiting {
    events: VecDeque<Noted>,
    allowances: Vec<Allowance>,
    /// Events that found no room since a line was written.
    lost: u64,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is to write what is left, and to end.
    Ending,
    /// It has ended.
    Ended,
    /// The last write failed.
    Failing,
    /// All is well.
    Writing,
}

/// What there is to tell of a trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditCounts {
    /// Events, by kind, written or not.
    pub events: Vec<(&'static str, u64)>,
    /// Lines that were written.
    pub written: u64,
    /// Lines that were lost.
    pub lost: u64,
    /// The number of the line written last; 0 before the first.
    pub sequence: u64,
    /// Whether the last write failed.
    pub is_failing: bool,
}

impl AuditWriter {
    /// Opens the trail of a data centre and starts the thread that writes it. A trail that cannot be written
    /// yet is tried again and again.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn open(
        settings: Option<&AuditFile>,
        parts: &AuditParts,
        data_centre: &str,
    ) -> std::io::Result<Self> {
        let trail = settings.map(|settings| {
            let path = settings.file.clone();
            Trail::new(path, data_centre.to_owned(), parts)
        });
        let now = parts.clock.now();
        let allowances = EventKind::ALL.map(|kind| Allowance::new(kind, now));
        let is_kept = trail.is_some();
        let shared = Arc::new(Shared {
            trail,
            on_failure: settings.map_or(OnAuditFailure::Continue, |by| by.on_failure),
            clock: Arc::clone(&parts.clock),
            waiting: Mutex::new(Waiting {
                events: VecDeque::new(),
                allowances: allowances.into(),
                lost: 0,
                state: State::Writing,
            }),
            work: Condvar::new(),
            ended: Condvar::new(),
            counts: Default::default(),
            written: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            sequence: AtomicU64::new(0),
        });
        if is_kept {
            let own = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("audit".to_owned())
                .spawn(move || own.run())?;
        }
        Ok(Self { shared })
    }

    /// What there is to tell.
    #[must_use]
    pub fn counts(&self) -> AuditCounts {
        let shared = &self.shared;
        let counts = EventKind::ALL.iter().zip(&shared.counts);
        AuditCounts {
            events: counts
                .map(|(kind, count)| (kind.as_str(), count.load(Ordering::Relaxed)))
                .collect(),
            written: shared.written.load(Ordering::Relaxed),
            lost: shared.lost.load(Ordering::Relaxed),
            sequence: shared.sequence.load(Ordering::Relaxed),
            is_failing: shared.waiting.lock().state == State::Failing,
        }
    }

    /// Writes what is left, and ends; waits for it within a bound.
    pub fn finish(&self) {
        if self.shared.trail.is_none() {
            return;
        }
        let mut waiting = self.shared.end();
        let goes_on = |waiting: &mut Waiting| waiting.state != State::Ended;
        self.shared
            .ended
            .wait_while_for(&mut waiting, goes_on, END_WAIT);
    }
}

impl AuditTrail for AuditWriter {
    fn note(&self, event: Event) {
        self.shared.note(event);
    }

    fn standing(&self) -> TrailStanding {
        let is_failing = self.shared.waiting.lock().state == State::Failing;
        match self.shared.on_failure {
            OnAuditFailure::Refuse if is_failing => TrailStanding::SignNobodyIn,
            OnAuditFailure::Continue | OnAuditFailure::Refuse => TrailStanding::GoOn,
        }
    }
}

impl Drop for AuditWriter {
    fn drop(&mut self) {
        drop(self.shared.end());
    }
}

impl Shared {
    fn note(&self, mut event: Event) {
        let place = EventKind::ALL.iter().position(|kind| *kind == event.kind);
        let place = place.unwrap_or_default();
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if self.trail.is_none() {
            return;
        }
        let at = self.clock.now();
        let mut waiting = self.waiting.lock();
        let allowance = waiting.allowances.get_mut(place);
        let Some(suppressed) = allowance.map_or(Some(0), |allowance| allowance.take(at)) else {
            return;
        };
        if suppressed > 0 {
            event = event.with("suppressed", suppressed.to_string());
        }
        if waiting.events.len() >= WAITING_MAX {
            waiting.lost += 1;
            drop(waiting);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.events.push_back(Noted { at, event });
        drop(waiting);
        self.work.notify_one();
    }

    fn end(&self) -> MutexGuard<'_, Waiting> {
        let mut waiting = self.waiting.lock();
        if waiting.state != State::Ended {
            waiting.state = State::Ending;
        }
        self.work.notify_one();
        waiting
    }

    fn run(&self) {
        let Some(trail) = &self.trail else { return };
        let mut batch = Vec::new();
        loop {
            let is_last = self.take(&mut batch);
            let written = trail.append(&batch);
            match &written {
                Ok(link) => {
                    self.written
                        .fetch_add(batch.len() as u64, Ordering::Relaxed);
                    self.sequence.store(link.sequence, Ordering::Relaxed);
                    batch.clear();
                }
                Err(error) if is_last => {
                    self.lost.fetch_add(batch.len() as u64, Ordering::Relaxed);
                    tracing::error!(
                        error = error as &dyn std::error::Error,
                        lines = batch.len(),
                        "the audit trail could not be written to its end"
                    );
                }
                Err(_) => {}
            }
            if is_last {
                break;
            }
            self.judge(trail.path(), written.err());
        }
        self.waiting.lock().state = State::Ended;
        self.ended.notify_all();
    }

    /// Waits for events; after a failure, for another try. Answers whether these are the last.
    fn take(&self, batch: &mut Vec<Noted>) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.state == State::Failing {
            let goes_on = |waiting: &mut Waiting| waiting.state == State::Failing;
            self.work
                .wait_while_for(&mut waiting, goes_on, TRY_AGAIN_AFTER);
        }
        self.work.wait_while(&mut waiting, |waiting| {
            waiting.events.is_empty() && waiting.state == State::Writing && batch.is_empty()
        });
        if batch.is_empty() || waiting.state == State::Ending {
            batch.extend(waiting.events.drain(..));
            let lost = std::mem::take(&mut waiting.lost);
            if lost > 0 {
                let event = Event::new(EventKind::LinesLost).with("lines", lost.to_string());
                let at = self.clock.now();
                batch.push(Noted { at, event });
            }
        }
        waiting.state == State::Ending
    }

    /// Takes note of how a write went.
    fn judge(&self, path: &std::path::Path, failure: Option<TrailError>) {
        let mut waiting = self.waiting.lock();
        let before = waiting.state;
        match (failure, before) {
            (_, State::Ending | State::Ended) | (None, State::Writing) => {}
            (None, State::Failing) => {
                waiting.state = State::Writing;
                tracing::info!(path = %path.display(), "the audit trail is written again");
            }
            (Some(error), _) => {
                waiting.state = State::Failing;
                if before != State::Failing {
                    tracing::error!(
                        path = %path.display(),
                        error = &error as &dyn std::error::Error,
                        "the audit trail cannot be written; it is tried again"
                    );
                }
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("on_failure", &self.on_failure)
            .finish_non_exhaustive()
    }
}

/// Events that wait to be written at most; then they are lost and counted.
const WAITING_MAX: usize = 10_000;
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
const END_WAIT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;

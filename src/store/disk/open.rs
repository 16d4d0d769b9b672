//! Opening and letting go of the disk store: its file, its two threads, what counts after a crash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::time::Timestamp;
use crate::store::RecordSealer;
use crate::store::cursors::Cursors;
use crate::store::disk::DiskStore;
use crate::store::disk::backlog::Backlog;
use crate::store::disk::backlog::Credit;
use crate::store::disk::file;
use crate::store::disk::file::OpenStoreError;
use crate::store::disk::file::Opener;
use crate::store::disk::file::StoreFile;
use crate::store::disk::header::Closed;
use crate::store::disk::header::Header;
use crate::store::disk::queue::Queue;
use crate::store::disk::rows::Rows;
use crate::store::disk::writer::Writer;
use crate::store::life::Life;
use crate::store::life::PresentLife;
use crate::store::table::Contents;
use crate::store::table::Table;

/// How a disk store writes.
#[derive(Clone, Copy, Debug)]
pub struct DiskOptions {
    /// Which records survive the process.
    pub records: Records,
    /// How often at most the last access of one session is written back.
    pub write_back_interval: Duration,
    /// How long a commit waits for as many callers as shared the one before; a lone caller never waits.
    pub commit_gathering: Duration,
}

/// Which records survive the process. The end log does in either case (S-15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records {
    /// All do.
    Kept,
    /// None does: they are in memory only and cost the disk nothing.
    Volatile,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            records: Records::Kept,
            write_back_interval: Duration::from_secs(60),
            commit_gathering: Duration::from_millis(2),
        }
    }
}

impl DiskStore {
    /// Opens the store in `dir`, or makes one there whose end log has the life `incarnation_if_new`.
    ///
    /// If the process before did not close it, last accesses count as at most one write-back interval
    /// later than written, and never later than `now`. Where records are volatile, whatever the file
    /// holds of them is dropped.
    ///
    /// # Errors
    /// See [`OpenStoreError`]; the file is as it was then.
    pub fn open(
        dir: &Path,
        sealer: Arc<dyn RecordSealer>,
        incarnation_if_new: Incarnation,
        now: Timestamp,
        options: DiskOptions,
    ) -> Result<Self, OpenStoreError> {
        let path = file::prepare(dir)
            .map_err(|error| OpenStoreError::Unusable(dir.join("sessions.redb"), error.into()))?;
        let opener = file::opener(path.clone());
        let fresh = Header {
            first_life: incarnation_if_new,
            incarnation: incarnation_if_new,
            began: now,
            records_since: None,
            closed: Closed::Cleanly,
            write_back_interval: options.write_back_interval,
            last_position: Position(0),
        };
        Self::start(
            &path,
            opener,
            Setting {
                sealer,
                fresh,
                now,
                options,
            },
        )
    }

    pub(super) fn start(
        path: &Path,
        opener: Opener,
        setting: Setting,
    ) -> Result<Self, OpenStoreError> {
        let Setting {
            sealer,
            fresh,
            now,
            options,
        } = setting;
        let (file, header) = StoreFile::open(path, opener, fresh, options.records)?;
        let unusable = |error: redb::Error| OpenStoreError::Unusable(path.into(), error.into());
        let (contents, snapshot) = match options.records {
            Records::Kept => {
                let snapshot = file.snapshot().map_err(unusable)?;
                (Contents::Loading, Some(snapshot))
            }
            Records::Volatile => (Contents::Complete, None),
        };
        let table = Table::new(contents);
        // A record must never be seen before the end that forbids it.
        file.ends(path)?
            .into_iter()
            .for_each(|(position, end)| table.restore(position, end));
        table.skip_to(header.last_position);
        let table = Arc::new(table);
        let cursors = Cursors::restored(file.pulled().map_err(unusable)?);
        let queue = Arc::new(Queue::new());
        let backlog = Arc::new(Backlog::new(
            Arc::clone(&table),
            Arc::clone(&queue),
            Arc::clone(&sealer),
            credit(&header, now),
            snapshot,
        ));
        let rows = Rows::new(sealer, header.first_life);
        let (release, released) = oneshot::channel();
        let store = Self {
            table: Arc::clone(&table),
            queue: Arc::clone(&queue),
            backlog: Arc::clone(&backlog),
            rows: rows.clone(),
            cursors,
            life: PresentLife::new(life(&header, now)),
            records: options.records,
            write_back_interval: options.write_back_interval,
            released: Mutex::new(Some(released)),
            threads: Mutex::default(),
        };
        let gathering = options.commit_gathering;
        let loader = Arc::clone(&backlog);
        let writer = Writer {
            file,
            table,
            queue,
            backlog,
            gathering,
            records: options.records,
            rows,
            owed: Vec::new(),
            doubtful: BTreeMap::new(),
            overtaken: Vec::new(),
        };
        let write = move || {
            writer.run();
            drop(release);
        };
        let unstarted = |error: std::io::Error| OpenStoreError::Unusable(path.into(), error.into());
        store.spawn("session-writer", write).map_err(unstarted)?;
        store
            .spawn("session-loader", move || loader.load())
            .map_err(unstarted)?;
        Ok(store)
    }

    fn spawn(&self, name: &str, run: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let thread = Builder::new().name(name.into()).spawn(run)?;
        self.threads.lock().push(thread);
        Ok(())
    }
}

/// The life that the end log goes on with.
fn life(header: &Header, now: Timestamp) -> Life {
    Life {
        incarnation: header.incarnation,
        began: header.began,
        remembers_since: header.records_since.unwrap_or(now),
    }
}

/// How much later than written last accesses count: they are as written after a clean stop only.
const fn credit(header: &Header, opened: Timestamp) -> Credit {
    let at_most = match header.closed {
        Closed::Cleanly => Duration::ZERO,
        Closed::Uncleanly => header.write_back_interval,
    };
    Credit { at_most, opened }
}

impl Drop for DiskStore {
    fn drop(&mut self) {
        self.backlog.stop();
        self.queue.stop();
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the session store ended by a panic");
            }
        }
    }
}

pub(super) struct Setting {
    pub(super) sealer: Arc<dyn RecordSealer>,
    pub(super) fresh: Header,
    pub(super) now: Timestamp,
    pub(super) options: DiskOptions,
}

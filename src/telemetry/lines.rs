//! Writes lines in the background: gathers them in memory, and one thread takes them to where they belong.
//!
//! Nobody waits for it: what finds no room is lost, counted and told. A file is opened anew when asked to, between
//! two writes, so that rotating it loses nothing.

use std::fmt;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To the end of a file, which is made if it is not there.
    File(PathBuf),
    /// To standard error.
    Stderr,
    /// To standard output.
    Stdout,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Stderr => f.write_str("standard error"),
            Self::Stdout => f.write_str("standard output"),
        }
    }
}

/// Lines on their way to one destination. When it is dropped, what is gathered is written, and nobody waits for
/// that.
#[derive(Debug)]
pub struct Lines {
    shared: Arc<Shared>,
}

/// How many lines there were, over all destinations that share it.
#[derive(Debug, Default)]
pub struct LineTotals {
    written: AtomicU64,
    lost: AtomicU64,
}

impl LineTotals {
    /// Lines that were written.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Lines that were lost: there was no room for them, or they could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Shared {
    destination: Destination,
    gathered: Mutex<Gathered>,
    /// Tells the thread that there is something to do.
    work: Condvar,
    /// Tells whoever waits for the end.
    ended: Condvar,
    totals: Arc<LineTotals>,
}

#[derive(Debug, Default)]
struct Gathered {
    bytes: Vec<u8>,
    lines: u64,
    wish: Wish,
    has_ended: bool,
}

/// What the thread is to do beside writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wish {
    /// Write what is left, and end.
    End,
    #[default]
    Nothing,
    /// Open the file anew.
    Reopen,
}

impl Lines {
    /// Opens a destination and starts the thread that writes to it.
    ///
    /// # Errors
    /// When the file cannot be opened, or no thread can be started.
    pub fn open(destination: Destination, totals: Arc<LineTotals>) -> std::io::Result<Self> {
        let sink = Sink::open(&destination)?;
        let shared = Arc::new(Shared {
            destination,
            gathered: Mutex::default(),
            work: Condvar::new(),
            ended: Condvar::new(),
            totals,
        });
        let own = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("access-log".to_owned())
            .spawn(move || own.run(sink))?;
        Ok(Self { shared })
    }

    /// Where the lines go.
    #[must_use]
    pub fn destination(&self) -> &Destination {
        &self.shared.destination
    }

    /// Hands a line over, its end included. Never waits for the destination.
    pub fn append(&self, line: &[u8]) {
        let mut gathered = self.shared.gathered.lock();
        if gathered.bytes.len().saturating_add(line.len()) > GATHERED_BYTES_MAX {
            drop(gathered);
            self.shared.totals.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let before = gathered.bytes.len();
        gathered.bytes.extend_from_slice(line);
        gathered.lines += 1;
        let is_due = before < URGENT_BYTES && gathered.bytes.len() >= URGENT_BYTES;
        drop(gathered);
        if before == 0 || is_due {
            self.shared.work.notify_one();
        }
    }

    /// Has the file opened anew, before the next line is written.
    pub fn reopen(&self) {
        let mut gathered = self.shared.gathered.lock();
        if gathered.wish == Wish::Nothing {
            gathered.wish = Wish::Reopen;
        }
        drop(gathered);
        self.shared.work.notify_one();
    }

    /// Writes what is gathered, and ends: later lines go nowhere. Waits for it, though not for whoever has
    /// stopped to read a pipe.
    pub fn finish(&self) {
        let mut gathered = self.shared.end();
        let goes_on = |gathered: &mut Gathered| !gathered.has_ended;
        self.shared
            .ended
            .wait_while_for(&mut gathered, goes_on, END_WAIT);
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        drop(self.shared.end());
    }
}

impl Shared {
    fn end(&self) -> MutexGuard<'_, Gathered> {
        let mut gathered = self.gathered.lock();
        gathered.wish = Wish::End;
        self.work.notify_one();
        gathered
    }

    fn run(&self, mut sink: Sink) {
        let mut batch = Vec::new();
        let mut told = Told::default();
        loop {
            let (lines, wish) = self.take(&mut batch);
            if wish == Wish::Reopen {
                sink = self.reopened(sink);
            }
            match sink.write(&batch) {
                Ok(()) => {
                    told.success(&batch);
                    self.totals.written.fetch_add(lines, Ordering::Relaxed)
                }
                Err(error) => {
                    told.failure(&self.destination, &error);
                    self.totals.lost.fetch_add(lines, Ordering::Relaxed)
                }
            };
            batch.clear();
            batch.shrink_to(URGENT_BYTES);
            told.lost(self.totals.lost());
            if wish == Wish::End {
                break;
            }
        }
        self.gathered.lock().has_ended = true;
        self.ended.notify_all();
    }

    /// Waits for lines, then a moment for more of them: a write for each would be dear.
    fn take(&self, batch: &mut Vec<u8>) -> (u64, Wish) {
        let mut gathered = self.gathered.lock();
        self.work.wait_while(&mut gathered, |gathered| {
            gathered.bytes.is_empty() && gathered.wish == Wish::Nothing
        });
        if gathered.wish == Wish::Nothing {
            let may_wait = |gathered: &mut Gathered| {
                gathered.bytes.len() < URGENT_BYTES && gathered.wish == Wish::Nothing
            };
            self.work
                .wait_while_for(&mut gathered, may_wait, GATHER_FOR);
        }
        std::mem::swap(&mut gathered.bytes, batch);
        let wish = std::mem::take(&mut gathered.wish);
        (std::mem::take(&mut gathered.lines), wish)
    }

    fn reopened(&self, sink: Sink) -> Sink {
        match Sink::open(&self.destination) {
            Ok(fresh) => {
                if matches!(self.destination, Destination::File(_)) {
                    tracing::info!(to = %self.destination, "access log opened anew");
                }
                fresh
            }
            Err(error) => {
                tracing::error!(%error, to = %self.destination, "the access log cannot be opened anew; it goes on where it was");
                sink
            }
        }
    }
}

/// What lines are written to.
struct Sink {
    to: SinkKind,
    /// Whether the last write left a line unfinished.
    is_torn: bool,
}

enum SinkKind {
    File(File),
    Stderr,
    Stdout,
}

impl Sink {
    fn open(destination: &Destination) -> std::io::Result<Self> {
        let to = match destination {
            Destination::File(path) => {
                let mut options = OpenOptions::new();
                options.create(true).append(true).mode(FILE_MODE);
                SinkKind::File(options.open(path)?)
            }
            Destination::Stderr => SinkKind::Stderr,
            Destination::Stdout => SinkKind::Stdout,
        };
        Ok(Self { to, is_torn: false })
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        if self.is_torn {
            self.write_all(b"\n")?;
        }
        let written = self.write_all(bytes);
        self.is_torn = written.is_err();
        written
    }

    fn write_all(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.to {
            SinkKind::File(file) => file.write_all(bytes),
            SinkKind::Stderr => std::io::stderr().lock().write_all(bytes),
            SinkKind::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
        }
    }
}

/// What the log of the gateway has been told about lost lines: not each one.
#[derive(Default)]
struct Told {
    lost: u64,
    failure: Option<ErrorKind>,
    /// Writes since the last word.
    writes: u32,
}

impl Told {
    fn lost(&mut self, lost: u64) {
        self.writes = self.writes.saturating_add(1);
        if lost == self.lost || (self.lost > 0 && self.writes < WRITES_BETWEEN_WORDS) {
            return;
        }
        tracing::warn!(lines = lost - self.lost, "access log lines were lost");
        (self.lost, self.writes) = (lost, 0);
    }

    /// The next failure is told again.
    const fn success(&mut self, written: &[u8]) {
        if !written.is_empty() {
            self.failure = None;
        }
    }

    fn failure(&mut self, destination: &Destination, error: &std::io::Error) {
        if self.failure != Some(error.kind()) {
            tracing::error!(%error, to = %destination, "the access log cannot be written");
            self.failure = Some(error.kind());
        }
    }
}

/// Bytes that wait to be written at most; then lines are lost.
const GATHERED_BYTES_MAX: usize = 8 << 20;
/// So much is written without waiting for more.
const URGENT_BYTES: usize = 256 << 10;
/// How long lines are waited for that go with the first.
const GATHER_FOR: Duration = Duration::from_millis(50);
const END_WAIT: Duration = Duration::from_secs(2);
const WRITES_BETWEEN_WORDS: u32 = 200;
/// Users and their addresses are in it: not for everybody.
const FILE_MODE: u32 = 0o640;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir) -> (PathBuf, Lines) {
        let path = folder.path().join("access.log");
        let lines = Lines::open(Destination::File(path.clone()), Arc::default()).unwrap();
        (path, lines)
    }

    #[test]
    fn what_was_handed_over_is_there_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lines) = file(&folder);
        for number in 0..10_000 {
            lines.append(format!("line {number}\n").as_bytes());
        }
        lines.finish();
        let text = std::fs::read_to_string(path).unwrap();
        assert_eq!(text.lines().count(), 10_000);
        assert!(text.ends_with("line 9999\n"));
    }

    #[test]
    fn a_file_that_is_moved_away_and_opened_anew_loses_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let (path, lines) = file(&folder);
        let mut older = Vec::new();
        std::thread::scope(|scope| {
            let lines = &lines;
            let number = move |number: u32| lines.append(format!("{number}\n").as_bytes());
            let writer = scope.spawn(move || (0..50_000).for_each(number));
            while !writer.is_finished() {
                let moved = folder.path().join(format!("access.{}", older.len()));
                older.extend(std::fs::rename(&path, &moved).map(|()| moved));
                lines.reopen();
            }
        });
        lines.finish();
        older.push(path);
        let mut seen = Vec::new();
        for path in older {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            seen.extend(text.lines().map(|line| line.parse::<u32>().unwrap()));
        }
        assert_eq!(seen, (0..50_000).collect::<Vec<_>>());
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_hold_nobody_up() {
        let totals = Arc::<LineTotals>::default();
        let path = PathBuf::from("/dev/full");
        let full = Lines::open(Destination::File(path), Arc::clone(&totals)).unwrap();
        for _ in 0..100 {
            full.append(b"a line\n");
        }
        full.finish();
        assert_eq!((totals.lost(), totals.written()), (100, 0));
    }

    #[test]
    fn what_finds_no_room_is_lost_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (_, lines) = file(&folder);
        lines.append(&vec![b'x'; GATHERED_BYTES_MAX + 1]);
        assert_eq!(lines.shared.totals.lost(), 1);
    }

    #[test]
    fn a_folder_that_is_not_there_is_a_fault_at_once() {
        let path = PathBuf::from("/nowhere/access.log");
        assert!(Lines::open(Destination::File(path), Arc::default()).is_err());
    }
}

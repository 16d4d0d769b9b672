//! Takes log lines to standard error by a thread of its own: whoever logs never waits for whoever reads there.
//!
//! What finds no room is lost and counted, and the log says how many it was once there is room again. What a line
//! looks like is tracing-subscriber's matter.

use std::cell::Cell;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::Mutex;

/// Lines on their way to standard error.
pub(super) struct LogLines {
    gathered: Mutex<Gathered>,
    /// Tells the thread that there is something to write.
    work: Condvar,
    /// Tells whoever waits that all is written.
    settled: Condvar,
}

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    lines: u64,
    /// Lines that found no room, and that the log does not know of.
    lost: u64,
    /// Whether the thread has lines in hand.
    is_writing: bool,
}

impl LogLines {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn begin() -> std::io::Result<Arc<Self>> {
        Self::begin_to(std::io::stderr(), |lines| {
            tracing::warn!(lines, "log lines were lost");
        })
    }

    /// `tell` says how many lines were lost, in a line of its own.
    fn begin_to(
        sink: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> std::io::Result<Arc<Self>> {
        let lines = Arc::new(Self {
            gathered: Mutex::default(),
            work: Condvar::new(),
            settled: Condvar::new(),
        });
        let own = Arc::clone(&lines);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || own.run(sink, tell))?;
        Ok(lines)
    }

    /// Hands a line over, its end included. Never waits for standard error.
    fn append(&self, line: &[u8]) {
        let mut gathered = self.gathered.lock();
        let is_full = gathered.bytes.len().saturating_add(line.len()) > GATHERED_BYTES_MAX;
        // The word about lost lines always has room: it is one for each time that lines are taken.
        if is_full && !IS_WRITER.get() {
            gathered.lost = gathered.lost.saturating_add(1);
            return;
        }
        gathered.bytes.extend_from_slice(line);
        gathered.lines = gathered.lines.saturating_add(1);
        drop(gathered);
        self.work.notify_one();
    }

    /// Waits until all is written, though not for whoever has stopped to read.
    pub(super) fn settle(&self) {
        let mut gathered = self.gathered.lock();
        let goes_on = |gathered: &mut Gathered| gathered.is_writing || gathered.is_due();
        self.settled
            .wait_while_for(&mut gathered, goes_on, END_WAIT);
    }

    fn run(&self, mut sink: impl Write, tell: impl Fn(u64)) {
        IS_WRITER.set(true);
        let mut batch = Vec::new();
        let mut lost = 0_u64;
        loop {
            let (lines, more) = self.take(&mut batch);
            lost = lost.saturating_add(more);
            let written = sink.write_all(&batch);
            batch.clear();
            batch.shrink_to(KEPT_BYTES);
            match written.and_then(|()| sink.flush()) {
                Ok(()) if lost > 0 => {
                    tell(lost);
                    lost = 0;
                }
                Ok(()) => {}
                // There is nowhere to say so until something can be written again.
                Err(_) => lost = lost.saturating_add(lines),
            }
        }
    }

    /// Waits for lines, and takes them: how many, and how many were lost since the last time.
    fn take(&self, batch: &mut Vec<u8>) -> (u64, u64) {
        let mut gathered = self.gathered.lock();
        gathered.is_writing = false;
        if !gathered.is_due() {
            self.settled.notify_all();
        }
        self.work
            .wait_while(&mut gathered, |gathered| !gathered.is_due());
        gathered.is_writing = true;
        std::mem::swap(&mut gathered.bytes, batch);
        let lines = std::mem::take(&mut gathered.lines);
        (lines, std::mem::take(&mut gathered.lost))
    }
}

impl Gathered {
    /// Whether there is something for the thread to do.
    const fn is_due(&self) -> bool {
        !self.bytes.is_empty() || self.lost > 0
    }
}

impl Write for &LogLines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

thread_local! {
    /// Whether this is the thread that writes.
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

/// Bytes that wait to be written at most; then lines are lost.
const GATHERED_BYTES_MAX: usize = 4 << 20;
/// What is kept of a buffer that was larger for once.
const KEPT_BYTES: usize = 64 << 10;
const END_WAIT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A reader that takes a piece only when it is told to.
    struct Reader {
        may_take: mpsc::Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.may_take.recv().ok();
            self.taken.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Rig {
        lines: Arc<LogLines>,
        /// Dropped when the reader goes on.
        stop: mpsc::Sender<()>,
        taken: Arc<Mutex<Vec<u8>>>,
        /// How many lines were said to be lost.
        told: Arc<Mutex<u64>>,
    }

    fn rig() -> Rig {
        let (stop, may_take) = mpsc::channel();
        let taken = Arc::<Mutex<Vec<u8>>>::default();
        let told = Arc::<Mutex<u64>>::default();
        let reader = Reader {
            may_take,
            taken: Arc::clone(&taken),
        };
        let count = Arc::clone(&told);
        let tell = move |lost| *count.lock() += lost;
        Rig {
            lines: LogLines::begin_to(reader, tell).unwrap(),
            stop,
            taken,
            told,
        }
    }

    #[test]
    fn a_reader_that_stops_holds_nobody_up_and_what_was_lost_is_told() {
        let Rig {
            lines,
            stop,
            taken,
            told,
        } = rig();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..16 {
            lines.append(&line);
        }
        drop(stop);
        lines.settle();
        let kept = taken.lock().len() >> 20;
        // The thread may have had as many in hand as wait.
        assert!((4..=8).contains(&kept), "{kept}");
        assert_eq!(*told.lock() + kept as u64, 16);
    }

    #[test]
    fn what_was_handed_over_is_there_in_order_once_it_is_settled() {
        let Rig {
            lines, stop, taken, ..
        } = rig();
        drop(stop);
        for number in 0..10_000 {
            lines.append(format!("{number}\n").as_bytes());
        }
        lines.settle();
        let text = String::from_utf8(taken.lock().clone()).unwrap();
        let seen = text.lines().map(|line| line.parse::<u32>().unwrap());
        assert!(seen.eq(0..10_000));
    }
}

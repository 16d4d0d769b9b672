//! Whether each thread of the edge still turns, for the watchdog of a service manager.
//!
//! The threads share no tasks (ADR 0010), so each has one of its own here, which counts. A count that stands still for
//! several looks is a thread that hangs; one that is late is a machine that is busy.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;
use pingora_runtime::current_handle;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

/// How often each thread has turned; nothing where nobody asked for it.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Vec<Arc<AtomicU64>>>);

impl Pulse {
    /// Has each of so many threads count that often. To be called by one of them.
    pub(super) fn begin(&self, threads: usize, every: Duration) {
        for handle in all(threads) {
            let count = Arc::new(AtomicU64::new(0));
            self.0.lock().push(Arc::clone(&count));
            handle.spawn(beat(count, every));
        }
    }

    fn counts(&self) -> Vec<u64> {
        let counts = self.0.lock();
        let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
        counts.collect()
    }
}

/// Those of the runtime of this thread. pingora gives one of them by chance each time.
fn all(threads: usize) -> Vec<Handle> {
    let mut found: Vec<Handle> = Vec::new();
    for _ in 0..threads.saturating_mul(DRAWS_EACH) {
        if found.len() >= threads {
            break;
        }
        let drawn = current_handle();
        if found.iter().all(|known| known.id() != drawn.id()) {
            found.push(drawn);
        }
    }
    found
}

async fn beat(count: Arc<AtomicU64>, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks at the counts, one look after the other.
#[derive(Debug)]
pub(super) struct Looks {
    pulse: Arc<Pulse>,
    seen: Vec<Seen>,
}

/// What was seen of one thread.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    count: u64,
    /// The looks for which it has been the same.
    still: u32,
}

impl Looks {
    pub(super) const fn new(pulse: Arc<Pulse>) -> Self {
        Self {
            pulse,
            seen: Vec::new(),
        }
    }

    /// Looks once, and answers how many threads hang: they have not counted since so many looks.
    pub(super) fn hung(&mut self, looks: u32) -> usize {
        let counts = self.pulse.counts();
        self.seen.resize(counts.len(), Seen::default());
        for (seen, count) in self.seen.iter_mut().zip(counts) {
            seen.look(count);
        }
        let hung = self.seen.iter().filter(|seen| seen.still >= looks);
        hung.count()
    }
}

impl Seen {
    const fn look(&mut self, count: u64) {
        if self.count == count {
            self.still = self.still.saturating_add(1);
        } else {
            *self = Self { count, still: 0 };
        }
    }
}

/// Draws for each thread: that one of a hundred is never drawn happens once in 10^25 starts.
const DRAWS_EACH: usize = 64;

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::sync::mpsc::Receiver;

    use pingora_runtime::Runtime;

    use super::*;

    const THREADS: usize = 3;
    const PATIENCE: u32 = 4000;

    /// Looks again and again until so many hang.
    fn until(hung: usize, looks: &mut Looks, pause: &Receiver<()>) {
        for _ in 0..PATIENCE {
            pause.recv_timeout(Duration::from_millis(5)).ok();
            // As many looks as a busy machine may be late by.
            if looks.hung(200) == hung {
                return;
            }
        }
        panic!("{hung} never hung: {looks:?}");
    }

    #[test]
    fn a_thread_that_hangs_is_told_from_those_that_turn() {
        let runtime = Runtime::new_no_steal(THREADS, "edge");
        let pulse = Arc::new(Pulse::default());
        let (begun, has_begun) = mpsc::channel();
        let begins = Arc::clone(&pulse);
        runtime.get_handle().spawn(async move {
            begins.begin(THREADS, Duration::from_millis(5));
            begun.send(()).ok();
        });
        has_begun.recv().unwrap();
        assert_eq!(pulse.counts().len(), THREADS);
        let mut looks = Looks::new(pulse);
        let (_never, pause) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        runtime.get_handle().spawn(async move {
            held.recv().ok();
        });
        until(1, &mut looks, &pause);
        drop(release);
        until(0, &mut looks, &pause);
    }

    #[test]
    fn what_is_late_does_not_hang_and_what_never_began_does() {
        let count = Arc::new(AtomicU64::new(0));
        let mut looks = Looks::new(Arc::new(Pulse(Mutex::new(vec![Arc::clone(&count)]))));
        for _ in 0..9 {
            assert_eq!((looks.hung(3), looks.hung(3)), (0, 0));
            count.fetch_add(1, Ordering::Relaxed);
            assert_eq!(looks.hung(3), 0);
        }
        assert_eq!((looks.hung(3), looks.hung(3)), (0, 0));
        assert_eq!((looks.hung(3), looks.hung(3)), (1, 1));
        let nobody = &mut Looks::new(Arc::default());
        assert_eq!([nobody.hung(1), nobody.hung(1)], [0, 0]);
    }
}

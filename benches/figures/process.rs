//! What the kernel says of a process: the processor time it has used, its threads, its memory at rest.

use std::time::Duration;

use tokio::time::Instant;

use crate::support;
use crate::support::Gateway;
use crate::support::wait::within;

/// The processor time that a gateway has used, in its own code and in the kernel.
pub(crate) fn processor_time(gateway: &Gateway) -> Duration {
    processor_time_of(&gateway.pid().to_string())
}

/// The processor time that this program has used.
pub(crate) fn own_processor_time() -> Duration {
    processor_time_of("self")
}

/// The memory that this program holds, in KiB.
pub(crate) fn own_resident_kib() -> u64 {
    support::gateway::resident_kib("self")
}

fn processor_time_of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name of the program stands in brackets and may hold anything.
    let (_, rest) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = rest
        .split_whitespace()
        .skip(FIELDS_BEFORE_UTIME)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * TICK_MILLIS)
}

/// Waits until a gateway has taken up everything that its store holds; answers how long after `began`
/// that was.
pub(crate) async fn loaded(gateway: &Gateway, began: Instant) -> Duration {
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.pid())).unwrap();
        let names = tasks.filter_map(|task| {
            let path = task.ok()?.path().join("comm");
            std::fs::read_to_string(path).ok()
        });
        names.collect::<String>()
    };
    // A thread of another name would never be seen to end.
    assert!(threads().contains(WRITER), "{}", threads());
    let loading = async {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        while threads().contains(LOADER) {
            ticks.tick().await;
        }
        began.elapsed()
    };
    within("the store is read", LOAD_MAX, loading).await
}

/// Waits until a gateway has used no processor time for a while; answers the memory that it holds then,
/// in KiB.
pub(crate) async fn resting_kib(gateway: &Gateway) -> u64 {
    let resting = async {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        let mut before = processor_time(gateway);
        let mut quiet = 0;
        while quiet < QUIET_LOOKS {
            ticks.tick().await;
            let now = processor_time(gateway);
            quiet = if now - before <= IDLE_MAX {
                quiet + 1
            } else {
                0
            };
            before = now;
        }
        gateway.resident_kib()
    };
    within("the gateway rests", LOAD_MAX, resting).await
}

/// Between the name of the program and its time in user space.
const FIELDS_BEFORE_UTIME: usize = 11;
/// The unit of these fields is a hundredth of a second wherever Portway runs.
const TICK_MILLIS: u64 = 10;

/// Threads of the disk store: one that reads it at the start and ends, one that stays.
const LOADER: &str = "session-loader";
const WRITER: &str = "session-writer";

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Housekeeping takes as much.
const IDLE_MAX: Duration = Duration::from_millis(10);
const QUIET_LOOKS: usize = 10;
const LOAD_MAX: Duration = Duration::from_secs(120);

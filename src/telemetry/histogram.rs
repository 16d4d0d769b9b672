//! Counts how long things took, without a lock: one place for each span of time.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// One place for each of [`BOUNDS`], and one for whatever took longer.
    counts: [AtomicU64; BOUNDS.len() + 1],
    sum_micros: AtomicU64,
}

/// What a histogram had counted at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistogramSnapshot {
    /// The upper bound of each bucket in seconds, and how many fell into it and into none before it.
    pub buckets: Vec<(f64, u64)>,
    /// All spans together, in seconds.
    pub sum: f64,
    /// How many there were.
    pub count: u64,
}

impl Histogram {
    /// Counts a span of time.
    pub fn note(&self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().take_while(|bound| micros > **bound);
        if let Some(count) = self.counts.get(bucket.count()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let bounds = BOUNDS
            .iter()
            .map(|bound| Duration::from_micros(*bound).as_secs_f64());
        let counts = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.chain([f64::INFINITY]).zip(counts).collect();
        let sum = Duration::from_micros(self.sum_micros.load(Ordering::Relaxed));
        HistogramSnapshot {
            count: buckets.iter().map(|(_, count)| count).sum(),
            sum: sum.as_secs_f64(),
            buckets,
        }
    }
}

/// In microseconds: from a lookup in memory to a request that waits for its upstream as long as it may.
const BOUNDS: [u64; 17] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_is_counted_once_where_it_belongs() {
        let histogram = Histogram::default();
        for micros in [0, 250, 251, 60_000_000, 60_000_001] {
            histogram.note(Duration::from_micros(micros));
        }
        let snapshot = histogram.snapshot();
        let full: Vec<_> = snapshot.buckets.iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(
            full,
            [
                &(0.000_25, 2),
                &(0.000_5, 1),
                &(60.0, 1),
                &(f64::INFINITY, 1)
            ]
        );
        assert_eq!(snapshot.count, 5);
        assert!((snapshot.sum - 120.000_502).abs() < 1e-9);
    }
}

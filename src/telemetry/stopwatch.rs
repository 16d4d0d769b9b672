//! Measures how long things take, by a clock that nobody sets.
//!
//! For measurements alone: what anything waits for is asked of the port `clock`.

use std::time::Duration;
use std::time::Instant;

/// Runs from when it was made.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a measurement, on which nothing depends"
    )]
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// What has passed.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

//! The figures as they are printed: name, value, unit, how it was measured.

use std::time::Duration;

/// One figure.
#[derive(Debug)]
pub(crate) struct Figure {
    name: String,
    value: String,
    unit: &'static str,
    how: String,
}

impl Figure {
    /// A number with its unit, shown with as many decimals as its size calls for.
    pub(crate) fn new(name: &str, value: f64, unit: &'static str, how: &str) -> Self {
        let decimals = match value.abs() {
            100.0.. => 0,
            10.0.. => 1,
            1.0.. => 2,
            _ => 3,
        };
        Self {
            name: name.to_owned(),
            value: format!("{value:.decimals$}"),
            unit,
            how: how.to_owned(),
        }
    }

    /// The median and the 99th percentile of many times.
    pub(crate) fn times(name: &str, times: &Times, how: &str) -> Vec<Self> {
        let percents = [50, 99].into_iter();
        percents
            .map(|percent| {
                let name = format!("{name}, p{percent}");
                Self::time(&name, times.percentile(percent), how)
            })
            .collect()
    }

    /// A time, in milliseconds.
    pub(crate) fn time(name: &str, time: Duration, how: &str) -> Self {
        Self::new(name, millis(time), "ms", how)
    }
}

/// How much of everything is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(usize);

impl Scale {
    /// All of it.
    pub(crate) const FULL: Self = Self(1);
    /// So little that the figures mean nothing.
    pub(crate) const QUICK: Self = Self(20);

    /// So many of a full number; none of none.
    pub(crate) fn of(self, full: usize) -> usize {
        full.div_ceil(self.0)
    }
}

/// Times in order of length.
#[derive(Debug)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    /// The time that so many of a hundred do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let place = (self.0.len() * percent).div_ceil(100).max(1) - 1;
        *self.0.get(place).unwrap()
    }

    /// The same times, each shorter by this.
    pub(crate) fn less(&self, by: Duration) -> Self {
        Self(self.0.iter().map(|time| time.saturating_sub(by)).collect())
    }

    pub(crate) fn longest(&self) -> Duration {
        *self.0.last().unwrap()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }
}

/// A time in milliseconds.
pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The figures, a line each, in columns.
pub(crate) fn show(figures: &[Figure]) -> String {
    let line = |figure: &Figure| {
        let Figure {
            name,
            value,
            unit,
            how,
        } = figure;
        format!("{name:NAME_CHARS$}  {value:>VALUE_CHARS$} {unit:UNIT_CHARS$}  {how}\n")
    };
    figures.iter().map(line).collect()
}

/// The widths of the columns; the last has none.
const NAME_CHARS: usize = 50;
const VALUE_CHARS: usize = 8;
const UNIT_CHARS: usize = 3;

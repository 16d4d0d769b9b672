//! Counts the requests that were answered, by the class of their status.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Counts requests.
#[derive(Debug, Default)]
pub struct RequestCounts {
    switched: AtomicU64,
    done: AtomicU64,
    redirected: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
    unanswered: AtomicU64,
}

impl RequestCounts {
    /// Counts a request that is over; without a status nothing was answered.
    pub(super) fn note(&self, status: Option<u16>) {
        let count = match status {
            Some(100..=199) => &self.switched,
            Some(200..=299) => &self.done,
            Some(300..=399) => &self.redirected,
            Some(400..=499) => &self.refused,
            Some(_) => &self.failed,
            None => &self.unanswered,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far, each with the name of its class.
    #[must_use]
    pub fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = [
            ("1xx", &self.switched),
            ("2xx", &self.done),
            ("3xx", &self.redirected),
            ("4xx", &self.refused),
            ("5xx", &self.failed),
            ("none", &self.unanswered),
        ];
        let read = |(class, count): (_, &AtomicU64)| (class, count.load(Ordering::Relaxed));
        counts.map(read).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_counts_once_in_the_class_of_its_status() {
        let counts = RequestCounts::default();
        let statuses = [101, 200, 204, 303, 403, 404, 429, 502];
        for status in statuses.map(Some).into_iter().chain([None]) {
            counts.note(status);
        }
        let expected = [
            ("1xx", 1),
            ("2xx", 2),
            ("3xx", 1),
            ("4xx", 3),
            ("5xx", 1),
            ("none", 1),
        ];
        assert_eq!(counts.counts(), expected);
    }
}

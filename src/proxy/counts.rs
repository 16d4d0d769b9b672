//! Counts what the edge sees: requests by virtual host, protection and class of status, how long they took, and
//! connections that came to none.
//!
//! Nothing here takes a lock on a request: a route holds the counts that its requests belong to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Mutex;

use crate::decision::policy::Access;
use crate::logbook::access::Decision;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::metrics::EdgeSnapshot;
use crate::telemetry::metrics::HostSnapshot;

/// Counts requests and connections.
#[derive(Debug, Default)]
pub struct RequestCounts {
    /// Requests that no route took.
    unrouted: StatusCounts,
    /// The others, by virtual host and protection.
    routed: Mutex<BTreeMap<(String, &'static str), Arc<StatusCounts>>>,
    duration: Histogram,
    cut: AtomicU64,
    in_maintenance: AtomicU64,
    /// Bodies that had to wait, going down and coming up.
    delayed: [AtomicU64; 2],
    /// Requests beyond what a client may take, one place for each of [`LIMITS`].
    limited: [AtomicU64; LIMITS.len()],
    malformed: AtomicU64,
    header_late: AtomicU64,
    handshakes: AtomicU64,
    handshakes_failed: AtomicU64,
    connections: AtomicU64,
    connections_refused: AtomicU64,
    open: AtomicUsize,
}

/// Counts requests that are over, by the class of their status.
#[derive(Debug, Default)]
pub struct StatusCounts([AtomicU64; CLASSES.len()]);

/// What a client takes too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Limit {
    /// Bodies of an address that wait.
    BandwidthPerAddress,
    /// Bodies of a user that wait.
    BandwidthPerUser,
    /// Requests of an address at the same time.
    ConcurrentPerAddress,
    /// Requests of a user at the same time.
    ConcurrentPerUser,
    /// Requests of an address.
    RequestsPerAddress,
    /// Requests of a user.
    RequestsPerUser,
}

/// Which way a body goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Direction {
    /// To the client.
    Down,
    /// From the client.
    Up,
}

impl Limit {
    /// The word for it.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::BandwidthPerAddress => "bandwidth_per_address",
            Self::BandwidthPerUser => "bandwidth_per_user",
            Self::ConcurrentPerAddress => "concurrent_per_address",
            Self::ConcurrentPerUser => "concurrent_per_user",
            Self::RequestsPerAddress => "requests_per_address",
            Self::RequestsPerUser => "requests_per_user",
        }
    }
}

impl StatusCounts {
    /// Counts a request that is over; without a status nothing was answered.
    fn note(&self, status: Option<u16>) {
        let class = match status {
            Some(100..=199) => 0,
            Some(200..=299) => 1,
            Some(300..=399) => 2,
            Some(400..=499) => 3,
            Some(_) => 4,
            None => 5,
        };
        if let Some(count) = self.0.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(&self) -> Vec<(&'static str, u64)> {
        let counts = self.0.iter().map(read);
        CLASSES.into_iter().zip(counts).collect()
    }
}

impl RequestCounts {
    /// The counts of the requests to a virtual host that are protected alike. Further virtual hosts than
    /// [`HOSTS_MAX`] share one.
    pub(super) fn of(&self, host: &str, access: Access) -> Arc<StatusCounts> {
        let mut routed = self.routed.lock();
        let access = match access {
            Access::Excluded => "excluded",
            Access::Protected => "protected",
            Access::Unprotected => "unprotected",
        };
        let mut key = (host.to_owned(), access);
        if !routed.contains_key(&key) && routed.len() >= HOSTS_MAX {
            key = (OTHER_HOSTS.to_owned(), access);
        }
        Arc::clone(routed.entry(key).or_default())
    }

    /// Counts a request that is over.
    pub(super) fn note(&self, of: Option<&StatusCounts>, status: Option<u16>, took: Duration) {
        of.unwrap_or(&self.unrouted).note(status);
        self.duration.note(took);
    }

    /// Counts a request that was cut off half-way.
    pub(super) fn note_cut(&self) {
        self.cut.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request beyond what a client may take.
    pub(super) fn note_limit(&self, limit: Limit) {
        let index = LIMITS.iter().position(|known| *known == limit);
        if let Some(count) = index.and_then(|index| self.limited.get(index)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a request to a virtual host in maintenance.
    pub(super) fn note_maintenance(&self) {
        self.in_maintenance.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a body that has to wait for the bandwidth that its client may have.
    pub(super) fn note_delay(&self, direction: Direction) {
        let [down, up] = &self.delayed;
        let count = match direction {
            Direction::Down => down,
            Direction::Up => up,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection that came to no request that could be read.
    pub(super) fn note_unread(&self, why: Decision) {
        let count = match why {
            Decision::HandshakeFailed => &self.handshakes_failed,
            Decision::HeaderLate => &self.header_late,
            Decision::Allow
            | Decision::Deny
            | Decision::Limit
            | Decision::LogIn
            | Decision::Maintenance
            | Decision::Malformed
            | Decision::Own
            | Decision::Refuse => &self.malformed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a handshake that came to TLS.
    pub(super) fn note_handshake(&self) {
        self.handshakes.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection, as open until what is returned is dropped.
    pub(super) fn note_connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Counts a connection that was closed at once because there were too many.
    pub(super) fn note_too_many(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    #[must_use]
    pub fn snapshot(&self) -> EdgeSnapshot {
        let mut requests = self.unrouted.counts();
        let mut hosts = Vec::new();
        for ((host, access), counts) in self.routed.lock().iter() {
            let counts = counts.counts();
            for ((_, total), (_, count)) in requests.iter_mut().zip(&counts) {
                *total += count;
            }
            hosts.push(HostSnapshot {
                host: host.clone(),
                access,
                requests: counts,
            });
        }
        EdgeSnapshot {
            requests,
            hosts,
            duration: self.duration.snapshot(),
            unread: vec![
                ("header_late", read(&self.header_late)),
                ("malformed", read(&self.malformed)),
            ],
            cut: read(&self.cut),
            in_maintenance: read(&self.in_maintenance),
            delayed: ["download", "upload"]
                .into_iter()
                .zip(self.delayed.iter().map(read))
                .collect(),
            limited: LIMITS
                .iter()
                .map(|limit| limit.as_str())
                .zip(self.limited.iter().map(read))
                .collect(),
            handshakes: vec![
                ("done", read(&self.handshakes)),
                ("failed", read(&self.handshakes_failed)),
            ],
            connections: vec![
                ("accepted", read(&self.connections)),
                ("too_many", read(&self.connections_refused)),
            ],
            open: self.open.load(Ordering::Relaxed),
        }
    }
}

/// A connection that is open.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<RequestCounts>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

const LIMITS: [Limit; 6] = [
    Limit::BandwidthPerAddress,
    Limit::BandwidthPerUser,
    Limit::ConcurrentPerAddress,
    Limit::ConcurrentPerUser,
    Limit::RequestsPerAddress,
    Limit::RequestsPerUser,
];
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];
/// Virtual hosts, each with its kinds of protection, that are counted apart.
const HOSTS_MAX: usize = 1000;
const OTHER_HOSTS: &str = "(other)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_counts_once_in_the_class_of_its_status() {
        let counts = RequestCounts::default();
        let statuses = [101, 200, 204, 303, 403, 404, 429, 502];
        let of = counts.of("app.test", Access::Protected);
        for status in statuses.map(Some).into_iter().chain([None]) {
            counts.note(Some(&of), status, Duration::ZERO);
        }
        counts.note(None, Some(404), Duration::ZERO);
        let seen = counts.snapshot();
        let expected = [
            ("1xx", 1),
            ("2xx", 2),
            ("3xx", 1),
            ("4xx", 4),
            ("5xx", 1),
            ("none", 1),
        ];
        assert_eq!(seen.requests, expected);
        assert_eq!(seen.duration.count, 10);
        let [host] = seen.hosts.as_slice() else {
            panic!("one host: {:?}", seen.hosts)
        };
        assert_eq!((host.host.as_str(), host.access), ("app.test", "protected"));
        assert_eq!(host.requests[3], ("4xx", 3));
    }

    #[test]
    fn virtual_hosts_beyond_measure_are_counted_together() {
        let counts = RequestCounts::default();
        for number in 0..HOSTS_MAX + 5 {
            let of = counts.of(&format!("host{number}.test"), Access::Excluded);
            counts.note(Some(&of), Some(200), Duration::ZERO);
        }
        let seen = counts.snapshot();
        assert_eq!(seen.hosts.len(), HOSTS_MAX + 1);
        let other = seen
            .hosts
            .iter()
            .find(|host| host.host == OTHER_HOSTS)
            .unwrap();
        assert_eq!(other.requests[1], ("2xx", 5));
    }
}

//! What the back-channel can tell about itself: connections, circuits, and counts of questions.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

pub use crate::backchannel::circuit::CircuitState;
use crate::model::name::ClusterId;
use crate::model::peer::Silence;

/// A peer, as seen from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The data centre.
    pub cluster: ClusterId,
    /// The line to it.
    pub line: LineStatus,
    /// What it asked of this node.
    pub served: ServedCounts,
}

/// A line, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineStatus {
    /// Its addresses, primaries first.
    pub addresses: Vec<AddressStatus>,
    /// Whether questions are sent at all.
    pub circuit: CircuitState,
    /// Questions under way.
    pub under_way: usize,
    /// What has become of the questions so far.
    pub asked: AskedCounts,
}

/// An address, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressStatus {
    /// Host and port.
    pub authority: String,
    /// Its tier.
    pub tier: Tier,
    /// Whether a connection is open, proven at both ends.
    pub connected: bool,
}

/// A tier of addresses (MDC-TOPO-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Asked first.
    Primary,
    /// Asked when too few primaries are well.
    Secondary,
}

/// What became of questions to a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedCounts {
    /// Answered.
    pub answered: u64,
    /// No address could be reached, or the connection broke.
    pub unreachable: u64,
    /// No answer in time.
    pub timed_out: u64,
    /// Not sent, because the circuit was open.
    pub circuit_open: u64,
    /// Not sent, or turned away, because too many were under way.
    pub busy: u64,
    /// The other end would not speak with us.
    pub protocol: u64,
}

impl AskedCounts {
    /// Every question that was put.
    #[must_use]
    pub const fn asked(&self) -> u64 {
        self.answered + self.silent()
    }

    /// Each count with its name.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("answered", self.answered),
            ("busy", self.busy),
            ("circuit_open", self.circuit_open),
            ("protocol", self.protocol),
            ("timed_out", self.timed_out),
            ("unreachable", self.unreachable),
        ]
    }

    /// Every question that got no answer.
    #[must_use]
    pub const fn silent(&self) -> u64 {
        self.unreachable + self.timed_out + self.circuit_open + self.busy + self.protocol
    }
}

/// What a peer asked of this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServedCounts {
    /// Questions that were answered.
    pub answered: u64,
    /// Questions that were turned away.
    pub turned_away: u64,
}

impl ServedCounts {
    /// Each count with its name.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("answered", self.answered),
            ("turned_away", self.turned_away),
        ]
    }
}

/// Counts what becomes of questions.
#[derive(Debug, Default)]
pub(super) struct Asked {
    answered: AtomicU64,
    unreachable: AtomicU64,
    timed_out: AtomicU64,
    circuit_open: AtomicU64,
    busy: AtomicU64,
    protocol: AtomicU64,
}

impl Asked {
    /// Counts one question.
    pub(super) fn note(&self, silence: Option<Silence>) {
        let count = match silence {
            None => &self.answered,
            Some(Silence::Unreachable) => &self.unreachable,
            Some(Silence::TimedOut) => &self.timed_out,
            Some(Silence::CircuitOpen) => &self.circuit_open,
            Some(Silence::Busy) => &self.busy,
            Some(Silence::Protocol) => &self.protocol,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far.
    pub(super) fn counts(&self) -> AskedCounts {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        AskedCounts {
            answered: read(&self.answered),
            unreachable: read(&self.unreachable),
            timed_out: read(&self.timed_out),
            circuit_open: read(&self.circuit_open),
            busy: read(&self.busy),
            protocol: read(&self.protocol),
        }
    }
}

/// Counts what callers ask.
#[derive(Debug, Default)]
pub(super) struct Served {
    pub(super) answered: AtomicU64,
    pub(super) turned_away: AtomicU64,
}

impl Served {
    /// The counts so far.
    pub(super) fn counts(&self) -> ServedCounts {
        ServedCounts {
            answered: self.answered.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
        }
    }
}

//! How far the clock of a peer is off (S-22, MDC-TIME-2).
//!
//! Each hello measures it. What is refused beyond the hard limit is the engine's matter; ends never are.

use std::time::Duration;

use crate::model::time::Timestamp;

/// One hello there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundTrip {
    /// When it was sent, by this clock.
    pub sent: Timestamp,
    /// When the answer came, by this clock.
    pub received: Timestamp,
    /// What the peer's clock said in between.
    pub theirs: Timestamp,
}

/// How far another clock is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// By how much.
    pub size: Duration,
    /// To which side.
    pub side: Side,
}

/// To which side a clock is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// It is ahead of this one.
    Ahead,
    /// It is behind this one.
    Behind,
}

/// What the offset of a peer's clock means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skew {
    /// Nothing is said of it.
    Within,
    /// It is said aloud, and sessions move all the same.
    Allowed,
    /// Nothing is adopted from that peer, or by it; ends count all the same.
    Beyond,
}

impl RoundTrip {
    /// The offset against the middle of the round trip; none where this clock was set back meanwhile, so
    /// that nothing was measured.
    #[must_use]
    pub fn offset(&self) -> Option<Offset> {
        if self.received < self.sent {
            return None;
        }
        let middle = self.sent.after(self.received.since(self.sent) / 2);
        Some(if self.theirs >= middle {
            Offset {
                size: self.theirs.since(middle),
                side: Side::Ahead,
            }
        } else {
            Offset {
                size: middle.since(self.theirs),
                side: Side::Behind,
            }
        })
    }
}

impl Offset {
    /// The offset in seconds, less than zero where the other clock is behind.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        match self.side {
            Side::Ahead => self.size.as_secs_f64(),
            Side::Behind => -self.size.as_secs_f64(),
        }
    }

    /// Judges the offset by the configured limits; up to and with the limit itself it is kept.
    #[must_use]
    pub fn judge(&self, allowance: Duration, hard: Duration) -> Skew {
        if self.size > hard {
            Skew::Beyond
        } else if self.size > allowance {
            Skew::Allowed
        } else {
            Skew::Within
        }
    }
}

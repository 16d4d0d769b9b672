//! How many lines of one kind are written: whoever sends garbage must not be able to fill the disk.
//!
//! What is left out is counted, and told with the next line of its kind.

use crate::logbook::event::EventKind;
use crate::model::time::Timestamp;

/// How many lines of one kind may still be written.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    kind: EventKind,
    /// Thousandths of lines that are left.
    left: u64,
    filled: Timestamp,
    suppressed: u64,
}

impl Allowance {
    /// A full allowance.
    #[must_use]
    pub fn new(kind: EventKind, now: Timestamp) -> Self {
        let burst = rate(kind).map_or(0, |rate| rate.burst);
        Self {
            kind,
            left: burst * LINE,
            filled: now,
            suppressed: 0,
        }
    }

    /// Takes a line out of it: how many were left out before this one, or nothing if it is left out too.
    pub fn take(&mut self, now: Timestamp) -> Option<u64> {
        let Some(rate) = rate(self.kind) else {
            return Some(0);
        };
        let passed = now.as_millis().saturating_sub(self.filled.as_millis());
        let filled = self
            .left
            .saturating_add(passed.saturating_mul(rate.a_second));
        self.left = filled.min(rate.burst * LINE);
        self.filled = now;
        if self.left < LINE {
            self.suppressed += 1;
            return None;
        }
        self.left -= LINE;
        Some(std::mem::take(&mut self.suppressed))
    }
}

struct Rate {
    /// Lines at once.
    burst: u64,
    /// Lines a second after that.
    a_second: u64,
}

/// What anybody can bring about is bounded, most of all what needs no account: that shares its bound with nothing
/// that does, or strangers could keep out of the trail what users are denied.
const fn rate(kind: EventKind) -> Option<Rate> {
    match kind {
        EventKind::Barred
        | EventKind::CookieMismatched
        | EventKind::CookieNotOpened
        | EventKind::CookieStrayed => Some(Rate {
            burst: 60,
            a_second: 1,
        }),
        EventKind::Denied | EventKind::SignInRefused => Some(Rate {
            burst: 1000,
            a_second: 20,
        }),
        EventKind::CommandGiven
        | EventKind::ConfigurationLoaded
        | EventKind::ConfigurationRefused
        | EventKind::HandedOver
        | EventKind::KeysChanged
        | EventKind::LinesLost
        | EventKind::PasswordChanged
        | EventKind::SessionAdopted
        | EventKind::SessionEnded
        | EventKind::SignedIn
        | EventKind::SignedOut
        | EventKind::Started
        | EventKind::Stopped
        | EventKind::TrailCut
        | EventKind::TrailRepaired
        | EventKind::UserCutOff
        | EventKind::UsersChanged => None,
    }
}

const LINE: u64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_garbage_is_written_in_part_and_counted_as_a_whole_mdc_cookie_6() {
        let second = |n: u64| Timestamp::from_millis(n * 1000);
        let mut allowance = Allowance::new(EventKind::CookieNotOpened, second(0));
        let written = (0..1000).filter(|_| allowance.take(second(0)).is_some());
        assert_eq!(written.count(), 60);
        assert_eq!(allowance.take(second(1)), Some(940));
        assert_eq!(allowance.take(second(1)), None);
        assert_eq!(allowance.take(second(10_000)), Some(1));
        // A clock that was set back gives nothing and takes nothing.
        assert_eq!(allowance.take(second(1)), Some(0));
    }

    #[test]
    fn what_is_barred_is_bounded_as_garbage_is_since_strangers_can_have_it_written() {
        let now = Timestamp::from_millis(0);
        let mut allowance = Allowance::new(EventKind::Barred, now);
        let written = (0..1000).filter(|_| allowance.take(now).is_some());
        assert_eq!(written.count(), 60);
    }

    #[test]
    fn what_only_operators_bring_about_is_always_written() {
        let now = Timestamp::from_millis(0);
        let mut allowance = Allowance::new(EventKind::UsersChanged, now);
        assert!((0..10_000).all(|_| allowance.take(now) == Some(0)));
    }
}

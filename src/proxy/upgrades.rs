//! Redirects from http to https that go in circles (D-10): something in front ends TLS and does not say so, and
//! every request that was sent to https comes back by http. No cookie travels by http, so it is noticed by
//! address.
//!
//! A browser follows some twenty redirects in a row; whoever asks less often is no circle.

use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;
use pingora::http::RequestHeader;
use sha2::Digest;
use sha2::Sha256;

use crate::decision::forwarded::Origin;
use crate::decision::throttle::table::Place;
use crate::decision::throttle::table::Table;
use crate::gate::challenge::Asker;
use crate::model::name::HostName;
use crate::model::network::Network;
use crate::model::time::Timestamp;
use crate::proxy::inbound;
use crate::proxy::inbound::Inbound;
use crate::proxy::journey::Step;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;

/// Counts redirects to https.
#[derive(Debug)]
pub struct Upgrades {
    seed: [u8; 16],
    counts: Mutex<Table>,
}

/// Whether a redirect leads anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// It has been tried again and again.
    Circles,
    /// It does, as far as is known.
    Leads,
}

impl Serving {
    /// Leads a plain request to https, or tells that it goes in circles.
    pub(super) fn to_https(&self, inbound: &Inbound, from: &Origin, head: &RequestHeader) -> Step {
        let origins = &self.gate.origins;
        let is_collector = origins.collector_host() == Some(&inbound.host);
        let own = origins.of(&inbound.host);
        let origin = if is_collector {
            origins.collector()
        } else {
            own
        };
        let target = head
            .uri
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let Some(origin) = origin else {
            return Step::Refuse(Refusal::Misdirected);
        };
        if inbound::asker(&head.method, &head.headers) == Asker::Navigation {
            let now = self.clock.now();
            let upgrades = &self.upgrades;
            if upgrades.note(from.client, &inbound.host, target, now) == Upgrade::Circles {
                return Step::Refuse(Refusal::Circling);
            }
        }
        Step::Move(format!("{origin}{target}"))
    }
}

impl Upgrades {
    /// Begins with none. The seed is secret and random.
    #[must_use]
    pub fn new(seed: [u8; 16]) -> Self {
        let counts = Mutex::new(Table::new(REMEMBERED, APART));
        Self { seed, counts }
    }

    /// Counts one more for the same address and target.
    pub(super) fn note(
        &self,
        client: IpAddr,
        host: &HostName,
        target: &str,
        now: Timestamp,
    ) -> Upgrade {
        let network = Network::of(client).to_string();
        let mut hash = Sha256::new_with_prefix(self.seed);
        for part in [network.as_str(), host.as_str(), target] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let place = Place::of(&hash.finalize().into());
        let mut counts = self.counts.lock();
        counts.count(place, now);
        let counted = counts.find(place, now);
        if counted.is_some_and(|entry| entry.attempts >= ROUNDS_MAX) {
            Upgrade::Circles
        } else {
            Upgrade::Leads
        }
    }
}

/// Rounds after which it is one.
const ROUNDS_MAX: u16 = 10;
/// Rounds of a circle are not further apart.
const APART: Duration = Duration::from_secs(2);
/// Addresses and targets remembered.
const REMEMBERED: usize = 4096;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn circles(apart: Duration, target: impl Fn(u64) -> String) -> bool {
        let upgrades = Upgrades::new([1; 16]);
        let host = HostName::parse("app.test").unwrap();
        let mut now = NOW;
        (0..20).any(|round| {
            now = now.after(apart);
            upgrades.note(HOME, &host, &target(round), now) == Upgrade::Circles
        })
    }

    #[test]
    fn the_same_redirect_again_and_again_is_a_circle_d_10() {
        assert!(circles(Duration::from_millis(100), |_| "/".to_owned()));
    }

    #[test]
    fn one_that_is_asked_for_now_and_then_or_for_many_pages_is_none_d_10() {
        assert!(!circles(Duration::from_secs(5), |_| "/".to_owned()));
        assert!(!circles(Duration::from_millis(100), |round| format!(
            "/{round}"
        )));
    }
}

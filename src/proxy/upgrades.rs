//! Redirects from http to https that go in circles (D-10): something in front ends TLS and does not say so, and
//! every request that was sent to https comes back by http. No cookie travels by http, so it is noticed by
//! address, browser and target.
//!
//! A browser follows some twenty redirects in a row; whoever asks less often is no circle. Many people may share an
//! address, so a redirect that led to https is taken back, and a circle that was told of begins anew.

use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::header;
use parking_lot::Mutex;
use pingora::http::RequestHeader;

use crate::decision::forwarded::Scheme;
use crate::decision::throttle::table::Memory;
use crate::decision::throttle::table::Place;
use crate::decision::throttle::table::Table;
use crate::gate::challenge::Asker;
use crate::model::name::HostName;
use crate::model::network::Network;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::proxy::arrival::Arrived;
use crate::proxy::inbound;
use crate::proxy::refusal::Refusal;
use crate::proxy::serving::Serving;
use crate::proxy::step::Step;

/// Counts redirects to https.
#[derive(Debug)]
pub struct Upgrades {
    seed: [u8; 16],
    counts: Mutex<Table>,
    /// Until when something may be counted, in milliseconds; so that requests that came by https look at nothing
    /// else where nobody comes by http.
    counted_until: AtomicU64,
}

/// Whether a redirect leads anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    /// It has been tried again and again.
    Circles,
    /// It does, as far as is known.
    Leads,
}

impl Serving {
    /// Leads a plain request to https, or tells that it goes in circles.
    pub(super) fn to_https(&self, arrived: &Arrived, head: &RequestHeader) -> Step {
        let origins = &self.gate.origins;
        let is_collector = origins.collector_host() == Some(&arrived.host);
        let own = origins.of(&arrived.host);
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
            let hop = Hop::new(arrived.origin.client, &arrived.host, head);
            if self.upgrades.note(&hop, self.clock.now()) == Upgrade::Circles {
                return Step::Refuse(Refusal::Circling);
            }
        }
        Step::Move(format!("{origin}{target}"))
    }

    /// Takes a redirect to https back that has led to what is asked for now.
    pub(super) fn has_arrived(&self, arrived: &Arrived, head: &RequestHeader) {
        if arrived.origin.scheme == Scheme::Https
            && self.upgrades.has_counted(self.clock.as_ref())
            && inbound::asker(&head.method, &head.headers) == Asker::Navigation
        {
            let hop = Hop::new(arrived.origin.client, &arrived.host, head);
            self.upgrades.led(&hop);
        }
    }
}

impl Upgrades {
    /// Begins with none. The seed is secret and random.
    #[must_use]
    pub fn new(seed: [u8; 16]) -> Self {
        let counts = Mutex::new(Table::new(REMEMBERED, MEMORY));
        Self {
            seed,
            counts,
            counted_until: AtomicU64::new(0),
        }
    }

    /// Counts one more.
    fn note(&self, hop: &Hop<'_>, now: Timestamp) -> Upgrade {
        let place = self.place(hop);
        let mut counts = self.counts.lock();
        counts.count(place, now);
        self.counted_until
            .store(now.after(APART).as_millis(), Ordering::Relaxed);
        let counted = counts.find(place, now);
        if counted.is_some_and(|entry| entry.attempts >= ROUNDS_MAX) {
            counts.forget(place);
            Upgrade::Circles
        } else {
            Upgrade::Leads
        }
    }

    /// Whether something may be counted.
    fn has_counted(&self, clock: &dyn Clock) -> bool {
        let until = self.counted_until.load(Ordering::Relaxed);
        until != 0 && until >= clock.now().as_millis()
    }

    /// Takes one back: what was asked for has arrived by https.
    fn led(&self, hop: &Hop<'_>) {
        let place = self.place(hop);
        self.counts.lock().take_back(place);
    }

    fn place(&self, hop: &Hop<'_>) -> Place {
        let network = Network::of(hop.client).to_string();
        let parts = [
            network.as_bytes(),
            hop.host.as_str().as_bytes(),
            hop.target.as_bytes(),
            hop.browser,
        ];
        Place::of(&self.seed, &parts)
    }
}

/// A request that is led to https, or has arrived there.
#[derive(Clone, Copy, Debug)]
struct Hop<'a> {
    /// Where it comes from.
    client: IpAddr,
    /// The host asked for.
    host: &'a HostName,
    /// Path and query.
    target: &'a str,
    /// What the browser calls itself.
    browser: &'a [u8],
}

impl<'a> Hop<'a> {
    /// That of a request.
    fn new(client: IpAddr, host: &'a HostName, head: &'a RequestHeader) -> Self {
        let target = head.uri.path_and_query();
        let browser = head.headers.get(header::USER_AGENT);
        Self {
            client,
            host,
            target: target.map_or("/", |target| target.as_str()),
            browser: browser.map_or(&[], |browser| browser.as_bytes()),
        }
    }
}

/// Rounds after which it is one.
const ROUNDS_MAX: u16 = 10;
/// Rounds of a circle are not further apart.
const APART: Duration = Duration::from_secs(2);
/// They count while they go on.
const MEMORY: Memory = Memory {
    each: Duration::MAX,
    all: APART,
};
/// Addresses and targets remembered.
const REMEMBERED: usize = 4096;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn head(target: &str, browser: &str) -> RequestHeader {
        let mut head = RequestHeader::build("GET", target.as_bytes(), None).unwrap();
        head.insert_header(header::USER_AGENT, browser).unwrap();
        head
    }

    /// How many of twenty requests are told to be a circle, each `apart` from the one before.
    fn circles(apart: Duration, request: impl Fn(u64) -> RequestHeader) -> usize {
        let upgrades = Upgrades::new([1; 16]);
        let host = HostName::parse("app.test").unwrap();
        let mut now = NOW;
        let rounds = (0..20).map(request).map(|head| {
            now = now.after(apart);
            upgrades.note(&Hop::new(HOME, &host, &head), now)
        });
        rounds.filter(|it| *it == Upgrade::Circles).count()
    }

    const SOON: Duration = Duration::from_millis(100);

    #[test]
    fn the_same_redirect_again_and_again_is_a_circle_and_told_once_per_circle_d_10() {
        assert_eq!(circles(SOON, |_| head("/", "one")), 2);
    }

    #[test]
    fn one_that_is_asked_for_now_and_then_or_for_many_pages_or_by_many_browsers_is_none_d_10() {
        assert_eq!(circles(Duration::from_secs(5), |_| head("/", "one")), 0);
        assert_eq!(circles(SOON, |round| head(&format!("/{round}"), "one")), 0);
        assert_eq!(circles(SOON, |round| head("/", &format!("{round}"))), 0);
    }

    #[test]
    fn people_at_one_address_who_arrive_by_https_are_no_circle_d_10() {
        let upgrades = Upgrades::new([1; 16]);
        let host = HostName::parse("app.test").unwrap();
        let head = head("/", "one");
        let hop = Hop::new(HOME, &host, &head);
        for _ in 0..100 {
            assert_eq!(upgrades.note(&hop, NOW), Upgrade::Leads);
            upgrades.led(&hop);
        }
    }
}

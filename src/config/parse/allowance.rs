//! `limits` of virtual hosts and routes: what each client may take of them.

use std::time::Duration;

use ipnet::IpNet;

use crate::config::allowance::Allowance;
use crate::config::allowance::Bandwidth;
use crate::config::allowance::PerClient;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::decision::policy::Access;
use crate::decision::rate::ByteRate;
use crate::decision::rate::RequestRate;

impl Reading<'_> {
    /// The allowance of a virtual host or route. Where users are never known, none can be for them.
    pub(super) fn allowance(&mut self, section: &Section<'_>, access: Option<Access>) -> Allowance {
        let section = section.get("limits");
        let section = section.and_then(|found| self.section(found, KEYS));
        let Some(section) = section else {
            return Allowance::default();
        };
        Allowance {
            concurrent: self.per_client(&section, "concurrent", access, |this, found| {
                this.count(found, 1..=CONCURRENT_MAX)
            }),
            requests: self.per_client(&section, "requests", access, Self::request_rate),
            download: self.bandwidth(&section, "download", access),
            upload: self.bandwidth(&section, "upload", access),
            except: self.or(&section, "except", Vec::new(), Self::networks),
        }
    }

    fn per_client<T>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        access: Option<Access>,
        read: impl Fn(&mut Self, &Found<'_>) -> Option<T>,
    ) -> PerClient<T> {
        let section = section.get(key);
        let section = section.and_then(|found| self.section(found, PER_CLIENT_KEYS));
        let Some(section) = section else {
            return PerClient::default();
        };
        self.known_users(&section, access);
        PerClient {
            address: section
                .get("per_address")
                .and_then(|found| read(self, found)),
            user: section.get("per_user").and_then(|found| read(self, found)),
        }
    }

    fn bandwidth(&mut self, section: &Section<'_>, key: &str, access: Option<Access>) -> Bandwidth {
        let section = section.get(key);
        let section = section.and_then(|found| self.section(found, BANDWIDTH_KEYS));
        let Some(section) = section else {
            return Bandwidth::default();
        };
        self.known_users(&section, access);
        let mut rate = |key| {
            let found = section.get(key)?;
            self.byte_rate(found)
        };
        Bandwidth {
            request: rate("per_request"),
            client: PerClient {
                address: rate("per_address"),
                user: rate("per_user"),
            },
        }
    }

    /// A size, meant for a second.
    fn byte_rate(&mut self, found: &Found<'_>) -> Option<ByteRate> {
        let shown = ("a size of at least 16KiB for each second", "1MiB");
        let bytes = self.size_within(found, BYTES_MIN..=u64::MAX, shown)?;
        Some(ByteRate::new(bytes))
    }

    fn known_users(&mut self, section: &Section<'_>, access: Option<Access>) {
        if access == Some(Access::Excluded)
            && let Some(found) = section.get("per_user")
        {
            let (key, place) = ("per_user", "an excluded route");
            self.fault_at_key(found, Problem::NoEffect { key, place });
        }
    }

    /// A rate alone, or with what may come at once.
    fn request_rate(&mut self, found: &Found<'_>) -> Option<RequestRate> {
        let section = if found.is_map() {
            Some(self.section(found, RATE_KEYS)?)
        } else {
            None
        };
        let (rate, burst) = match &section {
            None => (Some(found), None),
            Some(section) => (self.required(section, "rate"), section.get("burst")),
        };
        let rate = rate.and_then(|found| self.shaped(found, A_RATE, rate_of));
        let burst = match burst {
            Some(found) => Some(self.number(found, 1..=BURST_MAX)?),
            None => None,
        };
        let (count, per) = rate?;
        let second = u64::from(count).div_ceil(per.as_secs().max(1));
        let second = u32::try_from(second).unwrap_or(BURST_MAX);
        Some(RequestRate::new(count, per, burst.unwrap_or(second)))
    }

    pub(super) fn networks(&mut self, found: &Found<'_>) -> Option<Vec<IpNet>> {
        let items = self.some_list(found)?;
        self.each(&items, Self::network)
    }
}

/// `10/s`: how many, and in which time.
fn rate_of(text: &str) -> Option<(u32, Duration)> {
    let (count, unit) = text.split_once('/')?;
    let (_, per) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count: u32 = count.parse().ok().filter(|_| is_number)?;
    (1..=COUNT_MAX).contains(&count).then_some((count, *per))
}

pub(super) const KEYS: &[&str] = &["concurrent", "download", "except", "requests", "upload"];
pub(super) const PER_CLIENT_KEYS: &[&str] = &["per_address", "per_user"];
pub(super) const BANDWIDTH_KEYS: &[&str] = &["per_address", "per_request", "per_user"];
pub(super) const RATE_KEYS: &[&str] = &["burst", "rate"];

const A_RATE: (&str, &str) = ("a rate of requests", "600/m");
const UNITS: &[(&str, Duration)] = &[
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_mins(1)),
    ("h", Duration::from_hours(1)),
];
const COUNT_MAX: u32 = 1_000_000;
/// Bodies come in pieces of up to 64 KiB, a few of them at a time: slower ones would stand still for too long.
const BYTES_MIN: u64 = 16 << 10;
const CONCURRENT_MAX: u32 = 1_000_000;
const BURST_MAX: u32 = 1_000_000;

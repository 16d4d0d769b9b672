//! `health_check` and `timeouts`: how upstreams are watched, and how long they may take.
//!
//! When an upstream counts as healthy is `decision::upstream`.

use std::sync::Arc;
use std::time::Duration;

use crate::config::HealthCheck;
use crate::config::Pool;
use crate::config::Probe;
use crate::config::Timeouts;
use crate::config::UpstreamTls;
use crate::config::parse::pool::VERIFIED;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::scalar::short;
use crate::config::problem::Problem;
use crate::decision::upstream::OutlierTerms;
use crate::model::name::HostName;

impl Reading<'_> {
    /// A health check of a pool that is spoken to by this TLS, or in plain.
    pub(super) fn health_check(
        &mut self,
        found: &Found<'_>,
        tls: Option<UpstreamTls>,
    ) -> Option<HealthCheck> {
        let section = self.section(found, HEALTH_CHECK_KEYS)?;
        let mut check = HealthCheck {
            probe: Probe::Tcp,
            port: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_after: 2,
            unhealthy_after: 3,
        };
        self.set(&section, "interval", &mut check.interval, Self::duration);
        self.set(&section, "timeout", &mut check.timeout, Self::duration);
        let few = 1..=1000;
        self.set(
            &section,
            "healthy_after",
            &mut check.healthy_after,
            |this, found| this.number(found, few.clone()),
        );
        self.set(
            &section,
            "unhealthy_after",
            &mut check.unhealthy_after,
            |this, found| this.number(found, few.clone()),
        );
        if check.timeout >= check.interval {
            let place = section.first_of(&["timeout", "interval"]);
            let place = place.map_or(&section.found, |(_, found)| found);
            self.fault(place, Problem::HealthCheckTimeout);
        }
        self.set(&section, "port", &mut check.port, |this, found| {
            this.number(found, 1..=u16::MAX).map(Some)
        });
        check.probe = self.probe(&section, tls)?;
        Some(check)
    }

    fn probe(&mut self, section: &Section<'_>, tls: Option<UpstreamTls>) -> Option<Probe> {
        let written = PROBES
            .iter()
            .filter_map(|key| Some((*key, section.get(key)?)));
        let written: Vec<_> = written.collect();
        let [(kind, found)] = written.as_slice() else {
            self.fault(&section.found, Problem::MissingOneOf(PROBES));
            return None;
        };
        match *kind {
            "grpc" => self.grpc_probe(found),
            "http" => self.http_probe(found),
            "tcp" => {
                self.only_true(found);
                Some(Probe::Tcp)
            }
            _ if found.is_map() => {
                let own = self.upstream_tls(found)?;
                Some(Probe::Tls(Box::new(own)))
            }
            _ => {
                self.only_true(found);
                Some(Probe::Tls(Box::new(tls.unwrap_or(VERIFIED))))
            }
        }
    }

    fn grpc_probe(&mut self, found: &Found<'_>) -> Option<Probe> {
        let section = self.section(found, GRPC_KEYS)?;
        let host = section.get("host");
        let host = host.map(|found| self.name(found, "a host name", HostName::parse));
        let service = section.get("service").map(|found| {
            self.shaped(
                found,
                ("the name of a gRPC service", "shop.v1.Orders"),
                |text| {
                    let is_name = text.bytes().all(|byte| byte.is_ascii_graphic());
                    (is_name && text.len() <= SERVICE_MAX).then(|| text.to_owned())
                },
            )
        });
        Some(Probe::Grpc {
            service: service.unwrap_or_else(|| Some(String::new()))?,
            host: host.map_or(Some(None), |name| name.map(Some))?,
        })
    }

    fn http_probe(&mut self, found: &Found<'_>) -> Option<Probe> {
        let section = self.section(found, PROBE_KEYS)?;
        let status = self.or(&section, "status", STATUS, Self::status_range);
        let host = section.get("host");
        let host = host.map(|found| self.name(found, "a host name", HostName::parse));
        let body = section.get("body").map(|found| self.body_pattern(found));
        let path = self.required(&section, "path")?;
        let path = self.shaped(path, ("a path", "/health"), |text| {
            let visible = text
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'#');
            (text.starts_with('/') && visible).then(|| text.to_owned())
        });
        Some(Probe::Http {
            path: path?,
            host: host.map_or(Some(None), |name| name.map(Some))?,
            status,
            body: body.map_or(Some(None), |pattern| pattern.map(Some))?,
        })
    }

    fn status_range(&mut self, found: &Found<'_>) -> Option<(u16, u16)> {
        let text = self.text(found)?;
        let (low, high) = text.split_once('-').unwrap_or((&text, &text));
        let status = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code));
        let range = status(low)
            .zip(status(high))
            .filter(|(low, high): &(u16, u16)| low <= high);
        if range.is_none() {
            self.fault(found, Problem::StatusRange(short(&text)));
        }
        range
    }

    /// A span, or `none`.
    pub(super) fn span_or_none(&mut self, found: &Found<'_>) -> Option<Option<Duration>> {
        if self.text(found)? == "none" {
            return Some(None);
        }
        self.duration(found).map(Some)
    }

    /// When upstreams are ejected.
    pub(super) fn outliers(&mut self, found: &Found<'_>) -> Option<OutlierTerms> {
        let section = self.section(found, OUTLIER_KEYS)?;
        let mut terms = OUTLIERS;
        let many = 0..=100_000;
        for (key, count) in [
            ("consecutive_5xx", &mut terms.consecutive_5xx),
            ("consecutive_failures", &mut terms.consecutive_failures),
        ] {
            self.set(&section, key, count, |this, found| {
                this.number(found, many.clone())
            });
        }
        for (key, span) in [
            ("ejection", &mut terms.ejection),
            ("ejection_max", &mut terms.ejection_max),
            ("interval", &mut terms.interval),
        ] {
            self.set(&section, key, span, Self::duration);
        }
        self.set(
            &section,
            "ejected_percent_max",
            &mut terms.percent_max,
            |this, found| this.number(found, 1..=100),
        );
        if terms.ejection_max < terms.ejection {
            let place = section.first_of(&["ejection_max", "ejection"]);
            let place = place.map_or(&section.found, |(_, found)| found);
            let (key, than) = ("ejection_max", "ejection");
            self.fault(place, Problem::Shorter { key, than });
        }
        if terms.consecutive_5xx == 0 && terms.consecutive_failures == 0 {
            let place = "a pool with `consecutive_5xx: 0` and `consecutive_failures: 0`";
            let key = "outliers";
            self.fault_at_key(found, Problem::NoEffect { key, place });
        }
        Some(terms)
    }

    /// Time-outs, each with a default.
    pub(super) fn timeouts(&mut self, found: &Found<'_>, default: Timeouts) -> Option<Timeouts> {
        let section = self.section(found, TIMEOUT_KEYS)?;
        let mut timeouts = default;
        self.set(&section, "connect", &mut timeouts.connect, Self::duration);
        self.set(
            &section,
            "first_byte",
            &mut timeouts.first_byte,
            Self::duration,
        );
        self.set(
            &section,
            "read_idle",
            &mut timeouts.read_idle,
            Self::duration,
        );
        self.set(
            &section,
            "write_idle",
            &mut timeouts.write_idle,
            Self::duration,
        );
        self.set(&section, "total", &mut timeouts.total, Self::span_or_none);
        Some(timeouts)
    }

    /// The pool's time-outs with the route's own on top. Two pools must agree where the route is
    /// silent, because a route has one set for both.
    pub(super) fn route_timeouts(
        &mut self,
        section: &Section<'_>,
        (http, https): &(Arc<Pool>, Arc<Pool>),
    ) -> Option<Timeouts> {
        let written = section.get("timeouts");
        let over = |this: &mut Self, base: Timeouts| match written {
            Some(found) => this.timeouts(found, base),
            None => Some(base),
        };
        let timeouts = over(self, https.timeouts)?;
        let faults = self.faults.len();
        let other = over(self, http.timeouts)?;
        // The second reading finds the same faults again.
        self.faults.truncate(faults);
        if let Some(key) = difference(&timeouts, &other) {
            let place = section.get("pools").unwrap_or(&section.found);
            self.fault(place, Problem::PoolTimeouts(key));
        }
        Some(timeouts)
    }
}

/// The first time-out in which two sets differ.
fn difference(left: &Timeouts, right: &Timeouts) -> Option<&'static str> {
    let pairs = [
        ("connect", left.connect == right.connect),
        ("first_byte", left.first_byte == right.first_byte),
        ("read_idle", left.read_idle == right.read_idle),
        ("write_idle", left.write_idle == right.write_idle),
        ("total", left.total == right.total),
    ];
    pairs
        .into_iter()
        .find(|(_, same)| !same)
        .map(|(key, _)| key)
}

/// As Envoy has them.
const OUTLIERS: OutlierTerms = OutlierTerms {
    consecutive_5xx: 5,
    consecutive_failures: 5,
    ejection: Duration::from_secs(30),
    ejection_max: Duration::from_mins(5),
    interval: Duration::from_secs(10),
    percent_max: 10,
};
pub(super) const OUTLIER_KEYS: &[&str] = &[
    "consecutive_5xx",
    "consecutive_failures",
    "ejected_percent_max",
    "ejection",
    "ejection_max",
    "interval",
];
pub(super) const HEALTH_CHECK_KEYS: &[&str] = &[
    "grpc",
    "healthy_after",
    "http",
    "interval",
    "port",
    "tcp",
    "timeout",
    "tls",
    "unhealthy_after",
];
const PROBES: &[&str] = &["http", "tcp", "tls", "grpc"];
pub(super) const PROBE_KEYS: &[&str] = &["body", "host", "path", "status"];
pub(super) const GRPC_KEYS: &[&str] = &["host", "service"];
const SERVICE_MAX: usize = 1024;
pub(super) const TIMEOUT_KEYS: &[&str] =
    &["connect", "first_byte", "read_idle", "total", "write_idle"];
const STATUS: (u16, u16) = (200, 399);

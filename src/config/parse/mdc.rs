//! `mdc`: several data centres.
//!
//! The policy is `adoption`, who the others are is `peer`, what connections prove themselves with is
//! `back_channel`. Here stand the spans of time, how they fit together, and the listener.

use std::net::IpAddr;
use std::time::Duration;

use http::HeaderName;

use crate::config::Collector;
use crate::config::SessionSettings;
use crate::config::VirtualHost;
use crate::config::mdc::DataCentreMarks;
use crate::config::mdc::Mdc;
use crate::config::mdc::SkewLimits;
use crate::config::parse::CLUSTER_DEFAULT;
use crate::config::parse::listener::Listeners;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::parse::security::Given;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::problem::mdc::MdcProblem;
use crate::decision::adoption::AdoptionPolicy;
use crate::decision::adoption::Anchor;
use crate::decision::cookies::gito::Gito;
use crate::model::name::ClusterId;
use crate::model::name::HostName;

/// What the rest of the file says that several data centres depend on.
pub(super) struct Site<'c> {
    pub(super) cluster: Option<&'c ClusterId>,
    pub(super) session: &'c SessionSettings,
    pub(super) collector: Option<&'c Collector>,
    pub(super) virtual_hosts: &'c [VirtualHost],
    pub(super) listeners: &'c Listeners,
    pub(super) given: Given<'c>,
}

/// Spans of time that hold one another.
struct Spans {
    authn_lifetime: Duration,
    partition_lease: Duration,
    min_hold: Duration,
    reservation_lapse: Duration,
    pull_interval: Duration,
}

impl Reading<'_> {
    pub(super) fn mdc(&mut self, found: &Found<'_>, site: &Site<'_>) -> Option<Mdc> {
        let section = self.section(found, KEYS)?;
        if let Some(cluster) = site.cluster.filter(|id| id.as_str() == CLUSTER_DEFAULT) {
            let problem = MdcProblem::ClusterDefault(cluster.clone());
            self.fault_at_key(found, Problem::Mdc(problem));
        }
        let adoption = self.adoption(section.get("adoption"));
        let gito = self.gito(&section, site, &adoption);
        let spans = self.spans(&section, site.session, &adoption);
        let skew = self.skew(section.get("clock_skew"));
        let (adoptions_per_peer_max, adoptions_per_address_max) =
            self.adoption_limits(section.get("limits"));
        let marks = self.data_centre_marks(&section);
        let connections = self.connections(&section, site);
        let (gito, connections) = (gito?, connections?);
        Some(Mdc {
            adoption,
            gito,
            authn_lifetime: spans.authn_lifetime,
            partition_lease: spans.partition_lease,
            min_hold: spans.min_hold,
            reservation_lapse: spans.reservation_lapse,
            adoptions_per_peer_max,
            adoptions_per_address_max,
            pull_interval: spans.pull_interval,
            skew,
            marks,
            back_channel: connections.channel,
            peers: connections.peers,
            gates: connections.gates,
        })
    }

    /// The outer `None` is a fault.
    fn gito(
        &mut self,
        section: &Section<'_>,
        site: &Site<'_>,
        adoption: &AdoptionPolicy,
    ) -> Option<Option<Gito>> {
        let idle = site.session.idle_timeout;
        let default = idle
            .checked_div(10)
            .map_or(GRANULARITY, |tenth| tenth.min(GRANULARITY));
        let granularity = self.or(section, "gito_granularity", default, Self::duration_or_zero);
        if let Some(found) = section.get("gito_granularity") {
            if section.get("gito_domain").is_none() {
                self.advise_inert(found, "gito_granularity", "without `gito_domain`");
            }
            if granularity >= idle {
                self.mdc_fault(found, MdcProblem::GitoGranularity(idle));
            }
        }
        let Some(found) = section.get("gito_domain") else {
            self.check_anchor(section, adoption);
            return Some(None);
        };
        let domain = self.gito_domain(found, site)?;
        Some(Some(Gito {
            domain,
            granularity,
        }))
    }

    /// Without a cookie that every data centre sees, a session has no one holder (X-18, M-059).
    fn check_anchor(&mut self, section: &Section<'_>, adoption: &AdoptionPolicy) {
        let Some(found) = section.get("adoption") else {
            return;
        };
        if adoption.anchor == Anchor::Anchored {
            let place = found.value_of("anchor_session");
            self.mdc_fault(
                place.as_ref().unwrap_or(found),
                MdcProblem::AnchorWithoutGito,
            );
        }
    }

    /// A parent of the collector and of every virtual host, so that browsers take the cookie from each
    /// (M-024, MDC-COOKIE-4).
    fn gito_domain(&mut self, found: &Found<'_>, site: &Site<'_>) -> Option<HostName> {
        let domain = self.name(found, "a domain", HostName::parse)?;
        let is_address =
            domain.as_str().starts_with('[') || domain.as_str().parse::<IpAddr>().is_ok();
        if is_address || !domain.as_str().contains('.') {
            self.mdc_fault(found, MdcProblem::GitoDomain(domain.to_string()));
            return None;
        }
        if is_public_suffix(&domain) {
            let problem = MdcProblem::GitoDomainPublic(domain.to_string());
            self.mdc_fault(found, problem);
            return None;
        }
        let collector = site.collector.map(|collector| collector.host.to_string());
        let served = site.virtual_hosts.iter().flat_map(|host| &host.hosts);
        let outside: Vec<String> = collector
            .into_iter()
            .chain(served.map(ToString::to_string))
            .filter(|host| !is_below(host, &domain))
            .take(HOSTS_SHOWN_MAX)
            .collect();
        if outside.is_empty() {
            return Some(domain);
        }
        let problem = MdcProblem::GitoDomainParent {
            domain: domain.to_string(),
            hosts: outside,
        };
        self.mdc_fault(found, problem);
        None
    }

    fn spans(
        &mut self,
        section: &Section<'_>,
        session: &SessionSettings,
        adoption: &AdoptionPolicy,
    ) -> Spans {
        let idle = session.idle_timeout;
        let has_gito = section.get("gito_domain").is_some();
        // With the common cookie a gate knows when the session was used; without it the collector has to
        // see the user in time (MDC-COOKIE-3).
        let default = if has_gito {
            idle
        } else {
            idle.checked_div(2).unwrap_or(idle)
        };
        let mut spans = Spans {
            authn_lifetime: default,
            partition_lease: idle,
            min_hold: MIN_HOLD,
            reservation_lapse: RESERVATION_LAPSE,
            pull_interval: PULL_INTERVAL,
        };
        for (key, place) in [
            ("authn_lifetime", &mut spans.authn_lifetime),
            ("partition_lease", &mut spans.partition_lease),
            ("reservation_lapse", &mut spans.reservation_lapse),
        ] {
            self.set(section, key, place, Self::duration);
        }
        let tenth = spans.partition_lease.checked_div(10);
        spans.pull_interval = tenth.map_or(PULL_INTERVAL, |tenth| tenth.min(PULL_INTERVAL));
        self.set(
            section,
            "pull_interval",
            &mut spans.pull_interval,
            Self::duration,
        );
        self.set(
            section,
            "min_hold",
            &mut spans.min_hold,
            Self::duration_or_zero,
        );
        if let Some(found) = section.get("authn_lifetime") {
            if has_gito && spans.authn_lifetime > idle {
                self.mdc_fault(found, MdcProblem::AuthnLifetime(idle));
            } else if !has_gito && spans.authn_lifetime >= idle {
                self.mdc_fault(found, MdcProblem::AuthnLifetimeWithoutGito(idle));
            }
        }
        self.check_spans(section, &spans, session.lifetime, adoption.deadline());
        spans
    }

    fn check_spans(
        &mut self,
        section: &Section<'_>,
        spans: &Spans,
        lifetime: Duration,
        deadline: Duration,
    ) {
        let lease = spans.partition_lease;
        let place = |keys: &[&'static str]| {
            let place = section.first_of(keys);
            place.map_or(&section.found, |(_, found)| found)
        };
        if lease > lifetime {
            self.mdc_fault(place(&["partition_lease"]), MdcProblem::Lease(lifetime));
        }
        if spans.pull_interval >= lease {
            let place = place(&["pull_interval", "partition_lease"]);
            self.mdc_fault(place, MdcProblem::PullInterval(lease));
        }
        if spans.min_hold >= deadline {
            let place = place(&["min_hold", "adoption"]);
            self.mdc_fault(place, MdcProblem::MinHold(deadline));
        }
        if spans.reservation_lapse <= deadline {
            let place = place(&["reservation_lapse", "adoption"]);
            self.advise(place, Advice::ShortLapse(deadline));
        }
    }

    fn data_centre_marks(&mut self, section: &Section<'_>) -> DataCentreMarks {
        let mut marks = DataCentreMarks {
            header: Some(HeaderName::from_static("x-dc")),
            cookie: None,
        };
        let header = Self::header_or_none;
        self.set(section, "data_centre_header", &mut marks.header, header);
        self.set(
            section,
            "data_centre_cookie",
            &mut marks.cookie,
            |this, found| {
                if found.is_null() {
                    return Some(None);
                }
                this.cookie_name(found).map(Some)
            },
        );
        marks
    }

    fn skew(&mut self, found: Option<&Found<'_>>) -> SkewLimits {
        let mut skew = SkewLimits::default();
        let Some(section) = found.and_then(|found| self.section(found, SKEW_KEYS)) else {
            return skew;
        };
        self.set(&section, "allowance", &mut skew.allowance, Self::duration);
        self.set(&section, "hard_limit", &mut skew.hard, Self::duration);
        if skew.allowance > skew.hard {
            let place = section.first_of(&["allowance", "hard_limit"]);
            let place = place.map_or(&section.found, |(_, found)| found);
            self.mdc_fault(place, MdcProblem::Skew(skew.hard));
        }
        skew
    }

    /// Adoptions under way at the same time: per peer, per client address.
    fn adoption_limits(&mut self, found: Option<&Found<'_>>) -> (usize, usize) {
        let (mut per_peer, mut per_address) = (ADOPTIONS_PER_PEER, ADOPTIONS_PER_ADDRESS);
        if let Some(section) = found.and_then(|found| self.section(found, LIMIT_KEYS)) {
            self.set(&section, "adoptions_per_peer", &mut per_peer, |this, at| {
                this.count(at, 1..=ADOPTIONS_MAX)
            });
            self.set(
                &section,
                "adoptions_per_address",
                &mut per_address,
                |this, at| this.count(at, 1..=ADOPTIONS_MAX),
            );
        }
        (per_peer, per_address)
    }
}

/// Whether a host, or every host that a wildcard stands for, is below a domain or the domain itself.
fn is_below(host: &str, domain: &HostName) -> bool {
    let host = host.strip_prefix("*.").unwrap_or(host);
    host.strip_suffix(domain.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether anybody may have a name below a domain, as `co.uk`: browsers go by the same list.
fn is_public_suffix(domain: &HostName) -> bool {
    let domain = domain.as_str().as_bytes();
    psl::suffix(domain).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == domain)
}

pub(super) const KEYS: &[&str] = &[
    "adoption",
    "authn_lifetime",
    "back_channel",
    "clock_skew",
    "data_centre_cookie",
    "data_centre_header",
    "gates",
    "gito_domain",
    "gito_granularity",
    "limits",
    "min_hold",
    "partition_lease",
    "peers",
    "pull_interval",
    "reservation_lapse",
];
pub(super) const SKEW_KEYS: &[&str] = &["allowance", "hard_limit"];
pub(super) const LIMIT_KEYS: &[&str] = &["adoptions_per_address", "adoptions_per_peer"];

const GRANULARITY: Duration = Duration::from_mins(1);
const MIN_HOLD: Duration = Duration::from_millis(250);
const RESERVATION_LAPSE: Duration = Duration::from_secs(10);
const PULL_INTERVAL: Duration = Duration::from_secs(1);
const ADOPTIONS_PER_PEER: usize = 256;
const ADOPTIONS_PER_ADDRESS: usize = 32;
const ADOPTIONS_MAX: u32 = 100_000;
const HOSTS_SHOWN_MAX: usize = 8;

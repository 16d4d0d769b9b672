//! What Prometheus is told, in its text format.
//!
//! Everything is counted where it happens and read when somebody asks; nothing here counts. No metric names
//! a user, a session or a client.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text;
use prometheus_client::registry::Registry;

use crate::telemetry::histogram::HistogramSnapshot;
pub use crate::telemetry::metrics::edge::EdgeSnapshot;
pub use crate::telemetry::metrics::edge::HostSnapshot;
pub use crate::telemetry::metrics::edge::NameSnapshot;
pub use crate::telemetry::metrics::edge::PoolSnapshot;
pub use crate::telemetry::metrics::edge::UpstreamSnapshot;
use crate::telemetry::metrics::edge::encode_pools;
pub use crate::telemetry::metrics::federation::Circuit;
pub use crate::telemetry::metrics::federation::FederationSnapshot;
pub use crate::telemetry::metrics::federation::PeerSnapshot;
pub use crate::telemetry::metrics::logs::LogsSnapshot;
pub use crate::telemetry::metrics::logs::TrailHealth;
use crate::telemetry::metrics::page::Page;

mod edge;
mod federation;
mod logs;
mod page;

/// What a node has to tell at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// What the edge has to tell.
    pub edge: EdgeSnapshot,
    /// What there is to tell of pools.
    pub pools: Vec<PoolSnapshot>,
    /// Until when certificates are good.
    pub certificates: Vec<CertificateSnapshot>,
    /// What the logs have to tell of themselves.
    pub logs: LogsSnapshot,
    /// What there is to tell of the configuration.
    pub configuration: Option<ConfigurationSnapshot>,
    /// Cookies that were not believed, by kind (MDC-COOKIE-6).
    pub cookies_rejected: Vec<(&'static str, u64)>,
    /// What an engine has to tell; none on a gate without one.
    pub engine: Option<EngineSnapshot>,
}

/// Until when a certificate is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSnapshot {
    /// The listener that shows it.
    pub listener: String,
    /// The first name in it; on one listener each comes once.
    pub name: String,
    /// When it expires, in seconds since 1970.
    pub until: u64,
}

/// What there is to tell of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct ConfigurationSnapshot {
    /// How many have been served since the start, the present one included.
    pub generation: u64,
    /// Whether the last reload was taken over; none was is as good.
    pub last_reload: Reload,
}

/// What became of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// It had a fault, and the configuration is as before.
    Refused,
    /// It was taken over.
    Taken,
}

/// What an engine has to tell.
#[derive(Clone, Debug, Default)]
pub struct EngineSnapshot {
    /// Session records that stand, as far as they have been taken up.
    pub sessions: usize,
    /// Whether records of an earlier process are still to be taken up.
    pub is_loading: bool,
    /// Stored records that were left out, because they do not open or hold no session.
    pub unreadable: usize,
    /// Sign-ins, by what came of them.
    pub sign_ins: Vec<(&'static str, u64)>,
    /// How long it took to make changes of sessions durable; none where they are not.
    pub commits: Option<HistogramSnapshot>,
    /// What there is to tell of other data centres; none where there is one.
    pub federation: Option<FederationSnapshot>,
}

/// What the text is.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

impl Snapshot {
    /// The text for Prometheus.
    #[must_use]
    pub fn into_text(self) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Writing to a string does not fail.
        text::encode(&mut text, &registry).ok();
        text
    }
}

impl Snapshot {
    fn encode_certificates(&self, page: &mut Page<'_>) -> fmt::Result {
        let values = self.certificates.iter().map(|certificate| {
            let listener = ("listener", certificate.listener.as_str());
            let labels = [listener, ("name", certificate.name.as_str())];
            (labels, certificate.until)
        });
        page.gauge_family(
            (
                "portway_certificate_expiry_seconds",
                "When the certificates of listeners expire, in seconds since 1970",
            ),
            values,
        )
    }
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.gauge_family(
            ("portway_build", "The version that runs"),
            std::iter::once(([("version", env!("CARGO_PKG_VERSION"))], 1_u64)),
        )?;
        self.edge.encode(&mut page)?;
        encode_pools(&self.pools, &mut page)?;
        self.encode_certificates(&mut page)?;
        self.logs.encode(&mut page)?;
        if let Some(configuration) = &self.configuration {
            configuration.encode(&mut page)?;
        }
        page.counters(
            (
                "portway_cookies_rejected",
                "Cookies that did not open or say to be from the future, by kind",
            ),
            "cookie",
            &self.cookies_rejected,
        )?;
        let Some(engine) = &self.engine else {
            return Ok(());
        };
        let sessions = ("portway_sessions", "Session records that this engine holds");
        page.gauge(sessions, engine.sessions as u64)?;
        if let Some(commits) = &engine.commits {
            page.histogram(
                (
                    "portway_store_commit_seconds",
                    "To make changes of sessions durable, as many at once as have gathered",
                ),
                commits,
            )?;
        }
        let loading = (
            "portway_sessions_loading",
            "Whether sessions of before the start are still being read",
        );
        page.gauge(loading, u64::from(engine.is_loading))?;
        let unreadable = (
            "portway_sessions_unreadable",
            "Sessions of before the start that were left out because they could not be read",
        );
        page.gauge(unreadable, engine.unreadable as u64)?;
        page.counters(
            (
                "portway_sign_ins",
                "Credentials that users gave, by what came of it",
            ),
            "outcome",
            &engine.sign_ins,
        )?;
        let Some(federation) = &engine.federation else {
            return Ok(());
        };
        federation.encode(&mut page)?;
        federation.encode_lines(&mut page)
    }
}

impl ConfigurationSnapshot {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.gauge(
            (
                "portway_configuration_generation",
                "Configurations served since the start, the present one included",
            ),
            self.generation,
        )?;
        page.gauge(
            (
                "portway_configuration_last_reload_successful",
                "Whether the last reload was taken over",
            ),
            u64::from(self.last_reload == Reload::Taken),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::decision::upstream::MemberState;
    use crate::model::name::ClusterId;

    fn peer(name: &str, skew: Option<f64>, circuit: Circuit) -> PeerSnapshot {
        PeerSnapshot {
            cluster: ClusterId::parse(name).unwrap(),
            skew,
            circuit,
            ends_pending: 3,
            stores_differ: skew.map(|_| true),
            connections: 2,
            asked: vec![("answered", 9), ("timed_out", 1)],
            served: vec![("answered", 4), ("turned_away", 0)],
        }
    }

    fn everything() -> Snapshot {
        Snapshot {
            edge: EdgeSnapshot {
                requests: vec![("2xx", 7), ("5xx", 0)],
                hosts: vec![HostSnapshot {
                    host: "app.test".to_owned(),
                    access: "protected",
                    requests: vec![("2xx", 7)],
                }],
                ..EdgeSnapshot::default()
            },
            pools: vec![PoolSnapshot {
                pool: "app".to_owned(),
                retries: 1,
                retries_refused: 2,
                ejections_spared: 6,
                upstreams: vec![UpstreamSnapshot {
                    upstream: "app.test:80".to_owned(),
                    address: "10.0.0.1:80".to_owned(),
                    tier: "primary",
                    state: MemberState::Drained,
                    requests: 7,
                    failures: 2,
                    ejections: 5,
                    in_flight: 0,
                }],
                names: vec![NameSnapshot {
                    upstream: "app.test:80".to_owned(),
                    addresses: 1,
                    is_resolved: false,
                }],
            }],
            certificates: vec![CertificateSnapshot {
                listener: "https".to_owned(),
                name: "app.test".to_owned(),
                until: 1_800_000_000,
            }],
            logs: LogsSnapshot {
                audit: TrailHealth::Failing,
                audit_lost: 3,
                ..LogsSnapshot::default()
            },
            configuration: Some(ConfigurationSnapshot {
                generation: 4,
                last_reload: Reload::Refused,
            }),
            cookies_rejected: vec![("authn", 2)],
            engine: Some(EngineSnapshot {
                sessions: 12,
                commits: Some(HistogramSnapshot::default()),
                federation: Some(FederationSnapshot::default()),
                ..EngineSnapshot::default()
            }),
        }
    }

    #[test]
    fn what_is_told_is_in_the_text_mdc_cookie_6() {
        let text = everything().into_text();
        for line in [
            "portway_requests_total{status=\"2xx\"} 7",
            "portway_virtual_host_requests_total{virtual_host=\"app.test\",access=\"protected\",status=\"2xx\"} 7",
            "portway_upstream_up{pool=\"app\",upstream=\"app.test:80\",address=\"10.0.0.1:80\"} 0",
            "portway_upstream_state{pool=\"app\",upstream=\"app.test:80\",address=\"10.0.0.1:80\",state=\"drained\"} 1",
            "portway_upstream_state{pool=\"app\",upstream=\"app.test:80\",address=\"10.0.0.1:80\",state=\"down\"} 0",
            "portway_pool_healthy{pool=\"app\",tier=\"primary\"} 0",
            "portway_upstream_ejections_total{pool=\"app\",upstream=\"app.test:80\",address=\"10.0.0.1:80\"} 5",
            "portway_upstream_ejections_spared_total{pool=\"app\"} 6",
            "portway_upstream_failures_total{pool=\"app\",upstream=\"app.test:80\",address=\"10.0.0.1:80\"} 2",
            "portway_upstream_addresses{pool=\"app\",upstream=\"app.test:80\"} 1",
            "portway_upstream_resolved{pool=\"app\",upstream=\"app.test:80\"} 0",
            "portway_upstream_retries_total{pool=\"app\"} 1",
            "portway_upstream_retries_refused_total{pool=\"app\"} 2",
            "portway_certificate_expiry_seconds{listener=\"https\",name=\"app.test\"} 1800000000",
            "portway_log_lines_lost_total{log=\"audit\"} 3",
            "portway_audit_failing 1",
            "portway_configuration_generation 4",
            "portway_configuration_last_reload_successful 0",
            "portway_cookies_rejected_total{cookie=\"authn\"} 2",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    /// Names of families as the page has them, counters with their ending.
    fn exposed(text: &str) -> BTreeSet<String> {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types
            .map(|line| match line.split_once(' ').unwrap() {
                (name, "counter") => format!("{name}_total"),
                (name, _) => name.to_owned(),
            })
            .collect()
    }

    #[test]
    fn the_documents_list_every_metric_and_no_other() {
        let document = include_str!("../../docs/metrics.md");
        let rows = document
            .lines()
            .filter(|line| line.starts_with("| `portway_"));
        let first_cells = rows.filter_map(|row| row.split('|').nth(1));
        let names = first_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
        let documented: BTreeSet<String> = names.map(str::to_owned).collect();
        assert_eq!(documented, exposed(&everything().into_text()));
    }

    #[test]
    fn the_skew_of_each_peer_is_told_with_its_side_and_not_before_it_was_measured_s_22() {
        let federation = FederationSnapshot {
            adoptions: vec![("adopted", 2), ("ended", 1)],
            skew_allowance: 30.0,
            skew_hard_limit: 120.0,
            peers: vec![
                peer("ldc", Some(-1.25), Circuit::Closed),
                peer("sfo", None, Circuit::Open),
            ],
        };
        let snapshot = Snapshot {
            engine: Some(EngineSnapshot {
                sessions: 12,
                is_loading: true,
                unreadable: 4,
                sign_ins: vec![("accepted", 4), ("throttled_account", 9)],
                federation: Some(federation),
                ..EngineSnapshot::default()
            }),
            ..Snapshot::default()
        };
        let text = snapshot.into_text();
        for line in [
            "portway_sessions 12",
            "portway_sessions_loading 1",
            "portway_sessions_unreadable 4",
            "portway_sign_ins_total{outcome=\"accepted\"} 4",
            "portway_sign_ins_total{outcome=\"throttled_account\"} 9",
            "portway_adoptions_total{outcome=\"adopted\"} 2",
            "portway_clock_skew_allowance_seconds 30.0",
            "portway_clock_skew_hard_limit_seconds 120.0",
            "portway_peer_clock_skew_seconds{peer=\"ldc\"} -1.25",
            "portway_peer_circuit_open{peer=\"ldc\"} 0",
            "portway_peer_circuit_open{peer=\"sfo\"} 1",
            "portway_peer_ends_pending{peer=\"sfo\"} 3",
            "portway_peer_identity_stores_differ{peer=\"ldc\"} 1",
            "portway_peer_connections{peer=\"sfo\"} 2",
            "portway_peer_questions_total{peer=\"ldc\",outcome=\"timed_out\"} 1",
            "portway_peer_questions_served_total{peer=\"ldc\",outcome=\"answered\"} 4",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in\n{text}");
        }
        for unknown in ["skew_seconds", "stores_differ"] {
            assert!(
                !text.contains(&format!("{unknown}{{peer=\"sfo\"}}")),
                "nothing was measured:\n{text}"
            );
        }
    }
}

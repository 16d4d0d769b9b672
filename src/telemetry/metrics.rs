//! What Prometheus is told, in its text format.
//!
//! Everything is counted where it happens and read when somebody asks; nothing here counts. No metric names
//! a user, a session or a client.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::EncodeMetric;
use prometheus_client::encoding::MetricEncoder;
use prometheus_client::encoding::text;
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use crate::model::name::ClusterId;

/// What a node has to tell at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Requests that were answered, by the class of the status.
    pub requests: Vec<(&'static str, u64)>,
    /// Cookies that were not believed, by kind (MDC-COOKIE-6).
    pub cookies_rejected: Vec<(&'static str, u64)>,
    /// What an engine has to tell; none on a gate without one.
    pub engine: Option<EngineSnapshot>,
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
    /// What there is to tell of other data centres; none where there is one.
    pub federation: Option<FederationSnapshot>,
}

/// What there is to tell of other data centres.
#[derive(Clone, Debug, Default)]
pub struct FederationSnapshot {
    /// Adoptions that were tried, by what came of them.
    pub adoptions: Vec<(&'static str, u64)>,
    /// How far clocks may differ before it is said aloud, in seconds (S-22).
    pub skew_allowance: f64,
    /// Beyond this nothing is adopted, in seconds (S-22).
    pub skew_hard_limit: f64,
    /// Each of them.
    pub peers: Vec<PeerSnapshot>,
}

/// What there is to tell of one other data centre.
#[derive(Clone, Debug)]
pub struct PeerSnapshot {
    /// Which.
    pub cluster: ClusterId,
    /// How far its clock is ahead, in seconds, less than zero where it is behind; none before the first
    /// hello (MDC-TIME-2).
    pub skew: Option<f64>,
    /// Whether it is asked at all (R12).
    pub circuit: Circuit,
    /// Ends that it has not read yet (S-15).
    pub ends_pending: usize,
    /// Whether its identity stores have other names; none before the first hello (MDC-ADOPT-8).
    pub stores_differ: Option<bool>,
    /// Connections to its addresses that are proven at both ends.
    pub connections: usize,
    /// What became of the questions that were put to it, by name.
    pub asked: Vec<(&'static str, u64)>,
    /// And of those that it put, by name.
    pub served: Vec<(&'static str, u64)>,
}

/// Whether a peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Circuit {
    /// It is.
    Closed,
    /// It was silent too often, and is not asked for a while.
    Open,
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

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.counters(
            ("portway_requests", "Requests answered, by class of status"),
            "status",
            &self.requests,
        )?;
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

impl FederationSnapshot {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.counters(
            (
                "portway_adoptions",
                "Adoptions of sessions of other data centres, by outcome",
            ),
            "outcome",
            &self.adoptions,
        )?;
        page.gauge(
            (
                "portway_clock_skew_allowance_seconds",
                "How far the clock of a peer may be off without a word",
            ),
            self.skew_allowance,
        )?;
        page.gauge(
            (
                "portway_clock_skew_hard_limit_seconds",
                "How far the clock of a peer may be off for sessions to be adopted",
            ),
            self.skew_hard_limit,
        )?;
        let known = self.peers.iter();
        let known = known.filter_map(|peer| Some((&peer.cluster, peer.skew?)));
        page.of_peers(
            (
                "portway_peer_clock_skew_seconds",
                "How far the clock of a peer is ahead of this one, at the last hello",
            ),
            known,
        )?;
        page.of_peers(
            (
                "portway_peer_circuit_open",
                "Whether a peer was silent too often to be asked",
            ),
            self.peers.iter().map(|peer| {
                let is_open = peer.circuit == Circuit::Open;
                (&peer.cluster, u64::from(is_open))
            }),
        )?;
        page.of_peers(
            (
                "portway_peer_ends_pending",
                "Ends in the log of this engine that a peer has not read, counted up to 1000",
            ),
            self.peers
                .iter()
                .map(|peer| (&peer.cluster, peer.ends_pending as u64)),
        )?;
        let greeted = self.peers.iter();
        let greeted = greeted.filter_map(|peer| Some((&peer.cluster, peer.stores_differ?)));
        page.of_peers(
            (
                "portway_peer_identity_stores_differ",
                "Whether a peer names other identity stores than this data centre",
            ),
            greeted.map(|(cluster, differ)| (cluster, u64::from(differ))),
        )
    }

    /// What there is to tell of the lines to the peers.
    fn encode_lines(&self, page: &mut Page<'_>) -> fmt::Result {
        page.of_peers(
            (
                "portway_peer_connections",
                "Connections to the addresses of a peer that are proven at both ends",
            ),
            self.peers
                .iter()
                .map(|peer| (&peer.cluster, peer.connections as u64)),
        )?;
        page.counters_of_peers(
            (
                "portway_peer_questions",
                "Questions that were put to a peer, by what became of them",
            ),
            self.peers.iter().map(|peer| (&peer.cluster, &peer.asked)),
        )?;
        page.counters_of_peers(
            (
                "portway_peer_questions_served",
                "Questions that a peer put, by what became of them",
            ),
            self.peers.iter().map(|peer| (&peer.cluster, &peer.served)),
        )
    }
}

/// A page that is being written.
struct Page<'e>(DescriptorEncoder<'e>);

/// A name and what it means.
type Title = (&'static str, &'static str);

impl Page<'_> {
    fn begin(&mut self, title: Title, kind: MetricType) -> Result<MetricEncoder<'_>, fmt::Error> {
        let (name, help) = title;
        self.0.encode_descriptor(name, help, None, kind)
    }

    fn gauge<N>(&mut self, title: Title, value: N) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let metric = self.begin(title, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    fn counters(
        &mut self,
        title: Title,
        label: &'static str,
        counts: &[(&'static str, u64)],
    ) -> fmt::Result {
        let mut metric = self.begin(title, MetricType::Counter)?;
        for (value, count) in counts {
            let labels = [(label, *value)];
            ConstCounter::new(*count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counters_of_peers<'p>(
        &mut self,
        title: Title,
        peers: impl Iterator<Item = (&'p ClusterId, &'p Vec<(&'static str, u64)>)>,
    ) -> fmt::Result {
        let mut metric = self.begin(title, MetricType::Counter)?;
        for (peer, counts) in peers {
            for (outcome, count) in counts {
                let labels = [("peer", peer.as_str()), ("outcome", outcome)];
                ConstCounter::new(*count).encode(metric.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn of_peers<'p, N>(
        &mut self,
        title: Title,
        values: impl Iterator<Item = (&'p ClusterId, N)>,
    ) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let mut metric = self.begin(title, MetricType::Gauge)?;
        for (peer, value) in values {
            let labels = [("peer", peer.as_str())];
            ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_gate_without_an_engine_tells_of_requests_and_cookies_only_mdc_cookie_6() {
        let snapshot = Snapshot {
            requests: vec![("2xx", 7), ("5xx", 0)],
            cookies_rejected: vec![("authn", 2)],
            engine: None,
        };
        let expected = "\
# HELP portway_requests Requests answered, by class of status
# TYPE portway_requests counter
portway_requests_total{status=\"2xx\"} 7
portway_requests_total{status=\"5xx\"} 0
# HELP portway_cookies_rejected Cookies that did not open or say to be from the future, by kind
# TYPE portway_cookies_rejected counter
portway_cookies_rejected_total{cookie=\"authn\"} 2
# EOF
";
        assert_eq!(snapshot.into_text(), expected);
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
            requests: Vec::new(),
            cookies_rejected: Vec::new(),
            engine: Some(EngineSnapshot {
                sessions: 12,
                is_loading: true,
                unreadable: 4,
                sign_ins: vec![("accepted", 4), ("throttled_account", 9)],
                federation: Some(federation),
            }),
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

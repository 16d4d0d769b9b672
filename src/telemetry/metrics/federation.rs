//! What there is to tell of other data centres.

use std::fmt;

use crate::model::name::ClusterId;
use crate::telemetry::metrics::page::Page;

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

impl FederationSnapshot {
    pub(super) fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
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
    pub(super) fn encode_lines(&self, page: &mut Page<'_>) -> fmt::Result {
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

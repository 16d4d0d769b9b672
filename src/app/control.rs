//! The node as those who run it see it and act on it: gathers what its rooms have to tell, and passes on what
//! is asked of it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::app::lasting::Lasting;
use crate::app::ops::Node;
use crate::app::pool_status;
use crate::app::record::Record;
use crate::app::reload::Ask;
use crate::app::succession::Succession;
use crate::config::Config;
use crate::crypto::certificates::TermState;
use crate::logbook::moment::rfc3339_seconds;
use crate::model::time::Timestamp;
use crate::ports::control::CertificateStatus;
use crate::ports::control::Control;
use crate::ports::control::ListenerStatus;
use crate::ports::control::NodeStatus;
use crate::ports::control::PeerStatus;
use crate::ports::control::ReloadError;
use crate::ports::control::ReloadReport;
use crate::ports::control::UpgradeError;
use crate::ports::control::UpgradeQuestion;
use crate::ports::control::UpgradeReport;
use crate::ports::control::UsersStatus;
use crate::ports::vitals::Readiness;
use crate::ports::vitals::Vitals;
use crate::proxy::live::Live;
use crate::proxy::serving::Serving;
use crate::proxy::tls::Terminator;
use crate::telemetry::metrics::Circuit;
use crate::telemetry::metrics::PeerSnapshot;

/// The node, to those who run it.
pub(super) struct NodeControl {
    pub(super) node: Arc<Node>,
    pub(super) lasting: Arc<Lasting>,
    pub(super) live: Arc<Live>,
    pub(super) record: Arc<Record>,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) succession: Arc<Succession>,
    pub(super) cluster_id: String,
}

#[async_trait]
impl Control for NodeControl {
    fn status(&self) -> NodeStatus {
        let now = self.lasting.ports.clock.now();
        let serving = self.live.take();
        let engine = self.lasting.engine.snapshot();
        let federation = engine.as_ref().and_then(|own| own.federation.as_ref());
        let peers = federation.map_or_else(Vec::new, |all| all.peers.iter().map(peer).collect());
        NodeStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            process_id: std::process::id(),
            cluster_id: self.cluster_id.clone(),
            started: rfc3339_seconds(self.record.started),
            uptime_seconds: now.since(self.record.started).as_secs(),
            readiness: word(self.node.readiness()).to_owned(),
            configuration: self.record.status(),
            listeners: self.listeners(&serving, now),
            pools: pool_status::of_all(&serving),
            sessions: engine.as_ref().map(|own| own.sessions),
            users: self.users(),
            peers,
        }
    }

    async fn reload(&self) -> Result<ReloadReport, ReloadError> {
        let (ask, answer) = oneshot::channel();
        let answered = async {
            let asked = self.asks.send(ask).await;
            asked.map_err(|_| ReloadError::Stopping)?;
            answer.await.map_err(|_| ReloadError::Stopping)
        };
        tokio::select! {
            answer = answered => answer,
            () = self.succession.is_over() => Err(ReloadError::HandedOver),
        }
    }

    async fn upgrade(&self, question: &UpgradeQuestion) -> Result<UpgradeReport, UpgradeError> {
        self.succession.upgrade(question).await
    }
}

impl NodeControl {
    fn users(&self) -> Option<UsersStatus> {
        let users = self.lasting.engine.users()?;
        Some(UsersStatus {
            may_sign_in: users.now().users().names().len(),
            trouble: users.trouble(),
        })
    }

    fn listeners(&self, serving: &Serving, now: Timestamp) -> Vec<ListenerStatus> {
        let places = self.lasting.sockets.lock().places();
        let told = places.into_iter().map(|(name, place)| {
            let terminator = serving.terminator(&name);
            ListenerStatus {
                name: name.to_string(),
                address: place.to_string(),
                tls: terminator.is_some(),
                certificates: certificates(terminator, now),
            }
        });
        told.collect()
    }
}

fn certificates(terminator: Option<&Arc<Terminator>>, now: Timestamp) -> Vec<CertificateStatus> {
    let terms = terminator.map_or(&[][..], |terminator| terminator.table.terms());
    let told = terms.iter().map(|term| CertificateStatus {
        name: term.name.clone(),
        expires: rfc3339_seconds(term.until),
        state: match term.state(now) {
            TermState::Expired => "expired",
            TermState::ExpiresSoon => "expires_soon",
            TermState::Good => "good",
        }
        .to_owned(),
    });
    told.collect()
}

/// The name of the process's data centre, which no reload changes.
pub(super) fn cluster_of(config: &Config) -> String {
    config.cluster.to_string()
}

/// A path as it is shown.
pub(super) fn shown(path: &Path) -> String {
    let whole = std::path::absolute(path);
    whole
        .unwrap_or_else(|_| path.to_owned())
        .display()
        .to_string()
}

fn peer(peer: &PeerSnapshot) -> PeerStatus {
    PeerStatus {
        cluster_id: peer.cluster.to_string(),
        circuit: match peer.circuit {
            Circuit::Closed => "closed",
            Circuit::Open => "open",
        }
        .to_owned(),
        clock_skew_seconds: peer.skew,
        ends_pending: peer.ends_pending,
    }
}

const fn word(readiness: Readiness) -> &'static str {
    match readiness {
        Readiness::Draining => "draining",
        Readiness::Lost(_) => "lost",
        Readiness::NoEngine => "no_engine",
        Readiness::Ready => "ready",
        Readiness::Starting => "starting",
    }
}

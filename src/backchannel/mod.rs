//! The back-channel: how engines of different data centres, and gates without an engine, talk to engines.
//!
//! HTTP/2 with CBOR messages on a listener of its own; `docs/back-channel.md` describes the protocol. Here
//! are connections, proofs of who is there, bounds and circuits. What a question means, whether it is
//! asked again, and what silence leads to, is the engine's.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use self::client::Client;
use self::connection::KeepAlive;
pub use self::desk::Services;
use self::dial::Dialler;
use self::dial::Proof;
use self::dial::Target;
pub use self::gate_server::GateLimits;
pub use self::gate_terms::GateTerms;
use self::line::Line;
use self::line::LineAddress;
use self::line::LineLimits;
pub use self::remote::RemoteEngine;
use self::server::KnownCaller;
use self::server::Mode;
pub use self::server::Server;
use self::server::ServerLimits;
use self::server::ServerParts;
use self::status::PeerStatus;
pub use self::trust::Reloaded;
use self::trust::Trust;
pub use self::trust::TrustError;
use crate::config::mdc::Mdc;
use crate::config::mdc::NodeAddress;
use crate::config::mdc::Peer;
use crate::config::mdc::Security;
use crate::crypto::peer_tls::Proven;
use crate::crypto::pki::node_name::NodeName;
use crate::decision::upstream::Tiers;
use crate::model::name::ClusterId;
use crate::model::secret::Secret;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::resolver::Resolver;

mod address;
mod answers;
mod caller;
mod circuit;
mod client;
mod complaints;
mod connection;
mod desk;
mod dial;
mod gate_server;
mod gate_terms;
mod gate_wire;
mod handshakes;
mod line;
mod places;
pub mod probe;
mod remote;
mod server;
mod standing;
pub mod status;
#[cfg(test)]
mod tests;
mod trust;
mod wire;

/// Why the back-channel cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Certificates or CAs cannot be used.
    #[error("the certificates of the back-channel cannot be used")]
    Trust(#[from] TrustError),
    /// A caller is to prove a password, and none is configured.
    #[error("no password is configured for {0}, which speaks without TLS")]
    NoPassword(NodeName),
}

/// What the back-channel needs of the world.
#[derive(Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Nonces, and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// The addresses of names.
    pub resolver: Arc<dyn Resolver>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

/// Both ends of the back-channel of an engine node.
#[derive(Debug)]
pub struct BackChannel {
    trust: Arc<Trust>,
    client: Arc<Client>,
    server: Arc<Server>,
}

impl BackChannel {
    /// Reads and checks the certificates and puts both ends together. Nothing is connected or accepted
    /// yet.
    ///
    /// # Errors
    /// When a certificate, key or CA file is missing or cannot be used, or a password is missing.
    pub fn new(
        cluster: &ClusterId,
        mdc: &Mdc,
        world: &World,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, StartError> {
        Self::assemble(cluster, mdc, world, server_limits(mdc), read)
    }

    fn assemble(
        cluster: &ClusterId,
        mdc: &Mdc,
        world: &World,
        limits: ServerLimits,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Self, StartError> {
        let own = NodeName::Engine(cluster.clone());
        let securities = securities(mdc);
        let trust = Trust::new(own.clone(), &securities, &world.clock, read)?;
        let trust = Arc::new(trust);
        let mut lines = Vec::with_capacity(mdc.peers.len());
        for peer in &mdc.peers {
            let line = line(&own, peer, mdc, &trust, world)?;
            lines.push((peer.cluster.clone(), line));
        }
        let server = Server::new(ServerParts {
            own,
            trust: Arc::clone(&trust),
            known: callers(mdc)?,
            clock: Arc::clone(&world.clock),
            entropy: Arc::clone(&world.entropy),
            limits,
        });
        Ok(Self {
            trust,
            client: Arc::new(Client::new(lines)),
            server: Arc::new(server),
        })
    }

    /// The asking end.
    #[must_use]
    pub const fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The answering end.
    #[must_use]
    pub const fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Reads certificates, keys and CAs again; connections made with the earlier ones are replaced.
    ///
    /// # Errors
    /// When they cannot be used. Everything goes on as before, and the same fault is not answered again.
    pub fn reload(
        &self,
        read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
    ) -> Result<Reloaded, TrustError> {
        self.trust.reload(read)
    }

    /// The own certificates: whom they name, and until when they are good.
    #[must_use]
    pub fn own_certificates(&self) -> Vec<Proven> {
        self.trust.own()
    }

    /// Every peer, as seen from here.
    #[must_use]
    pub fn status(&self) -> Vec<PeerStatus> {
        use crate::ports::peer_channel::PeerChannel;

        let peers = self.client.peers().iter();
        let status = peers.filter_map(|cluster| {
            let known = self.server.known.get(&NodeName::Engine(cluster.clone()))?;
            Some(PeerStatus {
                cluster: cluster.clone(),
                line: self.client.line(cluster)?.status(),
                served: known.served.counts(),
            })
        });
        status.collect()
    }
}

/// Whose security is what, this node's own first.
fn securities(mdc: &Mdc) -> Vec<(Option<NodeName>, &Security)> {
    let own = &mdc.back_channel.security;
    let peers = mdc.peers.iter().map(|peer| {
        let node = NodeName::Engine(peer.cluster.clone());
        (Some(node), &peer.security)
    });
    let gates = mdc.gates.iter().map(|gate| {
        let node = NodeName::Gate(gate.name.clone());
        (Some(node), own)
    });
    std::iter::once((None, own))
        .chain(peers)
        .chain(gates)
        .collect()
}

fn callers(mdc: &Mdc) -> Result<HashMap<NodeName, KnownCaller>, StartError> {
    let peers = mdc.peers.iter().map(|peer| {
        let node = NodeName::Engine(peer.cluster.clone());
        (node, &peer.security, peer.password.as_ref())
    });
    let gates = mdc.gates.iter().map(|gate| {
        let node = NodeName::Gate(gate.name.clone());
        (node, &mdc.back_channel.security, gate.password.as_ref())
    });
    let known = peers.chain(gates).map(|(node, security, password)| {
        let mode = match security {
            Security::Open => Mode::Password(needed(password, &node)?),
            Security::Cert(_) | Security::Simple(_) => Mode::Tls,
        };
        Ok((node, KnownCaller::new(mode)))
    });
    known.collect()
}

fn line(
    own: &NodeName,
    peer: &Peer,
    mdc: &Mdc,
    trust: &Arc<Trust>,
    world: &World,
) -> Result<Line, StartError> {
    let node = NodeName::Engine(peer.cluster.clone());
    let config = &mdc.back_channel;
    let proof = match &peer.security {
        Security::Open => Proof::Password(needed(peer.password.as_ref(), &node)?),
        Security::Cert(files) | Security::Simple(files) => Proof::Tls {
            trust: Arc::clone(trust),
            files: files.clone(),
        },
    };
    let dialler = Dialler {
        own: own.clone(),
        proof,
        timeout: config.connect_timeout,
        keep_alive: KeepAlive {
            interval: config.keep_alive_interval,
            timeout: KEEP_ALIVE_TIMEOUT
                .min(config.keep_alive_interval)
                .max(config.connect_timeout),
        },
        entropy: Arc::clone(&world.entropy),
        resolver: Arc::clone(&world.resolver),
    };
    let address = |address: &NodeAddress| LineAddress {
        target: Target {
            node: node.clone(),
            host: address.host.clone(),
            port: address.port,
        },
        weight: address.weight,
    };
    let addresses = Tiers {
        primary: peer.primary.iter().map(address).collect(),
        secondary: peer.secondary.iter().map(address).collect(),
        failover_threshold: peer.failover_threshold,
    };
    Ok(Line::new(
        addresses,
        dialler,
        LineLimits::from(config),
        &world.clock,
    ))
}

fn server_limits(mdc: &Mdc) -> ServerLimits {
    let config = &mdc.back_channel;
    ServerLimits {
        proof_timeout: PROOF_TIMEOUT,
        question_timeout: QUESTION_TIMEOUT,
        answer_timeout: ANSWER_TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
        keep_alive_interval: config.keep_alive_interval,
        connection_age_max: config.connection_age_max.saturating_mul(2),
        hard_skew: mdc.skew.hard,
    }
}

fn needed(password: Option<&Secret>, node: &NodeName) -> Result<Secret, StartError> {
    let none = || StartError::NoPassword(node.clone());
    password.cloned().ok_or_else(none)
}

/// How long the answer to a ping may take, unless pings come faster: a busy machine is not a dead one.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const PROOF_TIMEOUT: Duration = Duration::from_secs(5);
const QUESTION_TIMEOUT: Duration = Duration::from_secs(5);
/// An answer is looked at again after so long; one that is older is cut then.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const IDLE_TIMEOUT: Duration = Duration::from_mins(15);

//! Several data centres: puts the back-channel together and drives what follows the peers.
//!
//! What is asked, answered and concluded is the engine's; connections are the back-channel's.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use crate::app::assembly::Ports;
use crate::app::door::Door;
use crate::app::tasks::Tasks;
use crate::app::tasks::on_duty;
use crate::backchannel::BackChannel;
use crate::backchannel::GateLimits;
use crate::backchannel::GateTerms;
use crate::backchannel::Reloaded;
use crate::backchannel::RemoteEngine;
use crate::backchannel::Server;
use crate::backchannel::Services;
use crate::backchannel::TrustError;
use crate::backchannel::World;
use crate::backchannel::status::CircuitState;
use crate::config::Config;
use crate::config::mdc::Mdc;
use crate::config::mdc::SkewLimits;
use crate::crypto::key_ring::KeyRing;
use crate::engine::EmbeddedEngine;
use crate::engine::FederationSettings;
use crate::engine::Followed;
use crate::engine::Stores;
use crate::model::name::ClusterId;
use crate::ports::peer_channel::PeerChannel;
use crate::ports::peer_service::PeerService;
use crate::ports::session_engine::SessionEngine;
use crate::telemetry::metrics::Circuit;
use crate::telemetry::metrics::FederationSnapshot;
use crate::telemetry::metrics::PeerSnapshot;

/// The back-channel of an engine node, bound and ready to run.
pub(super) struct Federation {
    channel: Arc<BackChannel>,
    /// Where it is configured to listen.
    bind: SocketAddr,
    socket: TcpListener,
    pull_interval: Duration,
    gate_terms: GateTerms,
    gate_limits: GateLimits,
    skew: SkewLimits,
    world: World,
}

impl Federation {
    /// Reads the certificates and binds the listener, unless another process has given its own for the same address;
    /// none where there is one data centre.
    pub(super) fn build(
        config: &Config,
        ports: &Ports,
        given: Option<(SocketAddr, TcpListener)>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(mdc) = &config.mdc else {
            return Ok(None);
        };
        let world = World::from(ports);
        let channel = BackChannel::new(&config.cluster, mdc, &world, &read)
            .context("the back-channel cannot start")?;
        let bind = mdc.back_channel.bind;
        let cannot = || format!("the back-channel cannot listen on {bind}");
        let socket = match given {
            Some((at, socket)) if at == bind => socket,
            Some(_) | None => TcpListener::bind(bind).with_context(cannot)?,
        };
        Ok(Some(Self {
            channel: Arc::new(channel),
            bind,
            socket,
            pull_interval: mdc.pull_interval,
            gate_terms: GateTerms::of(&config.cluster, mdc),
            gate_limits: GateLimits {
                idle_timeout: config.session.idle_timeout,
                hard_skew: mdc.skew.hard,
            },
            skew: mdc.skew,
            world,
        }))
    }

    /// The asking end, for the engine.
    pub(super) fn peers(&self) -> Arc<dyn PeerChannel> {
        Arc::clone(self.channel.client()) as Arc<dyn PeerChannel>
    }

    /// Where peers reach this data centre.
    pub(super) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    /// The listener for another process, and where it is configured to be.
    pub(super) fn share(&self) -> anyhow::Result<(SocketAddr, TcpListener)> {
        Ok((self.bind, self.socket.try_clone()?))
    }

    /// What there is to tell about the other data centres.
    pub(super) fn snapshot(&self, engine: &EmbeddedEngine) -> FederationSnapshot {
        let lines = self.channel.status();
        let peers = engine.peers().into_iter().map(|peer| {
            let status = lines.iter().find(|status| status.cluster == peer.cluster);
            let is_open = status.is_some_and(|seen| seen.line.circuit == CircuitState::Open);
            let addresses = status.map_or(&[][..], |status| &status.line.addresses);
            let connected = addresses.iter().filter(|address| address.connected);
            PeerSnapshot {
                skew: peer.clock.map(|(offset, _)| offset.seconds()),
                circuit: if is_open {
                    Circuit::Open
                } else {
                    Circuit::Closed
                },
                ends_pending: peer.ends_pending,
                stores_differ: peer.stores.map(|stores| stores == Stores::Differ),
                connections: connected.count(),
                asked: status.map_or_else(Vec::new, |status| status.line.asked.named()),
                served: status.map_or_else(Vec::new, |status| status.served.named()),
                cluster: peer.cluster,
            }
        });
        FederationSnapshot {
            adoptions: engine.adoptions(),
            skew_allowance: self.skew.allowance.as_secs_f64(),
            skew_hard_limit: self.skew.hard.as_secs_f64(),
            peers: peers.collect(),
        }
    }

    /// What answers peers and gates, by whoever has the sessions.
    ///
    /// # Errors
    /// When the socket cannot be used.
    pub(super) fn answering(&self, door: &Arc<Door>) -> anyhow::Result<Answering> {
        let gates = Arc::clone(door) as Arc<dyn SessionEngine>;
        let services = Services::new(Arc::clone(door) as Arc<dyn PeerService>).answering_gates(
            gates,
            self.gate_terms.clone(),
            self.gate_limits,
            &self.world,
        );
        Ok(Answering {
            server: Arc::clone(self.channel.server()),
            socket: self.socket.try_clone()?,
            services,
        })
    }

    /// Starts the asking end and whatever follows the peers; it all ends with the runtime, and rests while another
    /// process has the sessions.
    pub(super) fn start(
        &self,
        engine: &Arc<EmbeddedEngine>,
        tasks: &mut Tasks,
        (shutdown, duty): (&watch::Receiver<bool>, &watch::Receiver<bool>),
    ) {
        let client = Arc::clone(self.channel.client());
        for peer in client.peers() {
            let following = follow(Arc::clone(engine), peer.clone(), self.pull_interval);
            let following = on_duty(following, duty.clone());
            tasks.spawn("the reading of the ends of a peer", following);
            let greeting = on_duty(greet(Arc::clone(engine), peer.clone()), duty.clone());
            tasks.spawn("the greeting of a peer", greeting);
        }
        let connected = on_duty(client.run(shutdown.clone()), duty.clone());
        tasks.spawn("the way to the peers", connected);
        let telling = on_duty(tell(Arc::clone(engine)), duty.clone());
        tasks.spawn("the telling of ends", telling);
        let settling = on_duty(settle(Arc::clone(engine)), duty.clone());
        tasks.spawn("the settling of releases", settling);
        let channel = Arc::clone(&self.channel);
        tasks.spawn(CERTIFICATES, reload(move || channel.reload(&read)));
    }
}

/// The answering end, ready to run.
pub(super) struct Answering {
    pub(super) server: Arc<Server>,
    pub(super) socket: TcpListener,
    pub(super) services: Services,
}

impl From<&Ports> for World {
    fn from(ports: &Ports) -> Self {
        Self {
            clock: Arc::clone(&ports.clock),
            entropy: Arc::clone(&ports.entropy),
            resolver: ports.resolver.clone(),
        }
    }
}

/// What the engine goes by.
pub(super) fn settings(mdc: &Mdc, keys: &KeyRing) -> FederationSettings {
    FederationSettings {
        adoption: mdc.adoption,
        partition_lease: mdc.partition_lease,
        min_hold: mdc.min_hold,
        reservation_lapse: mdc.reservation_lapse,
        skew: mdc.skew,
        adoptions_per_peer_max: mdc.adoptions_per_peer_max,
        adoptions_per_address_max: mdc.adoptions_per_address_max,
        keys: keys.ids(),
    }
}

/// Reads the end log of a peer again and again (S-15).
async fn follow(engine: Arc<EmbeddedEngine>, peer: ClusterId, interval: Duration) {
    loop {
        engine.follow(&peer).await;
        tokio::time::sleep(interval).await;
    }
}

/// Greets a peer now and then: soon again while it does not answer.
async fn greet(engine: Arc<EmbeddedEngine>, peer: ClusterId) {
    loop {
        let pause = match engine.greet(&peer).await {
            Followed::Complete => GREET_EVERY,
            Followed::Failed => GREET_AGAIN,
        };
        tokio::time::sleep(pause).await;
    }
}

async fn tell(engine: Arc<EmbeddedEngine>) {
    loop {
        engine.tell_ends().await;
    }
}

async fn settle(engine: Arc<EmbeddedEngine>) {
    loop {
        engine.settle_pending().await;
        tokio::time::sleep(SETTLE_EVERY).await;
    }
}

/// Keeps a gate without an engine of its own at its engines.
pub(super) fn start_remote(
    engine: &Arc<RemoteEngine>,
    tasks: &mut Tasks,
    shutdown: &watch::Receiver<bool>,
) {
    let running = Arc::clone(engine).run(shutdown.clone());
    tasks.spawn("the way to the engines", running);
    let engine = Arc::clone(engine);
    tasks.spawn(CERTIFICATES, reload(move || engine.reload(&read)));
}

/// Takes over changed certificates; a fault in them changes nothing (MDC-SEC-3).
async fn reload(again: impl Fn() -> Result<Reloaded, TrustError> + Clone + Send + 'static) {
    loop {
        tokio::time::sleep(RELOAD_EVERY).await;
        // The disk may take its time, and the streams of ended sessions are not to wait for it.
        match tokio::task::spawn_blocking(again.clone()).await {
            Ok(Ok(Reloaded::Changed)) => {
                tracing::info!("certificates of the back-channel read again");
            }
            Ok(Ok(Reloaded::Unchanged)) => {}
            Err(error) => tracing::error!(%error, "certificates could not be read again"),
            Ok(Err(error)) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "certificates of the back-channel have a fault; those before go on"
            ),
        }
    }
}

/// Reads a certificate, key or CA file.
pub(super) fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    std::fs::read(path)
}

const CERTIFICATES: &str = "the watch over the certificates of the back-channel";
const GREET_EVERY: Duration = Duration::from_secs(10);
const GREET_AGAIN: Duration = Duration::from_secs(1);
const SETTLE_EVERY: Duration = Duration::from_secs(1);
const RELOAD_EVERY: Duration = Duration::from_secs(2);

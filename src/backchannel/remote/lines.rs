//! Puts the lines of a gate to its engines together: one for each address, so that each engine can be
//! followed by itself.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::backchannel::StartError;
use crate::backchannel::World;
use crate::backchannel::connection::KeepAlive;
use crate::backchannel::dial::Dialler;
use crate::backchannel::dial::Proof;
use crate::backchannel::dial::Target;
use crate::backchannel::gate_wire::GateAnswer;
use crate::backchannel::gate_wire::GateQuestion;
use crate::backchannel::line::Line;
use crate::backchannel::line::LineAddress;
use crate::backchannel::line::LineLimits;
use crate::backchannel::needed;
use crate::backchannel::remote::node::EngineLine;
use crate::backchannel::remote::node::EngineNode;
use crate::backchannel::remote::node::NodePlace;
use crate::backchannel::status::Tier;
use crate::backchannel::trust::Trust;
use crate::backchannel::wire;
use crate::config::mdc;
use crate::config::mdc::RemoteAddress;
use crate::config::mdc::Security;
use crate::crypto::pki::node_name::NodeName;
use crate::decision::upstream::Tiers;
use crate::model::peer::Silence;

/// The engines of a gate, and what proves them.
pub(super) struct Lines {
    pub(super) nodes: Tiers<Arc<EngineNode>>,
    pub(super) trust: Arc<Trust>,
}

/// Puts the lines together.
pub(super) fn lines(
    config: &mdc::RemoteEngine,
    world: &World,
    read: &dyn Fn(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<Lines, StartError> {
    let own = NodeName::Gate(config.name.clone());
    let securities = [(None, &config.security)];
    let trust = Arc::new(Trust::new(own.clone(), &securities, &world.clock, read)?);
    let node = |address: &RemoteAddress, tier| -> Result<_, StartError> {
        let target = Target {
            node: NodeName::Engine(address.cluster.clone()),
            host: address.address.host.clone(),
            port: address.address.port,
        };
        let place = NodePlace {
            cluster: address.cluster.clone(),
            name: address.address.authority(),
            weight: address.address.weight,
        };
        let weight = place.weight;
        let proof = match &config.security {
            Security::Open => Proof::Password(needed(config.password.as_ref(), &target.node)?),
            Security::Cert(files) | Security::Simple(files) => Proof::Tls {
                trust: Arc::clone(&trust),
                files: files.clone(),
            },
        };
        let dialler = Dialler {
            own: own.clone(),
            proof,
            timeout: CONNECT_TIMEOUT,
            keep_alive: KeepAlive {
                interval: KEEP_ALIVE,
                timeout: CONNECT_TIMEOUT,
            },
            entropy: Arc::clone(&world.entropy),
            resolver: Arc::clone(&world.resolver),
        };
        let addresses = Tiers {
            primary: vec![LineAddress { target, weight }],
            secondary: Vec::new(),
            failover_threshold: 1,
        };
        let line = Box::new(Line::new(addresses, dialler, LIMITS, &world.clock));
        let clock = Arc::clone(&world.clock);
        Ok(Arc::new(EngineNode::new(line, tier, place, clock)))
    };
    let tier = |addresses: &[RemoteAddress], tier| {
        let nodes = addresses.iter().map(|address| node(address, tier));
        nodes.collect::<Result<Vec<_>, _>>()
    };
    Ok(Lines {
        nodes: Tiers {
            primary: tier(&config.primary, Tier::Primary)?,
            secondary: tier(&config.secondary, Tier::Secondary)?,
            failover_threshold: config.failover_threshold,
        },
        trust,
    })
}

#[async_trait]
impl EngineLine for Line {
    async fn ask(&self, question: &GateQuestion, limit: Duration) -> Result<GateAnswer, Silence> {
        Self::ask(self, wire::GATE_PATH, question, limit).await
    }

    async fn run(&self) {
        Self::run(self).await;
    }
}

/// The circuit only keeps waiting requests from piling up: following an engine tries it all the time.
const LIMITS: LineLimits = LineLimits {
    questions_max: 1024,
    circuit_failures: 5,
    circuit_pause: Duration::from_secs(1),
    connection_age_max: Duration::from_mins(10),
};
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

//! The data centres of a run, put together: gateways that know each other by relays, and one application.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::chronicle::Chronicle;
use crate::history::Holding;
use crate::history::NodeId;
use crate::history::Promises;
use crate::node::Node;
use crate::relay::Network;
use crate::support::Application;

/// Everything that a run has.
pub(crate) struct World {
    pub(crate) nodes: Vec<Node>,
    pub(crate) network: Network,
    pub(crate) chronicle: Arc<Chronicle>,
    _application: Application,
}

/// What the operator chose, drawn from the seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Choice {
    pub(crate) promises: Promises,
    pub(crate) on_silence: OnSilence,
}

/// What a data centre does when the holder gives no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnSilence {
    Challenge,
    Continue,
}

/// Data centres in a run.
pub(crate) const NODES: usize = 3;
/// The collector.
pub(crate) const LOGIN: &str = "login.apps.test";
/// The application's hosts.
pub(crate) const HOSTS: [&str; 2] = ["one.apps.test", "two.apps.test"];

impl World {
    /// Starts the gateways, one with the keys of the other.
    pub(crate) async fn start(
        choice: &Choice,
        users: &[String],
        chronicle: Arc<Chronicle>,
    ) -> Self {
        let application = Application::start().await;
        let network = Network::open(NODES);
        let nodes: Vec<_> = (0..NODES)
            .map(|number| Node::new(NodeId(number), users, &chronicle))
            .collect();
        for node in &nodes {
            let mut peers = Vec::new();
            for peer in nodes.iter().filter(|peer| peer.id != node.id) {
                let target = Arc::new(peer.back_channel());
                let way = network.relay(node.id, peer.id, target).await;
                peers.push((peer.id, way));
            }
            node.configure(&configuration(choice, node, &peers, application.address()));
            if node.id != NodeId(0) {
                node.share_keys_of(&nodes[0]);
            }
            node.start().await;
        }
        Self {
            nodes,
            network,
            chronicle,
            _application: application,
        }
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }
}

fn configuration(
    choice: &Choice,
    node: &Node,
    peers: &[(NodeId, SocketAddr)],
    application: SocketAddr,
) -> String {
    let Choice {
        promises,
        on_silence,
    } = choice;
    let peers: String = peers
        .iter()
        .map(|(id, way)| {
            // Each pair has a password of its own.
            let (low, high) = (node.id.min(*id), node.id.max(*id));
            format!(
                "    - {{ cluster_id: {id}, primary: [\"{way}\"], \
                 password: \"the password of {low} and {high}\" }}\n"
            )
        })
        .collect();
    let hosts: String = HOSTS
        .iter()
        .map(|host| {
            format!(
                "  - host: {host}\n    public_port: 443\n    \
                 routes: [{{ path: /, access: protected, policy: anybody, pool: app }}]\n"
            )
        })
        .collect();
    format!(
        "cluster_id: {id}
state_dir: {state}
threads: 1
listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: {{ certificates: [{{ certificate_file: cert.pem, key_file: key.pem }}] }}
collector: {{ host: {LOGIN}, title: Sign in, public_port: 443 }}
authentication: {{ users_file: users.yaml }}
session: {{ lifetime: {lifetime}, idle_timeout: {idle}, per_user_max: {most} }}
mdc:
  adoption: {{ anchor_session: {anchored}, continue_on_sync_failure: {goes_on} }}
  gito_domain: apps.test
  authn_lifetime: {authn}
  partition_lease: {lease}
  back_channel: {{ bind: 127.0.0.1:0, security: open }}
  peers:
{peers}pools:
  app: {{ primary: [\"{application}\"], max_fails: 0 }}
policies:
  anybody: [{{ allow: signed_in }}]
virtual_hosts:
{hosts}",
        id = node.id,
        state = node.state().display(),
        lifetime = seconds(promises.lifetime),
        idle = seconds(promises.idle),
        most = promises.per_user_max,
        anchored = promises.holding == Holding::One,
        goes_on = *on_silence == OnSilence::Continue,
        // Short, so that sessions are renewed at the collector now and then.
        authn = seconds(promises.idle / 2),
        lease = seconds(promises.lease),
    )
}

fn seconds(span: Duration) -> String {
    format!("{}s", span.as_secs())
}

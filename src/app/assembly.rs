//! Puts the rooms together: names every implementation behind a port, binds the listeners.
//!
//! Nothing runs yet when this is done; `services` starts it. What is served is built by `lasting`.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::admin::ControlSocket;
use crate::app::activation;
use crate::app::engine::Engine;
use crate::app::key_watch::KeyWatch;
use crate::app::keys;
use crate::app::lasting::Lasting;
use crate::app::lasting::warn_of_certificates;
use crate::app::logs::LogFiles;
use crate::app::ops;
use crate::app::sockets::Planned;
use crate::app::sockets::Sockets;
use crate::app::users::UsersWatch;
use crate::config::Config;
use crate::crypto::key_ring::KeyRing;
use crate::dns::HickoryResolver;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::ports::audit_trail::AuditTrail;
use crate::ports::audit_trail::NoTrail;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::proxy::listening::Bound;
use crate::proxy::listening::Socket;
use crate::proxy::live::Live;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

/// The world, as every room of a gateway sees it.
pub(super) struct Ports {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) resolver: Arc<HickoryResolver>,
    pub(super) audit: Arc<dyn AuditTrail>,
}

/// Everything that a gateway is made of, ready to run.
pub(super) struct Assembled {
    /// The listeners that are to accept, as they come.
    pub(super) listeners: mpsc::UnboundedReceiver<Bound>,
    /// The socket that tells of health and metrics, bound.
    pub(super) ops: Option<TcpListener>,
    /// Where those who run the node reach it, bound.
    pub(super) control: Option<ControlSocket>,
    /// What outlives a configuration.
    pub(super) lasting: Arc<Lasting>,
    /// What is served.
    pub(super) live: Arc<Live>,
    /// Follows the users file, where there is one; its first look is due before anybody is served.
    pub(super) users: Option<UsersWatch>,
}

impl Assembled {
    /// Where the listeners accept.
    pub(super) fn addresses(&self) -> anyhow::Result<Vec<(String, SocketAddr)>> {
        let listeners = self.lasting.sockets.lock().addresses();
        let listeners = listeners.into_iter().map(Ok);
        let back_channel = self.lasting.engine.back_channel().transpose();
        let back_channel = back_channel
            .into_iter()
            .map(|address| Ok((BACK_CHANNEL.to_owned(), address?)));
        let ops = self.ops.iter();
        let ops = ops.map(|socket| Ok((OPS.to_owned(), socket.local_addr()?)));
        let others: Vec<_> = back_channel.chain(ops).collect::<anyhow::Result<_>>()?;
        for (name, address) in &others {
            tracing::info!(listener = name, %address, "listening");
        }
        listeners.chain(others.into_iter().map(Ok)).collect()
    }
}

/// What another process has bound.
pub(super) struct Given {
    pub(super) sockets: Vec<Planned>,
    /// The one that tells of health and metrics.
    pub(super) ops: Option<TcpListener>,
    /// The one for other data centres and gates, and where it was configured to be.
    pub(super) back_channel: Option<(SocketAddr, TcpListener)>,
    /// Those where a service manager listens besides.
    pub(super) passed: Vec<Arc<Socket>>,
    pub(super) control: ControlSocket,
}

/// Puts a gateway together, with what it was given.
pub(super) fn assemble(
    config: &Config,
    given: Option<Given>,
    mut passed: Vec<Arc<Socket>>,
) -> anyhow::Result<Assembled> {
    let (mut given_sockets, mut given_ops, mut given_back_channel) = (Vec::new(), None, None);
    let mut given_control = None;
    if let Some(given) = given {
        passed = given.passed;
        given_sockets = given.sockets;
        (given_ops, given_back_channel) = (given.ops, given.back_channel);
        given_control = Some(given.control);
    } else {
        activation::check_wanted(&passed, &config.listeners, &config.state_dir)?;
    }
    let mut ports = Ports {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
        resolver: Arc::new(HickoryResolver::new(config.names.clone())),
        audit: Arc::new(NoTrail),
    };
    let (mut sockets, listeners) = Sockets::new(given_sockets);
    sockets.use_passed(passed, &config.listeners);
    let planned = sockets.plan(&config.listeners)?;
    let ops = match given_ops {
        Some(given) => Some(given),
        None => ops::bind(config.ops)?,
    };
    keys::make_state_dir(&config.state_dir)?;
    activation::remember(sockets.passed(), &config.state_dir);
    let control = match given_control {
        Some(given) => given,
        None => ControlSocket::bind(&config.state_dir)?,
    };
    let had_keys = config.key_ring_file.exists();
    let ring_file = keys::of(config, ports.clock.as_ref(), ports.entropy.as_ref())?;
    let keys = Arc::new(KeyRing::new(&ring_file));
    // The audit trail has to go on with a key that stays.
    keys.choose(None, ports.clock.now());
    let logs = LogFiles::open(config, &ports, &keys)?;
    ports.audit = logs.audit();
    if !had_keys {
        ports
            .audit
            .note(Event::new(EventKind::KeysChanged).with("change", "made"));
    }
    let engine = Engine::build(config, &ports, &keys, given_back_channel)?;
    let key_watch = KeyWatch::begin(
        config,
        &ports,
        (Arc::clone(&keys), ring_file),
        engine.clone(),
    )?;
    let users = engine.watch_users(&config.state_dir)?;
    let held = (engine, Arc::new(key_watch));
    let lasting = Lasting::new(config, (ports, Arc::new(logs)), held, sockets)?;
    let serving = lasting.serving(config, &planned, None)?;
    warn_of_certificates(config, &serving, lasting.ports.clock.now());
    lasting.sockets.lock().accept(planned);
    Ok(Assembled {
        listeners,
        ops,
        control: Some(control),
        lasting: Arc::new(lasting),
        live: Arc::new(Live::new(serving)),
        users,
    })
}

/// The platform's CA bundle, in the places where distributions keep it; pingora reads one when it
/// starts, and a missing one stops it.
pub(super) fn platform_ca() -> Option<String> {
    let places = [
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
    ];
    places
        .into_iter()
        .find(|place| Path::new(place).exists())
        .map(str::to_owned)
}

/// What the back-channel is called among the listeners.
const BACK_CHANNEL: &str = "back-channel";
/// And the one for those who run the node.
const OPS: &str = "ops";

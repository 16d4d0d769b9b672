//! Puts the rooms together: names every implementation behind a port, binds the listeners.
//!
//! Nothing runs yet when this is done; `services` starts it.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;

use crate::app::engine::Engine;
use crate::app::keys;
use crate::app::ops;
use crate::app::users::UsersWatch;
use crate::config::Config;
use crate::config::Listener;
use crate::config::mdc::CollectorPlace;
use crate::crypto::certificates::CertificateTable;
use crate::crypto::tags::Clusters;
use crate::decision::cookies::CookieNames;
use crate::decision::cookies::settings::CookieSettings;
use crate::decision::origins::Origins;
use crate::dns::HickoryResolver;
use crate::engine::collector::Collector;
use crate::gate::Gate;
use crate::model::identity::AuthLevel;
use crate::model::name::HostName;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::resolver::Resolver;
use crate::proxy::edge::Bound;
use crate::proxy::serving::Serving;
use crate::proxy::serving::ServingParts;
use crate::proxy::tls;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

/// The world, as every room of a gateway sees it.
pub(super) struct Ports {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) resolver: Arc<dyn Resolver>,
}

/// Everything that a gateway is made of, ready to run.
pub(super) struct Assembled {
    /// The listeners, bound.
    pub(super) listeners: Vec<Bound>,
    /// The socket that tells of health and metrics, bound.
    pub(super) ops: Option<TcpListener>,
    /// What is served.
    pub(super) serving: Arc<Serving>,
    /// The engine.
    pub(super) engine: Engine,
    /// Follows the users file, where there is one; its first look is due before anybody is served.
    pub(super) users: Option<UsersWatch>,
    /// Resolves the names of upstreams.
    pub(super) resolver: Arc<dyn Resolver>,
    /// The title of the login page.
    pub(super) title: String,
}

impl Assembled {
    /// Where the listeners accept.
    pub(super) fn addresses(&self) -> anyhow::Result<Vec<(String, SocketAddr)>> {
        let address = |bound: &Bound| Ok((bound.name.to_string(), bound.socket.local_addr()?));
        let listeners = self.listeners.iter().map(address);
        let back_channel = self.engine.back_channel().transpose();
        let back_channel = back_channel
            .into_iter()
            .map(|address| Ok((BACK_CHANNEL.to_owned(), address?)));
        let ops = self.ops.iter();
        let ops = ops.map(|socket| Ok((OPS.to_owned(), socket.local_addr()?)));
        listeners.chain(back_channel).chain(ops).collect()
    }
}

/// Puts a gateway together.
pub(super) fn assemble(config: &Config) -> anyhow::Result<Assembled> {
    let ports = Ports {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy::new()),
        resolver: Arc::new(HickoryResolver::from_system()),
    };
    let (clock, entropy) = (Arc::clone(&ports.clock), Arc::clone(&ports.entropy));
    let listeners = config
        .listeners
        .iter()
        .map(bind)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let ops = ops::bind(config.ops)?;
    check_certificates(config)?;
    keys::make_state_dir(&config.state_dir)?;
    let keys = keys::of(config, clock.as_ref(), entropy.as_ref())?;
    let keys = Arc::new(keys);
    let engine = Engine::build(config, &ports, &keys)?;
    let users = engine.watch_users(&config.state_dir)?;
    let door = engine.door();
    let origins = Arc::new(origins(config, &listeners)?);
    let names = CookieNames::new(&config.deployment);
    let settings = Arc::new(cookie_settings(config)?);
    let gate = Gate {
        engine: Arc::clone(&door),
        keys: Arc::clone(&keys),
        names: names.clone(),
        terms: engine.cookie_terms(&settings),
        origins: Arc::clone(&origins),
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
    };
    let here = config.collector.iter();
    let mut here = here.filter(|collector| collector.place == CollectorPlace::Here);
    let collector = here.next().map(|collector| {
        Arc::new(Collector {
            engine: door,
            keys,
            names,
            settings,
            origins,
            host: collector.host.clone(),
            level: config
                .authentication
                .as_ref()
                .map_or(AuthLevel::NONE, |by| by.level),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        })
    });
    let parts = ServingParts {
        gate: Arc::new(gate),
        collector,
        clock,
        entropy,
    };
    let serving = Serving::new(config, parts)?;
    let title = config
        .collector
        .as_ref()
        .map_or_else(String::new, |c| c.title.clone());
    Ok(Assembled {
        listeners,
        ops,
        serving: Arc::new(serving),
        engine,
        users,
        resolver: ports.resolver,
        title,
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

fn bind(listener: &Listener) -> anyhow::Result<Bound> {
    let cannot = || {
        format!(
            "the listener {} cannot listen on {}",
            listener.name, listener.bind
        )
    };
    let socket = TcpListener::bind(listener.bind).with_context(cannot)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = match &listener.tls {
        None => None,
        Some(tls) => Some(Arc::new(tls::acceptor(tls, &provider).with_context(
            || format!("the listener {} cannot have TLS", listener.name),
        )?)),
    };
    Ok(Bound {
        name: listener.name.clone(),
        socket,
        tls,
    })
}

/// Warns of hosts that no certificate is for: browsers will not go there.
fn check_certificates(config: &Config) -> anyhow::Result<()> {
    let provider = rustls::crypto::ring::default_provider();
    let tables = config
        .listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    let tables = tables.map(|tls| tls::table(tls, &provider));
    let tables = tables.collect::<Result<Vec<CertificateTable>, _>>()?;
    for host in served_names(config) {
        if !tables.is_empty() && !tables.iter().any(|table| table.covers(&host)) {
            tracing::warn!(virtual_host = %host, "no certificate is for this host");
        }
    }
    Ok(())
}

fn served_names(config: &Config) -> impl Iterator<Item = HostName> {
    use crate::decision::routing::HostPattern;

    let collector = config
        .collector
        .iter()
        .map(|collector| collector.host.clone());
    let hosts = config.virtual_hosts.iter().flat_map(|host| &host.hosts);
    collector.chain(hosts.filter_map(|pattern| match pattern {
        HostPattern::Exact(host) => Some(host.clone()),
        HostPattern::Wildcard(_) => None,
    }))
}

/// What is configured about cookies. The gate of an engine node goes by it as its collector does; a gate
/// without an engine goes by what its engines say.
fn cookie_settings(config: &Config) -> anyhow::Result<CookieSettings> {
    let own = config.cluster.clone();
    let Some(mdc) = &config.mdc else {
        return Ok(CookieSettings::of_one(own));
    };
    let peers = mdc.peers.iter().map(|peer| peer.cluster.clone());
    Ok(CookieSettings {
        clusters: Clusters::new(std::iter::once(own.clone()).chain(peers))?,
        cluster: own,
        anchor: mdc.adoption.anchor,
        authn_lifetime: Some(mdc.authn_lifetime),
        gito: mdc.gito.clone(),
        skew_allowance: mdc.skew.allowance,
        skew_hard: mdc.skew.hard,
    })
}

/// Where users reach each served host: its configured port, or that of the first TLS listener, which is
/// known once it is bound.
fn origins(config: &Config, listeners: &[Bound]) -> anyhow::Result<Origins> {
    let first_tls = listeners.iter().find(|bound| bound.tls.is_some());
    let default = first_tls
        .map(|bound| bound.socket.local_addr())
        .transpose()?;
    let default = default.map(|address| address.port());
    let port = |configured: Option<u16>| configured.or(default).unwrap_or(443);
    let served = config.virtual_hosts.iter().flat_map(|host| {
        host.hosts
            .iter()
            .map(|pattern| (pattern.clone(), port(host.public_port)))
    });
    let collector = config.collector.as_ref();
    if collector.is_some() && default.is_none() {
        bail!("users sign in by https only, and no listener has TLS");
    }
    let collector =
        collector.map(|collector| (collector.host.clone(), port(collector.public_port)));
    Ok(Origins::new(collector, served.collect()))
}

/// What the back-channel is called among the listeners.
const BACK_CHANNEL: &str = "back-channel";
/// And the one for those who run the node.
const OPS: &str = "ops";

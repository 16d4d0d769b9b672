//! What outlives a configuration: the engine with its sessions, keys, sockets, requests in flight, counts.
//!
//! What is served is built here, by one function, at the start and at every reload. Whatever counts over
//! time, or is held open, belongs here; whatever follows from the configuration alone does not.

use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use parking_lot::Mutex;

use crate::app::assembly::Ports;
use crate::app::branding;
use crate::app::doubts::unnamed_hosts;
use crate::app::drains::DrainFile;
use crate::app::engine::Engine;
use crate::app::key_watch::KeyWatch;
use crate::app::logs::LogFiles;
use crate::app::pulse::Pulse;
use crate::app::sockets::Planned;
use crate::app::sockets::Sockets;
use crate::config::Config;
use crate::config::mdc::CollectorPlace;
use crate::crypto::certificates::TermState;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::tags::Clusters;
use crate::decision::cookies::CookieNames;
use crate::decision::cookies::settings::CookieSettings;
use crate::decision::origins::Origins;
use crate::engine::collector::Collector;
use crate::gate::Gate;
use crate::logbook::moment::rfc3339_seconds;
use crate::model::time::Timestamp;
use crate::ports::cookie_terms::CookieTerms;
use crate::ports::entropy::id_bytes;
use crate::ports::relying_party::RelyingParty;
use crate::provider::openid::OpenId;
use crate::proxy::counts::RequestCounts;
use crate::proxy::limiters::Limiters;
use crate::proxy::serving::Serving;
use crate::proxy::serving::ServingParts;
use crate::proxy::streams::Streams;
use crate::proxy::upgrades::Upgrades;
use crate::telemetry::complaints::Complaints;

/// What outlives a configuration.
pub(super) struct Lasting {
    pub(super) ports: Ports,
    /// The files that lines go to.
    pub(super) logs: Arc<LogFiles>,
    pub(super) engine: Engine,
    limiters: Arc<Limiters>,
    pub(super) streams: Arc<Streams>,
    pub(super) counts: Arc<RequestCounts>,
    upgrades: Arc<Upgrades>,
    /// Of the threads that serve.
    pub(super) pulse: Arc<Pulse>,
    /// The sockets of the listeners.
    pub(super) sockets: Mutex<Sockets>,
    /// Held by whoever changes what is served, and while the gateway is handed over.
    pub(super) changing: Arc<tokio::sync::Mutex<()>>,
    /// Which upstreams are taken out.
    pub(super) drains: Arc<DrainFile>,
    pub(super) keys: Arc<KeyRing>,
    pub(super) key_watch: Arc<KeyWatch>,
    names: CookieNames,
    settings: Arc<CookieSettings>,
    terms: Arc<CookieTerms>,
    /// The providers at which users sign in.
    providers: Mutex<Vec<Arc<OpenId>>>,
}

impl Lasting {
    /// Takes what the first configuration makes; the rest of it may change later.
    pub(super) fn new(
        config: &Config,
        (ports, logs): (Ports, Arc<LogFiles>),
        (engine, key_watch): (Engine, Arc<KeyWatch>),
        sockets: Sockets,
    ) -> anyhow::Result<Self> {
        let settings = Arc::new(cookie_settings(config)?);
        let upgrades = Upgrades::new(id_bytes(ports.entropy.as_ref()));
        Ok(Self {
            upgrades: Arc::new(upgrades),
            drains: Arc::new(DrainFile::read(config)),
            terms: engine.cookie_terms(&settings),
            names: CookieNames::new(&config.deployment),
            providers: Mutex::default(),
            settings,
            ports,
            logs,
            engine,
            keys: Arc::clone(&key_watch.ring),
            key_watch,
            sockets: Mutex::new(sockets),
            changing: Arc::default(),
            limiters: Arc::default(),
            streams: Arc::default(),
            counts: Arc::default(),
            pulse: Arc::default(),
        })
    }

    /// Builds what is served by a configuration at these sockets. What it has in common with the one served `before`
    /// is taken over. Nothing is changed by it: a fault leaves everything as it is.
    ///
    /// # Errors
    /// When something that the configuration names cannot be used.
    pub(super) fn serving(
        &self,
        config: &Config,
        sockets: &[Planned],
        before: Option<&Serving>,
    ) -> anyhow::Result<Serving> {
        let origins = Arc::new(origins(config, sockets)?);
        let gate = Gate {
            engine: self.engine.door(),
            keys: Arc::clone(&self.keys),
            names: self.names.clone(),
            terms: Arc::clone(&self.terms),
            origins: Arc::clone(&origins),
            audit: Arc::clone(&self.ports.audit),
            clock: Arc::clone(&self.ports.clock),
            entropy: Arc::clone(&self.ports.entropy),
        };
        let parts = ServingParts {
            gate: Arc::new(gate),
            collector: self.collector(config, origins)?,
            pages: branding::pages(config)?,
            upgrades: Arc::clone(&self.upgrades),
            limiters: Arc::clone(&self.limiters),
            streams: Arc::clone(&self.streams),
            counts: Arc::clone(&self.counts),
            access: self.logs.access(config)?,
            pools: self.drains.pool_parts(&self.ports.clock),
            clock: Arc::clone(&self.ports.clock),
            entropy: Arc::clone(&self.ports.entropy),
        };
        Ok(Serving::new(config, parts, before)?)
    }

    fn collector(
        &self,
        config: &Config,
        origins: Arc<Origins>,
    ) -> anyhow::Result<Option<Arc<Collector>>> {
        let here = config.collector.as_ref();
        let here = here.filter(|collector| collector.place == CollectorPlace::Here);
        let Some(here) = here else {
            return Ok(None);
        };
        let by = config.authentication.as_ref();
        Ok(Some(Arc::new(Collector {
            engine: self.engine.door(),
            keys: Arc::clone(&self.keys),
            names: self.names.clone(),
            settings: Arc::clone(&self.settings),
            origins,
            host: here.host.clone(),
            password: by.map(|by| by.password).unwrap_or_default(),
            bind_to: config.session.bind_to.clone(),
            password_level: by.map(|by| by.level),
            parties: self.parties(config)?,
            audit: Arc::clone(&self.ports.audit),
            clock: Arc::clone(&self.ports.clock),
            entropy: Arc::clone(&self.ports.entropy),
            complaints: Complaints::default(),
        })))
    }

    /// The providers at which users sign in. One that is configured as before stays, with what it has said.
    fn parties(&self, config: &Config) -> anyhow::Result<Vec<Arc<dyn RelyingParty>>> {
        let mut known = self.providers.lock();
        let mut providers = Vec::with_capacity(config.providers.len());
        for settings in &config.providers {
            let kept = known.iter().find(|known| known.settings() == settings);
            let provider = match kept {
                Some(kept) => Arc::clone(kept),
                None => {
                    let (clock, entropy) = (&self.ports.clock, &self.ports.entropy);
                    let made =
                        OpenId::new(settings.clone(), Arc::clone(clock), Arc::clone(entropy));
                    let cannot = || format!("the provider {} cannot be used", settings.store);
                    Arc::new(made.with_context(cannot)?)
                }
            };
            providers.push(provider);
        }
        known.clone_from(&providers);
        let parties = providers.into_iter();
        Ok(parties
            .map(|provider| -> Arc<dyn RelyingParty> { provider })
            .collect())
    }
}

/// Where users reach each served host: its configured port, or that of the first TLS listener, which is known once
/// it is bound.
fn origins(config: &Config, sockets: &[Planned]) -> anyhow::Result<Origins> {
    let mut listeners = config.listeners.iter();
    let first = listeners.find(|listener| listener.tls.is_some());
    let default = first.and_then(|first| {
        let mut sockets = sockets.iter();
        sockets.find(|socket| socket.name == first.name)?.port()
    });
    let port = |configured: Option<u16>| configured.or(default).unwrap_or(443);
    let served = config.virtual_hosts.iter().flat_map(|host| {
        let port = port(host.public_port);
        host.hosts
            .iter()
            .map(move |pattern| (pattern.clone(), port))
    });
    let collector = config.collector.as_ref();
    if collector.is_some() && first.is_none() {
        bail!("users sign in by https only, and no listener has TLS");
    }
    let collector =
        collector.map(|collector| (collector.host.clone(), port(collector.public_port)));
    Ok(Origins::new(collector, served.collect()))
}

/// Warns of hosts that no certificate is for: browsers will not go there. And of certificates whose time ends.
pub(super) fn warn_of_certificates(config: &Config, serving: &Serving, now: Timestamp) {
    warn_of_expiry(serving, now);
    let tables = config.listeners.iter();
    let tables = tables.filter_map(|at| serving.terminator(&at.name));
    let tables: Vec<_> = tables.map(|terminator| &*terminator.table).collect();
    if tables.is_empty() {
        return;
    }
    for host in unnamed_hosts(config, &tables) {
        tracing::warn!(virtual_host = %host, "no certificate is for this host");
    }
}

/// Warns of certificates that have expired, or are about to.
pub(super) fn warn_of_expiry(serving: &Serving, now: Timestamp) {
    for (listener, terminator) in serving.terminators() {
        for term in terminator.table.terms() {
            let (name, expires) = (&term.name, rfc3339_seconds(term.until));
            match term.state(now) {
                TermState::Expired => {
                    tracing::warn!(%listener, name, expires, "a certificate has expired");
                }
                TermState::ExpiresSoon => {
                    tracing::warn!(%listener, name, expires, "a certificate expires soon");
                }
                TermState::Good => {}
            }
        }
    }
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

//! A data centre: a disk that stays, a clock that is not quite right, and a process that comes and goes.
//!
//! The process is made of the real parts: engine, gate, collector. What it answers to a request is in
//! `serve`.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use portway::crypto::bearer::BindRules;
use portway::crypto::key_ring::KeyRing;
use portway::crypto::tags::Clusters;
use portway::decision::cookies::CookieNames;
use portway::decision::cookies::gito::Gito;
use portway::decision::cookies::settings::CookieSettings;
use portway::decision::kept_posts::KeptRules;
use portway::decision::origins::Origins;
use portway::decision::password::PasswordRules;
use portway::decision::routing::HostPattern;
use portway::decision::throttle::ThrottleRules;
use portway::engine::EmbeddedEngine;
use portway::engine::EngineParts;
use portway::engine::EngineSettings;
use portway::engine::FederationSettings;
use portway::engine::collector::Collector;
use portway::gate::Gate;
use portway::model::end::Incarnation;
use portway::model::id::KeyId;
use portway::model::name::ClusterId;
use portway::model::name::DeploymentId;
use portway::model::name::HostName;
use portway::model::name::UserName;
use portway::model::session::EndCause;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;
use portway::ports::audit_trail::NoTrail;
use portway::ports::clock::Clock;
use portway::ports::cookie_terms::CookieTerms;
use portway::ports::entropy::Entropy;
use portway::ports::session_engine::SessionEngine;
use portway::telemetry::complaints::Complaints;

use crate::contents::Disk;
use crate::directory::Directory;
use crate::directory::LEVEL;
use crate::directory::Provider;
use crate::door::Door;
use crate::event::Dc;
use crate::event::Event;
use crate::event::Link;
use crate::event::Start;
use crate::executor::Handle;
use crate::executor::Owner;
use crate::house::keep_house;
use crate::mutant;
use crate::mutant::Mutation;
use crate::network::Channel;
use crate::network::Listener;
use crate::network::Network;
use crate::plan::Plan;
use crate::plan::Records;
use crate::plan::SKEW;
use crate::random::Random;
use crate::store::SimStore;
use crate::truth;
use crate::witness::Witness;

/// What all data centres have in common.
pub(crate) struct Shared {
    pub(crate) plan: Plan,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) handle: Handle,
    pub(crate) witness: Arc<Witness>,
    pub(crate) network: Arc<Network>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) origins: Arc<Origins>,
    pub(crate) owners: AtomicU32,
}

/// A data centre.
pub(crate) struct Centre {
    pub(crate) dc: Dc,
    shared: Arc<Shared>,
    disk: Mutex<Arc<Disk>>,
    skew: Arc<AtomicI64>,
    is_deaf: Arc<AtomicBool>,
    has_lost_its_log: AtomicBool,
    process: Mutex<Option<Arc<Process>>>,
}

/// A running process of a data centre.
pub(crate) struct Process {
    pub(crate) dc: Dc,
    pub(crate) owner: Owner,
    pub(crate) door: Arc<Door>,
    pub(crate) gate: Gate,
    pub(crate) collector: Collector,
    pub(crate) store: Arc<SimStore>,
    pub(crate) shared: Arc<Shared>,
}

impl Centre {
    /// A data centre that has been there for a while, and is down.
    pub(crate) fn new(dc: Dc, skew: i64, shared: &Arc<Shared>) -> Self {
        let began = truth::clock(0, skew).before(BEFORE);
        let disk = Disk::empty(incarnation(dc, 0), began, shared.plan.records);
        shared.witness.note(&Event::ClockSet(dc, skew));
        Self {
            dc,
            shared: Arc::clone(shared),
            disk: Mutex::new(Arc::new(disk)),
            skew: Arc::new(AtomicI64::new(skew)),
            is_deaf: Arc::default(),
            has_lost_its_log: AtomicBool::new(false),
            process: Mutex::default(),
        }
    }

    pub(crate) fn process(&self) -> Option<Arc<Process>> {
        self.process.lock().clone()
    }

    pub(crate) fn now(&self) -> Timestamp {
        truth::clock(self.shared.handle.now(), self.skew.load(Ordering::Relaxed))
    }

    pub(crate) fn set_clock(&self, skew: i64) {
        self.skew.store(skew, Ordering::Relaxed);
        self.shared.witness.note(&Event::ClockSet(self.dc, skew));
    }

    pub(crate) fn fill_disk(&self) {
        self.disk.lock().is_full.store(true, Ordering::Relaxed);
        self.shared.witness.note(&Event::DiskFull(self.dc));
    }

    pub(crate) fn empty_disk(&self) {
        self.disk.lock().is_full.store(false, Ordering::Relaxed);
        let usable = || format!("{}'s disk is not full", self.dc);
        self.shared.witness.tell(usable);
    }

    pub(crate) fn reach_directory(&self, link: Link) {
        self.is_deaf.store(link == Link::Cut, Ordering::Relaxed);
        self.shared.witness.note(&Event::Directory(self.dc, link));
    }

    pub(crate) fn freeze(&self) {
        if let Some(process) = self.process() {
            self.shared.handle.freeze(process.owner);
            self.shared.witness.note(&Event::Froze(self.dc));
        }
    }

    pub(crate) fn thaw(&self) {
        if let Some(process) = self.process() {
            self.shared.handle.thaw(process.owner);
            self.shared.witness.note(&Event::Thawed(self.dc));
        }
    }

    /// Kills the process. Whatever it had in memory only is gone.
    pub(crate) fn crash(&self) {
        let Some(process) = self.process.lock().take() else {
            return;
        };
        self.shared.network.hang_up(self.dc);
        self.shared.witness.note(&Event::Crashed(self.dc));
        self.shared.handle.kill(process.owner);
    }

    /// Puts an empty disk in. The next start begins a new life of the end log.
    pub(crate) fn lose_disk(&self) {
        let life = u8::try_from(self.shared.handle.now() % 251).unwrap_or(0) + 1;
        let disk = Disk::empty(
            incarnation(self.dc, life),
            self.now(),
            self.shared.plan.records,
        );
        *self.disk.lock() = Arc::new(disk);
        self.has_lost_its_log.store(true, Ordering::Relaxed);
    }

    /// Starts a process with what is on disk, if none runs.
    pub(crate) fn start(&self) {
        if self.process.lock().is_some() {
            return;
        }
        let shared = &self.shared;
        let owner = Owner(shared.owners.fetch_add(1, Ordering::Relaxed) + 1);
        let disk = Arc::clone(&self.disk.lock());
        if shared.plan.records == Records::Durable {
            for record in disk.contents.lock().records.values() {
                shared.witness.note(&Event::Stored(self.dc, None, record));
            }
        }
        let remembers_since = match shared.plan.records {
            Records::Durable => disk.began,
            Records::Lost => self.now(),
        };
        let start = Start {
            has_its_log: !self.has_lost_its_log.swap(false, Ordering::Relaxed),
            log_began: disk.began,
            remembers_since,
        };
        shared.witness.note(&Event::Started(self.dc, start));
        let process = Arc::new(self.assemble(owner, &disk));
        let listener = Listener {
            owner,
            service: mutant::service(shared.mutation, &process.door.engines[0], &process.store),
        };
        shared.network.listen(self.dc, listener);
        keep_house(&process);
        *self.process.lock() = Some(process);
    }

    fn assemble(&self, owner: Owner, disk: &Arc<Disk>) -> Process {
        let shared = &self.shared;
        let plan = &shared.plan;
        let place = (self.dc, owner);
        let store = SimStore::open(place, disk, self.now(), &shared.handle, &shared.witness);
        let clock: Arc<dyn Clock> = Arc::new(SimClock {
            handle: shared.handle.clone(),
            skew: Arc::clone(&self.skew),
        });
        let seed = plan.seed ^ (u64::from(owner.0) << 32);
        let random = Mutex::new(Random::stream(seed, "entropy"));
        let entropy: Arc<dyn Entropy> = Arc::new(SimEntropy(random));
        let channel = Channel::new(self.dc, &shared.network);
        let (records, ends) = mutant::store(shared.mutation, &store, &clock, plan);
        let parts = EngineParts {
            store: records,
            ends,
            peers: mutant::channel(shared.mutation, channel, &store),
            provider: Arc::new(Provider {
                directory: Arc::clone(&shared.directory),
                is_deaf: Arc::clone(&self.is_deaf),
                handle: shared.handle.clone(),
            }),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        };
        let settings = settings(shared, shared.network.name(self.dc));
        let door = Arc::new(Door {
            dc: self.dc,
            engines: engines(shared.mutation, &parts, &settings),
            turn: AtomicUsize::new(0),
            handle: shared.handle.clone(),
            witness: Arc::clone(&shared.witness),
            mutation: shared.mutation,
        });
        let names = CookieNames::new(&DeploymentId::parse("sim").unwrap());
        let cookies = Arc::new(cookie_settings(plan, shared.network.name(self.dc)));
        Process {
            dc: self.dc,
            owner,
            gate: Gate {
                engine: Arc::<Door>::clone(&door),
                keys: Arc::clone(&shared.keys),
                names: names.clone(),
                terms: Arc::new(CookieTerms::configured(Arc::clone(&cookies))),
                origins: Arc::clone(&shared.origins),
                audit: Arc::new(NoTrail),
                clock: Arc::clone(&clock),
                entropy: Arc::clone(&entropy),
            },
            collector: Collector {
                engine: Arc::<Door>::clone(&door),
                keys: Arc::clone(&shared.keys),
                names,
                settings: cookies,
                origins: Arc::clone(&shared.origins),
                host: HostName::parse(COLLECTOR).unwrap(),
                password: PasswordRules::default(),
                bind_to: BindRules::default(),
                password_level: Some(LEVEL),
                parties: Vec::new(),
                audit: Arc::new(NoTrail),
                clock,
                entropy,
                complaints: Complaints::default(),
            },
            door,
            store,
            shared: Arc::clone(shared),
        }
    }

    /// An administrator ends a session.
    pub(crate) fn kill_session(&self, facts: SsoFacts) {
        if let Some(process) = self.process() {
            let door = Arc::clone(&process.door);
            self.shared.handle.spawn(process.owner, async move {
                door.end(&facts, EndCause::Killed).await;
            });
        }
    }

    /// The data centre notices that a user is disabled, and cuts the user off.
    pub(crate) fn cut_off(&self, user: UserName) {
        if let Some(process) = self.process() {
            let door = Arc::clone(&process.door);
            let store = self.shared.directory.store().clone();
            self.shared.handle.spawn(process.owner, async move {
                door.end_all(&store, &user).await.ok();
            });
        }
    }
}

fn engines(
    mutation: Option<Mutation>,
    parts: &EngineParts,
    settings: &EngineSettings,
) -> Vec<Arc<EmbeddedEngine>> {
    let engine = || Arc::new(EmbeddedEngine::new(parts.clone(), settings.clone()));
    match mutation {
        Some(Mutation::NoSingleFlight) => vec![engine(), engine()],
        _ => vec![engine()],
    }
}

fn settings(shared: &Shared, cluster: &ClusterId) -> EngineSettings {
    let plan = &shared.plan;
    EngineSettings {
        cluster: cluster.clone(),
        idle_timeout: plan.idle,
        lifetime: plan.lifetime,
        per_user_max: plan.per_user_max,
        kept_posts: KeptRules::default(),
        password: PasswordRules::default(),
        throttle: ThrottleRules::default(),
        federation: Some(mutant::settings(
            shared.mutation,
            FederationSettings {
                adoption: plan.policy,
                partition_lease: plan.lease,
                min_hold: plan.min_hold,
                reservation_lapse: plan.lapse,
                skew: SKEW,
                adoptions_per_peer_max: 64,
                adoptions_per_address_max: 64,
                keys: vec![KeyId(1)],
            },
        )),
    }
}

fn cookie_settings(plan: &Plan, cluster: &ClusterId) -> CookieSettings {
    let names = crate::event::NAMES.iter().take(plan.centres);
    let clusters = Clusters::new(names.map(|name| ClusterId::parse(name).unwrap()));
    CookieSettings {
        cluster: cluster.clone(),
        clusters: clusters.unwrap(),
        anchor: plan.policy.anchor,
        authn_lifetime: Some(plan.authn_lifetime),
        gito: plan.gito.map(|granularity| Gito {
            domain: HostName::parse(DOMAIN).unwrap(),
            granularity,
        }),
        skew_allowance: SKEW.allowance,
        skew_hard: SKEW.hard,
    }
}

/// The hosts that every data centre serves.
pub(crate) fn origins(plan: &Plan) -> Origins {
    let collector = HostName::parse(COLLECTOR).unwrap();
    let hosts = (0..plan.hosts).map(application);
    let served = hosts.map(|host| (HostPattern::parse(host.as_str()).unwrap(), 443));
    Origins::new(Some((collector, 443)), served.collect())
}

/// An application host, by its number.
pub(crate) fn application(number: usize) -> HostName {
    HostName::parse(&format!("app{number}.{DOMAIN}")).unwrap()
}

fn incarnation(dc: Dc, life: u8) -> Incarnation {
    let mut bytes = [life; 16];
    bytes[0] = u8::try_from(dc.0 + 1).unwrap_or(u8::MAX);
    Incarnation(bytes)
}

/// The clock of a data centre.
struct SimClock {
    handle: Handle,
    skew: Arc<AtomicI64>,
}

#[async_trait]
impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        truth::clock(self.handle.now(), self.skew.load(Ordering::Relaxed))
    }

    async fn sleep(&self, span: Duration) {
        self.handle.sleep(span).await;
    }
}

struct SimEntropy(Mutex<Random>);

impl Entropy for SimEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let mut random = self.0.lock();
        for chunk in bytes.chunks_mut(8) {
            let drawn = random.next().to_le_bytes();
            chunk.copy_from_slice(&drawn[..chunk.len()]);
        }
    }
}

/// The domain that everything is under.
pub(crate) const DOMAIN: &str = "example.test";
/// Where users sign in.
pub(crate) const COLLECTOR: &str = "login.example.test";
/// Where a browser is, by its number.
pub(crate) fn address(browser: usize) -> IpAddr {
    IpAddr::from([192, 0, 2, u8::try_from(browser).unwrap_or(0)])
}

/// How long the data centres have been there when a run begins.
const BEFORE: Duration = Duration::from_secs(60 * 60);

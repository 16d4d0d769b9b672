//! The rig: engines, gates, relays between them, and a clock that a test sets off.

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::backchannel::BackChannel;
use crate::backchannel::GateLimits;
use crate::backchannel::GateTerms;
use crate::backchannel::RemoteEngine;
use crate::backchannel::Services;
use crate::backchannel::World;
use crate::config::mdc;
use crate::config::mdc::DataCentreMarks;
use crate::config::mdc::EnrolledGate;
use crate::config::mdc::Mdc;
use crate::config::mdc::NodeAddress;
use crate::config::mdc::PeerTls;
use crate::config::mdc::RemoteAddress;
use crate::config::mdc::Security;
use crate::config::mdc::SkewLimits;
use crate::crypto::pki::authority;
use crate::crypto::pki::authority::Authority;
use crate::crypto::pki::authority::Days;
use crate::crypto::pki::bundle::Chance;
use crate::crypto::pki::node_name::NodeName;
use crate::crypto::pki::passphrase::Passphrase;
use crate::decision::adoption::AdoptionPolicy;
use crate::decision::cookies::gito::Gito;
use crate::model::claim::Claim;
use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::claim::Presented;
use crate::model::end::Confirmed;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::peer::Answer;
use crate::model::peer::Question;
use crate::model::secret::Secret;
use crate::model::session::Attributes;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::peer_service::PeerService;
use crate::ports::resolver::ResolveError;
use crate::ports::resolver::Resolved;
use crate::ports::resolver::Resolver;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::StoreError;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

/// How long a test waits for what should take a moment, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks again and again until it is so; fails after a bound, naming what did not come.
#[track_caller]
pub(in crate::backchannel) fn until(
    what: &'static str,
    mut is_so: impl FnMut() -> bool,
) -> impl Future<Output = ()> {
    let asking = async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            ticks.tick().await;
        }
    };
    async move {
        let done = tokio::time::timeout(PATIENCE, asking).await;
        assert!(done.is_ok(), "{what}: not within {PATIENCE:?}");
    }
}

pub(in crate::backchannel) fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

pub(in crate::backchannel) fn sso(number: u32) -> SsoId {
    SsoId::from_bytes(u128::from(number).to_be_bytes())
}

/// An engine that holds what a test gives it.
pub(in crate::backchannel) struct StandIn {
    pub(in crate::backchannel) sessions: Mutex<HashMap<SsoId, Session>>,
    pub(in crate::backchannel) over: Mutex<HashSet<SsoId>>,
    pub(in crate::backchannel) touched: Mutex<Vec<(SsoId, Timestamp)>>,
    pub(in crate::backchannel) visits: Mutex<Vec<HostName>>,
    pub(in crate::backchannel) judged: AtomicUsize,
    spent: Mutex<HashSet<[u8; 16]>>,
    pub(in crate::backchannel) is_durable: AtomicBool,
    pub(in crate::backchannel) ended: broadcast::Sender<SsoId>,
}

impl StandIn {
    pub(in crate::backchannel) fn new() -> Self {
        Self {
            sessions: Mutex::default(),
            over: Mutex::default(),
            touched: Mutex::default(),
            visits: Mutex::default(),
            judged: AtomicUsize::new(0),
            spent: Mutex::default(),
            is_durable: AtomicBool::new(true),
            ended: broadcast::channel(8192).0,
        }
    }

    /// Begins a session.
    pub(in crate::backchannel) fn hold(&self, number: u32) -> Claim {
        let session = session(number);
        let claim = claim(&session);
        self.sessions.lock().insert(session.facts.sso, session);
        claim
    }

    /// Ends a session as an engine does: in memory first, then by telling of it.
    pub(in crate::backchannel) fn drop_session(&self, sso: SsoId) {
        self.sessions.lock().remove(&sso);
        self.over.lock().insert(sso);
        self.ended.send(sso).ok();
    }

    pub(in crate::backchannel) fn judged(&self) -> usize {
        self.judged.load(Ordering::SeqCst)
    }

    pub(in crate::backchannel) fn is_over(&self, sso: &SsoId) -> bool {
        self.over.lock().contains(sso)
    }
}

#[async_trait]
impl SessionEngine for StandIn {
    fn lookup(&self, claim: &Claim, _: Timestamp) -> Lookup {
        assert_eq!(claim.presented.at, Place::Application);
        if self.is_over(&claim.facts.sso) {
            return Lookup::NotLive(NotLive::Ended);
        }
        match self.sessions.lock().get(&claim.facts.sso) {
            Some(session) => Lookup::Live(Arc::new(session.clone())),
            None => Lookup::NotLive(NotLive::Missing),
        }
    }

    async fn resolve(&self, claim: &Claim, now: Timestamp) -> Lookup {
        self.lookup(claim, now)
    }

    async fn judge(&self, claim: &Claim, now: Timestamp) -> Lookup {
        self.judged.fetch_add(1, Ordering::SeqCst);
        self.lookup(claim, now)
    }

    fn is_standing(&self, sso: &SsoId) -> bool {
        self.sessions.lock().contains_key(sso)
    }

    /// Gates know which engine they asked.
    fn holder(&self, _: &Session) -> Option<Holder> {
        None
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.touched.lock().push((*sso, now));
    }

    async fn sign_in(&self, _: SignIn) -> Result<Arc<Session>, SignInError> {
        Err(StoreError::Closed.into())
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        self.visits.lock().push(host.clone());
        if let Some(session) = self.sessions.lock().get_mut(&claim.facts.sso) {
            session.visited.push(host.clone());
        }
        self.lookup(claim, Timestamp::default())
    }

    fn spend(&self, token: TokenId, _: Timestamp) -> bool {
        self.spent.lock().insert(*token.as_bytes())
    }

    async fn end(&self, facts: &SsoFacts, _: EndCause) -> Ended {
        let record = self.sessions.lock().get(&facts.sso).cloned();
        self.drop_session(facts.sso);
        Ended {
            cluster: Some(cluster("ny")),
            visited: record.map(|record| record.visited).unwrap_or_default(),
            durable: if self.is_durable.load(Ordering::SeqCst) {
                Ok(())
            } else {
                Err(StoreError::Closed)
            },
            peers: vec![
                (cluster("ldc"), Confirmed::Durable),
                (cluster("sfo"), Confirmed::Outstanding),
            ],
        }
    }

    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        self.ended.subscribe()
    }
}

/// Says nothing to peers: here are none.
struct NoPeerService;

#[async_trait]
impl PeerService for NoPeerService {
    async fn answer(&self, _: &ClusterId, _: Question) -> Answer {
        Answer::Unknown
    }
}

/// The system's clock, set off by a test.
#[derive(Default)]
pub(in crate::backchannel) struct TestClock(AtomicI64);

impl TestClock {
    pub(in crate::backchannel) fn set_off_by(&self, millis: i64) {
        self.0.store(millis, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let now = i64::try_from(SystemClock.now().as_millis()).unwrap();
        let now = now + self.0.load(Ordering::SeqCst);
        Timestamp::from_millis(u64::try_from(now).unwrap())
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }
}

/// Knows literal addresses.
struct Literal;

#[async_trait]
impl Resolver for Literal {
    async fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        Ok(Resolved {
            addresses: vec![name.parse().unwrap()],
            valid_for: Duration::from_mins(1),
            unknown: None,
        })
    }

    async fn offered(
        &self,
        service: &str,
    ) -> Result<crate::ports::resolver::Offered, ResolveError> {
        panic!("nobody asks for the service {service}")
    }
}

pub(in crate::backchannel) fn world(clock: Arc<dyn Clock>) -> World {
    World {
        clock,
        entropy: Arc::new(SystemEntropy::new()),
        resolver: Arc::new(Literal),
    }
}

/// The private CA of the run.
fn ca() -> &'static Authority {
    static CA: OnceLock<Authority> = OnceLock::new();
    CA.get_or_init(|| new_ca(1))
}

/// Makes a CA as `portway pki init` does.
pub(in crate::backchannel) fn new_ca(mark: u8) -> Authority {
    let phrase = Secret::new(b"a pass phrase of the tests".to_vec());
    let phrase = Passphrase::choose(phrase).unwrap();
    let chance = Chance {
        salt: [mark; 16],
        nonce: [mark; 12],
    };
    let bundle = authority::make(&phrase, SystemClock.now(), chance).unwrap();
    bundle.unlock(&phrase).unwrap()
}

/// Files that are not on any disk.
struct Files(HashMap<PathBuf, Vec<u8>>);

impl Files {
    fn of(node: &NodeName, ca: &Authority) -> (Self, Security) {
        let issued = ca.issue(node, Days::NODE, SystemClock.now()).unwrap();
        let tls = PeerTls {
            certificate_file: "node.pem".into(),
            key_file: "node.key".into(),
            ca_file: "ca.pem".into(),
        };
        let files = [
            (&tls.certificate_file, issued.certificate_pem.into_bytes()),
            (&tls.key_file, issued.key_pem.expose().to_vec()),
            (&tls.ca_file, issued.ca_pem.into_bytes()),
        ];
        let files = files.map(|(path, content)| (path.clone(), content));
        (Self(files.into()), Security::Simple(tls))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.0.get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// An engine node of a data centre, with a relay in front of it.
pub(in crate::backchannel) struct Site {
    pub(in crate::backchannel) engine: Arc<StandIn>,
    pub(in crate::backchannel) relay: Relay,
    /// How long its authn cookies are good, from its next start on.
    pub(in crate::backchannel) authn_lifetime: Duration,
    name: &'static str,
    stop: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

impl Site {
    /// Starts an engine node that these gates are enrolled with.
    pub(in crate::backchannel) async fn start(name: &'static str, gates: &[&str]) -> Self {
        let engine = Arc::new(StandIn::new());
        let authn_lifetime = Duration::from_mins(15);
        let (address, stop, serving) = serve(name, gates, &engine, authn_lifetime);
        Self {
            engine,
            relay: Relay::start(address).await,
            authn_lifetime,
            name,
            stop,
            serving,
        }
    }

    /// Starts the process anew behind the same relay: with the same sessions, and another feed of ends.
    pub(in crate::backchannel) async fn restart(&mut self, gates: &[&str]) {
        self.relay.set(Passage::Cut);
        self.stop.send_replace(true);
        (&mut self.serving).await.unwrap();
        let started = serve(self.name, gates, &self.engine, self.authn_lifetime);
        let (address, stop, serving) = started;
        (self.stop, self.serving) = (stop, serving);
        *self.relay.target.lock() = address;
        self.relay.set(Passage::Open);
    }

    fn remote(&self) -> RemoteAddress {
        let address = self.relay.address;
        RemoteAddress {
            cluster: cluster(self.name),
            address: NodeAddress {
                host: address.ip().to_string(),
                port: address.port(),
                weight: 1,
            },
        }
    }
}

fn serve(
    name: &str,
    gates: &[&str],
    engine: &Arc<StandIn>,
    authn_lifetime: Duration,
) -> (SocketAddr, watch::Sender<bool>, JoinHandle<()>) {
    let (files, security) = Files::of(&NodeName::Engine(cluster(name)), ca());
    let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    let mdc = Mdc {
        adoption: AdoptionPolicy::default(),
        gito: Some(Gito {
            domain: HostName::parse("test").unwrap(),
            granularity: Duration::from_secs(20),
        }),
        authn_lifetime,
        partition_lease: Duration::from_mins(30),
        min_hold: Duration::ZERO,
        reservation_lapse: Duration::from_secs(5),
        adoptions_per_peer_max: 64,
        adoptions_per_address_max: 64,
        pull_interval: Duration::from_secs(1),
        skew: SkewLimits::default(),
        marks: DataCentreMarks::default(),
        back_channel: mdc::BackChannel {
            bind: address,
            security,
            connection_age_max: Duration::from_mins(10),
            keep_alive_interval: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            questions_max: 64,
            circuit_failures: 5,
            circuit_pause: Duration::from_millis(300),
        },
        peers: Vec::new(),
        gates: gates
            .iter()
            .map(|name| EnrolledGate {
                name: cluster(name),
                password: None,
            })
            .collect(),
    };
    let world = world(Arc::new(SystemClock));
    let back = BackChannel::new(&cluster(name), &mdc, &world, &|path| files.read(path)).unwrap();
    let door = Arc::clone(engine) as Arc<dyn SessionEngine>;
    let services = Services::new(Arc::new(NoPeerService));
    let terms = GateTerms::of(&cluster(name), &mdc);
    let limits = GateLimits {
        idle_timeout: IDLE_TIMEOUT,
        hard_skew: mdc.skew.hard,
    };
    let services = services.answering_gates(door, terms, limits, &world);
    let (stop, stopping) = watch::channel(false);
    let server = Arc::clone(back.server());
    let serving = tokio::spawn(async move {
        server
            .serve(socket, services, Handle::current, stopping)
            .await
            .unwrap();
    });
    (address, stop, serving)
}

/// What a relay does with bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::backchannel) enum Passage {
    /// It closes every connection.
    Cut,
    /// It keeps connections and lets nothing through.
    Frozen,
    /// It lets everything through.
    Open,
}

/// Stands between a gate and an engine.
pub(in crate::backchannel) struct Relay {
    pub(in crate::backchannel) address: SocketAddr,
    passage: watch::Sender<Passage>,
    target: Arc<Mutex<SocketAddr>>,
}

impl Relay {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let passage = watch::Sender::new(Passage::Open);
        let target = Arc::new(Mutex::new(target));
        let (state, to) = (passage.subscribe(), Arc::clone(&target));
        tokio::spawn(async move {
            while let Ok((here, _)) = listener.accept().await {
                let to = *to.lock();
                tokio::spawn(relay(here, to, state.clone()));
            }
        });
        Self {
            address,
            passage,
            target,
        }
    }

    pub(in crate::backchannel) fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }
}

async fn relay(here: TcpStream, to: SocketAddr, passage: watch::Receiver<Passage>) {
    if *passage.borrow() == Passage::Cut {
        return;
    }
    let Ok(there) = TcpStream::connect(to).await else {
        return;
    };
    let (mut here_in, mut here_out) = here.into_split();
    let (mut there_in, mut there_out) = there.into_split();
    let mut cut = passage.clone();
    tokio::select! {
        () = pass(&mut here_in, &mut there_out, passage.clone()) => {}
        () = pass(&mut there_in, &mut here_out, passage) => {}
        _ = cut.wait_for(|passage| *passage == Passage::Cut) => {}
    }
}

async fn pass(
    from: &mut (impl AsyncReadExt + Unpin),
    to: &mut (impl AsyncWriteExt + Unpin),
    mut passage: watch::Receiver<Passage>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        let open = passage.wait_for(|passage| *passage == Passage::Open);
        let is_over = open.await.is_err();
        if is_over || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// A gate without an engine, running.
pub(in crate::backchannel) struct TestGate {
    pub(in crate::backchannel) remote: Arc<RemoteEngine>,
    pub(in crate::backchannel) clock: Arc<TestClock>,
    pub(in crate::backchannel) ended: Mutex<broadcast::Receiver<SsoId>>,
    stop: watch::Sender<bool>,
    running: JoinHandle<()>,
}

/// What a test chooses about a gate.
pub(in crate::backchannel) struct Plan<'p> {
    pub(in crate::backchannel) name: &'static str,
    pub(in crate::backchannel) primary: Vec<&'p Site>,
    pub(in crate::backchannel) secondary: Vec<&'p Site>,
    pub(in crate::backchannel) timeout: Duration,
    pub(in crate::backchannel) cache_max: usize,
    pub(in crate::backchannel) ca: Option<Authority>,
}

impl<'p> Plan<'p> {
    /// A gate with one engine in its own data centre.
    pub(in crate::backchannel) fn at(site: &'p Site) -> Self {
        Self {
            name: GATE,
            primary: vec![site],
            secondary: Vec::new(),
            timeout: Duration::from_secs(10),
            cache_max: 1000,
            ca: None,
        }
    }

    pub(in crate::backchannel) fn start(self) -> TestGate {
        let node = NodeName::Gate(cluster(self.name));
        let (files, security) = Files::of(&node, self.ca.as_ref().unwrap_or_else(|| ca()));
        let remotes = |sites: &[&Site]| sites.iter().map(|site| site.remote()).collect();
        let config = mdc::RemoteEngine {
            name: cluster(self.name),
            primary: remotes(&self.primary),
            secondary: remotes(&self.secondary),
            failover_threshold: 1,
            security,
            password: None,
            timeout: self.timeout,
            cache_max: self.cache_max,
        };
        let clock = Arc::new(TestClock::default());
        let world = world(Arc::clone(&clock) as _);
        let remote = RemoteEngine::new(&config, &world, &|path| files.read(path)).unwrap();
        let remote = Arc::new(remote);
        let (stop, stopping) = watch::channel(false);
        let ended = Mutex::new(remote.watch_ended());
        let running = tokio::spawn(Arc::clone(&remote).run(stopping));
        TestGate {
            remote,
            clock,
            ended,
            stop,
            running,
        }
    }
}

impl TestGate {
    pub(in crate::backchannel) fn lookup(&self, claim: &Claim) -> Lookup {
        self.remote.lookup(claim, self.clock.now())
    }

    pub(in crate::backchannel) async fn resolve(&self, claim: &Claim) -> Lookup {
        self.remote.resolve(claim, self.clock.now()).await
    }

    /// Waits until the gate follows an engine, by its place in the lists.
    pub(in crate::backchannel) async fn follows(&self, engine: usize) {
        let node = Arc::clone(self.remote.node(engine).unwrap());
        until("the engine is followed", || {
            node.is_followed(self.clock.now())
        })
        .await;
    }

    /// Waits until the gate has been told that a session stopped serving.
    pub(in crate::backchannel) async fn hears_the_end_of(&self, sso: SsoId) {
        until("the end is heard", || self.was_told_of(sso)).await;
    }

    /// Whether the gate was told so since this was asked last.
    pub(in crate::backchannel) fn was_told_of(&self, sso: SsoId) -> bool {
        let mut ended = self.ended.lock();
        std::iter::from_fn(|| ended.try_recv().ok()).any(|told| told == sso)
    }

    /// Stops it in order.
    pub(in crate::backchannel) async fn stop(self) {
        self.stop.send_replace(true);
        self.running.await.unwrap();
    }
}

pub(in crate::backchannel) fn is_live(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Live(_))
}

pub(in crate::backchannel) fn is_unknown(lookup: &Lookup) -> bool {
    matches!(lookup, Lookup::Unknown)
}

#[track_caller]
pub(in crate::backchannel) fn assert_not_live(lookup: &Lookup, why: NotLive) {
    match lookup {
        Lookup::NotLive(found) => assert_eq!(*found, why),
        Lookup::Live(_) | Lookup::Unknown => panic!("{lookup:?}"),
    }
}

pub(in crate::backchannel) fn session(number: u32) -> Session {
    let now = SystemClock.now();
    let (store, subject) = (
        StoreName::parse("users").unwrap(),
        UserName::parse("alice").unwrap(),
    );
    Session {
        id: SessionId::from_bytes([1; 16]),
        facts: SsoFacts {
            sso: sso(number),
            subject: subject.clone(),
            store: store.clone(),
            first_authenticated: now,
            expires: now.after(Duration::from_hours(24)),
            generation: Generation(1),
            level: AuthLevel::new(1).unwrap(),
            level_reached: now,
        },
        state: SessionState::Live,
        identity: Identity {
            store,
            subject,
            name: None,
            email: None,
            groups: Vec::new(),
            attributes: Default::default(),
        },
        last_access: now,
        client_address: IpAddr::from(Ipv4Addr::LOCALHOST),
        held_since: now,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 1,
    }
}

fn claim(session: &Session) -> Claim {
    Claim {
        facts: session.facts.clone(),
        cluster: cluster("ny"),
        session: session.id,
        hints: Vec::new(),
        last_access: None,
        presented: Presented {
            at: Place::Application,
            client_address: session.client_address,
            limits: HostLimits::NONE,
        },
    }
}

pub(in crate::backchannel) const GATE: &str = "edge-1";
pub(in crate::backchannel) const IDLE_TIMEOUT: Duration = Duration::from_mins(30);

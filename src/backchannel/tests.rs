//! Two data centres on loopback: real sockets, real TLS, a service that answers as it is told, a clock and
//! files that tests change.
//!
//! The rules themselves are in the files of `tests/`.

use std::collections::HashMap as Map;
use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use parking_lot::Mutex;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::SanType;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use super::*;
use crate::config::mdc::BackChannel as BackChannelConfig;
use crate::config::mdc::DataCentreMarks;
use crate::config::mdc::EnrolledGate;
use crate::config::mdc::PeerTls;
use crate::config::mdc::SkewLimits;
use crate::decision::adoption::AdoptionPolicy;
use crate::model::end::Incarnation;
use crate::model::id::AdoptionId;
use crate::model::id::SsoId;
use crate::model::peer::Answer;
use crate::model::peer::Greeting;
use crate::model::peer::Question;
use crate::model::peer::Silence;
use crate::model::time::Timestamp;
use crate::ports::peer_channel::PeerChannel;
use crate::ports::peer_service::PeerService;
use crate::ports::resolver::ResolveError;
use crate::ports::resolver::Resolved;
use crate::system::SystemClock;
use crate::system::SystemEntropy;

mod failover_tests;
mod hostile_tests;
mod refusal_tests;
mod reload_tests;
mod speaking_tests;
mod upkeep_tests;

/// How long a test waits for what should take a moment, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);
/// What one question may take where the peer is well.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks again and again until it is so; fails after [`PATIENCE`], naming what did not come.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let asking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !is_so() {
            ticks.tick().await;
        }
    };
    let done = tokio::time::timeout(PATIENCE, asking).await;
    assert!(done.is_ok(), "{what}: not within {PATIENCE:?}");
}

fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

fn engine(name: &str) -> NodeName {
    NodeName::Engine(cluster(name))
}

fn gate(name: &str) -> NodeName {
    NodeName::Gate(cluster(name))
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// A CA of one run.
struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Peers");
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    fn issue(
        &self,
        node: &NodeName,
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::URI(node.to_string().try_into().unwrap())];
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// The files of one node.
#[derive(Clone, Default)]
struct Files(Arc<Mutex<Map<PathBuf, Vec<u8>>>>);

impl Files {
    /// Writes certificate, key and CA under a name, and answers where they are.
    fn write(&self, name: &str, (chain, key): &(String, String), ca: &str) -> PeerTls {
        let files = PeerTls {
            certificate_file: PathBuf::from(format!("{name}.pem")),
            key_file: PathBuf::from(format!("{name}.key")),
            ca_file: PathBuf::from(format!("{name}-ca.pem")),
        };
        self.put(&files.certificate_file, chain);
        self.put(&files.key_file, key);
        self.put(&files.ca_file, ca);
        files
    }

    fn put(&self, path: &Path, text: &str) {
        self.0
            .lock()
            .insert(path.to_owned(), text.as_bytes().to_vec());
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self.0.lock().get(path).cloned();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

/// The system's clock, set off by a test.
#[derive(Default)]
struct TestClock(AtomicI64);

impl TestClock {
    fn set_off_by(&self, millis: i64) {
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

/// Knows literal addresses, and names that a test gives it.
#[derive(Default)]
struct TestResolver(Mutex<Map<String, Vec<IpAddr>>>);

#[async_trait]
impl Resolver for TestResolver {
    async fn resolve(&self, name: &str) -> Result<Resolved, ResolveError> {
        let literal = name.parse().ok().map(|ip| vec![ip]);
        let known = || self.0.lock().get(name).cloned();
        let addresses = literal.or_else(known).ok_or_else(|| ResolveError {
            ask_again: Duration::from_secs(1),
            name: name.to_owned(),
            source: Box::new(io::Error::from(io::ErrorKind::NotFound)),
        })?;
        Ok(Resolved {
            addresses,
            valid_for: Duration::from_secs(1),
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

/// Answers `LastAccess` with a greeting of who asked, after a while if a test says so.
struct TestService {
    own: ClusterId,
    asked: Mutex<Vec<(ClusterId, Question)>>,
    finished: AtomicUsize,
    /// Answers take a permit each, where there is a bound.
    held: Option<Semaphore>,
}

impl TestService {
    fn asked(&self) -> usize {
        self.asked.lock().len()
    }

    fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl PeerService for TestService {
    async fn answer(&self, from: &ClusterId, question: Question) -> Answer {
        self.asked.lock().push((from.clone(), question.clone()));
        if let Some(held) = &self.held {
            held.acquire().await.unwrap().forget();
        }
        self.finished.fetch_add(1, Ordering::SeqCst);
        match question {
            // As long an answer as the question is.
            Question::Hello(heard) => Answer::Hello(Greeting {
                keys: heard.keys,
                ..greeting(self.own.as_str())
            }),
            Question::Abort { sso, .. } if sso == PANICS => panic!("as the test asked for"),
            Question::Abort { .. }
            | Question::Commit { .. }
            | Question::Fetch { .. }
            | Question::LastAccess { .. }
            | Question::PullEnds { .. }
            | Question::PushEnds { .. }
            | Question::Reserve { .. } => Answer::Done,
        }
    }
}

const PANICS: SsoId = SsoId::from_bytes([0xff; 16]);

fn greeting(name: &str) -> Greeting {
    Greeting {
        cluster: cluster(name),
        incarnation: Incarnation([1; 16]),
        version: "0.0.0".to_owned(),
        now: Timestamp::from_millis(0),
        keys: Vec::new(),
        seals: None,
        stores: Vec::new(),
    }
}

/// An address of this machine where nobody listens until a test does, and never anybody else: not before, and
/// not after a node that was there has ended.
fn kept_address() -> SocketAddr {
    static HELD: Mutex<Vec<tokio::net::TcpSocket>> = Mutex::new(Vec::new());
    // A bound socket that never listens lets others listen beside it, if both share the address.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.set_reuseaddr(true).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    held.bind(any).unwrap();
    let address = held.local_addr().unwrap();
    HELD.lock().push(held);
    address
}

/// A question that does something.
fn abort() -> Question {
    Question::Abort {
        sso: SsoId::from_bytes([1; 16]),
        adoption: AdoptionId::from_bytes([2; 16]),
    }
}

/// A data centre to be started: its name, its listener, and what a test changes about it.
struct Plan {
    name: &'static str,
    socket: std::net::TcpListener,
    address: SocketAddr,
    files: Files,
    mdc: Mdc,
    service: TestService,
    limits: Option<ServerLimits>,
    gates: Option<Arc<dyn desk::services::GateVerbs>>,
}

impl Plan {
    fn new(name: &'static str, security: Security, files: Files) -> Self {
        let address = kept_address();
        Self::at(name, security, files, address.ip(), address.port())
    }

    fn at(name: &'static str, security: Security, files: Files, ip: IpAddr, port: u16) -> Self {
        let socket = std::net::TcpListener::bind((ip, port)).unwrap();
        let address = socket.local_addr().unwrap();
        let config = BackChannelConfig {
            bind: address,
            security,
            connection_age_max: Duration::from_mins(10),
            keep_alive_interval: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            questions_max: 64,
            circuit_failures: 5,
            circuit_pause: Duration::from_millis(300),
        };
        Self {
            name,
            socket,
            address,
            files,
            mdc: Mdc {
                adoption: AdoptionPolicy::default(),
                gito: None,
                authn_lifetime: Duration::from_mins(15),
                partition_lease: Duration::from_mins(30),
                min_hold: Duration::ZERO,
                reservation_lapse: Duration::from_secs(5),
                adoptions_per_peer_max: 64,
                adoptions_per_address_max: 64,
                pull_interval: Duration::from_secs(1),
                skew: SkewLimits::default(),
                marks: DataCentreMarks::default(),
                back_channel: config,
                peers: Vec::new(),
                gates: Vec::new(),
            },
            service: TestService {
                own: cluster(name),
                asked: Mutex::default(),
                finished: AtomicUsize::new(0),
                held: None,
            },
            limits: None,
            gates: None,
        }
    }

    /// A data centre with certificates of this CA.
    fn tls(name: &'static str, ca: &Ca) -> Self {
        let files = Files::default();
        let security = tls_of(name, ca, &files);
        Self::new(name, security, files)
    }

    /// A data centre without TLS.
    fn open(name: &'static str) -> Self {
        Self::new(name, Security::Open, Files::default())
    }

    /// Adds a peer, reached at these addresses, in this node's own mode.
    fn peer(mut self, name: &str, primary: &[SocketAddr], secondary: &[SocketAddr]) -> Self {
        let node = |address: &SocketAddr| NodeAddress {
            host: address.ip().to_string(),
            port: address.port(),
            weight: 1,
        };
        self.mdc.peers.push(Peer {
            cluster: cluster(name),
            primary: primary.iter().map(node).collect(),
            secondary: secondary.iter().map(node).collect(),
            failover_threshold: 1,
            security: self.mdc.back_channel.security.clone(),
            password: Some(secret("what both know")),
        });
        self
    }

    fn gate(mut self, name: &str) -> Self {
        self.mdc.gates.push(EnrolledGate {
            name: cluster(name),
            password: Some(secret("what both know")),
        });
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Mdc)) -> Self {
        change(&mut self.mdc);
        self
    }

    /// Answers wait until they are let go.
    fn holding(mut self) -> Self {
        self.service.held = Some(Semaphore::new(0));
        self
    }

    fn limited(mut self, change: impl FnOnce(&mut ServerLimits)) -> Self {
        let mut limits = server_limits(&self.mdc);
        change(&mut limits);
        self.limits = Some(limits);
        self
    }

    fn start(self) -> Node {
        let clock = Arc::new(TestClock::default());
        let resolver = Arc::new(TestResolver::default());
        let world = World {
            clock: Arc::clone(&clock) as _,
            entropy: Arc::new(SystemEntropy::new()),
            resolver: Arc::clone(&resolver) as _,
        };
        let read = |path: &Path| self.files.read(path);
        let limits = self.limits.unwrap_or_else(|| server_limits(&self.mdc));
        let back = BackChannel::assemble(&cluster(self.name), &self.mdc, &world, limits, &read);
        let back = back.unwrap();
        let service = Arc::new(self.service);
        let mut services = Services::new(Arc::clone(&service) as _);
        if let Some(gates) = self.gates {
            services = services.with_gates(gates);
        }
        let (stop, stopping) = watch::channel(false);
        let server = Arc::clone(back.server());
        let serving = server.serve(self.socket, services, Handle::current, stopping.clone());
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        let running = tokio::spawn(Arc::clone(back.client()).run(stopping));
        Node {
            name: self.name,
            address: self.address,
            files: self.files,
            back,
            service,
            clock,
            resolver,
            world,
            stop,
            tasks: vec![serving, running],
        }
    }
}

fn tls_of(name: &str, ca: &Ca, files: &Files) -> Security {
    let issued = ca.issue(&engine(name), |_| {});
    Security::Simple(files.write(name, &issued, &ca.pem))
}

/// A data centre that runs.
struct Node {
    name: &'static str,
    address: SocketAddr,
    files: Files,
    back: BackChannel,
    service: Arc<TestService>,
    clock: Arc<TestClock>,
    resolver: Arc<TestResolver>,
    world: World,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Node {
    async fn ask(&self, peer: &str, question: Question) -> Result<Answer, Silence> {
        self.ask_within(peer, question, LIMIT).await
    }

    async fn ask_within(
        &self,
        peer: &str,
        question: Question,
        limit: Duration,
    ) -> Result<Answer, Silence> {
        let peer = cluster(peer);
        self.back.client().ask(&peer, question, limit).await
    }

    /// Asks until there is an answer.
    async fn answered_by(&self, peer: &str) {
        let asking = async {
            while self.ask(peer, abort()).await.is_err() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.unwrap();
    }

    fn line(&self, peer: &str) -> status::LineStatus {
        let found = self
            .back
            .status()
            .into_iter()
            .find(|s| s.cluster == cluster(peer));
        found.unwrap().line
    }

    fn served(&self, peer: &str) -> status::ServedCounts {
        let found = self
            .back
            .status()
            .into_iter()
            .find(|s| s.cluster == cluster(peer));
        found.unwrap().served
    }

    fn turned_away(&self) -> u64 {
        self.back.server().strangers.counts().turned_away
    }

    async fn connected(&self, peer: &str) {
        until(&format!("{} is connected to {peer}", self.name), || {
            self.line(peer)
                .addresses
                .iter()
                .any(|address| address.connected)
        })
        .await;
    }

    fn reload(&self) -> Result<Reloaded, TrustError> {
        self.back.reload(&|path| self.files.read(path))
    }

    /// Ends everything; its sockets are closed when this returns.
    async fn kill(self) {
        for task in &self.tasks {
            task.abort();
        }
        for task in self.tasks {
            task.await.ok();
        }
        self.stop.send_replace(true);
        let server = Arc::clone(self.back.server());
        drop(self.back);
        until("its connections are closed", || server.connections() == 0).await;
    }
}

/// What makes two data centres that speak with each other.
#[derive(Clone, Copy, Debug)]
enum How {
    Open,
    Tls,
}

/// `ny` and `london`, connected.
async fn pair(how: How) -> (Node, Node) {
    let (ny, london) = plans(how);
    let (ny, london) = (ny.start(), london.start());
    ny.connected("london").await;
    london.connected("ny").await;
    (ny, london)
}

fn plans(how: How) -> (Plan, Plan) {
    let (ny, london) = match how {
        How::Open => (Plan::open("ny"), Plan::open("london")),
        How::Tls => {
            let ca = Ca::new();
            (Plan::tls("ny", &ca), Plan::tls("london", &ca))
        }
    };
    let (here, there) = (ny.address, london.address);
    (
        ny.peer("london", &[there], &[]),
        london.peer("ny", &[here], &[]),
    )
}

/// What a relay does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relaying {
    /// Takes connections and bytes, and passes nothing on.
    Freeze,
    /// The same for the connections so far; newer ones pass.
    FreezeOld(usize),
    Pass,
}

impl Relaying {
    fn passes(self, connection: usize) -> bool {
        match self {
            Self::Freeze => false,
            Self::FreezeOld(count) => connection >= count,
            Self::Pass => true,
        }
    }
}

/// Stands between two nodes: passes bytes on, keeps a copy, freezes, cuts.
#[derive(Clone)]
struct Relay {
    address: SocketAddr,
    mode: watch::Sender<Relaying>,
    cut: watch::Sender<u64>,
    accepted: Arc<AtomicUsize>,
    /// What each connection said to the target.
    recorded: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Relay {
    async fn to(target: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let relay = Self {
            address: listener.local_addr().unwrap(),
            mode: watch::Sender::new(Relaying::Pass),
            cut: watch::Sender::new(0),
            accepted: Arc::default(),
            recorded: Arc::default(),
        };
        tokio::spawn(Self::take(listener, target, relay.clone()));
        relay
    }

    async fn take(listener: tokio::net::TcpListener, target: SocketAddr, relay: Self) {
        while let Ok((stream, _)) = listener.accept().await {
            let place = relay.accepted.fetch_add(1, Ordering::SeqCst);
            relay.recorded.lock().push(Vec::new());
            let recorded = Arc::clone(&relay.recorded);
            let record = move |bytes: &[u8]| recorded.lock()[place].extend_from_slice(bytes);
            let (mode, mut cut) = (relay.mode.subscribe(), relay.cut.subscribe());
            let passing = async move {
                tokio::select! {
                    () = pass(stream, target, (mode, place), record) => {}
                    _ = cut.changed() => {}
                }
            };
            tokio::spawn(passing);
        }
    }

    fn set(&self, mode: Relaying) {
        self.mode.send_replace(mode);
    }

    /// Cuts every connection that is open now.
    fn cut(&self) {
        self.cut.send_modify(|count| *count += 1);
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    fn recorded(&self) -> Vec<Vec<u8>> {
        self.recorded.lock().clone()
    }
}

async fn pass(
    client: TcpStream,
    target: SocketAddr,
    mode: (watch::Receiver<Relaying>, usize),
    record: impl Fn(&[u8]),
) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pump(from_client, to_server, mode.clone(), record),
        pump(from_server, to_client, mode, |_| {}),
    );
}

async fn pump(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    (mut mode, place): (watch::Receiver<Relaying>, usize),
    record: impl Fn(&[u8]),
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if mode.wait_for(|mode| mode.passes(place)).await.is_err() {
            return;
        }
        record(&buffer[..read]);
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
    to.shutdown().await.ok();
}

/// Log lines of this thread, from when it was made.
struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

#[derive(Clone)]
struct Into(Arc<Mutex<Vec<u8>>>);

impl io::Write for Into {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin() -> Self {
        let lines: Arc<Mutex<Vec<u8>>> = Arc::default();
        let into = Into(Arc::clone(&lines));
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::INFO)
            .with_writer(move || into.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        Self {
            lines,
            _guard: guard,
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.lines.lock()).into_owned()
    }

    /// Waits for a line with all of these words in it.
    async fn has(&self, words: &[&str]) {
        let is_said = || {
            let text = self.text();
            text.lines()
                .any(|line| words.iter().all(|word| line.contains(word)))
        };
        let asking = async {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            while !is_said() {
                ticks.tick().await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, asking).await;
        assert!(done.is_ok(), "no line with {words:?} in\n{}", self.text());
    }
}

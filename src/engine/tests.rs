//! The world in which the engine's rules are tried: a memory store with seams, a clock that is set by
//! hand, entropy that counts and a provider that knows three users.
//!
//! The rules themselves are in the files of `tests/`.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::*;
use crate::engine::federation::FederationSettings;
use crate::engine::tests::federation_tests::Peer;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::claim::Claim;
use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::claim::Presented;
use crate::model::end::End;
use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::end::Pulled;
use crate::model::identity::AuthLevel;
use crate::model::identity::Credential;
use crate::model::identity::Identity;
use crate::model::identity::Refreshed;
use crate::model::name::GroupName;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::secret::Secret;
use crate::model::session::EndCause;
use crate::model::session::Rank;
use crate::model::session::Session;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::audit_trail::TrailStanding;
use crate::ports::identity_provider::ChangeError;
use crate::ports::identity_provider::PasswordAge;
use crate::ports::identity_provider::Verified;
use crate::ports::identity_provider::VerifyError;
use crate::ports::peer_channel::NoPeers;
use crate::ports::peer_channel::PeerChannel;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SessionEngine;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::Found;
use crate::ports::session_store::Inserted;
use crate::ports::session_store::Replaced;
use crate::ports::session_store::StoreError;
use crate::ports::session_store::WalkPlace;
use crate::ports::session_store::Walked;
use crate::store::memory::MemoryStore;

mod attempt_tests;
mod audit_tests;
mod binding_tests;
mod chain_tests;
mod collector_tests;
mod ending_tests;
mod federation_tests;
mod journey_tests;
mod session_tests;
mod sign_in_tests;
mod sign_out_tests;

const IDLE: Duration = Duration::from_secs(30 * 60);
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
const PER_USER_MAX: usize = 3;
const MILLISECOND: Duration = Duration::from_millis(1);
/// The first moment of every test.
const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const PASSWORD: &str = "right";

/// A trail that can be looked at, and that can be made to fail.
#[derive(Default)]
struct Told {
    events: Mutex<Vec<Event>>,
    fails: AtomicBool,
}

impl Told {
    /// What was told of one kind, each as its details.
    fn of(&self, kind: EventKind) -> Vec<Vec<(&'static str, String)>> {
        let events = self.events.lock();
        let events = events.iter().filter(|event| event.kind == kind);
        events.map(|event| event.details.clone()).collect()
    }
}

impl AuditTrail for Told {
    fn note(&self, event: Event) {
        self.events.lock().push(event);
    }

    fn standing(&self) -> TrailStanding {
        if self.fails.load(Ordering::SeqCst) {
            TrailStanding::SignNobodyIn
        } else {
            TrailStanding::GoOn
        }
    }
}

/// An engine with everything around it.
struct World {
    told: Arc<Told>,
    clock: Arc<TestClock>,
    entropy: Arc<CountingEntropy>,
    provider: Arc<Users>,
    store: Arc<SeamedStore>,
    engine: Arc<EmbeddedEngine>,
    /// Who is asked, where there is another data centre.
    peer: Arc<Peer>,
}

impl World {
    fn new() -> Self {
        Self::with(Arc::default(), None)
    }

    fn with(peer: Arc<Peer>, federation: Option<FederationSettings>) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(BEGINNING.as_millis())));
        let entropy = Arc::new(CountingEntropy::default());
        let provider = Arc::new(Users::new());
        let store = Arc::new(SeamedStore::new());
        let parts = EngineParts {
            store: Arc::<SeamedStore>::clone(&store),
            ends: Arc::<SeamedStore>::clone(&store),
            peers: match &federation {
                Some(_) => Arc::<Peer>::clone(&peer) as Arc<dyn PeerChannel>,
                None => Arc::new(NoPeers),
            },
            provider: Arc::<Users>::clone(&provider),
            clock: Arc::<TestClock>::clone(&clock),
            entropy: Arc::<CountingEntropy>::clone(&entropy),
        };
        let settings = EngineSettings {
            cluster: cluster(),
            idle_timeout: IDLE,
            lifetime: LIFETIME,
            per_user_max: PER_USER_MAX,
            kept_posts: KeptRules::default(),
            password: PasswordRules::default(),
            throttle: ThrottleRules {
                per_account: 100,
                ..ThrottleRules::default()
            },
            federation,
        };
        let told = Arc::new(Told::default());
        let engine = EmbeddedEngine::new(parts, settings);
        let engine = Arc::new(engine.with_audit(Arc::<Told>::clone(&told)));
        Self {
            told,
            clock,
            entropy,
            provider,
            store,
            engine,
            peer,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn pass(&self, span: Duration) {
        self.clock.set(self.now().after(span));
    }

    /// Signs a user in who is nobody else in this browser, a millisecond after whatever was before.
    async fn sign_in(&self, user: &str) -> Arc<Session> {
        self.pass(MILLISECOND);
        self.sign_in_replacing(user, None).await.unwrap()
    }

    async fn sign_in_replacing(
        &self,
        user: &str,
        replaces: Option<SsoFacts>,
    ) -> Result<Arc<Session>, SignInError> {
        let request = SignIn {
            credential: credential(user, PASSWORD),
            client_address: ADDRESS,
            device: None,
            replaces,
        };
        self.engine.sign_in(request).await
    }

    fn sign_ins(&self) -> Vec<(&'static str, u64)> {
        self.engine.sign_ins()
    }

    /// Why a claim is refused at this moment; `None` when it serves.
    fn refusal(&self, claim: &Claim) -> Option<NotLive> {
        match self.engine.lookup(claim, self.now()) {
            Lookup::Live(_) => None,
            Lookup::NotLive(why) => Some(why),
            Lookup::Unknown => panic!("the engine of one data centre always knows"),
        }
    }

    fn serves(&self, session: &Session) -> bool {
        self.refusal(&claim(session)).is_none()
    }

    /// What a gate does with a request: asks, and notes the access if it was let in.
    fn request(&self, claim: &Claim) -> Option<NotLive> {
        let refusal = self.refusal(claim);
        if refusal.is_none() {
            self.engine.touch(&claim.facts.sso, self.now());
        }
        refusal
    }

    async fn visit(&self, claim: &Claim, name: &str) -> Lookup {
        self.engine.visit(claim, &host(name)).await
    }

    async fn end(&self, session: &Session) -> crate::ports::session_engine::Ended {
        self.engine.end(&session.facts, EndCause::LoggedOut).await
    }

    /// The end log from its beginning.
    fn log(&self) -> Vec<End> {
        let entries = self.store.since(Position::default(), usize::MAX);
        entries.into_iter().map(|(_, end)| end).collect()
    }

    fn record(&self, session: &Session) -> Option<Arc<Session>> {
        match self.store.find(&session.facts.sso) {
            Found::Record(record) => Some(record),
            Found::Absent | Found::Ended => None,
        }
    }
}

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn cluster() -> ClusterId {
    ClusterId::parse("north").unwrap()
}

fn staff() -> StoreName {
    StoreName::parse("staff").unwrap()
}

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn level(level: u8) -> AuthLevel {
    AuthLevel::new(level).unwrap()
}

fn credential(user: &str, password: &str) -> Credential {
    Credential::Password {
        user: user.to_owned(),
        password: Secret::new(password.as_bytes().to_vec()),
    }
}

/// The claim that a cookie of this session makes.
fn claim(session: &Session) -> Claim {
    Claim {
        facts: session.facts.clone(),
        cluster: cluster(),
        session: session.id,
        hints: Vec::new(),
        last_access: None,
        presented: Presented {
            at: Place::Application,
            client_address: ADDRESS,
            limits: HostLimits::NONE,
        },
    }
}

/// Everything that has been announced as ended.
fn announced(watch: &mut broadcast::Receiver<SsoId>) -> Vec<SsoId> {
    std::iter::from_fn(|| watch.try_recv().ok()).collect()
}

/// A clock that is set by hand.
struct TestClock(AtomicU64);

impl TestClock {
    fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, span: Duration) {
        self.set(self.now().after(span));
    }
}

/// Entropy that counts: every filling is different from every other.
#[derive(Default)]
struct CountingEntropy(AtomicU64);

impl CountingEntropy {
    /// The id that the next filling makes.
    fn next_id(&self) -> SsoId {
        SsoId::from_bytes(Self::nth(self.0.load(Ordering::SeqCst)))
    }

    fn nth<const N: usize>(count: u64) -> [u8; N] {
        let mut bytes = [0; N];
        let counted = count.to_le_bytes();
        bytes
            .iter_mut()
            .zip(counted)
            .for_each(|(to, from)| *to = from);
        bytes
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let counted = Self::nth::<16>(self.0.fetch_add(1, Ordering::SeqCst));
        bytes.copy_from_slice(&counted[..bytes.len()]);
    }
}

/// A provider that knows alice, bob and carol by one password.
struct Users {
    store: StoreName,
    level: Mutex<AuthLevel>,
    groups: Mutex<Vec<GroupName>>,
    trouble: Mutex<Option<VerifyError>>,
    during: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    asked: AtomicUsize,
    changes: AtomicUsize,
    hangs: AtomicBool,
}

impl Users {
    fn new() -> Self {
        Self {
            store: staff(),
            level: Mutex::new(level(20)),
            groups: Mutex::new(vec![GroupName::parse("everyone").unwrap()]),
            trouble: Mutex::new(None),
            during: Mutex::new(None),
            asked: AtomicUsize::new(0),
            changes: AtomicUsize::new(0),
            hangs: AtomicBool::new(false),
        }
    }

    /// The next check of a credential ends with this.
    fn fail_with(&self, error: VerifyError) {
        *self.trouble.lock() = Some(error);
    }

    /// Happens while the next credential is being checked.
    fn meanwhile(&self, happens: impl FnOnce() + Send + 'static) {
        *self.during.lock() = Some(Box::new(happens));
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn changes(&self) -> usize {
        self.changes.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl IdentityProvider for Users {
    fn store(&self) -> &StoreName {
        &self.store
    }

    fn account(&self, typed: &str) -> String {
        typed.trim().to_lowercase()
    }

    async fn verify(&self, credential: Credential) -> Result<Verified, VerifyError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if let Some(happens) = self.during.lock().take() {
            happens();
        }
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if let Some(error) = self.trouble.lock().take() {
            return Err(error);
        }
        let Credential::Password { user, password } = credential else {
            return Err(VerifyError::Refused);
        };
        let known = ["alice", "bob", "carol", LONGEST_USER].contains(&user.as_str());
        if !known || password.expose() != PASSWORD.as_bytes() {
            return Err(VerifyError::Refused);
        }
        Ok(Verified {
            identity: Identity {
                store: self.store.clone(),
                subject: UserName::parse(&user).unwrap(),
                name: None,
                email: Some(format!("{user}@example.test")),
                groups: self.groups.lock().clone(),
                attributes: Default::default(),
            },
            level: *self.level.lock(),
            age: PasswordAge::Lasting,
        })
    }

    async fn refresh(&self, _: &UserName) -> Result<Refreshed, VerifyError> {
        Ok(Refreshed::Unsupported)
    }

    /// Everybody keeps the one password.
    async fn change_password(&self, _: &UserName, _: Secret, _: Secret) -> Result<(), ChangeError> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A user name of the greatest length, 128 bytes.
const LONGEST_USER: &str = "longest-user-name-of-them-all-longest-user-name-of-them-all-1234\
                            longest-user-name-of-them-all-longest-user-name-of-them-all-1234";

/// A memory store with seams: things can happen before its steps, its end log can fail or be slow.
struct SeamedStore {
    inner: Arc<MemoryStore>,
    ends: Mutex<Ends>,
    slow_ends: Semaphore,
    before_insert: Mutex<VecDeque<Meanwhile>>,
    before_replace: Mutex<VecDeque<Meanwhile>>,
    inserts: Mutex<Writes>,
    replaces: Mutex<Writes>,
    crowded: AtomicBool,
}

/// Something that happens in the store just before a step of a caller.
struct Meanwhile(Box<dyn FnOnce(&MemoryStore) + Send>);

impl Meanwhile {
    fn new(happens: impl FnOnce(&MemoryStore) + Send + 'static) -> Self {
        Self(Box::new(happens))
    }

    /// An end is written.
    fn ends(end: End) -> Self {
        Self::new(|store| {
            store.append(end).now_or_never().unwrap().unwrap();
        })
    }
}

/// How the end log of the store behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Durable,
    /// Refused in memory, and the disk is full.
    Failing,
    /// Refused in memory, and durable once the test says so.
    Slow,
}

/// How inserts into the store, or replacements, behave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writes {
    Durable,
    Failing,
}

impl SeamedStore {
    fn new() -> Self {
        Self {
            inner: Arc::new(MemoryStore::new(Incarnation([9; 16]), Timestamp::default())),
            ends: Mutex::new(Ends::Durable),
            slow_ends: Semaphore::new(0),
            before_insert: Mutex::default(),
            before_replace: Mutex::default(),
            inserts: Mutex::new(Writes::Durable),
            replaces: Mutex::new(Writes::Durable),
            crowded: AtomicBool::new(false),
        }
    }

    fn ends_are(&self, ends: Ends) {
        *self.ends.lock() = ends;
    }

    fn before_insert(&self, meanwhile: Meanwhile) {
        self.before_insert.lock().push_back(meanwhile);
    }

    fn before_replace(&self, meanwhile: Meanwhile) {
        self.before_replace.lock().push_back(meanwhile);
    }

    fn replaces_are(&self, writes: Writes) {
        *self.replaces.lock() = writes;
    }

    /// Lets every step of a caller be overtaken by the other callers.
    fn crowd(&self) {
        self.crowded.store(true, Ordering::SeqCst);
    }

    async fn let_others_pass(&self) {
        if self.crowded.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
    }
}

fn disk_full(operation: &'static str) -> StoreError {
    StoreError::Failed {
        operation,
        source: "no space left".into(),
    }
}

#[async_trait]
impl SessionStore for SeamedStore {
    fn find(&self, sso: &SsoId) -> Found {
        self.inner.find(sso)
    }

    async fn insert_unless_ended(&self, session: Session) -> Result<Inserted, StoreError> {
        self.let_others_pass().await;
        let before = self.before_insert.lock().pop_front();
        if let Some(happens) = before {
            (happens.0)(&self.inner);
        }
        if *self.inserts.lock() == Writes::Failing {
            return Err(disk_full("insert"));
        }
        self.inner.insert_unless_ended(session).await
    }

    async fn replace_if_version(&self, session: Session) -> Result<Replaced, StoreError> {
        self.let_others_pass().await;
        let before = self.before_replace.lock().pop_front();
        if let Some(happens) = before {
            (happens.0)(&self.inner);
        }
        if *self.replaces.lock() == Writes::Failing {
            return Err(disk_full("replace"));
        }
        self.inner.replace_if_version(session).await
    }

    async fn remove(&self, sso: &SsoId) -> Result<(), StoreError> {
        self.inner.remove(sso).await
    }

    fn touch(&self, sso: &SsoId, now: Timestamp) {
        self.inner.touch(sso, now);
    }

    fn last_access(&self, sso: &SsoId) -> Option<Timestamp> {
        self.inner.last_access(sso)
    }

    fn due(&self, now: Timestamp, idle_timeout: Duration, limit: usize) -> Vec<SsoId> {
        self.inner.due(now, idle_timeout, limit)
    }

    fn pending(&self, limit: usize) -> Vec<Arc<Session>> {
        self.inner.pending(limit)
    }

    fn remembers_since(&self) -> Timestamp {
        self.inner.remembers_since()
    }

    async fn list_by_user(&self, store: &StoreName, subject: &UserName) -> Vec<Arc<Session>> {
        self.inner.list_by_user(store, subject).await
    }

    fn walk(&self, from: Option<WalkPlace>, limit: usize) -> Walked {
        self.inner.walk(from, limit)
    }

    fn count(&self) -> usize {
        self.inner.count()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.inner.close().await
    }
}

#[async_trait]
impl EndLog for SeamedStore {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    fn began(&self) -> Timestamp {
        self.inner.began()
    }

    fn pulled(&self, peer: &ClusterId) -> Option<Pulled> {
        self.inner.pulled(peer)
    }

    fn note_pulled(&self, peer: &ClusterId, pulled: Pulled) {
        self.inner.note_pulled(peer, pulled);
    }

    async fn append(&self, end: End) -> Result<Position, StoreError> {
        let position = self.inner.append(end).await?;
        let ends = *self.ends.lock();
        match ends {
            Ends::Durable => Ok(position),
            Ends::Failing => Err(disk_full("append")),
            Ends::Slow => {
                self.slow_ends.acquire().await.unwrap().forget();
                Ok(position)
            }
        }
    }

    fn cut_off(&self, store: &StoreName, subject: &UserName) -> Option<Timestamp> {
        self.inner.cut_off(store, subject)
    }

    fn holder(&self, sso: &SsoId) -> Option<Rank> {
        self.inner.holder(sso)
    }

    fn since(&self, position: Position, limit: usize) -> Vec<(Position, End)> {
        self.inner.since(position, limit)
    }

    async fn renew_if_outrun(
        &self,
        over: Incarnation,
        read: Position,
        next: Incarnation,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.inner.renew_if_outrun(over, read, next, now).await
    }

    async fn trim(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.inner.trim(before).await
    }
}

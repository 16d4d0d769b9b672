//! The world in which the gate's rules are tried: a clock that is set by hand, entropy that counts and
//! an engine that only remembers what it was asked; the real one has its own tests.
//!
//! The rules themselves are in the files of `tests/`.

use std::collections::HashMap;
use std::collections::HashSet;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderMap;
use http::Method;
use parking_lot::Mutex;
use tokio::sync::broadcast;

use super::*;
use crate::crypto::bearer::Bound;
use crate::crypto::claims::Freshness;
use crate::crypto::claims::GitoCookie;
use crate::crypto::claims::Seen;
use crate::crypto::claims::SignInRequest;
use crate::crypto::claims::SignOut;
use crate::crypto::claims::Token;
use crate::crypto::key_ring::RingFile;
use crate::crypto::tags::ClusterTag;
use crate::crypto::tags::Clusters;
use crate::crypto::tags::UserTag;
use crate::decision::admission::Asked;
use crate::decision::admission::Decision;
use crate::decision::admission::Denial;
use crate::decision::admission::LoginCause;
use crate::decision::cookies::gito::Gito;
use crate::decision::endpoints;
use crate::decision::facts::RequestFacts;
use crate::decision::forwarded::Scheme;
use crate::decision::policy::Access;
use crate::decision::policy::Condition;
use crate::decision::policy::Effect;
use crate::decision::policy::Policy;
use crate::decision::policy::Rule;
use crate::decision::reply::SignedOut;
use crate::decision::routing::HostPattern;
use crate::gate::admit::Admission;
use crate::gate::admit::GitoResponse;
use crate::gate::challenge::Asker;
use crate::gate::challenge::Challenged;
use crate::gate::opened::OpenedCookie;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::claim::Activity;
use crate::model::claim::Hint;
use crate::model::claim::NotLive;
use crate::model::end::Confirmed;
use crate::model::id::Nonce;
use crate::model::id::RequestId;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::id::TokenId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::DeploymentId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Attributes;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::audit_trail::TrailStanding;
use crate::ports::session_engine::Ended;
use crate::ports::session_engine::Lookup;
use crate::ports::session_engine::SignIn;
use crate::ports::session_engine::SignInError;
use crate::ports::session_store::StoreError;

mod admit_tests;
mod binding_tests;
mod callback_tests;
mod challenge_tests;
mod gito_tests;
mod sign_out_tests;

const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);
const NONCE: Nonce = Nonce::from_bytes([0xA1; 16]);
const LOGIN: &str = "https://login.test:8443";
const APP: &str = "app.test";
const SHOP: &str = "shop.apps.test";

/// A trail that can be looked at.
#[derive(Default)]
struct Told(Mutex<Vec<Event>>);

impl AuditTrail for Told {
    fn note(&self, event: Event) {
        self.0.lock().push(event);
    }

    fn standing(&self) -> TrailStanding {
        TrailStanding::GoOn
    }
}

/// A gate with everything around it.
struct Post {
    audit: Arc<Told>,
    clock: Arc<TestClock>,
    engine: Arc<StandIn>,
    gate: Gate,
}

impl Post {
    fn new() -> Self {
        Self::of_deployment("main")
    }

    fn of_deployment(name: &str) -> Self {
        let collector = Some((host("login.test"), 8443));
        Self::with_origins(name, Origins::new(collector, served()))
    }

    fn with_origins(deployment: &str, origins: Origins) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(BEGINNING.as_millis())));
        let engine = Arc::new(StandIn::default());
        let audit = Arc::new(Told::default());
        let gate = Gate {
            engine: Arc::<StandIn>::clone(&engine),
            keys: Arc::new(key_ring([7; 32])),
            names: CookieNames::new(&DeploymentId::parse(deployment).unwrap()),
            terms: configured(CookieSettings::of_one(cluster("north"))),
            origins: Arc::new(origins),
            audit: Arc::<Told>::clone(&audit),
            clock: Arc::<TestClock>::clone(&clock),
            entropy: Arc::new(CountingEntropy::default()),
        };
        Self {
            audit,
            clock,
            engine,
            gate,
        }
    }

    /// A gate with other settings of cookies.
    fn with(change: impl FnOnce(&mut CookieSettings)) -> Self {
        let mut post = Self::new();
        let mut settings = CookieSettings::of_one(cluster("north"));
        let known = ["north", "south"].map(cluster);
        settings.clusters = Clusters::new(known).unwrap();
        change(&mut settings);
        post.gate.terms = configured(settings);
        post
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn pass(&self, span: Duration) {
        let now = self.now().after(span);
        self.clock.0.store(now.as_millis(), Ordering::SeqCst);
    }

    /// A `Cookie` header with an authn cookie of a session, issued now for a host.
    fn cookie(&self, session: &Session, name: &str) -> Vec<u8> {
        self.cookie_at(session, name, self.now())
    }

    fn cookie_at(&self, session: &Session, name: &str, issued: Timestamp) -> Vec<u8> {
        let cookie = AuthnCookie {
            issued,
            ..authn(session)
        };
        let name = host(name);
        let value = self.gate.seal(&self.gate.authn_binding(&name), &cookie);
        pair(&self.gate.names.authn, &value)
    }

    /// A sealed GITO cookie.
    fn gito_cookie(&self, cookie: &GitoCookie) -> Vec<u8> {
        let gito = self.gito();
        let value = self.gate.seal(&gito.binding(&self.gate.names), cookie);
        pair(&self.gate.names.gito, &value)
    }

    fn gito(&self) -> Gito {
        let terms = self.gate.terms.current();
        terms.as_ref().unwrap().gito.clone().unwrap()
    }

    fn nonce_cookie(&self, nonce: Nonce) -> Vec<u8> {
        let value = cookies::encode_nonce(&nonce);
        pair(&self.gate.names.nonce, &value)
    }

    /// A token as the collector sends it, good for a minute.
    fn token(&self, session: &Session) -> Token {
        Token {
            id: TokenId::from_bytes([0xC0; 16]),
            cookie: authn(session),
            nonce: NONCE,
            target: "/deep?link=1".to_owned(),
            expires: self.now().after(MINUTE),
            freshness: Freshness::Earlier,
        }
    }

    fn sealed_token(&self, token: &Token, name: &str) -> String {
        self.gate.seal(&token_binding(name), token)
    }

    async fn callback(&self, cookies: &[Vec<u8>], sealed: Option<&str>) -> Reply {
        let cookies = lines(cookies);
        self.gate
            .callback(&caller(&cookies), sealed, Asker::Navigation)
            .await
    }

    async fn admit(&self, cookies: &[Vec<u8>]) -> Decision {
        let policy = everyone();
        self.admit_to(&asked(&policy), cookies).await
    }

    async fn admit_to(&self, asked: &Asked<'_>, cookies: &[Vec<u8>]) -> Decision {
        self.admission(asked, cookies).await.decision
    }

    async fn admission(&self, asked: &Asked<'_>, cookies: &[Vec<u8>]) -> Admission {
        let cookies = lines(cookies);
        self.gate.admit(asked, &caller(&cookies)).await
    }

    async fn is_admitted(&self, cookies: &[Vec<u8>]) -> bool {
        matches!(self.admit(cookies).await, Decision::Allow(_))
    }

    fn challenge(&self, cookies: &[Vec<u8>], target: &str) -> Reply {
        let cookies = lines(cookies);
        self.gate.challenge(&Challenged {
            host: &host(APP),
            target,
            asker: Asker::Navigation,
            level: level(20),
            cookies: &cookies,
            bearer: caller(&[]).bearer(),
            freshness: Freshness::Earlier,
            limits: HostLimits::NONE,
            activity: Activity::Counts,
            refused: None,
            post: None,
        })
    }

    fn request_in(&self, reply: &Reply) -> SignInRequest {
        let sealed = sealed_in(reply, &format!("{LOGIN}/.portway/sign-in?r="));
        let binding = Binding {
            purpose: Purpose::SignInRequest,
            name: "r",
            scope: "login.test",
        };
        self.gate.keys.open_claims(&binding, &sealed).unwrap()
    }

    async fn sign_out(&self, cookies: &[Vec<u8>], return_to: Option<&str>) -> Reply {
        let cookies = lines(cookies);
        self.gate.sign_out(&caller(&cookies), return_to).await
    }

    fn clear(&self, cookies: &[Vec<u8>], sealed: Option<&str>) -> Reply {
        self.gate.clear(&caller(&lines(cookies)), sealed)
    }

    fn sealed_state(&self, state: &SignOut, name: &str) -> String {
        self.gate.seal(&sign_out_binding(name), state)
    }

    fn state_in(&self, reply: &Reply, address: &str, name: &str) -> SignOut {
        let sealed = sealed_in(reply, address);
        let opened = self.gate.keys.open_claims(&sign_out_binding(name), &sealed);
        opened.unwrap()
    }

    /// A state that passes by and has this host's cookies cleared.
    fn passing(&self) -> SignOut {
        SignOut {
            ended: vec![sso(1)],
            hosts: Vec::new(),
            provider: None,
            return_to: None,
            confirmed: Confirmed::Durable,
            data_centres: Vec::new(),
            expires: self.now().after(5 * MINUTE),
        }
    }
}

fn configured(settings: CookieSettings) -> Arc<CookieTerms> {
    Arc::new(CookieTerms::configured(Arc::new(settings)))
}

/// The page at the end of a sign-out in one data centre.
fn signed_out(confirmed: Confirmed) -> ReplyKind {
    ReplyKind::SignedOut(SignedOut {
        confirmed,
        data_centres: Vec::new(),
        return_to: None,
    })
}

fn served() -> Vec<(HostPattern, u16)> {
    let served = [(APP, 443), ("*.apps.test", 8443)];
    let served = served.map(|(host, port)| (HostPattern::parse(host).unwrap(), port));
    served.into()
}

fn key_ring(secret: [u8; 32]) -> KeyRing {
    let file = KeyRing::first_file(&secret.into(), BEGINNING).unwrap();
    KeyRing::parse(&file).unwrap()
}

fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

/// A request to the application host.
fn caller<'a>(cookies: &'a [&'a [u8]]) -> Caller<'a> {
    static HOST: LazyLock<HostName> = LazyLock::new(|| host(APP));
    static HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
    Caller {
        cookies,
        host: &HOST,
        address: ADDRESS,
        headers: &HEADERS,
        limits: HostLimits::NONE,
        opened: None,
    }
}

fn host(name: &str) -> HostName {
    HostName::parse(name).unwrap()
}

fn level(level: u8) -> AuthLevel {
    AuthLevel::new(level).unwrap()
}

fn sso(n: u8) -> SsoId {
    SsoId::from_bytes([n; 16])
}

/// The n-th session; it is not yet known to the engine.
fn session(n: u8) -> Session {
    let store = StoreName::parse("staff").unwrap();
    let subject = UserName::parse("alice").unwrap();
    Session {
        id: SessionId::from_bytes([n; 16]),
        facts: SsoFacts {
            sso: sso(n),
            subject: subject.clone(),
            store: store.clone(),
            first_authenticated: BEGINNING,
            expires: BEGINNING.after(1000 * MINUTE),
            generation: Generation::default(),
            level: level(20),
            level_reached: BEGINNING,
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
        last_access: BEGINNING,
        client_address: ADDRESS,
        held_since: BEGINNING,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    }
}

fn authn(session: &Session) -> AuthnCookie {
    AuthnCookie {
        facts: session.facts.clone(),
        cluster: cluster("north"),
        session: session.id,
        issued: BEGINNING,
        last_access: None,
        bound: Bound::default(),
    }
}

fn token_binding(name: &str) -> Binding<'_> {
    Binding {
        purpose: Purpose::Token,
        name: endpoints::TOKEN,
        scope: name,
    }
}

fn sign_out_binding(name: &str) -> Binding<'_> {
    Binding {
        purpose: Purpose::SignOut,
        name: endpoints::SIGN_OUT,
        scope: name,
    }
}

fn pair(name: &str, value: &str) -> Vec<u8> {
    format!("{name}={value}").into_bytes()
}

fn lines(cookies: &[Vec<u8>]) -> Vec<&[u8]> {
    cookies.iter().map(Vec::as_slice).collect()
}

/// The cookies that a reply sets, as the browser sends them back; cleared ones are left out.
fn cookies_of(reply: &Reply) -> Vec<Vec<u8>> {
    let set = reply.cookies.iter().filter(|set| !is_clearing(set));
    set.map(|set| set.split(';').next().unwrap().as_bytes().to_vec())
        .collect()
}

/// The names of the cookies that a reply clears.
fn cleared_by(reply: &Reply) -> Vec<&str> {
    let cleared = reply.cookies.iter().filter(|set| is_clearing(set));
    cleared.map(|set| set.split('=').next().unwrap()).collect()
}

fn is_clearing(set: &str) -> bool {
    set.contains("Max-Age=0")
}

/// What stands behind `address` in a redirect.
fn sealed_in(reply: &Reply, address: &str) -> String {
    let ReplyKind::Redirect(location) = &reply.kind else {
        panic!("{reply:?} is no redirect to {address}");
    };
    let sealed = location.strip_prefix(address);
    sealed.unwrap_or_else(|| panic!("{location}")).to_owned()
}

fn redirect(address: &str) -> ReplyKind {
    ReplyKind::Redirect(address.to_owned())
}

fn everyone() -> Policy {
    one_rule(Effect::Allow)
}

fn one_rule(effect: Effect) -> Policy {
    let when = Condition::SignedIn;
    Policy::new(vec![Rule { effect, when }])
}

fn asked(policy: &Policy) -> Asked<'_> {
    Asked {
        access: Access::Protected,
        policy,
        level: AuthLevel::NONE,
        activity: Activity::Counts,
        request: request(),
    }
}

fn request() -> RequestFacts<'static> {
    RequestFacts {
        id: RequestId::from_bytes([0; 16]),
        method: &Method::GET,
        scheme: Scheme::Https,
        host: APP,
        path: "/",
        query: None,
        headers: &NO_HEADERS,
        address: ADDRESS,
        tls: None,
    }
}

static NO_HEADERS: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);

struct TestClock(AtomicU64);

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, span: Duration) {
        let now = self.now().after(span);
        self.0.store(now.as_millis(), Ordering::SeqCst);
    }
}

#[derive(Default)]
struct CountingEntropy(AtomicU64);

impl Entropy for CountingEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_le_bytes();
        bytes[..8].copy_from_slice(&count);
    }
}

/// Holds sessions in a map and remembers what it was asked.
#[derive(Default)]
struct StandIn {
    live: Mutex<HashMap<SsoId, Arc<Session>>>,
    ended: Mutex<Vec<SsoId>>,
    spent: Mutex<HashSet<TokenId>>,
    touched: Mutex<Vec<SsoId>>,
    visited: Mutex<Vec<(SsoId, HostName)>>,
    looked_up: AtomicUsize,
    /// Whether what it knows has to be asked for elsewhere.
    far_away: AtomicBool,
    /// Whether its ends are written.
    disk_full: AtomicBool,
    /// Whether there is anybody to hear of an end.
    deaf: AtomicBool,
    /// The data centre that serves, where it is not north.
    served_by: Mutex<Option<ClusterId>>,
    /// What the other data centres say to an end.
    peers: Mutex<Vec<(ClusterId, Confirmed)>>,
    /// The claims it was last asked about.
    claims: Mutex<Vec<Claim>>,
    /// Why it does not honour what it does not know; nothing: it is missing.
    why: Mutex<Option<NotLive>>,
}

impl StandIn {
    fn begin(&self, session: &Session) {
        let kept = Arc::new(session.clone());
        self.live.lock().insert(session.facts.sso, kept);
    }

    fn forget(&self, session: &Session) {
        self.live.lock().remove(&session.facts.sso);
    }

    fn touched(&self) -> Vec<SsoId> {
        self.touched.lock().clone()
    }

    fn known(&self, claim: &Claim) -> Lookup {
        self.looked_up.fetch_add(1, Ordering::SeqCst);
        self.claims.lock().push(claim.clone());
        match self.live.lock().get(&claim.facts.sso) {
            Some(session) => Lookup::Live(Arc::clone(session)),
            None => Lookup::NotLive(self.why.lock().unwrap_or(NotLive::Missing)),
        }
    }
}

#[async_trait]
impl SessionEngine for StandIn {
    fn lookup(&self, claim: &Claim, _: Timestamp) -> Lookup {
        if self.far_away.load(Ordering::SeqCst) {
            return Lookup::Unknown;
        }
        self.known(claim)
    }

    async fn resolve(&self, claim: &Claim, _: Timestamp) -> Lookup {
        self.known(claim)
    }

    fn is_standing(&self, sso: &SsoId) -> bool {
        self.live.lock().contains_key(sso)
    }

    fn holder(&self, session: &Session) -> Option<Holder> {
        let elsewhere = self.served_by.lock().clone();
        Some(Holder {
            cluster: elsewhere.unwrap_or_else(|| cluster("north")),
            session: session.id,
        })
    }

    fn touch(&self, sso: &SsoId, _: Timestamp) {
        self.touched.lock().push(*sso);
    }

    async fn sign_in(&self, _: SignIn) -> Result<Arc<Session>, SignInError> {
        Err(StoreError::Closed.into())
    }

    async fn visit(&self, claim: &Claim, host: &HostName) -> Lookup {
        self.visited.lock().push((claim.facts.sso, host.clone()));
        self.known(claim)
    }

    fn spend(&self, token: TokenId, _: Timestamp) -> bool {
        self.spent.lock().insert(token)
    }

    async fn end(&self, facts: &SsoFacts, cause: EndCause) -> Ended {
        assert_eq!(cause, EndCause::LoggedOut);
        self.ended.lock().push(facts.sso);
        let session = self.live.lock().remove(&facts.sso);
        let is_deaf = self.deaf.load(Ordering::SeqCst);
        let durable = match is_deaf || self.disk_full.load(Ordering::SeqCst) {
            true => Err(StoreError::Closed),
            false => Ok(()),
        };
        Ended {
            cluster: (!is_deaf).then(|| cluster("north")),
            visited: session.map_or_else(Vec::new, |session| session.visited.clone()),
            durable,
            peers: self.peers.lock().clone(),
        }
    }

    fn watch_ended(&self) -> broadcast::Receiver<SsoId> {
        broadcast::channel(1).1
    }
}

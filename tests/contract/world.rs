//! The stores that a rule is run against, and sessions to put into them.

use std::path::Path;
use std::sync::Arc;

use portway::model::end::End;
use portway::model::end::Incarnation;
use portway::model::id::AdoptionId;
use portway::model::id::ProviderSessionId;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::ClusterId;
use portway::model::name::GroupName;
use portway::model::name::HostName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::peer::Data;
use portway::model::session::Attributes;
use portway::model::session::EndCause;
use portway::model::session::Generation;
use portway::model::session::Holder;
use portway::model::session::Release;
use portway::model::session::Reservation;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;
use portway::ports::end_log::EndLog;
use portway::ports::session_store::SessionStore;
use portway::store::RecordSealer;
use portway::store::disk::DiskOptions;
use portway::store::disk::DiskStore;
use portway::store::disk::Records;
use portway::store::memory::MemoryStore;
use tempfile::TempDir;

/// A store behind both of its ports.
pub(crate) trait Store: SessionStore + EndLog {}

impl<S: SessionStore + EndLog> Store for S {}

/// What a rule is given: a way to a store, and to the same store later.
pub(crate) struct World {
    dir: Option<TempDir>,
    records: Records,
    later: Later,
    store: Option<Arc<dyn Store>>,
}

/// What happens to the store in the middle of a rule.
enum Later {
    Closed,
    Dropped,
    Same,
}

/// How many records there are once all of an earlier process are taken up.
pub(crate) async fn counted(store: &dyn Store) -> usize {
    let taken_up = async {
        while !store.is_complete() {
            tokio::task::yield_now().await;
        }
    };
    let taken_up = tokio::time::timeout(LONG, taken_up).await;
    assert!(taken_up.is_ok(), "the records are not taken up");
    store.count()
}

/// When a rule looks at what it did.
#[derive(Clone, Copy)]
pub(crate) enum Moment {
    Later,
    Now,
}

impl World {
    pub(crate) fn memory() -> Self {
        let store = MemoryStore::new(Incarnation([1; 16]), MADE);
        Self {
            dir: None,
            records: Records::Volatile,
            later: Later::Same,
            store: Some(Arc::new(store)),
        }
    }

    pub(crate) fn disk() -> Self {
        Self::on_disk(Records::Kept, Later::Same)
    }

    pub(crate) fn reopened() -> Self {
        Self::on_disk(Records::Kept, Later::Closed)
    }

    pub(crate) fn dropped() -> Self {
        Self::on_disk(Records::Kept, Later::Dropped)
    }

    pub(crate) fn volatile() -> Self {
        Self::on_disk(Records::Volatile, Later::Same)
    }

    pub(crate) fn volatile_reopened() -> Self {
        Self::on_disk(Records::Volatile, Later::Closed)
    }

    pub(crate) fn volatile_dropped() -> Self {
        Self::on_disk(Records::Volatile, Later::Dropped)
    }

    fn on_disk(records: Records, later: Later) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path(), 1, MADE, records);
        Self {
            dir: Some(dir),
            records,
            later,
            store: Some(store),
        }
    }

    /// The store.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(self.store.as_ref().unwrap())
    }

    /// Since when the store that is [`Self::later`] remembers its records.
    pub(crate) const fn remembers_since_later(&self) -> Timestamp {
        match (&self.later, self.records) {
            (Later::Same, _) | (_, Records::Kept) => MADE,
            (Later::Closed | Later::Dropped, Records::Volatile) => OPENED_AGAIN,
        }
    }

    /// The store at one moment.
    pub(crate) async fn at(&mut self, moment: Moment) -> Arc<dyn Store> {
        match moment {
            Moment::Later => self.later().await,
            Moment::Now => self.store(),
        }
    }

    /// The store as it is later: the same, or opened again. What was answered must hold in it.
    pub(crate) async fn later(&mut self) -> Arc<dyn Store> {
        let store = self.store.take().unwrap();
        let store = match (&self.later, &self.dir) {
            (Later::Same, _) | (_, None) => store,
            (Later::Closed, Some(dir)) => {
                store.close().await.unwrap();
                let_go(store);
                open(dir.path(), 2, OPENED_AGAIN, self.records)
            }
            (Later::Dropped, Some(dir)) => {
                let_go(store);
                open(dir.path(), 2, OPENED_AGAIN, self.records)
            }
        };
        self.store = Some(Arc::clone(&store));
        store
    }
}

/// Runs a rule on a runtime with threads, so that callers truly meet.
pub(crate) fn run<F: Future<Output = ()>>(world: World, rule: impl FnOnce(World) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_time()
        .worker_threads(4)
        .build()
        .unwrap();
    runtime.block_on(rule(world));
}

/// The users and stores that sessions belong to.
pub(crate) fn staff() -> StoreName {
    StoreName::parse("staff").unwrap()
}

pub(crate) fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

pub(crate) fn id(n: u16) -> SsoId {
    let mut bytes = [0; 16];
    let (spread, exact) = (n.wrapping_mul(0x9e37).to_be_bytes(), n.to_be_bytes());
    bytes[..2].copy_from_slice(&spread);
    bytes[2..4].copy_from_slice(&exact);
    SsoId::from_bytes(bytes)
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// A session of alice that began at 1000 and expires at 100 000.
pub(crate) fn session(n: u16) -> Session {
    session_of("alice", n, 1000)
}

pub(crate) fn session_of(subject: &str, n: u16, began: u64) -> Session {
    Session {
        id: SessionId::from_bytes([7; 16]),
        facts: SsoFacts {
            sso: id(n),
            subject: user(subject),
            store: staff(),
            first_authenticated: at(began),
            expires: at(100_000),
            generation: Generation(3),
            level: AuthLevel::new(40).unwrap(),
            level_reached: at(began),
        },
        state: SessionState::Live,
        identity: Identity {
            store: staff(),
            subject: user(subject),
            name: Some("A. Liddell".into()),
            email: Some("alice@example.test".into()),
            groups: vec![
                GroupName::parse("staff").unwrap(),
                GroupName::parse("Größe").unwrap(),
            ],
            attributes: Default::default(),
        },
        last_access: at(began),
        client_address: "2001:db8::7".parse().unwrap(),
        held_since: at(began),
        reserved: Some(Reservation {
            adoption: AdoptionId::from_bytes([6; 16]),
            by: cluster("south"),
            until: at(2000),
            version: 2,
            data: Data::All,
        }),
        provider_session: None,
        attributes: Attributes::Unknown,
        noted: Default::default(),
        aliases: vec![Holder {
            cluster: cluster("north"),
            session: SessionId::from_bytes([8; 16]),
        }],
        visited: vec![HostName::parse("app.example.test").unwrap()],
        version: 0,
    }
}

pub(crate) fn tombstone(n: u16) -> End {
    tombstone_until(n, 100_000)
}

pub(crate) fn tombstone_until(n: u16, expires: u64) -> End {
    End::Tombstone {
        sso: id(n),
        cause: EndCause::LoggedOut,
        expires: at(expires),
    }
}

/// Everything that a user authenticated before a point in time is over.
pub(crate) fn cut_off(subject: &str, before: u64, expires: u64) -> End {
    End::UserCutOff {
        store: staff(),
        subject: user(subject),
        authenticated_before: at(before),
        expires: at(expires),
    }
}

/// Everything that began with a session at the identity provider is over.
pub(crate) fn provider_cut_off(n: u8, expires: u64) -> End {
    End::ProviderCutOff {
        session: provider_session(n),
        expires: at(expires),
    }
}

pub(crate) fn provider_session(n: u8) -> ProviderSessionId {
    ProviderSessionId::of("https://idp.example.test", &n.to_string())
}

pub(crate) fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

/// A copy that waits for its release.
pub(crate) fn pending() -> SessionState {
    SessionState::Pending(Release {
        adoption: AdoptionId::from_bytes([5; 16]),
        from: cluster("north"),
        generation: Generation(3),
        version: 8,
    })
}

/// A stub.
pub(crate) fn moved() -> SessionState {
    SessionState::Moved {
        to: cluster("north"),
        generation: Generation(4),
        adoption: Some(AdoptionId::from_bytes([5; 16])),
    }
}

/// A session in some state.
pub(crate) fn session_in(state: SessionState, n: u16) -> Session {
    Session {
        state,
        ..session(n)
    }
}

/// When a store is made. At the beginning of time no access can have been later than written.
pub(crate) const MADE: Timestamp = Timestamp::from_millis(0);
/// When it is opened again.
pub(crate) const OPENED_AGAIN: Timestamp = Timestamp::from_millis(1);

fn open(dir: &Path, incarnation: u8, now: Timestamp, records: Records) -> Arc<dyn Store> {
    let incarnation = Incarnation([incarnation; 16]);
    let options = DiskOptions {
        records,
        ..DiskOptions::default()
    };
    let store = DiskStore::open(dir, Arc::new(Unsealed), incarnation, now, options);
    Arc::new(store.unwrap())
}

fn let_go(store: Arc<dyn Store>) {
    assert_eq!(
        Arc::strong_count(&store),
        1,
        "a rule holds on to the store across `later`"
    );
    drop(store);
}

/// Seals nothing: the suite is about what is kept, not about who can read it.
struct Unsealed;

impl RecordSealer for Unsealed {
    fn seal(&self, _sso: &SsoId, plain: &[u8]) -> Vec<u8> {
        plain.to_vec()
    }

    fn open(&self, _sso: &SsoId, sealed: &[u8]) -> Option<Vec<u8>> {
        Some(sealed.to_vec())
    }
}

/// Longer than reading a few records takes.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);

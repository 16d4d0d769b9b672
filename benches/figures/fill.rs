//! Fills the store of a gateway that does not run, through the store itself: sessions, stubs, tombstones.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use portway::crypto::key_ring::KeyRing;
use portway::crypto::key_ring::Purpose;
use portway::crypto::sealed::Binding;
use portway::model::end::End;
use portway::model::end::Incarnation;
use portway::model::id::AdoptionId;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::ClusterId;
use portway::model::name::GroupName;
use portway::model::name::HostName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Attributes;
use portway::model::session::EndCause;
use portway::model::session::Generation;
use portway::model::session::Holder;
use portway::model::session::Rank;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;
use portway::ports::clock::Clock;
use portway::ports::end_log::EndLog;
use portway::ports::entropy::id_bytes;
use portway::ports::entropy::seal_nonce;
use portway::ports::session_store::Inserted;
use portway::ports::session_store::SessionStore;
use portway::store::RecordSealer;
use portway::store::disk::DiskOptions;
use portway::store::disk::DiskStore;
use portway::system::SystemClock;
use portway::system::SystemEntropy;

/// The store of a gateway that does not run, opened to be filled.
pub(crate) struct Filling {
    store: DiskStore,
    now: Timestamp,
}

impl Filling {
    /// Opens the store of a state directory whose records are sealed with the ring in `keys`.
    pub(crate) fn open(state: &Path, keys: &Path) -> Self {
        let ring = KeyRing::parse(&std::fs::read(keys).unwrap()).unwrap();
        let now = SystemClock.now();
        let incarnation = Incarnation(id_bytes(&SystemEntropy::new()));
        let sealer = Arc::new(Sealer(ring));
        let options = DiskOptions::default();
        let store = DiskStore::open(state, sealer, incarnation, now, options).unwrap();
        Self { store, now }
    }

    /// Adds sessions that serve, each of another user, in the order of their ids: the disk takes them much
    /// faster than in the order of life.
    pub(crate) async fn sessions(&self, count: usize) {
        let step = u64::MAX / count as u64;
        let insert = |number| {
            let mut id = id_bytes(&SystemEntropy::new());
            if let Some(head) = id.first_chunk_mut::<8>() {
                *head = (number as u64 * step).to_be_bytes();
            }
            let session = session(self.now, number, SsoId::from_bytes(id));
            self.store.insert_unless_ended(session)
        };
        let all = futures_util::stream::iter((0..count).map(insert)).buffer_unordered(AT_ONCE);
        all.for_each(|done| async { assert_eq!(done.unwrap(), Inserted::Inserted) })
            .await;
    }

    /// Adds what stays behind of sessions that have moved away: a record that forwards, and an entry in
    /// the end log.
    pub(crate) async fn stubs(&self, count: usize) {
        let to = cluster("dc-b");
        let generation = Generation(1);
        let moves = |number| {
            let mut stub = session(self.now, number, random_sso());
            stub.state = SessionState::Moved {
                to: to.clone(),
                generation,
                adoption: Some(AdoptionId::from_bytes(id_bytes(&SystemEntropy::new()))),
            };
            let end = End::Moved {
                sso: stub.facts.sso,
                holder: Rank {
                    generation,
                    cluster: to.clone(),
                },
                expires: stub.facts.expires,
            };
            (stub, end)
        };
        let both = (0..count).map(moves).map(|(stub, end)| async {
            let inserted = self.store.insert_unless_ended(stub).await.unwrap();
            assert_eq!(inserted, Inserted::Inserted);
            self.store.append(end).await.unwrap();
        });
        let all = futures_util::stream::iter(both).buffer_unordered(AT_ONCE);
        all.collect::<()>().await;
    }

    /// Adds tombstones of sessions that never were here.
    pub(crate) async fn tombstones(&self, count: usize) {
        let expires = self.now.after(LIFETIME);
        let append = |_| {
            self.store.append(End::Tombstone {
                sso: random_sso(),
                cause: EndCause::LoggedOut,
                expires,
            })
        };
        let all = futures_util::stream::iter((0..count).map(append)).buffer_unordered(AT_ONCE);
        let positions: Vec<_> = all.collect().await;
        let faults = positions.iter().filter(|appended| appended.is_err());
        assert_eq!(faults.count(), 0, "every tombstone is durable");
    }

    /// Closes the store as a gateway does that was asked to stop.
    pub(crate) async fn close(self) {
        self.store.close().await.unwrap();
    }
}

/// A session as most are: a few groups, two applications, one other data centre.
pub(crate) fn session(now: Timestamp, number: usize, sso: SsoId) -> Session {
    let store = StoreName::parse("staff").unwrap();
    let subject = UserName::parse(&format!("user-{number:07}")).unwrap();
    let group = |name| GroupName::parse(name).unwrap();
    let host = |name| HostName::parse(name).unwrap();
    Session {
        id: SessionId::from_bytes(id_bytes(&SystemEntropy::new())),
        facts: SsoFacts {
            sso,
            subject: subject.clone(),
            store: store.clone(),
            first_authenticated: now,
            expires: now.after(LIFETIME),
            generation: Generation(0),
            level: AuthLevel::NONE,
            level_reached: now,
        },
        state: SessionState::Live,
        identity: Identity {
            store,
            subject,
            name: Some(format!("User Number {number}")),
            email: Some(format!("user-{number:07}@mail.example.test")),
            groups: vec![group("staff"), group("engineering"), group("vpn-users")],
            attributes: Default::default(),
        },
        last_access: now,
        client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        held_since: now,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: vec![Holder {
            cluster: cluster("dc-b"),
            session: SessionId::from_bytes(id_bytes(&SystemEntropy::new())),
        }],
        visited: vec![host("app.apps.test"), host("mail.apps.test")],
        version: 1,
    }
}

/// What a store has in a state directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OnDisk {
    /// How long its file is.
    pub(crate) file: u64,
    /// The pages of it that are in use.
    pub(crate) used: u64,
}

impl OnDisk {
    /// Looks at a file that nobody has open.
    pub(crate) fn of(state: &Path) -> Self {
        let path: PathBuf = state.join("sessions.redb");
        let file = std::fs::metadata(&path).unwrap().len();
        let database = redb::Database::open(&path).unwrap();
        let writing = database.begin_write().unwrap();
        let stats = writing.stats().unwrap();
        let used = stats.allocated_pages() * stats.page_size() as u64;
        writing.abort().unwrap();
        Self { file, used }
    }
}

/// Seals as a gateway does, or the gateway would find nothing that it can read.
struct Sealer(KeyRing);

impl RecordSealer for Sealer {
    fn seal(&self, sso: &SsoId, plain: &[u8]) -> Vec<u8> {
        let nonce = seal_nonce(&SystemEntropy::new());
        self.0.seal_bytes(&binding(&sso.short_hash()), nonce, plain)
    }

    fn open(&self, sso: &SsoId, sealed: &[u8]) -> Option<Vec<u8>> {
        let scope = sso.short_hash();
        self.0.open_bytes(&binding(&scope), sealed.to_vec()).ok()
    }
}

const fn binding(scope: &str) -> Binding<'_> {
    Binding {
        purpose: Purpose::Record,
        name: "session",
        scope,
    }
}

pub(crate) fn random_sso() -> SsoId {
    SsoId::from_bytes(id_bytes(&SystemEntropy::new()))
}

fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

/// Changes that wait at the same time; the store takes as many into one commit.
const AT_ONCE: usize = 4096;
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

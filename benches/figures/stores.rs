//! What a store holds, seen from a gateway that starts on it: bytes of a tombstone and of a stub, memory
//! and start time with a million sessions, and what it takes to hand over a million in memory.

use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::fill::Filling;
use crate::fill::OnDisk;
use crate::hand_over;
use crate::line::Line;
use crate::process::loaded;
use crate::process::resting_kib;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::gateway::Setup;
use crate::support::jar::Jar;
use crate::table::Figure;
use crate::table::Scale;
use crate::table::millis;

/// Measures all four.
pub(crate) async fn measure(scale: Scale) -> Vec<Figure> {
    let mut figures = each(Kind::Tombstones, scale.of(TOMBSTONES)).await;
    figures.extend(each(Kind::Stubs, scale.of(STUBS)).await);
    figures.extend(million(scale.of(SESSIONS), scale.of(TOMBSTONES)).await);
    let in_memory = scale.of(SESSIONS);
    let handing_over = spawn_blocking(move || hand_over::measure(in_memory));
    figures.extend(handing_over.await.unwrap());
    figures
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Tombstones,
    Stubs,
}

/// What one of them takes: the second so many are compared with the first, because the first also fill
/// the cache of the file.
async fn each(kind: Kind, count: usize) -> Vec<Figure> {
    let ground = Ground::new().await;
    let fill = async || {
        let filling = ground.fill();
        match kind {
            Kind::Tombstones => filling.tombstones(count).await,
            Kind::Stubs => filling.stubs(count).await,
        }
        filling.close().await;
    };
    fill().await;
    let (disk_before, before) = (ground.on_disk(), ground.start().await);
    fill().await;
    let (disk_after, after) = (ground.on_disk(), ground.start().await);
    let name = match kind {
        Kind::Tombstones => "tombstone",
        Kind::Stubs => "stub",
    };
    let each = |bytes: u64| bytes as f64 / count as f64;
    let memory = after.kib.saturating_sub(before.kib) * 1024;
    let disk = disk_after.used.saturating_sub(disk_before.used);
    let how = format!(
        "resident memory of a gateway with {} less that with {count}",
        2 * count
    );
    vec![
        Figure::new(&format!("{name}: memory"), each(memory), "B", &how),
        Figure::new(
            &format!("{name}: disk"),
            each(disk),
            "B",
            "pages in use, the same way",
        ),
    ]
}

async fn million(sessions: usize, tombstones: usize) -> Vec<Figure> {
    let ground = Ground::new().await;
    let empty = ground.start().await;
    let began = Instant::now();
    let filling = ground.fill();
    filling.sessions(sessions).await;
    filling.tombstones(tombstones).await;
    filling.close().await;
    let filled = began.elapsed();
    let full = ground.start().await;
    ground.crash().await;
    let crashed = ground.start().await;
    let held = format!("{sessions} sessions and {tombstones} tombstones");
    let session = full.kib.saturating_sub(empty.kib) as f64 * 1024.0 / sessions as f64;
    vec![
        Figure::new(
            "full store: memory",
            full.kib as f64 / 1024.0,
            "MiB",
            &format!(
                "resident, with {held}; {:.1} MiB with none",
                empty.kib as f64 / 1024.0
            ),
        ),
        Figure::new(
            "full store: memory for each session",
            session,
            "B",
            "each of another user, 3 groups, 2 applications; tombstones included",
        ),
        Figure::time(
            "full store: start until a user is served",
            full.served,
            &format!(
                "from exec; {:.0} ms with an empty store",
                millis(empty.served)
            ),
        ),
        Figure::time(
            "full store: start after kill -9 until a user is served",
            crashed.served,
            "from exec, the store's own repair included",
        ),
        Figure::time(
            "full store: start until all is in memory",
            full.loaded,
            "from exec; it serves meanwhile",
        ),
        Figure::new(
            "full store: file",
            ground.on_disk().file as f64 / 1024.0 / 1024.0,
            "MiB",
            &format!("filled in order of ids, in {:.0} s", filled.as_secs_f64()),
        ),
    ]
}

/// A place for the state of a gateway that is started there again and again, and a user who has signed in.
struct Ground {
    folder: TempDir,
    application: Application,
    user: Jar,
}

/// What a start was like.
#[derive(Clone, Copy, Debug)]
struct Start {
    /// When the user who had signed in before was served.
    served: Duration,
    /// When every session was in memory.
    loaded: Duration,
    /// The memory that it held afterwards.
    kib: u64,
}

impl Ground {
    async fn new() -> Self {
        let mut ground = Self {
            folder: tempfile::tempdir().unwrap(),
            application: Application::start().await,
            user: Jar::default(),
        };
        let mut gateway = Setup::new().start(&ground.yaml()).await;
        let mut browser = Browser::new(&gateway);
        browser.sign_in(APP, "alice").await.expect(200);
        ground.user = browser.jar;
        gateway.terminate();
        gateway.wait_for_exit(STOP_MAX).await;
        ground
    }

    fn fill(&self) -> Filling {
        Filling::open(&self.state(), &self.folder.path().join("key-ring.json"))
    }

    fn on_disk(&self) -> OnDisk {
        OnDisk::of(&self.state())
    }

    /// Starts a gateway on what is there, has the user served, lets it rest, and stops it.
    async fn start(&self) -> Start {
        let setup = Setup::new();
        let began = Instant::now();
        let mut gateway = self.serve(setup).await;
        let served = began.elapsed();
        let loaded = loaded(&gateway, began).await;
        let kib = resting_kib(&gateway).await;
        // A record that the gateway cannot open would take no memory.
        assert!(!gateway.log().contains("left out"), "{}", gateway.log());
        gateway.terminate();
        gateway.wait_for_exit(STOP_MAX).await;
        Start {
            served,
            loaded,
            kib,
        }
    }

    /// Kills a gateway that has served the user and is still reading what is there.
    async fn crash(&self) {
        self.serve(Setup::new()).await.kill9();
    }

    /// Starts a gateway on what is there, and has the user served.
    async fn serve(&self, setup: Setup) -> Gateway {
        let gateway = setup.start(&self.yaml()).await;
        let mut line = Line::new(&gateway);
        line.get(&mut self.user.clone(), APP)
            .await
            .unwrap()
            .served();
        gateway
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn yaml(&self) -> String {
        format!(
            "\
state_dir: {}
key_ring_file: {}/key-ring.json
threads: 2
listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: {{ certificates: [{{ certificate_file: cert.pem, key_file: key.pem }}] }}
collector: {{ host: login.test, title: Sign in, public_port: 443 }}
authentication: {{ users_file: users.yaml }}
pools: {{ app: {{ primary: [\"{}\"] }} }}
policies: {{ anybody: [{{ allow: signed_in }}] }}
virtual_hosts:
  - host: app.test
    public_port: 443
    routes: [{{ path: /, access: protected, policy: anybody, pool: app }}]
",
            self.state().display(),
            self.folder.path().display(),
            self.application.address()
        )
    }
}

const APP: &str = "https://app.test/";
const TOMBSTONES: usize = 100_000;
const STUBS: usize = 150_000;
const SESSIONS: usize = 1_000_000;
/// How long a gateway may take to write back what it holds.
const STOP_MAX: Duration = Duration::from_secs(60);

//! Starts the gateway under attack, with more hosts and routes than any test needs, before an upstream
//! that records.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::Weak;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use argon2::Argon2;
use argon2::Params;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc;

use crate::support;
use crate::support::gateway::Setup;
use crate::upstream::Upstream;
use crate::wire::Wire;
use crate::wire::mark;

/// A gateway that runs until it is dropped.
pub(crate) struct Gateway {
    pub(crate) https: SocketAddr,
    pub(crate) http: SocketAddr,
    /// The upstream of the applications.
    pub(crate) upstream: Upstream,
    running: support::Gateway,
}

/// What differs from one gateway to the next.
#[derive(Default)]
pub(crate) struct Difference<'a> {
    /// Whole sections, added at the top level.
    pub(crate) sections: &'a str,
    /// The users, in place of the usual ones.
    pub(crate) users: &'a str,
    /// More pools.
    pub(crate) pools: &'a str,
    /// More virtual hosts.
    pub(crate) hosts: &'a str,
}

impl Gateway {
    /// The gateway that most attacks share. It stops with the last test that holds it.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Gateway>> = Mutex::new(Weak::new());
        Self::shared_by(&SHARED, &Difference::default())
    }

    /// A gateway that several tests share.
    pub(crate) fn shared_by(shared: &Mutex<Weak<Self>>, difference: &Difference<'_>) -> Arc<Self> {
        let mut shared = shared.lock().unwrap_or_else(|e| e.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let started = Arc::new(Self::start(difference));
            *shared = Arc::downgrade(&started);
            started
        })
    }

    pub(crate) fn start(difference: &Difference<'_>) -> Self {
        let upstream = Upstream::start();
        let mut setup = Setup::new();
        if !difference.users.is_empty() {
            setup = setup.file("users.yaml", difference.users);
        }
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let running = runtime.block_on(setup.start(&config(&upstream, difference)));
        Self {
            https: running.address("https"),
            http: running.address("http"),
            upstream,
            running,
        }
    }

    /// A TLS connection to an application, HTTP/1.1.
    pub(crate) fn tls(&self, name: &str) -> Wire {
        Wire::tls(self.https, name, &[b"http/1.1"])
    }

    pub(crate) fn plain(&self) -> Wire {
        Wire::plain(self.http)
    }

    /// What it has written to standard error so far.
    pub(crate) fn log(&self) -> String {
        self.running.log()
    }

    /// The folder of its configuration.
    pub(crate) fn folder(&self) -> &Path {
        self.running.folder()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let log = self.running.log();
        if !thread::panicking() {
            assert!(!log.contains("panicked at"), "the gateway panicked: {log}");
        }
    }
}

/// Other clients are served, and soon: most of three that come at once are, for one may be late on a busy machine.
pub(crate) fn assert_others_are_served(gateway: &Gateway) {
    let mut took = thread::scope(|scope| {
        let others = [(); 3].map(|()| scope.spawn(move || another(gateway)));
        others.map(|other| other.join().unwrap())
    });
    took.sort();
    let [_, median, _] = took;
    assert!(median < SOON, "other clients waited {took:?}");
}

/// How long it takes to serve another client.
fn another(gateway: &Gateway) -> Duration {
    let mark = mark();
    let began = Instant::now();
    let answer = gateway.tls("app.test").ask(format!(
        "GET /open/{mark} HTTP/1.1\r\nHost: app.test\r\n\r\n"
    ));
    let took = began.elapsed();
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains(&mark), "{answer:?}");
    took
}

/// What the gateway says when it does not start with these users.
pub(crate) fn refusal_of_users(users: &str) -> String {
    let setup = Setup::new().file("users.yaml", users);
    let config = config(&Upstream::start(), &Difference::default());
    let setup = setup.file("gateway.yaml", &config);
    let output = Command::new(env!("CARGO_BIN_EXE_portway"))
        .args(["run", "--config"])
        .arg(setup.path("gateway.yaml"))
        .output()
        .unwrap();
    assert!(!output.status.success(), "it started with {users}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A hash of the password that the tests' users have, as cheap as argon2 allows.
pub(crate) fn password_hash(user: &str) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let password = support::gateway::password(user);
    let hash: phc::PasswordHash = Argon2::from(params)
        .hash_password(password.as_bytes())
        .unwrap();
    hash.to_string()
}

/// Many hosts and many routes: tables that are searched otherwise when they are long must not be
/// less careful then.
fn config(upstream: &Upstream, difference: &Difference<'_>) -> String {
    let mut filler_routes = String::new();
    let mut filler_hosts = String::new();
    for n in 0..120 {
        writeln!(
            filler_routes,
            "      - {{ path: /filler{n}, access: protected, policy: admins, pool: app }}"
        )
        .unwrap();
        writeln!(
            filler_hosts,
            "  - host: h{n}.test\n    routes: [ {{ path: /, access: protected, policy: admins, pool: app }} ]"
        )
        .unwrap();
    }
    let scheme = match std::env::var_os(MULTIPLEXED) {
        Some(_) => "scheme: h2c",
        None => "scheme: http",
    };
    include_str!("gateway.yaml")
        .replace("scheme: http", scheme)
        .replace("UPSTREAM", &upstream.address.to_string())
        .replace("# FILLER ROUTES\n", &filler_routes)
        .replace("# FILLER HOSTS\n", &filler_hosts)
        .replace("# SECTIONS\n", difference.sections)
        .replace("# POOLS\n", difference.pools)
        .replace("# HOSTS\n", difference.hosts)
}

/// Who starves others does it for good, and machines are busy.
const SOON: Duration = Duration::from_secs(10);
/// Set where the upstream of the applications is spoken to by HTTP/2.
pub(crate) const MULTIPLEXED: &str = "PORTWAY_TEST_MULTIPLEXED";

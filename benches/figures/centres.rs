//! Two data centres, `dc-a` and `dc-b`, each a process, that speak over TLS with
//! certificates of a private CA.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::StreamExt;
use tempfile::TempDir;

use crate::line::Line;
use crate::link::Link;
use crate::process::processor_time;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::gateway::Setup;
use crate::support::gateway::users_with;
use crate::support::jar::Jar;
use crate::support::until;

/// The application.
pub(crate) const APP: &str = "https://app.apps.test/";
/// What it shows to everybody.
pub(crate) const OPEN: &str = "https://app.apps.test/open";

/// What both data centres are configured to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'p> {
    /// Keys of `mdc.adoption`.
    pub(crate) adoption: &'p str,
    /// Keys of `session`.
    pub(crate) session: &'p str,
    /// Keys of `mdc.back_channel`, besides.
    pub(crate) back_channel: &'p str,
    /// How many users there are.
    pub(crate) users: usize,
}

/// Two data centres that run.
pub(crate) struct Centres {
    pub(crate) a: Gateway,
    pub(crate) b: Gateway,
    users: usize,
    _application: Application,
    _shared: TempDir,
}

impl Centres {
    /// Starts both and waits until a session of either is served at the other. What `dc-b` asks goes by
    /// the link, if there is one.
    pub(crate) async fn start(plan: Plan<'_>, to_a: Option<&Link>) -> Self {
        let application = Application::start().await;
        let shared = tempfile::tempdir().unwrap();
        pki(shared.path(), &["init"]);
        let users = users(plan.users);
        let [at_a, at_b] = free_addresses();
        let site = Site {
            plan,
            shared: shared.path(),
            application: application.address(),
            users: &users,
        };
        let a = site.start("dc-a", at_a, "dc-b", at_b).await;
        if let Some(link) = to_a {
            link.lead_to(&a);
        }
        let to_a = to_a.map_or(at_a, Link::address);
        let b = site.start("dc-b", at_b, "dc-a", to_a).await;
        let centres = Self {
            a,
            b,
            users: plan.users,
            _application: application,
            _shared: shared,
        };
        centres.wait_until_acquainted().await;
        centres
    }

    /// The cookies of browsers in which so many users have signed in at `dc-a`.
    pub(crate) async fn signed_in_at_a(&self, count: usize) -> Vec<Jar> {
        let one = |number: usize| async move {
            let mut browser = Browser::new(&self.a);
            let user = name(number % self.users);
            browser.sign_in(APP, &user).await.expect(200);
            browser.jar
        };
        let all = futures_util::stream::iter(0..count).map(one);
        all.buffer_unordered(SIGNING_IN).collect().await
    }

    /// The processor time of both processes.
    pub(crate) fn processor_time(&self) -> Duration {
        processor_time(&self.a) + processor_time(&self.b)
    }

    /// Waits until `dc-b` has said of so many sessions that it has adopted them, besides the one that it
    /// was started with, and fails if there are more: then something else was measured.
    pub(crate) async fn expect_adoptions(&self, count: usize) {
        let count = count + 1;
        let adopted = || self.b.log().matches("session adopted").count();
        until("every session was adopted", BOUND, || async {
            (adopted() >= count).then_some(())
        })
        .await;
        assert_eq!(adopted(), count, "one adoption for each session");
    }

    async fn wait_until_acquainted(&self) {
        for gateway in [&self.a, &self.b] {
            gateway.wait_for_log("clocks agree").await;
        }
        let pairs = [(&self.a, &self.b), (&self.b, &self.a)];
        for (number, (home, other)) in pairs.into_iter().enumerate() {
            let mut browser = Browser::new(home);
            browser.sign_in(APP, &name(number)).await.expect(200);
            until("a session is served elsewhere", BOUND, || async {
                let mut jar = browser.jar.clone();
                let seen = Line::new(other).get(&mut jar, APP).await.ok()?;
                (seen.status == 200).then_some(())
            })
            .await;
        }
    }
}

/// What the data centres share while they are started.
struct Site<'s> {
    plan: Plan<'s>,
    shared: &'s Path,
    application: SocketAddr,
    users: &'s str,
}

impl Site<'_> {
    async fn start(&self, own: &str, at: SocketAddr, other: &str, to: SocketAddr) -> Gateway {
        let setup = Setup::new().file("users.yaml", self.users);
        let state = setup.path("state").display().to_string();
        std::fs::create_dir(&state).unwrap();
        pki(
            self.shared,
            &["enrol", "--cluster", own, "--state-dir", &state],
        );
        let yaml = format!(
            "\
cluster_id: {own}
state_dir: {state}
key_ring_file: {}/key-ring.json
threads: 2
listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: {{ certificates: [{{ certificate_file: cert.pem, key_file: key.pem }}] }}
collector: {{ host: login.apps.test, title: Sign in, public_port: 443 }}
authentication: {{ users_file: users.yaml, throttle: {{ per_account: 100 }} }}
session: {{ {} }}
mdc:
  adoption: {{ {} }}
  gito_domain: apps.test
  back_channel: {{ bind: \"{at}\", security: simple{} }}
  peers: [{{ cluster_id: {other}, primary: [\"{to}\"] }}]
pools: {{ app: {{ primary: [\"{}\"] }} }}
policies: {{ anybody: [{{ allow: signed_in }}] }}
virtual_hosts:
  - host: app.apps.test
    public_port: 443
    routes:
      - {{ path: /open, access: excluded, pool: app }}
      - {{ path: /, access: protected, policy: anybody, pool: app }}
",
            self.shared.display(),
            self.plan.session,
            self.plan.adoption,
            self.plan.back_channel,
            self.application
        );
        setup.start(&yaml).await
    }
}

/// Calls `portway pki` for the CA of both.
fn pki(folder: &Path, arguments: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_portway"))
        .arg("pki")
        .args(arguments)
        .args(["--dir", "ca"])
        .env("PORTWAY_PKI_PASSPHRASE", "a pass phrase of the figures")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(done.status.success(), "{arguments:?}: {done:?}");
}

/// Addresses that nobody has a moment ago: each data centre is told the other's before either runs.
fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}

fn users(count: usize) -> String {
    let names: Vec<String> = (0..count).map(name).collect();
    let known: Vec<_> = names
        .iter()
        .map(|name| {
            (
                name.as_str(),
                "[staff, engineering]",
                "user@mail.test",
                "A user",
            )
        })
        .collect();
    users_with(&known)
}

/// The name of a user.
pub(crate) fn name(number: usize) -> String {
    format!("user-{number:05}")
}

/// Browsers that sign in at the same time.
const SIGNING_IN: usize = 8;
const BOUND: Duration = Duration::from_secs(30);

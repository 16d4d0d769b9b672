//! A gate without an engine in front of two data centres, as processes: certificates by `portway pki`, one
//! key ring, users who sign in at an engine node and are served at the gate.

use std::cell::Cell;
use std::cell::RefCell;
use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::AtomicU16;
use std::sync::atomic::Ordering;
use std::time::Duration;

use portway::crypto::claims::GitoCookie;
use portway::crypto::key_ring::KeyRing;
use portway::crypto::tags::ClusterTag;
use portway::decision::cookies::CookieNames;
use portway::decision::cookies::gito::Gito;
use portway::model::name::ClusterId;
use portway::model::name::DeploymentId;
use portway::model::name::HostName;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::browser::USER_AGENT;
use crate::support::gateway::Setup;
use crate::support::gateway::password;
use crate::support::until;
use crate::support::yaml;

const APP: &str = "https://app.apps.test/";
const OTHER: &str = "https://other.apps.test/";
const LOGIN: &str = "login.apps.test";
const GITO: &str = "__Secure-portway-gito-main";
const SOON: Duration = Duration::from_secs(20);
/// Longest that a hand-over which is held up may have users refused.
const MOMENT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn a_logout_at_an_engine_node_is_heard_at_the_gate_d_13() {
    let site = Site::start().await;
    let browser = site.sign_in("alice").await;
    let copy = browser.clone();
    site.serves(&copy).await;
    let mut leaving = Browser::new(&site.home);
    leaving.jar = browser.jar;
    leaving
        .get(&format!("https://{LOGIN}/.portway/logout"))
        .await;
    until("the gate refuses", SOON, || async {
        (site.status(&copy).await != 200).then_some(())
    })
    .await;
    assert_eq!(site.status(&copy).await, 401);
}

#[tokio::test]
async fn a_gate_whose_engine_is_killed_uses_the_other_data_centre_and_comes_home_m_055() {
    let mut site = Site::start().await;
    let browser = site.sign_in("carol").await;
    site.serves(&browser).await;

    site.home.kill9();
    site.edge.wait_for_log("the engine is silent").await;
    site.serves(&browser).await;

    site.home.restart().await;
    let back = |log: &str| log.matches("the engine is followed").count() >= 3;
    until("the gate is home", SOON, || async {
        back(&site.edge.log()).then_some(())
    })
    .await;
    site.other.kill9();
    site.serves(&browser).await;
}

#[tokio::test]
async fn a_gate_goes_on_as_another_process() {
    let site = Site::start().await;
    let browser = site.sign_in("alice").await;
    site.serves(&browser).await;
    let (said, code) = site.edge.upgrade(&[]).await;
    assert_eq!(code, 0, "{said}");
    site.serves(&browser).await;
}

/// What others know of a data centre, and what it knows of them, is the successor's: its sessions serve at the gate
/// and are adopted by the other data centre; what ends before and after ends everywhere.
#[tokio::test]
async fn an_engine_goes_on_as_another_process_for_its_gate_and_its_peer_mdc_adopt_2_s_15() {
    for store in ["disk", "memory"] {
        let site = Site::with_store(store).await;
        let alice = site.sign_in("alice").await;
        let bob = site.sign_in("bob").await;
        let copy = bob.clone();
        sign_out(&site.home, &bob).await;
        for round in 1..=2 {
            let (said, code) = site.home.upgrade(&[]).await;
            assert_eq!(code, 0, "{store}, round {round}: {said}");
            site.serves(&alice).await;
            let carol = site.sign_in("carol").await;
            site.serves(&carol).await;
        }
        until("the other has heard of the end", SOON, || async {
            (site.status_by(&site.other, &copy).await != 200).then_some(())
        })
        .await;
        until("the other has adopted", SOON, || async {
            (site.status_by(&site.other, &alice).await == 200).then_some(())
        })
        .await;
        let (said, code) = site.other.upgrade(&[]).await;
        assert_eq!(code, 0, "{store}: {said}");
        assert_eq!(site.status_by(&site.other, &alice).await, 200, "{store}");
        sign_out(&site.home, &alice).await;
        until("the other has heard of it", SOON, || async {
            (site.status_by(&site.other, &alice).await != 200).then_some(())
        })
        .await;
    }
}

/// While an engine is handed over again and again, its gate and its peer ask it all the time.
#[tokio::test]
async fn nobody_who_asks_an_engine_notices_that_it_is_handed_over_d_16() {
    let site = Site::start().await;
    let users = ["alice", "bob", "carol"];
    let mut browsers = Vec::new();
    for user in users {
        browsers.push(site.sign_in(user).await);
    }
    let answers = RefCell::new([(); 3].map(|()| Answers::default()));
    let round = Cell::new(0_usize);
    let upgrades = async {
        for number in 0..3 {
            round.set(number);
            let (said, code) = site.home.upgrade(&[]).await;
            assert_eq!(code, 0, "{said}");
            let served = answers.borrow()[number].served;
            assert!(served > 0, "hand-over {number}: nobody is served meanwhile");
            site.serves(&browsers[0]).await;
        }
    };
    let mut upgrades = std::pin::pin!(upgrades);
    let mut asks = std::pin::pin!(async {
        loop {
            for browser in &browsers {
                let status = site.status(browser).await;
                answers.borrow_mut()[round.get()].note(status);
            }
        }
    });
    tokio::select! {
        () = &mut upgrades => {}
        () = &mut asks => {}
    }
    site.serves(&browsers[0]).await;
    // A gate relies on nothing that is older than a second, and a machine that stalls may hold up a hand-over for as
    // long: that is noticed, rightly, for a moment, and seldom happens twice.
    let answers = answers.borrow();
    let held_up = answers.iter().filter(|round| !round.refused.is_empty());
    assert!(held_up.count() < 2, "{answers:?}");
    for round in answers.iter() {
        assert!(round.refused_for() < MOMENT, "{answers:?}");
        let mut statuses = round.refused.iter().map(|(_, status)| *status);
        assert!(statuses.all(|status| status == 503), "{answers:?}");
    }
}

/// What those are answered who ask while an engine is handed over once.
#[derive(Debug, Default)]
struct Answers {
    served: usize,
    /// When, and with which status.
    refused: Vec<(Instant, u16)>,
}

impl Answers {
    fn note(&mut self, status: u16) {
        match status {
            200 => self.served += 1,
            _ => self.refused.push((Instant::now(), status)),
        }
    }

    /// From the first refusal to the last.
    fn refused_for(&self) -> Duration {
        match (self.refused.first(), self.refused.last()) {
            (Some((first, _)), Some((last, _))) => last.duration_since(*first),
            _ => Duration::ZERO,
        }
    }
}

async fn sign_out(gateway: &Gateway, browser: &Browser) {
    let mut leaving = Browser::new(gateway);
    leaving.jar = browser.jar.clone();
    let page = leaving
        .get(&format!("https://{LOGIN}/.portway/logout"))
        .await;
    leaving.follow_all(page).await;
}

#[tokio::test]
async fn the_gito_cookie_of_a_gate_names_the_data_centre_that_served_m_022() {
    let mut site = Site::start().await;
    let mut browser = site.sign_in("alice").await;
    assert_eq!(site.named_by(&browser), ClusterTag::of(&cluster("ny")));
    site.home.kill9();
    site.is_named(&mut browser, "ldc").await;
    site.home.restart().await;
    site.is_named(&mut browser, "ny").await;
}

#[tokio::test]
async fn a_logout_that_no_engine_hears_is_not_called_done_and_is_told_later_s_15() {
    let mut site = Site::start().await;
    let mut browser = site.sign_in("bob").await;
    let copy = browser.clone();
    site.home.kill9();
    site.other.kill9();
    let silent = |log: &str| log.matches("the engine is silent").count() >= 2;
    until("both are lost", SOON, || async {
        silent(&site.edge.log()).then_some(())
    })
    .await;
    let page = browser.get(&format!("{APP}.portway/logout")).await;
    let text = page.expect(503).text();
    assert!(text.contains("Your session has not ended yet"), "{text}");
    assert!(!text.contains("You are signed out"), "{text}");
    assert_eq!(site.status(&copy).await, 401);

    site.home.restart().await;
    site.home.wait_for_log("session ended").await;
    let mut at_home = Browser::new(&site.home);
    at_home.jar = copy.jar.clone();
    assert_eq!(site.status(&at_home).await, 401, "dead at the engine");
    assert_eq!(site.status(&copy).await, 401, "and at the gate");
}

#[tokio::test]
async fn a_host_of_a_gate_may_be_stricter_than_its_engine_d_19() {
    let site = Site::with_host("    session: { lifetime: 8s }\n").await;
    let mut browser = site.sign_in("alice").await;
    site.go_on_to(&mut browser, OTHER).await;
    until("the session is too old for the host", SOON, || async {
        (site.status(&browser).await == 401).then_some(())
    })
    .await;
    assert_eq!(site.status_at(&browser, OTHER).await, 200);
    let challenged = browser.get(APP).await.expect(303);
    let mut at_home = Browser::new(&site.home);
    at_home.jar = browser.jar.clone();
    let page = at_home.follow(&challenged).await;
    at_home.follow_all(page).await.expect(200).form();
    assert_eq!(site.status_at(&browser, OTHER).await, 200);
}

/// What a session is bound to is its engine's to say, and travels with the cookies.
#[tokio::test]
async fn a_gate_without_an_engine_goes_by_what_a_cookie_is_bound_to_d_19() {
    let site = Site::with("", "session: { bind_to: [user_agent] }\n").await;
    let browser = site.sign_in("alice").await;
    let owner = browser.clone().sending("user-agent", USER_AGENT);
    site.serves(&owner).await;
    let thief = browser.sending("user-agent", "curl/8");
    assert_eq!(site.status(&thief).await, 401);
    assert_eq!(site.status(&owner).await, 200);
    until("the trail of the gate has it", SOON, || async {
        let trail = site.edge.folder().join("state/audit.jsonl");
        let text = std::fs::read_to_string(trail).ok()?;
        text.contains("cookie_strayed").then_some(())
    })
    .await;
}

/// Two engine nodes and a gate.
struct Site {
    home: Gateway,
    other: Gateway,
    edge: Gateway,
    application: Application,
    /// The CA and the key ring.
    shared: TempDir,
}

impl Site {
    async fn start() -> Self {
        Self::with("", "").await
    }

    /// With these lines for the virtual host of [`APP`] at the gate.
    async fn with_host(lines: &str) -> Self {
        Self::with(lines, "").await
    }

    /// With the sessions of the engine nodes kept in this store.
    async fn with_store(store: &str) -> Self {
        Self::with("", &format!("session: {{ store: {store} }}\n")).await
    }

    /// The same, and with these lines for the engine nodes.
    async fn with(lines: &str, engines: &str) -> Self {
        let application = Application::start().await;
        let shared = tempfile::tempdir().unwrap();
        pki(["init".as_ref(), "--dir".as_ref(), shared.path().as_os_str()]);
        let enrolled = |option: &str, name: &str| {
            let setup = Setup::new();
            let state = setup.path("state");
            std::fs::create_dir(&state).unwrap();
            let dir = shared.path().as_os_str();
            let (option, name) = (OsStr::new(option), OsStr::new(name));
            let line = ["enrol", "--dir", "--state-dir"].map(OsStr::new);
            let [enrol, from, to] = line;
            pki([enrol, from, dir, option, name, to, state.as_os_str()]);
            setup
        };
        let ring = shared.path().join("key-ring.json");
        let head = format!("key_ring_file: {}\n{LISTENERS}", ring.display());
        let sites = yaml::sites(&[application.address()]).replace(".test", ".apps.test");
        let [ny, ldc] = [back_channel(), back_channel()];
        let engine = |name: &str, own: &str, peer: &str, there: &str| {
            format!(
                "cluster_id: {name}
{engines}{head}collector: {{ host: {LOGIN} }}
authentication: {{ users_file: users.yaml }}
mdc:
  adoption: {{ continue_on_sync_failure: true }}
  gito_domain: apps.test
  back_channel: {{ bind: \"{own}\", security: simple }}
  peers: [{{ cluster_id: {peer}, primary: [\"{there}\"] }}]
  gates: [{{ name: edge-1 }}]
{sites}"
            )
        };
        let home = enrolled("--cluster", "ny");
        let home = home.start(&engine("ny", &ny, "ldc", &ldc)).await;
        let other = enrolled("--cluster", "ldc");
        let other = other.start(&engine("ldc", &ldc, "ny", &ny)).await;
        let login = home.address("https").port();
        let host = "  - host: app.apps.test\n";
        let sites = sites.replace(host, &format!("{host}{lines}"));
        let edge = format!(
            "{head}collector: {{ host: {LOGIN}, public_port: {login}, elsewhere: true }}
engine:
  remote:
    name: edge-1
    security: simple
    primary: [{{ cluster_id: ny, address: \"{ny}\" }}]
    secondary: [{{ cluster_id: ldc, address: \"{ldc}\" }}]
{sites}"
        );
        let edge = enrolled("--gate", "edge-1").start(&edge).await;
        Self {
            home,
            other,
            edge,
            application,
            shared,
        }
    }

    /// A browser with which a user has signed in at the engine node, on the way to the gate.
    async fn sign_in(&self, user: &str) -> Browser {
        let mut at_edge = Browser::new(&self.edge);
        let challenged = at_edge.get(APP).await.expect(303);
        let mut at_home = Browser::new(&self.home);
        at_home.jar = at_edge.jar.clone();
        let page = at_home.follow(&challenged).await;
        let page = at_home.follow_all(page).await.expect(200);
        let mut answer = at_home.log_in(&page, user, &password(user)).await;
        while answer.redirects() && answer.location().host() == LOGIN {
            answer = at_home.follow(&answer).await;
        }
        at_edge.jar = at_home.jar;
        let there = at_edge.follow(&answer).await;
        let there = at_edge.follow_all(there).await.expect(200);
        assert_eq!(there.told("remote-user"), user);
        at_edge
    }

    /// Opens another application, where the user is not asked again.
    async fn go_on_to(&self, browser: &mut Browser, url: &str) {
        let challenged = browser.get(url).await.expect(303);
        let mut at_home = Browser::new(&self.home);
        at_home.jar = browser.jar.clone();
        let back = at_home.follow(&challenged).await.expect(303);
        browser.jar = at_home.jar;
        let there = browser.follow(&back).await;
        browser.follow_all(there).await.expect(200);
    }

    /// The data centre that the browser's GITO cookie names.
    fn named_by(&self, browser: &Browser) -> ClusterTag {
        let ring = std::fs::read(self.shared.path().join("key-ring.json")).unwrap();
        let ring = KeyRing::parse(&ring).unwrap();
        let names = CookieNames::new(&DeploymentId::parse("main").unwrap());
        let gito = Gito {
            domain: HostName::parse("apps.test").unwrap(),
            granularity: Duration::ZERO,
        };
        let kept = browser.jar.find("app.apps.test", GITO).unwrap();
        let opened = ring.open_claims::<GitoCookie>(&gito.binding(&names), &kept.value);
        opened.unwrap().cluster
    }

    /// Waits until a request that the gate permits makes the GITO cookie name a data centre.
    async fn is_named(&self, browser: &mut Browser, name: &str) {
        let tag = ClusterTag::of(&cluster(name));
        let mut copy = browser.clone();
        let asked = tokio::time::timeout(SOON, async {
            while self.named_by(&copy) != tag {
                let answer = copy.try_send(Request::get(APP)).await;
                answer.iter().for_each(|answer| copy.keep(answer));
            }
        });
        asked
            .await
            .unwrap_or_else(|_| panic!("it never names {name}"));
        *browser = copy;
    }

    /// What a node answers a browser that came to the gate before.
    async fn status_by(&self, node: &Gateway, browser: &Browser) -> u16 {
        let mut there = Browser::new(node);
        there.jar = browser.jar.clone();
        self.status(&there).await
    }

    async fn status(&self, browser: &Browser) -> u16 {
        self.status_at(browser, APP).await
    }

    async fn status_at(&self, browser: &Browser, url: &str) -> u16 {
        let answer = browser.try_send(Request::get(url)).await;
        let asked = self.application.requests();
        answer.map_or_else(|error| panic!("{error} ({asked} served)"), |it| it.status)
    }

    /// Waits until the gate serves a browser, without asking its user anything.
    async fn serves(&self, browser: &Browser) {
        until("the gate serves", SOON, || async {
            (self.status(browser).await == 200).then_some(())
        })
        .await;
    }
}

fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

/// Where an engine node listens for the others, who have to know before it starts: on a loopback address
/// that no other process of these tests uses.
fn back_channel() -> String {
    static NODES: AtomicU16 = AtomicU16::new(0);
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let address = Ipv4Addr::new(127, 64 + high % 64, middle, low);
    let port = FIRST_PORT + NODES.fetch_add(1, Ordering::Relaxed);
    format!("{address}:{port}")
}

fn pki<const N: usize>(arguments: [&OsStr; N]) {
    let done = Command::new(env!("CARGO_BIN_EXE_portway"))
        .arg("pki")
        .args(arguments)
        .env("PORTWAY_PKI_PASSPHRASE", "a pass phrase of the tests")
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
}

const FIRST_PORT: u16 = 5575;
const LISTENERS: &str = "\
threads: 2
listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: { certificates: [{ certificate_file: cert.pem, key_file: key.pem }] }
  - { name: http, bind: 127.0.0.1:0 }
";

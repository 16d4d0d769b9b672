//! The examples of several data centres, started as they stand: users sign in and hop, a data centre is
//! lost, and comes back (MDC-TOPO-1, MDC-TOPO-4).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::link::Link;
use crate::pair::Arrival;
use crate::pair::BOUND;
use crate::pair::arrival;
use crate::pair::served;
use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::gateway::Setup;
use crate::support::until;

const APP: &str = "https://app.portway.localhost/";
const MAIL: &str = "https://mail.portway.localhost/";
const LOGIN_HOST: &str = "login.portway.localhost";
const PHRASE: &str = "a pass phrase of the tests";

/// What the nodes of an example share: its CA, its keys, and the ways to their back-channels.
struct Site {
    example: PathBuf,
    folder: TempDir,
    links: BTreeMap<&'static str, Link>,
    applications: BTreeMap<&'static str, Application>,
}

impl Site {
    /// The surroundings of an example with engines in these data centres, an application in each.
    async fn new(example: &str, clusters: &[&'static str]) -> Self {
        let mut site = Self {
            example: PathBuf::from(env!("CARGO_MANIFEST_DIR"))
                .join("examples")
                .join(example),
            folder: tempfile::tempdir().unwrap(),
            links: BTreeMap::new(),
            applications: BTreeMap::new(),
        };
        site.pki(&["init"]);
        for cluster in clusters {
            let link = Link::new().await;
            link.silence();
            site.links.insert(cluster, link);
            site.applications
                .insert(cluster, Application::start().await);
        }
        site
    }

    /// Starts the engine node of a data centre.
    async fn start(&self, cluster: &'static str, file: &str) -> Gateway {
        std::fs::create_dir(self.folder.path().join(cluster)).unwrap();
        self.pki(&["enrol", "--cluster", cluster, "--state-dir", cluster]);
        let gateway = self.start_node(cluster, file).await;
        self.links[cluster].lead_to(&gateway);
        gateway
    }

    /// Starts a node whose certificates are there.
    async fn start_node(&self, name: &str, file: &str) -> Gateway {
        let setup = Setup::new();
        let known = [
            ("PORTWAY_CERTIFICATE", setup.path("cert.pem")),
            ("PORTWAY_KEY", setup.path("key.pem")),
            ("PORTWAY_USERS", setup.path("users.yaml")),
            ("PORTWAY_STATE", self.folder.path().join(name)),
            ("PORTWAY_KEY_RING", self.folder.path().join("key-ring.json")),
        ];
        let mut setup = setup;
        for (variable, path) in known {
            setup = setup.variable(variable, &path.display().to_string());
        }
        for variable in ["PORTWAY_HTTPS", "PORTWAY_HTTP", "PORTWAY_BACK_CHANNEL"] {
            setup = setup.variable(variable, "127.0.0.1:0");
        }
        for variable in [
            "PORTWAY_PUBLIC_PORT",
            "PORTWAY_LOGIN_PORT",
            "PORTWAY_APP_PORT",
        ] {
            setup = setup.variable(variable, "443");
        }
        for (cluster, link) in &self.links {
            let variable = format!("{}_BACK_CHANNEL", cluster.to_uppercase());
            setup = setup.variable(&variable, &link.address().to_string());
        }
        for (cluster, application) in &self.applications {
            let variable = format!("APP_{}", cluster.to_uppercase());
            let address = application.address().to_string();
            setup = setup.variable(&variable, &address);
            setup = setup.variable("APP_1", &address);
        }
        setup.start_with(&self.example.join(file)).await
    }

    fn pki(&self, arguments: &[&str]) {
        let done = Command::new(env!("CARGO_BIN_EXE_portway"))
            .arg("pki")
            .args(arguments)
            .args(["--dir", "ca"])
            .env("PORTWAY_PKI_PASSPHRASE", PHRASE)
            .current_dir(self.folder.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }
}

/// Waits until a gateway has greeted so many others.
async fn acquainted(gateway: &Gateway, others: usize) {
    until("the data centres know each other", BOUND, || async {
        (gateway.log().matches("clocks agree").count() >= others).then_some(())
    })
    .await;
}

/// Waits until each honours the sessions of each other. Whoever has greeted a data centre may read its end log only
/// at the next interval, and rightly asks its users to sign in until then (S-16).
async fn honour_each_other(centres: &[&Gateway]) {
    for origin in centres {
        let carol = signed_in(origin, "carol").await;
        for at in centres {
            until_visit(&carol, at, APP, &served("carol")).await;
        }
    }
}

async fn visit(browser: &mut Browser, at: &Gateway, url: &str) -> Arrival {
    crate::pair::visit(browser, at, url).await
}

async fn signed_in(at: &Gateway, user: &str) -> Browser {
    let mut browser = Browser::new(at);
    browser.sign_in(APP, user).await.expect(200);
    browser
}

async fn sign_out(browser: &mut Browser, at: &Gateway) -> String {
    browser.go_to(at);
    let first = browser.get(&format!("{APP}.portway/logout")).await;
    browser.follow_all(first).await.expect(200).text()
}

/// Tries with copies of a browser until a visit ends as expected.
async fn until_visit(browser: &Browser, at: &Gateway, url: &str, expected: &Arrival) {
    until(&format!("{url}: {expected:?}"), BOUND, || async {
        let mut copy = browser.clone();
        copy.go_to(at);
        let answer = copy.get(url).await;
        if answer.status >= 500 {
            return None;
        }
        (arrival(&mut copy, answer).await == *expected).then_some(())
    })
    .await;
}

/// M-026; the applications of one data centre are the other tier of the other's (M-008, X-05).
#[tokio::test]
async fn the_example_active_active_hops_loses_a_data_centre_and_comes_home_mdc_topo_1_m_027() {
    let mut site = Site::new("active-active", &["nydc", "ldc"]).await;
    let nydc = site.start("nydc", "nydc.yaml").await;
    let mut ldc = site.start("ldc", "ldc.yaml").await;
    acquainted(&nydc, 1).await;
    acquainted(&ldc, 1).await;
    honour_each_other(&[&nydc, &ldc]).await;
    let mut alice = signed_in(&nydc, "alice").await;
    for (at, url) in [(&ldc, APP), (&ldc, MAIL), (&nydc, MAIL), (&ldc, APP)] {
        assert_eq!(visit(&mut alice, at, url).await, served("alice"));
    }
    // The session is in London when London is lost: New York asks to sign in, and goes on.
    ldc.kill9();
    let lost = alice.clone();
    assert_eq!(visit(&mut alice, &nydc, APP).await, Arrival::Challenged);
    alice.sign_in(APP, "alice").await.expect(200);
    ldc.restart().await;
    until_visit(&alice, &ldc, APP, &served("alice")).await;
    until_visit(&lost, &ldc, APP, &Arrival::Challenged).await;
    let page = sign_out(&mut alice, &ldc).await;
    assert!(page.contains("signed out"), "{page}");
    // New York's application is down, London's serves its users.
    let mut bob = signed_in(&nydc, "bob").await;
    drop(site.applications.remove("nydc"));
    until_visit(&bob, &nydc, APP, &served("bob")).await;
    assert_eq!(visit(&mut bob, &nydc, MAIL).await, served("bob"));
}

#[tokio::test]
async fn the_example_active_standby_goes_on_from_the_cookie_mdc_topo_1_mdc_fail_4_mdc_fail_5() {
    let site = Site::new("active-standby", &["nydc", "ldc"]).await;
    let mut active = site.start("nydc", "active.yaml").await;
    // The standby is not running, and nobody waits for it.
    let mut alice = signed_in(&active, "alice").await;
    let mut bob = signed_in(&active, "bob").await;
    let bobs = bob.clone();
    let page = sign_out(&mut bob, &active).await;
    assert!(page.contains("ldc: not confirmed yet"), "{page}");
    // Started while the active one is up, it learns what has ended.
    let mut standby = site.start("ldc", "standby.yaml").await;
    acquainted(&standby, 1).await;
    until_visit(&bobs, &standby, APP, &Arrival::Challenged).await;
    active.kill9();
    let mut carol = Browser::new(&standby);
    carol.sign_in(APP, "carol").await.expect(200);
    assert_eq!(visit(&mut alice, &standby, APP).await, served("alice"));
    assert_eq!(visit(&mut alice, &standby, MAIL).await, served("alice"));
    assert_eq!(
        visit(&mut bobs.clone(), &standby, APP).await,
        Arrival::Challenged
    );
    // The active one is back, and the standby stops: everybody comes home.
    active.restart().await;
    for (browser, user) in [(&alice, "alice"), (&carol, "carol")] {
        until_visit(browser, &active, APP, &served(user)).await;
    }
    standby.kill9();
    for (browser, user) in [(&mut alice, "alice"), (&mut carol, "carol")] {
        assert_eq!(visit(browser, &active, APP).await, served(user));
    }
    until_visit(&bobs, &active, APP, &Arrival::Challenged).await;
}

#[tokio::test]
async fn a_standby_started_after_the_loss_asks_everybody_to_sign_in_once_m_028_s_15_s_16() {
    let site = Site::new("active-standby", &["nydc", "ldc"]).await;
    let mut active = site.start("nydc", "active.yaml").await;
    let mut alice = signed_in(&active, "alice").await;
    active.kill9();
    let standby = site.start("ldc", "standby.yaml").await;
    assert_eq!(visit(&mut alice, &standby, APP).await, Arrival::Challenged);
    alice.sign_in(APP, "alice").await.expect(200);
    assert_eq!(visit(&mut alice, &standby, MAIL).await, served("alice"));
}

#[tokio::test]
async fn the_example_hot_standby_is_ready_the_moment_the_active_one_is_lost_mdc_topo_1_m_029() {
    let mut site = Site::new("hot-standby", &["nydc", "ldc"]).await;
    let mut active = site.start("nydc", "active.yaml").await;
    let standby = site.start("ldc", "standby.yaml").await;
    acquainted(&active, 1).await;
    acquainted(&standby, 1).await;
    let mut alice = signed_in(&active, "alice").await;
    let mut bob = signed_in(&active, "bob").await;
    let bobs = bob.clone();
    sign_out(&mut bob, &active).await;
    assert_eq!(site.applications["ldc"].requests(), 0, "it only waits");
    active.kill9();
    until_visit(&alice, &standby, APP, &served("alice")).await;
    assert_eq!(visit(&mut alice, &standby, MAIL).await, served("alice"));
    assert_eq!(
        visit(&mut bobs.clone(), &standby, APP).await,
        Arrival::Challenged
    );
    active.restart().await;
    until_visit(&alice, &active, APP, &served("alice")).await;
    // Its applications are lost, its gateways are not.
    drop(site.applications.remove("nydc"));
    until_visit(&alice, &active, APP, &served("alice")).await;
    assert_eq!(visit(&mut alice, &active, MAIL).await, served("alice"));
}

#[tokio::test]
async fn the_example_of_five_signs_in_once_round_the_world_and_out_of_all_mdc_topo_4_m_032_m_039() {
    let names = ["nydc", "ldc", "tkdc", "sydc", "spdc"];
    let site = Site::new("five-data-centres", &names).await;
    let mut centres = Vec::new();
    for name in names {
        centres.push(site.start(name, &format!("{name}.yaml")).await);
    }
    for centre in &centres {
        acquainted(centre, names.len() - 1).await;
    }
    honour_each_other(&centres.iter().collect::<Vec<_>>()).await;
    let mut alice = signed_in(&centres[0], "alice").await;
    for centre in &centres {
        for url in [APP, MAIL] {
            assert_eq!(visit(&mut alice, centre, url).await, served("alice"));
        }
    }
    // One is lost; where she was she is still served, and bob is taken over from where he is.
    let mut bob = signed_in(&centres[1], "bob").await;
    centres[2].kill9();
    for at in [4, 3, 1, 0] {
        assert_eq!(visit(&mut alice, &centres[at], APP).await, served("alice"));
        assert_eq!(visit(&mut bob, &centres[at], APP).await, served("bob"));
    }
    let copy = alice.clone();
    let mut page = sign_out(&mut alice, &centres[4]).await;
    // Each has a second for it, and may be late on a machine that runs all of them.
    let all_confirm = |page: &str| {
        let mut names = ["nydc", "ldc", "sydc"].iter();
        names.all(|name| page.contains(&format!("{name}: confirmed")))
    };
    for _ in 0..2 {
        if all_confirm(&page) {
            break;
        }
        let mut carol = signed_in(&centres[0], "carol").await;
        assert_eq!(visit(&mut carol, &centres[4], APP).await, served("carol"));
        page = sign_out(&mut carol, &centres[4]).await;
    }
    for (name, said) in [
        ("nydc", "confirmed"),
        ("ldc", "confirmed"),
        ("tkdc", "not confirmed yet"),
        ("sydc", "confirmed"),
    ] {
        assert!(page.contains(&format!("{name}: {said}")), "{name} {page}");
    }
    centres[2].restart().await;
    for centre in &centres {
        until_visit(&copy, centre, APP, &Arrival::Challenged).await;
        until_visit(&bob, centre, APP, &served("bob")).await;
    }
}

/// Follows redirects where applications are reached at one gateway and the login host at another.
async fn follow(browser: &mut Browser, apps: &Gateway, login: &Gateway, answer: Answer) -> Answer {
    let mut answer = answer;
    while answer.redirects() {
        let at_login = answer.location().host() == LOGIN_HOST;
        browser.go_to(if at_login { login } else { apps });
        answer = browser.follow(&answer).await;
    }
    answer
}

/// M-008, and M-009 (d): a gate balances over the engines of its data centre and fails over to another's.
#[tokio::test]
async fn the_example_of_a_gate_uses_the_other_engine_and_comes_home_mdc_topo_2_m_055() {
    let site = Site::new("gate-only", &["nydc", "ldc"]).await;
    let mut nydc = site.start("nydc", "nydc.yaml").await;
    let ldc = site.start("ldc", "ldc.yaml").await;
    acquainted(&nydc, 1).await;
    acquainted(&ldc, 1).await;
    std::fs::create_dir(site.folder.path().join("edge-1")).unwrap();
    site.pki(&["enrol", "--gate", "edge-1", "--state-dir", "edge-1"]);
    let gate = site.start_node("edge-1", "edge-1.yaml").await;
    let signed_in = async |user: &str| {
        let mut browser = Browser::new(&gate);
        let page = until("the gate leads to the login page", BOUND, || async {
            let answer = browser.clone().get(APP).await;
            answer.redirects().then_some(())
        });
        page.await;
        let first = browser.get(APP).await;
        let page = follow(&mut browser, &gate, &nydc, first).await.expect(200);
        let form = crate::support::gateway::password(user);
        let back = browser.log_in(&page, user, &form).await.expect(303);
        let there = follow(&mut browser, &gate, &nydc, back).await.expect(200);
        assert_eq!(there.told("remote-user"), user);
        browser
    };
    let alice = signed_in("alice").await;
    let mut bob = signed_in("bob").await;
    bob.go_to(&gate);
    let bobs = bob.clone();
    let out = bob.get(&format!("{APP}.portway/logout")).await;
    let page = follow(&mut bob, &gate, &nydc, out).await.expect(200);
    assert!(page.text().contains("signed out"), "{}", page.text());
    let at_gate = |browser: &Browser| {
        let mut copy = browser.clone();
        copy.go_to(&gate);
        async move { copy.get(APP).await }
    };
    assert_eq!(at_gate(&bobs).await.status, 303);
    assert_eq!(at_gate(&alice).await.status, 200);
    // Its own engine is lost, and London's goes on; what has ended stays so.
    nydc.kill9();
    until("London's engine takes over", BOUND, || async {
        (at_gate(&alice).await.status == 200).then_some(())
    })
    .await;
    until("bob is signed out there too", BOUND, || async {
        (at_gate(&bobs).await.status == 303).then_some(())
    })
    .await;
    nydc.restart().await;
    acquainted(&nydc, 1).await;
    until("the gate is served at home", BOUND, || async {
        (at_gate(&alice).await.status == 200).then_some(())
    })
    .await;
    assert_eq!(at_gate(&bobs).await.status, 303);
}

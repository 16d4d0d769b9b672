//! Reloads and upgrades under load, one after the other: nothing is lost, whatever is edited, and the figures are
//! printed.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::failover::Load;
use crate::failover::Seen;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::certificates;
use crate::support::certificates::ClientAuthority;
use crate::support::gateway::Setup;
use crate::support::parts;
use crate::support::ports::kept_port;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::yaml;
use crate::upgrade_life::Life;

const RELOADS: usize = 50;
const UPGRADES: usize = 5;

#[tokio::test]
async fn fifty_reloads_and_five_upgrades_under_load_lose_nothing_d_16() {
    let (Some(wrk), Some(h2load)) = (parts::find("wrk"), parts::find("h2load")) else {
        return;
    };
    let (application, more) = (Application::start().await, Application::start().await);
    let config = yaml::applications(&[application.address()]);
    let config = format!("{config}{CERTIFIED}limits: {{ drain_timeout: 10m }}\n");
    let clients = ClientAuthority::new("Clients");
    let setup = Setup::new().file("clients.pem", &clients.pem);
    let setup = setup.file("revoked.pem", &clients.revoking(&[1], 4000));
    let gateway = setup.start(&config).await;
    let edits = Edits::new(&gateway, &config, more.address());
    let alice = Browser::signed_in(&gateway, "alice").await;
    let cookies = format!("Cookie: {}", alice.cookies_for("https://app.test/"));
    let life = Life::begin(&gateway).await;
    let began = Instant::now();
    let by_wrk = by_wrk(&wrk, &gateway, &cookies);
    let by_h2load = by_h2load(&h2load, &gateway, &cookies);
    let goes_on = Arc::new(AtomicBool::new(true));
    let over_h2 = again_and_again(h2load, &gateway, cookies, Arc::clone(&goes_on));
    for round in 0..RELOADS {
        gateway.reload_with(&edits.of(round)).await;
        edits.take_effect(round).await;
        if round % (RELOADS / UPGRADES) == 0 {
            let (said, code) = gateway.upgrade(&[]).await;
            assert_eq!(code, 0, "{said}");
            life.goes_on().await;
        }
    }
    goes_on.store(false, Ordering::Relaxed);
    let took = began.elapsed();
    let h2 = within("the end of h2load", PATIENCE, over_h2)
        .await
        .unwrap();
    let by_h2load = by_h2load.said(3 * PATIENCE).await;
    let by_wrk = by_wrk.end().await;
    let life = life.end().await;
    let (seen, h1) = (Seen::read(&by_wrk), Counted::read(&by_h2load));
    eprintln!(
        "{RELOADS} reloads and {UPGRADES} upgrades within {took:.1?}: wrk {} requests, {} error answers, {} broken \
         connections; h2load {} requests by HTTP/1.1, {} answered; by HTTP/2 {h2:?}; {life}",
        seen.requests, seen.errors, seen.broken, h1.started, h1.succeeded,
    );
    assert!(seen.requests > 100, "{by_wrk}");
    assert_eq!(seen.errors + seen.broken, 0, "{by_wrk}");
    assert!(h1.started > 100, "{by_h2load}");
    let all = (h1.total, h1.total);
    assert_eq!((h1.started, h1.succeeded), all, "{by_h2load}");
    assert!(h2.answered > 100, "{h2:?}");
    assert_eq!(h2.lost, 0, "{h2:?}");
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
}

/// A host that nobody asks for, so that there are certificates of clients to judge.
const CERTIFIED: &str = "  - host: third.test
    client_certificates: { mode: optional, ca_file: clients.pem, crl_file: revoked.pem }
    routes: [{ path: /, access: protected, policy: anybody, pool: app }]
";

/// What is edited from round to round.
struct Edits<'g> {
    gateway: &'g Gateway,
    config: String,
    users: String,
    /// An upstream that comes and goes.
    more: SocketAddr,
    /// Where a listener comes and goes.
    port: u16,
}

impl<'g> Edits<'g> {
    /// How many kinds of edits there are.
    const KINDS: usize = 7;
    /// That of the listener.
    const LISTENERS: usize = 6;

    fn new(gateway: &'g Gateway, config: &str, more: SocketAddr) -> Self {
        Self {
            gateway,
            config: config.to_owned(),
            users: std::fs::read_to_string(gateway.folder().join("users.yaml")).unwrap(),
            more,
            port: kept_port(),
        }
    }

    /// The configuration of a round; the files that it names are there. What a round edits is as it was before in
    /// the next one, but for the users.
    fn of(&self, round: usize) -> String {
        let config = &self.config;
        match round % Self::KINDS {
            0 => {
                let hosts = format!("hosts: [app.test, more-{round}.test]");
                config.replace("host: app.test", &hosts)
            }
            1 => {
                let issued = certificates::issue(certificates::NAMES);
                let files = [("cert.pem", issued.certificate), ("key.pem", issued.key)];
                self.with_files(round, files)
            }
            2 => {
                let clients = ClientAuthority::new(&format!("Clients {round}"));
                let list = clients.revoking(&[1, 2], 4000);
                self.with_files(round, [("clients.pem", clients.pem), ("revoked.pem", list)])
            }
            3 => {
                let dora = self.users.lines().find(|line| line.contains("name: dora"));
                let new = dora.unwrap().replacen("dora", &format!("new{round}"), 1);
                self.gateway
                    .replace("users.yaml", &format!("{}{new}\n", self.users));
                config.clone()
            }
            4 => config
                .replace("group: [admins]", &format!("group: [admins, round{round}]"))
                .replace("path: /plain", &format!("path: /plain-{round}")),
            5 => {
                let more = self.more;
                let pool = format!("max_fails: {}, primary: [\"{more}\", ", round + 2);
                config.replace("primary: [", &pool)
            }
            _ => {
                let http = "  - { name: http, bind: 127.0.0.1:0 }\n";
                assert!(config.contains(http), "{config}");
                let port = self.port;
                let more = format!("{http}  - {{ name: more, bind: \"127.0.0.1:{port}\" }}\n");
                config.replace(http, &more)
            }
        }
    }

    /// The configuration with other files in the place of these, so that all of them change at once.
    fn with_files(&self, round: usize, files: [(&str, String); 2]) -> String {
        let mut config = self.config.clone();
        for (name, text) in files {
            let new = format!("{round}-{name}");
            self.gateway.replace(&new, &text);
            config = config.replace(&format!("_file: {name}"), &format!("_file: {new}"));
        }
        config
    }

    /// A listener that has come accepts; the reload itself says of the others that they hold.
    async fn take_effect(&self, round: usize) {
        if round % Self::KINDS == Self::LISTENERS {
            let at = (Ipv4Addr::LOCALHOST, self.port);
            TcpStream::connect(at).await.unwrap();
        }
    }
}

/// Requests on connections that are kept, by HTTP/1.1, until it is told to end.
fn by_wrk(wrk: &Path, gateway: &Gateway, cookies: &str) -> Load {
    let mut command = Command::new(wrk);
    command.args(["-t1", "-d1h", "-c8", "--timeout", "30s"]);
    command.args(["-H", "Host: app.test"]);
    begun(&mut command, (gateway, "localhost"), cookies)
}

/// The same by h2load, which waits for an answer before it asks again.
fn by_h2load(h2load: &Path, gateway: &Gateway, cookies: &str) -> Load {
    let mut command = Command::new(h2load);
    let connect_to = format!("--connect-to={}", gateway.address("https"));
    command.args(["--h1", "-t1", "-c4", "-n", "4000", &connect_to]);
    begun(&mut command, (gateway, "app.test"), cookies)
}

fn begun(command: &mut Command, (gateway, host): (&Gateway, &str), cookies: &str) -> Load {
    let port = gateway.address("https").port();
    command
        .args(["-H", cookies])
        .arg(format!("https://{host}:{port}/load"));
    Load::begin(command)
}

/// Runs h2load over HTTP/2 for as long as it is to go on, and reads its log of single requests. It does not connect
/// again when the end of a connection is announced, and drops what it had begun but not sent by then.
fn again_and_again(
    h2load: PathBuf,
    gateway: &Gateway,
    cookies: String,
    goes_on: Arc<AtomicBool>,
) -> JoinHandle<Outcomes> {
    let address = gateway.address("https");
    let folder = tempfile::tempdir().unwrap();
    tokio::task::spawn_blocking(move || {
        let log = folder.path().join("requests.log");
        let mut all = Outcomes::default();
        while goes_on.load(Ordering::Relaxed) {
            let mut command = Command::new(&h2load);
            command.args(["-t1", "-c4", "-m4", "-n", "400", "-H", &cookies]);
            command.arg(format!("--connect-to={address}"));
            command.arg(format!("--log-file={}", log.display()));
            command.arg(format!("https://app.test:{}/load", address.port()));
            let output = command.stdin(Stdio::null()).output().unwrap();
            let counted = Counted::read(&String::from_utf8_lossy(&output.stdout));
            all.add(&counted, &std::fs::read_to_string(&log).unwrap());
            std::fs::remove_file(&log).unwrap();
        }
        all
    })
}

/// What became of the requests of several runs of h2load.
#[derive(Debug, Default)]
struct Outcomes {
    /// Answered with 200.
    answered: usize,
    /// Begun, and dropped by h2load itself: an answer and the end of the connection came in one reading, and the
    /// request that was to follow the answer was never sent.
    unsent: usize,
    /// Sent, and answered with something else or not at all; or begun on a connection that broke.
    lost: usize,
}

impl Outcomes {
    /// Adds one run. A line of its log has the time at which the request was sent, 0 if it never was, and the status,
    /// -1 if there was none; a request whose connection broke has no line.
    fn add(&mut self, counted: &Counted, log: &str) {
        let mut logged = 0;
        for line in log.lines() {
            let mut fields = line.split('\t');
            logged += 1;
            match (fields.next(), fields.next()) {
                (_, Some("200")) => self.answered += 1,
                (Some("0"), Some("-1")) => self.unsent += 1,
                _ => self.lost += 1,
            }
        }
        self.lost += counted.started.saturating_sub(logged);
    }
}

/// What h2load counted.
#[derive(Debug, Default)]
struct Counted {
    total: usize,
    started: usize,
    succeeded: usize,
}

impl Counted {
    fn read(said: &str) -> Self {
        let mut lines = said.lines();
        let line = lines.find(|line| line.starts_with("requests:"));
        let number = |what: &str| {
            let (before, _) = line?.split_once(what)?;
            before.split_whitespace().last()?.parse().ok()
        };
        Self {
            total: number(" total").unwrap_or_default(),
            started: number(" started").unwrap_or_default(),
            succeeded: number(" succeeded").unwrap_or_default(),
        }
    }
}

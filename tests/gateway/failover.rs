//! Fail-over under load: `wrk` runs while primaries are killed one by one and brought back.

use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Pid;
use rustix::process::Signal;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Nginx;
use crate::support::parts;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::yaml::POLICIES;

pub(super) const CONNECTIONS: usize = 16;
/// What may be lost in all: at each of two kills one request in two is on its way at that primary, or all at the last
/// one. Of those that are, only answers that had begun and connections made anew are lost; all others are repeated, so
/// that it is far less in most runs.
const LOST_MAX: usize = CONNECTIONS;
/// Looks in a row at who serves.
const LOOKS: usize = 2;

#[tokio::test]
async fn primaries_killed_under_load_cost_no_request_beyond_those_in_flight_mdc_topo_2() {
    let Some(wrk) = parts::find("wrk") else {
        return;
    };
    let mut upstreams = Vec::new();
    for name in ["p1", "p2", "s1", "s2"] {
        let Some(nginx) = Nginx::start(name).await else {
            return;
        };
        upstreams.push(nginx);
    }
    let [p1, p2, s1, s2] = [0, 1, 2, 3].map(|at: usize| upstreams[at].address());
    let yaml = format!(
        "{HEAD}pools:
  app:
    primary: [\"{p1}\", \"{p2}\"]
    secondary: [\"{s1}\", \"{s2}\"]
    fail_timeout: 1s
{POLICIES}virtual_hosts:
  - host: app.test
    routes: [{{ path: /, access: protected, policy: anybody, pool: app }}]
"
    );
    let gateway = Gateway::start(&yaml).await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let load = load(&wrk, &gateway, &browser);
    // Each step waits until the tier that has to serve does so, then lets the load run on a little.
    assert_eq!(serving(&gateway, &browser, "p1 p2").await, "p1 p2");
    upstreams[0].kill();
    serving(&gateway, &browser, "p2").await;
    upstreams[1].kill();
    serving(&gateway, &browser, "s1 s2").await;
    upstreams[0].start_again().await;
    serving(&gateway, &browser, "p1").await;
    upstreams[1].start_again().await;
    serving(&gateway, &browser, "p1 p2").await;
    let said = load.end().await;
    let Seen {
        requests,
        errors,
        broken,
    } = Seen::read(&said);
    eprintln!(
        "fail-over under load: {requests} requests, {errors} error answers, {broken} broken \
         connections, 2 kills, {CONNECTIONS} connections"
    );
    assert!(requests > 100, "{said}");
    assert!(errors + broken <= LOST_MAX, "{said}\n{}", gateway.log());
}

/// Waits until exactly these upstreams answer, several times in a row, under the load.
async fn serving(gateway: &Gateway, browser: &Browser, names: &str) -> String {
    let in_a_row = std::sync::atomic::AtomicUsize::new(0);
    until(&format!("{names} serve"), PATIENCE, || async {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..12 {
            let mut browser = browser.clone();
            let answer = browser.get("https://app.test/").await;
            seen.insert(match answer.status {
                200 => answer.told("upstream"),
                status => format!("status {status}"),
            });
        }
        let seen: Vec<String> = seen.into_iter().collect();
        if seen.join(" ") != names {
            in_a_row.store(0, Ordering::Relaxed);
            return None;
        }
        (in_a_row.fetch_add(1, Ordering::Relaxed) + 1 == LOOKS).then_some(())
    })
    .await;
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
    names.to_owned()
}

/// A load that runs beside the test; it is killed when dropped.
pub(super) struct Load(Child);

impl Load {
    pub(super) fn begin(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
        Self(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// Has it end now, and reads what it has counted: `wrk` says that at SIGINT as at the end of its time.
    pub(super) async fn end(self) -> String {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::INT).unwrap();
        self.said(PATIENCE).await
    }

    /// Waits until it is over by itself, and reads what it has counted.
    pub(super) async fn said(mut self, bound: Duration) -> String {
        let mut stdout = self.0.stdout.take().unwrap();
        let reading = tokio::task::spawn_blocking(move || {
            let mut said = String::new();
            stdout.read_to_string(&mut said).unwrap();
            said
        });
        within("the end of a load", bound, reading).await.unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Starts `wrk` with a browser's session. It goes on until it is told to end.
pub(super) fn load(wrk: &Path, gateway: &Gateway, browser: &Browser) -> Load {
    let mut command = Command::new(wrk);
    command
        .args(["-t1", "-d1h", "--timeout", "30s", "-c"])
        .arg(CONNECTIONS.to_string())
        .args(["-H", "Host: app.test", "-H"])
        .arg(format!(
            "Cookie: {}",
            browser.cookies_for("https://app.test/")
        ))
        .arg(format!(
            "https://localhost:{}/load",
            gateway.address("https").port()
        ));
    Load::begin(&mut command)
}

/// What `wrk` counted.
pub(super) struct Seen {
    pub(super) requests: usize,
    /// Answers that were no success.
    pub(super) errors: usize,
    /// Connections that failed in one way or another.
    pub(super) broken: usize,
}

impl Seen {
    pub(super) fn read(said: &str) -> Self {
        let line = |label: &str| {
            let mut lines = said.lines().map(str::trim);
            lines.find(|line| line.contains(label)).unwrap_or_default()
        };
        let numbers = |line: &str| {
            let words = line.split([' ', ',']);
            words
                .filter_map(|word| word.parse::<usize>().ok())
                .collect::<Vec<_>>()
        };
        Self {
            requests: *numbers(line(" requests in ")).first().unwrap_or(&0),
            errors: numbers(line("Non-2xx or 3xx responses:")).iter().sum(),
            broken: numbers(line("Socket errors:")).iter().sum(),
        }
    }
}

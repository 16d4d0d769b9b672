//! Two data centres, `dc-a` and `dc-b`, alike but for their names, and a browser that a balancer sends to
//! one or the other.

use std::time::Duration;

use tempfile::TempDir;

use crate::link::Link;
use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::gateway::Setup;
use crate::support::until;

/// The application that users sign in at first.
pub(crate) const APP: &str = "https://app.apps.test/";
/// Another one.
pub(crate) const OTHER: &str = "https://other.apps.test/";
/// One that only `dc-b` has.
pub(crate) const THERE: &str = "https://there.apps.test/";
/// The login host.
pub(crate) const LOGIN: &str = "https://login.apps.test/";
/// How long a test waits for what another data centre has to do, on a machine that is busy.
pub(crate) const BOUND: Duration = Duration::from_secs(30);

/// What two data centres are configured to do; empty is the default.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'p> {
    /// Keys of `mdc.adoption`.
    pub(crate) adoption: &'p str,
    /// Lines of `mdc`, besides.
    pub(crate) mdc: &'p str,
    /// How often each reads the end log of the other.
    pub(crate) reading: Reading,
    /// The common cookie domain, with or without.
    pub(crate) gito: Gito,
    /// Keys of `session`.
    pub(crate) session: &'p str,
    /// Lines of the virtual host of [`APP`], besides.
    pub(crate) host: &'p str,
    /// The section `authentication`, in place of passwords.
    pub(crate) authentication: Option<&'p str>,
    /// The level of a sign-in at `dc-a` and at `dc-b`, which each also demands below `/high`.
    pub(crate) levels: (u8, u8),
}

/// How often end logs are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// All the time.
    Often,
    /// When a data centre starts, and not again in the time of a test.
    Once,
}

/// Whether there is a GITO cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gito {
    /// There is, renewed with every request.
    Always,
    /// There is none.
    Without,
}

/// Every data centre that served the user keeps a record (MDC-FAIL-2).
pub(crate) const FREE: Plan<'static> = Plan {
    adoption: "",
    mdc: "",
    reading: Reading::Often,
    gito: Gito::Always,
    session: "",
    host: "",
    authentication: None,
    levels: (1, 1),
};

/// A session has one holder (MDC-FAIL-1).
pub(crate) const ANCHORED: Plan<'static> = Plan {
    adoption: "anchor_session: true",
    ..FREE
};

/// Two data centres that run.
pub(crate) struct Pair {
    pub(crate) a: Gateway,
    pub(crate) b: Gateway,
    /// What `dc-b` sends goes by this.
    pub(crate) to_a: Link,
    /// What `dc-a` sends goes by this.
    pub(crate) to_b: Link,
    reading: Reading,
    _application: Application,
    _keys: TempDir,
}

impl Pair {
    /// Starts both and waits until each has heard of the other.
    pub(crate) async fn start(plan: Plan<'_>) -> Self {
        Self::with(plan, Setup::new(), Setup::new()).await
    }

    /// The same, with clocks that [`Self::set_clocks_ahead`] moves; `None` when faketime is not installed.
    pub(crate) async fn with_clocks(plan: Plan<'_>) -> Option<Self> {
        let (a, b) = (Setup::new().with_clock()?, Setup::new().with_clock()?);
        Some(Self::with(plan, a, b).await)
    }

    /// The same, with folders of the test's own.
    pub(crate) async fn with(plan: Plan<'_>, a: Setup, b: Setup) -> Self {
        let application = Application::start().await;
        let keys = tempfile::tempdir().unwrap();
        let (to_a, to_b) = (Link::new().await, Link::new().await);
        // Nothing is lost that is asked of one which is still starting.
        to_a.silence();
        to_b.silence();
        let site = |own: &str, other: &str, link: &Link, level: u8| {
            let lines = [
                format!("cluster_id: {own}\n"),
                format!("key_ring_file: {}/key-ring.json\n", keys.path().display()),
                plan.authentication.map_or_else(
                    || format!("authentication: {{ users_file: users.yaml, level: {level} }}\n"),
                    str::to_owned,
                ),
                mdc(&plan, other, link),
                applications(&application, plan.host, level),
                if own == "dc-b" {
                    ONLY_THERE.to_owned()
                } else {
                    String::new()
                },
            ];
            lines.concat()
        };
        // The first makes the keys.
        let a = a.start(&site("dc-a", "dc-b", &to_b, plan.levels.0)).await;
        to_a.lead_to(&a);
        let b = b.start(&site("dc-b", "dc-a", &to_a, plan.levels.1)).await;
        to_b.lead_to(&b);
        let pair = Self {
            a,
            b,
            to_a,
            to_b,
            reading: plan.reading,
            _application: application,
            _keys: keys,
        };
        pair.wait_until_acquainted().await;
        pair
    }

    /// Cuts both ways.
    pub(crate) fn cut(&self) {
        self.to_a.cut();
        self.to_b.cut();
    }

    /// Heals both ways.
    pub(crate) fn heal(&self) {
        self.to_a.heal();
        self.to_b.heal();
    }

    /// Moves both clocks this far ahead of the real one.
    pub(crate) fn set_clocks_ahead(&self, minutes: u64) {
        for gateway in [&self.a, &self.b] {
            gateway.set_clock_ahead(Duration::from_secs(60 * minutes));
        }
    }

    /// Waits until each has greeted the other and read its log a few times since.
    pub(crate) async fn wait_until_acquainted(&self) {
        for (gateway, link) in [(&self.a, &self.to_b), (&self.b, &self.to_a)] {
            until("the data centres know each other", BOUND, || async {
                gateway.log().contains("clocks agree").then_some(())
            })
            .await;
            if self.reading == Reading::Once {
                continue;
            }
            let answers = link.answers();
            until("the log of the other was read", BOUND, || async {
                (link.answers() >= answers + READINGS).then_some(())
            })
            .await;
        }
    }

    /// A browser in which a user has signed in at `dc-a`, by way of the first application.
    pub(crate) async fn signed_in_at_a(&self, user: &str) -> Browser {
        let mut browser = Browser::new(&self.a);
        browser.sign_in(APP, user).await.expect(200);
        browser
    }
}

/// How many sessions a gateway says it has adopted since its last start.
pub(crate) async fn adoptions(gateway: &Gateway) -> usize {
    let name = "portway_adoptions_total{outcome=\"adopted\"}";
    let adopted = gateway.metric(name).await.unwrap_or_default();
    adopted.to_string().parse().unwrap()
}

/// What comes of a visit in the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The application answered, to this user.
    Served(String),
    /// The user is asked to sign in.
    Challenged,
}

/// What the application answers, for a user.
pub(crate) fn served(user: &str) -> Arrival {
    Arrival::Served(user.to_owned())
}

/// Opens an address at a data centre and goes wherever it leads.
pub(crate) async fn visit(browser: &mut Browser, at: &Gateway, url: &str) -> Arrival {
    browser.go_to(at);
    let answer = browser.get(url).await;
    arrival(browser, answer).await
}

/// What an answer leads to.
pub(crate) async fn arrival(browser: &mut Browser, answer: Answer) -> Arrival {
    let last = browser.follow_all(answer).await.expect(200);
    if last.url.path() == "/.portway/sign-in" {
        last.form();
        Arrival::Challenged
    } else {
        Arrival::Served(last.told("remote-user"))
    }
}

/// Signs out at a data centre and goes on to the last page.
pub(crate) async fn sign_out(browser: &mut Browser, at: &Gateway) -> Answer {
    browser.go_to(at);
    let first = browser.get(&format!("{APP}.portway/logout")).await;
    let last = browser.follow_all(first).await.expect(200);
    assert!(last.text().contains("signed out"), "{}", last.text());
    last
}

/// Waits until a browser's cookies are worth nothing any more at a data centre. Requests that are under way
/// when that happens are cut off.
pub(crate) async fn until_dead(browser: &Browser, at: &Gateway) {
    until("the session is over there", BOUND, || async {
        let mut copy = browser.clone();
        copy.go_to(at);
        let request = Request::get(APP).header("accept", "text/html");
        let answer = copy.try_send(request).await.ok()?;
        if !answer.redirects() {
            return None;
        }
        let arrival = arrival(&mut copy, answer).await;
        (arrival == Arrival::Challenged).then_some(())
    })
    .await;
    assert_dead(browser, at).await;
}

/// Whether a copy of a browser's cookies is worth nothing, at the applications and at the collector.
pub(crate) async fn assert_dead(copy: &Browser, at: &Gateway) {
    for url in [APP, OTHER] {
        let mut copy = copy.clone();
        assert_eq!(visit(&mut copy, at, url).await, Arrival::Challenged);
    }
}

fn mdc(plan: &Plan<'_>, other: &str, link: &Link) -> String {
    let gito = match plan.gito {
        Gito::Always => "  gito_domain: apps.test\n  gito_granularity: 0s\n",
        Gito::Without => "",
    };
    let pull = match plan.reading {
        Reading::Often => "  pull_interval: 100ms\n",
        Reading::Once => "  pull_interval: 1h\n  partition_lease: 3h\n",
    };
    format!(
        "\
session: {{ {} }}
mdc:
  adoption: {{ {} }}
  back_channel: {{ bind: \"127.0.0.1:0\", security: open, circuit_pause: 300ms }}
{gito}{pull}{}  peers:
    - {{ cluster_id: {other}, primary: [\"{}\"], password: \"correct horse between them\" }}
",
        plan.session,
        plan.adoption,
        plan.mdc,
        link.address()
    )
}

fn applications(application: &Application, host: &str, high: u8) -> String {
    format!(
        "\
threads: 2
trusted_proxies: [127.0.0.1]
keys: {{ publish_for: 1s }}
ops: {{ bind: \"127.0.0.1:0\" }}
listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: {{ certificates: [{{ certificate_file: cert.pem, key_file: key.pem }}] }}
collector: {{ host: login.apps.test, title: Sign in, public_port: 443 }}
pools: {{ app: {{ primary: [\"{}\"] }} }}
policies: {{ anybody: [{{ allow: signed_in }}] }}
virtual_hosts:
  - host: app.apps.test
    public_port: 443
{host}    routes:
      - {{ path: /poll, access: protected, policy: anybody, pool: app, activity: false }}
      - {{ path: /high, access: protected, policy: anybody, pool: app, level: {high} }}
      - {{ path: /, access: protected, policy: anybody, pool: app }}
  - host: other.apps.test
    public_port: 443
    routes: [{{ path: /, access: protected, policy: anybody, pool: app }}]
",
        application.address()
    )
}

/// The virtual host of the application that only `dc-b` has.
const ONLY_THERE: &str = "  - host: there.apps.test
    public_port: 443
    routes: [{ path: /, access: protected, policy: anybody, pool: app }]
";
/// Pieces that come back while a log is read this often or more.
const READINGS: usize = 4;

//! `portway cookie inspect`: says what a cookie is, for whoever helps a user, without ever showing a secret or an
//! id.
//!
//! The cookie comes by standard input: on a command line everybody on the machine could read it.

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::bail;
use clap::Args;
use clap::Subcommand;
use zeroize::Zeroizing;

use crate::cli::ConfigArgs;
use crate::config::Config;
use crate::config::load;
use crate::crypto::bearer::Bound;
use crate::crypto::bearer::Strayed;
use crate::crypto::claims::AuthnCookie;
use crate::crypto::claims::Claims;
use crate::crypto::claims::DEVICE_LIFETIME;
use crate::crypto::claims::DeviceCookie;
use crate::crypto::claims::GitoCookie;
use crate::crypto::claims::IdCookie;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::Purpose;
use crate::crypto::sealed;
use crate::crypto::sealed::Binding;
use crate::crypto::tags::ClusterTag;
use crate::decision::cookies::CookieNames;
use crate::decision::routing::HostPattern;
use crate::logbook::moment::rfc3339_seconds;
use crate::model::name::ClusterId;
use crate::model::name::HostName;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::system::SystemClock;

/// What about cookies.
#[derive(Debug, Args)]
pub(super) struct CookieArgs {
    #[command(subcommand)]
    verb: CookieVerb,
}

#[derive(Debug, Subcommand)]
enum CookieVerb {
    /// Reads a cookie, or a whole Cookie header of one or several lines, from standard input and says what it is
    Inspect {
        /// The host that it was sent to, where that is one of many behind a wildcard
        #[arg(long, value_parser = HostName::parse)]
        host: Option<HostName>,
        #[command(flatten)]
        place: ConfigArgs,
    },
}

/// Runs `portway cookie`: 0 when every cookie of Portway's opens, 1 when one does not or there is none, 2 when
/// the configuration is not right.
pub(super) fn run(args: &CookieArgs) -> ExitCode {
    let CookieVerb::Inspect { host, place } = &args.verb;
    let config = match load::load(&place.config) {
        Ok(config) => config,
        Err(faults) => return super::check::refuse(&place.config, &faults),
    };
    match read(&config).and_then(|(keys, text)| {
        let inspector = Inspector::new(&config, &keys, host.as_ref());
        inspector.told(&text)
    }) {
        Ok(told) => {
            super::say(&told.text);
            if told.opened {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            super::complain(&format!("error: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

fn read(config: &Config) -> anyhow::Result<(KeyRing, Zeroizing<String>)> {
    let ring = super::key_ring(config)?;
    let mut text = Zeroizing::new(String::new());
    let mut input = std::io::stdin().lock().take(INPUT_BYTES_MAX);
    input
        .read_to_string(&mut text)
        .context("standard input cannot be read")?;
    Ok((ring, text))
}

/// What was found out.
struct Told {
    text: String,
    opened: bool,
}

/// Knows what cookies are sealed for here.
struct Inspector<'a> {
    keys: &'a KeyRing,
    names: CookieNames,
    /// The hosts that have an authn cookie of their own.
    hosts: Vec<&'a HostName>,
    collector: Option<&'a HostName>,
    domain: Option<&'a HostName>,
    clusters: Vec<&'a ClusterId>,
    now: Timestamp,
}

impl<'a> Inspector<'a> {
    fn new(config: &'a Config, keys: &'a KeyRing, host: Option<&'a HostName>) -> Self {
        let served = config.virtual_hosts.iter().flat_map(|at| &at.hosts);
        let served = served.filter_map(|pattern| match pattern {
            HostPattern::Exact(host) => Some(host),
            HostPattern::Wildcard(_) => None,
        });
        let mdc = config.mdc.as_ref();
        let peers = mdc.into_iter().flat_map(|mdc| &mdc.peers);
        let peers = peers.map(|peer| &peer.cluster);
        Self {
            keys,
            names: CookieNames::new(&config.deployment),
            hosts: host.into_iter().chain(served).collect(),
            collector: config.collector.as_ref().map(|collector| &collector.host),
            domain: mdc
                .and_then(|mdc| mdc.gito.as_ref())
                .map(|gito| &gito.domain),
            clusters: std::iter::once(&config.cluster).chain(peers).collect(),
            now: SystemClock.now(),
        }
    }

    /// Says what each cookie of Portway's in a text is.
    fn told(&self, text: &str) -> anyhow::Result<Told> {
        // HTTP/2 may send each cookie in a line of its own.
        let lines = text.lines().map(without_name);
        let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            let is_ours = self.names.is_ours(name.as_bytes());
            is_ours.then(|| (name, value.trim()))
        });
        let pairs: Vec<(&str, &str)> = pairs.collect();
        let text = without_name(text);
        let is_bare = !text.is_empty() && !text.contains(['=', ';', ' ']);
        let told: Vec<Told> = match (pairs.as_slice(), is_bare) {
            ([], true) => vec![self.inspect(None, text)],
            ([], false) => bail!(
                "there is no cookie of this deployment in what was read; its cookies are called {}, {} and alike",
                self.names.id,
                self.names.authn
            ),
            (pairs, _) => pairs
                .iter()
                .map(|(name, value)| self.inspect(Some(name), value))
                .collect(),
        };
        let texts: Vec<&str> = told.iter().map(|told| told.text.as_str()).collect();
        Ok(Told {
            text: texts.join("\n"),
            opened: told.iter().all(|told| told.opened),
        })
    }

    fn inspect(&self, name: Option<&str>, value: &str) -> Told {
        let mut rows = Rows::default();
        if let Some(name) = name {
            rows.add("cookie", name);
        }
        if name == Some(self.names.nonce.as_str()) {
            rows.add("kind", "nonce cookie: random, and nothing is in it");
            return Told {
                text: rows.0,
                opened: true,
            };
        }
        let Some(key) = sealed::key_of(value) else {
            rows.add(
                "verdict",
                "it is no sealed cookie: cut short, changed, or of another program",
            );
            return Told {
                text: rows.0,
                opened: false,
            };
        };
        let is_known = self.keys.ids().contains(&key);
        rows.add("key", &format!("{:08x}", key.0));
        let is_named = |own: &String| name.is_none_or(|name| name == own);
        let opened = (is_named(&self.names.authn) && self.authn(value, &mut rows))
            || (is_named(&self.names.id) && self.id(value, &mut rows))
            || (is_named(&self.names.gito) && self.gito(value, &mut rows))
            || (is_named(&self.names.device) && self.device(value, &mut rows));
        if !opened {
            rows.add(
                "verdict",
                if is_known {
                    "it does not open: changed on the way, or made for another host (see --host), cookie or deployment"
                } else {
                    "it does not open: its key is not in this ring, because it was retired or is of another one"
                },
            );
        }
        Told {
            text: rows.0,
            opened,
        }
    }

    fn authn(&self, value: &str, rows: &mut Rows) -> bool {
        let to = (Purpose::AuthnCookie, self.names.authn.as_str());
        let opened = self.hosts.iter().find_map(|host| {
            let cookie: AuthnCookie = self.open(to, host, value)?;
            Some((host, cookie))
        });
        let Some((host, cookie)) = opened else {
            return false;
        };
        rows.add("kind", "authn cookie of an application host");
        rows.add("host", host.as_str());
        rows.add("data centre", cookie.cluster.as_str());
        rows.add("issued", &rfc3339_seconds(cookie.issued));
        rows.bound(&cookie.bound);
        self.facts(&cookie.facts, rows);
        true
    }

    fn id(&self, value: &str, rows: &mut Rows) -> bool {
        let to = (Purpose::IdCookie, self.names.id.as_str());
        let opened = self.collector.and_then(|host| {
            let cookie: IdCookie = self.open(to, host, value)?;
            Some((host, cookie))
        });
        let Some((host, cookie)) = opened else {
            return false;
        };
        rows.add("kind", "ID cookie of the collector");
        rows.add("host", host.as_str());
        rows.add("data centre", cookie.latest.cluster.as_str());
        let earlier = cookie
            .earlier
            .iter()
            .map(|visited| self.cluster(visited.cluster));
        let earlier: Vec<&str> = earlier.collect();
        if !earlier.is_empty() {
            rows.add("visited", &earlier.join(", "));
        }
        rows.add("last access", &rfc3339_seconds(cookie.last_access));
        rows.bound(&cookie.bound);
        self.facts(&cookie.facts, rows);
        true
    }

    fn gito(&self, value: &str, rows: &mut Rows) -> bool {
        let to = (Purpose::Gito, self.names.gito.as_str());
        let opened = self.domain.and_then(|domain| {
            let cookie: GitoCookie = self.open(to, domain, value)?;
            Some((domain, cookie))
        });
        let Some((domain, cookie)) = opened else {
            return false;
        };
        rows.add("kind", "GITO cookie of a domain; it signs nobody in");
        rows.add("domain", domain.as_str());
        rows.add("data centre", self.cluster(cookie.cluster));
        rows.add("session", &cookie.sso.short_hash());
        rows.add("issued", &rfc3339_seconds(cookie.created));
        rows.add("last access", &rfc3339_seconds(cookie.last_access));
        self.end(cookie.expires, rows);
        true
    }

    fn device(&self, value: &str, rows: &mut Rows) -> bool {
        let to = (Purpose::Device, self.names.device.as_str());
        let opened = self.collector.and_then(|host| {
            let cookie: DeviceCookie = self.open(to, host, value)?;
            Some((host, cookie))
        });
        let Some((host, cookie)) = opened else {
            return false;
        };
        rows.add("kind", "device cookie of the collector; it signs nobody in");
        rows.add("host", host.as_str());
        rows.add("issued", &rfc3339_seconds(cookie.issued));
        self.end(cookie.issued.after(DEVICE_LIFETIME), rows);
        true
    }

    fn open<C: Claims>(
        &self,
        (purpose, name): (Purpose, &str),
        scope: &HostName,
        value: &str,
    ) -> Option<C> {
        let binding = Binding {
            purpose,
            name,
            scope: scope.as_str(),
        };
        self.keys.open_claims(&binding, value)
    }

    fn facts(&self, facts: &SsoFacts, rows: &mut Rows) {
        rows.add("user", &format!("{} of {}", facts.subject, facts.store));
        rows.add("session", &facts.sso.short_hash());
        rows.add("level", &facts.level.get().to_string());
        rows.add("signed in", &rfc3339_seconds(facts.first_authenticated));
        rows.add("taken over", &format!("{} times", facts.generation.0));
        self.end(facts.expires, rows);
    }

    fn end(&self, expires: Timestamp, rows: &mut Rows) {
        rows.add("expires", &rfc3339_seconds(expires));
        rows.add(
            "verdict",
            if expires > self.now {
                "it opens, and has not expired; whether its session stands, `portway sessions show` says"
            } else {
                "it opens, and has expired"
            },
        );
    }

    /// The data centre behind a tag.
    fn cluster(&self, tag: ClusterTag) -> &str {
        let mut clusters = self.clusters.iter();
        let found = clusters.find(|cluster| ClusterTag::of(cluster) == tag);
        found.map_or("one that is not configured", |cluster| cluster.as_str())
    }
}

/// What a line of a header says, whether its name was copied too or not.
fn without_name(line: &str) -> &str {
    let line = line.trim();
    match line.split_at_checked(HEADER.len()) {
        Some((name, said)) if name.eq_ignore_ascii_case(HEADER) => said.trim(),
        _ => line,
    }
}

/// Lines of a heading and a value.
#[derive(Default)]
struct Rows(String);

impl Rows {
    fn add(&mut self, heading: &str, value: &str) {
        self.0.push_str(&format!("{heading:<12} {value}\n"));
    }

    fn bound(&mut self, bound: &Bound) {
        let what = bound.what();
        let to = [
            (what.address.is_some(), Strayed::Address),
            (what.user_agent, Strayed::UserAgent),
        ];
        let to = to.iter().filter(|(is_bound, _)| *is_bound);
        let to: Vec<&str> = to.map(|(_, kind)| kind.as_str()).collect();
        if !to.is_empty() {
            self.add("bound to", &to.join(", "));
        }
    }
}

const HEADER: &str = "Cookie:";
/// More than any browser sends.
const INPUT_BYTES_MAX: u64 = 256 * 1024;

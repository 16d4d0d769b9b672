//! What of a new configuration a running process takes over, and what only a restart can bring.
//!
//! Pure. What cannot change stays as it runs, and is named; everything else of the new configuration counts.
//! `app` builds from the result and knows no difference any more.

use crate::config::Config;

/// A new configuration, fitted to the process that runs.
#[derive(Debug)]
pub struct Fitted {
    /// What the process is to go by.
    pub config: Config,
    /// The keys that differ from what runs and that only a restart brings, in alphabetical order.
    pub needs_restart: Vec<String>,
}

/// Fits a new configuration to the process that runs with `running`.
#[must_use]
pub fn fit(running: &Config, new: Config) -> Fitted {
    let mut fitting = Fitting {
        config: new,
        needs_restart: Vec::new(),
    };
    fitting.node(running);
    fitting.users(running);
    fitting.sessions(running);
    let Fitting {
        config,
        mut needs_restart,
    } = fitting;
    needs_restart.sort_unstable();
    Fitted {
        config,
        needs_restart,
    }
}

/// When a change of a key needs a restart, in a word or two; none where a reload is enough. The path is that of the
/// key, without places in lists.
#[must_use]
pub fn when(path: &str) -> Option<&'static str> {
    let holds = |known: &str| {
        let below = path.strip_prefix(known);
        below.is_some_and(|below| below.is_empty() || below.starts_with('.'))
    };
    let found = NEEDS_RESTART.iter().find(|(known, _)| holds(known));
    let as_a_whole = SECTIONS.iter().find(|section| **section == path);
    let as_a_whole = as_a_whole.map(|_| "to add or remove it");
    found.map(|(_, when)| *when).or(as_a_whole)
}

struct Fitting {
    config: Config,
    needs_restart: Vec<String>,
}

/// Keeps a field as it runs, and names its key if the new one differs.
macro_rules! keep {
    ($this:ident, $running:ident, $($field:ident).+, $key:expr) => {
        if $this.config.$($field).+ != $running.$($field).+ {
            $this.needs_restart.push(String::from($key));
            $this.config.$($field).+ = $running.$($field).+.clone();
        }
    };
}

impl Fitting {
    /// What the node is to itself and to others: cookies, records and peers know it by this.
    fn node(&mut self, running: &Config) {
        keep!(self, running, cluster, "cluster_id");
        keep!(self, running, deployment, "deployment");
        keep!(self, running, state_dir, "state_dir");
        keep!(self, running, key_ring_file, "key_ring_file");
        keep!(self, running, threads, "threads");
        keep!(self, running, engine, "engine");
        keep!(self, running, mdc, "mdc");
        keep!(self, running, ops, "ops");
        keep!(self, running, logs.audit, "logs.audit");
    }

    /// Whether there are users at all, and what their store is called: sessions are of that store.
    fn users(&mut self, running: &Config) {
        match (&mut self.config.authentication, &running.authentication) {
            (Some(new), Some(runs)) => {
                if new.store != runs.store {
                    self.needs_restart.push("authentication.store".to_owned());
                    new.store = runs.store.clone();
                }
            }
            (None, None) => {}
            (new, runs) => {
                self.needs_restart.push("authentication".to_owned());
                new.clone_from(runs);
            }
        }
    }

    /// Where sessions are kept. With several data centres also how long they live: peers and gates have been
    /// told, and much of `mdc` follows from it.
    fn sessions(&mut self, running: &Config) {
        keep!(self, running, session.store, "session.store");
        if running.mdc.is_some() {
            let key = "session.idle_timeout";
            keep!(self, running, session.idle_timeout, key);
            keep!(self, running, session.lifetime, "session.lifetime");
        }
    }
}

/// What [`fit`] keeps, by the keys that lead there; what stands below them is kept too.
const NEEDS_RESTART: &[(&str, &str)] = &[
    ("authentication.store", "yes"),
    ("cluster_id", "yes"),
    ("deployment", "yes"),
    ("engine", "yes"),
    ("key_ring_file", "yes"),
    ("logs.audit", "yes"),
    ("mdc", "yes"),
    ("ops", "yes"),
    ("session.idle_timeout", "with `mdc`"),
    ("session.lifetime", "with `mdc`"),
    ("session.store", "yes"),
    ("state_dir", "yes"),
    ("threads", "yes"),
];

/// Sections of which only a restart brings the first, or takes the last.
const SECTIONS: &[&str] = &["authentication"];

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::config::parse::Surroundings;
    use crate::config::parse::parse;
    use crate::config::problem::ReadFileError;

    #[test]
    fn what_a_request_meets_is_taken_over_without_a_restart_d_16() {
        let new = OLD
            .replace("10.0.0.1:80", "10.0.0.9:80")
            .replace("host: a.test", "host: b.test")
            .replace(
                "users_file: users.yaml",
                "users_file: others.yaml, level: 20",
            )
            .replace("idle_timeout: 30m", "idle_timeout: 5m")
            .replace("drain_timeout: 5s", "drain_timeout: 6s")
            .replace("trusted_proxies: []", "trusted_proxies: [10.0.0.0/8]");
        let fitted = fit(&parsed(OLD), parsed(&new));
        assert_eq!(fitted.needs_restart, [""; 0]);
        let expected = parsed(&new);
        assert_eq!(fitted.config.pools, expected.pools);
        assert_eq!(fitted.config.authentication, expected.authentication);
        assert_eq!(fitted.config.session, expected.session);
        assert_eq!(fitted.config.limits, expected.limits);
        assert_eq!(fitted.config.trusted_proxies, expected.trusted_proxies);
    }

    #[test]
    fn what_the_process_was_started_with_stays_and_is_named() {
        let new = OLD
            .replace("cluster_id: ny", "cluster_id: ldc")
            .replace("deployment: main", "deployment: other")
            .replace("state_dir: state", "state_dir: elsewhere")
            .replace("threads: 2", "threads: 3")
            .replace("store: disk", "store: memory")
            .replace("store: staff", "store: guests")
            .replace("127.0.0.1:8080", "127.0.0.1:8081")
            .replace("ops: { bind: '127.0.0.1:9090' }\n", "")
            .replace("name: old", "name: new")
            .replace("10.0.0.1:80", "10.0.0.9:80");
        let running = parsed(OLD);
        let fitted = fit(&running, parsed(&new));
        let named = [
            "authentication.store",
            "cluster_id",
            "deployment",
            "key_ring_file",
            "logs.audit",
            "ops",
            "session.store",
            "state_dir",
            "threads",
        ];
        assert_eq!(fitted.needs_restart, named);
        for key in named {
            assert_eq!(when(key), Some("yes"), "{key}");
        }
        assert_eq!(when("pools.*.primary"), None);
        assert_eq!(when("authentication"), Some("to add or remove it"));
        assert_eq!(when("authentication.level"), None);
        assert_eq!(fitted.config.cluster, running.cluster);
        assert_eq!(fitted.config.state_dir, running.state_dir);
        assert_ne!(fitted.config.listeners, running.listeners);
        assert_eq!(fitted.config.session.store, running.session.store);
        assert_ne!(fitted.config.pools, running.pools, "the rest is applied");
        let again = fit(&fitted.config, parsed(&new));
        assert_eq!(again.needs_restart, named, "it is named until the restart");
    }

    #[test]
    fn users_who_come_or_go_altogether_need_a_restart() {
        let without = OLD.replace(
            "authentication: { store: staff, users_file: users.yaml }\n",
            "",
        );
        let fitted = fit(&parsed(OLD), parsed(&without));
        assert_eq!(fitted.needs_restart, ["authentication"]);
        assert!(fitted.config.authentication.is_some());
        let fitted = fit(&parsed(&without), parsed(OLD));
        assert_eq!(fitted.needs_restart, ["authentication"]);
        assert!(fitted.config.authentication.is_none());
    }

    #[test]
    fn with_several_data_centres_how_long_sessions_live_needs_a_restart() {
        let several = format!("{OLD}{SEVERAL}");
        let new = several.replace("idle_timeout: 30m", "idle_timeout: 40m");
        let new = new.replace("per_user_max: 8", "per_user_max: 9");
        let fitted = fit(&parsed(&several), parsed(&new));
        // Some spans of `mdc` follow from the idle time-out.
        assert_eq!(fitted.needs_restart, ["mdc", "session.idle_timeout"]);
        assert_eq!(fitted.config.session.idle_timeout, Duration::from_mins(30));
        assert_eq!(fitted.config.session.per_user_max, 9);
    }

    fn parsed(text: &str) -> Config {
        let block = |label: &str| {
            let dashes = "-----";
            format!("{dashes}BEGIN {label}{dashes}\nx\n{dashes}END {label}{dashes}\n").into_bytes()
        };
        let read = |path: &Path, _| -> Result<Vec<u8>, ReadFileError> {
            Ok(match path.extension().and_then(|ending| ending.to_str()) {
                Some("key") => block("PRIVATE KEY"),
                _ => block("CERTIFICATE"),
            })
        };
        let surroundings = Surroundings {
            folder: Path::new(""),
            variable: &|_| None,
            read: &read,
            list: &|_| Ok(Vec::new()),
            threads: 4,
        };
        parse(text, "gateway.yaml", &surroundings).unwrap_or_else(|faults| panic!("{faults}"))
    }

    const OLD: &str = "cluster_id: ny
deployment: main
state_dir: state
threads: 2
trusted_proxies: []
ops: { bind: '127.0.0.1:9090' }
listeners:
  - { name: http, bind: '127.0.0.1:8080' }
  - { name: old, bind: '127.0.0.1:8443' }
authentication: { store: staff, users_file: users.yaml }
session: { idle_timeout: 30m, per_user_max: 8, store: disk }
limits: { drain_timeout: 5s }
pools: { p: { primary: ['10.0.0.1:80'] } }
virtual_hosts: [{ host: a.test, plain_http: serve, routes: [{ path: /, access: excluded, pool: p }] }]
";
    const SEVERAL: &str = "mdc:
  back_channel: { bind: '127.0.0.1:5575', certificate_file: a.pem, key_file: a.key, ca_file: ca.pem }
  peers: [{ cluster_id: ldc, primary: ['127.0.0.1:5576'] }]
";
}

//! What is allowed about the files that a configuration names, and yet likely a mistake.
//!
//! What can be told from the configuration alone is `config::parse::doubt`; what keeps the node from starting
//! is `verify`.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::Config;
use crate::config::mdc::EngineSource;
use crate::crypto::certificates::CertificateTable;
use crate::crypto::certificates::TermState;
use crate::decision::policy::Condition;
use crate::decision::routing::HostPattern;
use crate::logbook::moment::rfc3339_seconds;
use crate::model::name::HostName;
use crate::model::time::Timestamp;
use crate::provider::users_file::document;
use crate::proxy::client_auth::ClientAuth;
use crate::proxy::tls;

mod crowded;
mod sockets;

/// Everything, each in a line.
pub(crate) fn all(config: &Config, now: Timestamp) -> Vec<String> {
    let mut all = of_certificates(config, now);
    all.extend(of_files(config));
    all.extend(absent_users(config));
    all.extend(sockets::absent(config));
    all
}

/// What there is about files, but for certificates: of those the log tells while the node runs. And but for what
/// may come yet.
pub(crate) fn of_files(config: &Config) -> Vec<String> {
    let mut all = open_to_others(config);
    all.extend(crowded::users(config));
    all.extend(strangers(config));
    all.extend(foreign_lists(config));
    all.extend(sockets::useless(config));
    all
}

/// Revocation lists that say nothing about those whom the authorities beside them have signed.
fn foreign_lists(config: &Config) -> impl Iterator<Item = String> {
    let hosts = config.virtual_hosts.iter();
    hosts.filter_map(|host| {
        let auth = ClientAuth::new(host.client_certificates.as_ref()?).ok()?;
        let foreign = auth.trust.foreign_lists();
        let name = host.hosts.first()?;
        (foreign > 0).then(|| {
            format!(
                "revocation lists of the host {name} are of no authority in its bundle ({foreign})"
            )
        })
    })
}

fn of_certificates(config: &Config, now: Timestamp) -> Vec<String> {
    let provider = rustls::crypto::ring::default_provider();
    let tables = config.listeners.iter().filter_map(|listener| {
        let tls = listener.tls.as_ref()?;
        Some((&listener.name, tls::table(tls, &provider).ok()?))
    });
    let tables: Vec<_> = tables.collect();
    let mut all = Vec::new();
    for (listener, table) in &tables {
        for term in table.terms() {
            let (name, until) = (&term.name, rfc3339_seconds(term.until));
            let said = match term.state(now) {
                TermState::Expired => format!("expired on {until}"),
                TermState::ExpiresSoon => format!("expires on {until}"),
                TermState::Good => continue,
            };
            all.push(format!(
                "the certificate for {name} of the listener {listener} {said}"
            ));
        }
    }
    if !tables.is_empty() {
        let tables: Vec<_> = tables.iter().map(|(_, table)| table).collect();
        let unnamed = unnamed_hosts(config, &tables);
        all.extend(unnamed.map(|host| {
            format!("no certificate is for the host {host}; browsers will not go there")
        }));
    }
    all
}

/// The hosts that no certificate is for.
pub(super) fn unnamed_hosts<'c>(
    config: &'c Config,
    tables: &'c [&'c CertificateTable],
) -> impl Iterator<Item = &'c HostName> {
    let collector = config.collector.iter().map(|collector| &collector.host);
    let hosts = config.virtual_hosts.iter().flat_map(|host| &host.hosts);
    let hosts = hosts.filter_map(|pattern| match pattern {
        HostPattern::Exact(host) => Some(host),
        HostPattern::Wildcard(_) => None,
    });
    let served = collector.chain(hosts);
    served.filter(|host| !tables.iter().any(|table| table.covers(host)))
}

/// Secrets that everybody on the machine may read, and the state that everybody may change.
fn open_to_others(config: &Config) -> Vec<String> {
    let listeners = config.listeners.iter().filter_map(|at| at.tls.as_ref());
    let own = listeners.flat_map(|tls| &tls.certificates);
    let upstream = config.pools.values().filter_map(|pool| pool.tls.as_ref());
    let keys = own.chain(upstream.filter_map(|tls| tls.client.as_ref()));
    let keys: BTreeSet<&Path> = keys
        .filter_map(|source| source.key_file.as_deref())
        .collect();
    let keys = keys.into_iter().map(|key| ("private key", key));
    let users = config.authentication.as_ref();
    let users = users.map(|by| ("users file", by.users_file.as_path()));
    let secrets = keys.chain(users).filter_map(|(what, path)| {
        let mode = mode_of(path).filter(|mode| mode & 0o004 != 0)?;
        let path = path.display();
        Some(format!(
            "the {what} {path} can be read by everybody (mode {mode:o}); run: chmod o= {path}"
        ))
    });
    let state = &config.state_dir;
    let state = mode_of(state).filter(|mode| mode & 0o002 != 0).map(|mode| {
        let path = state.display();
        format!(
            "the state directory {path} can be changed by everybody (mode {mode:o}); run: chmod 700 {path}"
        )
    });
    secrets.chain(state).collect()
}

/// A users file that is not there, whether it is still to be made or its path has a slip: no start does without.
fn absent_users(config: &Config) -> Option<String> {
    let file = &config.authentication.as_ref()?.users_file;
    let is_absent = matches!(file.try_exists(), Ok(false));
    is_absent.then(|| {
        format!(
            "the users file {} is not there, and without it no gateway starts; `portway users add` makes it",
            file.display()
        )
    })
}

fn mode_of(path: &Path) -> Option<u32> {
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    Some(mode & 0o777)
}

/// Names, as many as fit a line; none where there are none.
fn shown(names: &BTreeSet<&str>) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let first: Vec<&str> = names.iter().take(NAMES_SHOWN_MAX).copied().collect();
    let more = match names.len().saturating_sub(first.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!("{}{more}", first.join(", ")))
}

/// Users and groups that policies name and the users file does not have.
fn strangers(config: &Config) -> Vec<String> {
    // Elsewhere others say who there is.
    let (Some(by), None, EngineSource::Embedded) =
        (&config.authentication, &config.mdc, &config.engine)
    else {
        return Vec::new();
    };
    let Ok(known) = document::load(&by.users_file) else {
        return Vec::new();
    };
    let users: BTreeSet<&str> = known.iter().map(|user| user.name.as_str()).collect();
    let groups = known.iter().flat_map(|user| &user.groups);
    let groups: BTreeSet<&str> = groups.map(|group| group.as_str()).collect();
    let mut named = Named::default();
    let routes = config.virtual_hosts.iter().flat_map(|host| &host.routes);
    for rule in routes.flat_map(|route| route.policy.rules()) {
        named.note(&rule.when);
    }
    let file = by.users_file.display();
    let lacking = [
        ("users that are not in", &named.users - &users),
        ("groups that nobody has in", &named.groups - &groups),
    ];
    let told = lacking.iter().filter_map(|(what, names)| {
        let shown = shown(names)?;
        Some(format!("policies name {what} {file}: {shown}"))
    });
    told.collect()
}

/// The names in conditions.
#[derive(Default)]
struct Named<'c> {
    users: BTreeSet<&'c str>,
    groups: BTreeSet<&'c str>,
}

impl<'c> Named<'c> {
    fn note(&mut self, condition: &'c Condition) {
        match condition {
            Condition::All(inner) | Condition::Any(inner) => {
                inner.iter().for_each(|each| self.note(each));
            }
            Condition::Group(groups) => {
                self.groups
                    .extend(groups.iter().map(|group| group.as_str()));
            }
            Condition::Not(inner) => self.note(inner),
            Condition::User(users) => {
                self.users.extend(users.iter().map(|user| user.as_str()));
            }
            Condition::Address(_)
            | Condition::Attribute(..)
            | Condition::Header(..)
            | Condition::Level(_)
            | Condition::Method(_)
            | Condition::Query(..)
            | Condition::SignedIn
            | Condition::Time(_)
            | Condition::When(_) => {}
        }
    }
}

const NAMES_SHOWN_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::load;

    #[test]
    fn secrets_that_everybody_reads_and_names_that_nobody_has_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let write = |name: &str, text: &str, mode| {
            std::fs::write(at(name), text).unwrap();
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(at(name), permissions).unwrap();
        };
        write(
            "a.crt",
            "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
            0o644,
        );
        write(
            "a.key",
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
            0o640,
        );
        let users = format!("users: [{{ name: alice, groups: [staff], password: '{HASH}' }}]\n");
        write("users.yaml", &users, 0o600);
        write("gateway.yaml", CONFIG, 0o600);
        let found = || {
            let found = of_files(&load(&at("gateway.yaml")).unwrap()).join("\n");
            found.replace(&format!("{}/", folder.path().display()), "")
        };
        let names = "policies name users that are not in users.yaml: bob\n\
                     policies name groups that nobody has in users.yaml: admins";
        assert_eq!(found(), names);
        write(
            "a.key",
            "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
            0o644,
        );
        write("users.yaml", &users, 0o664);
        std::fs::create_dir(at("state")).unwrap();
        std::fs::set_permissions(at("state"), std::fs::Permissions::from_mode(0o777)).unwrap();
        let open = "the private key a.key can be read by everybody (mode 644); run: chmod o= a.key\n\
                    the users file users.yaml can be read by everybody (mode 664); run: chmod o= users.yaml\n\
                    the state directory state can be changed by everybody (mode 777); run: chmod 700 state\n";
        assert_eq!(found(), format!("{open}{names}"));
        let groups: Vec<String> = (0..500)
            .map(|n| format!("a-group-of-some-length-{n}"))
            .collect();
        let many = format!("groups: [staff, {}]", groups.join(", "));
        write(
            "users.yaml",
            &users.replace("groups: [staff]", &many),
            0o600,
        );
        let crowded = "do not fit into the 8192 bytes of a header";
        assert!(found().contains(crowded), "{}", found());
        write(
            "gateway.yaml",
            &format!("identity_headers: {{ groups: null }}\n{CONFIG}"),
            0o600,
        );
        assert!(!found().contains(crowded), "{}", found());
        let preset = format!("identity_headers: {{ preset: pomerium }}\n{CONFIG}");
        write("gateway.yaml", &preset, 0o600);
        assert!(found().contains(crowded), "{}", found());
        let few = "path: /\n        only_groups: [staff]";
        write("gateway.yaml", &preset.replace("path: /", few), 0o600);
        assert!(!found().contains(crowded), "{}", found());
    }

    #[test]
    fn users_whom_the_text_beside_their_groups_makes_too_long_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, label) in [("a.crt", "CERTIFICATE"), ("a.key", "PRIVATE KEY")] {
            let pem = format!("-----BEGIN {label}-----\n-----END {label}-----\n");
            std::fs::write(at(name), pem).unwrap();
        }
        let group = "g".repeat(120);
        let groups: Vec<String> = (10..43).map(|n| format!("{group}{n}")).collect();
        let groups = groups.join(", ");
        let users = format!("users: [{{ name: alice, groups: [{groups}], password: '{HASH}' }}]\n");
        std::fs::write(at("users.yaml"), users).unwrap();
        // 33 groups of 122 bytes and what separates them have 4058 bytes.
        let found = |given: &str| {
            let route = format!("path: /\n        {given}");
            let text = CONFIG.replace("path: /", &route);
            std::fs::write(at("gateway.yaml"), text).unwrap();
            let told = crowded::users(&load(&at("gateway.yaml")).unwrap());
            told.join("\n")
        };
        let header = "the 8192 bytes of a header";
        let cookie = "the 4096 bytes of the cookie seat";
        for (text, is_long) in [(4134, false), (4135, true)] {
            let text = "x".repeat(text);
            for way in ["request", "response"] {
                let rules =
                    format!("headers: {{ {way}: {{ set: {{ X-A: '{text}${{user.groups}}' }} }} }}");
                assert_eq!(
                    found(&rules).contains(header),
                    is_long,
                    "{way} {}",
                    text.len()
                );
            }
            let given = format!("responses: {{ headers: {{ X-A: '{text}${{user.groups}}' }} }}");
            assert_eq!(found(&given).contains(header), is_long, "{}", text.len());
        }
        for (text, is_long) in [(34, false), (35, true)] {
            let text = "x".repeat(text);
            let given = format!("responses: {{ cookies: {{ seat: '{text}${{user.groups}}' }} }}");
            assert_eq!(found(&given).contains(cookie), is_long, "{}", found(&given));
        }
        let few =
            "only_groups: [staff]\n        responses: { cookies: { seat: '${user.groups}' } }";
        assert_eq!(found(few), "");
    }

    #[test]
    fn a_users_file_that_is_not_there_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (name, label) in [("a.crt", "CERTIFICATE"), ("a.key", "PRIVATE KEY")] {
            let pem = format!("-----BEGIN {label}-----\n-----END {label}-----\n");
            std::fs::write(at(name), pem).unwrap();
        }
        std::fs::write(at("gateway.yaml"), CONFIG).unwrap();
        let config = load(&at("gateway.yaml")).unwrap();
        let told = || all(&config, Timestamp::default()).join("\n");
        let file = at("users.yaml");
        let words = format!("the users file {} is not there", file.display());
        assert!(told().contains(&words), "{}", told());
        std::fs::write(&file, "users: []\n").unwrap();
        assert!(!told().contains("is not there"), "{}", told());
    }

    const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$SkmadNg519YkqjmMhTpGswcVZmiAjeQ01ZqqlxlwOok";
    const CONFIG: &str = "listeners:
  - name: https
    bind: '127.0.0.1:0'
    tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] }
collector: { host: login.test }
authentication: { users_file: users.yaml }
pools: { app: { primary: ['10.0.0.1:80'] } }
virtual_hosts:
  - host: app.test
    routes:
      - path: /
        access: protected
        policy: [{ deny: { user: bob } }, { allow: { all: [{ group: [staff, admins] }, { user: alice }] } }]
        pool: app
";
}

//! Every configuration that is shown to users parses, and the commented example states the defaults.

use std::fs;

use portway::config::StoreKind;
use portway::config::problem::Problem;
use portway::decision::policy::Access;

use crate::parse_as;
use crate::parsed;
use crate::root;

#[test]
fn every_example_parses() {
    let mut files: Vec<_> = fs::read_dir(root().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().path().join("gateway.yaml"))
        .filter(|path| path.exists())
        .collect();
    files.push(root().join("gateway.yaml.example"));
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        if let Err(faults) = parse_as(&file.display().to_string(), &text) {
            panic!("{faults}");
        }
    }
}

#[test]
fn every_configuration_in_the_documents_parses() {
    let mut documents = vec![root().join("README.md")];
    let folder = fs::read_dir(root().join("docs")).unwrap();
    documents.extend(folder.map(|entry| entry.unwrap().path()));
    let mut parsed_count = 0;
    for document in documents
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
    {
        let text = fs::read_to_string(document).unwrap();
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            // Shorter ones show a part.
            if !block.contains("\nvirtual_hosts:") {
                continue;
            }
            parsed_count += 1;
            if let Err(faults) = parse_as(&document.display().to_string(), block) {
                panic!("{faults}");
            }
        }
    }
    assert!(parsed_count > 0);
}

#[test]
fn the_commented_example_states_the_defaults() {
    let example = parsed(&fs::read_to_string(root().join("gateway.yaml.example")).unwrap());
    let silent = parsed(
        "listeners: [{ name: s, bind: 0.0.0.0:443, tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }]
collector: { host: login.example.com }
authentication: { users_file: users.yaml }
pools: { work: { primary: [10.0.0.1:80] } }
virtual_hosts: [{ host: a.test, routes: [{ path: /, access: protected, policy: [], pool: work }] }]
",
    );
    let said = |left: &dyn std::fmt::Debug, right: &dyn std::fmt::Debug| {
        assert_eq!(format!("{left:?}"), format!("{right:?}"));
    };
    said(&example.cluster, &silent.cluster);
    said(&example.deployment, &silent.deployment);
    said(&example.state_dir, &silent.state_dir);
    said(&example.trusted_proxies, &silent.trusted_proxies);
    said(&example.limits, &silent.limits);
    said(&example.session, &silent.session);
    said(&example.identity_headers, &silent.identity_headers);
    said(&example.authentication, &silent.authentication);
    said(
        &example.collector.as_ref().unwrap().title,
        &silent.collector.as_ref().unwrap().title,
    );
    said(
        &example.listeners[0].tls.as_ref().unwrap().http2,
        &silent.listeners[0].tls.as_ref().unwrap().http2,
    );
    let (pool, other) = (
        example.pools.values().next().unwrap(),
        silent.pools.values().next().unwrap(),
    );
    said(&pool.balance, &other.balance);
    said(&pool.secondary, &other.secondary);
    said(&pool.failover_threshold, &other.failover_threshold);
    said(&pool.max_fails, &other.max_fails);
    said(&pool.fail_timeout, &other.fail_timeout);
    said(&pool.timeouts, &other.timeouts);
    said(&pool.connect_retries, &other.connect_retries);
    let (host, other) = (&example.virtual_hosts[0], &silent.virtual_hosts[0]);
    said(&host.plain_http, &other.plain_http);
    let (route, other) = (&host.routes[0], &other.routes[0]);
    said(&route.level, &other.level);
    said(&route.body_bytes_max, &other.body_bytes_max);
    said(&route.upstream_host, &other.upstream_host);
    said(&route.tolerance, &other.tolerance);
    said(&route.preflight, &other.preflight);
    said(&route.caching, &other.caching);
}

#[test]
fn the_wso2_example_serves_three_names_from_two_pools_each_w_01_w_04() {
    let path = root().join("examples/wso2-emm/gateway.yaml");
    let config = parsed(&fs::read_to_string(path).unwrap());
    let names: Vec<String> = config
        .virtual_hosts
        .iter()
        .flat_map(|host| &host.hosts)
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        [
            "work.emm.wso2.com",
            "mgt.emm.wso2.com",
            "keymgt.emm.wso2.com"
        ]
    );
    assert_eq!(config.pools.len(), 6);
    assert_eq!(config.session.store, StoreKind::Disk);
    for pool in config.pools.values() {
        assert_eq!(pool.primary.len(), 2, "{}", pool.name);
        assert_eq!(
            pool.timeouts.read_idle.as_secs(),
            300,
            "W-14: {}",
            pool.name
        );
        assert_eq!(
            pool.timeouts.write_idle.as_secs(),
            300,
            "W-15: {}",
            pool.name
        );
        let port = if pool.tls.is_some() { 9443 } else { 9763 };
        assert!(
            pool.primary.iter().all(|upstream| upstream.port == port),
            "{}",
            pool.name
        );
    }
    for route in config.virtual_hosts.iter().flat_map(|host| &host.routes) {
        assert!(route.pool_http.tls.is_none(), "{}", route.name);
        assert!(route.pool_https.tls.is_some(), "{}", route.name);
    }
}

#[test]
fn the_wso2_example_splits_roles_and_leaves_registration_to_machines_w_30_w_31() {
    let path = root().join("examples/wso2-emm/gateway.yaml");
    let config = parsed(&fs::read_to_string(path).unwrap());
    let access = |host: usize, name: &str| {
        let mut routes = config.virtual_hosts[host].routes.iter();
        routes
            .find(|route| route.name.as_ref() == name)
            .map(|route| route.access)
    };
    assert_eq!(access(0, "/"), Some(Access::Protected));
    assert_eq!(access(1, "/"), Some(Access::Protected));
    assert_eq!(access(2, "/"), Some(Access::Unprotected));
    assert_eq!(
        access(2, "/dynamic-client-web/register"),
        Some(Access::Excluded)
    );
    assert_ne!(
        config.virtual_hosts[0].routes[3].policy,
        config.virtual_hosts[1].routes[0].policy
    );
}

#[test]
fn every_key_is_in_the_commented_example_and_in_the_reference() {
    let faults = parse_as("gateway.yaml", EVERY_SECTION).unwrap_err();
    let sections: Vec<&'static [&'static str]> = faults
        .iter()
        .filter_map(|fault| known(&fault.problem))
        .collect();
    assert_eq!(
        sections.len(),
        EVERY_SECTION.matches("zzz: 1").count(),
        "{faults}"
    );
    let example = fs::read_to_string(root().join("gateway.yaml.example")).unwrap();
    let reference = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for key in sections.into_iter().flatten() {
        let written = ["- ", "# ", "{ ", ", ", " "]
            .iter()
            .any(|before| example.contains(&format!("{before}{key}:")));
        assert!(
            written || *key == "signed_in" || example.contains(&format!("\n{key}:")),
            "{key}"
        );
        let explained = reference.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert!(explained.into_iter().any(|word| word == *key), "{key}");
    }
}

fn known(problem: &Problem) -> Option<&'static [&'static str]> {
    if let Problem::UnknownKey { known, .. } = problem {
        Some(known)
    } else {
        None
    }
}

/// Every section there is, each with a key that is nowhere known.
const EVERY_SECTION: &str = "zzz: 1
listeners:
  - zzz: 1
    tls: { zzz: 1, certificates: [{ zzz: 1 }] }
collector: { zzz: 1 }
authentication: { zzz: 1 }
session: { zzz: 1 }
identity_headers: { zzz: 1 }
limits: { zzz: 1 }
pools:
  p:
    zzz: 1
    scheme: https
    tls: { zzz: 1 }
    balance: { zzz: 1, hash: { zzz: 1 } }
    primary: [{ zzz: 1 }]
    health_check: { zzz: 1, http: { zzz: 1 } }
    timeouts: { zzz: 1 }
policies:
  p:
    - zzz: 1
    - allow: { zzz: 1 }
virtual_hosts:
  - zzz: 1
    routes: [{ zzz: 1, pools: { zzz: 1 } }]
";

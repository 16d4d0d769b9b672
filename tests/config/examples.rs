//! Every configuration that is shown to users parses, and the commented example states the defaults.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use portway::config::Config;
use portway::config::StoreKind;
use portway::config::Upstream;
use portway::config::UpstreamPlace;
use portway::config::mdc::EngineSource;
use portway::config::problem::Problem;
use portway::decision::adoption::Anchor;
use portway::decision::adoption::Hop;
use portway::decision::adoption::OnSilence;
use portway::decision::adoption::Retrieval;
use portway::decision::policy::Access;
use portway::model::name::ClusterId;

use crate::parse_as;
use crate::parsed;
use crate::root;

#[test]
fn every_example_parses_without_a_warning() {
    for (file, text) in every_example() {
        match parse_as(&file, &text) {
            Ok(config) => assert_eq!(config.warnings.count(), 0, "{}", config.warnings),
            Err(faults) => panic!("{faults}"),
        }
    }
}

/// Every configuration that is shipped, with its name.
pub(crate) fn every_example() -> Vec<(String, String)> {
    let mut files = vec![root().join("gateway.yaml.example")];
    for folder in fs::read_dir(root().join("examples")).unwrap() {
        files.extend(configurations(&folder.unwrap().path()));
    }
    assert!(files.len() >= 17, "{files:?}");
    let text = |file: &PathBuf| fs::read_to_string(file).unwrap();
    files
        .iter()
        .map(|file| (file.display().to_string(), text(file)))
        .collect()
}

fn configurations(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    files
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
    said(&example.key_ring_file, &silent.key_ring_file);
    said(&example.engine, &silent.engine);
    said(&example.trusted_proxies, &silent.trusted_proxies);
    said(&example.limits, &silent.limits);
    said(&example.session, &silent.session);
    said(&example.identity_headers, &silent.identity_headers);
    said(&example.authentication, &silent.authentication);
    said(&example.branding, &silent.branding);
    // Without a title the page says the same, in the reader's language.
    said(&example.collector.as_ref().unwrap().title, &Some("Sign in"));
    said(&silent.collector.as_ref().unwrap().title, &None::<String>);
    said(
        &example.collector.as_ref().unwrap().place,
        &silent.collector.as_ref().unwrap().place,
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
    said(&pool.slow_start, &other.slow_start);
    said(&pool.timeouts, &other.timeouts);
    said(&pool.connect_retries, &other.connect_retries);
    said(&pool.retry_budget, &other.retry_budget);
    let (host, other) = (&example.virtual_hosts[0], &silent.virtual_hosts[0]);
    said(&host.plain_http, &other.plain_http);
    let (route, other) = (&host.routes[0], &other.routes[0]);
    said(&route.level, &other.level);
    said(&route.body_bytes_max, &other.body_bytes_max);
    said(&route.flow, &other.flow);
    said(&route.forwarded_headers, &other.forwarded_headers);
    said(&route.upstream_host, &other.upstream_host);
    said(&route.tolerance, &other.tolerance);
    said(&route.preflight, &other.preflight);
    said(&route.retry_on, &other.retry_on);
    said(&route.caching, &other.caching);
}

#[test]
fn the_commented_section_on_several_data_centres_states_the_defaults() {
    let text = uncommented("mdc").replace("cluster_id: local", "cluster_id: nydc");
    let example = parsed(&text).mdc.unwrap();
    let silent = parsed(
        "cluster_id: nydc
listeners: [{ name: s, bind: 0.0.0.0:443, tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }]
pools: { work: { primary: [10.0.0.1:80] } }
virtual_hosts: [{ host: a.test, routes: [{ path: /, access: excluded, pool: work }] }]
mdc:
  back_channel: { bind: 0.0.0.0:5575, certificate_file: certs/nydc.pem, key_file: certs/nydc.key, ca_file: certs/peers-ca.pem }
  peers: [{ cluster_id: ldc, primary: ['ldc1.example.com:5575', 'ldc2.example.com:5575'], secondary: ['ldc-dr.example.com:5575'] }]
  gates: [{ name: edge-1 }]
",
    );
    let silent = silent.mdc.unwrap();
    assert_eq!(format!("{example:?}"), format!("{silent:?}"));
}

#[test]
fn the_commented_section_on_a_remote_engine_states_the_defaults() {
    let text = uncommented("engine").replace("\nengine: embedded\n", "\n");
    let text = text.replace("elsewhere: false", "elsewhere: true");
    let text = text.replace("  title: Sign in\n", "");
    let text = without(&without(&text, "authentication"), "session");
    let example = parsed(&text);
    assert_eq!(example.warnings.count(), 0, "{}", example.warnings);
    let silent = parsed(
        "listeners: [{ name: s, bind: 0.0.0.0:443, tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }]
pools: { work: { primary: [10.0.0.1:80] } }
virtual_hosts: [{ host: a.test, routes: [{ path: /, access: excluded, pool: work }] }]
engine:
  remote:
    name: edge-1
    primary: [{ cluster_id: nydc, address: 'nydc1.example.com:5575' }]
    secondary: [{ cluster_id: ldc, address: 'ldc1.example.com:5575' }]
    certificate_file: certs/edge-1.pem
    key_file: certs/edge-1.key
    ca_file: certs/peers-ca.pem
",
    );
    assert_eq!(
        format!("{:?}", example.engine),
        format!("{:?}", silent.engine)
    );
}

#[test]
fn the_commented_section_on_ops_states_the_default() {
    let example = parsed(&uncommented("ops"));
    let silent = open_with("ops: {}\n");
    assert_eq!(example.ops, silent.ops);
    assert!(example.ops.is_some());
}

fn open_with(text: &str) -> Config {
    parsed(&format!(
        "{text}listeners: [{{ name: http, bind: '127.0.0.1:0' }}]
pools: {{ p: {{ primary: ['a:1'] }} }}
virtual_hosts: [{{ host: a.test, plain_http: serve, routes: [{{ path: /, access: excluded, pool: p }}] }}]
"
    ))
}

/// The data centres of a folder in `examples/`, by cluster id, without variables: as they run on one
/// machine.
fn data_centres(name: &str) -> BTreeMap<ClusterId, Config> {
    let files = configurations(&root().join("examples").join(name));
    let configs = files
        .iter()
        .map(|file| parsed(&fs::read_to_string(file).unwrap()));
    configs
        .filter(|config| config.mdc.is_some())
        .map(|config| (config.cluster.clone(), config))
        .collect()
}

#[test]
fn the_data_centres_of_a_set_know_each_other_m_039_mdc_topo_1_mdc_topo_4() {
    for (name, count) in [
        ("active-active", 2),
        ("active-standby", 2),
        ("hot-standby", 2),
        ("five-data-centres", 5),
        ("gate-only", 2),
    ] {
        let set = data_centres(name);
        assert_eq!(set.len(), count, "{name}");
        let first = set.values().next().unwrap();
        for (cluster, config) in &set {
            assert_eq!(config.key_ring_file, first.key_ring_file, "{name}");
            assert_eq!(config.deployment, first.deployment, "{name}");
            let store = |config: &Config| config.authentication.as_ref().unwrap().store.clone();
            assert_eq!(store(config), store(first), "{name}, MDC-ADOPT-8");
            let host = |config: &Config| config.collector.as_ref().unwrap().host.clone();
            assert_eq!(host(config), host(first), "{name}, M-013");
            let mdc = config.mdc.as_ref().unwrap();
            assert_eq!(mdc.adoption, first.mdc.as_ref().unwrap().adoption, "{name}");
            assert_eq!(mdc.peers.len(), count - 1, "{name}");
            for peer in &mdc.peers {
                assert_ne!(peer.cluster, *cluster, "{name}");
                let there = set[&peer.cluster].mdc.as_ref().unwrap().back_channel.bind;
                let known = &peer.primary[0];
                assert_eq!(format!("{}:{}", known.host, known.port), there.to_string());
            }
        }
    }
}

#[test]
fn each_set_has_the_policy_that_it_shows_m_072_m_073_m_075() {
    let policy = |name: &str| {
        let set = data_centres(name);
        let mdc = set.values().next().unwrap().mdc.clone().unwrap();
        assert!(mdc.gito.is_some(), "{name}");
        let policy = mdc.adoption;
        assert_eq!(
            (policy.retrieval, policy.hop),
            (Retrieval::Fetch, Hop::Silent)
        );
        (policy.anchor, policy.on_silence)
    };
    let (anchored, free) = (Anchor::Anchored, Anchor::Free);
    assert_eq!(policy("active-active"), (anchored, OnSilence::Challenge));
    assert_eq!(policy("five-data-centres"), (free, OnSilence::Challenge));
    assert_eq!(policy("active-standby"), (anchored, OnSilence::Continue));
    assert_eq!(policy("hot-standby"), (anchored, OnSilence::Continue));
    assert_eq!(policy("gate-only"), (free, OnSilence::Continue));
}

#[test]
fn a_hot_standby_serves_when_the_active_data_centre_does_not_m_029() {
    let tiers = |name: &str| {
        let set = data_centres(name);
        let pools = set
            .values()
            .map(|config| config.pools.values().next().unwrap());
        pools
            .map(|pool| (port_of(&pool.primary[0]), pool.secondary.len()))
            .collect::<Vec<_>>()
    };
    assert_eq!(tiers("hot-standby"), [(Some(3002), 1), (Some(3001), 1)]);
    assert_eq!(tiers("active-standby"), [(Some(3002), 0), (Some(3001), 0)]);
}

fn port_of(upstream: &Upstream) -> Option<u16> {
    match upstream.place {
        UpstreamPlace::Inet { port, .. } => Some(port),
        UpstreamPlace::Service(_) | UpstreamPlace::Unix(_) => None,
    }
}

#[test]
fn the_gate_and_its_engines_know_each_other() {
    let set = data_centres("gate-only");
    let path = root().join("examples/gate-only/edge-1.yaml");
    let gate = parsed(&fs::read_to_string(path).unwrap());
    let EngineSource::Remote(engine) = &gate.engine else {
        panic!("{:?}", gate.engine)
    };
    for known in engine.primary.iter().chain(&engine.secondary) {
        let there = &set[&known.cluster];
        let mdc = there.mdc.as_ref().unwrap();
        let address = format!("{}:{}", known.address.host, known.address.port);
        assert_eq!(address, mdc.back_channel.bind.to_string());
        assert!(mdc.gates.iter().any(|one| one.name == engine.name));
        assert_eq!(there.key_ring_file, gate.key_ring_file);
        // A sign-in leads back to the gate.
        let (served, wanted) = (&there.virtual_hosts[0], &gate.virtual_hosts[0]);
        assert_eq!(served.hosts, wanted.hosts);
        assert_eq!(served.public_port, wanted.public_port);
    }
    let (own, collector) = (&set[&engine.primary[0].cluster], gate.collector.unwrap());
    let theirs = own.collector.as_ref().unwrap();
    assert_eq!(
        (&collector.host, collector.public_port),
        (&theirs.host, theirs.public_port)
    );
}

/// The commented example with one section that is commented out taken in.
fn uncommented(section: &str) -> String {
    let text = fs::read_to_string(root().join("gateway.yaml.example")).unwrap();
    let start = format!("#{section}:");
    let mut inside = false;
    let lines = text.lines().map(|line| {
        inside = line == start || (inside && line.starts_with('#'));
        if inside {
            line.strip_prefix('#').unwrap()
        } else {
            line
        }
    });
    let taken_in: Vec<&str> = lines.collect();
    let taken_in = taken_in.join("\n");
    assert_ne!(taken_in.trim(), text.trim(), "{section}");
    taken_in
}

/// A text without one of its sections.
fn without(text: &str, section: &str) -> String {
    let start = format!("{section}:");
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        inside = *line == start || (inside && (line.starts_with(' ') || line.is_empty()));
        !inside
    });
    let left: Vec<&str> = lines.collect();
    left.join("\n")
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
            "ssl.work.emm.wso2.com",
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
            pool.primary.iter().all(|at| port_of(at) == Some(port)),
            "{}",
            pool.name
        );
    }
    for route in config.virtual_hosts.iter().flat_map(|host| &host.routes) {
        let pools = route.destination.pools().unwrap();
        assert!(pools.http.tls.is_none(), "{}", route.name);
        assert!(pools.https.tls.is_some(), "{}", route.name);
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
    assert_eq!(access(2, "/"), Some(Access::Protected));
    assert_eq!(access(3, "/"), Some(Access::Unprotected));
    assert_eq!(
        access(3, "/dynamic-client-web/register"),
        Some(Access::Excluded)
    );
    assert_ne!(
        config.virtual_hosts[0].routes[3].policy,
        config.virtual_hosts[2].routes[0].policy
    );
}

#[test]
fn every_key_is_in_the_commented_example_and_in_the_reference() {
    let mut sections = Vec::new();
    for text in [EVERY_SECTION, GATE_ONLY] {
        let faults = parse_as("gateway.yaml", text).unwrap_err();
        let before = sections.len();
        sections.extend(faults.iter().filter_map(|fault| known(&fault.problem)));
        let found = sections.len() - before;
        assert_eq!(found, text.matches("zzz: 1").count(), "{faults}");
    }
    let example = fs::read_to_string(root().join("gateway.yaml.example")).unwrap();
    let reference = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    for key in sections.into_iter().flatten() {
        let written = ["- ", "# ", "{ ", ", ", " ", "#", "\n"]
            .iter()
            .any(|before| example.contains(&format!("{before}{key}:")));
        assert!(written || *key == "signed_in", "{key}");
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
ops: { zzz: 1 }
mdc:
  zzz: 1
  adoption: { zzz: 1 }
  clock_skew: { zzz: 1 }
  limits: { zzz: 1 }
  back_channel: { zzz: 1 }
  peers: [{ zzz: 1, primary: [{ zzz: 1 }] }]
  gates: [{ zzz: 1 }]
";

/// What stands in place of an engine of one's own.
const GATE_ONLY: &str = "zzz: 1
listeners:
collector: { zzz: 1 }
virtual_hosts:
engine: { zzz: 1, remote: { zzz: 1, primary: [{ zzz: 1 }] } }
";

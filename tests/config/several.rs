//! What the parts about several data centres come to mean, and which combinations are accepted.

use std::path::Path;
use std::time::Duration;

use portway::config::Config;
use portway::config::StoreKind;
use portway::config::diagnostic::Faults;
use portway::config::mdc::CollectorPlace;
use portway::config::mdc::EngineSource;
use portway::config::mdc::Mdc;
use portway::config::mdc::PeerTls;
use portway::config::mdc::RemoteEngine;
use portway::config::mdc::Security;
use portway::config::problem::advice::Advice;
use portway::decision::adoption::AdoptionPolicy;
use portway::decision::adoption::Anchor;
use portway::decision::adoption::Hop;
use portway::decision::adoption::OnMissing;
use portway::decision::adoption::OnSilence;
use portway::decision::adoption::Retrieval;

use crate::parse_as;
use crate::parsed;

#[test]
fn one_data_centre_knows_nothing_of_others() {
    let config = parsed(SIGN_IN);
    assert!(config.mdc.is_none());
    assert!(matches!(config.engine, EngineSource::Embedded));
    assert_eq!(config.key_ring_file, Path::new("state/key-ring.json"));
    assert_eq!(config.warnings.count(), 0, "{}", config.warnings);
    let embedded = parsed(&format!("{SIGN_IN}engine: embedded\n"));
    assert!(matches!(embedded.engine, EngineSource::Embedded));
    let elsewhere = parsed(&format!("{SIGN_IN}key_ring_file: shared/ring.json\n"));
    assert_eq!(elsewhere.key_ring_file, Path::new("shared/ring.json"));
}

#[test]
fn what_is_not_said_has_a_default() {
    let config = several("");
    assert_eq!(config.warnings.count(), 0, "{}", config.warnings);
    let mdc = config.mdc.unwrap();
    assert_eq!(mdc.adoption, AdoptionPolicy::default());
    assert!(mdc.gito.is_none(), "M-066");
    assert_eq!(mdc.authn_lifetime, Duration::from_mins(15), "M-078");
    assert_eq!(mdc.partition_lease, Duration::from_mins(30), "S-16");
    assert_eq!(mdc.min_hold, Duration::from_millis(250), "S-9");
    assert_eq!(mdc.reservation_lapse, Duration::from_secs(10));
    assert_eq!(mdc.pull_interval, Duration::from_secs(1));
    assert_eq!(mdc.skew.allowance, Duration::from_secs(30), "S-22");
    assert_eq!(mdc.skew.hard, Duration::from_mins(2));
    assert_eq!(
        (mdc.adoptions_per_peer_max, mdc.adoptions_per_address_max),
        (256, 32)
    );
    let channel = &mdc.back_channel;
    assert_eq!(channel.connection_age_max, Duration::from_mins(10));
    assert_eq!(channel.keep_alive_interval, Duration::from_secs(20));
    assert_eq!(channel.connect_timeout, Duration::from_secs(1));
    assert_eq!((channel.questions_max, channel.circuit_failures), (1024, 3));
    assert_eq!(channel.circuit_pause, Duration::from_secs(2));
    let peer = &mdc.peers[0];
    assert_eq!((peer.failover_threshold, peer.secondary.len()), (1, 0));
}

/// M-034
#[test]
fn who_says_nothing_of_security_gets_certificates_and_nobody_plain_text_m_034_m_033() {
    let config = several("");
    let mdc = config.mdc.unwrap();
    assert!(matches!(mdc.back_channel.security, Security::Cert(_)));
    assert!(matches!(mdc.peers[0].security, Security::Cert(_)));
    // Nor by leaving the files out.
    let bare = "  back_channel: { bind: '127.0.0.1:5575' }\n";
    let text = format!("{}{bare}{PEERS}", begun(SIGN_IN));
    let faults = parse_as("gateway.yaml", &text).unwrap_err().to_string();
    for file in ["certificate_file", "key_file", "ca_file"] {
        assert!(faults.contains(file), "{faults}");
    }
}

///
#[test]
fn both_tiers_of_a_pool_and_of_a_peer_have_any_number_of_addresses_x_05_m_008() {
    let pool = "primary: ['a:1']";
    let tiers = "primary: ['a:1', 'b:1'], secondary: ['c:1', 'd:1', 'e:1']";
    let sign_in = SIGN_IN.replace(pool, tiers);
    let peers = PEERS.replace("primary: ['ldc1.example.com:5575']", tiers);
    let text = format!("{}{CHANNEL}{peers}", begun(&sign_in));
    let config = parse_as("gateway.yaml", &text).unwrap_or_else(|faults| panic!("{faults}"));
    let pool = config.pools.values().next().unwrap();
    assert_eq!((pool.primary.len(), pool.secondary.len()), (2, 3));
    let peer = &config.mdc.unwrap().peers[0];
    assert_eq!((peer.primary.len(), peer.secondary.len()), (2, 3));
}

/// how often is a whole number, and how long has a unit.
#[test]
fn two_more_attempts_of_a_second_each_are_made_unless_it_is_said_otherwise_m_063_m_064() {
    let said = |text: &str| try_mdc(&format!("adoption: {{ {text} }}")).map(|mdc| mdc.adoption);
    let policy = said("").unwrap();
    assert_eq!(
        (policy.retries, policy.attempt_limit),
        (2, Duration::from_secs(1))
    );
    assert_eq!(policy.deadline(), Duration::from_secs(3));
    let policy = said("retrieve_retries: 0, retrieve_timeout: 400ms").unwrap();
    assert_eq!(policy.deadline(), Duration::from_millis(400));
    for wrong in ["true", "1.5", "-1", "10b"] {
        said(&format!("retrieve_retries: {wrong}")).unwrap_err();
    }
    said("retrieve_timeout: 1000").unwrap_err();
}

/// Table 7-2 and A.6: everything is accepted but anchoring without a common cookie, and a choice that
/// never comes to bear is warned of.
#[test]
fn every_combination_is_accepted_but_anchoring_without_a_common_cookie_m_058_m_059_x_12_x_18() {
    for number in 0..64_u8 {
        let bit = |place: u8| number & (1 << place) != 0;
        let (gito, anchor, retrieve, reauthenticate) = (bit(0), bit(1), bit(2), bit(3));
        let (carries_on, is_strict) = (bit(4), bit(5));
        let domain = if gito { "gito_domain: example.com" } else { "" };
        let missing = if is_strict { "challenge" } else { "create" };
        let text = format!(
            "  {domain}
  adoption:
    anchor_session: {anchor}
    retrieve_data: {retrieve}
    reauthenticate: {reauthenticate}
    continue_on_sync_failure: {carries_on}
    on_remote_missing: {missing}
"
        );
        let result = try_several(&text);
        if anchor && !gito {
            let faults = result.unwrap_err();
            assert_eq!(faults.count(), 1, "{faults}");
            let shown = faults.to_string();
            assert!(shown.contains("needs `gito_domain`"), "{shown}");
            continue;
        }
        let config = result.unwrap();
        let asks_nobody = !retrieve && !anchor;
        let mut inert = 0;
        if reauthenticate || asks_nobody {
            inert += u8::from(carries_on) + u8::from(is_strict);
        }
        inert += u8::from(reauthenticate && !retrieve);
        assert_eq!(
            config.warnings.count(),
            usize::from(inert),
            "{text}{}",
            config.warnings
        );
        assert!(
            config
                .warnings
                .iter()
                .all(|warning| matches!(warning.advice, Advice::Inert { .. }))
        );
        let policy = config.mdc.unwrap().adoption;
        assert_eq!(policy.anchor == Anchor::Anchored, anchor);
        assert_eq!(policy.retrieval == Retrieval::Fetch, retrieve);
        assert_eq!(policy.hop == Hop::Reauthenticate, reauthenticate);
        assert_eq!(policy.on_silence == OnSilence::Continue, carries_on);
        assert_eq!(policy.on_missing == OnMissing::Challenge, is_strict);
    }
}

#[test]
fn an_authn_cookie_lapses_before_its_session_idles_m_078_mdc_cookie_3() {
    let lifetime = |text: &str| try_mdc(text).map(|mdc| mdc.authn_lifetime);
    let minutes = |minutes| Duration::from_mins(minutes);
    assert_eq!(lifetime("authn_lifetime: 29m").unwrap(), minutes(29));
    lifetime("authn_lifetime: 30m").unwrap_err();
    let gito = "gito_domain: example.com\n  ";
    let with = |text: &str| lifetime(&format!("{gito}{text}"));
    assert_eq!(with("authn_lifetime: 30m").unwrap(), minutes(30));
    with("authn_lifetime: 1801s").unwrap_err();
    assert_eq!(with("").unwrap(), minutes(30));
}

#[test]
fn a_common_cookie_needs_a_parent_of_every_host_m_024_mdc_cookie_4() {
    let mdc = try_mdc("gito_domain: EXAMPLE.com.").unwrap();
    let gito = mdc.gito.unwrap();
    assert_eq!(gito.domain.as_str(), "example.com");
    assert_eq!(gito.granularity, Duration::from_mins(1));
    let always = try_mdc("gito_domain: example.com\n  gito_granularity: 0s").unwrap();
    assert_eq!(always.gito.unwrap().granularity, Duration::ZERO);
    let text = SIGN_IN.replace("app.example.com", "\"*.example.com\"");
    let config = parsed(&format!(
        "session: {{ idle_timeout: 2m }}\n{}  gito_domain: example.com\n{CHANNEL}{PEERS}",
        begun(&text)
    ));
    let gito = config.mdc.unwrap().gito.unwrap();
    assert_eq!(gito.granularity, Duration::from_secs(12));
}

#[test]
fn pulls_fit_into_a_short_lease_unless_it_is_said_otherwise_s_16() {
    let mdc = try_mdc("partition_lease: 2s").unwrap();
    assert_eq!(mdc.pull_interval, Duration::from_millis(200));
}

#[test]
fn a_session_may_be_let_go_of_at_once_s_9() {
    assert_eq!(try_mdc("min_hold: 0s").unwrap().min_hold, Duration::ZERO);
}

#[test]
fn records_may_live_in_memory() {
    let text = format!("session: {{ store: memory }}\n{}", begun(SIGN_IN));
    let config = parsed(&format!("{text}{CHANNEL}{PEERS}"));
    assert_eq!(config.session.store, StoreKind::Memory);
}

#[test]
fn a_peer_proves_itself_as_the_back_channel_does_unless_it_says_otherwise_mdc_sec_4() {
    // Nobody else is spoken with in clear text, not even by the listener.
    let channel = CHANNEL.replace("0.0.0.0", "127.0.0.1");
    let config = parsed(&format!(
        "state_dir: data\n{}{channel}  peers:
    - {{ cluster_id: like, primary: ['like.example.com:5575'] }}
    - {{ cluster_id: simple, primary: ['simple.example.com:5575'], security: simple }}
    - {{ cluster_id: own-ca, primary: ['own.example.com:5575'], ca_file: other.pem }}
    - {{ cluster_id: open, primary: ['localhost:5575'], security: open, password_file: o.password }}
",
        begun(SIGN_IN)
    ));
    let mdc = config.mdc.unwrap();
    let files = |certificate: &str, key: &str, ca: &str| PeerTls {
        certificate_file: certificate.into(),
        key_file: key.into(),
        ca_file: ca.into(),
    };
    let tls = |security: &Security| match security {
        Security::Cert(tls) => ("cert", tls.clone()),
        Security::Simple(tls) => ("simple", tls.clone()),
        Security::Open => panic!("open"),
    };
    let own = ("cert", files("node.pem", "node.key", "ca.pem"));
    assert_eq!(tls(&mdc.back_channel.security), own);
    assert_eq!(tls(&mdc.peers[0].security), own);
    let pki = files("data/pki/node.pem", "data/pki/node.key", "data/pki/ca.pem");
    assert_eq!(tls(&mdc.peers[1].security), ("simple", pki));
    let with_ca = files("node.pem", "node.key", "other.pem");
    assert_eq!(tls(&mdc.peers[2].security), ("cert", with_ca));
    assert!(matches!(mdc.peers[3].security, Security::Open));
    // The end of a line is no part of a password.
    let password = mdc.peers[3].password.clone().unwrap();
    assert_eq!(password.expose(), b"shared by o.password");
}

#[test]
fn a_password_comes_from_a_variable_mdc_sec_5() {
    let config = parsed(&format!(
        "{}  back_channel: {{ bind: '127.0.0.1:5575', security: open }}
  peers: [{{ cluster_id: ldc, primary: ['127.0.0.1:5576'], password: '${{SHARED}}' }}]
  gates: [{{ name: edge-1, password_file: edge.password }}]
",
        begun(SIGN_IN)
    ));
    assert_eq!(config.warnings.count(), 0, "{}", config.warnings);
    let mdc = config.mdc.unwrap();
    let password = mdc.peers[0].password.clone().unwrap();
    assert_eq!(password.expose(), b"shared by two");
    assert_eq!(mdc.gates[0].name.as_str(), "edge-1");
    assert!(mdc.gates[0].password.is_some());
}

#[test]
fn a_data_centre_may_have_gates_and_no_peers() {
    let config = parsed(&format!(
        "{}{CHANNEL}  gates: [{{ name: edge-1 }}]\n",
        begun(SIGN_IN)
    ));
    assert_eq!(config.warnings.count(), 0, "{}", config.warnings);
    assert_eq!(config.mdc.unwrap().gates.len(), 1);
}

#[test]
fn a_gate_without_an_engine_needs_no_authentication_and_leads_to_a_collector_elsewhere() {
    let config = parsed(GATE);
    assert_eq!(config.warnings.count(), 0, "{}", config.warnings);
    assert!(config.authentication.is_none());
    let collector = config.collector.as_ref().unwrap();
    assert_eq!(collector.place, CollectorPlace::Elsewhere);
    assert_eq!(collector.public_port, Some(443));
    let engine = remote(&config);
    assert_eq!(engine.name.as_str(), "edge-1");
    let clusters = |tier: &[portway::config::mdc::RemoteAddress]| {
        let names = tier.iter().map(|engine| engine.cluster.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(clusters(&engine.primary), ["nydc", "nydc"], "MDC-TOPO-2");
    assert_eq!(clusters(&engine.secondary), ["ldc"]);
    assert_eq!(engine.primary[1].address.weight, 3);
    assert_eq!(engine.timeout, Duration::from_secs(5));
    assert_eq!((engine.cache_max, engine.failover_threshold), (100_000, 1));
    assert!(matches!(engine.security, Security::Simple(_)));
}

#[test]
fn a_gate_says_where_browsers_reach_the_collector() {
    let config = parsed(&GATE.replace("elsewhere: true", "elsewhere: true, public_port: 8443"));
    assert_eq!(config.collector.unwrap().public_port, Some(8443));
}

fn remote(config: &Config) -> &RemoteEngine {
    let EngineSource::Remote(engine) = &config.engine else {
        panic!("{:?}", config.engine)
    };
    engine
}

/// The smallest configuration with a peer, and what else is to stand in `mdc`.
fn several(more: &str) -> Config {
    try_several(more).unwrap_or_else(|faults| panic!("{faults}"))
}

fn try_mdc(more: &str) -> Result<Mdc, Faults> {
    try_several(&format!("  {more}\n")).map(|config| config.mdc.unwrap())
}

fn try_several(more: &str) -> Result<Config, Faults> {
    parse_as(
        "gateway.yaml",
        &format!("{}{more}{CHANNEL}{PEERS}", begun(SIGN_IN)),
    )
}

/// A named data centre whose section `mdc` has begun.
fn begun(text: &str) -> String {
    format!("cluster_id: nydc\n{text}mdc:\n")
}

const SIGN_IN: &str = "\
listeners: [{ name: s, bind: '0.0.0.0:0', tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }]
collector: { host: login.example.com }
authentication: { users_file: users.yaml }
pools: { p: { primary: ['a:1'] } }
virtual_hosts: [{ host: app.example.com, routes: [{ path: /, access: protected, policy: [], pool: p }] }]
";
const CHANNEL: &str = "  back_channel: { bind: '0.0.0.0:5575', certificate_file: node.pem, key_file: node.key, ca_file: ca.pem }\n";
const PEERS: &str = "  peers: [{ cluster_id: ldc, primary: ['ldc1.example.com:5575'] }]\n";

const GATE: &str = "\
listeners: [{ name: s, bind: '0.0.0.0:0', tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }]
collector: { host: login.example.com, elsewhere: true }
pools: { p: { primary: ['a:1'] } }
virtual_hosts: [{ host: app.example.com, routes: [{ path: /, access: protected, policy: [], pool: p, level: 20 }] }]
engine:
  remote:
    name: edge-1
    security: simple
    primary:
      - { cluster_id: nydc, address: 'ny1.example.com:5575' }
      - { cluster_id: nydc, address: 'ny2.example.com:5575', weight: 3 }
    secondary: [{ cluster_id: ldc, address: 'ldc1.example.com:5575' }]
";

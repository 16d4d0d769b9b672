//! Settings for several data centres that are written as YAML and read again are the same settings.
//!
//! The writer below is independent of the reader: it knows the file's form from the reference only.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use portway::config::mdc::EngineSource;
use portway::config::mdc::Mdc;
use portway::config::mdc::NodeAddress;
use portway::config::mdc::Security;
use portway::config::mdc::SkewLimits;
use portway::decision::adoption::AdoptionPolicy;
use portway::decision::adoption::Anchor;
use portway::decision::adoption::Hop;
use portway::decision::adoption::OnMissing;
use portway::decision::adoption::OnSilence;
use portway::decision::adoption::Retrieval;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::parse_as;
use crate::parsed;
use crate::round_trip::duration;
use crate::round_trip::quote;
use crate::round_trip::show;
use crate::round_trip::show_address;
use crate::round_trip::with_weight;

#[derive(Clone, Debug)]
struct Settings {
    adoption: AdoptionPolicy,
    granularity: Duration,
    spans: Spans,
    skew: SkewLimits,
    limits: (usize, usize),
    channel: Channel,
    peers: Vec<PeerSettings>,
}

#[derive(Clone, Debug)]
struct Spans {
    authn_lifetime: Duration,
    partition_lease: Duration,
    min_hold: Duration,
    reservation_lapse: Duration,
    pull_interval: Duration,
}

#[derive(Clone, Debug)]
struct Channel {
    bind: SocketAddr,
    ages: [Duration; 4],
    questions_max: usize,
    circuit_failures: u32,
}

#[derive(Clone, Debug)]
struct PeerSettings {
    ports: (usize, usize),
    weight: u32,
    threshold: usize,
    password: String,
    mode: &'static str,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn what_is_written_about_several_data_centres_is_read_again(settings in settings()) {
        let text = write_settings(&settings);
        let mdc = parsed(&text).mdc.unwrap();
        prop_assert_eq!(mdc.adoption, settings.adoption);
        prop_assert_eq!(mdc.gito.as_ref().unwrap().granularity, settings.granularity);
        prop_assert_eq!(mdc.authn_lifetime, settings.spans.authn_lifetime);
        prop_assert_eq!(mdc.partition_lease, settings.spans.partition_lease);
        prop_assert_eq!(mdc.min_hold, settings.spans.min_hold);
        prop_assert_eq!(mdc.reservation_lapse, settings.spans.reservation_lapse);
        prop_assert_eq!(mdc.pull_interval, settings.spans.pull_interval);
        prop_assert_eq!(mdc.skew, settings.skew);
        let limits = (mdc.adoptions_per_peer_max, mdc.adoptions_per_address_max);
        prop_assert_eq!(limits, settings.limits);
        let channel = &mdc.back_channel;
        prop_assert_eq!(channel.bind, settings.channel.bind);
        let ages = [
            channel.connection_age_max,
            channel.keep_alive_interval,
            channel.connect_timeout,
            channel.circuit_pause,
        ];
        prop_assert_eq!(ages, settings.channel.ages);
        prop_assert_eq!(channel.questions_max, settings.channel.questions_max);
        prop_assert_eq!(channel.circuit_failures, settings.channel.circuit_failures);
        same_peers(&mdc, &settings)?;
    }

    #[test]
    fn a_remote_engine_that_is_written_is_read_again(
        primary in 1_usize..4,
        secondary in 0_usize..4,
        timeout in duration(100_000),
        cache in 1_usize..1_000_000,
        password in "[^\\pC]{8,20}",
    ) {
        let addresses = |first: usize, count: usize, cluster: &str| {
            let one = |node: &NodeAddress| {
                let address = show_address(&node.host, node.port);
                format!("{{ cluster_id: {cluster}, address: {address} }}")
            };
            let tier: Vec<String> = upstreams(first, count, 1).iter().map(one).collect();
            tier.join(", ")
        };
        let text = format!(
            "{TOP}engine:
  remote:
    name: edge-1
    security: open
    primary: [{}]
    secondary: [{}]
    failover_threshold: {primary}
    timeout: {}
    cache: {cache}
    password: {}
",
            addresses(1, primary, "nydc"),
            addresses(100, secondary, "ldc"),
            show(timeout),
            quote(&password),
        );
        let EngineSource::Remote(engine) = parsed(&text).engine else { panic!("remote") };
        prop_assert_eq!(engine.failover_threshold, primary);
        prop_assert_eq!(engine.timeout, timeout);
        prop_assert_eq!(engine.cache_max, cache);
        let secret = engine.password.unwrap();
        prop_assert_eq!(secret.expose(), password.as_bytes());
        let known = engine.primary.iter().chain(&engine.secondary);
        let read: Vec<NodeAddress> = known.map(|known| known.address.clone()).collect();
        let written = [upstreams(1, primary, 1), upstreams(100, secondary, 1)].concat();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn no_damage_to_settings_of_several_data_centres_stops_the_reader(
        settings in settings(),
        at in any::<prop::sample::Index>(),
        with in "[-:{}\\[\\]&*!|>'\"#%@`,?$ \\n\\ta-z0-9é]{0,8}",
        length in 0_usize..20,
    ) {
        let text = write_settings(&settings);
        let characters: Vec<char> = text.chars().collect();
        let start = at.index(characters.len());
        let end = (start + length).min(characters.len());
        let damaged: String = characters[..start].iter().copied()
            .chain(with.chars())
            .chain(characters[end..].iter().copied())
            .collect();
        match parse_as("gateway.yaml", &damaged) {
            Ok(config) => prop_assert_eq!(config.warnings.lines().count(), config.warnings.count()),
            Err(faults) => prop_assert!(!faults.to_string().is_empty()),
        }
    }
}

fn same_peers(mdc: &Mdc, settings: &Settings) -> Result<(), TestCaseError> {
    prop_assert_eq!(mdc.peers.len(), settings.peers.len());
    for (index, (read, written)) in mdc.peers.iter().zip(&settings.peers).enumerate() {
        let tiers = tiers(index, written);
        prop_assert_eq!(read.cluster.as_str(), format!("dc-{index}"));
        prop_assert_eq!(&read.primary, &tiers.0);
        prop_assert_eq!(&read.secondary, &tiers.1);
        prop_assert_eq!(read.failover_threshold, written.threshold);
        let password = read
            .password
            .as_ref()
            .map(|secret| secret.expose().to_vec());
        prop_assert_eq!(password, Some(written.password.clone().into_bytes()));
        let mode = match read.security {
            Security::Cert(_) => "cert",
            Security::Open => "open",
            Security::Simple(_) => "simple",
        };
        prop_assert_eq!(mode, written.mode);
    }
    Ok(())
}

fn settings() -> impl Strategy<Value = Settings> {
    // Everything that holds the others is larger than they are.
    let spans = (
        duration(60_000),
        (11_000_u64..60_000).prop_map(Duration::from_millis),
        (0_u64..900).prop_map(Duration::from_millis),
        duration(1_000_000),
        duration(10_000),
    );
    let spans = spans.prop_map(|(authn, lease, hold, lapse, pull)| Spans {
        authn_lifetime: authn,
        partition_lease: lease,
        min_hold: hold,
        reservation_lapse: lapse,
        pull_interval: pull,
    });
    let skew = (duration(100_000), 0_u64..100_000).prop_map(|(allowance, more)| SkewLimits {
        allowance,
        hard: allowance + Duration::from_millis(more),
    });
    let granularity = (0_u64..60_000).prop_map(Duration::from_millis);
    let limits = (1_usize..=100_000, 1_usize..=100_000);
    let parts = (
        adoption(),
        granularity,
        spans,
        skew,
        limits,
        channel(),
        vec(peer(), 0..15),
    );
    parts.prop_map(
        |(adoption, granularity, spans, skew, limits, channel, peers)| Settings {
            adoption,
            granularity,
            spans,
            skew,
            limits,
            channel,
            peers,
        },
    )
}

fn adoption() -> impl Strategy<Value = AdoptionPolicy> {
    let attempt = (1_000_u64..100_000).prop_map(Duration::from_millis);
    let parts = (any::<[bool; 5]>(), 0_u32..=10, attempt);
    parts.prop_map(
        |([anchor, fetch, hop, missing, silence], retries, attempt_limit)| AdoptionPolicy {
            anchor: if anchor {
                Anchor::Anchored
            } else {
                Anchor::Free
            },
            retrieval: if fetch {
                Retrieval::Fetch
            } else {
                Retrieval::Off
            },
            hop: if hop {
                Hop::Reauthenticate
            } else {
                Hop::Silent
            },
            retries,
            attempt_limit,
            on_missing: if missing {
                OnMissing::Challenge
            } else {
                OnMissing::Create
            },
            on_silence: if silence {
                OnSilence::Continue
            } else {
                OnSilence::Challenge
            },
        },
    )
}

fn channel() -> impl Strategy<Value = Channel> {
    let age = || duration(1_000_000);
    let parts = (
        (any::<std::net::IpAddr>(), 1_u16..=9_999),
        [age(), age(), age(), age()],
        1_usize..=100_000,
        1_u32..=1000,
    );
    parts.prop_map(|(bind, ages, questions_max, circuit_failures)| Channel {
        bind: bind.into(),
        ages,
        questions_max,
        circuit_failures,
    })
}

fn peer() -> impl Strategy<Value = PeerSettings> {
    let mode = prop_oneof![Just("cert"), Just("open"), Just("simple")];
    // Everything a password may hold: quotes, colons, dollars, braces, emoji.
    let parts = (
        (1_usize..4, 0_usize..3, 1_u32..1000),
        0_usize..4,
        "[^\\pC]{8,20}",
        mode,
    );
    parts.prop_map(
        |((primary, secondary, weight), threshold, password, mode)| PeerSettings {
            ports: (primary, secondary),
            weight,
            threshold: threshold.min(primary),
            password,
            mode,
        },
    )
}

/// Addresses of a peer that no other peer has.
fn tiers(index: usize, peer: &PeerSettings) -> (Vec<NodeAddress>, Vec<NodeAddress>) {
    let first = index * 10 + 1;
    let (primary, secondary) = peer.ports;
    (
        upstreams(first, primary, peer.weight),
        upstreams(first + primary, secondary, peer.weight),
    )
}

fn upstreams(first: usize, count: usize, weight: u32) -> Vec<NodeAddress> {
    let one = |place: usize| NodeAddress {
        host: if place.is_multiple_of(2) {
            "::1"
        } else {
            "peer.localhost"
        }
        .to_owned(),
        port: 10_000 + u16::try_from(place).unwrap(),
        weight,
    };
    (first..first + count).map(one).collect()
}

fn write_settings(settings: &Settings) -> String {
    let mut out = format!("cluster_id: nydc\n{TOP}mdc:\n  gito_domain: a.test\n");
    let zero_or = |span: Duration| match span {
        Duration::ZERO => "0s".to_owned(),
        span => show(span),
    };
    let spans = &settings.spans;
    for (key, value) in [
        ("gito_granularity", zero_or(settings.granularity)),
        ("authn_lifetime", show(spans.authn_lifetime)),
        ("partition_lease", show(spans.partition_lease)),
        ("min_hold", zero_or(spans.min_hold)),
        ("reservation_lapse", show(spans.reservation_lapse)),
        ("pull_interval", show(spans.pull_interval)),
    ] {
        writeln!(out, "  {key}: {value}").unwrap();
    }
    let (allowance, hard) = (show(settings.skew.allowance), show(settings.skew.hard));
    writeln!(
        out,
        "  clock_skew: {{ allowance: {allowance}, hard_limit: {hard} }}"
    )
    .unwrap();
    let (per_peer, per_address) = settings.limits;
    writeln!(
        out,
        "  limits: {{ adoptions_per_peer: {per_peer}, adoptions_per_address: {per_address} }}"
    )
    .unwrap();
    write_adoption(&mut out, &settings.adoption);
    let channel = &settings.channel;
    let [age, alive, connect, pause] = channel.ages.map(show);
    writeln!(
        out,
        "  back_channel:
    bind: '{}'
    security: cert
    allow_open: true
    certificate_file: node.pem
    key_file: node.key
    ca_file: ca.pem
    connection_max_age: {age}
    keep_alive_interval: {alive}
    connect_timeout: {connect}
    circuit_pause: {pause}
    questions_max: {}
    circuit_failures: {}",
        channel.bind, channel.questions_max, channel.circuit_failures
    )
    .unwrap();
    out.push_str("  peers:\n");
    for (index, peer) in settings.peers.iter().enumerate() {
        write_peer(&mut out, index, peer);
    }
    if settings.peers.is_empty() {
        out.push_str("    []\n");
    }
    out
}

fn write_adoption(out: &mut String, policy: &AdoptionPolicy) {
    let missing = match policy.on_missing {
        OnMissing::Challenge => "challenge",
        OnMissing::Create => "create",
    };
    writeln!(
        out,
        "  adoption:
    anchor_session: {}
    retrieve_data: {}
    reauthenticate: {}
    retrieve_retries: {}
    retrieve_timeout: {}
    on_remote_missing: {missing}
    continue_on_sync_failure: {}",
        policy.anchor == Anchor::Anchored,
        policy.retrieval == Retrieval::Fetch,
        policy.hop == Hop::Reauthenticate,
        policy.retries,
        show(policy.attempt_limit),
        policy.on_silence == OnSilence::Continue,
    )
    .unwrap();
}

fn write_peer(out: &mut String, index: usize, peer: &PeerSettings) {
    let (primary, secondary) = tiers(index, peer);
    writeln!(
        out,
        "    - cluster_id: dc-{index}
      primary: [{}]
      secondary: [{}]
      failover_threshold: {}
      password: {}
      security: {}",
        show_nodes(&primary),
        show_nodes(&secondary),
        peer.threshold,
        quote(&peer.password),
        peer.mode,
    )
    .unwrap();
}

fn show_nodes(nodes: &[NodeAddress]) -> String {
    let one = |node: &NodeAddress| with_weight(show_address(&node.host, node.port), node.weight);
    nodes.iter().map(one).collect::<Vec<_>>().join(", ")
}

const TOP: &str = "\
listeners: [{ name: s, bind: '0.0.0.0:443', tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }]
session: { idle_timeout: 1m }
pools: { p: { primary: ['a:1'] } }
virtual_hosts: [{ host: a.test, routes: [{ path: /, access: excluded, pool: p }] }]
";

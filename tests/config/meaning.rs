//! What the parts of a configuration come to mean.

use std::path::Path;
use std::time::Duration;

use http::StatusCode;
use portway::config::Config;
use portway::config::Flow;
use portway::config::PlainHttp;
use portway::config::Probe;
use portway::config::UpstreamHost;
use portway::config::UpstreamPlace;
use portway::config::Verify;
use portway::config::client_certificates::ClientMode;
use portway::crypto::bearer::BindRules;
use portway::decision::compression::Coding;
use portway::decision::error_pages::ErrorPages;
use portway::decision::error_pages::Origin;
use portway::decision::error_pages::PageStatus;
use portway::decision::forwarded::Scheme;
use portway::decision::forwarded_headers::ForwardedHeaders;
use portway::decision::path::Oddity;
use portway::decision::policy::Condition;
use portway::decision::policy::Effect;
use portway::decision::upstream::Balance;
use portway::decision::upstream::HashOf;
use portway::model::name::GroupName;
use portway::model::network::PrefixLengths;

use crate::parse_as;
use crate::parsed;

#[test]
fn the_smallest_configuration_needs_no_collector() {
    let config = open("");
    assert!(config.collector.is_none() && config.authentication.is_none());
    assert_eq!(config.threads, 4);
    assert_eq!(config.state_dir, Path::new("state"));
    assert_eq!(config.session.idle_timeout, Duration::from_mins(30));
}

#[test]
fn a_thousand_users_may_sign_in_at_once_unless_it_says_otherwise() {
    let config = parsed(&format!(
        "{SIGN_IN}
virtual_hosts: [{{ host: a.test, routes: [{{ path: /, access: excluded, pool: p }}] }}]
"
    ));
    assert!(config.authentication.unwrap().hashing_queue >= 1000);
}

#[test]
fn health_and_metrics_are_told_to_this_machine_unless_it_says_otherwise() {
    let told = |text: &str| open(text).ops.map(|at| at.to_string());
    assert_eq!(told(""), None, "nowhere");
    assert_eq!(told("ops: {}\n").as_deref(), Some("127.0.0.1:9090"));
    let other = told("ops: { bind: '[::1]:9100' }\n");
    assert_eq!(other.as_deref(), Some("[::1]:9100"));
}

#[test]
fn a_route_has_the_error_pages_of_its_virtual_host_or_its_own_w_43() {
    let text = "listeners: [{ name: http, bind: '127.0.0.1:0' }]
pools: { p: { primary: ['a:1'] } }
virtual_hosts:
  - host: a.test
    plain_http: serve
    error_pages:
      - { statuses: [404, 503], upstream_errors: replace, respond: { body: Sorry. } }
      - { statuses: [410], respond: { status: 200, body: Fine. } }
    routes:
      - { path: /a, access: excluded, pool: p }
      - { path: /b, access: excluded, pool: p, error_pages: [] }
      - { path: /c, access: excluded, pool: p,
          error_pages: [{ statuses: [404], redirect: { to: /x, status: 303 } }] }
";
    let config = parsed(text);
    let host = &config.virtual_hosts[0];
    let found = |pages: &ErrorPages, status: u16, origin| {
        let status = StatusCode::from_u16(status).unwrap();
        pages.find(status, origin).map(|page| page.status)
    };
    let pages = |place: usize| host.routes[place].error_pages.as_ref();
    for pages in [host.error_pages.as_ref(), pages(0)] {
        assert_eq!(found(pages, 503, Origin::Portway), Some(PageStatus::Kept));
        assert_eq!(found(pages, 404, Origin::Upstream), Some(PageStatus::Kept));
        assert_eq!(found(pages, 410, Origin::Portway), Some(PageStatus::Own));
        assert_eq!(found(pages, 410, Origin::Upstream), None);
    }
    assert_eq!(found(pages(1), 404, Origin::Portway), None);
    assert_eq!(found(pages(2), 404, Origin::Portway), Some(PageStatus::Own));
    assert_eq!(found(pages(2), 503, Origin::Portway), None);
}

#[test]
fn a_route_compresses_as_its_virtual_host_unless_it_says_otherwise() {
    let text = "listeners: [{ name: http, bind: '127.0.0.1:0' }]
pools: { p: { primary: ['a:1'] } }
virtual_hosts:
  - host: a.test
    plain_http: serve
    compression: { level: 7, algorithms: [br], min_size: 2KiB }
    routes:
      - { path: /a, access: excluded, pool: p }
      - { path: /b, access: excluded, pool: p, compression: off }
      - { path: /c, access: excluded, pool: p, compression: on }
  - { host: b.test, plain_http: serve, routes: [{ path: /, access: excluded, pool: p }] }
";
    let config = parsed(text);
    let routes = config.virtual_hosts.iter().flat_map(|host| &host.routes);
    let said = routes.map(|route| {
        let compression = route.compression.as_ref()?;
        Some((
            compression.level,
            compression.bytes_min,
            compression.codings.clone(),
        ))
    });
    let usual = vec![Coding::Zstd, Coding::Brotli, Coding::Gzip];
    assert_eq!(
        said.collect::<Vec<_>>(),
        [
            Some((7, 2048, vec![Coding::Brotli])),
            None,
            Some((4, 1024, usual)),
            None,
        ]
    );
}

#[test]
fn a_file_from_another_system_reads_the_same() {
    let text = "threads: 3\nlisteners: [{ name: http, bind: '127.0.0.1:0' }]
pools: { p: { primary: ['a:1'] } }
virtual_hosts: [{ host: a.test, plain_http: serve, routes: [{ path: /, access: excluded, pool: p }] }]
";
    assert_eq!(parsed(&format!("\u{feff}{text}")).threads, 3);
    assert_eq!(parsed(&text.replace('\n', "\r\n")).threads, 3);
}

#[test]
fn a_file_full_of_faults_is_reported_whole() {
    let text: String = (0..5_000)
        .map(|number| format!("k{number}: {{ a: [] }}\n"))
        .collect();
    let faults = parse_as("gateway.yaml", &text).unwrap_err();
    assert_eq!(faults.count(), 5_002);
    assert!(faults.to_string().len() > 1 << 18);
}

#[test]
fn variables_are_text_and_never_structure() {
    let config = open("trusted_proxies: ['${NONE:-10.0.0.1}', 10.1.0.0/16]");
    assert_eq!(config.trusted_proxies.len(), 2);
    let pool = config.pools.values().next().unwrap();
    assert_eq!(pool.primary[0].called(), "10.0.0.9:8080");
    let faults = parse_as("gateway.yaml", "state_dir: ${LINES}\nthreads: ${LINES}\n").unwrap_err();
    let shown = faults.to_string();
    assert!(
        shown.contains("is not a whole number from 1 to 1024"),
        "{shown}"
    );
    assert!(!shown.contains("unknown key"), "{shown}");
}

#[test]
fn an_ipv6_upstream_loses_its_brackets_and_keeps_its_port() {
    let config = pool("primary: ['[2001:db8::1]:80', { address: up.internal:81, weight: 3 }]");
    let primary = &config.pools.values().next().unwrap().primary;
    let (host, port) = ("2001:db8::1".to_owned(), 80);
    assert_eq!(primary[0].place, UpstreamPlace::Inet { host, port });
    assert_eq!((primary[1].host(), primary[1].weight), ("up.internal", 3));
}

#[test]
fn a_socket_stands_beside_addresses_and_its_path_is_as_it_is_written() {
    let longest = format!("/run/{}", "x".repeat(102));
    let config = pool(&format!(
        "primary: ['unix:/run/App:8080.sock', {{ address: 'unix:/run/two.sock', weight: 3 }}, up.internal:81]
    secondary: ['unix:{longest}']"
    ));
    let pool = config.pools.values().next().unwrap();
    let unix = |path: &str| UpstreamPlace::Unix(path.to_owned());
    assert_eq!(pool.primary[0].place, unix("/run/App:8080.sock"));
    assert_eq!(pool.primary[1].place, unix("/run/two.sock"));
    assert_eq!(pool.primary[1].weight, 3);
    assert_eq!(pool.primary[2].called(), "up.internal:81");
    assert_eq!(pool.secondary[0].place, unix(&longest));
}

#[test]
fn a_pool_balances_as_written_w_05() {
    let balance = |text: &str| {
        let config = pool(&format!("primary: [a:1]\n    balance: {text}"));
        config.pools.values().next().unwrap().balance.clone()
    };
    assert_eq!(balance("round_robin"), Balance::RoundRobin);
    assert_eq!(balance("least_connections"), Balance::LeastConnections);
    assert_eq!(balance("random_two"), Balance::RandomTwo);
    assert_eq!(balance("ip_hash"), Balance::Hash(HashOf::ClientAddress));
    assert_eq!(balance("{ hash: session }"), Balance::Hash(HashOf::Session));
    assert_eq!(
        balance("{ hash: { cookie: SID } }"),
        Balance::Hash(HashOf::Cookie("SID".to_owned()))
    );
    let header = Balance::Hash(HashOf::Header("x-tenant".parse().unwrap()));
    assert_eq!(balance("{ hash: { header: X-Tenant } }"), header);
}

#[test]
fn upstream_tls_is_verified_unless_it_says_otherwise_w_18() {
    let verify = |text: &str| {
        let config = pool(&format!("primary: [a:1]\n    scheme: https\n{text}"));
        config
            .pools
            .values()
            .next()
            .unwrap()
            .tls
            .as_ref()
            .unwrap()
            .verify
    };
    assert_eq!(verify(""), Verify::Full);
    assert_eq!(verify("    tls: { ca_file: ca.pem }"), Verify::Full);
    assert_eq!(verify("    tls: { verify: false }"), Verify::Off);
}

#[test]
fn a_pool_speaks_http_1_or_http_2_with_tls_or_without() {
    let speaks = |text: &str| {
        let config = pool(&format!("primary: [a:1]\n    {text}"));
        let pool = config.pools.values().next().unwrap();
        (pool.tls.is_some(), pool.http2.map(|terms| terms.streams))
    };
    assert_eq!(speaks(""), (false, None));
    assert_eq!(speaks("scheme: https"), (true, None));
    assert_eq!(speaks("scheme: h2"), (true, Some(100)));
    assert_eq!(speaks("scheme: h2c"), (false, Some(100)));
    let few = "scheme: h2c\n    http2: { streams: 7 }";
    assert_eq!(speaks(few), (false, Some(7)));
}

#[test]
fn a_route_that_streams_has_no_size_but_its_own() {
    let flow = |text: &str| {
        let config = route(text);
        let route = &config.virtual_hosts[0].routes[0];
        (route.flow, route.body_bytes_max)
    };
    assert_eq!(flow("streaming: false"), (Flow::Bounded, 64 << 20));
    assert_eq!(flow("streaming: true"), (Flow::Streaming, u64::MAX));
    let sized = "streaming: true, body_size: 1KiB";
    assert_eq!(flow(sized), (Flow::Streaming, 1024));
}

#[test]
fn a_health_check_asks_by_http_tcp_tls_or_grpc() {
    let probe = |text: &str| {
        let config = pool(&format!("primary: [a:1]\n    health_check: {text}"));
        config
            .pools
            .values()
            .next()
            .unwrap()
            .health_check
            .clone()
            .unwrap()
            .probe
    };
    assert_eq!(probe("{ tcp: true }"), Probe::Tcp);
    let http = Probe::Http {
        path: "/h?x=1".to_owned(),
        host: None,
        status: (204, 204),
        body: None,
    };
    assert_eq!(probe("{ http: { path: '/h?x=1', status: 204 } }"), http);
    let grpc = |service: &str| Probe::Grpc {
        service: service.to_owned(),
        host: None,
    };
    assert_eq!(probe("{ grpc: {} }"), grpc(""));
    assert_eq!(probe("{ grpc: { service: a.B } }"), grpc("a.B"));
    for (text, verify) in [
        ("{ tls: true }", Verify::Full),
        ("{ tls: { verify: false } }", Verify::Off),
    ] {
        let Probe::Tls(tls) = probe(text) else {
            panic!("{text}");
        };
        assert_eq!(tls.verify, verify);
    }
}

#[test]
fn a_route_overrides_single_time_outs_of_its_pool() {
    let config = route("timeouts: { read_idle: 5m, total: 1h }");
    let timeouts = config.virtual_hosts[0].routes[0].timeouts;
    assert_eq!(timeouts.read_idle, Duration::from_mins(5));
    assert_eq!(timeouts.total, Some(Duration::from_hours(1)));
    assert_eq!(timeouts.connect, Duration::from_secs(3));
}

#[test]
fn a_route_is_for_the_requests_that_its_match_says() {
    let config = route(
        "match: { scheme: http, query: { name: tab, in: [x, y] },
                  header: [{ name: X-A, present: true }, { name: X-B, is: b }] }",
    );
    let narrowing = config.virtual_hosts[0].routes[0].narrowing.clone().unwrap();
    assert_eq!(narrowing.scheme, Some(Scheme::Http));
    let headers = narrowing.headers.iter().map(|(name, _)| name.as_str());
    assert_eq!(headers.collect::<Vec<_>>(), ["x-a", "x-b"]);
    let (name, test) = &narrowing.query[0];
    assert!(&**name == "tab" && test.passes("y") && !test.passes("z"));
    let all = route("caching: upstream");
    assert!(all.virtual_hosts[0].routes[0].narrowing.is_none());
}

#[test]
fn a_route_lets_in_by_address_in_the_order_of_writing() {
    let rules = "addresses: [{ deny: 10.0.0.7 }, { allow: [10.0.0.0/8] }, { deny: all }]";
    let config = route(rules);
    let addresses = &config.virtual_hosts[0].routes[0].addresses;
    for (address, expected) in [
        ("10.0.0.7", false),
        ("10.0.0.8", true),
        ("192.0.2.1", false),
    ] {
        assert_eq!(
            addresses.let_in(address.parse().unwrap()),
            expected,
            "{address}"
        );
    }
}

#[test]
fn a_route_says_what_the_upstream_sees_and_what_it_tolerates_w_13() {
    for (word, expected) in [
        ("preserve", UpstreamHost::Preserved),
        ("upstream", UpstreamHost::Upstream),
        ("without_port", UpstreamHost::WithoutPort),
    ] {
        let config = route(&format!("upstream_host: {word}"));
        assert_eq!(config.virtual_hosts[0].routes[0].upstream_host, expected);
    }
    let config = route("upstream_host: in.test, tolerate: [encoded_slash], body_size: 0B");
    let route = &config.virtual_hosts[0].routes[0];
    assert_eq!(
        route.upstream_host,
        UpstreamHost::Fixed("in.test".to_owned().try_into().unwrap())
    );
    assert!(route.tolerance.allows(Oddity::EncodedSlash));
    assert!(!route.tolerance.allows(Oddity::EncodedHash));
    assert_eq!(route.body_bytes_max, 0);
}

#[test]
fn routes_tell_what_the_top_says_unless_they_name_other_headers_w_10() {
    let config = route("body_size: 0B");
    let told = |config: &Config| config.virtual_hosts[0].routes[0].forwarded_headers;
    assert_eq!(told(&config), ForwardedHeaders::ALL);
    let named = ForwardedHeaders::named("X-Real-IP").unwrap();
    assert_eq!(told(&open("forwarded_headers: [x-real-ip]")), named);
    assert_eq!(told(&open("forwarded_headers: []")), ForwardedHeaders::NONE);
    assert_eq!(told(&route("forwarded_headers: [X-Real-IP]")), named);
}

#[test]
fn a_virtual_host_on_plain_http_says_what_it_does_w_02() {
    assert_eq!(open("").virtual_hosts[0].plain_http, PlainHttp::Serve);
}

#[test]
fn a_virtual_host_asks_for_certificates_as_it_says_w_23_w_24() {
    let asks = |text: &str| {
        let listener = "listeners: [{ name: s, bind: '0.0.0.0:0', tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }]";
        let host = format!(
            "{{ host: a.test, {text} routes: [{{ path: /, access: excluded, pool: p }}] }}"
        );
        let pools = "pools: { p: { primary: ['a:1'] } }";
        let config = parsed(&format!("{listener}\n{pools}\nvirtual_hosts: [{host}]\n"));
        config.virtual_hosts[0].client_certificates.clone()
    };
    assert_eq!(asks(""), None);
    assert_eq!(asks("client_certificates: { mode: off },"), None);
    let all =
        "client_certificates: { mode: required, ca_file: ca.pem, crl_file: ca.crl, depth: 3 },";
    let all = asks(all).unwrap();
    assert_eq!((all.mode, all.depth), (ClientMode::Required, 3));
    assert!(all.ca_pem.is_some() && all.crl_pem.is_some());
    let few = asks("client_certificates: { mode: optional, ca_file: ca.pem },").unwrap();
    assert_eq!((few.mode, few.depth), (ClientMode::Optional, 1));
    assert!(few.crl_pem.is_none());
    let any = asks("client_certificates: { mode: optional_unverified },").unwrap();
    assert_eq!(any.mode, ClientMode::OptionalUnverified);
    assert!(any.ca_pem.is_none());
}

#[test]
fn identity_headers_can_be_renamed_and_switched_off() {
    let config = open("identity_headers: { user: X-User, email: null, name: false }");
    let names = config.identity_headers;
    assert_eq!(names.user.unwrap(), "x-user");
    assert_eq!(names.groups.unwrap(), "remote-groups");
    assert!(names.email.is_none() && names.name.is_none());
}

#[test]
fn applications_are_told_of_the_groups_that_their_route_or_the_top_says() {
    let groups = ["staff", "wiki-a", "b"].map(|name| GroupName::parse(name).unwrap());
    let told = |top: &str, route: &str| {
        let config = parsed(&format!(
            "{SIGN_IN}
identity_headers: {{ {top} }}
virtual_hosts:
  - {{ host: a.test, routes: [{{ path: /, access: unprotected, pool: p{route} }}] }}
"
        ));
        let only = &config.virtual_hosts[0].routes[0].only_groups;
        let told = only.of(&groups);
        let names: Vec<&str> = told.iter().map(GroupName::as_str).collect();
        names.join(" ")
    };
    assert_eq!(told("", ""), "staff wiki-a b");
    assert_eq!(told("only_groups: [staff]", ""), "staff");
    assert_eq!(
        told("only_groups: [staff]", ", only_groups: [wiki-*]"),
        "wiki-a"
    );
    assert_eq!(
        told("only_groups: [staff]", ", only_groups: ['*']"),
        "staff wiki-a b"
    );
    assert_eq!(told("only_groups: [staff]", ", only_groups: []"), "");
}

#[test]
fn what_sessions_are_bound_to_is_said_by_a_word_or_in_full() {
    let bound = |text: &str| {
        open(&format!("session: {{ bind_to: {text} }}"))
            .session
            .bind_to
    };
    assert_eq!(bound("[]"), BindRules::default());
    let words = bound("[user_agent, address]");
    assert_eq!(words.what.address, Some(PrefixLengths::USUAL));
    assert!(words.what.user_agent && words.except.is_empty());
    assert_eq!(bound("[user_agent, { address: {} }]"), words);
    let full = bound("[{ address: { ipv4_prefix: 24, ipv6_prefix: 56, except: [10.0.0.0/8] } }]");
    assert_eq!(full.what.address, PrefixLengths::new(24, 56));
    assert!(!full.what.user_agent);
    assert_eq!(full.except, ["10.0.0.0/8".parse::<ipnet::IpNet>().unwrap()]);
}

#[test]
fn rules_keep_their_order_and_nesting() {
    let config = parsed(&format!(
        "{SIGN_IN}
policies:
  p:
    - deny: {{ not: {{ address: 10.0.0.0/8 }} }}
    - allow: {{ all: [{{ group: [a, b] }}, {{ any: [signed_in, {{ level: 5 }}] }}] }}
virtual_hosts: [{{ host: a.test, routes: [{{ path: /, access: protected, policy: p, pool: p }}] }}]
"
    ));
    let rules = config.virtual_hosts[0].routes[0].policy.rules();
    assert_eq!(rules[0].effect, Effect::Deny);
    let Condition::Not(inner) = &rules[0].when else {
        panic!("{rules:?}")
    };
    assert_eq!(
        **inner,
        Condition::Address(vec!["10.0.0.0/8".parse().unwrap()])
    );
    let Condition::All(all) = &rules[1].when else {
        panic!("{rules:?}")
    };
    assert!(matches!(&all[0], Condition::Group(groups) if groups.iter().count() == 2));
    assert!(matches!(&all[1], Condition::Any(any) if any[0] == Condition::SignedIn));
}

#[test]
fn a_private_key_never_shows_in_a_fault() {
    let text = "listeners:
  - name: a
    bind: 0.0.0.0:1
    tls:
      certificates:
        - { certificate_file: a.crt, key: hunter2-hunter2 }
";
    let shown = parse_as("gateway.yaml", text).unwrap_err().to_string();
    assert!(
        shown.contains("there is no private key in PEM form"),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

const SIGN_IN: &str = "\
listeners: [{ name: s, bind: '0.0.0.0:0', tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] } }]
collector: { host: login.test }
authentication: { users_file: users.yaml }
pools: { p: { primary: ['a:1'] } }";

/// One open route on a plain listener, and what else is to be there.
fn open(more: &str) -> Config {
    parsed(&format!(
        "{more}
listeners: [{{ name: http, bind: '127.0.0.1:0' }}]
pools: {{ p: {{ primary: ['${{UPSTREAM}}'] }} }}
virtual_hosts: [{{ host: a.test, plain_http: serve, routes: [{{ path: /, access: excluded, pool: p }}] }}]
"
    ))
}

fn pool(text: &str) -> Config {
    parsed(&format!(
        "listeners: [{{ name: http, bind: '127.0.0.1:0' }}]
pools:
  p:
    {text}
virtual_hosts: [{{ host: a.test, plain_http: serve, routes: [{{ path: /, access: excluded, pool: p }}] }}]
"
    ))
}

fn route(text: &str) -> Config {
    parsed(&format!(
        "listeners: [{{ name: http, bind: '127.0.0.1:0' }}]
pools: {{ p: {{ primary: ['a:1'] }} }}
virtual_hosts: [{{ host: a.test, plain_http: serve, routes: [{{ path: /, access: excluded, pool: p, {text} }}] }}]
"
    ))
}

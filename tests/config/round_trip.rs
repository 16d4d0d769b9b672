//! Settings that are written as YAML and read again are the same settings.
//!
//! The writer below is independent of the reader: it knows the file's form from the reference only.

use std::fmt::Write;
use std::time::Duration;

use portway::config::HealthCheck;
use portway::config::Probe;
use portway::config::Timeouts;
use portway::config::Upstream;
use portway::config::UpstreamPlace;
use portway::decision::expression::Expression;
use portway::decision::policy::AttributeOwner;
use portway::decision::policy::Condition;
use portway::decision::policy::Effect;
use portway::decision::policy::Rule;
use portway::decision::text_test::TextPattern;
use portway::decision::text_test::TextTest;
use portway::decision::upstream::Balance;
use portway::decision::upstream::HashOf;
use portway::model::identity::AuthLevel;
use portway::model::name::AttributeName;
use portway::model::name::GroupName;
use portway::model::name::UserName;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::parse_as;
use crate::parsed;

#[derive(Clone, Debug)]
struct Settings {
    idle_timeout: Duration,
    body_bytes_max: u64,
    pools: Vec<PoolSettings>,
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct PoolSettings {
    balance: Balance,
    primary: Vec<Upstream>,
    secondary: Vec<Upstream>,
    max_fails: u32,
    health_check: Option<HealthCheck>,
    timeouts: Timeouts,
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(settings in settings()) {
        let text = write_settings(&settings);
        let config = parsed(&text);
        prop_assert_eq!(config.session.idle_timeout, settings.idle_timeout);
        prop_assert_eq!(config.limits.body_bytes_max, settings.body_bytes_max);
        prop_assert_eq!(config.virtual_hosts[0].routes[0].policy.rules(), settings.rules.as_slice());
        prop_assert_eq!(config.pools.len(), settings.pools.len());
        for (read, written) in config.pools.values().zip(&settings.pools) {
            prop_assert_eq!(&read.balance, &written.balance);
            prop_assert_eq!(&read.primary, &written.primary);
            prop_assert_eq!(&read.secondary, &written.secondary);
            prop_assert_eq!(read.max_fails, written.max_fails);
            prop_assert_eq!(&read.health_check, &written.health_check);
            prop_assert_eq!(&read.timeouts, &written.timeouts);
        }
    }

    #[test]
    fn no_text_stops_the_reader(text in "[\\PC\\n\\t\\x00]{0,200}") {
        if let Err(faults) = parse_as("gateway.yaml", &text) {
            prop_assert!(faults.count() > 0);
            prop_assert!(!faults.to_string().is_empty());
        }
    }

    #[test]
    fn no_damage_to_a_valid_file_stops_the_reader(
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
        if let Err(faults) = parse_as("gateway.yaml", &damaged) {
            prop_assert!(!faults.to_string().is_empty());
        }
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let pools = vec(pool(), 1..4);
    (duration(60_000), any::<u32>(), pools, vec(rule(), 0..5)).prop_map(
        |(idle_timeout, bytes, pools, rules)| Settings {
            idle_timeout,
            body_bytes_max: u64::from(bytes),
            pools,
            rules,
        },
    )
}

fn pool() -> impl Strategy<Value = PoolSettings> {
    let parts = (
        balance(),
        vec(upstream(), 1..4),
        vec(upstream(), 0..3),
        0_u32..1000,
        check(),
        timeouts(),
    );
    parts.prop_map(
        |(balance, primary, secondary, max_fails, mut health_check, timeouts)| {
            let mut all = primary.iter().chain(&secondary);
            if let Some(check) = health_check
                .as_mut()
                .filter(|_| all.any(Upstream::is_socket))
            {
                check.port = None;
            }
            PoolSettings {
                balance,
                primary,
                secondary,
                max_fails,
                health_check,
                timeouts,
            }
        },
    )
}

fn balance() -> impl Strategy<Value = Balance> {
    prop_oneof![
        Just(Balance::RoundRobin),
        Just(Balance::LeastConnections),
        Just(Balance::RandomTwo),
        Just(Balance::Hash(HashOf::ClientAddress)),
        Just(Balance::Hash(HashOf::Session)),
        "[A-Za-z0-9_.-]{1,12}".prop_map(|name| Balance::Hash(HashOf::Cookie(name))),
        "[a-z][a-z0-9-]{0,10}"
            .prop_map(|name| Balance::Hash(HashOf::Header(name.parse().unwrap()))),
    ]
}

fn upstream() -> impl Strategy<Value = Upstream> {
    let host = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string()),
        "[a-z][a-z0-9]{0,8}(\\.[a-z][a-z0-9]{0,8}){0,2}",
    ];
    let inet = (host, 1_u16..).prop_map(|(host, port)| UpstreamPlace::Inet { host, port });
    let service = "_[a-z]{1,8}\\._tcp\\.[a-z]{1,8}".prop_map(UpstreamPlace::Service);
    let unix = "(/[a-zA-Z0-9$:'\"# -]{1,12}){1,3}".prop_map(UpstreamPlace::Unix);
    (prop_oneof![inet, service, unix], 1_u32..=1000)
        .prop_map(|(place, weight)| Upstream { place, weight })
}

/// What bodies have to match.
const BODY: &str = "\"up\"|[a-f]$";

fn check() -> impl Strategy<Value = Option<HealthCheck>> {
    let body = option::of(Just(TextPattern::anywhere(BODY).unwrap()));
    let http = ("/[a-z0-9/?=&]{0,12}", 100_u16..=599, 0_u16..100, body).prop_map(
        |(path, low, more, body)| Probe::Http {
            path,
            host: None,
            status: (low, (low + more).min(599)),
            body,
        },
    );
    let grpc = "[a-zA-Z][a-zA-Z0-9.]{0,12}".prop_map(|service| Probe::Grpc {
        service,
        host: None,
    });
    let probe = prop_oneof![Just(Probe::Tcp), http, grpc];
    let parts = (
        (probe, option::of(1_u16..)),
        duration(1000),
        duration(1000),
        1_u32..1000,
        1_u32..1000,
    );
    let check = parts.prop_map(
        |((probe, port), timeout, more, healthy_after, unhealthy_after)| HealthCheck {
            probe,
            port,
            interval: timeout + more,
            timeout,
            healthy_after,
            unhealthy_after,
        },
    );
    option::of(check)
}

fn timeouts() -> impl Strategy<Value = Timeouts> {
    let any = || duration(100_000_000);
    (any(), any(), any(), any(), option::of(any())).prop_map(
        |(connect, first_byte, read_idle, write_idle, total)| Timeouts {
            connect,
            first_byte,
            read_idle,
            write_idle,
            total,
        },
    )
}

pub(crate) fn duration(milliseconds_max: u64) -> impl Strategy<Value = Duration> {
    (1..=milliseconds_max).prop_map(Duration::from_millis)
}

fn rule() -> impl Strategy<Value = Rule> {
    let effect = prop_oneof![Just(Effect::Allow), Just(Effect::Deny)];
    (effect, condition()).prop_map(|(effect, when)| Rule { effect, when })
}

fn condition() -> impl Strategy<Value = Condition> {
    // Everything a name may hold: quotes, colons, dollars, braces, emoji.
    let name = || "[^\\pC]{1,12}";
    let user = vec(
        name().prop_map(|name| UserName::parse(&name).unwrap()),
        1..3,
    );
    let group = vec(
        name().prop_map(|name| GroupName::parse(&name).unwrap()),
        1..3,
    );
    let address = vec((any::<std::net::IpAddr>(), 0_u8..=32), 1..3).prop_map(|networks| {
        let network = |(address, length)| ipnet::IpNet::new(address, length).unwrap().trunc();
        Condition::Address(networks.into_iter().map(network).collect())
    });
    let method = vec(
        "[A-Z]{1,2}[A-Z-]{1,8}Q".prop_map(|name| name.parse().unwrap()),
        1..3,
    );
    let leaf = prop_oneof![
        Just(Condition::SignedIn),
        user.prop_map(|users| Condition::User(users.into())),
        group.prop_map(|groups| Condition::Group(groups.into())),
        method.prop_map(Condition::Method),
        address,
        (0_u8..=99).prop_map(|level| Condition::Level(AuthLevel::new(level).unwrap())),
    ];
    let leaf = prop_oneof![leaf, tested()];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(Condition::All),
            vec(inner.clone(), 1..3).prop_map(Condition::Any),
            inner.prop_map(|one| Condition::Not(Box::new(one))),
        ]
    })
}

/// Conditions with a test of a text, and those that are compiled.
fn tested() -> impl Strategy<Value = Condition> {
    let text = || "[^\\pC]{1,12}".prop_map(String::into_boxed_str);
    let test = || {
        prop_oneof![
            text().prop_map(TextTest::Contains),
            text().prop_map(TextTest::EndsWith),
            text().prop_map(TextTest::StartsWith),
            vec(text(), 1..12).prop_map(|texts| TextTest::In(texts.into())),
            Just(TextTest::Present),
            Just(TextTest::Matches(TextPattern::whole("a+|[b-d]$").unwrap())),
        ]
    };
    let owner = prop_oneof![Just(AttributeOwner::Session), Just(AttributeOwner::User)];
    let attribute = (owner, "[a-z_.-]{1,12}", test());
    prop_oneof![
        attribute.prop_map(|(owner, name, test)| {
            Condition::Attribute(owner, AttributeName::parse(&name).unwrap(), test)
        }),
        ("q[a-z]{1,8}", test())
            .prop_map(|(name, test)| Condition::Header(name.parse().unwrap(), test)),
        (text(), test()).prop_map(|(name, test)| Condition::Query(name, test)),
        Just(Condition::When(
            Expression::compile("user.id == 'a' && has(user.email)").unwrap()
        )),
    ]
}

fn write_settings(settings: &Settings) -> String {
    let mut out = String::from(
        "listeners:
  - name: s
    bind: 0.0.0.0:443
    tls: { certificates: [{ certificate_file: a.crt, key_file: a.key }] }
collector: { host: login.test }
authentication: { users_file: users.yaml }
virtual_hosts:
  - host: a.test
    routes: [{ path: /, access: protected, policy: p, pool: pool-0 }]
",
    );
    let idle = show(settings.idle_timeout);
    writeln!(out, "session: {{ idle_timeout: {idle}, lifetime: 2m }}").unwrap();
    writeln!(out, "limits: {{ body_size: {}B }}", settings.body_bytes_max).unwrap();
    out.push_str("pools:\n");
    for (index, pool) in settings.pools.iter().enumerate() {
        write_pool(&mut out, index, pool);
    }
    let rules: Vec<String> = settings.rules.iter().map(show_rule).collect();
    writeln!(out, "policies: {{ p: [{}] }}", rules.join(", ")).unwrap();
    out
}

fn write_pool(out: &mut String, index: usize, pool: &PoolSettings) {
    writeln!(
        out,
        "  pool-{index}:\n    balance: {}",
        show_balance(&pool.balance)
    )
    .unwrap();
    writeln!(out, "    primary: [{}]", show_tier(&pool.primary)).unwrap();
    writeln!(out, "    secondary: [{}]", show_tier(&pool.secondary)).unwrap();
    writeln!(out, "    max_fails: {}", pool.max_fails).unwrap();
    if let Some(check) = &pool.health_check {
        let probe = match &check.probe {
            Probe::Tcp => "tcp: true".to_owned(),
            Probe::Http {
                path,
                status: (low, high),
                body,
                ..
            } => {
                let body = body.as_ref();
                let body = body.map(|_| format!(", body: {}", quote(BODY)));
                let body = body.unwrap_or_default();
                format!(
                    "http: {{ path: {}, status: {low}-{high}{body} }}",
                    quote(path)
                )
            }
            Probe::Grpc { service, .. } => format!("grpc: {{ service: {} }}", quote(service)),
            Probe::Tls(_) => panic!("none is made"),
        };
        let port = check.port.map(|port| format!("port: {port}, "));
        let port = port.unwrap_or_default();
        let (interval, timeout) = (show(check.interval), show(check.timeout));
        writeln!(
            out,
            "    health_check: {{ {probe}, {port}interval: {interval}, timeout: {timeout}, healthy_after: {}, unhealthy_after: {} }}",
            check.healthy_after, check.unhealthy_after
        )
        .unwrap();
    }
    let timeouts = &pool.timeouts;
    writeln!(
        out,
        "    timeouts: {{ connect: {}, first_byte: {}, read_idle: {}, write_idle: {}, total: {} }}",
        show(timeouts.connect),
        show(timeouts.first_byte),
        show(timeouts.read_idle),
        show(timeouts.write_idle),
        timeouts.total.map_or_else(|| "none".to_owned(), show),
    )
    .unwrap();
}

fn show_balance(balance: &Balance) -> String {
    match balance {
        Balance::RoundRobin => "round_robin".to_owned(),
        Balance::LeastConnections => "least_connections".to_owned(),
        Balance::RandomTwo => "random_two".to_owned(),
        Balance::Hash(HashOf::ClientAddress) => "ip_hash".to_owned(),
        Balance::Hash(HashOf::Cookie(name)) => format!("{{ hash: {{ cookie: {} }} }}", quote(name)),
        Balance::Hash(HashOf::Header(name)) => {
            format!("{{ hash: {{ header: {} }} }}", quote(name.as_str()))
        }
        Balance::Hash(HashOf::Session) => "{ hash: session }".to_owned(),
    }
}

fn show_tier(tier: &[Upstream]) -> String {
    let one = |upstream: &Upstream| {
        let weight = upstream.weight;
        let address = match &upstream.place {
            UpstreamPlace::Inet { host, port } => show_address(host, *port),
            UpstreamPlace::Service(name) => {
                return format!("{{ service: {}, weight: {weight} }}", quote(name));
            }
            UpstreamPlace::Unix(path) => quote(&format!("unix:{path}")),
        };
        with_weight(address, weight)
    };
    tier.iter().map(one).collect::<Vec<_>>().join(", ")
}

pub(crate) fn show_address(host: &str, port: u16) -> String {
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    quote(&format!("{host}:{port}"))
}

pub(crate) fn with_weight(address: String, weight: u32) -> String {
    match weight {
        1 => address,
        weight => format!("{{ address: {address}, weight: {weight} }}"),
    }
}

fn show_rule(rule: &Rule) -> String {
    let effect = match rule.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    format!("{{ {effect}: {} }}", show_condition(&rule.when))
}

fn show_condition(condition: &Condition) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    let quoted = |items: Vec<String>| list(items.iter().map(|item| quote(item)).collect());
    let conditions = |inner: &[Condition]| list(inner.iter().map(show_condition).collect());
    match condition {
        Condition::Attribute(owner, name, test) => {
            let owner = match owner {
                AttributeOwner::Session => "session",
                AttributeOwner::User => "user",
            };
            let test = show_test(test);
            let name = quote(name.as_str());
            format!("{{ attribute: {{ name: {name}, of: {owner}, {test} }} }}")
        }
        Condition::Header(name, test) => {
            format!(
                "{{ header: {{ name: {}, {} }} }}",
                quote(name.as_str()),
                show_test(test)
            )
        }
        Condition::Query(name, test) => {
            format!(
                "{{ query: {{ name: {}, {} }} }}",
                quote(name),
                show_test(test)
            )
        }
        Condition::Time(window) => panic!("{window:?}"),
        Condition::When(expression) => format!("{{ when: {} }}", quote(expression.as_str())),
        Condition::Address(networks) => {
            let networks = networks.iter().map(ToString::to_string).collect();
            format!("{{ address: {} }}", quoted(networks))
        }
        Condition::All(inner) => format!("{{ all: {} }}", conditions(inner)),
        Condition::Any(inner) => format!("{{ any: {} }}", conditions(inner)),
        Condition::Group(names) => {
            format!(
                "{{ group: {} }}",
                quoted(names.iter().map(ToString::to_string).collect())
            )
        }
        Condition::Level(level) => format!("{{ level: {} }}", level.get()),
        Condition::Method(methods) => {
            format!(
                "{{ method: {} }}",
                quoted(methods.iter().map(ToString::to_string).collect())
            )
        }
        Condition::Not(inner) => format!("{{ not: {} }}", show_condition(inner)),
        Condition::SignedIn => "signed_in".to_owned(),
        Condition::User(names) => {
            format!(
                "{{ user: {} }}",
                quoted(names.iter().map(ToString::to_string).collect())
            )
        }
    }
}

fn show_test(test: &TextTest) -> String {
    match test {
        TextTest::Contains(text) => format!("contains: {}", quote(text)),
        TextTest::EndsWith(text) => format!("ends_with: {}", quote(text)),
        TextTest::In(texts) => {
            let texts: Vec<String> = texts.iter().map(|text| quote(text)).collect();
            format!("in: [{}]", texts.join(", "))
        }
        TextTest::Matches(pattern) => format!("matches: {}", quote(pattern.as_str())),
        TextTest::Present => "present: true".to_owned(),
        TextTest::StartsWith(text) => format!("starts_with: {}", quote(text)),
    }
}

/// In the largest unit that says it exactly, so that every unit is read too.
pub(crate) fn show(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
        (1, "ms"),
    ];
    let (factor, unit) = units
        .into_iter()
        .find(|(factor, _)| milliseconds.is_multiple_of(*factor))
        .unwrap();
    format!("{}{unit}", milliseconds / factor)
}

/// Single quotes take everything but themselves; a dollar sign would begin a variable.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('$', "$$"))
}

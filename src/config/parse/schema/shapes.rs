//! The sections of the configuration file, top to bottom, but for those of several data centres.

use crate::config::parse;
use crate::config::parse::engine;
use crate::config::parse::health;
use crate::config::parse::host;
use crate::config::parse::listener;
use crate::config::parse::ops;
use crate::config::parse::policy;
use crate::config::parse::pool;
use crate::config::parse::route;
use crate::config::parse::schema::Key;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::centres::MDC;
use crate::config::parse::schema::shapes::centres::REMOTE;
use crate::config::parse::settings;
use crate::config::problem::CONDITIONS;
use crate::decision::path::Oddity;

mod centres;

const fn section(keys: &'static [Key], known: &'static [&'static str]) -> Shape {
    Shape {
        name: "",
        keys,
        known,
    }
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key::new(name, kind)
}

/// The whole file.
pub(super) static ROOT: Shape = section(
    &[
        key("include", Kind::Some(&Kind::Text)),
        key("cluster_id", Kind::Text).default("local"),
        key("deployment", Kind::Text).default("main"),
        key("state_dir", Kind::Text).default("state"),
        key("key_ring_file", Kind::Text),
        key("threads", Kind::Number(1, 1024)),
        key("trusted_proxies", Kind::List(&Kind::Text)).default("[]"),
        key("listeners", Kind::List(&Kind::Section(&LISTENER))).required(),
        key("ops", Kind::Section(&OPS)),
        key("collector", Kind::Section(&COLLECTOR)),
        key("authentication", Kind::Section(&AUTHENTICATION)),
        key("session", Kind::Section(&SESSION))
            .implied()
            .unless("engine", ""),
        key(
            "engine",
            Kind::AnyOf(&[Kind::Words(&["embedded"]), Kind::Section(&ENGINE)]),
        )
        .default("embedded"),
        key("mdc", Kind::Section(&MDC)),
        key("identity_headers", Kind::Section(&IDENTITY_HEADERS)).implied(),
        key("limits", Kind::Section(&LIMITS)).implied(),
        key("pools", Kind::Named(&Kind::Section(&POOL))),
        key("policies", Kind::Named(&Kind::List(&Kind::Section(&RULE)))),
        key("virtual_hosts", Kind::List(&Kind::Section(&VIRTUAL_HOST))).required(),
    ],
    parse::KEYS,
);

static LISTENER: Shape = section(
    &[
        key("name", Kind::Text).required(),
        key("bind", Kind::Text).required(),
        key("tls", Kind::Section(&LISTENER_TLS)),
    ],
    listener::KEYS,
);

static LISTENER_TLS: Shape = section(
    &[
        key("certificates", Kind::List(&Kind::Section(&CERTIFICATE))).required(),
        key("http2", Kind::Switch).default("true"),
    ],
    listener::TLS_KEYS,
);

static CERTIFICATE: Shape = section(
    &[
        key("certificate", Kind::Text).about("The chain in PEM form, in place of a file."),
        key("certificate_file", Kind::Text),
        key("key", Kind::Secret).about("The private key in PEM form, in place of a file."),
        key("key_file", Kind::Text),
    ],
    listener::CERTIFICATE_KEYS,
);

static OPS: Shape = section(
    &[key("bind", Kind::Text)
        .default("127.0.0.1:9090")
        .about("Address and port.")],
    ops::KEYS,
);

static COLLECTOR: Shape = section(
    &[
        key("host", Kind::Text).required(),
        key("public_port", Kind::Number(1, 65_535)),
        key("title", Kind::Text)
            .default("Sign in")
            .unless("elsewhere", "true"),
        key("elsewhere", Kind::Switch).default("false"),
    ],
    settings::COLLECTOR_KEYS,
);

static AUTHENTICATION: Shape = section(
    &[
        key("store", Kind::Text).default("local"),
        key("users_file", Kind::Text).required(),
        key("level", Kind::Number(1, 99)).default("10"),
        key("hashing_threads", Kind::Number(1, 64)).default("2"),
        key("hashing_queue", Kind::Number(1, 100_000)).default("64"),
    ],
    settings::AUTHENTICATION_KEYS,
);

static SESSION: Shape = section(
    &[
        key("idle_timeout", Kind::Duration).default("30m"),
        key("lifetime", Kind::Duration).default("24h"),
        key("per_user_max", Kind::Number(1, 10_000)).default("8"),
        key("store", Kind::Words(&["disk", "memory"])).default("disk"),
    ],
    settings::SESSION_KEYS,
);

static ENGINE: Shape = section(
    &[key("remote", Kind::Section(&REMOTE))
        .required()
        .about("The engine nodes that this gate uses.")],
    engine::KEYS,
);

const HEADER: Kind = Kind::AnyOf(&[Kind::Text, Kind::Nothing]);

static IDENTITY_HEADERS: Shape = section(
    &[
        key("user", HEADER).default("Remote-User"),
        key("groups", HEADER).default("Remote-Groups"),
        key("email", HEADER).default("Remote-Email"),
        key("name", HEADER).default("Remote-Name"),
    ],
    settings::IDENTITY_HEADER_KEYS,
);

static LIMITS: Shape = section(
    &[
        key("handshake_timeout", Kind::Duration).default("10s"),
        key("header_timeout", Kind::Duration).default("10s"),
        key("header_size", Kind::Size).default("32KiB"),
        key("body_size", Kind::Size).default("64MiB"),
        key("body_idle_timeout", Kind::Duration).default("30s"),
        key("body_rate_min", Kind::Size).default("64B"),
        key("send_timeout", Kind::Duration).default("60s"),
        key("keep_alive_timeout", Kind::Duration).default("75s"),
        key("connections", Kind::Number(1, 10_000_000)).default("10000"),
        key("connections_per_address", Kind::Number(1, 10_000_000)).default("1000"),
        key("drain_timeout", Kind::Duration).default("30s"),
    ],
    settings::LIMIT_KEYS,
);

static POOL: Shape = section(
    &[
        key("scheme", Kind::Words(&["http", "https"])).default("http"),
        key("tls", Kind::Section(&UPSTREAM_TLS)),
        key("balance", BALANCE).default("round_robin"),
        key("primary", Kind::List(&UPSTREAM)).required(),
        key("secondary", Kind::List(&UPSTREAM)).default("[]"),
        key("failover_threshold", Kind::Number(0, 10_000))
            .default("1")
            .about("The secondaries join below this many healthy primaries."),
        key("max_fails", Kind::Number(0, 1_000_000)).default("1"),
        key("fail_timeout", Kind::Duration)
            .default("10s")
            .about("The span that `max_fails` counts in, and how long an upstream stays out."),
        key("health_check", Kind::Section(&HEALTH_CHECK)),
        key("timeouts", Kind::Section(&POOL_TIMEOUTS))
            .implied()
            .about("How long an upstream may take."),
        key("connect_retries", Kind::Number(0, 100)).default("3"),
    ],
    pool::KEYS,
);

static UPSTREAM_TLS: Shape = section(
    &[
        key("server_name", Kind::Text),
        key("ca", Kind::Text).about("The authorities to trust in PEM form, in place of a file."),
        key("ca_file", Kind::Text),
        key("verify", Kind::Switch).default("true"),
    ],
    pool::TLS_KEYS,
);

const BALANCE: Kind = Kind::AnyOf(&[
    Kind::Words(&["round_robin", "least_connections", "ip_hash"]),
    Kind::Section(&BALANCE_HASH),
]);

static BALANCE_HASH: Shape = section(
    &[key(
        "hash",
        Kind::AnyOf(&[Kind::Words(&["session"]), Kind::Section(&HASH)]),
    )
    .required()
    .about("What keeps a client on one upstream.")],
    &["hash"],
);

static HASH: Shape = section(
    &[
        key("cookie", Kind::Text).about("The value of this cookie."),
        key("header", Kind::Text).about("The value of this header."),
    ],
    pool::HASH_KEYS,
);

/// The address of an upstream, alone or with its weight.
const UPSTREAM: Kind = Kind::AnyOf(&[Kind::Text, Kind::Section(&WEIGHTED)]);

static WEIGHTED: Shape = section(
    &[
        key("address", Kind::Text)
            .required()
            .about("Host and port."),
        key("weight", Kind::Number(1, 1000))
            .default("1")
            .about("The share of the requests."),
    ],
    pool::UPSTREAM_KEYS,
);

static HEALTH_CHECK: Shape = section(
    &[
        key("http", Kind::Section(&PROBE)).about("Asks by a GET."),
        key("tcp", Kind::Words(&["true"])).about("Asks by a connection alone."),
        key("interval", Kind::Duration).default("5s"),
        key("timeout", Kind::Duration).default("2s"),
        key("healthy_after", Kind::Number(1, 1000)).default("2"),
        key("unhealthy_after", Kind::Number(1, 1000)).default("3"),
    ],
    health::HEALTH_CHECK_KEYS,
);

static PROBE: Shape = section(
    &[
        key("path", Kind::Text)
            .required()
            .about("The path and query."),
        key("host", Kind::Text),
        key("status", Kind::Text).default("200-399"),
    ],
    health::PROBE_KEYS,
);

static POOL_TIMEOUTS: Shape = section(
    &[
        key("connect", Kind::Duration).default("3s"),
        key("first_byte", Kind::Duration).default("60s"),
        key("read_idle", Kind::Duration).default("60s"),
        key("write_idle", Kind::Duration).default("60s"),
        key("total", TOTAL).default("none"),
    ],
    health::TIMEOUT_KEYS,
);

const TOTAL: Kind = Kind::AnyOf(&[Kind::Words(&["none"]), Kind::Duration]);

/// Those of a route have the pool's for defaults.
static ROUTE_TIMEOUTS: Shape = section(
    &[
        key("connect", Kind::Duration).about("To be connected, TLS included."),
        key("first_byte", Kind::Duration).about("To the first byte of the answer."),
        key("read_idle", Kind::Duration).about("Between two reads."),
        key("write_idle", Kind::Duration).about("Between two writes."),
        key("total", TOTAL).about("For everything."),
    ],
    health::TIMEOUT_KEYS,
);

static RULE: Shape = section(
    &[
        key("allow", Kind::AnyOf(&CONDITION)).about("Lets pass whoever this holds for."),
        key("deny", Kind::AnyOf(&CONDITION)).about("Turns away whoever this holds for."),
    ],
    policy::EFFECTS,
);

/// What a rule can ask; conditions stand in one another.
static CONDITION: [Kind; 2] = [Kind::Words(&["signed_in"]), Kind::Section(&CONDITION_KEYS)];

static CONDITION_KEYS: Shape = Shape {
    name: "condition",
    keys: &[
        key("address", Kind::Some(&Kind::Text)).about("The client's address is in one of these."),
        key("all", Kind::List(&Kind::AnyOf(&CONDITION))).about("Each of these holds."),
        key("any", Kind::List(&Kind::AnyOf(&CONDITION))).about("One of these holds."),
        key("group", Kind::Some(&Kind::Text)).about("The user is in one of these groups."),
        key("level", Kind::Number(0, 99)).about("The authentication level is at least this."),
        key("method", Kind::Some(&Kind::Text)).about("The method is one of these."),
        key("not", Kind::AnyOf(&CONDITION)).about("This does not hold."),
        key("signed_in", Kind::Words(&["true"])).about("Somebody is signed in."),
        key("user", Kind::Some(&Kind::Text)).about("The user is one of these."),
    ],
    known: CONDITIONS,
};

static VIRTUAL_HOST: Shape = section(
    &[
        key("host", Kind::Text).about("A single name, in place of `hosts`."),
        key("hosts", Kind::List(&Kind::Text)),
        key("listeners", Kind::List(&Kind::Text)),
        key("plain_http", Kind::Words(&["redirect", "refuse", "serve"])).default("redirect"),
        key("public_port", Kind::Number(1, 65_535)),
        key("routes", Kind::List(&Kind::Section(&ROUTE))).required(),
    ],
    host::KEYS,
);

static ROUTE: Shape = section(
    &[
        key("path", Kind::Text),
        key("exact", Kind::Text).about("This path alone."),
        key("glob", Kind::Text).about("A pattern with `*` and `**`."),
        key("regex", Kind::Text).about("A regular expression."),
        key("methods", Kind::List(&Kind::Text)),
        key(
            "access",
            Kind::Words(&["protected", "unprotected", "excluded"]),
        )
        .required(),
        key(
            "policy",
            Kind::AnyOf(&[Kind::Text, Kind::List(&Kind::Section(&RULE))]),
        ),
        key("level", Kind::Number(0, 99)).default("0").unwritten(),
        key("pool", Kind::Text).about("The pool for all requests, in place of `pools`."),
        key("pools", Kind::Section(&BOTH_POOLS)),
        key("body_size", Kind::Size),
        key("timeouts", Kind::Section(&ROUTE_TIMEOUTS)),
        key("upstream_host", Kind::Text).default("preserve"),
        key("tolerate", Kind::List(&Kind::Words(&Oddity::NAMES))).default("[]"),
        key("preflight", Kind::Words(&["forward", "refuse"]))
            .default("refuse")
            .unwritten(),
        key("caching", Kind::Words(&["no_store", "upstream"])).default("no_store"),
    ],
    route::KEYS,
);

static BOTH_POOLS: Shape = section(
    &[
        key("http", Kind::Text)
            .required()
            .about("The pool for requests from plain listeners."),
        key("https", Kind::Text)
            .required()
            .about("The pool for requests from TLS listeners."),
    ],
    route::BOTH_POOLS,
);

//! The shape of pools: upstreams, TLS to them, health checks and time-outs.

use crate::config::parse::health;
use crate::config::parse::pool;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::forwarding::RETRY_BUDGET;
use crate::config::parse::schema::shapes::key;
use crate::config::parse::schema::shapes::section;
use crate::config::parse::tier;

pub(super) static POOL: Shape = section(
    &[
        key("scheme", Kind::Words(&["http", "https", "h2", "h2c"])).default("http"),
        key("tls", Kind::Section(&UPSTREAM_TLS)),
        key("http2", Kind::Section(&HTTP2)).about("HTTP/2, only with `scheme: h2` or `h2c`."),
        key("balance", BALANCE).default("round_robin"),
        key("primary", Kind::List(&MEMBER)).required(),
        key("secondary", Kind::List(&MEMBER)).default("[]"),
        key("failover_threshold", Kind::Number(0, 10_000))
            .default("1")
            .about("The secondaries join below this many healthy primaries."),
        key("max_fails", Kind::Number(0, 1_000_000)).default("1"),
        key("fail_timeout", Kind::Duration)
            .default("10s")
            .about("The span that `max_fails` counts in, and how long an upstream stays out."),
        key("outliers", Kind::Section(&OUTLIERS)),
        key("proxy_protocol", Kind::Words(&["v1", "v2"])),
        key("slow_start", TOTAL).default("none"),
        key("health_check", Kind::Section(&HEALTH_CHECK)),
        key("timeouts", Kind::Section(&POOL_TIMEOUTS))
            .implied()
            .about("How long an upstream may take."),
        key("connect_retries", Kind::Number(0, 100)).default("3"),
        key("retry_budget", Kind::Section(&RETRY_BUDGET)).implied(),
    ],
    pool::KEYS,
);

static UPSTREAM_TLS: Shape = section(
    &[
        key("server_name", Kind::Text),
        key("ca", Kind::Text).about("The authorities to trust in PEM form, in place of a file."),
        key("ca_file", Kind::Text),
        key("verify", Kind::Switch).default("true"),
        key("certificate", Kind::Text).about("The chain in PEM form, in place of a file."),
        key("certificate_file", Kind::Text),
        key("key", Kind::Secret).about("The private key in PEM form, in place of a file."),
        key("key_file", Kind::Text).about("Its private key."),
    ],
    pool::TLS_KEYS,
);

static HTTP2: Shape = section(
    &[key("streams", Kind::Number(1, 1000))
        .default("100")
        .about("Requests that share a connection; an upstream may allow fewer.")],
    pool::HTTP2_KEYS,
);

const BALANCE: Kind = Kind::AnyOf(&[
    Kind::Words(&["round_robin", "least_connections", "random_two", "ip_hash"]),
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

const MEMBER: Kind = Kind::AnyOf(&[Kind::Text, Kind::Section(&MEMBER_PARTS)]);

static MEMBER_PARTS: Shape = section(
    &[
        key("address", Kind::Text).about("Host and port, or `unix:` and the path of a socket."),
        key("service", Kind::Text).about("In place of an address: a service, by its SRV records."),
        key("weight", Kind::Number(1, 1000))
            .default("1")
            .about("The share of the requests."),
    ],
    tier::MEMBER_KEYS,
);

/// The address of an upstream, alone or with its weight.
pub(super) const UPSTREAM: Kind = Kind::AnyOf(&[Kind::Text, Kind::Section(&WEIGHTED)]);

static WEIGHTED: Shape = section(
    &[
        key("address", Kind::Text)
            .required()
            .about("Host and port."),
        key("weight", Kind::Number(1, 1000))
            .default("1")
            .about("The share of the requests."),
    ],
    tier::NODE_KEYS,
);

static OUTLIERS: Shape = section(
    &[
        key("consecutive_5xx", Kind::Number(0, 100_000))
            .default("5")
            .about("Answers of 500 to 599, or failures, in a row; 0 never ejects for them."),
        key("consecutive_failures", Kind::Number(0, 100_000))
            .default("5")
            .about("Failures in a row: not connected, broken off, late; 0 never ejects for them."),
        key("ejection", Kind::Duration)
            .default("30s")
            .about("The first ejection; the second in a row is twice as long, and so on."),
        key("ejection_max", Kind::Duration)
            .default("5m")
            .about("The longest."),
        key("interval", Kind::Duration)
            .default("10s")
            .about("For each such span without an ejection the next one is a step shorter."),
        key("ejected_percent_max", Kind::Number(1, 100))
            .default("10")
            .about("Of a hundred members so many at a time, and one in any case."),
    ],
    health::OUTLIER_KEYS,
);

static HEALTH_CHECK: Shape = section(
    &[
        key("http", Kind::Section(&PROBE)).about("Asks by a GET."),
        key("tcp", Kind::Words(&["true"])).about("Asks by a connection alone."),
        key("tls", CHECK_TLS)
            .about("Asks by a TLS handshake, as the pool's `tls` says, or as is said here."),
        key("grpc", Kind::Section(&GRPC)).about("Asks by a call of grpc.health.v1.Health."),
        key("port", Kind::Number(1, 65_535))
            .about("The port to ask at; by default the upstream's."),
        key("interval", Kind::Duration).default("5s"),
        key("timeout", Kind::Duration).default("2s"),
        key("healthy_after", Kind::Number(1, 1000)).default("2"),
        key("unhealthy_after", Kind::Number(1, 1000)).default("3"),
    ],
    health::HEALTH_CHECK_KEYS,
);

const CHECK_TLS: Kind = Kind::AnyOf(&[Kind::Words(&["true"]), Kind::Section(&CHECK_TLS_PARTS)]);

static CHECK_TLS_PARTS: Shape = section(
    &[
        key("server_name", Kind::Text)
            .about("The name that the certificate carries; by default the upstream's host."),
        key("ca", Kind::Text).about("The authorities to trust in PEM form, in place of a file."),
        key("ca_file", Kind::Text)
            .about("The authorities to trust; by default those of the platform."),
        key("verify", Kind::Switch)
            .default("true")
            .about("Chain, time and name are checked; false accepts any certificate."),
        key("certificate", Kind::Text).about("The chain in PEM form, in place of a file."),
        key("certificate_file", Kind::Text)
            .about("What the check shows for itself where an upstream asks."),
        key("key", Kind::Secret).about("The private key in PEM form, in place of a file."),
        key("key_file", Kind::Text).about("Its private key."),
    ],
    pool::TLS_KEYS,
);

static GRPC: Shape = section(
    &[
        key("service", Kind::Text).about("The service to ask after; by default the whole server."),
        key("host", Kind::Text)
            .about("The authority of the call; by default the upstream's address."),
    ],
    health::GRPC_KEYS,
);

static PROBE: Shape = section(
    &[
        key("path", Kind::Text)
            .required()
            .about("The path and query."),
        key("host", Kind::Text),
        key("status", Kind::Text).default("200-399"),
        key("body", Kind::Text)
            .about("A regular expression that has to match somewhere in the first 64 KiB."),
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
pub(super) static ROUTE_TIMEOUTS: Shape = section(
    &[
        key("connect", Kind::Duration).about("To be connected, TLS included."),
        key("first_byte", Kind::Duration).about("To the first byte of the answer."),
        key("read_idle", Kind::Duration).about("Between two reads."),
        key("write_idle", Kind::Duration).about("Between two writes."),
        key("total", TOTAL).about("For everything."),
    ],
    health::TIMEOUT_KEYS,
);

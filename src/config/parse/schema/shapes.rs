//! The sections of the configuration file, top to bottom, but for those of listeners, several data centres, pools
//! and policies.

use crate::config::parse;
use crate::config::parse::binding;
use crate::config::parse::branding;
use crate::config::parse::engine;
use crate::config::parse::host;
use crate::config::parse::identity;
use crate::config::parse::keys;
use crate::config::parse::logs;
use crate::config::parse::names;
use crate::config::parse::ops;
use crate::config::parse::route;
use crate::config::parse::schema::Key;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::centres::MDC;
use crate::config::parse::schema::shapes::centres::REMOTE;
use crate::config::parse::schema::shapes::clients::ADDRESS_RULE;
use crate::config::parse::schema::shapes::clients::ALLOWANCE;
use crate::config::parse::schema::shapes::clients::CLIENT_CERTIFICATES;
use crate::config::parse::schema::shapes::clients::MAINTENANCE;
use crate::config::parse::schema::shapes::forwarding::BOTH_POOLS;
use crate::config::parse::schema::shapes::forwarding::COMPRESSION;
use crate::config::parse::schema::shapes::forwarding::ERROR_PAGES;
use crate::config::parse::schema::shapes::forwarding::FORWARDED_HEADERS;
use crate::config::parse::schema::shapes::forwarding::FORWARDED_HEADERS_DEFAULT;
use crate::config::parse::schema::shapes::forwarding::HEADER_RULES;
use crate::config::parse::schema::shapes::forwarding::REDIRECT;
use crate::config::parse::schema::shapes::forwarding::RESPOND;
use crate::config::parse::schema::shapes::forwarding::REWRITE;
use crate::config::parse::schema::shapes::listeners::LISTENER;
use crate::config::parse::schema::shapes::policies::CHALLENGE;
use crate::config::parse::schema::shapes::policies::DENIED;
use crate::config::parse::schema::shapes::policies::MATCH;
use crate::config::parse::schema::shapes::policies::POLICY;
use crate::config::parse::schema::shapes::policies::RESPONSES;
use crate::config::parse::schema::shapes::policies::RULE;
use crate::config::parse::schema::shapes::pools::POOL;
use crate::config::parse::schema::shapes::pools::ROUTE_TIMEOUTS;
use crate::config::parse::schema::shapes::ways_in::AUTHENTICATION;
use crate::config::parse::settings;
use crate::decision::path::Oddity;
use crate::decision::retry::RetryOn;

mod centres;
mod clients;
mod forwarding;
mod listeners;
mod policies;
mod pools;
mod ways_in;

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
        key("keys", Kind::Section(&KEYS)).implied(),
        key("threads", Kind::Number(1, 1024)),
        key("trusted_proxies", Kind::List(&Kind::Text)).default("[]"),
        key("listeners", Kind::List(&Kind::Section(&LISTENER))).required(),
        key("ops", Kind::Section(&OPS)),
        key("logs", Kind::Section(&LOGS)).implied(),
        key("collector", Kind::Section(&COLLECTOR)),
        key("authentication", Kind::Section(&AUTHENTICATION)),
        key("branding", Kind::Section(&BRANDING)).implied(),
        key("session", Kind::Section(&SESSION))
            .implied()
            .unless("engine", ""),
        key(
            "engine",
            Kind::AnyOf(&[Kind::Words(&["embedded"]), Kind::Section(&ENGINE)]),
        )
        .default("embedded"),
        key("mdc", Kind::Section(&MDC)),
        key("forwarded_headers", FORWARDED_HEADERS).default(FORWARDED_HEADERS_DEFAULT),
        key("identity_headers", Kind::Section(&IDENTITY_HEADERS)).implied(),
        key("limits", Kind::Section(&LIMITS)).implied(),
        key("dns", Kind::Section(&DNS)).implied(),
        key("pools", Kind::Named(&Kind::Section(&POOL))),
        key("policies", Kind::Named(&POLICY)),
        key("virtual_hosts", Kind::List(&Kind::Section(&VIRTUAL_HOST))).required(),
    ],
    parse::KEYS,
);

static KEYS: Shape = section(
    &[
        key("publish_for", Kind::Duration).default("1h"),
        key("rotate_after_uses", Kind::Number(1_000_000, 1 << 31)).default("268435456"),
        key(
            "rotate_every",
            Kind::AnyOf(&[Kind::Words(&["never"]), Kind::Duration]),
        )
        .default("90d"),
    ],
    keys::KEYS,
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
        key("title", Kind::Text),
        key("elsewhere", Kind::Switch).default("false"),
    ],
    settings::COLLECTOR_KEYS,
);

static BRANDING: Shape = section(
    &[
        key("templates_dir", Kind::Text),
        key("language", Kind::Text).default("en"),
    ],
    branding::KEYS,
);

static LOGS: Shape = section(
    &[
        key(
            "access",
            Kind::AnyOf(&[Kind::Words(&["off"]), Kind::Section(&ACCESS_LOG)]),
        )
        .default("off"),
        key(
            "audit",
            Kind::AnyOf(&[Kind::Words(&["off"]), Kind::Section(&AUDIT_LOG)]),
        ),
    ],
    logs::KEYS,
);

static ACCESS_LOG: Shape = section(
    &[
        key("format", Kind::Text).default("text"),
        key("query", Kind::Words(&["names", "omit", "values"])).default("omit"),
        key("to", Kind::Text).default("stdout"),
    ],
    logs::ACCESS_KEYS,
);

static AUDIT_LOG: Shape = section(
    &[
        key("file", Kind::Text),
        key("on_failure", Kind::Words(&["continue", "refuse"])).default("continue"),
    ],
    logs::AUDIT_KEYS,
);

static SESSION: Shape = section(
    &[
        key("idle_timeout", Kind::Duration).default("30m"),
        key("lifetime", Kind::Duration).default("24h"),
        key("per_user_max", Kind::Number(1, 10_000)).default("8"),
        key(
            "bind_to",
            Kind::List(&Kind::AnyOf(&[
                Kind::Words(&["address", "user_agent"]),
                Kind::Section(&BIND_TO),
            ])),
        )
        .default("[]"),
        key("store", Kind::Words(&["disk", "memory"])).default("disk"),
    ],
    settings::SESSION_KEYS,
);

static BIND_TO: Shape = section(
    &[key("address", Kind::Section(&BIND_TO_ADDRESS))
        .required()
        .about("To the client's address, said in full.")],
    binding::KEYS,
);

static BIND_TO_ADDRESS: Shape = section(
    &[
        key("ipv4_prefix", Kind::Number(8, 32))
            .default("32")
            .about("How many leading bits of an IPv4 address count."),
        key(
            "ipv6_prefix",
            Kind::Words(&["28", "32", "36", "40", "44", "48", "52", "56", "60", "64"]),
        )
        .default("64")
        .about("How many leading bits of an IPv6 address count."),
        key("except", Kind::List(&Kind::Text))
            .about("Networks in which a sign-in is not bound to an address."),
    ],
    binding::ADDRESS_KEYS,
);

static HOST_SESSION: Shape = section(
    &[
        key("idle_timeout", Kind::Duration),
        key("lifetime", Kind::Duration),
    ],
    settings::HOST_SESSION_KEYS,
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
        key(
            "preset",
            Kind::Some(&Kind::Words(&["oam", "oauth2_proxy", "pomerium"])),
        ),
        key("user", HEADER).default("Remote-User").without("preset"),
        key("groups", HEADER)
            .default("Remote-Groups")
            .without("preset"),
        key("email", HEADER)
            .default("Remote-Email")
            .without("preset"),
        key("name", HEADER).default("Remote-Name").without("preset"),
        key("only_groups", Kind::List(&Kind::Text)),
    ],
    identity::KEYS,
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
        key("drain_delay", Kind::Duration),
        key("drain_timeout", Kind::Duration).default("30s"),
        key("kept_post_size", Kind::Size).default("256KiB"),
        key("kept_posts_per_address", Kind::Number(1, 100_000))
            .default("64")
            .about("The most forms of one address that are kept."),
        key("kept_posts", Kind::Number(0, 100_000))
            .default("512")
            .about("The most forms that are kept; 0 keeps none."),
    ],
    settings::LIMIT_KEYS,
);

static DNS: Shape = section(
    &[
        key("servers", Kind::List(&Kind::Text)),
        key("families", Kind::Words(&["both", "ipv4", "ipv6"])).default("both"),
        key("ttl_min", Kind::Duration).default("1s"),
        key("ttl_max", Kind::Duration).default("5m"),
    ],
    names::KEYS,
);

static VIRTUAL_HOST: Shape = section(
    &[
        key("host", Kind::Text).about("A single name, in place of `hosts`."),
        key("hosts", Kind::List(&Kind::Text)),
        key("listeners", Kind::List(&Kind::Text)),
        key("plain_http", Kind::Words(&["redirect", "refuse", "serve"])).default("redirect"),
        key("client_certificates", Kind::Section(&CLIENT_CERTIFICATES)),
        key("headers", Kind::Section(&HEADER_RULES)),
        key("public_port", Kind::Number(1, 65_535)),
        key(
            "maintenance",
            Kind::AnyOf(&[Kind::Words(&["off", "on"]), Kind::Section(&MAINTENANCE)]),
        )
        .default("off"),
        key("session", Kind::Section(&HOST_SESSION)),
        key("compression", COMPRESSION).default("off"),
        key("error_pages", ERROR_PAGES),
        key("limits", Kind::Section(&ALLOWANCE)),
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
        key("match", Kind::Section(&MATCH)),
        key(
            "access",
            Kind::Words(&["protected", "unprotected", "excluded"]),
        )
        .required(),
        key("addresses", Kind::List(&Kind::Section(&ADDRESS_RULE))),
        key(
            "policy",
            Kind::AnyOf(&[Kind::Text, Kind::List(&Kind::Section(&RULE))]),
        ),
        key("responses", Kind::Section(&RESPONSES))
            .about("What requests that are let in are given."),
        key("success_url", Kind::Text).about("A path where browsers go that had to sign in."),
        key("challenge", CHALLENGE).about("How a sign-in is asked for."),
        key("denied", DENIED).about("What a denial is answered with."),
        key("failure_url", Kind::Text).about("Where a denied browser goes."),
        key("remediation", Kind::Text).about("What the denied page says beside the reference."),
        key("level", Kind::Number(0, 99)).default("0").unwritten(),
        key("activity", Kind::Switch).default("true").unwritten(),
        key("pool", Kind::Text).about("The pool for all requests, in place of `pools`."),
        key("pools", Kind::Section(&BOTH_POOLS)),
        key("body_size", Kind::Size),
        key("streaming", Kind::Switch).default("false").unwritten(),
        key("limits", Kind::Section(&ALLOWANCE)),
        key("timeouts", Kind::Section(&ROUTE_TIMEOUTS)),
        key("forwarded_headers", FORWARDED_HEADERS),
        key("only_groups", Kind::List(&Kind::Text)),
        key("upstream_host", Kind::Text)
            .default("preserve")
            .unwritten(),
        key("tolerate", Kind::List(&Kind::Words(&Oddity::NAMES))).default("[]"),
        key("preflight", Kind::Words(&["forward", "refuse"]))
            .default("refuse")
            .unwritten(),
        key("caching", Kind::Words(&["no_store", "upstream"])).default("no_store"),
        key("redirect", Kind::Section(&REDIRECT)).about("A redirect, in place of a pool."),
        key("respond", Kind::Section(&RESPOND)).about("An answer of its own, in place of a pool."),
        key("retry_on", Kind::List(&Kind::Words(&RetryOn::WORDS)))
            .default("[]")
            .unwritten(),
        key("rewrite", Kind::Section(&REWRITE)),
        key("headers", Kind::Section(&HEADER_RULES)),
        key("compression", COMPRESSION),
        key("error_pages", ERROR_PAGES)
            .about("What is answered in place of errors; by default as for the virtual host."),
    ],
    route::KEYS,
);

//! The sections about several data centres, and about a gate without an engine.

use crate::config::parse::adoption;
use crate::config::parse::back_channel;
use crate::config::parse::engine;
use crate::config::parse::mdc;
use crate::config::parse::peer;
use crate::config::parse::schema::Key;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::HEADER;
use crate::config::parse::schema::shapes::key;
use crate::config::parse::schema::shapes::pools::UPSTREAM;
use crate::config::parse::schema::shapes::section;

const SECURITY: Kind = Kind::Words(&["cert", "open", "simple"]);
const PASSWORD: Key =
    key("password", Kind::Secret).about("What is shared with the other end, in place of a file.");
const PASSWORD_FILE: Key =
    key("password_file", Kind::Text).about("A file with what is shared with the other end.");
const CERTIFICATE_FILE: Key =
    key("certificate_file", Kind::Text).about("The certificate that this end proves itself with.");
const KEY_FILE: Key = key("key_file", Kind::Text).about("Its private key.");
const CA_FILE: Key =
    key("ca_file", Kind::Text).about("The authority that the other end's certificate is of.");
const ALLOW_OPEN: Key =
    key("allow_open", Kind::Switch).about("Lets `security: open` leave this machine.");
const THRESHOLD: Key = key("failover_threshold", Kind::Number(0, 10_000))
    .default("1")
    .about("The secondaries join below this many primaries that are well.");

/// `mdc`.
pub(super) static MDC: Shape = section(
    &[
        key("adoption", Kind::Section(&ADOPTION)).implied(),
        key("gito_domain", Kind::Text),
        key("gito_granularity", Kind::Duration),
        key("authn_lifetime", Kind::Duration),
        key("partition_lease", Kind::Duration),
        key("min_hold", Kind::Duration).default("250ms"),
        key("reservation_lapse", Kind::Duration).default("10s"),
        key("pull_interval", Kind::Duration),
        key("clock_skew", Kind::Section(&SKEW)).implied(),
        key("data_centre_header", HEADER).default("X-DC"),
        key(
            "data_centre_cookie",
            Kind::AnyOf(&[Kind::Text, Kind::Nothing]),
        ),
        key("limits", Kind::Section(&LIMITS)).implied(),
        key("back_channel", Kind::Section(&BACK_CHANNEL)).required(),
        key("peers", Kind::List(&Kind::Section(&PEER))).default("[]"),
        key("gates", Kind::List(&Kind::Section(&GATE))).default("[]"),
    ],
    mdc::KEYS,
);

static ADOPTION: Shape = section(
    &[
        key("anchor_session", Kind::Switch).default("false"),
        key("retrieve_data", Kind::Switch).default("true"),
        key("reauthenticate", Kind::Switch).default("false"),
        key("retrieve_retries", Kind::Number(0, 10)).default("2"),
        key(
            "retrieve_timeout",
            Kind::AnyOf(&[Kind::Duration, Kind::Number(1, 600_000)]),
        )
        .default("1s")
        .about("The time for each attempt; a bare number is milliseconds."),
        key("on_remote_missing", Kind::Words(&["challenge", "create"])).default("create"),
        key("continue_on_sync_failure", Kind::Switch).default("false"),
    ],
    adoption::KEYS,
);

static SKEW: Shape = section(
    &[
        key("allowance", Kind::Duration)
            .default("30s")
            .about("How far clocks may differ without a word."),
        key("hard_limit", Kind::Duration)
            .default("2m")
            .about("Beyond it nothing is adopted."),
    ],
    mdc::SKEW_KEYS,
);

static LIMITS: Shape = section(
    &[
        key("adoptions_per_peer", Kind::Number(1, 100_000))
            .default("256")
            .about("From one data centre."),
        key("adoptions_per_address", Kind::Number(1, 100_000))
            .default("32")
            .about("For one client address."),
    ],
    mdc::LIMIT_KEYS,
);

static BACK_CHANNEL: Shape = section(
    &[
        key("bind", Kind::Text).required(),
        key("security", SECURITY).default("cert"),
        CERTIFICATE_FILE,
        KEY_FILE,
        CA_FILE,
        ALLOW_OPEN,
        key("connection_max_age", Kind::Duration).default("10m"),
        key("keep_alive_interval", Kind::Duration)
            .default("20s")
            .unwritten(),
        key("connect_timeout", Kind::Duration).default("1s"),
        key("questions_max", Kind::Number(1, 100_000)).default("1024"),
        key("circuit_failures", Kind::Number(1, 1000)).default("3"),
        key("circuit_pause", Kind::Duration)
            .default("2s")
            .about("How long a data centre is not asked then."),
    ],
    back_channel::CHANNEL_KEYS,
);

static PEER: Shape = section(
    &[
        key("cluster_id", Kind::Text).required(),
        key("primary", Kind::List(&UPSTREAM)).required(),
        key("secondary", Kind::List(&UPSTREAM)).default("[]"),
        THRESHOLD,
        PASSWORD,
        PASSWORD_FILE,
        key("security", SECURITY),
        CERTIFICATE_FILE,
        KEY_FILE,
        CA_FILE,
    ],
    peer::PEER_KEYS,
);

static GATE: Shape = section(
    &[
        key("name", Kind::Text)
            .required()
            .about("Its name, as its certificate has it."),
        PASSWORD,
        PASSWORD_FILE,
    ],
    peer::GATE_KEYS,
);

/// `engine.remote`.
pub(super) static REMOTE: Shape = section(
    &[
        key("name", Kind::Text).required(),
        key("primary", Kind::List(&Kind::Section(&ENGINE_NODE))).required(),
        key("secondary", Kind::List(&Kind::Section(&ENGINE_NODE)))
            .default("[]")
            .unwritten(),
        THRESHOLD,
        key("security", SECURITY).default("cert"),
        CERTIFICATE_FILE,
        KEY_FILE,
        CA_FILE,
        ALLOW_OPEN,
        PASSWORD,
        PASSWORD_FILE,
        key("timeout", Kind::Duration).default("5s"),
        key("cache", Kind::Number(1, 10_000_000)).default("100000"),
    ],
    engine::REMOTE_KEYS,
);

static ENGINE_NODE: Shape = section(
    &[
        key("cluster_id", Kind::Text)
            .required()
            .about("The data centre that it is of."),
        key("address", Kind::Text)
            .required()
            .about("Its address and port."),
        key("weight", Kind::Number(1, 1000))
            .default("1")
            .about("Its share of the questions."),
    ],
    engine::ADDRESS_KEYS,
);

//! The section `authentication`.

use crate::config::parse::openid;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::key;
use crate::config::parse::schema::shapes::section;
use crate::config::parse::settings;
use crate::config::parse::throttle;

pub(super) static AUTHENTICATION: Shape = section(
    &[
        key("store", Kind::Text).default("local"),
        key("users_file", Kind::Text),
        key("level", Kind::Number(1, 99)).default("10"),
        key("hashing_threads", Kind::Number(1, 64)).default("2"),
        key("hashing_queue", Kind::Number(1, 100_000)).default("1024"),
        key("password_length_min", Kind::Number(8, 64)).default("15"),
        key("throttle", Kind::Section(&THROTTLE)).implied(),
        key(
            "openid_connect",
            Kind::List(&Kind::Section(&OPENID_PROVIDER)),
        ),
    ],
    settings::AUTHENTICATION_KEYS,
);

static THROTTLE: Shape = section(
    &[
        key("per_account", Kind::Number(1, 100)).default("5"),
        key("per_address", Kind::Number(1, 10_000)).default("100"),
        key("first_wait", Kind::Duration).default("1s"),
        key("longest_wait", Kind::Duration)
            .default("15m")
            .about("The longest wait before another attempt."),
        key("forget_after", Kind::Duration).default("1h"),
        key("except", Kind::List(&Kind::Text)),
        key("remembered", Kind::Number(1_000, 10_000_000)).default("65536"),
    ],
    throttle::KEYS,
);

static OPENID_PROVIDER: Shape = section(
    &[
        key("name", Kind::Text).required(),
        key("title", Kind::Text),
        key("issuer", Kind::Text).required(),
        key("client_id", Kind::Text).required(),
        key("client_secret", Kind::Secret),
        key("client_secret_file", Kind::Text),
        key("client_key", Kind::Secret),
        key("client_key_file", Kind::Text),
        key("client_key_id", Kind::Text),
        key("scopes", Kind::List(&Kind::Text)).default("[openid, profile, email]"),
        key("level", Kind::Number(1, 99)).default("10"),
        key("levels", Kind::Named(&Kind::Number(1, 99))),
        key("claims", Kind::Section(&CLAIMS)).implied(),
        key("rp_initiated_logout", Kind::Switch).default("true"),
        key("timeout", Kind::Duration).default("5s"),
        key("ca", Kind::Text),
        key("ca_file", Kind::Text),
    ],
    openid::KEYS,
);

static CLAIMS: Shape = section(
    &[
        key("user", Kind::Text).default("sub"),
        key("name", Kind::Text).default("name"),
        key("email", Kind::Text).default("email"),
        key("groups", Kind::Text).default("groups"),
        key("attributes", Kind::Named(&Kind::Text)),
    ],
    openid::CLAIM_KEYS,
);

//! The shape of listeners.

use crate::config::parse::listener;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::key;
use crate::config::parse::schema::shapes::section;

pub(super) static LISTENER: Shape = section(
    &[
        key("name", Kind::Text).required(),
        key("bind", Kind::Text).required(),
        key("tls", Kind::Section(&LISTENER_TLS)),
        key("ready_path", Kind::Text),
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

//! The shape of listeners.

use crate::config::parse::listener;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::key;
use crate::config::parse::schema::shapes::section;

pub(super) static LISTENER: Shape = section(
    &[
        key("name", Kind::Text).required(),
        key("bind", Kind::Text)
            .required()
            .about("Address and port, or `unix:` and the path of a socket."),
        key("mode", Kind::Text).about("The permissions of a socket; by default `0660`."),
        key("proxy_protocol", Kind::Section(&PROXY_PROTOCOL))
            .about("Clients are announced by the PROXY protocol."),
        key("h2c", Kind::Switch)
            .default("false")
            .about("HTTP/2 without TLS, from the first byte."),
        key("tls", Kind::Section(&LISTENER_TLS)),
        key("ready_path", Kind::Text),
    ],
    listener::KEYS,
);

static PROXY_PROTOCOL: Shape = section(
    &[key("from", Kind::List(&Kind::Text)).about("Who may announce.")],
    listener::PROXY_PROTOCOL_KEYS,
);

static LISTENER_TLS: Shape = section(
    &[
        key("certificates", Kind::List(&Kind::Section(&CERTIFICATE))).required(),
        key("min_version", Kind::Words(&["TLSv1.2", "TLSv1.3"])).default("TLSv1.2"),
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

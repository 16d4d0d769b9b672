//! The sections about how routes forward requests, or answer them by themselves.

use crate::config::parse::compression;
use crate::config::parse::destination;
use crate::config::parse::error_pages;
use crate::config::parse::header_rules;
use crate::config::parse::pool;
use crate::config::parse::rewrite;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::key;
use crate::config::parse::schema::shapes::section;
use crate::decision::forwarded_headers::ForwardedHeaders;

pub(super) const FORWARDED_HEADERS: Kind = Kind::List(&Kind::Words(&ForwardedHeaders::WORDS));
/// All of them.
pub(super) const FORWARDED_HEADERS_DEFAULT: &str = "[Forwarded, X-Forwarded-For, X-Forwarded-Host, \
    X-Forwarded-Port, X-Forwarded-Proto, X-Forwarded-Server, X-Real-IP, X-Request-Id, \
    traceparent]";

pub(super) static RETRY_BUDGET: Shape = section(
    &[
        key("percent", Kind::Number(0, 100)).default("20"),
        key("per_second_min", Kind::Number(0, 100_000)).default("10"),
    ],
    pool::BUDGET_KEYS,
);

pub(super) static REDIRECT: Shape = section(
    &[
        key("to", Kind::Text).required(),
        key("regex", Kind::Text),
        key("status", Kind::Words(&["301", "302", "303", "307", "308"])).default("302"),
        key("query", Kind::Words(&["drop", "keep"])).default("keep"),
    ],
    destination::REDIRECT_KEYS,
);

pub(super) static RESPOND: Shape = section(
    &[
        key("status", Kind::Number(200, 599)).default("200"),
        key("content_type", Kind::Text).default("text/plain; charset=utf-8"),
        key("body", Kind::Text),
        key("body_file", Kind::Text).about("The same from a file."),
    ],
    destination::RESPOND_KEYS,
);

/// What is answered in place of errors.
pub(super) const ERROR_PAGES: Kind = Kind::List(&Kind::Section(&ERROR_PAGE));

static ERROR_PAGE: Shape = section(
    &[
        key("statuses", Kind::List(&Kind::Number(400, 599)))
            .required()
            .about("The errors, from 400 to 599, each once."),
        key("upstream_errors", Kind::Words(&["pass", "replace"]))
            .default("pass")
            .about("Errors of upstreams with these statuses: `pass` them on, or `replace` them."),
        key("respond", Kind::Section(&ERROR_CONTENT)).about("A page."),
        key("redirect", Kind::Section(&ERROR_REDIRECT)).about("In place of a page, where it is."),
    ],
    error_pages::KEYS,
);

static ERROR_CONTENT: Shape = section(
    &[
        key("status", Kind::Number(200, 599))
            .about("From 200 to 599; by default that of the error."),
        key("content_type", Kind::Text)
            .default("text/plain; charset=utf-8")
            .about("What the body is."),
        key("body", Kind::Text).about("Read with the configuration."),
        key("body_file", Kind::Text).about("The same from a file."),
    ],
    destination::RESPOND_KEYS,
);

static ERROR_REDIRECT: Shape = section(
    &[
        key("to", Kind::Text)
            .required()
            .about("A path, or an address whose host is written out."),
        key("status", Kind::Words(&["301", "302", "303", "307", "308"]))
            .default("302")
            .about("`301`, `302`, `303`, `307` or `308`."),
    ],
    error_pages::ELSEWHERE_KEYS,
);

pub(super) static REWRITE: Shape = section(
    &[
        key("strip_prefix", Kind::Text),
        key("add_prefix", Kind::Text),
        key("regex", Kind::Text).about("What whole paths match that are replaced."),
        key("with", Kind::Text).about("What comes in their place; `$1` is the first group."),
    ],
    rewrite::KEYS,
);

pub(super) const COMPRESSION: Kind =
    Kind::AnyOf(&[Kind::Words(&["off", "on"]), Kind::Section(&COMPRESSED)]);

static COMPRESSED: Shape = section(
    &[
        key(
            "algorithms",
            Kind::List(&Kind::Words(&["br", "gzip", "zstd"])),
        )
        .default("[zstd, br, gzip]")
        .about("The first counts where a client likes several alike."),
        key("level", Kind::Number(1, 9))
            .default("4")
            .about("From quick to small."),
        key("min_size", Kind::Size)
            .default("1KiB")
            .about("Shorter answers stay as they are, if their length is known."),
        key("types", Kind::List(&Kind::Text))
            .default(compression::TYPES_DEFAULT)
            .about("Media types, with `*` for any text, once in each."),
    ],
    compression::KEYS,
);

pub(super) static HEADER_RULES: Shape = section(
    &[
        key("request", Kind::Section(&REQUEST_HEADERS)).about("On the way to the upstream."),
        key("response", Kind::Section(&RESPONSE_HEADERS)).about("On the way to the client."),
    ],
    header_rules::KEYS,
);

/// What upstreams are told may be a secret, such as a password of the gateway's own.
static REQUEST_HEADERS: Shape = section(
    &[
        key("set", Kind::Named(&Kind::Secret)).about("In place of those of the name."),
        key("add", Kind::Named(&Kind::Secret)).about("Beside those of the name."),
        key("remove", Kind::List(&Kind::Text)).about("None of the name."),
    ],
    header_rules::ACTION_KEYS,
);

static RESPONSE_HEADERS: Shape = section(
    &[
        key("set", Kind::Named(&Kind::Text)).about("In place of those of the name."),
        key("add", Kind::Named(&Kind::Text)).about("Beside those of the name."),
        key("remove", Kind::List(&Kind::Text)).about("None of the name."),
    ],
    header_rules::ACTION_KEYS,
);

pub(super) static BOTH_POOLS: Shape = section(
    &[
        key("http", Kind::Text)
            .required()
            .about("The pool for requests from plain listeners."),
        key("https", Kind::Text)
            .required()
            .about("The pool for requests from TLS listeners."),
    ],
    destination::BOTH_POOLS,
);

//! The shape of what clients have to show and may take, and of maintenance.

use crate::config::parse::address_rules;
use crate::config::parse::allowance;
use crate::config::parse::client_certificates;
use crate::config::parse::maintenance;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::shapes::key;
use crate::config::parse::schema::shapes::section;

pub(super) static MAINTENANCE: Shape = section(
    &[
        key("retry_after", Kind::Duration)
            .default("5m")
            .about("When to try again."),
        key("except", Kind::List(&Kind::Text)).about("Clients that are served all the same."),
        key("message", Kind::Text).about("What the page says beside that."),
    ],
    maintenance::KEYS,
);

pub(super) static ADDRESS_RULE: Shape = section(
    &[
        key("allow", Kind::Some(&Kind::Text)).about("Networks that are let in, or `all`."),
        key("deny", Kind::Some(&Kind::Text)).about("Networks that are not, or `all`."),
    ],
    address_rules::KEYS,
);

pub(super) static CLIENT_CERTIFICATES: Shape = section(
    &[
        key(
            "mode",
            Kind::Words(&["off", "optional", "optional_unverified", "required"]),
        )
        .required()
        .about("Who has to show a certificate."),
        key("ca", Kind::Text).about("The authorities in PEM form, in place of a file."),
        key("ca_file", Kind::Text),
        key("depth", Kind::Number(0, 10)).default("1"),
        key("crl", Kind::Text).about("The revocation lists in PEM form, in place of a file."),
        key("crl_file", Kind::Text),
    ],
    client_certificates::KEYS,
);

pub(super) static ALLOWANCE: Shape = section(
    &[
        key("requests", Kind::Section(&REQUESTS)).about("How fast requests may come."),
        key("concurrent", Kind::Section(&CONCURRENT))
            .about("How many requests may be served at the same time."),
        key("download", Kind::Section(&BANDWIDTH))
            .about("How much of the bodies of answers is sent in a second."),
        key("upload", Kind::Section(&BANDWIDTH))
            .about("How much of the bodies of requests is taken in a second."),
        key("except", Kind::List(&Kind::Text)).about("Clients that none of it is for."),
    ],
    allowance::KEYS,
);

static REQUESTS: Shape = section(
    &[
        key("per_address", REQUEST_RATE).about("From one address (IPv6: from one /64)."),
        key("per_user", REQUEST_RATE).about("Of one user."),
    ],
    allowance::PER_CLIENT_KEYS,
);

static CONCURRENT: Shape = section(
    &[
        key("per_address", Kind::Number(1, 1_000_000)).about("Of one address (IPv6: of one /64)."),
        key("per_user", Kind::Number(1, 1_000_000)).about("Of one user."),
    ],
    allowance::PER_CLIENT_KEYS,
);

static BANDWIDTH: Shape = section(
    &[
        key("per_request", Kind::Size).about("For one request."),
        key("per_address", Kind::Size).about("For one address (IPv6: one /64)."),
        key("per_user", Kind::Size).about("For one user."),
    ],
    allowance::BANDWIDTH_KEYS,
);

static RATE: Shape = section(
    &[
        key("rate", Kind::Text)
            .required()
            .about("Such as `10/s`, `600/m` or `5000/h`."),
        key("burst", Kind::Number(1, 1_000_000)).about("How many may come at once, after a pause."),
    ],
    allowance::RATE_KEYS,
);

/// A rate, alone or with what may come at once.
const REQUEST_RATE: Kind = Kind::AnyOf(&[Kind::Text, Kind::Section(&RATE)]);

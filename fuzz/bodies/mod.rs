//! What reads bytes of strangers, each as a function of bytes that stops the process when a property does not
//! hold. `tests/fuzz` runs them with a fixed seed, `fuzz_targets` with coverage where a nightly compiler is.
//!
//! A body says what must be true of *any* bytes; what particular bytes lead to is for other tests.

pub mod back_channel;
pub mod claims;
pub mod client_certificate;
pub mod configuration;
pub mod cookie_header;
pub mod expression;
pub mod files;
pub mod form;
pub mod forwarded;
pub mod nginx;
pub mod path;
pub mod proxy_header;
pub mod query;
pub mod routing;
pub mod sealed;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// Its name, which is that of its target.
    pub name: &'static str,
    /// Reads bytes.
    pub run: fn(&[u8]),
    /// Bytes that are read to some end, for a beginning.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many runs take about a second without optimisation.
    pub runs: u32,
}

/// All of them.
pub const ALL: &[Body] = &[
    Body {
        name: "back_channel",
        run: back_channel::run,
        seeds: back_channel::seeds,
        runs: 6_000,
    },
    Body {
        name: "certificates",
        run: files::certificates,
        seeds: files::pem,
        runs: 3_000,
    },
    Body {
        name: "claims",
        run: claims::run,
        seeds: claims::seeds,
        runs: 6_000,
    },
    Body {
        name: "client_certificate",
        run: client_certificate::run,
        seeds: client_certificate::seeds,
        runs: 2_000,
    },
    Body {
        name: "configuration",
        run: configuration::run,
        seeds: configuration::seeds,
        runs: 400,
    },
    Body {
        name: "cookie_header",
        run: cookie_header::run,
        seeds: cookie_header::seeds,
        runs: 10_000,
    },
    Body {
        name: "expression",
        run: expression::run,
        seeds: expression::seeds,
        runs: 1_000,
    },
    Body {
        name: "form",
        run: form::run,
        seeds: form::seeds,
        runs: 6_000,
    },
    Body {
        name: "forwarded",
        run: forwarded::run,
        seeds: forwarded::seeds,
        runs: 10_000,
    },
    Body {
        name: "key_ring",
        run: files::key_ring,
        seeds: files::rings,
        runs: 3_000,
    },
    Body {
        name: "nginx",
        run: nginx::run,
        seeds: nginx::seeds,
        runs: 150,
    },
    Body {
        name: "path",
        run: path::run,
        seeds: path::seeds,
        runs: 10_000,
    },
    Body {
        name: "proxy_header",
        run: proxy_header::run,
        seeds: proxy_header::seeds,
        runs: 20_000,
    },
    Body {
        name: "query",
        run: query::run,
        seeds: query::seeds,
        runs: 10_000,
    },
    Body {
        name: "routing",
        run: routing::run,
        seeds: routing::seeds,
        runs: 5_000,
    },
    Body {
        name: "sealed",
        run: sealed::run,
        seeds: sealed::seeds,
        runs: 6_000,
    },
    Body {
        name: "template",
        run: configuration::template,
        seeds: configuration::templates,
        runs: 1_000,
    },
    Body {
        name: "users_file",
        run: files::users,
        seeds: files::user_lists,
        runs: 1_500,
    },
];

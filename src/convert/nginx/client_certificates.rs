//! `ssl_verify_client`, what belongs to it, and the variables that tell of a client's certificate.
//!
//! Listeners ask for no certificate. A virtual host that nginx serves to nobody without one is served to nobody.

use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;

/// Whether nobody may be let in, because nginx would have let in only who has a certificate.
pub(super) fn closes(site: &Site<'_>, server: &Scope<'_>) -> bool {
    let mode = server.one("ssl_verify_client");
    let closes = mode.is_some_and(|mode| mode.first() == "on");
    for name in NAMES {
        let Some(directive) = server.one(name) else {
            continue;
        };
        match (directive.first(), *name) {
            ("off", "ssl_verify_client") => {
                site.ledger.kept(directive, "no certificate is asked for");
            }
            ("on", "ssl_verify_client") => {
                let why = "clients are not asked for certificates, and nobody is let in without: \
                           each route answers 403";
                site.ledger.dropped(directive, why);
            }
            _ => site
                .ledger
                .dropped(directive, "clients are not asked for certificates"),
        }
    }
    closes
}

/// Whether a variable tells of the client's certificate.
pub(super) fn is_about(variable: &str) -> bool {
    variable.starts_with("ssl_client_")
}

const NAMES: &[&str] = &[
    "ssl_client_certificate",
    "ssl_crl",
    "ssl_trusted_certificate",
    "ssl_verify_client",
    "ssl_verify_depth",
];

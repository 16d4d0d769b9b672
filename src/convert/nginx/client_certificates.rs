//! `ssl_verify_client` and what belongs to it → `client_certificates` of virtual hosts.
//!
//! A virtual host whose clients nginx would have verified, and Portway cannot, is served to nobody.

use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;

/// What a server asks of its clients.
pub(super) enum Asked {
    /// What cannot be asked for: nobody is let in.
    Closed,
    /// Nothing.
    Nothing,
    /// A certificate, by this section.
    Certificate(Entry),
}

/// What a server asks of its clients; in plain it asks for nothing.
pub(super) fn asked(site: &Site<'_>, server: &Scope<'_>) -> Asked {
    let mode = server.one("ssl_verify_client");
    let Some((directive, mode)) = mode.and_then(|mode| Some((mode, mode_of(mode.first())?))) else {
        for directive in NAMES.iter().filter_map(|name| server.one(name)) {
            site.ledger
                .kept(directive, "nobody is asked for a certificate");
        }
        return Asked::Nothing;
    };
    let authorities = server.one("ssl_client_certificate");
    if authorities.is_none() && mode != UNVERIFIED {
        let why = "there are no authorities to verify by: each route answers 403";
        site.ledger.dropped(directive, why);
        return Asked::Closed;
    }
    if mode == UNVERIFIED {
        let why = "`client_certificates.mode`: of a certificate that nobody trusted has signed no names are told";
        site.ledger.changed(directive, why);
    } else {
        site.ledger
            .kept(directive, "`client_certificates.mode` (W-24)");
    }
    let mut section = vec![Entry::new("mode", Yaml::text(mode))];
    for (name, key) in [
        ("ssl_client_certificate", "ca_file"),
        ("ssl_crl", "crl_file"),
    ] {
        if let Some(file) = server.one(name) {
            site.ledger
                .kept(file, format!("`client_certificates.{key}`"));
            section.push(Entry::new(key, Yaml::text(&site.path(file.first()))));
        }
    }
    section.extend(depth(site, server));
    if let Some(more) = server.one("ssl_trusted_certificate") {
        let why = "clients are verified by `ssl_client_certificate` alone";
        site.ledger.dropped(more, why);
    }
    Asked::Certificate(Entry::new("client_certificates", Yaml::Map(section)))
}

fn mode_of(written: &str) -> Option<&'static str> {
    let mut modes = MODES.iter();
    modes
        .find(|(word, _)| *word == written)
        .map(|(_, mode)| *mode)
}

fn depth(site: &Site<'_>, server: &Scope<'_>) -> Option<Entry> {
    let directive: &Directive = server.one("ssl_verify_depth")?;
    let written: u32 = directive.first().parse().ok()?;
    if written > DEPTH_MAX {
        site.ledger
            .changed(directive, "`client_certificates.depth`: 10 at most");
    } else {
        site.ledger.kept(directive, "`client_certificates.depth`");
    }
    Some(Entry::new("depth", Yaml::plain(written.min(DEPTH_MAX))))
}

/// Whether a variable tells of the client's certificate.
pub(super) fn is_about(variable: &str) -> bool {
    variable.starts_with("ssl_client_")
}

const UNVERIFIED: &str = "optional_unverified";
const MODES: &[(&str, &str)] = &[
    ("on", "required"),
    ("optional", "optional"),
    ("optional_no_ca", UNVERIFIED),
];
const NAMES: &[&str] = &[
    "ssl_client_certificate",
    "ssl_crl",
    "ssl_trusted_certificate",
    "ssl_verify_client",
    "ssl_verify_depth",
];
const DEPTH_MAX: u32 = 10;

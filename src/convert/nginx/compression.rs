//! `gzip` and what says how → `compression` of routes.

use crate::convert::nginx::quantities::bytes;
use crate::convert::nginx::quantities::size;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;
use crate::decision::compression::MediaPattern;

/// The key of a route whose answers nginx compresses; none where it does not.
pub(super) fn key(site: &Site<'_>, scope: &Scope<'_>) -> Option<Entry> {
    let gzip = scope.one("gzip")?;
    if gzip.first() != "on" {
        site.ledger
            .kept(gzip, "answers stay as they are, as by default");
        return None;
    }
    site.ledger.kept(gzip, "`compression` of the route");
    let section = vec![
        Entry::new("algorithms", Yaml::words(["gzip"])),
        Entry::new("level", Yaml::plain(level(site, scope))),
        Entry::new("min_size", Yaml::plain(bytes(bytes_min(site, scope)))),
        Entry::new("types", Yaml::words(types(site, scope))),
    ];
    always(site, scope);
    Some(Entry::new("compression", Yaml::Map(section)))
}

fn level(site: &Site<'_>, scope: &Scope<'_>) -> u16 {
    let Some(directive) = scope.one("gzip_comp_level") else {
        return NGINX_LEVEL;
    };
    match directive.first().parse() {
        Ok(level @ 1..=9) => {
            site.ledger.kept(directive, "`compression.level`");
            level
        }
        _ => {
            site.ledger
                .dropped(directive, "a level is a number from 1 to 9");
            NGINX_LEVEL
        }
    }
}

fn bytes_min(site: &Site<'_>, scope: &Scope<'_>) -> u64 {
    let Some(directive) = scope.one("gzip_min_length") else {
        return NGINX_BYTES_MIN;
    };
    match size(directive.first()) {
        Some(bytes) => {
            site.ledger.kept(directive, "`compression.min_size`");
            bytes
        }
        None => {
            site.ledger.dropped(directive, "no size");
            NGINX_BYTES_MIN
        }
    }
}

/// nginx's own `text/html`, and what it is told beside that.
fn types(site: &Site<'_>, scope: &Scope<'_>) -> Vec<String> {
    let mut types = vec!["text/html".to_owned()];
    let Some(directive) = scope.one("gzip_types") else {
        return types;
    };
    let mut lost = Vec::new();
    for word in &directive.args {
        let word = word.to_ascii_lowercase();
        match MediaPattern::parse(&word) {
            // To nginx a star within a type is a letter like others.
            Some(_) if word == "*" || !word.contains('*') => {
                if !types.contains(&word) {
                    types.push(word);
                }
            }
            _ => lost.push(word),
        }
    }
    if types.iter().any(|word| word == "*") {
        types = vec!["*".to_owned()];
    }
    if lost.is_empty() {
        site.ledger.kept(directive, "`compression.types`");
    } else {
        let why = format!(
            "`compression.types` without what is no type: `{}`",
            lost.join(" ")
        );
        site.ledger.dropped(directive, why);
    }
    types
}

/// What has no setting, because it is always done so.
fn always(site: &Site<'_>, scope: &Scope<'_>) {
    if let Some(vary) = scope.one("gzip_vary") {
        let why = "`Vary: Accept-Encoding` is always said";
        match vary.first() {
            "on" => site.ledger.kept(vary, why),
            _ => site.ledger.changed(vary, why),
        }
    }
    if let Some(version) = scope.one("gzip_http_version") {
        let why = "clients of HTTP/1.0 get answers as they are";
        match version.first() {
            "1.1" => site.ledger.kept(version, why),
            _ => site.ledger.changed(version, why),
        }
    }
    if let Some(proxied) = scope.one("gzip_proxied") {
        let why = "it does not matter whether a request came by another proxy";
        match proxied.first() {
            "any" => site.ledger.kept(proxied, why),
            _ => site.ledger.changed(proxied, why),
        }
    }
}

const NGINX_LEVEL: u16 = 1;
const NGINX_BYTES_MIN: u64 = 20;

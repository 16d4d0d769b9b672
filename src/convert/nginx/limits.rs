//! `limit_req`, `limit_conn` and `limit_rate` → `limits` of routes; `client_max_body_size` → `body_size`.

use crate::convert::nginx::quantities::bytes;
use crate::convert::nginx::quantities::size;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;

/// The keys of a route about what a client may take.
pub(super) fn keys(site: &Site<'_>, scope: &Scope<'_>) -> Vec<Entry> {
    let mut limits = Vec::new();
    limits.extend(requests(site, scope));
    limits.extend(concurrent(site, scope));
    limits.extend(download(site, scope));
    if limits.is_empty() {
        return Vec::new();
    }
    vec![Entry::new("limits", Yaml::Map(limits))]
}

/// Largest body, in bytes; nginx's `0` is no limit, which is more than anybody sends.
pub(super) fn body_bytes(site: &Site<'_>, scope: &Scope<'_>) -> u64 {
    let Some(directive) = scope.one("client_max_body_size") else {
        return NGINX_BODY_BYTES;
    };
    match size(directive.first()) {
        Some(0) => {
            site.ledger
                .changed(directive, "`body_size: 1TiB`: there is always a limit");
            BODY_BYTES_MAX
        }
        Some(size) => {
            site.ledger.kept(directive, "`body_size`");
            size.min(BODY_BYTES_MAX)
        }
        None => {
            site.ledger
                .dropped(directive, "no size that nginx knows: its default counts");
            NGINX_BODY_BYTES
        }
    }
}

fn requests(site: &Site<'_>, scope: &Scope<'_>) -> Option<Entry> {
    let mut found = None;
    for directive in scope.all("limit_req") {
        let Some(zone) = zone(site, "limit_req_zone", parameter(directive, "zone")) else {
            site.ledger.dropped(directive, NOT_BY_ADDRESS);
            continue;
        };
        let rate = parameter(zone, "rate").and_then(rate_of);
        let Some(rate) = rate.filter(|_| found.is_none()) else {
            site.ledger.dropped(directive, "a route has one rate");
            continue;
        };
        let burst: u32 = parameter(directive, "burst")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        site.ledger.kept(zone, "its rate stands with the routes");
        let why = "`limits.requests.per_address`: 429 in place of 503, and nothing is delayed";
        site.ledger.changed(directive, why);
        let rate = Yaml::Map(vec![
            Entry::new("rate", Yaml::text(&rate)),
            Entry::new("burst", Yaml::plain(burst.saturating_add(1).min(COUNT_MAX))),
        ]);
        found = Some(per_address("requests", rate));
    }
    found
}

fn concurrent(site: &Site<'_>, scope: &Scope<'_>) -> Option<Entry> {
    let mut found = None;
    for directive in scope.all("limit_conn") {
        let Some(zone) = zone(site, "limit_conn_zone", Some(directive.first())) else {
            site.ledger.dropped(directive, NOT_BY_ADDRESS);
            continue;
        };
        let count = directive
            .args
            .get(1)
            .and_then(|text| text.parse::<u32>().ok());
        let Some(count) = count.filter(|count| (1..=COUNT_MAX).contains(count) && found.is_none())
        else {
            site.ledger.dropped(
                directive,
                "a route has one number of requests at the same time",
            );
            continue;
        };
        site.ledger.kept(zone, "its numbers stand with the routes");
        site.ledger.changed(
            directive,
            "`limits.concurrent.per_address`: 429 in place of 503",
        );
        found = Some(per_address("concurrent", Yaml::plain(count)));
    }
    found
}

fn download(site: &Site<'_>, scope: &Scope<'_>) -> Option<Entry> {
    let directive = scope.one("limit_rate")?;
    let rate = match size(directive.first()) {
        Some(0) => {
            site.ledger.kept(directive, "no limit");
            return None;
        }
        Some(rate) if rate >= RATE_MIN => rate.min(BODY_BYTES_MAX),
        _ => {
            site.ledger.dropped(
                directive,
                "slower than 16 KiB a second, or said by a variable",
            );
            return None;
        }
    };
    site.ledger.kept(directive, "`limits.download.per_request`");
    let rate = Entry::new("per_request", Yaml::plain(bytes(rate)));
    Some(Entry::new("download", Yaml::Map(vec![rate])))
}

fn per_address(key: &str, value: Yaml) -> Entry {
    Entry::new(key, Yaml::Map(vec![Entry::new("per_address", value)]))
}

/// The zone of a name that counts by the client's address.
fn zone<'t>(site: &Site<'t>, directive: &str, name: Option<&str>) -> Option<&'t Directive> {
    let name = name?;
    let zones = site.http.all(directive).into_iter();
    let mut named = zones.filter(|zone| {
        let own = parameter(zone, "zone").unwrap_or_default();
        own.split(':').next() == Some(name)
    });
    let by_address = ["$binary_remote_addr", "$remote_addr"];
    named.find(|zone| by_address.contains(&zone.first()))
}

fn parameter<'t>(directive: &'t Directive, name: &str) -> Option<&'t str> {
    let mut args = directive.args.iter();
    args.find_map(|arg| arg.strip_prefix(name)?.strip_prefix('='))
}

/// `10r/s` → `10/s`.
fn rate_of(text: &str) -> Option<String> {
    let (count, unit) = text.split_once("r/")?;
    let count: u32 = count
        .parse()
        .ok()
        .filter(|count| (1..=1_000_000).contains(count))?;
    ["s", "m"]
        .contains(&unit)
        .then(|| format!("{count}/{unit}"))
}

const NOT_BY_ADDRESS: &str = "what it counts by is not the client's address alone";
const NGINX_BODY_BYTES: u64 = 1 << 20;
const BODY_BYTES_MAX: u64 = 1 << 40;
const COUNT_MAX: u32 = 1_000_000;
const RATE_MIN: u64 = 16 << 10;

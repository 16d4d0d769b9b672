//! `map` → the text that its variable comes to, where that can be told beforehand: under one name, or everywhere.
//!
//! Expressions and wildcards among its entries are not tried.

use crate::convert::nginx::headers;
use crate::convert::nginx::servers;
use crate::convert::nginx::servers::Server;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::variables::Known;
use crate::convert::nginx::variables::variables;

/// What is fixed where one name is served, with the variables of maps that come to one text there.
pub(super) fn filled_in(site: &Site<'_>, mut known: Known) -> Known {
    for map in site.http.own("map") {
        if let (Some(variable), Some(text)) = (made_by(map), text_of(map, &known)) {
            known.fixed.insert(variable.to_owned(), text);
        }
    }
    known
}

/// Where a `proxy_pass` leads, with what maps come to.
///
/// # Errors
/// Why that cannot be told.
pub(super) fn destination(site: &Site<'_>, known: &Known, url: &str) -> Result<String, String> {
    let read = variables(url);
    let maps = site.http.own("map");
    let unknown = read.iter().find(|name| {
        let is_made = maps.iter().any(|map| made_by(map) == Some(name.as_str()));
        !is_made || !known.fixed.contains_key(name.as_str())
    });
    if let Some(variable) = unknown {
        return Err(format!(
            "`${variable}` may lead anywhere, and pools are named"
        ));
    }
    let text = known.literal(url).unwrap_or_default();
    let named = text
        .split_once("://")
        .map_or(text.as_str(), |(_, rest)| rest);
    if named.is_empty() {
        return Err("under one name it leads nowhere".to_owned());
    }
    if !read.is_empty() && named.contains('/') {
        return Err("behind a variable a path takes the place of the whole path".to_owned());
    }
    Ok(text)
}

/// Says what has become of the maps: the usual one that makes a `Connection` for upgrades needs no counterpart, and
/// others are filled in where their variable comes to one text under each name.
pub(super) fn report(site: &Site<'_>, main: &[Directive], servers: &[Server<'_>]) {
    for map in site.http.own("map") {
        let made = made_by(map).unwrap_or_default();
        if map.first() == "$http_upgrade" && !is_used_otherwise(made, main) {
            let why = "WebSockets pass where the client asks for one (W-20)";
            site.ledger.kept_whole(map, why);
        } else if is_filled_in(site, made, servers) {
            let why = "what it comes to stands where its variable does";
            site.ledger.kept_whole(map, why);
        } else {
            let why = "there are no variables of one's own";
            site.ledger.dropped_whole(map, why);
        }
    }
}

fn is_filled_in(site: &Site<'_>, variable: &str, servers: &[Server<'_>]) -> bool {
    let mut everywhere = servers.iter().flat_map(|server| {
        let names = server.names.iter();
        names.map(move |name| servers::known(name, &server.names, &server.heard))
    });
    everywhere.all(|known| filled_in(site, known).fixed.contains_key(variable))
}

/// The name of the variable that a map makes.
fn made_by(map: &Directive) -> Option<&str> {
    map.args.get(1)?.strip_prefix('$')
}

/// What a map comes to where these are fixed.
fn text_of(map: &Directive, known: &Known) -> Option<String> {
    let [source, _] = map.args.as_slice() else {
        return None;
    };
    let entries = map.inside().iter().filter(|entry| entry.name != "volatile");
    let entries: Vec<&Directive> = entries.collect();
    let is_plain = |entry: &&Directive| {
        entry.name != "include" && entry.args.len() == 1 && !entry.name.starts_with(['~', '\\'])
    };
    if !entries.iter().all(is_plain) {
        return None;
    }
    let (default, named): (Vec<&Directive>, Vec<&Directive>) = entries
        .into_iter()
        .partition(|entry| entry.name == "default");
    let mut found = default.first();
    if !named.is_empty() {
        // It may have a port, which is not known.
        let is_known = !variables(source).iter().any(|name| name == "http_host");
        let source = known.literal(source).filter(|_| is_known)?;
        let same = |entry: &&&Directive| entry.name.eq_ignore_ascii_case(&source);
        found = named.iter().find(same).or(found);
    }
    // Nobody has written anything: an empty text.
    found.map_or(Some(String::new()), |entry| known.literal(entry.first()))
}

/// Whether a variable is read by anything but the headers that ask an upstream for an upgrade.
fn is_used_otherwise(variable: &str, directives: &[Directive]) -> bool {
    directives.iter().any(|directive| {
        let asks = directive.name.ends_with("_set_header");
        let asks = asks && headers::is_upgrade(directive.first());
        let read = match directive.name.as_str() {
            // The second is what it makes.
            "map" => directive.args.get(..1).unwrap_or_default(),
            _ => directive.args.as_slice(),
        };
        let mut names = read.iter().flat_map(|arg| variables(arg));
        let is_read = names.any(|name| name.eq_ignore_ascii_case(variable));
        (is_read && !asks) || is_used_otherwise(variable, directive.inside())
    })
}

//! `allow` and `deny` → `addresses` of routes, in the order of writing.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Item;
use crate::convert::yaml::Yaml;

/// Whether the rules of a place let nobody in.
pub(super) fn are_kept_out(site: &Site<'_>, scope: &Scope<'_>) -> bool {
    let rules = rules_of(scope);
    let first = rules.first();
    let nobody = first.is_some_and(|rule| rule.name == "deny" && rule.first() == "all");
    if nobody {
        for rule in rules {
            let why = "nobody is let in: the route answers 403";
            site.ledger.kept(rule, why);
        }
    }
    nobody
}

/// The key of a route for the rules of a place; none where everybody is let in.
pub(super) fn rules(site: &Site<'_>, scope: &Scope<'_>) -> Option<Entry> {
    let rules = rules_of(scope);
    if rules.iter().all(|rule| rule.name == "allow") {
        for rule in rules {
            site.ledger.kept(rule, "everybody is let in");
        }
        return None;
    }
    let mut items: Vec<(&str, Vec<String>)> = Vec::new();
    for rule in rules {
        let network = match network(rule.first()) {
            Some(network) => {
                site.ledger.kept(rule, "`addresses`");
                network
            }
            None if rule.name == "deny" => {
                let why = "`addresses`: who comes by a socket of the file system is 127.0.0.1";
                site.ledger.changed(rule, why);
                "127.0.0.1".to_owned()
            }
            None => {
                let why = "who comes by a socket of the file system is 127.0.0.1, as others are";
                site.ledger.dropped(rule, why);
                continue;
            }
        };
        match items.last_mut() {
            // Neighbours that say the same stand together.
            Some((effect, networks))
                if *effect == rule.name
                    && network != ALL
                    && !networks.contains(&ALL.to_owned()) =>
            {
                networks.push(network);
            }
            _ => items.push((&rule.name, vec![network])),
        }
    }
    let item = |(effect, networks): (&str, Vec<String>)| {
        let networks = match networks.as_slice() {
            [one] => Yaml::text(one),
            several => Yaml::words(several),
        };
        Item::new(Yaml::Map(vec![Entry::new(effect, networks)]))
    };
    let items: Vec<Item> = items.into_iter().map(item).collect();
    (!items.is_empty()).then(|| Entry::new("addresses", Yaml::List(items)))
}

fn rules_of<'t>(scope: &Scope<'t>) -> Vec<&'t Directive> {
    scope.any(&["allow", "deny"])
}

/// An address or a network as it is written here; none for `unix:`.
fn network(written: &str) -> Option<String> {
    if written == ALL {
        return Some(ALL.to_owned());
    }
    if let Ok(address) = written.parse::<IpAddr>() {
        return Some(address.to_string());
    }
    let network: IpNet = written.parse().ok()?;
    Some(network.trunc().to_string())
}

const ALL: &str = "all";

//! `server_name` → the names of virtual hosts.

use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::model::name::HostName;

/// Reads names; those that no virtual host can have are reported.
pub(super) fn names(site: &Site<'_>, scope: &Scope<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for directive in scope.own("server_name") {
        let read = directive
            .args
            .iter()
            .map(|written| (written, patterns(written)));
        let (found, lost): (Vec<_>, Vec<_>) = read.partition(|(_, found)| !found.is_empty());
        let lost: Vec<&str> = lost.iter().map(|(written, _)| written.as_str()).collect();
        for name in found.into_iter().flat_map(|(_, found)| found) {
            push_new(&mut names, name);
        }
        if lost.is_empty() {
            site.ledger
                .kept(directive, "`hosts`; other names are refused (W-01)");
        } else {
            let why = format!("no virtual host can be named {}", lost.join(" or "));
            site.ledger.dropped(directive, why);
        }
    }
    names
}

fn push_new(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// The names that a word of `server_name` stands for; none where no virtual host can have it.
fn patterns(written: &str) -> Vec<String> {
    let is_name = |text: &str| HostName::parse(text).is_ok();
    if let Some(domain) = written.strip_prefix('.').filter(|domain| is_name(domain)) {
        return vec![
            domain.to_lowercase(),
            format!("*.{}", domain.to_lowercase()),
        ];
    }
    let bare = written.strip_prefix("*.").unwrap_or(written);
    if bare == "_" || !is_name(bare) || bare.contains('_') {
        return Vec::new();
    }
    vec![written.trim_end_matches('.').to_lowercase()]
}

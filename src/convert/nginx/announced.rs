//! `listen … proxy_protocol` and whom nginx believes by it → `proxy_protocol` of listeners.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;

/// Who announces clients at a place, which may be a socket of the file system, by what nginx believes of the headers of the PROXY protocol; none where nobody
/// does.
///
/// # Errors
/// When anybody could.
pub(super) fn announcers(
    site: &Site<'_>,
    scope: &Scope<'_>,
    listen: &Directive,
    is_file: bool,
) -> Result<Option<Vec<String>>, ()> {
    if !listen.args.iter().any(|arg| arg == "proxy_protocol") {
        return Ok(None);
    }
    if is_file {
        site.ledger
            .kept(listen, "`proxy_protocol`, of whoever may connect there");
        return Ok(Some(Vec::new()));
    }
    let header = scope.one("real_ip_header");
    let is_believed = header.is_some_and(|header| header.first() == "proxy_protocol");
    let trusted = scope.all("set_real_ip_from");
    let trusted = trusted.iter().map(|directive| directive.first());
    let trusted: Vec<String> = trusted
        .filter(|from| is_network(from))
        .map(str::to_owned)
        .collect();
    if !is_believed || trusted.is_empty() {
        let why = "nginx hears everybody by the PROXY protocol: write the listener with `proxy_protocol`, and name \
                   in `from` who may announce";
        site.ledger.dropped(listen, why);
        return Err(());
    }
    let why =
        "`proxy_protocol.from` of the listener: only those whom `set_real_ip_from` names are heard";
    site.ledger.changed(listen, why);
    Ok(Some(trusted))
}

/// Whether this is an address or a network.
pub(super) fn is_network(written: &str) -> bool {
    written.parse::<IpNet>().is_ok() || written.parse::<IpAddr>().is_ok()
}

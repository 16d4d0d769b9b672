//! `server` of an `upstream` → an upstream of a pool, and what nginx says of each and Portway of a pool.

use crate::config::UNIX_PREFIX;
use crate::config::problem::upstream::SOCKET_PATH_BYTES_MAX;
use crate::convert::nginx::ledger::Ledger;
use crate::convert::nginx::quantities::duration;
use crate::convert::nginx::quantities::time;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::tree::Directive;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Item;
use crate::convert::yaml::Yaml;
use crate::model::name::HostName;

/// Where an upstream stands in its pool.
#[derive(Clone, Copy)]
pub(super) enum Tier {
    Primary,
    Secondary,
}

/// What nginx says of each upstream and Portway of a pool: of each the first that is said.
#[derive(Default)]
pub(super) struct Shared {
    max_fails: Option<String>,
    fail_timeout: Option<String>,
    slow_start: Option<String>,
}

impl Shared {
    /// What the upstreams of a block say that are in use.
    pub(super) fn of<'s>(servers: impl Iterator<Item = &'s Directive>) -> Self {
        let mut all = Self::default();
        for said in servers.filter(|server| !is_down(server)).map(Self::said_by) {
            all.max_fails = all.max_fails.or(said.max_fails);
            all.fail_timeout = all.fail_timeout.or(said.fail_timeout);
            all.slow_start = all.slow_start.or(said.slow_start);
        }
        all
    }

    fn said_by(server: &Directive) -> Self {
        let mut said = Self::default();
        for parameter in server.args.iter().skip(1) {
            match parameter.split_once('=') {
                Some(("max_fails", value)) if value.parse().is_ok_and(|n: u32| n <= 1000) => {
                    said.max_fails = Some(value.to_owned());
                }
                Some(("fail_timeout", value)) => {
                    let value = time(value).filter(|time| !time.is_zero());
                    said.fail_timeout = value.map(duration);
                }
                Some(("slow_start", value)) => {
                    let value = time(value).map(|time| (!time.is_zero()).then(|| duration(time)));
                    said.slow_start = value.map(|time| time.unwrap_or_else(|| NONE.to_owned()));
                }
                _ => {}
            }
        }
        said
    }

    /// Whether this is what nginx does with an upstream that says this of itself. Who says nothing means nginx's own.
    fn fits(&self, said: &Self) -> bool {
        let fits = |all: &Option<String>, said: &Option<String>, own: &str| {
            let said = said.as_deref().unwrap_or(own);
            all.as_deref().is_none_or(|all| all == said)
        };
        fits(&self.max_fails, &said.max_fails, "1")
            && fits(&self.fail_timeout, &said.fail_timeout, "10s")
            && fits(&self.slow_start, &said.slow_start, NONE)
    }

    pub(super) fn entries(self) -> Vec<Entry> {
        let pairs = [
            ("max_fails", self.max_fails),
            ("fail_timeout", self.fail_timeout),
            ("slow_start", self.slow_start),
        ];
        let there =
            |(key, value): (&str, Option<String>)| Some(Entry::new(key, Yaml::plain(value?)));
        pairs.into_iter().filter_map(there).collect()
    }

    /// One upstream; none where it is out of use.
    pub(super) fn member(
        &self,
        ledger: &Ledger,
        server: &Directive,
        address: &str,
    ) -> Option<(Item, Tier)> {
        let mut tier = Tier::Primary;
        let mut weight = None;
        let mut service = None;
        let said = Self::said_by(server);
        for parameter in server.args.iter().skip(1) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (key, value) {
                ("backup", _) => tier = Tier::Secondary,
                ("weight", value) if value.parse().is_ok_and(|n: u32| (1..=1000).contains(&n)) => {
                    weight = Some(value.to_owned());
                }
                ("max_fails", _) if said.max_fails.is_some() => {}
                ("fail_timeout", _) if said.fail_timeout.is_some() => {}
                ("slow_start", _) if said.slow_start.is_some() => {}
                ("service", name) => service = Some(name),
                ("down" | "resolve", _) => {}
                _ => {
                    ledger.dropped(server, format!("`{parameter}` has no counterpart"));
                }
            }
        }
        if is_down(server) {
            ledger.kept(server, "left out, as it is `down`");
            return None;
        }
        let Some(value) = written(server, address, service, weight) else {
            let why = "a service has a name such as `_http._tcp.app.internal`";
            ledger.dropped(server, why);
            return None;
        };
        if address.starts_with('$') {
            let variable = address
                .trim_start_matches("${")
                .split(':')
                .next()
                .unwrap_or_default();
            let why = format!("a placeholder: set {variable} to the address and port of the node");
            ledger.changed(server, why);
        } else if self.fits(&said) {
            ledger.kept(server, "an upstream of the pool");
        } else {
            ledger.changed(
                server,
                "`max_fails`, `fail_timeout` and `slow_start` are those of the pool",
            );
        }
        let comments = server.comments.clone();
        Some((Item { comments, value }, tier))
    }
}

fn is_down(server: &Directive) -> bool {
    server.args.iter().skip(1).any(|word| word == "down")
}

/// The item for an upstream; none where its service has no name that can be asked for.
fn written(
    server: &Directive,
    address: &str,
    service: Option<&str>,
    weight: Option<String>,
) -> Option<Yaml> {
    let weight = weight.map(|weight| Entry::new("weight", Yaml::plain(weight)));
    let of = |first| Yaml::Map(std::iter::once(first).chain(weight.clone()).collect());
    let address = if address.starts_with(UNIX_PREFIX) {
        Yaml::text(address)
    } else {
        Yaml::template(address)
    };
    match service {
        Some(service) => {
            let name = service_of(service, server.first())?;
            Some(of(Entry::new("service", Yaml::text(&name))))
        }
        None if weight.is_some() => Some(of(Entry::new("address", address))),
        None => Some(address),
    }
}

const NONE: &str = "none";

/// Whether an address is spoken to by TLS, and what stands behind the scheme, which gRPC may leave out.
///
/// # Errors
/// Why it is no address.
pub(super) fn scheme<'u>(url: &'u str, scope: &Scope<'_>) -> Result<(bool, &'u str), &'static str> {
    let (secure, plain) = if scope.is_grpc() {
        ("grpcs://", "grpc://")
    } else {
        ("https://", "http://")
    };
    match (url.strip_prefix(secure), url.strip_prefix(plain)) {
        (Some(rest), _) => Ok((true, rest)),
        (None, Some(rest)) => Ok((false, rest)),
        (None, None) if scope.is_grpc() && !url.contains("://") => Ok((false, url)),
        (None, None) => Err("it is no scheme of an upstream"),
    }
}

/// What is named, and the path behind it: behind another colon, where it is a socket.
pub(super) fn parts(rest: &str) -> (&str, Option<&str>) {
    let is_socket = rest.starts_with(UNIX_PREFIX);
    let end = if is_socket {
        rest.match_indices(':').nth(1).map(|(end, _)| end)
    } else {
        rest.find('/')
    };
    match end.and_then(|end| rest.split_at_checked(end)) {
        Some((socket, path)) if is_socket => {
            let path = path.strip_prefix(':');
            (socket, path.filter(|path| !path.is_empty()))
        }
        Some((authority, path)) => (authority, Some(path)),
        None => (rest, None),
    }
}

/// The address of an upstream, `port` where it has none; or its socket.
///
/// # Errors
/// Why it is none.
pub(super) fn address(written: &str, port: &str) -> Result<String, String> {
    if let Some(path) = written.strip_prefix(UNIX_PREFIX) {
        return socket(path).map(|()| written.to_owned());
    }
    let (host, port) = match written.rsplit_once(':') {
        Some((host, port)) if !written.ends_with(']') => (host, port),
        _ => (written, port),
    };
    let is_port = port.parse().is_ok_and(|port: u16| port > 0);
    if !is_port || HostName::parse(host).is_err() {
        return Err(format!("`{written}` is no address of an upstream"));
    }
    Ok(format!("{host}:{port}"))
}

/// Whether a path can be that of a socket.
fn socket(path: &str) -> Result<(), String> {
    let why = if !path.starts_with('/') {
        "does not begin at the root, and nginx starts it from wherever it was started"
    } else if path.ends_with('/') {
        "is the path of a folder"
    } else if path.len() > SOCKET_PATH_BYTES_MAX {
        "is longer than the path of a socket can be"
    } else {
        return Ok(());
    };
    Err(format!("`{path}` {why}"))
}

/// The name of a service, as nginx puts it together.
fn service_of(service: &str, host: &str) -> Option<String> {
    let name = if service.contains('.') {
        format!("{service}.{host}")
    } else {
        format!("_{service}._tcp.{host}")
    };
    let are_marked = name.split('.').take(2).all(|label| label.starts_with('_'));
    (are_marked && HostName::parse(&name).is_ok()).then_some(name)
}

/// Whether a host is one that documents write in the place of an address: `xxx.xxx.xxx.xxx`.
pub(super) fn is_placeholder(host: &str) -> bool {
    let is_blank =
        |label: &str| !label.is_empty() && label.bytes().all(|b| matches!(b, b'x' | b'X'));
    host.contains('.') && host.split('.').all(is_blank)
}

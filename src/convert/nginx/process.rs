//! What concerns the process as a whole: sizes and times of connections, the access log, trusted proxies,
//! threads, name servers.

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::convert::nginx::announced::is_network;
use crate::convert::nginx::quantities::bytes;
use crate::convert::nginx::quantities::duration;
use crate::convert::nginx::quantities::size;
use crate::convert::nginx::quantities::time;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;

/// The blocks of a file.
pub(super) struct Blocks<'t> {
    /// `http` and the servers, whose settings can be those of the process.
    pub(super) around: Vec<&'t [Directive]>,
    /// The locations, whose settings cannot.
    pub(super) deeper: Vec<&'t [Directive]>,
}

/// The sections about it; `main` has the directives outside of `http`.
pub(super) fn sections(site: &Site<'_>, main: &[Directive], blocks: &Blocks<'_>) -> Vec<Entry> {
    let mut sections = Vec::new();
    sections.extend(threads(site, main));
    sections.extend(trusted(site, blocks));
    sections.extend(access_log(site, blocks));
    sections.extend(limits(site, main, blocks));
    sections.extend(name_servers(site, blocks));
    sections
}

/// The first of a name, and a word on all others: the process has one value.
fn first<'t>(site: &Site<'_>, blocks: &Blocks<'t>, name: &str) -> Option<&'t Directive> {
    let mut found = named(&blocks.around, name);
    let first = found.next();
    for other in found.chain(named(&blocks.deeper, name)) {
        if first.is_some_and(|first| other.args == first.args) {
            site.ledger.kept(other, "as above, for all virtual hosts");
        } else {
            let why = "there is one value for all routes, and this is another one";
            site.ledger.dropped(other, why);
        }
    }
    first
}

fn named<'t>(blocks: &[&'t [Directive]], name: &str) -> impl Iterator<Item = &'t Directive> {
    let all = blocks.iter().flat_map(|block| block.iter());
    all.filter(move |directive| directive.name == name)
}

fn threads(site: &Site<'_>, main: &[Directive]) -> Option<Entry> {
    let directive = main
        .iter()
        .find(|directive| directive.name == "worker_processes")?;
    match directive.first().parse::<u32>() {
        Ok(count @ 1..=1024) => {
            site.ledger.kept(directive, "`threads`");
            Some(Entry::new("threads", Yaml::plain(count)))
        }
        _ => {
            site.ledger
                .kept(directive, "as many threads as there are processors");
            None
        }
    }
}

fn trusted(site: &Site<'_>, blocks: &Blocks<'_>) -> Option<Entry> {
    let mut networks: Vec<String> = Vec::new();
    for (directive, is_announced) in believed(blocks) {
        match directive.first() {
            written if is_announced && (is_network(written) || written == "unix:") => {
                site.ledger
                    .kept(directive, "`proxy_protocol.from` of listeners");
            }
            written if is_network(written) => {
                site.ledger
                    .kept(directive, "`trusted_proxies`, for all virtual hosts");
                networks.push(written.to_owned());
            }
            _ => site
                .ledger
                .dropped(directive, "proxies are trusted by address or network"),
        }
    }
    for directive in named(&blocks.around, "real_ip_header") {
        match directive.first().to_ascii_lowercase().as_str() {
            "proxy_protocol" => site.ledger.kept(directive, "`proxy_protocol` of listeners"),
            "x-forwarded-for" => site.ledger.kept(directive, "believed of `trusted_proxies`"),
            _ => site
                .ledger
                .dropped(directive, "`X-Forwarded-For` or `Forwarded` is believed"),
        }
    }
    for directive in named(&blocks.around, "real_ip_recursive") {
        match directive.first() {
            "on" => site.ledger.kept(
                directive,
                "the last address that is no trusted proxy counts",
            ),
            _ => site.ledger.changed(
                directive,
                "the last address that is no trusted proxy counts",
            ),
        }
    }
    networks.dedup();
    (!networks.is_empty()).then(|| Entry::new("trusted_proxies", Yaml::words(networks)))
}

/// Each `set_real_ip_from`, and whether it is about the PROXY protocol: its block goes by that, or the file does.
fn believed<'t>(blocks: &Blocks<'t>) -> Vec<(&'t Directive, bool)> {
    let header = |block: &&'t [Directive]| {
        let mut headers = block.iter().filter(|own| own.name == "real_ip_header");
        headers.next().map(Directive::first)
    };
    let whole = blocks.around.first().and_then(header);
    let each = blocks.around.iter().flat_map(|block| {
        let is_announced = header(block).or(whole) == Some("proxy_protocol");
        let from = block.iter().filter(|own| own.name == "set_real_ip_from");
        from.map(move |from| (from, is_announced))
    });
    each.collect()
}

fn access_log(site: &Site<'_>, blocks: &Blocks<'_>) -> Option<Entry> {
    let directive = first(site, blocks, "access_log")?;
    let to = match directive.first() {
        "off" => {
            site.ledger.kept(directive, "no access log, as by default");
            return None;
        }
        "/dev/stdout" => "stdout".to_owned(),
        "/dev/stderr" => "stderr".to_owned(),
        remote if remote.starts_with("syslog:") || remote.contains('$') => {
            site.ledger.dropped(
                directive,
                "the access log goes to a file or a standard stream",
            );
            return None;
        }
        file => site.path(file),
    };
    match directive.args.get(1).map(String::as_str) {
        None | Some("combined") => site
            .ledger
            .kept(directive, "`logs.access`, for all virtual hosts"),
        Some(_) => {
            site.ledger.changed(
                directive,
                "`logs.access` in the format `combined`, for all virtual hosts",
            );
        }
    }
    let access = Yaml::Map(vec![
        Entry::new("format", Yaml::text("combined")),
        Entry::new("to", Yaml::text(&to)),
    ]);
    Some(Entry::new(
        "logs",
        Yaml::Map(vec![Entry::new("access", access)]),
    ))
}

fn limits(site: &Site<'_>, main: &[Directive], blocks: &Blocks<'_>) -> Option<Entry> {
    let mut limits = Vec::new();
    for (name, key) in TIMES {
        let Some(directive) = first(site, blocks, name) else {
            continue;
        };
        match time(directive.first()).filter(|time| !time.is_zero()) {
            Some(time) => {
                site.ledger
                    .kept(directive, format!("`limits.{key}`, for all virtual hosts"));
                limits.push(Entry::new(key, Yaml::plain(duration(time))));
            }
            None => site.ledger.dropped(
                directive,
                "no time that can be waited: Portway's default counts",
            ),
        }
    }
    limits.extend(header_size(site, blocks));
    let events = main.iter().find(|directive| directive.name == "events");
    if let Some(events) = events {
        site.ledger
            .kept(events, "what is in it has lines of its own");
        let mut inside = events.inside().iter();
        let connections = inside.find(|directive| directive.name == "worker_connections");
        if let Some((directive, count)) = connections.and_then(counted) {
            site.ledger
                .changed(directive, "`limits.connections`, of clients and in all");
            limits.push(Entry::new("connections", Yaml::plain(count)));
        }
    }
    let mut main = main.iter();
    if let Some(directive) = main.find(|directive| directive.name == "worker_shutdown_timeout")
        && let Some(time) = time(directive.first()).filter(|time| !time.is_zero())
    {
        site.ledger.kept(directive, "`limits.drain_timeout`");
        limits.push(Entry::new("drain_timeout", Yaml::plain(duration(time))));
    }
    (!limits.is_empty()).then(|| Entry::new("limits", Yaml::Map(limits)))
}

fn counted(directive: &Directive) -> Option<(&Directive, u32)> {
    let count = directive.first().parse().ok().filter(|count| *count > 0)?;
    Some((directive, count))
}

/// As much as nginx takes in all its buffers.
fn header_size(site: &Site<'_>, blocks: &Blocks<'_>) -> Option<Entry> {
    let directive = first(site, blocks, "large_client_header_buffers")?;
    let count: u64 = directive.first().parse().ok()?;
    let each = size(directive.args.get(1)?)?;
    let all = count.saturating_mul(each).clamp(1 << 10, 1 << 20);
    site.ledger
        .kept(directive, "`limits.header_size`, for all virtual hosts");
    Some(Entry::new("header_size", Yaml::plain(bytes(all))))
}

fn name_servers(site: &Site<'_>, blocks: &Blocks<'_>) -> Option<Entry> {
    let directive = first(site, blocks, "resolver")?;
    let is_address = |text: &&String| {
        text.parse().is_ok_and(|at: SocketAddr| at.port() > 0)
            || text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
    };
    let servers: Vec<String> = directive
        .args
        .iter()
        .filter(is_address)
        .map(|text| server(text))
        .collect();
    if servers.is_empty() {
        site.ledger
            .dropped(directive, "name servers have addresses");
        return None;
    }
    if servers.len() == directive.args.len() {
        site.ledger.kept(directive, "`dns.servers`");
    } else {
        site.ledger.changed(
            directive,
            "`dns.servers`: answers are used for as long as they say",
        );
    }
    let servers = Entry::new("servers", Yaml::words(servers));
    Some(Entry::new("dns", Yaml::Map(vec![servers])))
}

/// An address alone stands without brackets, one with a port with them.
fn server(text: &str) -> String {
    if text.parse::<SocketAddr>().is_ok() {
        text.to_owned()
    } else {
        text.trim_matches(['[', ']']).to_owned()
    }
}

const TIMES: &[(&str, &str)] = &[
    ("client_header_timeout", "header_timeout"),
    ("client_body_timeout", "body_idle_timeout"),
    ("send_timeout", "send_timeout"),
    ("keepalive_timeout", "keep_alive_timeout"),
];

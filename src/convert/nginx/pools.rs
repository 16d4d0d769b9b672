//! `upstream` and what `proxy_pass` names → pools, one for each set of upstreams and way to speak to them.

use crate::convert::nginx::ledger::Ledger;
use crate::convert::nginx::members::Shared;
use crate::convert::nginx::members::Tier;
use crate::convert::nginx::members::address;
use crate::convert::nginx::members::is_placeholder;
use crate::convert::nginx::site::comments_of;
use crate::convert::nginx::tree::Directive;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Item;
use crate::convert::yaml::Yaml;

/// A variable that has to be set, because the file has a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The variable.
    pub variable: String,
    /// What it is needed for.
    pub message: String,
}

/// The pools that have been asked for.
pub(super) struct Pools<'t> {
    upstreams: Vec<&'t Directive>,
    made: Vec<Made>,
    pub(super) demands: Vec<Demand>,
}

/// How a pool is to be spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manner {
    /// The section `tls`; none in plain.
    pub(super) tls: Option<Vec<Entry>>,
    /// Whether by HTTP/2.
    pub(super) http2: bool,
    /// Further upstreams for one request.
    pub(super) retries: Option<u64>,
}

struct Made {
    authority: String,
    manner: Manner,
    name: String,
    entry: Entry,
}

impl<'t> Pools<'t> {
    pub(super) fn new(upstreams: Vec<&'t Directive>) -> Self {
        Self {
            upstreams,
            made: Vec::new(),
            demands: Vec::new(),
        }
    }

    /// Whether an `upstream` has this name.
    pub(super) fn is_upstream(&self, name: &str) -> bool {
        self.upstreams.iter().any(|block| block.first() == name)
    }

    /// The name of the pool for what stands behind `http://`.
    ///
    /// # Errors
    /// Why there can be none.
    pub(super) fn pool(
        &mut self,
        ledger: &Ledger,
        authority: &str,
        manner: &Manner,
    ) -> Result<String, String> {
        let mut made = self.made.iter();
        let known = made.find(|made| made.authority == authority && made.manner == *manner);
        if let Some(known) = known {
            return Ok(known.name.clone());
        }
        let block = self.upstreams.iter().copied();
        let block = block.into_iter().find(|block| block.first() == authority);
        let mut entry = match block {
            Some(block) => self.of_block(ledger, block)?,
            None => of_address(authority, manner)?,
        };
        let name = self.free_name(authority, manner);
        entry.key.clone_from(&name);
        if let Yaml::Map(entries) = &mut entry.value {
            manner.write(entries);
        }
        self.made.push(Made {
            authority: authority.to_owned(),
            manner: manner.clone(),
            name: name.clone(),
            entry,
        });
        Ok(name)
    }

    /// Those of these names, for `pools`.
    pub(super) fn entries(&self, used: &[String]) -> Vec<Entry> {
        let used = self.made.iter().filter(|made| used.contains(&made.name));
        used.map(|made| made.entry.clone()).collect()
    }

    /// Says of each `upstream` that no route leads to it.
    pub(super) fn unused(&self, ledger: &Ledger) {
        for block in &self.upstreams {
            let is_used = self.made.iter().any(|made| made.authority == block.first());
            if !is_used {
                ledger.dropped_whole(block, "no route leads to it");
            }
        }
    }

    fn free_name(&self, authority: &str, manner: &Manner) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let path = authority.strip_prefix("unix:/");
        let word = path.unwrap_or(authority).replace(|c| !is_word(c), "-");
        let word: String = word.chars().take(NAME_MAX).collect();
        let is_free = |name: &String| !self.made.iter().any(|made| made.name == *name);
        let with_tls = manner.tls.is_some().then(|| format!("{word}-tls"));
        let numbered = (2_u32..).map(|number| format!("{word}-{number}"));
        let mut names = std::iter::once(word.clone())
            .chain(with_tls)
            .chain(numbered);
        names.find(is_free).unwrap_or(word)
    }

    fn of_block(&mut self, ledger: &Ledger, block: &Directive) -> Result<Entry, String> {
        let mut primary = Vec::new();
        let mut secondary = Vec::new();
        let servers = || block.inside().iter().filter(|inner| inner.name == "server");
        let shared = Shared::of(servers());
        let mut place = 0_u32;
        for server in servers() {
            place = place.saturating_add(1);
            let address = match self.address(block.first(), server, place) {
                Ok(address) => address,
                Err(why) => {
                    ledger.dropped(server, why);
                    continue;
                }
            };
            let member = shared.member(ledger, server, &address);
            match member {
                Some((item, Tier::Primary)) => primary.push(item),
                Some((item, Tier::Secondary)) => secondary.push(item),
                None => {}
            }
        }
        if primary.is_empty() {
            std::mem::swap(&mut primary, &mut secondary);
        }
        if primary.is_empty() {
            let why = "none of its upstreams can be used";
            ledger.dropped(block, why);
            return Err(format!("`upstream {}` has no upstreams", block.first()));
        }
        let mut entries = balance(ledger, block);
        entries.push(Entry::new("primary", Yaml::List(primary)));
        if !secondary.is_empty() {
            entries.push(Entry::new("secondary", Yaml::List(secondary)));
        }
        entries.extend(shared.entries());
        ledger.kept(block, "a pool");
        Ok(Entry {
            comments: comments_of(block, &["server"]),
            key: String::new(),
            value: Yaml::Map(entries),
        })
    }

    fn address(
        &mut self,
        upstream: &str,
        server: &Directive,
        place: u32,
    ) -> Result<String, String> {
        let written = server.first();
        let host = written.rsplit_once(':').map_or(written, |(host, _)| host);
        if !is_placeholder(host) {
            return address(written, "80");
        }
        let word = upstream.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let variable = format!("NODE_{}_{place}", word.to_ascii_uppercase());
        let (file, line) = (server.file.replace(['{', '}'], "_"), server.line);
        let message =
            format!("{file}:{line} has {written}: set it to the address and port of that node");
        let template = format!("${{{variable}:?{message}}}");
        if !self
            .demands
            .iter()
            .any(|demand| demand.variable == variable)
        {
            self.demands.push(Demand { variable, message });
        }
        Ok(template)
    }
}

impl Manner {
    fn write(&self, entries: &mut Vec<Entry>) {
        let scheme = match (self.tls.is_some(), self.http2) {
            (true, true) => Some("h2"),
            (true, false) => Some("https"),
            (false, true) => Some("h2c"),
            (false, false) => None,
        };
        let scheme = scheme.map(|scheme| Entry::new("scheme", Yaml::text(scheme)));
        let tls = self.tls.clone().filter(|tls| !tls.is_empty());
        let tls = tls.map(|tls| Entry::new("tls", Yaml::Map(tls)));
        let before: Vec<Entry> = scheme.into_iter().chain(tls).collect();
        entries.splice(0..0, before);
        if let Some(retries) = self.retries {
            entries.push(Entry::new("connect_retries", Yaml::plain(retries)));
        }
    }
}

fn balance(ledger: &Ledger, block: &Directive) -> Vec<Entry> {
    let mut entries = Vec::new();
    for inner in block.inside() {
        let value = match inner.name.as_str() {
            "ip_hash" => {
                ledger.kept(inner, "`balance: ip_hash`, the same key (W-05)");
                Yaml::text("ip_hash")
            }
            "least_conn" => {
                ledger.kept(inner, "`balance: least_connections`");
                Yaml::text("least_connections")
            }
            "random" if inner.args == ["two", "least_conn"] || inner.args == ["two"] => {
                ledger.kept(inner, "`balance: random_two`");
                Yaml::text("random_two")
            }
            "random" => {
                ledger.changed(inner, "`balance: random_two`, the less busy of two");
                Yaml::text("random_two")
            }
            "hash" => match hash(ledger, inner) {
                Some(value) => value,
                None => continue,
            },
            _ => continue,
        };
        entries.push(Entry::new("balance", value));
    }
    entries.truncate(1);
    entries
}

fn hash(ledger: &Ledger, directive: &Directive) -> Option<Yaml> {
    let key = directive.first().trim_start_matches('$');
    let of = if let Some(name) = key.strip_prefix("cookie_").filter(|name| !name.is_empty()) {
        Entry::new("cookie", Yaml::text(name))
    } else if let Some(name) = key
        .strip_prefix("http_")
        .filter(|name| !["", "cookie"].contains(name))
    {
        Entry::new("header", Yaml::text(&name.replace('_', "-")))
    } else if ["remote_addr", "binary_remote_addr"].contains(&key) {
        ledger.changed(
            directive,
            "`balance: ip_hash`, which takes the first three octets of IPv4",
        );
        return Some(Yaml::text("ip_hash"));
    } else {
        ledger.dropped(
            directive,
            "a client can be kept on an upstream by address, cookie or header",
        );
        return None;
    };
    ledger.changed(directive, "`balance: { hash: … }`, with another hash");
    let of = Yaml::Map(vec![Entry::new("hash", Yaml::Map(vec![of]))]);
    Some(of)
}

/// A pool of the one address, or socket, that `proxy_pass` names.
fn of_address(authority: &str, manner: &Manner) -> Result<Entry, String> {
    let port = if manner.tls.is_some() { "443" } else { "80" };
    let address = Yaml::text(&address(authority, port)?);
    let primary = Yaml::List(vec![Item::new(address)]);
    Ok(Entry::new(
        "",
        Yaml::Map(vec![Entry::new("primary", primary)]),
    ))
}

/// Shorter than the name of a pool may be, so that a number fits behind it.
const NAME_MAX: usize = 100;

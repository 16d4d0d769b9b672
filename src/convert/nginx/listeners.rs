//! `listen` and the certificates of servers → listeners, one for each address.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use crate::convert::nginx::announced::announcers;
use crate::convert::nginx::scope::Scope;
use crate::convert::nginx::site::Site;
use crate::convert::nginx::tree::Directive;
use crate::convert::yaml::Entry;
use crate::convert::yaml::Item;
use crate::convert::yaml::Yaml;

/// What connections of a listener speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http,
    Https,
}

/// Where is listened.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Bind {
    Tcp(SocketAddr),
    /// A socket of the file system, by its path as it is written.
    Unix(String),
}

/// A place that is listened at.
#[derive(Clone, Debug)]
struct Listener {
    bind: Bind,
    speaks: Speaks,
    /// Who announces clients by the PROXY protocol; none where nobody does.
    announcers: Option<Vec<String>>,
    name: String,
    http2: bool,
    /// Whether TLS 1.3 alone is spoken; nobody has said so, or otherwise, where there is none.
    newest: Option<bool>,
    /// Files of the chain and the key, the default server's first.
    certificates: Vec<(String, String)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    all: Vec<Listener>,
    /// All addresses of one kind, with the ports that some server is heard on there.
    everywhere: Vec<SocketAddr>,
}

/// A listener of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    pub(super) name: String,
    pub(super) speaks: Speaks,
}

impl Listeners {
    /// None yet, for these servers.
    pub(super) fn of(servers: &[&Directive]) -> Self {
        let heard = |server: &Directive| {
            let listens = server
                .inside()
                .iter()
                .filter(|inner| inner.name == "listen");
            let addresses: Vec<_> = listens.map(|listen| tcp(listen.first())).collect();
            if addresses.is_empty() {
                return vec![Some(UNSAID)];
            }
            addresses
        };
        let addresses = servers.iter().flat_map(|server| heard(server)).flatten();
        Self {
            all: Vec::new(),
            everywhere: addresses.filter(|at| at.ip().is_unspecified()).collect(),
        }
    }

    /// The listeners that a server is heard on. With TLS a server needs a certificate.
    ///
    /// # Errors
    /// Why it is heard on none.
    pub(super) fn of_server(
        &mut self,
        site: &Site<'_>,
        scope: &Scope<'_>,
    ) -> Result<Vec<Heard>, &'static str> {
        let certificates = certificates(site, scope);
        let switch = scope.one("ssl");
        if let Some(switch) = switch {
            site.ledger.kept(switch, "`tls` of the listener (W-22)");
        }
        let all_tls = switch.is_some_and(|switch| switch.first() == "on");
        let http2 = scope.one("http2");
        if let Some(http2) = http2 {
            site.ledger
                .kept(http2, "`tls.http2`, and `h2c` without TLS");
        }
        let all_http2 = http2.is_some_and(|http2| http2.first() == "on");
        let listens = scope.own("listen");
        let mut heard = Vec::new();
        let mut bare = false;
        for listen in &listens {
            let Some(bind) = self.bind(site, listen) else {
                continue;
            };
            let is_file = matches!(bind, Bind::Unix(_));
            let Ok(announcers) = announcers(site, scope, listen, is_file) else {
                continue;
            };
            let says = |word: &str| listen.args.iter().any(|arg| arg == word);
            let tls = all_tls || says("ssl");
            let speaks = if tls { Speaks::Https } else { Speaks::Http };
            if tls && certificates.is_empty() {
                site.ledger.dropped(listen, "TLS without a certificate");
                bare = true;
                continue;
            }
            self.parameters(site, listen);
            let listener = self.entry(bind, speaks);
            listener.http2 |= all_http2 || says("http2");
            listener.announced_by(announcers);
            if tls {
                listener
                    .newest
                    .get_or_insert_with(|| is_newest_alone(scope));
                listener.offer(&certificates, says("default_server") || says("default"));
            }
            let (name, speaks) = (listener.name.clone(), listener.speaks);
            let own = Heard { name, speaks };
            if !heard.contains(&own) {
                heard.push(own);
            }
        }
        if listens.is_empty() {
            let listener = self.entry(Bind::Tcp(UNSAID), Speaks::Http);
            let (name, speaks) = (listener.name.clone(), listener.speaks);
            heard.push(Heard { name, speaks });
        }
        match (heard.is_empty(), bare) {
            (false, _) => Ok(heard),
            (true, true) => Err("has TLS and no certificate"),
            (true, false) => Err("is heard on no address that Portway listens on"),
        }
    }

    /// The section `listeners`, without those that nobody is heard on.
    pub(super) fn section(&self, used: &[String]) -> Yaml {
        let used = self
            .all
            .iter()
            .filter(|listener| used.contains(&listener.name));
        Yaml::List(used.map(|listener| Item::new(listener.section())).collect())
    }

    fn entry(&mut self, bind: Bind, speaks: Speaks) -> &mut Listener {
        let mut listeners = self.all.iter();
        let place = listeners.position(|listener| is_one(&listener.bind, &bind));
        // Where all addresses of both kinds are meant, IPv6 takes both; one server with TLS is enough for it.
        if let Some(known) = place.and_then(|place| self.all.get_mut(place)) {
            if matches!(bind, Bind::Tcp(address) if address.is_ipv6()) {
                known.bind = bind.clone();
            }
            if speaks == Speaks::Https {
                known.speaks = speaks;
            }
        }
        let place = place.unwrap_or_else(|| {
            let name = self.free_name(&bind, speaks);
            self.all.push(Listener {
                bind,
                speaks,
                announcers: None,
                name,
                http2: false,
                newest: None,
                certificates: Vec::new(),
            });
            self.all.len().saturating_sub(1)
        });
        #[expect(clippy::indexing_slicing, reason = "the place is one of the list")]
        &mut self.all[place]
    }

    /// Says what became of the words behind the address.
    fn parameters(&self, site: &Site<'_>, listen: &Directive) {
        let mut lost = self.hears_more(listen);
        if lost {
            let why = "heard by IPv4, too: the socket of all addresses of IPv6 takes both kinds";
            site.ledger.changed(listen, why);
        }
        for parameter in listen.args.iter().skip(1) {
            match parameter
                .split_once('=')
                .map_or(parameter.as_str(), |(name, _)| name)
            {
                "ssl" | "http2" => {}
                // It has a word of its own.
                "proxy_protocol" => lost = true,
                "default_server" | "default" => {
                    lost = true;
                    let why = "names that no server has are refused, also here (W-01)";
                    site.ledger.changed(listen, why);
                }
                "backlog" | "reuseport" | "deferred" | "fastopen" | "rcvbuf" | "sndbuf"
                | "bind" | "so_keepalive" | "accept_filter" | "setfib" | "ipv6only" => {
                    lost = true;
                    site.ledger
                        .changed(listen, format!("`{parameter}` needs no setting"));
                }
                _ => {
                    lost = true;
                    site.ledger
                        .dropped(listen, format!("`{parameter}` has no counterpart"));
                }
            }
        }
        if !lost {
            site.ledger.kept(listen, "a listener");
        }
    }

    /// Whether nobody asks for the addresses of IPv4 that come with these of IPv6.
    fn hears_more(&self, listen: &Directive) -> bool {
        let Some(address) = tcp(listen.first()).filter(SocketAddr::is_ipv6) else {
            return false;
        };
        let beside = SocketAddr::from(([0, 0, 0, 0], address.port()));
        let asks = listen.args.iter().any(|arg| arg == "ipv6only=off");
        address.ip().is_unspecified() && !asks && !self.everywhere.contains(&beside)
    }

    fn free_name(&self, bind: &Bind, speaks: Speaks) -> String {
        let (word, usual) = match speaks {
            Speaks::Http => ("http", 80),
            Speaks::Https => ("https", 443),
        };
        let by_port = match bind {
            Bind::Tcp(address) if address.port() == usual => word.to_owned(),
            Bind::Tcp(address) => format!("{word}-{}", address.port()),
            Bind::Unix(_) => format!("{word}-unix"),
        };
        let numbered = (2_u32..).map(|number| format!("{by_port}-{number}"));
        let mut names = std::iter::once(by_port.clone()).chain(numbered);
        let is_free = |name: &String| !self.all.iter().any(|listener| listener.name == *name);
        names.find(is_free).unwrap_or_default()
    }

    fn bind(&self, site: &Site<'_>, listen: &Directive) -> Option<Bind> {
        if listen.args.iter().any(|arg| arg == "quic") {
            site.ledger.dropped(listen, "HTTP/3 is not spoken");
            return None;
        }
        let written = listen.first();
        if let Some(path) = written.strip_prefix("unix:") {
            return Some(Bind::Unix(site.path(path)));
        }
        let address = tcp(written);
        let beside = |address: &SocketAddr| {
            let mut ports = self.everywhere.iter().map(SocketAddr::port);
            !address.ip().is_unspecified() && ports.any(|port| port == address.port())
        };
        if address.as_ref().is_some_and(beside) {
            let why = "another server has this port at all addresses, beside which none is bound; \
                       taken there it would be heard everywhere";
            site.ledger.dropped(listen, why);
            return None;
        }
        if address.is_none() {
            site.ledger.dropped(listen, "names are not resolved");
        }
        address.map(Bind::Tcp)
    }
}

impl Listener {
    fn offer(&mut self, certificates: &[(String, String)], is_default: bool) {
        let known = std::mem::take(&mut self.certificates);
        let (first, then) = if is_default {
            (certificates.to_vec(), known)
        } else {
            (known, certificates.to_vec())
        };
        self.certificates = first;
        for pair in then {
            // With another key it would be the same certificate.
            if !self.certificates.iter().any(|(chain, _)| *chain == pair.0) {
                self.certificates.push(pair);
            }
        }
    }

    /// One `listen` that has clients announced is enough for its socket.
    fn announced_by(&mut self, more: Option<Vec<String>>) {
        let Some(more) = more else {
            return;
        };
        let known = self.announcers.get_or_insert_default();
        known.extend(more);
        known.sort_unstable();
        known.dedup();
    }

    fn section(&self) -> Yaml {
        let bind = match &self.bind {
            Bind::Tcp(address) => address.to_string(),
            Bind::Unix(path) => format!("unix:{path}"),
        };
        let mut entries = vec![
            Entry::new("name", Yaml::text(&self.name)),
            Entry::new("bind", Yaml::text(&bind)),
        ];
        if matches!(self.bind, Bind::Unix(_)) {
            // nginx lets everybody connect to its sockets.
            entries.push(Entry::new("mode", Yaml::text("0666")));
        }
        if let Some(from) = &self.announcers {
            let from = Entry::new("from", Yaml::words(from.clone()));
            let from = matches!(self.bind, Bind::Tcp(_)).then_some(from);
            let section = Yaml::Map(from.into_iter().collect());
            entries.push(Entry::new("proxy_protocol", section));
        }
        if self.speaks == Speaks::Http && self.http2 {
            entries.push(Entry::new("h2c", Yaml::plain(true)));
        }
        if self.speaks == Speaks::Https {
            let pair = |(chain, key): &(String, String)| {
                Item::new(Yaml::Map(vec![
                    Entry::new("certificate_file", Yaml::text(chain)),
                    Entry::new("key_file", Yaml::text(key)),
                ]))
            };
            let certificates = self.certificates.iter().map(pair).collect();
            let mut tls = vec![Entry::new("certificates", Yaml::List(certificates))];
            if self.newest == Some(true) {
                tls.push(Entry::new("min_version", Yaml::text("TLSv1.3")));
            }
            tls.push(Entry::new("http2", Yaml::plain(self.http2)));
            entries.push(Entry::new("tls", Yaml::Map(tls)));
        }
        Yaml::Map(entries)
    }
}

/// Whether a server speaks TLS 1.3 and nothing older. Of several on one socket the first says so, as the default server
/// does for nginx.
fn is_newest_alone(scope: &Scope<'_>) -> bool {
    let said = scope.one("ssl_protocols");
    said.is_some_and(|said| said.args.iter().all(|version| version == "TLSv1.3"))
}

/// Whether one socket serves both: that of all addresses of IPv6 takes those of IPv4, too.
fn is_one(one: &Bind, other: &Bind) -> bool {
    let (Bind::Tcp(here), Bind::Tcp(there)) = (one, other) else {
        return one == other;
    };
    let (one, other) = (*here, *there);
    let both_all = one.ip().is_unspecified() && other.ip().is_unspecified();
    one == other || (both_all && one.port() == other.port())
}

/// `80`, `*:80`, `10.0.0.1`, `10.0.0.1:80`, `[::]:80`.
fn tcp(written: &str) -> Option<SocketAddr> {
    if let Ok(address) = written.parse() {
        return Some(address);
    }
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
    if let Some(port) = port(written) {
        return Some(any(port));
    }
    if let Some(rest) = written.strip_prefix("*:") {
        return port(rest).map(any);
    }
    let alone = written.trim_start_matches('[').trim_end_matches(']');
    let address: IpAddr = alone.parse().ok()?;
    Some(SocketAddr::new(address, 80))
}

/// The chains and keys of a server, in pairs.
fn certificates(site: &Site<'_>, scope: &Scope<'_>) -> Vec<(String, String)> {
    let chains = scope.all("ssl_certificate");
    let keys = scope.all("ssl_certificate_key");
    for directive in chains.iter().chain(&keys) {
        site.ledger.kept(
            directive,
            "`tls.certificates` of the listener, chosen by the names in it",
        );
    }
    let pairs = chains.iter().zip(&keys);
    pairs
        .map(|(chain, key)| (site.path(chain.first()), site.path(key.first())))
        .collect()
}

/// Where a server without `listen` is heard.
const UNSAID: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);

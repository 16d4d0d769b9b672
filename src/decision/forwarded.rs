//! Where a request comes from, and whom the gateway believes about it.
//!
//! A client's own words on this are never passed on: every header that `CLIENT_CLAIMS` or
//! `CLIENT_CLAIM_PREFIXES` name is removed from its request by the rule of `identity_headers`, and
//! what is sent instead is made in `forwarded_headers`. Only a trusted proxy is heard, and only on the address, scheme and port
//! of its client; there is none by default. The host is always the one that was routed on (W-10).

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use ipnet::IpNet;

use crate::decision::forwarded_headers::X_FORWARDED_FOR;
use crate::decision::forwarded_headers::X_FORWARDED_PORT;
use crate::decision::forwarded_headers::X_FORWARDED_PROTO;
use crate::model::name::HostName;

/// Headers by which clients could tell upstreams where a request comes from, where it goes to, or
/// what it is; spelled in any way, they are removed from every client's request.
pub const CLIENT_CLAIMS: &[&str] = &[
    // Where it comes from.
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "forwarded",
    "remote-addr",
    "remote-host",
    "true-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-original-forwarded-for",
    "x-originating-ip",
    "x-proxyuser-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    // By which scheme.
    "front-end-https",
    "x-arr-ssl",
    "x-https",
    "x-scheme",
    "x-url-scheme",
    // Where it goes to, and what it is.
    "x-envoy-original-path",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-host",
    "x-original-method",
    "x-original-uri",
    "x-original-url",
    "x-override-url",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-script-name",
    // The client certificate (RFC 9440 §3.1).
    "client-cert",
    "client-cert-chain",
    // CGI turns it into HTTP_PROXY (httpoxy).
    "proxy",
    // Set by the gateway, and by a trusted proxy.
    "traceparent",
    "tracestate",
    "x-request-id",
];

/// Beginnings of such headers, folded as `identity_headers` folds names.
pub const CLIENT_CLAIM_PREFIXES: &[&str] = &["portway", "xforwarded", "xportway"];

/// How a client reaches the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In plain.
    Http,
    /// By TLS.
    Https,
}

impl Scheme {
    /// The scheme as it stands in addresses.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// The port that addresses with this scheme leave out.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Http, Self::Https]
            .into_iter()
            .find(|scheme| scheme.as_str().eq_ignore_ascii_case(text))
    }
}

/// What the gateway knows of a request by itself.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The other end of the connection.
    pub peer: IpAddr,
    /// How it came in.
    pub scheme: Scheme,
    /// The host it is for, as it was routed on.
    pub host: &'a HostName,
    /// The port the client reached the gateway on.
    pub port: u16,
}

/// Where a request comes from, as far as that can be believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The client's address.
    pub client: IpAddr,
    /// How the client reached the gateway, or the trusted proxy before it.
    pub scheme: Scheme,
    /// The port it did so on.
    pub port: u16,
    /// Whether the connection is the client's own.
    sender: Sender,
    /// The addresses a request came through, the peer last: what is sent as `X-Forwarded-For`.
    pub(super) chain: Vec<IpAddr>,
}

/// Whether an address is one whose word on its clients is taken.
#[must_use]
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|range| range.contains(&address))
}

/// Who sends a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Client,
    TrustedProxy,
}

impl Origin {
    /// Finds out where a request comes from.
    ///
    /// From a peer outside `trusted` nothing but the connection counts. From a trusted one the client
    /// is the last address in `X-Forwarded-For` that is not itself trusted, or the first of all when
    /// every one is. An entry that is no address ends the search: the client is then the peer, so that
    /// nonsense never stands for an address some policy allows. `X-Forwarded-Proto` and
    /// `X-Forwarded-Port` count when there is exactly one and it makes sense.
    #[must_use]
    pub fn of(arrival: &Arrival<'_>, trusted: &[IpNet], headers: &HeaderMap) -> Self {
        let peer = arrival.peer.to_canonical();
        let is_trusted = |address: &IpAddr| is_trusted(*address, trusted);
        if !is_trusted(&peer) {
            return Self {
                client: peer,
                scheme: arrival.scheme,
                port: arrival.port,
                sender: Sender::Client,
                chain: vec![peer],
            };
        }
        let hops = Hops::read(headers);
        let client = hops
            .addresses
            .iter()
            .rev()
            .find(|address| !is_trusted(address));
        let client = client
            .copied()
            .or_else(|| hops.first_of_all())
            .unwrap_or(peer);
        let scheme = only(headers, &X_FORWARDED_PROTO)
            .and_then(Scheme::parse)
            .unwrap_or(arrival.scheme);
        let assumed = if scheme == arrival.scheme {
            arrival.port
        } else {
            scheme.default_port()
        };
        let port = only(headers, &X_FORWARDED_PORT)
            .and_then(parse_port)
            .unwrap_or(assumed);
        let mut chain = hops.addresses;
        chain.push(peer);
        Self {
            client,
            scheme,
            port,
            sender: Sender::TrustedProxy,
            chain,
        }
    }

    /// Whether the client itself is the other end of the connection, and not a trusted proxy.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.sender == Sender::Client
    }
}

/// The well-formed end of `X-Forwarded-For`.
struct Hops {
    /// In the header's order.
    addresses: Vec<IpAddr>,
    /// Whether entries stand before them that are no addresses, or more than are read.
    rest: Rest,
}

#[derive(PartialEq, Eq)]
enum Rest {
    None,
    Unread,
}

impl Hops {
    fn read(headers: &HeaderMap) -> Self {
        let values = headers.get_all(X_FORWARDED_FOR).into_iter();
        let entries: Vec<Option<IpAddr>> = values.flat_map(entries_of).collect();
        let well_formed = entries
            .iter()
            .rev()
            .take(HOPS_MAX)
            .map_while(|entry| *entry);
        let mut addresses: Vec<IpAddr> = well_formed.collect();
        addresses.reverse();
        let rest = if addresses.len() == entries.len() {
            Rest::None
        } else {
            Rest::Unread
        };
        Self { addresses, rest }
    }

    fn first_of_all(&self) -> Option<IpAddr> {
        (self.rest == Rest::None)
            .then(|| self.addresses.first().copied())
            .flatten()
    }
}

/// Most entries of `X-Forwarded-For` that are read.
const HOPS_MAX: usize = 32;

/// The addresses of one header value; `None` stands for an entry that is none.
fn entries_of(value: &HeaderValue) -> Vec<Option<IpAddr>> {
    value.to_str().map_or_else(
        |_| vec![None],
        |text| text.split(',').map(parse_address).collect(),
    )
}

/// Reads an address as proxies write it: with a port or without, IPv6 with brackets or without.
fn parse_address(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim_matches([' ', '\t']);
    let bare = entry
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(entry);
    let address = bare
        .parse()
        .or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

/// The value of a header that stands there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next()?;
    if values.next().is_some() {
        None
    } else {
        value.to_str().ok()
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit());
    if is_number {
        text.parse().ok().filter(|port| *port != 0)
    } else {
        None
    }
}

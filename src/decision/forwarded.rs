//! What an upstream is told about the connection it does not see, and whom the gateway believes.
//!
//! A client's own words on this are never passed on: every header that `CLIENT_CLAIMS` or
//! `CLIENT_CLAIM_PREFIXES` name is removed from its request by the rule of `identity_headers`, and
//! what is sent is made here. Only a trusted proxy is heard, and only on the address, scheme and port
//! of its client; there is none by default. The host is always the one that was routed on (W-10).

use std::net::IpAddr;
use std::net::SocketAddr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::header;
use ipnet::IpNet;

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
    // Set by the gateway.
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
    chain: Vec<IpAddr>,
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

    /// The headers that tell an upstream (W-10 to W-12), each to replace whatever stands there.
    pub fn headers(&self, host: &HostName) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let client = value(joined(&[self.client], push_address));
        let chain = if self.chain == [self.client] {
            client.clone()
        } else {
            value(joined(&self.chain, push_address))
        };
        let name = HeaderValue::from_str(host.as_str()).ok();
        let port = HeaderValue::from(self.port);
        let scheme = HeaderValue::from_static(self.scheme.as_str());
        let headers = [
            (header::FORWARDED, value(self.forwarded(host, &port))),
            (X_FORWARDED_FOR, chain),
            (X_FORWARDED_HOST, name.clone()),
            (X_FORWARDED_PORT, Some(port)),
            (X_FORWARDED_PROTO, Some(scheme)),
            (X_FORWARDED_SERVER, name),
            (X_REAL_IP, client),
        ];
        let there = |(name, value): (_, Option<_>)| Some((name, value?));
        headers.into_iter().filter_map(there)
    }

    /// The chain as RFC 7239 has it; host and scheme belong to the last hop.
    fn forwarded(&self, host: &HostName, port: &HeaderValue) -> String {
        let (host, scheme) = (host.as_str(), self.scheme.as_str());
        let (colon, port) = match port.to_str() {
            Ok(port) if self.port != self.scheme.default_port() => (":", port),
            _ => ("", ""),
        };
        // A colon is no token character (RFC 7239 §4).
        let is_token = port.is_empty() && !host.starts_with('[');
        let quote = if is_token { "" } else { "\"" };
        let mut text = joined(&self.chain, push_node);
        for part in [";host=", quote, host, colon, port, quote, ";proto=", scheme] {
            text.push_str(part);
        }
        text
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

/// Host names and addresses are visible ASCII: every text here is a header value.
fn value(text: String) -> Option<HeaderValue> {
    HeaderValue::try_from(text).ok()
}

fn joined(addresses: &[IpAddr], push: impl Fn(&mut String, IpAddr)) -> String {
    let mut text = String::with_capacity(TEXT_BYTES_USUAL);
    for address in addresses {
        if !text.is_empty() {
            text.push_str(", ");
        }
        push(&mut text, *address);
    }
    text
}

/// An address as a node of RFC 7239, quoted where it is no token (§4, §6).
fn push_node(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(_) => {
            text.push_str("for=");
            push_address(text, address);
        }
        IpAddr::V6(v6) => text.push_str(&format!("for=\"[{v6}]\"")),
    }
}

/// Every request says several addresses; the formatter of the library takes longer than all else here.
fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            push_octet(text, a);
            for octet in [b, c, d] {
                text.push('.');
                push_octet(text, octet);
            }
        }
        IpAddr::V6(v6) => text.push_str(&v6.to_string()),
    }
}

fn push_octet(text: &mut String, octet: u8) {
    for place in [100, 10, 1] {
        if octet >= place || place == 1 {
            text.push(char::from(b'0' + octet / place % 10));
        }
    }
}

/// Room for one client, a host of common length and what stands around them.
const TEXT_BYTES_USUAL: usize = 96;
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_SERVER: HeaderName = HeaderName::from_static("x-forwarded-server");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

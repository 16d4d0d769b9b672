//! What an upstream is told about the connection it does not see (W-10 to W-12), and which of it.
//!
//! Which headers are told changes nothing about which of a client's are removed: all of them.

use std::net::IpAddr;

use http::HeaderName;
use http::HeaderValue;
use http::header;

use crate::decision::forwarded::Origin;
use crate::model::name::HostName;

/// The headers by which a route's upstreams are told where a request comes from, its id and its trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForwardedHeaders(u16);

impl ForwardedHeaders {
    /// Their names, as they are customary.
    pub const WORDS: [&'static str; 9] = [
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Port",
        "X-Forwarded-Proto",
        "X-Forwarded-Server",
        "X-Real-IP",
        "X-Request-Id",
        "traceparent",
    ];
    /// Every one.
    pub const ALL: Self = Self((1_u16 << Self::WORDS.len()) - 1);
    /// None.
    pub const NONE: Self = Self(0);

    /// The header of this name, in any case; `None` for another name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let at = Self::place(name)?;
        Some(Self(1 << at))
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, those: Self) -> Self {
        Self(self.0 | those.0)
    }

    /// Whether the header of this name is among them.
    #[must_use]
    pub fn includes(self, name: &HeaderName) -> bool {
        self == Self::ALL || Self::place(name.as_str()).is_some_and(|at| self.0 & 1 << at != 0)
    }

    fn place(name: &str) -> Option<usize> {
        let mut names = Self::WORDS.iter();
        names.position(|known| known.eq_ignore_ascii_case(name))
    }
}

impl Origin {
    /// The headers that tell an upstream, each to replace whatever stands there.
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
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_SERVER: HeaderName = HeaderName::from_static("x-forwarded-server");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::forwarded::Arrival;
    use crate::decision::trace_context::TRACEPARENT;

    /// Whatever an origin tells can be chosen by name, and nothing is offered that it does not tell.
    #[test]
    fn each_header_that_is_told_can_be_named_w_10() {
        let host = HostName::parse("app.test").unwrap();
        let arrival = Arrival {
            peer: "192.0.2.1".parse().unwrap(),
            scheme: crate::decision::forwarded::Scheme::Https,
            host: &host,
            port: 443,
        };
        let origin = Origin::of(&arrival, &[], &http::HeaderMap::new());
        let told: Vec<HeaderName> = origin.headers(&host).map(|(name, _)| name).collect();
        let by_request = [HeaderName::from_static("x-request-id"), TRACEPARENT];
        let named = ForwardedHeaders::WORDS.map(|word| word.parse::<HeaderName>().unwrap());
        assert!(named.iter().eq(told.iter().chain(&by_request)));
        for (word, name) in ForwardedHeaders::WORDS.iter().zip(&named) {
            let only = ForwardedHeaders::named(word).unwrap();
            assert!(
                named
                    .iter()
                    .all(|other| only.includes(other) == (other == name))
            );
            assert!(ForwardedHeaders::ALL.includes(name));
        }
        assert_eq!(ForwardedHeaders::named("X-Forwarded-By"), None);
    }
}

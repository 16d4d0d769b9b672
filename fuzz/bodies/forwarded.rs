//! Forwarding headers: from a sender that nobody trusts they change nothing; from a trusted one what comes out is
//! an address, never a text of the client's (W-12).

use std::net::IpAddr;
use std::net::Ipv4Addr;

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use portway::decision::forwarded::Arrival;
use portway::decision::forwarded::Origin;
use portway::decision::forwarded::Scheme;
use portway::model::name::HostName;

/// Reads lines of `name: value` as headers.
pub fn run(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(64) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next().unwrap_or_default());
        let value = HeaderValue::from_bytes(parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let host = HostName::parse("app.example.test").expect("it is a host");
    let arrival = Arrival {
        peer: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        scheme: Scheme::Https,
        host: &host,
        port: 443,
    };
    let nobody = Origin::of(&arrival, &[], &headers);
    assert_eq!(nobody, Origin::of(&arrival, &[], &HeaderMap::new()));
    assert_eq!(nobody.client, arrival.peer);
    let trusted = ["10.0.0.0/8".parse().expect("it is a network")];
    let believed = Origin::of(&arrival, &trusted, &headers);
    assert!(!believed.is_direct());
    for (name, value) in believed.headers(&host) {
        let text = value.to_str().expect("it is visible ASCII");
        let is_own = match name.as_str() {
            "forwarded" => text.split(", ").all(is_hop),
            "x-forwarded-for" => text.split(", ").all(is_address),
            "x-forwarded-host" | "x-forwarded-server" => text == host.as_str(),
            "x-forwarded-port" => text.parse::<u16>().is_ok(),
            "x-forwarded-proto" => matches!(text, "http" | "https"),
            "x-real-ip" => is_address(text),
            _ => false,
        };
        assert!(is_own, "{name}: {text}");
    }
}

fn is_address(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// Whether a text is an element of `Forwarded` with nothing in it but what the gateway knows.
fn is_hop(text: &str) -> bool {
    text.split(';').all(|pair| {
        let Some((name, value)) = pair.split_once('=') else {
            return false;
        };
        let value = value.trim_matches('"');
        match name {
            "for" => is_address(value.trim_matches(['[', ']'])),
            "host" => value == "app.example.test" || value.starts_with("app.example.test:"),
            "proto" => matches!(value, "http" | "https"),
            _ => false,
        }
    })
}

/// What proxies send, and what attackers do.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "x-forwarded-for: 203.0.113.7, 10.0.0.2\nx-forwarded-proto: https\nx-forwarded-port: 8443",
        "x-forwarded-for: not-an-ip\nx-forwarded-for: [2001:db8::1]:80, ::ffff:10.0.0.3",
        "forwarded: for=\"[2001:db8::17]:4711\";proto=https\nx-forwarded-proto: javascript",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}

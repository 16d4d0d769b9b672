//! Host and port of an upstream, as people and URLs write them.

use std::net::IpAddr;

use crate::config::Upstream;

impl Upstream {
    /// Host and port; an IPv6 address has brackets. Of a service its name alone.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if self.is_service() {
            host.clone()
        } else if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
    }

    /// Whether it is a service, which name servers know the hosts of (RFC 2782).
    #[must_use]
    pub const fn is_service(&self) -> bool {
        self.port == 0
    }

    /// Whether the host is a name, which has to be resolved.
    #[must_use]
    pub fn is_name(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_is_set_apart_from_the_port() {
        for (host, expected) in [
            ("app.example.com", "app.example.com:8080"),
            ("192.0.2.1", "192.0.2.1:8080"),
            ("2001:db8::1", "[2001:db8::1]:8080"),
        ] {
            let upstream = Upstream {
                host: host.to_owned(),
                port: 8080,
                weight: 1,
            };
            assert_eq!(upstream.authority(), expected);
        }
    }
}

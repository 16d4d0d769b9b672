//! Host and port of an upstream, as people and URLs write them.

use crate::config::Upstream;

impl Upstream {
    /// Host and port; an IPv6 address has brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') {
            format!("[{host}]:{port}")
        } else {
            format!("{host}:{port}")
        }
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

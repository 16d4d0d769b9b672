//! What upstreams and other nodes are called: by people, in URLs and in certificates.

use std::net::IpAddr;

use crate::config::Upstream;
use crate::config::UpstreamPlace;
use crate::config::mdc::NodeAddress;

impl Upstream {
    /// What it is called: host and port, where an IPv6 address has brackets; of a service its name alone; of a socket
    /// its path behind `unix:`.
    #[must_use]
    pub fn called(&self) -> String {
        match &self.place {
            UpstreamPlace::Inet { host, port } => authority(host, *port),
            UpstreamPlace::Service(name) => name.clone(),
            UpstreamPlace::Unix(path) => format!("{UNIX_PREFIX}{path}"),
        }
    }

    /// What it is told as its own `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        match &self.place {
            UpstreamPlace::Inet { .. } | UpstreamPlace::Service(_) => self.called(),
            UpstreamPlace::Unix(_) => NAMELESS.to_owned(),
        }
    }

    /// The name that its certificate carries where nothing else is configured.
    #[must_use]
    pub fn host(&self) -> &str {
        match &self.place {
            UpstreamPlace::Inet { host, .. } => host,
            UpstreamPlace::Service(name) => name,
            UpstreamPlace::Unix(_) => NAMELESS,
        }
    }

    /// Whether it is a service, which name servers know the hosts of (RFC 2782).
    #[must_use]
    pub const fn is_service(&self) -> bool {
        matches!(self.place, UpstreamPlace::Service(_))
    }

    /// Whether it is a socket of the file system.
    #[must_use]
    pub const fn is_socket(&self) -> bool {
        matches!(self.place, UpstreamPlace::Unix(_))
    }

    /// Whether it is known by a name, which has to be resolved.
    #[must_use]
    pub fn is_name(&self) -> bool {
        match &self.place {
            UpstreamPlace::Inet { host, .. } => host.parse::<IpAddr>().is_err(),
            UpstreamPlace::Service(_) => true,
            UpstreamPlace::Unix(_) => false,
        }
    }
}

impl NodeAddress {
    /// Host and port; an IPv6 address has brackets.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, self.port)
    }
}

fn authority(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What the path of a socket stands behind.
pub const UNIX_PREFIX: &str = "unix:";
/// What a socket is called that has no name of its own; nginx says so as well.
const NAMELESS: &str = "localhost";

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
            let host = host.to_owned();
            let upstream = Upstream {
                place: UpstreamPlace::Inet { host, port: 8080 },
                weight: 1,
            };
            assert_eq!(upstream.called(), expected);
            assert_eq!(upstream.authority(), expected);
        }
    }

    #[test]
    fn a_socket_is_called_by_its_path_and_told_that_it_is_localhost() {
        let upstream = Upstream {
            place: UpstreamPlace::Unix("/run/app.sock".to_owned()),
            weight: 1,
        };
        assert_eq!(upstream.called(), "unix:/run/app.sock");
        assert_eq!(upstream.authority(), "localhost");
        assert_eq!(upstream.host(), "localhost");
        assert!(!upstream.is_name());
    }
}

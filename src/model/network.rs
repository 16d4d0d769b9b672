//! The network that an address is counted with: what one client can have all of.
//!
//! Networks that an operator writes down, with a length of their own, are the configuration's.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv6Addr;

/// An IPv4 address, or the 64 leading bits of an IPv6 address: who has one address of those has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The network of an address; an IPv4 address within IPv6 is what it means.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !HOST_BITS).into(),
            address @ IpAddr::V4(_) => address,
        })
    }

    /// Its bytes, no two networks' the same; an IPv4 address is written as IPv6 maps it.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 16] {
        match self.0 {
            IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
            IpAddr::V6(address) => address.octets(),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(address) => address.fmt(f),
            IpAddr::V6(address) => write!(f, "{address}/64"),
        }
    }
}

/// The part of an IPv6 address that its owner chooses freely.
const HOST_BITS: u128 = u64::MAX as u128;

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_and_those_of_ipv4_are_not() {
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1:2:3"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }

    #[test]
    fn the_bytes_of_a_network_are_its_own() {
        assert_eq!(
            network("192.0.2.1").bytes(),
            network("::ffff:192.0.2.1").bytes()
        );
        assert_eq!(
            network("2001:db8::1").bytes(),
            network("2001:db8::2").bytes()
        );
        // What IPv6 calls 192.0.2.1 without meaning the IPv4 address.
        assert_ne!(network("192.0.2.1").bytes(), network("::c000:201").bytes());
        assert_ne!(network("192.0.2.1").bytes(), network("192.0.2.2").bytes());
    }

    #[test]
    fn a_network_is_written_with_its_length() {
        assert_eq!(network("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(network("2001:db8::1").to_string(), "2001:db8::/64");
    }
}

//! The network that an address is counted with: what one client can have all of.
//!
//! Networks that an operator writes down, with a length of their own, are the configuration's.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::ops::RangeInclusive;

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

/// How many leading bits of an address make the network that it is counted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrefixLengths {
    ipv4: u8,
    ipv6: u8,
}

impl PrefixLengths {
    /// Those of [`Network`].
    pub const USUAL: Self = Self { ipv4: 32, ipv6: 64 };
    /// Of IPv4.
    pub const IPV4: RangeInclusive<u8> = 8..=32;
    /// Of IPv6, in steps of [`Self::IPV6_STEP`].
    pub const IPV6: RangeInclusive<u8> = 28..=64;
    /// Between one length of IPv6 and the next.
    pub const IPV6_STEP: u8 = 4;

    /// Lengths, as far as there are such.
    #[must_use]
    pub fn new(ipv4: u8, ipv6: u8) -> Option<Self> {
        let is_step = ipv6.is_multiple_of(Self::IPV6_STEP);
        let fits = Self::IPV4.contains(&ipv4) && Self::IPV6.contains(&ipv6) && is_step;
        fits.then_some(Self { ipv4, ipv6 })
    }

    /// That of IPv4.
    #[must_use]
    pub const fn ipv4(self) -> u8 {
        self.ipv4
    }

    /// That of IPv6.
    #[must_use]
    pub const fn ipv6(self) -> u8 {
        self.ipv6
    }

    /// The two in a byte, no two pairs' the same.
    #[must_use]
    pub fn code(self) -> u8 {
        let ipv6 = self.ipv6.saturating_sub(*Self::IPV6.start()) / Self::IPV6_STEP;
        let ipv4 = self.ipv4.saturating_sub(*Self::IPV4.start());
        ipv4.saturating_mul(IPV6_LENGTHS).saturating_add(ipv6)
    }

    /// The pair that a byte means, if it means one.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        let ipv4 = (code / IPV6_LENGTHS).checked_add(*Self::IPV4.start())?;
        let steps = (code % IPV6_LENGTHS).checked_mul(Self::IPV6_STEP)?;
        Self::new(ipv4, steps.checked_add(*Self::IPV6.start())?)
    }

    /// The bytes of the network that an address is in, no two networks' the same; see [`Network::bytes`].
    #[must_use]
    pub fn network_bytes(self, address: IpAddr) -> [u8; 16] {
        let (address, length) = match address.to_canonical() {
            IpAddr::V4(address) => (address.to_ipv6_mapped(), MAPPED_BITS + u32::from(self.ipv4)),
            IpAddr::V6(address) => (address, u32::from(self.ipv6)),
        };
        let host_bits = u128::BITS.saturating_sub(length);
        let mask = u128::MAX.checked_shl(host_bits).unwrap_or_default();
        Ipv6Addr::from_bits(address.to_bits() & mask).octets()
    }
}

/// How many lengths of IPv6 there are.
const IPV6_LENGTHS: u8 = 10;
/// What stands before an IPv4 address within IPv6.
const MAPPED_BITS: u32 = 96;
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
    fn the_usual_lengths_make_the_usual_networks() {
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "::c000:201"] {
            let bytes = PrefixLengths::USUAL.network_bytes(address.parse().unwrap());
            assert_eq!(bytes, network(address).bytes(), "{address}");
        }
    }

    #[test]
    fn addresses_are_of_one_network_as_far_as_its_length_goes() {
        let lengths = PrefixLengths::new(20, 56).unwrap();
        let of = |address: &str| lengths.network_bytes(address.parse().unwrap());
        assert_eq!(of("192.0.0.1"), of("192.0.15.255"));
        assert_eq!(of("192.0.0.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.0.1"), of("192.0.16.1"));
        assert_eq!(of("2001:db8::1"), of("2001:db8:0:ff::2"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:100::1"));
        assert_ne!(of("192.0.0.1"), of("::c000:1"));
    }

    #[test]
    fn every_pair_of_lengths_has_a_byte_of_its_own() {
        let mut codes = std::collections::BTreeSet::new();
        for ipv4 in PrefixLengths::IPV4 {
            for ipv6 in PrefixLengths::IPV6.step_by(4) {
                let lengths = PrefixLengths::new(ipv4, ipv6).unwrap();
                assert_eq!(PrefixLengths::from_code(lengths.code()), Some(lengths));
                assert!(codes.insert(lengths.code()));
            }
        }
        assert_eq!(codes.len(), 250);
        assert_eq!(PrefixLengths::from_code(250), None);
        for (ipv4, ipv6) in [(7, 64), (33, 64), (32, 24), (32, 30), (32, 68)] {
            assert_eq!(PrefixLengths::new(ipv4, ipv6), None);
        }
    }

    #[test]
    fn a_network_is_written_with_its_length() {
        assert_eq!(network("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(network("2001:db8::1").to_string(), "2001:db8::/64");
    }
}

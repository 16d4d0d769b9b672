//! Which addresses are let in: rules in order, of which the first that is about an address decides.
//!
//! Deliberately absent: who it is that comes from there, which policies judge.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::decision::policy::Effect;

/// Rules about addresses; without any, all are let in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// In the order in which they are asked.
    pub rules: Vec<AddressRule>,
}

/// A rule about addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRule {
    /// What becomes of those that it is about.
    pub effect: Effect,
    /// The networks that they are in; none where it is about all.
    pub networks: Option<Vec<IpNet>>,
}

impl AddressRules {
    /// Whether an address is let in. One that no rule is about is.
    #[must_use]
    pub fn let_in(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let mut rules = self.rules.iter();
        let first = rules.find(|rule| rule.is_about(address));
        first.is_none_or(|rule| rule.effect == Effect::Allow)
    }
}

impl AddressRule {
    fn is_about(&self, address: IpAddr) -> bool {
        let networks = self.networks.as_ref();
        networks.is_none_or(|networks| networks.iter().any(|network| network.contains(&address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(written: &[(Effect, &str)]) -> AddressRules {
        let rules = written.iter().map(|(effect, networks)| {
            let networks = networks.split_whitespace();
            let networks = networks.map(|network| network.parse().unwrap());
            let networks: Vec<IpNet> = networks.collect();
            AddressRule {
                effect: *effect,
                networks: (!networks.is_empty()).then_some(networks),
            }
        });
        AddressRules {
            rules: rules.collect(),
        }
    }

    #[test]
    fn the_first_rule_that_is_about_an_address_decides() {
        let office = rules(&[
            (Effect::Deny, "10.0.0.7/32"),
            (Effect::Allow, "10.0.0.0/8 2001:db8::/32"),
            (Effect::Deny, ""),
        ]);
        for (address, expected) in [
            ("10.0.0.7", false),
            ("10.0.0.8", true),
            ("::ffff:10.0.0.8", true),
            ("2001:db8::1", true),
            ("192.0.2.1", false),
            ("2001:db9::1", false),
        ] {
            assert_eq!(
                office.let_in(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        let all_but_one = rules(&[(Effect::Deny, "192.0.2.1/32")]);
        assert!(!all_but_one.let_in("192.0.2.1".parse().unwrap()));
        assert!(all_but_one.let_in("192.0.2.2".parse().unwrap()));
        assert!(rules(&[]).let_in("192.0.2.1".parse().unwrap()));
    }
}

//! Whom a virtual host in maintenance is closed to.
//!
//! What they are shown is `pages`' matter; nobody is signed out by it.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

/// A virtual host in maintenance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// When to try again.
    pub retry_after: Duration,
    /// Addresses that are served all the same.
    pub except: Vec<IpNet>,
    /// What is told beside that, in the operator's words.
    pub message: Option<String>,
}

impl Maintenance {
    /// Whether a client at this address has to wait; one within IPv6 is the IPv4 address that it means.
    #[must_use]
    pub fn keeps_out(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        !self.except.iter().any(|network| network.contains(&address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_waits_but_those_who_are_excepted() {
        let maintenance = Maintenance {
            retry_after: Duration::from_mins(5),
            except: vec![
                "10.1.0.0/16".parse().unwrap(),
                "2001:db8::/32".parse().unwrap(),
            ],
            message: None,
        };
        let waits = |address: &str| maintenance.keeps_out(address.parse().unwrap());
        assert!(waits("10.2.0.1") && waits("2001:db9::1"));
        assert!(!waits("10.1.2.3") && !waits("::ffff:10.1.2.3") && !waits("2001:db8::1"));
    }
}

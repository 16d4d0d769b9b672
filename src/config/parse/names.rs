//! `dns`: how names of upstreams, peers and engines are resolved.

use std::net::IpAddr;
use std::net::SocketAddr;

use crate::config::names::Families;
use crate::config::names::NameRules;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::Problem;

impl Reading<'_> {
    pub(super) fn dns(&mut self, found: Option<&Found<'_>>) -> NameRules {
        let mut rules = NameRules::default();
        let section = found.and_then(|found| self.section(found, KEYS));
        let Some(section) = section else {
            return rules;
        };
        self.set(&section, "servers", &mut rules.servers, |this, found| {
            let items = this.some_list(found)?;
            this.each(&items, Self::name_server)
        });
        self.set(&section, "families", &mut rules.families, |this, found| {
            this.word(found, FAMILIES)
        });
        for (key, place) in [
            ("ttl_min", &mut rules.ttl_min),
            ("ttl_max", &mut rules.ttl_max),
        ] {
            self.set(&section, key, place, Self::duration);
        }
        if rules.ttl_max < rules.ttl_min {
            let place = section.get("ttl_max").or_else(|| section.get("ttl_min"));
            let place = place.unwrap_or(&section.found).clone();
            let (key, than) = ("ttl_max", "ttl_min");
            self.fault(&place, Problem::Shorter { key, than });
        }
        rules
    }

    /// Never a name: nobody could be asked for it.
    fn name_server(&mut self, found: &Found<'_>) -> Option<SocketAddr> {
        let shape = ("the address of a name server", "10.0.0.53:53");
        self.shaped(found, shape, |text| {
            let with_port = text.parse().ok().filter(|at: &SocketAddr| at.port() > 0);
            let alone = || Some(SocketAddr::new(text.parse::<IpAddr>().ok()?, PORT));
            with_port.or_else(alone)
        })
    }
}

pub(super) const KEYS: &[&str] = &["families", "servers", "ttl_max", "ttl_min"];
const FAMILIES: &[(&str, Families)] = &[
    ("both", Families::Both),
    ("ipv4", Families::V4),
    ("ipv6", Families::V6),
];
const PORT: u16 = 53;

//! `session.bind_to`: what the cookies of new sessions are bound to, and whose are not.

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::Problem;
use crate::crypto::bearer::BindRules;
use crate::crypto::bearer::Strayed;
use crate::model::network::PrefixLengths;

impl Reading<'_> {
    pub(super) fn bind_to(&mut self, found: &Found<'_>) -> Option<BindRules> {
        let mut rules = BindRules::default();
        let mut first = None;
        for item in &self.list(found)? {
            let kind = if item.is_map() {
                self.bind_to_address(item, &mut rules)
            } else {
                self.word(item, BEARERS)
            };
            match (kind, first) {
                (Some(Strayed::Address), Some(first)) => {
                    let (what, text) = ("binding", "address".to_owned());
                    self.fault(item, Problem::Duplicate { what, text, first });
                }
                (Some(Strayed::Address), None) => {
                    first = Some(item.node.at.line);
                    rules.what.address.get_or_insert(PrefixLengths::USUAL);
                }
                (Some(Strayed::UserAgent), _) => rules.what.user_agent = true,
                // That one is a fault of its own, and the next may be one too.
                (None, _) => {}
            }
        }
        Some(rules)
    }

    /// The long form of `address`.
    fn bind_to_address(&mut self, item: &Found<'_>, rules: &mut BindRules) -> Option<Strayed> {
        let section = self.section(item, KEYS)?;
        let found = self.required(&section, "address").cloned()?;
        let section = self.section(&found, ADDRESS_KEYS)?;
        let usual = PrefixLengths::USUAL;
        let ipv4 = self.or(&section, "ipv4_prefix", usual.ipv4(), |this, found| {
            this.number(found, PrefixLengths::IPV4)
        });
        let ipv6 = self.or(&section, "ipv6_prefix", usual.ipv6(), |this, found| {
            this.word(found, IPV6_PREFIXES)
        });
        self.set(&section, "except", &mut rules.except, Self::networks);
        rules.what.address = PrefixLengths::new(ipv4, ipv6);
        Some(Strayed::Address)
    }
}

pub(super) const KEYS: &[&str] = &["address"];
pub(super) const ADDRESS_KEYS: &[&str] = &["except", "ipv4_prefix", "ipv6_prefix"];

const BEARERS: &[(&str, Strayed)] = &[
    ("address", Strayed::Address),
    ("user_agent", Strayed::UserAgent),
];

/// Those that [`PrefixLengths`] has.
const IPV6_PREFIXES: &[(&str, u8)] = &[
    ("28", 28),
    ("32", 32),
    ("36", 36),
    ("40", 40),
    ("44", 44),
    ("48", 48),
    ("52", 52),
    ("56", 56),
    ("60", 60),
    ("64", 64),
];

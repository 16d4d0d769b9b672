//! `addresses` of routes: whom a route lets in by address, in the order of writing.

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::parse::reading::Section;
use crate::config::problem::Problem;
use crate::decision::address_rules::AddressRule;
use crate::decision::address_rules::AddressRules;
use crate::decision::policy::Effect;

impl Reading<'_> {
    /// The rules of a route; without any, all are let in.
    pub(super) fn addresses(&mut self, section: &Section<'_>) -> AddressRules {
        let none = AddressRules::default();
        self.or(section, "addresses", none, Self::address_rules)
    }

    fn address_rules(&mut self, found: &Found<'_>) -> Option<AddressRules> {
        let items = self.some_list(found)?;
        let rules = self.each(&items, Self::address_rule)?;
        Some(AddressRules { rules })
    }

    /// `allow` or `deny`, with networks or with the word for all of them.
    fn address_rule(&mut self, found: &Found<'_>) -> Option<AddressRule> {
        let section = self.section(found, KEYS)?;
        let (effect, networks) = match (section.get("allow"), section.get("deny")) {
            (Some(networks), None) => (Effect::Allow, networks),
            (None, Some(networks)) => (Effect::Deny, networks),
            (Some(_), Some(_)) | (None, None) => {
                self.fault(found, Problem::MissingOneOf(KEYS));
                return None;
            }
        };
        let networks = if networks.is_text(ALL) {
            None
        } else {
            Some(self.some(networks, Self::network)?)
        };
        Some(AddressRule { effect, networks })
    }
}

pub(super) const KEYS: &[&str] = &["allow", "deny"];
/// The word for all addresses.
const ALL: &str = "all";

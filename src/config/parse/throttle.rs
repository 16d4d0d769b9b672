//! `authentication.throttle`: how often passwords may be guessed.

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::Problem;
use crate::decision::throttle::ThrottleRules;

impl Reading<'_> {
    pub(super) fn throttle(&mut self, found: Option<&Found<'_>>) -> ThrottleRules {
        let mut rules = ThrottleRules::default();
        let section = found.and_then(|found| self.section(found, KEYS));
        let Some(section) = section else {
            return rules;
        };
        for (key, place, most) in [
            ("per_account", &mut rules.per_account, PER_ACCOUNT_MAX),
            ("per_address", &mut rules.per_address, PER_ADDRESS_MAX),
        ] {
            self.set(&section, key, place, |this, found| {
                this.number(found, 1..=most)
            });
        }
        for (key, place) in [
            ("first_wait", &mut rules.first_wait),
            ("longest_wait", &mut rules.longest_wait),
            ("forget_after", &mut rules.forget_after),
        ] {
            self.set(&section, key, place, Self::duration);
        }
        self.set(&section, "except", &mut rules.except, Self::networks);
        self.set(
            &section,
            "remembered",
            &mut rules.remembered,
            |this, found| this.count(found, REMEMBERED_MIN..=REMEMBERED_MAX),
        );
        for (key, than, is_shorter) in [
            (
                "longest_wait",
                "first_wait",
                rules.longest_wait < rules.first_wait,
            ),
            (
                "forget_after",
                "longest_wait",
                rules.forget_after < rules.longest_wait,
            ),
        ] {
            if is_shorter {
                let place = section.get(key).or_else(|| section.get(than));
                let place = place.unwrap_or(&section.found).clone();
                self.fault(&place, Problem::Shorter { key, than });
            }
        }
        rules
    }
}

pub(super) const KEYS: &[&str] = &[
    "except",
    "first_wait",
    "forget_after",
    "longest_wait",
    "per_account",
    "per_address",
    "remembered",
];
/// What NIST SP 800-63B-4 §3.2.2 allows in a row.
const PER_ACCOUNT_MAX: u16 = 100;
const PER_ADDRESS_MAX: u16 = 10_000;
const REMEMBERED_MIN: u32 = 1_000;
const REMEMBERED_MAX: u32 = 10_000_000;

//! `keys`: when another key is made, and how long it is known before it seals.

use std::time::Duration;

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::config::problem::Problem;
use crate::decision::key_life::KeyRules;

impl Reading<'_> {
    pub(super) fn keys(&mut self, found: Option<&Found<'_>>) -> KeyRules {
        let mut rules = KeyRules::default();
        let section = found.and_then(|found| self.section(found, KEYS));
        let Some(section) = section else {
            return rules;
        };
        self.set(
            &section,
            "publish_for",
            &mut rules.publish_for,
            Self::duration,
        );
        self.set(
            &section,
            "rotate_after_uses",
            &mut rules.rotate_after_uses,
            |this, found| this.number(found, USES_MIN..=USES_MAX),
        );
        self.set(
            &section,
            "rotate_every",
            &mut rules.rotate_every,
            Self::duration_or_never,
        );
        if rules
            .rotate_every
            .is_some_and(|every| every < rules.publish_for)
        {
            let place = section
                .get("rotate_every")
                .or_else(|| section.get("publish_for"));
            let place = place.unwrap_or(&section.found).clone();
            let (key, than) = ("rotate_every", "publish_for");
            self.fault(&place, Problem::Shorter { key, than });
        }
        rules
    }

    fn duration_or_never(&mut self, found: &Found<'_>) -> Option<Option<Duration>> {
        if self.text(found)? == "never" {
            return Some(None);
        }
        self.duration(found).map(Some)
    }
}

pub(super) const KEYS: &[&str] = &["publish_for", "rotate_after_uses", "rotate_every"];
/// Fewer would make a key every few minutes on a busy node.
const USES_MIN: u64 = 1_000_000;
/// Half of what random nonces are good for, for all nodes together (NIST SP 800-38D §8.3).
const USES_MAX: u64 = 1 << 31;

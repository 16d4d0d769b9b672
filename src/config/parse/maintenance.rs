//! `maintenance` of virtual hosts.

use std::time::Duration;

use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;
use crate::decision::maintenance::Maintenance;

impl Reading<'_> {
    /// The outer `None` is a fault, the inner one no maintenance.
    pub(super) fn maintenance(&mut self, found: &Found<'_>) -> Option<Option<Maintenance>> {
        if !found.is_map() {
            let switch = self.word(found, SWITCH)?;
            return Some((switch == Switch::On).then_some(PLAIN));
        }
        let section = self.section(found, KEYS)?;
        let retry_after = self.or(&section, "retry_after", RETRY_AFTER_DEFAULT, Self::duration);
        let message = self.or(&section, "message", None, |this, found| {
            this.shaped(found, A_MESSAGE, message).map(Some)
        });
        Some(Some(Maintenance {
            retry_after,
            except: self.or(&section, "except", Vec::new(), Self::networks),
            message,
        }))
    }
}

fn message(text: &str) -> Option<String> {
    let fits = (1..=MESSAGE_CHARACTERS_MAX).contains(&text.chars().count());
    (fits && !text.contains(char::is_control)).then(|| text.to_owned())
}

pub(super) const KEYS: &[&str] = &["except", "message", "retry_after"];

/// Maintenance in a word.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Switch {
    Off,
    On,
}

const SWITCH: &[(&str, Switch)] = &[("off", Switch::Off), ("on", Switch::On)];
/// What `on` stands for.
const PLAIN: Maintenance = Maintenance {
    retry_after: RETRY_AFTER_DEFAULT,
    except: Vec::new(),
    message: None,
};
const A_MESSAGE: (&str, &str) = (
    "a sentence of at most 500 characters",
    "We are back at 18:00.",
);
const MESSAGE_CHARACTERS_MAX: usize = 500;
const RETRY_AFTER_DEFAULT: Duration = Duration::from_mins(5);

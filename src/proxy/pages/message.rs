//! A message: which text, and what is filled into it. The words are in the catalogues.

use std::time::Duration;

/// Something to be said in the reader's language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::proxy) struct Message {
    /// Its key in the catalogues.
    pub(super) key: &'static str,
    /// What is filled in, by name.
    pub(super) with: Vec<(&'static str, Filling)>,
}

/// What is filled into a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Filling {
    /// Another message.
    Message(Box<Message>),
    /// A text that is the same in every language.
    Text(String),
}

impl Message {
    /// A message into which nothing is filled.
    pub(in crate::proxy) const fn of(key: &'static str) -> Self {
        Self {
            key,
            with: Vec::new(),
        }
    }

    /// The same with a text filled in.
    pub(in crate::proxy) fn with(mut self, name: &'static str, text: String) -> Self {
        self.with.push((name, Filling::Text(text)));
        self
    }

    /// The same with another message filled in.
    pub(in crate::proxy) fn with_message(mut self, name: &'static str, message: Self) -> Self {
        self.with.push((name, Filling::Message(Box::new(message))));
        self
    }

    /// A time to wait, rounded up. Counts up to ten, whose nouns have forms of their own in many languages, are
    /// told of minutes only.
    pub(in crate::proxy) fn time(wait: Duration) -> Self {
        let seconds = whole_seconds(wait);
        if seconds <= FEW_SECONDS_MAX {
            return Self::of("few_seconds");
        }
        let (key, count) = if seconds <= SECONDS_MAX {
            ("seconds", seconds)
        } else {
            ("minutes", seconds.div_ceil(60))
        };
        Self::of(key).with("count", count.to_string())
    }
}

/// A time in whole seconds, rounded up; at least one.
pub(in crate::proxy) fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0))
        .max(1)
}

/// Shorter times are not counted.
const FEW_SECONDS_MAX: u64 = 10;
/// Longer times are told in minutes.
const SECONDS_MAX: u64 = 90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_few_seconds_in_seconds_or_in_minutes() {
        let said = |millis| Message::time(Duration::from_millis(millis));
        let counted = |key, count: &str| Message::of(key).with("count", count.to_owned());
        for few in [0, 1, 1000, 10_000] {
            assert_eq!(said(few), Message::of("few_seconds"), "{few}");
        }
        assert_eq!(said(10_001), counted("seconds", "11"));
        assert_eq!(said(90_000), counted("seconds", "90"));
        assert_eq!(said(90_001), counted("minutes", "2"));
        assert_eq!(said(900_000), counted("minutes", "15"));
    }
}

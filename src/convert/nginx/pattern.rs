//! Which paths a route is for, in Portway's words.

use crate::convert::yaml::Entry;
use crate::convert::yaml::Yaml;

/// A key of a route that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pattern {
    /// This path.
    Exact(String),
    /// This path and all below it.
    Path(String),
    /// What an expression matches from the beginning.
    Regex(String),
}

impl Pattern {
    /// The key with its value.
    pub(super) fn entry(&self) -> Entry {
        let (key, text) = match self {
            Self::Exact(text) => ("exact", text),
            Self::Path(text) => ("path", text),
            Self::Regex(text) => ("regex", text),
        };
        Entry::new(key, Yaml::text(text))
    }
}

#[cfg(test)]
impl Pattern {
    /// Whether a route with it is for a path, told without the gateway's own table.
    pub(super) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(text) => text == path,
            Self::Path(text) => path.starts_with(text) || Some(path) == text.strip_suffix('/'),
            Self::Regex(text) => regex::Regex::new(&format!("^(?:{text})"))
                .unwrap()
                .is_match(path),
        }
    }
}

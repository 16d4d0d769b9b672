//! Reads `gateway.yaml.example` for what it says about each key: the lines of prose above it.
//!
//! Keys that are commented out count, alone or as a whole section.

use std::collections::BTreeMap;

/// What the example says.
pub(super) struct Example {
    /// By the keys that lead there; what a name of the operator's choosing leads to stands under `*` too.
    keys: BTreeMap<Vec<String>, Entry>,
}

#[derive(Default)]
struct Entry {
    about: Option<String>,
    /// What stands below it on the same line, in braces.
    inline: String,
}

impl Entry {
    /// Takes up one more line of the same key.
    fn add(&mut self, inline: &str, said: String) {
        self.inline.push_str(inline);
        if self.about.is_none() && !said.is_empty() {
            self.about = Some(said);
        }
    }
}

impl Example {
    /// Reads the example that the program was built with.
    pub(super) fn read() -> Self {
        Self::of(include_str!("../../../../gateway.yaml.example"))
    }

    fn of(text: &str) -> Self {
        let mut keys: BTreeMap<Vec<String>, Entry> = BTreeMap::new();
        let mut open: Vec<(usize, String)> = Vec::new();
        let mut prose: Vec<&str> = Vec::new();
        for line in text.lines() {
            match Line::of(line) {
                Line::Empty => prose.clear(),
                Line::Prose(said) => prose.push(said),
                Line::Value(inline) => {
                    prose.clear();
                    let path: Vec<String> = open.iter().map(|(_, key)| key.clone()).collect();
                    keys.entry(path).or_default().inline.push_str(inline);
                }
                Line::Key(column, key, inline) => {
                    open.retain(|(at, _)| *at < column);
                    open.push((column, key.to_owned()));
                    let path = open.iter().map(|(_, key)| key.clone()).collect();
                    let said = std::mem::take(&mut prose).join(" ");
                    keys.entry(path).or_default().add(inline, said);
                }
            }
        }
        Self { keys }
    }

    /// Whether a key stands in the example: in a line of its own, in braces, or in a part beside its own that
    /// is written in the same way.
    #[cfg(test)]
    pub(super) fn has(&self, path: &str) -> bool {
        let wanted: Vec<&str> = path.split('.').collect();
        let Some((key, above)) = wanted.split_last() else {
            return false;
        };
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let says = |(path, entry): (&Vec<String>, &Entry)| {
            let mut words = entry.inline.split(|c| !is_word(c));
            path.iter().any(|known| known == key) || words.any(|word| word == *key)
        };
        let is_below = |path: &[String], above: &[&str]| {
            let same = |(key, wanted): (&String, &&str)| *wanted == "*" || key == wanted;
            path.len() >= above.len() && path.iter().zip(above).all(same)
        };
        let top = above.get(..above.len().min(1)).unwrap_or_default();
        let mut there = self.keys.iter().filter(|(path, _)| is_below(path, top));
        there.any(says)
    }

    /// What is said about a key.
    pub(super) fn about(&self, path: &str) -> Option<String> {
        let wanted: Vec<&str> = path.split('.').collect();
        let entries = self.find(&wanted);
        entries.iter().find_map(|entry| entry.about.clone())
    }

    /// What stands at a path, `*` standing for any name.
    fn find(&self, wanted: &[&str]) -> Vec<&Entry> {
        let fits = |path: &[String]| {
            let same = |(key, wanted): (&String, &&str)| *wanted == "*" || key == wanted;
            path.len() == wanted.len() && path.iter().zip(wanted).all(same)
        };
        let found = self.keys.iter().filter(|(path, _)| fits(path));
        found.map(|(_, entry)| entry).collect()
    }
}

/// A line of the example.
enum Line<'l> {
    Empty,
    /// Its column, the key and what follows it.
    Key(usize, &'l str, &'l str),
    Prose(&'l str),
    /// An item without a key of its own.
    Value(&'l str),
}

impl<'l> Line<'l> {
    fn of(written: &'l str) -> Self {
        // A section that is commented out has a `#` before every line, prose at the top one and a space.
        let section = written
            .strip_prefix('#')
            .filter(|rest| !rest.starts_with(' ') || rest.starts_with("  "));
        let line = section.unwrap_or(written);
        let text = line.trim_start();
        let indent = line.len().saturating_sub(text.len());
        if text.is_empty() || text == "#" {
            return Self::Empty;
        }
        if let Some(comment) = text.strip_prefix("# ") {
            return Self::key(indent, comment).unwrap_or(Self::Prose(comment));
        }
        Self::key(indent, text).unwrap_or(Self::Value(text))
    }

    fn key(mut column: usize, text: &'l str) -> Option<Self> {
        let mut rest = text;
        while let Some(item) = rest.strip_prefix("- ") {
            column += 2;
            rest = item;
        }
        let (key, value) = rest.split_once(':')?;
        let is_key = key.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte)
        });
        let ends = value.is_empty() || value.starts_with(' ');
        (is_key && ends && !key.is_empty()).then_some(Self::Key(column, key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_with_what_is_said_about_them() {
        let example = Example::of(TEXT);
        let about = |path| example.about(path);
        assert_eq!(about("threads").unwrap(), "How many. And more.");
        assert_eq!(about("pools.*.tls.verify").unwrap(), "Checks.");
        assert_eq!(about("pools.*.tls.ca").unwrap(), "Trusts.");
        assert_eq!(about("ops.bind").unwrap(), "Where.");
        assert_eq!(about("ops").unwrap(), "Health.");
        for there in ["pools.*.hash", "list.address", "list.weight"] {
            assert!(example.has(there), "{there}");
        }
        assert!(!example.has("pools.*.weight") && !example.has("list.verify"));
    }

    const TEXT: &str = "# A title.

# How many.
# And more.
threads: 2

pools:
  work:
    tls:
      # Checks.
      verify: true
      # Trusts.
      # ca: ${CA}
    balance: x
    # balance: { hash: session }
list:
  - { address: a, weight: 1 }

# Health.
#ops:
#  # Where.
#  bind: 127.0.0.1:9090
";
}

//! YAML as it is written for people: block style, comments above what they are about, short lists on one line.
//!
//! Texts are quoted unless they cannot be taken for anything else.

use crate::config::parse::expand::escaped;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Yaml {
    /// Texts on one line, in brackets.
    Flow(Vec<String>),
    /// A list, an item on each line.
    List(Vec<Item>),
    /// A map.
    Map(Vec<Entry>),
    /// A single value, as it is to be written.
    Scalar(String),
}

/// What is written as it is.
pub(super) struct Plain(String);

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) comments: Vec<String>,
    pub(super) key: String,
    pub(super) value: Yaml,
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) comments: Vec<String>,
    pub(super) value: Yaml,
}

impl Yaml {
    /// A text, in which a dollar sign stands for itself.
    pub(super) fn text(text: &str) -> Self {
        Self::Scalar(scalar(&escaped(text)))
    }

    /// A text with variables or facts in it.
    pub(super) fn template(text: &str) -> Self {
        Self::Scalar(scalar(text))
    }

    /// A number, a switch, or a quantity with its unit.
    pub(super) fn plain(value: impl Into<Plain>) -> Self {
        Self::Scalar(value.into().0)
    }

    /// A list of texts on one line.
    pub(super) fn words<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> Self {
        let words = words.into_iter();
        Self::Flow(words.map(|word| scalar(&escaped(word.as_ref()))).collect())
    }

    /// The value as a document.
    pub(super) fn document(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, indent: usize) {
        match self {
            Self::Flow(_) | Self::Scalar(_) => out.push_str(&self.inline()),
            Self::List(items) => items.iter().for_each(|item| item.write(out, indent)),
            Self::Map(entries) => entries.iter().for_each(|entry| entry.write(out, indent)),
        }
    }

    fn inline(&self) -> String {
        match self {
            Self::Flow(words) => format!("[{}]", words.join(", ")),
            Self::Scalar(text) => text.clone(),
            Self::List(_) => "[]".to_owned(),
            Self::Map(_) => "{}".to_owned(),
        }
    }

    /// Whether it takes lines of its own, which what is empty does not.
    const fn is_block(&self) -> bool {
        match self {
            Self::Flow(_) | Self::Scalar(_) => false,
            Self::List(items) => !items.is_empty(),
            Self::Map(entries) => !entries.is_empty(),
        }
    }
}

macro_rules! plain {
    ($($kind:ty),*) => {
        $(impl From<$kind> for Plain {
            fn from(value: $kind) -> Self {
                Self(value.to_string())
            }
        })*
    };
}

plain!(bool, u16, u32, u64, &str, &String);

impl From<String> for Plain {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl Entry {
    /// A key without comments.
    pub(super) fn new(key: &str, value: Yaml) -> Self {
        Self {
            comments: Vec::new(),
            key: key.to_owned(),
            value,
        }
    }

    fn write(&self, out: &mut String, indent: usize) {
        comment(out, indent, &self.comments);
        let (pad, key) = (" ".repeat(indent), scalar(&self.key));
        if self.value.is_block() {
            out.push_str(&format!("{pad}{key}:\n"));
            self.value.write(out, indent.saturating_add(STEP));
        } else {
            out.push_str(&format!("{pad}{key}: {}\n", self.value.inline()));
        }
    }
}

impl Item {
    /// An item without comments.
    pub(super) const fn new(value: Yaml) -> Self {
        Self {
            comments: Vec::new(),
            value,
        }
    }

    fn write(&self, out: &mut String, indent: usize) {
        comment(out, indent, &self.comments);
        let pad = " ".repeat(indent);
        if !self.value.is_block() {
            out.push_str(&format!("{pad}- {}\n", self.value.inline()));
            return;
        }
        let mut value = self.value.clone();
        // Between the dash and the key there is no place for them.
        if let Yaml::Map(entries) = &mut value
            && let Some(first) = entries.first_mut()
        {
            comment(out, indent, &std::mem::take(&mut first.comments));
        }
        let mut inner = String::new();
        value.write(&mut inner, indent.saturating_add(STEP));
        out.push_str(&format!("{pad}- {}", inner.trim_start_matches(' ')));
    }
}

/// Comments, each on a line of its own.
fn comment(out: &mut String, indent: usize, comments: &[String]) {
    let pad = " ".repeat(indent);
    for line in comments {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        out.push_str(format!("{pad}# {}", line.trim()).trim_end());
        out.push('\n');
    }
}

fn scalar(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || c == '\u{feff}' || matches!(c, '\u{2028}' | '\u{2029}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether a text is one without quotes, too, and neither a number nor a word that means something.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let begins = chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '/');
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let lower = text.to_ascii_lowercase();
    begins
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c))
        && !is_word.contains(&lower.as_str())
}

/// Spaces for each level.
const STEP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_stand_above_what_they_are_about() {
        let mut host = Entry::new("host", Yaml::text("app.test"));
        host.comments.push("first".to_owned());
        let routes = Yaml::List(vec![Item::new(Yaml::Map(vec![
            Entry::new("path", Yaml::text("/")),
            Entry::new("listeners", Yaml::words(["http", "on"])),
        ]))]);
        let map = Yaml::Map(vec![host, Entry::new("routes", routes)]);
        let list = Yaml::List(vec![Item::new(map)]);
        assert_eq!(
            Yaml::Map(vec![Entry::new("virtual_hosts", list)]).document(),
            "virtual_hosts:\n  # first\n  - host: app.test\n    routes:\n      - path: /\n        \
             listeners: [http, \"on\"]\n"
        );
    }

    #[test]
    fn a_dollar_sign_stands_for_itself() {
        assert_eq!(Yaml::text("${a}$").document(), "\"$${a}$\"");
        assert_eq!(Yaml::text("a$$b").document(), "\"a$$$b\"");
        assert_eq!(Yaml::template("${a.b}").document(), "\"${a.b}\"");
    }
}

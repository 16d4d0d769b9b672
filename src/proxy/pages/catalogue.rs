//! What the pages say, in one language: keys and texts, of Portway itself or from the operator's folder.
//!
//! A file has `key = text` on each line; `{name}` in a text is filled in. Which language somebody reads is
//! `language`'s matter.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use minijinja::Value;

use crate::proxy::pages::message::Filling;
use crate::proxy::pages::message::Message;

/// What the pages say in one language.
#[derive(Clone, Debug)]
pub(super) struct Catalogue {
    /// Its tag, in lower case (RFC 5646).
    pub(super) language: String,
    texts: BTreeMap<String, String>,
    /// The texts as templates name them: made once, and not for every page.
    shown: OnceLock<Value>,
}

/// What is wrong with a line of a file, or with all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// A key that the file has not, which so is said in English.
    #[error("the key `{0}` is missing")]
    Missing(String),
    /// A line without an equals sign.
    #[error("this line is not `key = text`")]
    NotAPair,
    /// The same key twice.
    #[error("the key `{0}` is given twice")]
    Twice(String),
    /// A key that no page asks for.
    #[error("unknown key `{0}`")]
    Unknown(String),
    /// A text that says other things than the English one.
    #[error("the text of `{0}` has to have {1}")]
    Fillings(String, String),
}

impl Catalogue {
    /// Portway's own English, which has every key.
    pub(super) fn english() -> Self {
        let texts = entries(ENGLISH).filter_map(|(_, entry)| entry);
        Self {
            language: "en".to_owned(),
            texts: texts
                .map(|(key, text)| (key.to_owned(), text.to_owned()))
                .collect(),
            shown: OnceLock::new(),
        }
    }

    /// The same in another language, with what a file says in place of it; and what is wrong with the file, by
    /// line.
    pub(super) fn read(&self, language: &str, file: &str) -> (Self, Vec<(usize, CatalogueError)>) {
        let english = Self::english();
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        let mut texts = self.texts.clone();
        for (line, entry) in entries(file) {
            let Some((key, text)) = entry else {
                faults.push((line, CatalogueError::NotAPair));
                continue;
            };
            let name = || key.to_owned();
            match english.texts.get(key) {
                None => faults.push((line, CatalogueError::Unknown(name()))),
                Some(model) if fillings(model) != fillings(text) => {
                    let wanted = listed(&fillings(model));
                    faults.push((line, CatalogueError::Fillings(name(), wanted)));
                }
                Some(_) if !seen.insert(key) => {
                    faults.push((line, CatalogueError::Twice(name())));
                }
                Some(_) => {
                    texts.insert(name(), text.to_owned());
                }
            }
        }
        let read = Self {
            language: language.to_owned(),
            texts,
            shown: OnceLock::new(),
        };
        (read, faults)
    }

    /// The keys that a file for a new language does not have.
    pub(super) fn missing(file: &str) -> Vec<CatalogueError> {
        let has: BTreeSet<_> = entries(file)
            .filter_map(|(_, entry)| entry.map(|(key, _)| key))
            .collect();
        let all = Self::english().texts.into_keys();
        let missing = all.filter(|key| !has.contains(key.as_str()));
        missing.map(CatalogueError::Missing).collect()
    }

    /// The text of a key as it stands; the key itself where there is none, which no test lets happen.
    pub(super) fn text<'t>(&'t self, key: &'t str) -> &'t str {
        self.texts.get(key).map_or(key, String::as_str)
    }

    /// Every key with its text, as templates name them.
    pub(super) fn shown(&self) -> Value {
        let made = || Value::from(self.texts.clone());
        self.shown.get_or_init(made).clone()
    }

    /// A message, filled in.
    pub(super) fn say(&self, message: &Message) -> String {
        let mut said = self.text(message.key).to_owned();
        for (name, filling) in &message.with {
            let filling = match filling {
                Filling::Message(message) => self.say(message),
                Filling::Text(text) => text.clone(),
            };
            said = said.replace(&format!("{{{name}}}"), &filling);
        }
        said
    }

    /// Which way it is written.
    pub(super) fn direction(&self) -> &'static str {
        let tag = self.language.split('-').next().unwrap_or_default();
        if RIGHT_TO_LEFT.contains(&tag) {
            "rtl"
        } else {
            "ltr"
        }
    }
}

/// One entry of a line with something on it; none where the line is no entry.
type Entry<'t> = Option<(&'t str, &'t str)>;

fn entries(file: &str) -> impl Iterator<Item = (usize, Entry<'_>)> {
    let lines = file.strip_prefix('\u{feff}').unwrap_or(file).lines();
    let lines = (1..).zip(lines.map(str::trim));
    let said = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    said.map(|(number, line)| {
        let pair = line.split_once('=');
        let pair = pair.map(|(key, text)| (key.trim(), text.trim()));
        (
            number,
            pair.filter(|(key, text)| !key.is_empty() && !text.is_empty()),
        )
    })
}

/// The names in braces.
fn fillings(text: &str) -> BTreeSet<&str> {
    let parts = text.split('{').skip(1);
    parts
        .filter_map(|part| part.split_once('}').map(|(name, _)| name))
        .collect()
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() {
        return "nothing in braces".to_owned();
    }
    let names: Vec<_> = names.iter().map(|name| format!("{{{name}}}")).collect();
    names.join(" and ")
}

/// The languages that Portway itself speaks beside English.
pub(super) const BUILT_IN: [(&str, &str); 3] = [
    ("ar", include_str!("messages/ar.txt")),
    ("de", include_str!("messages/de.txt")),
    ("fr", include_str!("messages/fr.txt")),
];
const ENGLISH: &str = include_str!("messages/en.txt");
/// Languages that are written from right to left.
const RIGHT_TO_LEFT: &[&str] = &["ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_of_portway_says_everything_and_fills_in_the_same() {
        for (language, file) in BUILT_IN {
            let (_, faults) = Catalogue::english().read(language, file);
            assert_eq!(faults, Vec::new(), "{language}");
            assert_eq!(Catalogue::missing(file), Vec::new(), "{language}");
        }
        assert!(entries(ENGLISH).all(|(_, entry)| entry.is_some()));
        let lines = entries(ENGLISH).count();
        assert_eq!(Catalogue::english().texts.len(), lines, "no key twice");
    }

    #[test]
    fn a_file_of_the_operator_is_held_against_the_english_one() {
        let file = "# ours\nsign_in = Log in\nsing_in = x\nseconds = some\nnonsense\n\
                    sign_in = Again\nuser_name =\n";
        let (read, faults) = Catalogue::english().read("en", file);
        assert_eq!(read.text("sign_in"), "Log in");
        assert_eq!(read.text("password"), "Password");
        assert_eq!(
            faults,
            [
                (3, CatalogueError::Unknown("sing_in".to_owned())),
                (
                    4,
                    CatalogueError::Fillings("seconds".to_owned(), "{count}".to_owned())
                ),
                (5, CatalogueError::NotAPair),
                (6, CatalogueError::Twice("sign_in".to_owned())),
                (7, CatalogueError::NotAPair),
            ]
        );
        let missing = Catalogue::missing(file);
        assert!(missing.contains(&CatalogueError::Missing("password".to_owned())));
        assert!(!missing.contains(&CatalogueError::Missing("sign_in".to_owned())));
    }

    #[test]
    fn what_is_filled_in_is_not_filled_in_again() {
        let english = Catalogue::english();
        let message = Message::of("sign_in_for").with("application", "{application}".to_owned());
        assert_eq!(
            english.say(&message),
            "Sign in to continue to {application}"
        );
    }

    #[test]
    fn the_direction_is_that_of_the_language() {
        for (language, direction) in [("ar", "rtl"), ("he-il", "rtl"), ("de", "ltr"), ("", "ltr")] {
            let (read, _) = Catalogue::english().read(language, "");
            assert_eq!(read.direction(), direction, "{language}");
        }
    }
}

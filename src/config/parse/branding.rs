//! `branding`: how Portway's own pages look. What is in the folder is read by `app`.

use crate::config::Branding;
use crate::config::parse::reading::Found;
use crate::config::parse::reading::Reading;

impl Reading<'_> {
    pub(super) fn branding(&mut self, found: Option<&Found<'_>>) -> Branding {
        let mut branding = Branding {
            templates_dir: None,
            language: LANGUAGE_DEFAULT.to_owned(),
        };
        let section = found.and_then(|found| self.section(found, KEYS));
        let Some(section) = section else {
            return branding;
        };
        self.set(
            &section,
            "templates_dir",
            &mut branding.templates_dir,
            |this, found| this.path(found).map(Some),
        );
        self.set(
            &section,
            "language",
            &mut branding.language,
            |this, found| this.shaped(found, ("the tag of a language", "pt-BR"), language_tag),
        );
        branding
    }
}

/// A tag in lower case, if a text has the form of one (RFC 5646 §2.1).
fn language_tag(text: &str) -> Option<String> {
    let is_part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let is_tag = text.split('-').all(is_part);
    is_tag.then(|| text.to_ascii_lowercase())
}

pub(super) const KEYS: &[&str] = &["language", "templates_dir"];
const LANGUAGE_DEFAULT: &str = "en";

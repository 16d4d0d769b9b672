//! The reference of the configuration: every key with its form, default and meaning, as Markdown.
//!
//! Made from the sections and from the prose of `gateway.yaml.example`; what only a restart can bring is known in
//! `config::restart`.

use std::fmt::Write;

use crate::config::parse::schema::Key;
use crate::config::parse::schema::Kind;
use crate::config::parse::schema::Presence;
use crate::config::parse::schema::Shape;
use crate::config::parse::schema::example::Example;
use crate::config::parse::schema::shapes::ROOT;
use crate::config::restart;

/// The reference, to be kept as a page.
#[must_use]
pub fn reference() -> String {
    let mut writing = Writing {
        example: Example::read(),
        shared: Vec::new(),
        page: BEGINNING.to_owned(),
    };
    writing.heading("Top level");
    for key in ROOT.keys {
        writing.row(key, &Place::top(key));
    }
    for key in ROOT.keys.iter().filter(|key| has_sections(&key.kind)) {
        writing.heading(&format!("`{}`", key.name));
        writing.below(&key.kind, &Place::top(key));
    }
    let mut done = 0;
    while let Some(shape) = writing.shared.get(done).copied() {
        done += 1;
        writing.heading(&in_capitals(shape.name));
        writing.section(shape, &Place::default());
    }
    writing.page
}

/// Where a key is.
#[derive(Default)]
struct Place {
    /// As the example has it.
    path: String,
    /// As it is shown, with `[]` behind lists and `NAME` for names of the operator's choosing.
    shown: String,
}

impl Place {
    fn top(key: &Key) -> Self {
        Self::default().of(key.name)
    }

    fn of(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{name}", self.path),
            shown: format!("{}{dot}{name}", self.shown),
        }
    }

    fn of_any_name(&self) -> Self {
        Self {
            path: format!("{}.*", self.path),
            shown: format!("{}.NAME", self.shown),
        }
    }

    fn of_item(&self) -> Self {
        Self {
            path: self.path.clone(),
            shown: format!("{}[]", self.shown),
        }
    }
}

struct Writing {
    example: Example,
    /// Sections that others refer to, in the order in which they were met.
    shared: Vec<&'static Shape>,
    page: String,
}

impl Writing {
    fn heading(&mut self, heading: &str) {
        self.page.push_str(&format!("\n## {heading}\n{TABLE}"));
    }

    fn section(&mut self, shape: &'static Shape, place: &Place) {
        for key in shape.keys {
            let place = place.of(key.name);
            self.row(key, &place);
            self.below(&key.kind, &place);
        }
    }

    /// What stands inside a value.
    fn below(&mut self, kind: &'static Kind, place: &Place) {
        match kind {
            Kind::AnyOf(kinds) => {
                for kind in *kinds {
                    self.below(kind, place);
                }
            }
            Kind::List(item) => self.below(item, &place.of_item()),
            Kind::Some(item) => self.below(item, place),
            Kind::Named(value) => self.below(value, &place.of_any_name()),
            Kind::Section(shape) if shape.name.is_empty() => self.section(shape, place),
            Kind::Section(shape) => {
                if !self.shared.iter().any(|known| std::ptr::eq(*known, *shape)) {
                    self.shared.push(shape);
                }
            }
            Kind::Duration
            | Kind::Nothing
            | Kind::Number(..)
            | Kind::Secret
            | Kind::Size
            | Kind::Switch
            | Kind::Text
            | Kind::Words(_) => {}
        }
    }

    fn row(&mut self, key: &Key, place: &Place) {
        let default = match (key.presence, key.default) {
            (Presence::Required, _) => "required".to_owned(),
            (Presence::Optional | Presence::Implied, Some(default)) => format!("`{default}`"),
            (Presence::Optional | Presence::Implied, None) => "–".to_owned(),
        };
        let about = key.about.map(str::to_owned);
        let about = about.or_else(|| self.example.about(&place.path));
        let cells = [
            format!("`{}`", place.shown),
            form(&key.kind),
            default,
            restart::when(&place.path).unwrap_or_default().to_owned(),
            about.unwrap_or_default(),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.page, "| {} |", cells.join(" | "));
    }
}

/// Whether there is more to say below a value.
fn has_sections(kind: &Kind) -> bool {
    match kind {
        Kind::AnyOf(kinds) => kinds.iter().any(has_sections),
        Kind::List(item) | Kind::Some(item) | Kind::Named(item) => has_sections(item),
        Kind::Section(_) => true,
        Kind::Duration
        | Kind::Nothing
        | Kind::Number(..)
        | Kind::Secret
        | Kind::Size
        | Kind::Switch
        | Kind::Text
        | Kind::Words(_) => false,
    }
}

/// The form of a value, in words.
fn form(kind: &Kind) -> String {
    match kind {
        Kind::AnyOf(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(form).collect();
            kinds.join(", or ")
        }
        Kind::Duration => "duration".to_owned(),
        Kind::List(item) => format!("list: {}", form(item)),
        Kind::Named(value) => format!("names, each with: {}", form(value)),
        Kind::Nothing => "`null`".to_owned(),
        Kind::Number(least, most) => format!("{least} to {most}"),
        Kind::Secret => "secret".to_owned(),
        Kind::Section(shape) if shape.name.is_empty() => "section".to_owned(),
        Kind::Section(shape) => format!("[{0}](#{0})", shape.name),
        Kind::Size => "size".to_owned(),
        Kind::Some(item) => format!("{}, or a list of those", form(item)),
        Kind::Switch => "`true` or `false`".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Words(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
    }
}

/// A name as a heading.
fn in_capitals(name: &str) -> String {
    let mut rest = name.chars();
    let first = rest.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(rest).collect()
}

const BEGINNING: &str = "# Reference

Every key of `gateway.yaml`: its form, its default, whether a change of it needs a restart, and what it is for. This page is what `portway config reference` prints; [configuration.md](configuration.md) explains the same in sentences, and [gateway.yaml.example](../gateway.yaml.example) shows it.

`NAME` is a name of your choosing, `[]` stands for each item of a list. A **duration** has units (`250ms`, `30s`, `5m`, `24h`), a **size** too (`64B`, `32KiB`, `10MiB`). Where nothing stands under *restart*, a reload is enough.
";

const TABLE: &str = "
| key | form | default | restart | meaning |
| --- | --- | --- | --- | --- |
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_form_its_default_and_what_it_takes_to_change_it() {
        let page = reference();
        for row in [
            "| `session.idle_timeout` | duration | `30m` | with `mdc` |",
            "| `pools.NAME.primary` | list: text, or section | required |  |",
            "| `listeners[].bind` | text | required |  |",
            "| `limits.header_timeout` | duration | `10s` |  |",
            "| `mdc.peers[].cluster_id` | text | required | yes |",
        ] {
            assert!(page.contains(row), "{row}\n{page}");
        }
        assert_eq!(page.matches("\n## Condition\n").count(), 1);
        assert!(page.contains("[condition](#condition)"));
    }
}

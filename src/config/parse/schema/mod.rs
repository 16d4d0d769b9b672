//! What may be written: the sections of a configuration with their keys, the form of their values, and their
//! defaults. The JSON schema, the reference and the effective configuration are made from it.
//!
//! It stands beside the code that reads values and lists exactly its keys, which a test holds it to. What fits
//! together, and what a value means, only that code knows; what each key is for stands in
//! `gateway.yaml.example`.

pub mod effective;
mod example;
mod json;
mod reference;
mod shapes;

pub use json::schema;
pub use reference::reference;

/// A section: a map whose keys are known.
#[derive(Debug)]
pub(super) struct Shape {
    /// What it is called where others refer to it; empty where nobody does.
    name: &'static str,
    keys: &'static [Key],
    /// The keys that the code knows which reads the section.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test holds the keys to it"))]
    known: &'static [&'static str],
}

/// A key of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    name: &'static str,
    kind: Kind,
    presence: Presence,
    default: Option<&'static str>,
    applies: Applies,
    about: Option<&'static str>,
}

/// Whether a key must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// It may be absent.
    Optional,
    /// It must be there.
    Required,
    /// It is a section, and its absence is the same as an empty one.
    Implied,
}

/// Where a default holds.
#[derive(Clone, Copy, Debug)]
enum Applies {
    /// Wherever the key is absent.
    Always,
    /// Unless the section has this value under this key.
    Unless(&'static str, &'static str),
    /// Unless the section has this key.
    Without(&'static str),
    /// It is shown to the reader, and stays unwritten: it depends on more than its section.
    Unwritten,
}

/// The form of a value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// One of several forms.
    AnyOf(&'static [Self]),
    /// A span of time with its unit.
    Duration,
    /// Items.
    List(&'static Self),
    /// Names that the operator chooses, each with such a value.
    Named(&'static Self),
    /// No value.
    Nothing,
    /// A whole number.
    Number(u64, u64),
    /// One such value, or a list of them.
    Some(&'static Self),
    /// Text that nobody is shown.
    Secret,
    /// Keys that are known.
    Section(&'static Shape),
    /// An amount of bytes with its unit.
    Size,
    /// `true` or `false`.
    Switch,
    /// Any text.
    Text,
    /// One of these.
    Words(&'static [&'static str]),
}

impl Key {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            presence: Presence::Optional,
            default: None,
            applies: Applies::Always,
            about: None,
        }
    }

    const fn required(self) -> Self {
        Self {
            presence: Presence::Required,
            ..self
        }
    }

    const fn implied(self) -> Self {
        Self {
            presence: Presence::Implied,
            ..self
        }
    }

    const fn default(self, default: &'static str) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    const fn unwritten(self) -> Self {
        Self {
            applies: Applies::Unwritten,
            ..self
        }
    }

    const fn unless(self, key: &'static str, value: &'static str) -> Self {
        Self {
            applies: Applies::Unless(key, value),
            ..self
        }
    }

    const fn without(self, key: &'static str) -> Self {
        Self {
            applies: Applies::Without(key),
            ..self
        }
    }

    const fn about(self, about: &'static str) -> Self {
        Self {
            about: Some(about),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shapes;
    use super::*;

    #[test]
    fn the_schema_has_exactly_the_keys_that_are_read() {
        let mut wrong = Vec::new();
        visit(&shapes::ROOT, "", &mut |shape, path| {
            let mut listed: Vec<&str> = shape.keys.iter().map(|key| key.name).collect();
            let mut known = shape.known.to_vec();
            listed.sort_unstable();
            known.sort_unstable();
            if listed != known {
                wrong.push(format!(
                    "{path}: read are {known:?}, and src/config/parse/schema has {listed:?}"
                ));
            }
        });
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn every_key_of_the_schema_is_in_the_example_and_explained() {
        let example = example::Example::read();
        let mut places = Vec::new();
        visit(&shapes::ROOT, "", &mut |shape, path| {
            places.push((shape, path.to_owned()));
        });
        let mut wrong = Vec::new();
        for (shape, path) in &places {
            // What can stand at several places is in the example at one of them.
            let same = |other: &&(&'static Shape, String)| std::ptr::eq(other.0, *shape);
            let same: Vec<&str> = places.iter().filter(same).map(|at| at.1.as_str()).collect();
            let is_there = |key: &&Key| same.iter().any(|at| example.has(&join(at, key.name)));
            let is_explained =
                |key: &&Key| key.about.is_some() || example.about(&join(path, key.name)).is_some();
            let lacks = |what, key: &Key| format!("{what} `{}`", join(path, key.name));
            let absent = shape.keys.iter().filter(|key| !is_there(key));
            wrong.extend(absent.map(|key| lacks("gateway.yaml.example has no", key)));
            let bare = shape.keys.iter().filter(|key| !is_explained(key));
            wrong.extend(bare.map(|key| lacks("gateway.yaml.example does not explain", key)));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn the_defaults_that_are_not_written_out_are_named_to_readers() {
        let page = include_str!("../../../../docs/configuration.md");
        let told = page.lines().find(|line| line.contains("Not written are"));
        let (_, told) = told.unwrap().split_once("Not written are").unwrap();
        let mut untold = Vec::new();
        visit(&shapes::ROOT, "", &mut |shape, path| {
            let unwritten = shape.keys.iter();
            let unwritten = unwritten.filter(|key| matches!(key.applies, Applies::Unwritten));
            let paths = unwritten.map(|key| (join(path, key.name), key.name));
            let is_told = |name: &str| told.contains(&format!("`{name}`"));
            untold.extend(paths.filter(|(path, name)| !is_told(path) && !is_told(name)));
        });
        assert_eq!(untold, []);
    }

    /// Visits every section once at each place, but a recursive one only once.
    fn visit(shape: &'static Shape, path: &str, with: &mut impl FnMut(&'static Shape, &str)) {
        with(shape, path);
        for key in shape.keys {
            visit_kind(&key.kind, &join(path, key.name), shape, with);
        }
    }

    fn visit_kind(
        kind: &'static Kind,
        path: &str,
        inside: &'static Shape,
        with: &mut impl FnMut(&'static Shape, &str),
    ) {
        match kind {
            Kind::AnyOf(kinds) => {
                for kind in *kinds {
                    visit_kind(kind, path, inside, with);
                }
            }
            Kind::List(item) | Kind::Some(item) => visit_kind(item, path, inside, with),
            Kind::Named(value) => visit_kind(value, &join(path, "*"), inside, with),
            Kind::Section(shape) if std::ptr::eq(*shape, inside) => {}
            Kind::Section(shape) => visit(shape, path, with),
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

    fn join(path: &str, name: &str) -> String {
        let dot = if path.is_empty() { "" } else { "." };
        format!("{path}{dot}{name}")
    }
}

//! Walks the tree with a list of faults in hand: sections with known keys, lists, texts.
//!
//! A fault never stops the walk; what is faulty is left out, and whoever needed it gets `None`. The
//! typed values inside texts are `scalar`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderName;

use crate::config::diagnostic::Fault;
use crate::config::diagnostic::Warning;
use crate::config::parse::Surroundings;
use crate::config::parse::expand::EXPANDED_BYTES_MAX;
use crate::config::parse::expand::ExpandError;
use crate::config::parse::expand::expand;
use crate::config::parse::nearest::nearest;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::problem::mdc::MdcProblem;
use crate::config::raw::Content;
use crate::config::raw::Entry;
use crate::config::raw::Node;
use crate::config::raw::Position;
use crate::config::texts::Texts;
use crate::decision::identity_headers::ProtectedNames;

/// The walk through one file.
pub(super) struct Reading<'a> {
    pub(super) surroundings: &'a Surroundings<'a>,
    texts: &'a Texts,
    pub(super) faults: Vec<Fault>,
    pub(super) warnings: Vec<Warning>,
    /// The headers by which a client could claim what only the gateway may say.
    pub(super) claims: ProtectedNames,
    /// The headers that tell applications who is signed in.
    pub(super) told: Vec<HeaderName>,
    /// The headers of clients that policies and templates read, and where.
    pub(super) asked: Vec<(Position, String, HeaderName)>,
    /// Revocation lists, by their files.
    pub(super) lists: BTreeMap<PathBuf, Arc<[u8]>>,
    expanded_bytes: usize,
}

/// A node and how it was reached.
#[derive(Clone)]
pub(super) struct Found<'n> {
    pub(super) node: &'n Node,
    /// Where the key stands; the node itself in a list.
    pub(super) key: Position,
    /// Such as `listeners[0].bind`.
    pub(super) path: String,
}

/// A map whose keys are known.
pub(super) struct Section<'n> {
    pub(super) found: Found<'n>,
    entries: Vec<(&'n str, Found<'n>)>,
}

impl<'n> Section<'n> {
    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<&Found<'n>> {
        self.entries
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, found)| found)
    }

    /// The entries in the order of the file.
    pub(super) fn entries(&self) -> impl Iterator<Item = &(&'n str, Found<'n>)> {
        self.entries.iter()
    }
}

impl<'n> Found<'n> {
    pub(super) const fn root(node: &'n Node) -> Self {
        Self {
            node,
            key: node.at,
            path: String::new(),
        }
    }

    fn entry(&self, entry: &'n Entry) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        let path = format!("{}{dot}{}", self.path, entry.key);
        Self {
            node: &entry.value,
            key: entry.at,
            path,
        }
    }

    fn item(&self, node: &'n Node, index: usize) -> Self {
        Self {
            node,
            key: node.at,
            path: format!("{}[{index}]", self.path),
        }
    }

    pub(super) const fn is_list(&self) -> bool {
        matches!(self.node.content, Content::List(_))
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        matches!(&self.node.content, Content::Text(written) if written == text)
    }

    pub(super) const fn is_map(&self) -> bool {
        matches!(self.node.content, Content::Map(_))
    }

    /// The value of a key of a map that has been opened before: nothing is reported twice.
    pub(super) fn value_of(&self, key: &str) -> Option<Self> {
        let Content::Map(entries) = &self.node.content else {
            return None;
        };
        let entry = entries.iter().find(|entry| entry.key == key);
        entry.map(|entry| self.entry(entry))
    }

    /// The keys of a map.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'n str> + Clone {
        let entries: &[Entry] = match &self.node.content {
            Content::Map(entries) => entries,
            Content::List(_) | Content::Null | Content::Text(_) => &[],
        };
        entries.iter().map(|entry| entry.key.as_str())
    }

    pub(super) const fn is_null(&self) -> bool {
        matches!(self.node.content, Content::Null)
    }
}

impl<'a> Reading<'a> {
    pub(super) fn new(surroundings: &'a Surroundings<'a>, texts: &'a Texts) -> Self {
        Self {
            surroundings,
            texts,
            faults: Vec::new(),
            warnings: Vec::new(),
            claims: ProtectedNames::default(),
            told: Vec::new(),
            asked: Vec::new(),
            lists: BTreeMap::new(),
            expanded_bytes: 0,
        }
    }

    /// Reports a fault of a value.
    pub(super) fn fault(&mut self, found: &Found<'_>, problem: Problem) {
        let at = if found.is_null() {
            found.key
        } else {
            found.node.at
        };
        self.faults.push(Fault {
            at: Some(at),
            path: found.path.clone(),
            problem,
        });
    }

    /// Reports a fault of a key.
    pub(super) fn fault_at_key(&mut self, found: &Found<'_>, problem: Problem) {
        self.faults.push(Fault {
            at: Some(found.key),
            path: found.path.clone(),
            problem,
        });
    }

    /// Reports what does not fit together about several data centres, at a value.
    pub(super) fn mdc_fault(&mut self, found: &Found<'_>, problem: MdcProblem) {
        self.fault(found, Problem::Mdc(problem));
    }

    /// Warns of what looks like a mistake, at a value.
    pub(super) fn advise(&mut self, found: &Found<'_>, advice: Advice) {
        let at = if found.is_null() {
            found.key
        } else {
            found.node.at
        };
        self.warnings.push(Warning {
            at,
            path: found.path.clone(),
            advice,
        });
    }

    /// Warns of what looks like a mistake, at a key.
    pub(super) fn advise_at_key(&mut self, found: &Found<'_>, advice: Advice) {
        self.warnings.push(Warning {
            at: found.key,
            path: found.path.clone(),
            advice,
        });
    }

    /// Warns of a key that has no effect.
    pub(super) fn advise_inert(
        &mut self,
        found: &Found<'_>,
        key: &'static str,
        because: &'static str,
    ) {
        self.advise_at_key(found, Advice::Inert { key, because });
    }

    /// Opens a map whose keys are known; unknown and repeated ones are reported.
    pub(super) fn section<'n>(
        &mut self,
        found: &Found<'n>,
        known: &'static [&'static str],
    ) -> Option<Section<'n>> {
        let section = self.map(found)?;
        for (key, entry) in section.entries().filter(|(key, _)| !known.contains(key)) {
            let nearest = nearest(key, known.iter().copied()).map(str::to_owned);
            let problem = Problem::UnknownKey {
                key: (*key).to_owned(),
                known,
                nearest,
            };
            self.fault_at_key(entry, problem);
        }
        Some(section)
    }

    /// Opens a map whose keys the operator chose; repeated ones are reported.
    pub(super) fn map<'n>(&mut self, found: &Found<'n>) -> Option<Section<'n>> {
        let Content::Map(written) = &found.node.content else {
            self.wrong_type(found, "a map");
            return None;
        };
        let mut seen = BTreeMap::new();
        let mut entries = Vec::with_capacity(written.len());
        for entry in written {
            let inner = found.entry(entry);
            if let Some(first) = seen.get(entry.key.as_str()) {
                let problem = Problem::DuplicateKey {
                    key: entry.key.clone(),
                    first: *first,
                };
                self.fault_at_key(&inner, problem);
                continue;
            }
            seen.insert(entry.key.as_str(), entry.at.line);
            entries.push((entry.key.as_str(), inner));
        }
        Some(Section {
            found: found.clone(),
            entries,
        })
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, found: &Found<'n>) -> Option<Vec<Found<'n>>> {
        let Content::List(items) = &found.node.content else {
            self.wrong_type(found, "a list");
            return None;
        };
        // Items count from the beginning of their own file.
        let mut counted = None;
        let item = |node: &'n Node| {
            let file = self.texts.file_of(node.at.line);
            let index = match counted {
                Some((same, index)) if same == file => index,
                _ => 0,
            };
            counted = Some((file, index + 1));
            found.item(node, index)
        };
        Some(items.iter().map(item).collect())
    }

    /// The items of a list that must not be empty.
    pub(super) fn some_list<'n>(&mut self, found: &Found<'n>) -> Option<Vec<Found<'n>>> {
        let items = self.list(found)?;
        if items.is_empty() {
            self.fault(found, Problem::EmptyList);
        }
        Some(items)
    }

    /// Every item of a list, read; one faulty item makes the list faulty, after all are read.
    pub(super) fn each<'n, T>(
        &mut self,
        items: &[Found<'n>],
        mut read: impl FnMut(&mut Self, &Found<'n>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let values: Vec<Option<T>> = items.iter().map(|item| read(self, item)).collect();
        values.into_iter().collect()
    }

    /// A text with its variables put in.
    pub(super) fn text(&mut self, found: &Found<'_>) -> Option<String> {
        let Content::Text(written) = &found.node.content else {
            self.wrong_type(found, "a single value");
            return None;
        };
        if !written.contains('$') {
            return Some(written.clone());
        }
        match expand(written, self.surroundings.variable) {
            Ok(text) if self.expanded_bytes.saturating_add(text.len()) <= EXPANDED_BYTES_MAX => {
                self.expanded_bytes = self.expanded_bytes.saturating_add(text.len());
                Some(text)
            }
            Ok(_) => {
                self.fault(found, Problem::Expand(ExpandError::TooLong));
                None
            }
            Err(error) => {
                self.fault(found, Problem::Expand(error));
                None
            }
        }
    }

    /// The value of a key that must be there.
    pub(super) fn required<'s, 'n>(
        &mut self,
        section: &'s Section<'n>,
        key: &'static str,
    ) -> Option<&'s Found<'n>> {
        let value = section.get(key);
        if value.is_none() {
            self.fault(&section.found, Problem::Missing(key));
        }
        value
    }

    /// The value of a key, read, or what stands for it when it is absent or faulty.
    pub(super) fn or<'n, T>(
        &mut self,
        section: &Section<'n>,
        key: &str,
        default: T,
        read: impl FnOnce(&mut Self, &Found<'n>) -> Option<T>,
    ) -> T {
        section
            .get(key)
            .and_then(|found| read(self, found))
            .unwrap_or(default)
    }

    /// Reports that two keys exclude each other, at the second.
    pub(super) fn exclusive(
        &mut self,
        section: &Section<'_>,
        first: &'static str,
        second: &'static str,
    ) {
        if let (Some(_), Some(found)) = (section.get(first), section.get(second)) {
            self.fault_at_key(found, Problem::Exclusive { first, second });
        }
    }

    pub(super) fn wrong_type(&mut self, found: &Found<'_>, want: &'static str) {
        self.fault(found, wrong_type(&found.node.content, want));
    }
}

/// What is said about a value of another kind than the one that is wanted.
pub(super) const fn wrong_type(content: &Content, want: &'static str) -> Problem {
    let found = match content {
        Content::Null => return Problem::NoValue,
        Content::List(_) => "a list",
        Content::Map(_) => "a map",
        Content::Text(_) => "a single value",
    };
    Problem::Type { want, found }
}

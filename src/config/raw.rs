//! The configuration as written: a tree of YAML nodes that know where they stand in the file.
//!
//! Only structure is read here, within bounds. What the keys mean is `parse`; no file and no
//! variable of the environment is touched, and text never becomes structure a second time.

use std::collections::BTreeMap;

use serde_saphyr::granit_parser::Event;
use serde_saphyr::granit_parser::Options;
use serde_saphyr::granit_parser::Parser;
use serde_saphyr::granit_parser::ScalarStyle;
use serde_saphyr::granit_parser::ScanError;
use serde_saphyr::granit_parser::Span;
use serde_saphyr::granit_parser::StrInput;

/// A place in a configuration: line and column count from 1, in characters. The lines of included files are
/// numbered on ([`crate::config::texts`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column of the first character.
    pub column: usize,
    /// How many characters of the line are meant, at least 1.
    pub width: usize,
}

/// One YAML node.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands; an alias stands where its anchor does.
    pub at: Position,
    /// What it holds.
    pub content: Content,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// Items in order.
    List(Vec<Node>),
    /// Entries in order, repeated keys included.
    Map(Vec<Entry>),
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// Text, whatever it may mean.
    Text(String),
}

/// One entry of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where the key stands.
    pub at: Position,
    /// The key.
    pub key: String,
    /// Its value.
    pub value: Node,
}

/// Why a text is no configuration tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadTreeError {
    /// An alias stands inside the node it refers to.
    #[error("this alias stands inside what it refers to")]
    Alias,
    /// Nodes are nested too deeply.
    #[error("the nesting is deeper than {DEPTH_MAX} levels")]
    Depth,
    /// A second document follows.
    #[error("a second document begins here")]
    Documents,
    /// The file holds nothing.
    #[error("the file holds no configuration")]
    Empty,
    /// A key that is a list or a map.
    #[error("a key must be a word")]
    Key,
    /// A merge key.
    #[error("the merge key `<<` is not supported")]
    Merge,
    /// There are too many nodes, aliases resolved.
    #[error("the file holds more than {NODES_MAX} values, aliases included")]
    Nodes,
    /// The text breaks the syntax of YAML.
    #[error("this is not YAML: {}", .0.info())]
    Syntax(#[source] ScanError),
    /// A node with a tag.
    #[error("tags such as `!!str` are not supported")]
    Tag,
}

/// A tree that could not be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    /// Where reading stopped.
    pub at: Position,
    /// Why.
    pub error: ReadTreeError,
}

/// Reads the tree of a whole file.
///
/// # Errors
/// The first place that cannot be read; YAML does not allow going on behind it.
pub fn read_tree(text: &str) -> Result<Node, Misread> {
    read_tree_after(text, 0)
}

/// Reads the tree of a whole file whose lines are numbered after so many others.
///
/// # Errors
/// The first place that cannot be read.
pub fn read_tree_after(text: &str, lines_before: usize) -> Result<Node, Misread> {
    let mut builder = Builder::new(text, lines_before);
    let root = builder.document()?;
    builder.end()?;
    Ok(root)
}

impl Position {
    /// The first character of the file.
    pub const START: Self = Self {
        line: 1,
        column: 1,
        width: 1,
    };

    fn of(span: Span) -> Self {
        let width = if span.start.line() == span.end.line() {
            span.end.col().saturating_sub(span.start.col()).max(1)
        } else {
            1
        };
        Self {
            line: span.start.line(),
            column: span.start.col().saturating_add(1),
            width,
        }
    }
}

impl Node {
    /// The number of nodes in the tree and its depth.
    fn measure(&self) -> (usize, usize) {
        let below = match &self.content {
            Content::List(items) => measure_all(items.iter()),
            Content::Map(entries) => measure_all(entries.iter().map(|entry| &entry.value)),
            Content::Null | Content::Text(_) => (0, 0),
        };
        (below.0.saturating_add(1), below.1.saturating_add(1))
    }
}

fn measure_all<'n>(nodes: impl Iterator<Item = &'n Node>) -> (usize, usize) {
    nodes.map(Node::measure).fold((0, 0), |sum, one| {
        (sum.0.saturating_add(one.0), sum.1.max(one.1))
    })
}

struct Builder<'t> {
    lines_before: usize,
    parser: Parser<'t, StrInput<'t>>,
    anchors: BTreeMap<usize, Node>,
    nodes: usize,
}

impl<'t> Builder<'t> {
    fn new(text: &'t str, lines_before: usize) -> Self {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.disallow_directives = true;
        options.flow_nesting_limit = DEPTH_MAX;
        options.block_nesting_limit = DEPTH_MAX;
        let parser = Parser::new_from_str_with_options(text, options);
        Self {
            lines_before,
            parser,
            anchors: BTreeMap::new(),
            nodes: 0,
        }
    }

    fn document(&mut self) -> Result<Node, Misread> {
        loop {
            let (event, at) = self.next()?;
            if event.is_node() {
                return self.node(&event, at, 1);
            }
            if event == Event::StreamEnd {
                return refuse(at, ReadTreeError::Empty);
            }
        }
    }

    fn end(&mut self) -> Result<(), Misread> {
        loop {
            let (event, at) = self.next()?;
            if event == Event::StreamEnd {
                return Ok(());
            }
            if event.is_node() || matches!(event, Event::DocumentStart(..)) {
                return refuse(at, ReadTreeError::Documents);
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Position), Misread> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, self.at(Position::of(span)))),
            Some(Err(error)) => {
                let at = self.at(Position::of(Span::empty(*error.marker())));
                refuse(at, ReadTreeError::Syntax(error))
            }
            None => Ok((Event::StreamEnd, self.at(Position::START))),
        }
    }

    const fn at(&self, within: Position) -> Position {
        Position {
            line: within.line.saturating_add(self.lines_before),
            ..within
        }
    }

    fn node(&mut self, event: &Event<'t>, at: Position, depth: usize) -> Result<Node, Misread> {
        if depth > DEPTH_MAX {
            return refuse(at, ReadTreeError::Depth);
        }
        if event.tag().is_some() {
            return refuse(at, ReadTreeError::Tag);
        }
        if let Some(id) = event.alias_id() {
            return self.alias(id, at, depth);
        }
        let anchor = event.anchor_id();
        let content = if matches!(event, Event::MappingStart(..)) {
            Content::Map(self.entries(depth)?)
        } else if matches!(event, Event::SequenceStart(..)) {
            Content::List(self.items(depth)?)
        } else {
            scalar(event)
        };
        self.count(1, at)?;
        let node = Node { at, content };
        if let Some(id) = anchor {
            self.count(node.measure().0, at)?;
            self.anchors.insert(id, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, id: usize, at: Position, depth: usize) -> Result<Node, Misread> {
        let Some(node) = self.anchors.get(&id) else {
            return refuse(at, ReadTreeError::Alias);
        };
        let (nodes, height) = node.measure();
        if depth.saturating_add(height) > DEPTH_MAX {
            return refuse(at, ReadTreeError::Depth);
        }
        let node = node.clone();
        self.count(nodes, at)?;
        Ok(node)
    }

    fn items(&mut self, depth: usize) -> Result<Vec<Node>, Misread> {
        let mut items = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Ok(items);
            }
            items.push(self.node(&event, at, depth.saturating_add(1))?);
        }
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<Entry>, Misread> {
        let mut entries = Vec::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok(entries);
            }
            let key = key(&event, at)?;
            let (event, value_at) = self.next()?;
            let value = self.node(&event, value_at, depth.saturating_add(1))?;
            entries.push(Entry { at, key, value });
        }
    }

    /// Counts nodes as they come into being, so that aliases of aliases cannot grow without bound.
    const fn count(&mut self, nodes: usize, at: Position) -> Result<(), Misread> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            return Err(Misread {
                at,
                error: ReadTreeError::Nodes,
            });
        }
        Ok(())
    }
}

fn key(event: &Event<'_>, at: Position) -> Result<String, Misread> {
    match event.scalar() {
        _ if event.tag().is_some() => refuse(at, ReadTreeError::Tag),
        Some(("<<", ScalarStyle::Plain)) => refuse(at, ReadTreeError::Merge),
        Some((key, _)) => Ok(key.to_owned()),
        None => refuse(at, ReadTreeError::Key),
    }
}

fn scalar(event: &Event<'_>) -> Content {
    match event.scalar() {
        Some(("" | "~" | "null" | "Null" | "NULL", ScalarStyle::Plain)) | None => Content::Null,
        Some((text, _)) => Content::Text(text.to_owned()),
    }
}

const fn refuse<T>(at: Position, error: ReadTreeError) -> Result<T, Misread> {
    Err(Misread { at, error })
}

/// Lists and maps inside one another; the deepest sensible policy needs a third of it.
const DEPTH_MAX: usize = 48;

/// Values in one file, aliases resolved: a thousand virtual hosts with ten routes each fit.
const NODES_MAX: usize = 500_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_knows_where_its_keys_and_values_stand() {
        let root = read_tree("a: 1\nb:\n  - x\n  - {c: \"yé\"}\n").unwrap();
        let Content::Map(entries) = root.content else {
            panic!("a map")
        };
        assert_eq!(
            entries[1].at,
            Position {
                line: 2,
                column: 1,
                width: 1
            }
        );
        let Content::List(items) = &entries[1].value.content else {
            panic!("a list")
        };
        assert_eq!(
            items[0].at,
            Position {
                line: 3,
                column: 5,
                width: 1
            }
        );
        let Content::Map(inner) = &items[1].content else {
            panic!("a map")
        };
        assert_eq!(
            inner[0].value.at,
            Position {
                line: 4,
                column: 9,
                width: 4
            }
        );
    }

    #[test]
    fn aliases_of_aliases_are_bounded() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let below = format!("*a{}", level - 1);
            text.push_str(&format!(
                "a{level}: &a{level} [{}]\n",
                [below.as_str(); 10].join(", ")
            ));
        }
        assert_eq!(read_tree(&text).unwrap_err().error, ReadTreeError::Nodes);
    }

    #[test]
    fn nesting_is_bounded_also_through_aliases() {
        let flow = format!("a: {}{}", "[".repeat(5000), "]".repeat(5000));
        assert!(matches!(
            read_tree(&flow).unwrap_err().error,
            ReadTreeError::Syntax(_)
        ));
        let mut chain = String::from("a0: &a0 [x]\n");
        for level in 1..60 {
            chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert_eq!(read_tree(&chain).unwrap_err().error, ReadTreeError::Depth);
    }

    #[test]
    fn what_is_not_plain_configuration_is_refused() {
        let error = |text: &str| read_tree(text).unwrap_err().error;
        assert_eq!(error(""), ReadTreeError::Empty);
        assert_eq!(error("a: 1\n---\nb: 2\n"), ReadTreeError::Documents);
        assert_eq!(error("a: !!str 1\n"), ReadTreeError::Tag);
        assert_eq!(error("[a, b]: 1\n"), ReadTreeError::Key);
        assert_eq!(error("a: &x [*x]\n"), ReadTreeError::Alias);
        assert_eq!(error("a: &x {b: 1}\nc: {<<: *x}\n"), ReadTreeError::Merge);
        assert!(matches!(error("a: [1, 2\n"), ReadTreeError::Syntax(_)));
        assert!(matches!(error("a: *nothing\n"), ReadTreeError::Syntax(_)));
    }
}

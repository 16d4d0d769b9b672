//! The patterns of a table as a tree over the segments of paths, case folded: finding the first that
//! matches costs what the path has of segments, not what the table has of routes.
//!
//! Exact paths and prefixes stand at the node of their last segment. A glob or an expression stands at the
//! last node that every path it matches goes through; where many stand at one node they are one set, which
//! goes through the path once. The order of the table decides everywhere: of all that match, the first.

use std::collections::HashMap;

use regex::bytes::RegexSet;
use regex::bytes::RegexSetBuilder;

use crate::decision::path::folded;
use crate::decision::routing::pattern::PathPattern;
use crate::decision::routing::pattern::Place;

/// A path that belongs to one route as written and to another with its letter case folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LetterCaseMatters;

/// The patterns of a table.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// The first is the one before the first slash.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    below: HashMap<Box<str>, usize>,
    /// Patterns for exactly this path: the first of each spelling, in order.
    exact: Vec<Member>,
    /// Patterns for this path and everything below it, likewise.
    prefixes: Vec<Member>,
    /// Globs and expressions for this path and what is below it, in order.
    patterns: Vec<Member>,
    sets: Vec<Set>,
}

/// A pattern and its place in the table.
#[derive(Clone, Debug)]
struct Member {
    at: usize,
    pattern: PathPattern,
}

/// Patterns that are tried together.
#[derive(Clone, Debug)]
struct Set {
    /// Their places in the table, in order.
    places: Vec<usize>,
    sensitive: RegexSet,
    blind: RegexSet,
}

/// The first that matches a reading as written, and the first that matches it folded.
#[derive(Clone, Copy, Default)]
struct First {
    sensitive: Option<usize>,
    folded: Option<usize>,
}

/// A reading in both forms.
struct Forms<'r> {
    reading: &'r str,
    lower: &'r str,
    is_lower: bool,
}

impl Tree {
    /// Makes the tree of patterns with their places, in the order of the table.
    pub(super) fn new<'p>(patterns: impl Iterator<Item = (usize, &'p PathPattern)>) -> Self {
        let mut tree = Self {
            nodes: vec![Node::default()],
        };
        for (at, pattern) in patterns {
            tree.insert(at, pattern);
        }
        for node in &mut tree.nodes {
            node.join();
        }
        tree
    }

    fn insert(&mut self, at: usize, pattern: &PathPattern) {
        let place = pattern.place();
        let segments = match &place {
            Place::Exact(path) | Place::Below(path) | Place::Somewhere(path) => path.split('/'),
        };
        let mut node = 0;
        for segment in segments.skip(1) {
            node = self.child(node, segment);
        }
        let Some(node) = self.nodes.get_mut(node) else {
            return;
        };
        let member = Member {
            at,
            pattern: pattern.clone(),
        };
        let is_new = |members: &[Member]| members.iter().all(|own| own.pattern != *pattern);
        match place {
            Place::Below(_) if is_new(&node.prefixes) => node.prefixes.push(member),
            Place::Exact(_) if is_new(&node.exact) => node.exact.push(member),
            Place::Below(_) | Place::Exact(_) => {}
            Place::Somewhere(_) => node.patterns.push(member),
        }
    }

    fn child(&mut self, node: usize, segment: &str) -> usize {
        let next = self.nodes.len();
        let Some(parent) = self.nodes.get_mut(node) else {
            return node;
        };
        if let Some(known) = parent.below.get(segment) {
            return *known;
        }
        parent.below.insert(Box::from(segment), next);
        self.nodes.push(Node::default());
        next
    }

    /// The place of the first pattern that matches a reading, provided that it is also the first that
    /// matches when letter case means nothing.
    pub(super) fn first_match(
        &self,
        reading: &str,
        lower: &str,
    ) -> Result<Option<usize>, LetterCaseMatters> {
        let forms = Forms {
            reading,
            lower,
            is_lower: reading == lower,
        };
        let mut first = First::default();
        let mut segments = segments_of(lower);
        let mut node = self.nodes.first();
        while let Some(here) = node {
            first.try_literals(&here.prefixes, &forms);
            here.try_patterns(&mut first, &forms);
            let Some(segment) = segments.next() else {
                first.try_literals(&here.exact, &forms);
                break;
            };
            node = self.below(here, segment);
        }
        if first.sensitive == first.folded {
            Ok(first.sensitive)
        } else {
            Err(LetterCaseMatters)
        }
    }

    /// The places of all globs and expressions that match a reading as written, in order.
    pub(super) fn all_matching(&self, reading: &str) -> Vec<usize> {
        let lower = folded(reading);
        let mut segments = segments_of(&lower);
        let next = |here: &&Node| self.below(here, segments.next()?);
        let along = std::iter::successors(self.nodes.first(), next);
        let mut places: Vec<usize> = along.flat_map(|node| node.all_matching(reading)).collect();
        places.sort_unstable();
        places
    }

    fn below(&self, node: &Node, segment: &str) -> Option<&Node> {
        node.below
            .get(segment)
            .and_then(|below| self.nodes.get(*below))
    }
}

/// The segments of a path; what stands before the first slash is empty, and none.
fn segments_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').skip(1)
}

impl Node {
    /// Puts many patterns together into sets; those that are too large for one are split.
    fn join(&mut self) {
        if self.patterns.len() > SINGLE_MAX {
            let members = std::mem::take(&mut self.patterns);
            self.join_some(&members);
            self.patterns.sort_unstable_by_key(|member| member.at);
        }
    }

    fn join_some(&mut self, members: &[Member]) {
        match (Set::new(members), members) {
            (Some(set), _) => self.sets.push(set),
            (None, [] | [_]) => self.patterns.extend_from_slice(members),
            (None, _) => {
                let (some, rest) = members.split_at(members.len() / 2);
                self.join_some(some);
                self.join_some(rest);
            }
        }
    }

    fn all_matching(&self, reading: &str) -> impl Iterator<Item = usize> {
        let single = self.patterns.iter();
        let single = single.filter(|member| member.pattern.matches(reading));
        let joined = self.sets.iter().flat_map(|set| set.all(reading));
        single.map(|member| member.at).chain(joined)
    }

    fn try_patterns(&self, first: &mut First, forms: &Forms<'_>) {
        for member in &self.patterns {
            if first.is_behind(member.at) {
                break;
            }
            let sensitive = member.pattern.matches(forms.reading);
            let may_differ = !forms.is_lower || member.pattern.minds_case();
            let folded = if may_differ {
                member.pattern.matches_folded(forms.lower)
            } else {
                sensitive
            };
            first.note(sensitive.then_some(member.at), folded.then_some(member.at));
        }
        for set in &self.sets {
            let sensitive = set.first(&set.sensitive, forms.reading);
            let folded = set.first(&set.blind, forms.lower);
            first.note(sensitive, folded);
        }
    }
}

impl Set {
    fn new(members: &[Member]) -> Option<Self> {
        let texts: Option<Vec<_>> = members
            .iter()
            .map(|member| member.pattern.expressions())
            .collect();
        let (sensitive, blind): (Vec<String>, Vec<String>) = texts?.into_iter().unzip();
        let compile = |texts: &[String]| {
            RegexSetBuilder::new(texts)
                .size_limit(SET_BYTES_MAX)
                .dfa_size_limit(SET_BYTES_MAX)
                .build()
                .ok()
        };
        Some(Self {
            places: members.iter().map(|member| member.at).collect(),
            sensitive: compile(&sensitive)?,
            blind: compile(&blind)?,
        })
    }

    fn first(&self, set: &RegexSet, text: &str) -> Option<usize> {
        let matches = set.matches(text.as_bytes());
        let at = matches.iter().next()?;
        self.places.get(at).copied()
    }

    fn all(&self, reading: &str) -> impl Iterator<Item = usize> {
        let matches = self.sensitive.matches(reading.as_bytes()).into_iter();
        matches.filter_map(|at| self.places.get(at).copied())
    }
}

impl First {
    /// Every one of these matches the folded reading; whether one does as written is a matter of spelling.
    fn try_literals(&mut self, members: &[Member], forms: &Forms<'_>) {
        let Some(folded) = members.first() else {
            return;
        };
        let written = members
            .iter()
            .find(|member| member.pattern.matches(forms.reading));
        self.note(written.map(|member| member.at), Some(folded.at));
    }

    fn note(&mut self, sensitive: Option<usize>, folded: Option<usize>) {
        self.sensitive = earlier(self.sensitive, sensitive);
        self.folded = earlier(self.folded, folded);
    }

    /// Whether nothing from a place on can change what was found.
    fn is_behind(self, at: usize) -> bool {
        self.sensitive.is_some_and(|found| found < at)
            && self.folded.is_some_and(|found| found < at)
    }
}

fn earlier(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Up to here patterns are tried one by one.
const SINGLE_MAX: usize = 4;
/// Largest compiled set, in bytes; more patterns make several sets.
const SET_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// The reference is a walk over the table that asks every pattern.
        #[test]
        fn the_tree_finds_what_a_walk_over_the_table_finds(
            drawn in proptest::collection::vec(0..PATTERNS.len(), 0..60),
            path in path(),
        ) {
            let table: Vec<&PathPattern> = drawn.iter().map(|at| &PATTERNS[*at]).collect();
            let tree = Tree::new(table.iter().copied().enumerate());
            let lower = folded(&path);
            prop_assert_eq!(tree.first_match(&path, &lower), walk(&table, &path, &lower));
        }
    }

    #[test]
    fn a_slash_that_may_be_absent_ends_no_segment() {
        for text in ["^/admin/?", "/admin/*", "^/admin/{0,3}i"] {
            let protected = PathPattern::regex(text).unwrap();
            let everything = PathPattern::prefix("/").unwrap();
            let tree = Tree::new([&protected, &everything].into_iter().enumerate());
            for path in ["/administrator", "/admin/i"] {
                assert_eq!(tree.first_match(path, path), Ok(Some(0)), "{text} {path}");
            }
        }
    }

    #[test]
    fn a_set_that_would_be_too_large_is_split_and_finds_the_same() {
        let patterns: Vec<PathPattern> = (0..300)
            .map(|n| PathPattern::regex(&format!("/[a-z]+/{n}/[0-9]{{1,20}}$")).unwrap())
            .collect();
        let tree = Tree::new(patterns.iter().enumerate());
        for n in [0, 17, 299] {
            let path = format!("/abc/{n}/42");
            assert_eq!(tree.first_match(&path, &path), Ok(Some(n)));
        }
        assert_eq!(tree.first_match("/abc/300/42", "/abc/300/42"), Ok(None));
    }

    fn walk(
        table: &[&PathPattern],
        path: &str,
        lower: &str,
    ) -> Result<Option<usize>, LetterCaseMatters> {
        for (at, pattern) in table.iter().enumerate() {
            match (pattern.matches(path), pattern.matches_folded(lower)) {
                (true, true) => return Ok(Some(at)),
                (false, false) => {}
                _ => return Err(LetterCaseMatters),
            }
        }
        Ok(None)
    }

    fn path() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            "[abAB]{0,2}",
            Just("adm".to_owned()),
            Just("Adm".to_owned()),
            Just("admx".to_owned()),
            Just("pub".to_owned()),
            Just("x|y".to_owned()),
            "[a-z0-9.~-]{1,4}",
        ];
        proptest::collection::vec(segment, 1..5)
            .prop_map(|segments| format!("/{}", segments.join("/")))
    }

    static PATTERNS: LazyLock<Vec<PathPattern>> = LazyLock::new(|| {
        let paths = [
            "/", "/a", "/A", "/a/b", "/A/b", "/adm", "/Adm", "/adm/a", "/pub/a/b",
        ];
        let globs = [
            "/a/*",
            "/*/b",
            "/**",
            "/a/**/b",
            "/{adm,pub}/**",
            "/adm/?",
            "/[ab]/b",
            "/a*/b",
            "/adm/{a/b,b}/x",
            "/A/*",
            "/a/b",
        ];
        let expressions = [
            "/a",
            "^/a/",
            "/a/b$",
            "/adm|/pub",
            "/(adm|pub)/",
            "/adm/(a|b)$",
            "/adm/[a|b]",
            "/a/[^]|(]|/pub",
            "/a?/b",
            "/a/b*",
            "/[a-b]+/",
            "(?i)/ADM/",
            "/adm/(?i:A)",
            ".*b$",
            "",
            "/a/\\||/pub",
            "/adm/a{0,1}$",
            "/x[|]y",
            "/adm/?",
            "/a/*$",
            "^/adm/{0,1}b",
        ];
        let literal = paths.iter().flat_map(|text| {
            [PathPattern::exact(text), PathPattern::prefix(text)].map(Result::unwrap)
        });
        let globs = globs.iter().map(|text| PathPattern::glob(text).unwrap());
        let expressions = expressions
            .iter()
            .map(|text| PathPattern::regex(text).unwrap());
        literal.chain(globs).chain(expressions).collect()
    });
}

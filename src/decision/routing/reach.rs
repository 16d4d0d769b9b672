//! Which patterns of a table are never asked, because earlier ones take every path that they match.
//!
//! Paths count as they are written, globs and expressions by the segments that they begin with. What a glob
//! or an expression takes from later globs and expressions is not looked for, nor what several patterns
//! take together.

use std::collections::HashMap;

use crate::decision::routing::descent::Descent;
use crate::decision::routing::pattern::PathPattern;
use crate::decision::routing::pattern::Place;
use crate::decision::routing::tree::Tree;

/// What stands before a pattern in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// The place of the first equal pattern, its own if there is none before: those share their paths by methods.
    pub alike: usize,
    /// The place of the first pattern that takes all its paths, whatever the method.
    pub behind: Option<usize>,
}

/// Finds for each pattern, in the order of the table, what stands before it.
pub fn reach<'p>(patterns: impl IntoIterator<Item = &'p PathPattern>) -> Vec<Reach> {
    let patterns: Vec<_> = patterns.into_iter().collect();
    let mut prefixes = HashMap::new();
    let mut firsts = HashMap::new();
    let mut wide = Wide::new(&patterns);
    let mut all = Vec::with_capacity(patterns.len());
    for (at, pattern) in patterns.iter().enumerate() {
        let key = pattern.key();
        let alike = *firsts.entry(key).or_insert(at);
        // What stands between equal patterns takes nothing from the later ones: the path has led to the first.
        let before = |place: &usize| *place < alike;
        let above = above(beginning(pattern));
        let below = above.filter_map(|path| prefixes.get(path).copied());
        let below = below.filter(before).min();
        let behind = wide.first_over(pattern, below.unwrap_or(alike)).or(below);
        all.push(Reach { alike, behind });
        if let Place::Below(_) = pattern.place() {
            prefixes.entry(key.1).or_insert(at);
        }
    }
    all
}

/// The globs and expressions of a table, by what they take from paths and prefixes.
struct Wide<'p> {
    /// The first of each, with their places.
    patterns: HashMap<usize, &'p PathPattern>,
    tree: Tree,
    /// Those that were asked what is below a path.
    descents: HashMap<usize, Option<Descent>>,
}

impl<'p> Wide<'p> {
    /// Takes those that stand before any path or prefix.
    fn new(table: &[&'p PathPattern]) -> Self {
        let is_literal = |pattern: &&PathPattern| pattern.literal().is_some();
        let last = table.iter().rposition(is_literal).unwrap_or_default();
        let before = table.iter().copied().enumerate().take(last);
        let mut firsts = HashMap::new();
        for (at, pattern) in before.filter(|(_, pattern)| !is_literal(pattern)) {
            firsts.entry(pattern.key()).or_insert((at, pattern));
        }
        let mut members: Vec<_> = firsts.into_values().collect();
        members.sort_unstable_by_key(|(at, _)| *at);
        Self {
            tree: Tree::new(members.iter().copied()),
            patterns: members.into_iter().collect(),
            descents: HashMap::new(),
        }
    }

    /// The first of them before a place that takes all paths of a path or a prefix.
    fn first_over(&mut self, pattern: &PathPattern, before: usize) -> Option<usize> {
        let path = pattern.literal()?;
        // Nothing but the root is above the first slash, and no path is without one.
        let itself = if path.is_empty() { "/" } else { path };
        let matching = self.tree.all_matching(itself).into_iter();
        let mut matching = matching.filter(|at| *at < before);
        match pattern.place() {
            Place::Below(_) => matching.find(|at| self.takes_all_below(*at, path)),
            Place::Exact(_) | Place::Somewhere(_) => matching.next(),
        }
    }

    fn takes_all_below(&mut self, at: usize, path: &str) -> bool {
        let descent = self.descents.entry(at).or_insert_with(|| {
            let (expression, _) = self.patterns.get(&at)?.expressions()?;
            Descent::new(&expression)
        });
        descent
            .as_mut()
            .is_some_and(|descent| descent.takes_all_below(path))
    }
}

/// How every path begins that a pattern matches, in whole segments.
fn beginning(pattern: &PathPattern) -> &str {
    match (pattern.literal(), pattern.place()) {
        (Some(path), _) => path,
        (None, Place::Below(path) | Place::Exact(path) | Place::Somewhere(path)) => path,
    }
}

/// A path and all above it, the empty one included.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let slashes = path.match_indices('/');
    let parents = slashes.filter_map(|(slash, _)| path.get(..slash));
    parents.chain(std::iter::once(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_behind_a_prefix_of_its_paths_is_never_asked() {
        let table = [
            prefix("/pub"),
            prefix("/pub/admin"),
            PathPattern::exact("/pub").unwrap(),
            PathPattern::glob("/pub/*.css").unwrap(),
            PathPattern::regex("^/pub/[0-9]+").unwrap(),
            prefix("/public"),
            PathPattern::regex("/p.*").unwrap(),
        ];
        let behind: Vec<_> = reach(&table).iter().map(|reach| reach.behind).collect();
        let pubs = Some(0);
        assert_eq!(behind, [None, pubs, pubs, pubs, pubs, None, None]);
        let all = [prefix("/"), PathPattern::regex("(/a|/b)").unwrap()];
        assert_eq!(reach(&all)[1].behind, Some(0));
    }

    #[test]
    fn a_path_takes_no_other_paths_and_no_pattern_those_that_it_does_not_match() {
        let table = [
            PathPattern::exact("/a").unwrap(),
            PathPattern::glob("/a/**").unwrap(),
            PathPattern::glob("/b/*").unwrap(),
            PathPattern::regex("/c/.*[.]css$").unwrap(),
            PathPattern::glob("/a/b/**").unwrap(),
            prefix("/a"),
            prefix("/b/c"),
            prefix("/c/x.css"),
            PathPattern::exact("/b").unwrap(),
            prefix("/A/b"),
        ];
        assert!(reach(&table).iter().all(|reach| reach.behind.is_none()));
    }

    #[test]
    fn a_path_behind_a_pattern_that_matches_it_is_never_asked() {
        let table = [
            PathPattern::exact("/a/x.css").unwrap(),
            PathPattern::glob("/a/*.css").unwrap(),
            PathPattern::regex("/b/[0-9]+$").unwrap(),
            PathPattern::exact("/a/x.css").unwrap(),
            PathPattern::exact("/a/y.css").unwrap(),
            PathPattern::exact("/b/42").unwrap(),
            PathPattern::exact("/b/x").unwrap(),
            PathPattern::exact("/A/y.css").unwrap(),
        ];
        let behind: Vec<_> = reach(&table).iter().map(|reach| reach.behind).collect();
        let expected = [None, None, None, None, Some(1), Some(2), None, None];
        assert_eq!(behind, expected);
    }

    #[test]
    fn a_prefix_behind_a_pattern_that_takes_all_below_it_is_never_asked() {
        let table = [
            PathPattern::glob("/a/**").unwrap(),
            PathPattern::regex("^/b(/.*)?$").unwrap(),
            PathPattern::regex("/c/").unwrap(),
            prefix("/a/b"),
            prefix("/b"),
            prefix("/c"),
            prefix("/c/d"),
            PathPattern::glob("/**").unwrap(),
            prefix("/"),
        ];
        let behind: Vec<_> = reach(&table).iter().map(|reach| reach.behind).collect();
        let seen = [
            None,
            None,
            None,
            Some(0),
            Some(1),
            None,
            Some(2),
            None,
            Some(7),
        ];
        assert_eq!(behind, seen);
    }

    #[test]
    fn of_all_that_take_its_paths_the_first_counts() {
        let table = [
            PathPattern::regex("/a$").unwrap(),
            PathPattern::glob("/a*/**").unwrap(),
            prefix("/a"),
            PathPattern::regex("/a/").unwrap(),
            prefix("/a/b"),
            PathPattern::exact("/a").unwrap(),
        ];
        let behind: Vec<_> = reach(&table).iter().map(|reach| reach.behind).collect();
        assert_eq!(behind, [None, None, None, Some(2), Some(1), Some(0)]);
    }

    #[test]
    fn equal_patterns_are_asked_together_from_the_place_of_the_first() {
        let table = [prefix("/a"), prefix("/"), prefix("/a/"), prefix("/b")];
        let seen = reach(&table);
        assert_eq!((seen[2].alike, seen[2].behind), (0, None));
        assert_eq!((seen[3].alike, seen[3].behind), (3, Some(1)));
    }

    fn prefix(path: &str) -> PathPattern {
        PathPattern::prefix(path).unwrap()
    }
}

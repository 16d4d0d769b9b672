//! Which patterns of a table are never asked, because earlier ones take every path that they match.
//!
//! Paths count as they are written, globs and expressions by the segments that they begin with. What a glob
//! or an expression takes away from later patterns is not looked for.

use std::collections::HashMap;

use crate::decision::routing::pattern::PathPattern;
use crate::decision::routing::pattern::Place;

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
    let mut prefixes = HashMap::new();
    let mut firsts = HashMap::new();
    let mut all = Vec::new();
    for (at, pattern) in patterns.into_iter().enumerate() {
        let key = pattern.key();
        let alike = *firsts.entry(key).or_insert(at);
        // What stands between equal patterns takes nothing from the later ones: the path has led to the first.
        let before = |place: &usize| *place < alike;
        let above = above(beginning(pattern));
        let behind = above.filter_map(|path| prefixes.get(path).copied());
        all.push(Reach {
            alike,
            behind: behind.filter(before).min(),
        });
        if let Place::Below(_) = pattern.place() {
            prefixes.entry(key.1).or_insert(at);
        }
    }
    all
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
    fn a_pattern_or_a_path_takes_no_other_paths() {
        let table = [
            PathPattern::exact("/a").unwrap(),
            PathPattern::glob("/a/**").unwrap(),
            PathPattern::regex("/a.*").unwrap(),
            prefix("/a/b"),
            prefix("/a"),
        ];
        assert!(reach(&table).iter().all(|reach| reach.behind.is_none()));
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

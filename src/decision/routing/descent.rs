//! Whether a glob or an expression takes everything below a path.
//!
//! Its automaton is asked, as far as texts below the path lead into it: the answer is what matching each of
//! them would give. Whether it matches the path itself is asked of the pattern.

use std::collections::HashSet;

use regex_automata::Anchored;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::Cache;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::nfa::thompson;
use regex_automata::util::start;
use regex_automata::util::syntax;

/// An expression as an automaton, as far as it was asked.
pub(super) struct Descent {
    automaton: DFA,
    states: Cache,
}

impl Descent {
    /// Reads an expression over whole paths that begin with what it describes; `None` where it is too large to
    /// be asked, or asks for the borders of words.
    pub(super) fn new(expression: &str) -> Option<Self> {
        let automaton = DFA::builder()
            .syntax(syntax::Config::new().utf8(false))
            .thompson(
                thompson::Config::new()
                    .utf8(false)
                    .nfa_size_limit(Some(AUTOMATON_BYTES_MAX)),
            )
            // States that are forgotten would be found again without end.
            .configure(DFA::config().minimum_cache_clear_count(Some(0)))
            .build(expression)
            .ok()?;
        let states = automaton.create_cache();
        Some(Self { automaton, states })
    }

    /// Whether all texts match that begin with the path, written without a slash at its end, and a slash; in
    /// doubt they do not.
    pub(super) fn takes_all_below(&mut self, path: &str) -> bool {
        self.asked(path).unwrap_or(false)
    }

    fn asked(&mut self, path: &str) -> Option<bool> {
        let start = start::Config::new().anchored(Anchored::Yes);
        let mut state = self.automaton.start_state(&mut self.states, &start).ok()?;
        for byte in path.bytes().chain(std::iter::once(b'/')) {
            state = self.next(state, byte)?;
            // What has matched matches whatever follows.
            if state.is_match() {
                return Some(true);
            }
        }
        let mut seen = HashSet::from([state]);
        let mut open = vec![state];
        while let Some(state) = open.pop() {
            if state.is_dead() || !self.ends_well(state)? || seen.len() > STATES_MAX {
                return Some(false);
            }
            for byte in IN_READINGS {
                let next = self.next(state, byte)?;
                let is_new = !next.is_match() && seen.insert(next);
                open.extend(is_new.then_some(next));
            }
        }
        Some(true)
    }

    fn next(&mut self, state: LazyStateID, byte: u8) -> Option<LazyStateID> {
        let next = self.automaton.next_state(&mut self.states, state, byte);
        next.ok().filter(|next| !next.is_quit())
    }

    /// Whether a text that ends here matches.
    fn ends_well(&mut self, state: LazyStateID) -> Option<bool> {
        let end = self.automaton.next_eoi_state(&mut self.states, state);
        end.ok().map(|end| end.is_match())
    }
}

/// What readings of paths are made of: ASCII that can be seen.
const IN_READINGS: std::ops::RangeInclusive<u8> = b'!'..=b'~';
/// Largest automaton that is asked, in bytes, before its states are found.
const AUTOMATON_BYTES_MAX: usize = 1 << 20;
/// Expressions that people write have a handful of states below a path.
const STATES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::routing::pattern::PathPattern;

    #[test]
    fn an_expression_takes_all_below_what_it_matches_unless_it_minds_the_end() {
        for (text, path, taken) in [
            ("/app", "/app", true),
            ("/app/", "/app", true),
            ("/app", "", false),
            ("^/app(/.*)?$", "/app", true),
            ("/app/.*", "/app/x", true),
            ("/app/[a-z]", "/app", false),
            ("/app/.+", "/app", false),
            ("/app/[^/]*", "/app", true),
            ("^/app/[^/]*$", "/app", false),
            (r"^/app/([^/]+/)*[^/]*\z", "/app", false),
            (r"/.*\.php$", "/x.php", false),
            (r"/.*\.php", "/x.php", true),
            (r"/app/.*(?-u:\B)", "/app", false),
            (r"/app/\b.*", "/app", false),
            ("", "", true),
            ("/.*", "", true),
            ("(?i)/APP", "/app", true),
            ("/(a|b)(/[!-~]*)?$", "/b", true),
            ("/a{1,3}/", "/aaa", true),
            ("/a{1,3}/", "/aaaa", false),
            ("/(a|aa)(a|/){500,501}$", "/a", false),
        ] {
            let pattern = PathPattern::regex(text).unwrap();
            assert_eq!(takes(&pattern, path), taken, "{text} {path}");
        }
    }

    #[test]
    fn a_glob_takes_all_below_what_its_end_takes_whole() {
        for (text, path, taken) in [
            ("/app/**", "/app", true),
            ("/app/**", "/app/x", true),
            ("/app/**", "", false),
            ("/**", "", true),
            ("/{a,b}/**", "/b", true),
            ("/[ab]/**", "/a", true),
            ("/a/**/b", "/a", false),
            ("/a/*", "/a", false),
            (r"/a\/**", "/a", true),
            ("/a**", "/a", false),
            ("/*/**", "/x/y", true),
        ] {
            let pattern = PathPattern::glob(text).unwrap();
            assert_eq!(takes(&pattern, path), taken, "{text} {path}");
        }
    }

    fn takes(pattern: &PathPattern, path: &str) -> bool {
        let (expression, _) = pattern.expressions().unwrap();
        Descent::new(&expression).is_some_and(|mut descent| descent.takes_all_below(path))
    }
}

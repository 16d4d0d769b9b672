//! Whether a glob or an expression takes everything below a path, or of all texts with one beginning.
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

/// How many of some texts an expression takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Each of them.
    All,
    /// Not one.
    None,
    /// Some of them, or nobody can tell.
    Some,
}

/// What an expression, matched from the beginning of paths, takes of all texts that begin with this one.
#[must_use]
pub fn taken_behind(beginning: &str, expression: &str) -> Taken {
    let Some(mut descent) = Descent::new(&format!("^(?:{expression})")) else {
        return Taken::Some;
    };
    if descent.asked(beginning.bytes()) == Some(true) {
        return Taken::All;
    }
    match descent.is_lost(None, beginning.as_bytes()) {
        Some(true) => Taken::None,
        Some(false) | None => Taken::Some,
    }
}

/// Whether an expression that is looked for may begin to match within the beginning of a text, whatever follows
/// there; in doubt it may.
#[must_use]
pub fn may_begin_within(beginning: &str, expression: &str) -> bool {
    let Some(mut descent) = Descent::new(expression) else {
        return true;
    };
    let mut before = None;
    let mut rest = beginning.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if descent.is_lost(before, rest) != Some(true) {
            return true;
        }
        before = Some(*first);
        rest = behind;
    }
    false
}

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
        let below = path.bytes().chain(std::iter::once(b'/'));
        self.asked(below).unwrap_or(false)
    }

    /// Whether all texts match that begin with these bytes.
    fn asked(&mut self, beginning: impl Iterator<Item = u8>) -> Option<bool> {
        let mut state = self.start(None)?;
        for byte in beginning {
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

    /// Whether no text matches that begins with these bytes, behind a byte that it is not about.
    fn is_lost(&mut self, before: Option<u8>, beginning: &[u8]) -> Option<bool> {
        let mut state = self.start(before)?;
        for byte in beginning {
            state = self.next(state, *byte)?;
            if state.is_match() {
                return Some(false);
            }
            if state.is_dead() {
                return Some(true);
            }
        }
        Some(false)
    }

    fn start(&mut self, before: Option<u8>) -> Option<LazyStateID> {
        let start = start::Config::new()
            .anchored(Anchored::Yes)
            .look_behind(before);
        self.automaton.start_state(&mut self.states, &start).ok()
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

    #[test]
    fn of_texts_with_one_beginning_an_expression_takes_all_or_none_or_some() {
        for (beginning, expression, taken) in [
            ("/a/", ".*(?:/a)", Taken::All),
            ("/a/", "/a", Taken::All),
            ("/a", "/a", Taken::All),
            ("/.well", ".*(?:/[.])", Taken::All),
            ("/a/", "/b/.*", Taken::None),
            ("/a/", "/a$", Taken::None),
            ("/a/", r".*(?:\.js$)", Taken::Some),
            ("/a", "/ab", Taken::Some),
            ("/a/", r"(?i:/A/)", Taken::All),
            ("/a/", r"/a/\b.*", Taken::Some),
        ] {
            let found = taken_behind(beginning, expression);
            assert_eq!(found, taken, "{beginning} {expression}");
        }
    }

    #[test]
    fn an_expression_may_begin_where_some_text_behind_it_would_match() {
        for (beginning, expression, may) in [
            ("/.well-known/", r"\.(js|css)$", false),
            ("/.well-known/", r"/\.", true),
            ("/.well-known/", r"/\.x", true),
            ("/.well-known/", r"l\.x", false),
            ("/.well-known/", r"\.w", true),
            ("/.well-known/", r"(?i:N/.*\.php$)", true),
            ("/.well-known/", r"^/x|\.php$", false),
            ("/.well-known/", "[^x]*$", true),
            ("/.well-known/", r"\bx", true),
        ] {
            let found = may_begin_within(beginning, expression);
            assert_eq!(found, may, "{beginning} {expression}");
        }
    }

    fn takes(pattern: &PathPattern, path: &str) -> bool {
        let (expression, _) = pattern.expressions().unwrap();
        Descent::new(&expression).is_some_and(|mut descent| descent.takes_all_below(path))
    }
}

//! `location` → patterns, in an order in which the first that matches is the one that nginx would choose.

use crate::convert::nginx::pattern::Pattern;
use crate::convert::nginx::tree::Directive;
use crate::decision::routing::PathPattern;

/// Which paths a location is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paths {
    pub(super) kind: Kind,
    pub(super) text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `=`.
    Exact,
    /// A prefix that keeps expressions from being tried, `^~`.
    Firm,
    /// Without anything.
    Prefix,
    /// `~`.
    Regex,
    /// `~*`.
    RegexBlind,
}

impl Paths {
    /// Reads the words behind `location`; none for `@name`.
    pub(super) fn read(directive: &Directive) -> Option<Self> {
        let (kind, text) = match directive.args.as_slice() {
            [sign, text] => (sign.as_str(), text.as_str()),
            [text] => {
                let signs = ["=", "^~", "~*", "~"].into_iter();
                let mut signed = signs.filter_map(|sign| Some((sign, text.strip_prefix(sign)?)));
                signed.next().unwrap_or(("", text))
            }
            _ => return None,
        };
        let kind = match kind {
            "" => Kind::Prefix,
            "=" => Kind::Exact,
            "^~" => Kind::Firm,
            "~" => Kind::Regex,
            "~*" => Kind::RegexBlind,
            _ => return None,
        };
        let text = text.to_owned();
        (!text.starts_with('@')).then_some(Self { kind, text })
    }

    /// The same paths for a location inside another one: expressions are tried below that only.
    pub(super) fn within(self, outer: &Self) -> Self {
        let is_expression = matches!(self.kind, Kind::Regex | Kind::RegexBlind);
        if !is_expression || self.text.starts_with('^') || outer.text == "/" {
            return self;
        }
        let text = format!("^{}.*(?:{})", regex::escape(&outer.text), self.text);
        Self { text, ..self }
    }

    /// The path of a folder without the slash at its end; none where it is no folder.
    pub(super) fn folder(&self) -> Option<&str> {
        let is_prefix = matches!(self.kind, Kind::Firm | Kind::Prefix);
        let path = self.text.strip_suffix('/').filter(|_| is_prefix)?;
        (!path.is_empty()).then_some(path)
    }

    /// The pattern where nobody redirects the path of a folder without its slash: it belongs elsewhere.
    ///
    /// # Errors
    /// As of `pattern`.
    pub(super) fn strict_pattern(&self) -> Result<Pattern, String> {
        match self.folder() {
            None => self.pattern(),
            Some(_) => {
                let kind = Kind::Regex;
                let text = format!("^{}", regex::escape(&spelled(&self.text)));
                Self { kind, text }.pattern()
            }
        }
    }

    /// The paths with those that look-around keeps out; none where there is none.
    pub(super) fn without_look_around(&self) -> Option<Self> {
        let text = without_look_around(&self.text)?;
        (self.is_expression() && text != self.text).then_some(Self { text, ..*self })
    }

    /// The pattern as a key of a route.
    ///
    /// # Errors
    /// Why no path can match it, or why it is no expression here.
    pub(super) fn pattern(&self) -> Result<Pattern, String> {
        let spelled = spelled(&self.text);
        let pattern = match self.kind {
            Kind::Exact => Pattern::Exact(spelled),
            Kind::Firm | Kind::Prefix if spelled.ends_with('/') => Pattern::Path(spelled),
            // nginx's prefixes do not end with a segment.
            Kind::Firm | Kind::Prefix => Pattern::Regex(regex::escape(&spelled)),
            Kind::Regex => Pattern::Regex(anchored(&self.text)),
            Kind::RegexBlind => Pattern::Regex(format!("(?i:{})", anchored(&self.text))),
        };
        let made = match &pattern {
            Pattern::Exact(text) => PathPattern::exact(text),
            Pattern::Path(text) => PathPattern::prefix(text),
            Pattern::Regex(text) => PathPattern::regex(text),
        };
        made.map_err(|error| format!("no route can have these paths: {error}"))?;
        Ok(pattern)
    }

    const fn is_expression(&self) -> bool {
        matches!(self.kind, Kind::Regex | Kind::RegexBlind)
    }
}

/// An expression that has to match from the beginning, in place of one that is looked for.
fn anchored(text: &str) -> String {
    if let Some(rest) = text.strip_prefix('^')
        && !text.contains('|')
    {
        return rest.to_owned();
    }
    format!(".*(?:{text})")
}

/// An expression without its groups of look-around; none where groups are not in pairs.
fn without_look_around(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let begins = ["(?!", "(?=", "(?<!", "(?<="];
        if begins.iter().any(|begin| rest.starts_with(begin)) {
            rest = behind_group(rest)?;
            continue;
        }
        // What is escaped begins no group.
        let count = if c == '\\' { 2 } else { 1 };
        let end = rest
            .char_indices()
            .nth(count)
            .map_or(rest.len(), |(end, _)| end);
        let (taken, behind) = rest.split_at_checked(end)?;
        out.push_str(taken);
        rest = behind;
    }
    Some(out)
}

/// What stands behind the group that a text begins with.
fn behind_group(text: &str) -> Option<&str> {
    let mut depth = 0_usize;
    let mut chars = text.char_indices();
    while let Some((place, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '(' => depth = depth.saturating_add(1),
            ')' if depth == 1 => return text.get(place.saturating_add(1)..),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// A path as it stands in requests: what has to be an escape there, and is none here.
pub(super) fn spelled(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}%?#".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Where a location stands among the others of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// As nginx has it.
    Same,
    /// Before expressions that nginx would try first.
    Early,
}

/// Sorts locations so that the first that matches is nginx's choice, and says where that cannot be.
pub(super) fn sorted<T>(locations: Vec<(Paths, T)>) -> Vec<(Paths, T, Order)> {
    let has_expressions = locations.iter().any(|(paths, _)| paths.is_expression());
    let firm = locations
        .iter()
        .filter(|(paths, _)| paths.kind == Kind::Firm);
    let firm: Vec<String> = firm.map(|(paths, _)| paths.text.clone()).collect();
    let class = |paths: &Paths| {
        let below_firm = firm.iter().any(|text| paths.text.starts_with(text));
        match paths.kind {
            Kind::Exact => (0, Order::Same),
            Kind::Firm => (1, Order::Same),
            Kind::Prefix if has_expressions && below_firm => (1, Order::Early),
            Kind::Regex | Kind::RegexBlind => (2, Order::Same),
            Kind::Prefix if has_expressions => (3, Order::Same),
            Kind::Prefix => (1, Order::Same),
        }
    };
    let mut ranked: Vec<(u8, usize, Paths, T, Order)> = Vec::new();
    for (paths, rest) in locations {
        let (class, order) = class(&paths);
        // Expressions stay as they were written; of prefixes the longest comes first.
        let short = if paths.is_expression() {
            0
        } else {
            usize::MAX.saturating_sub(paths.text.len())
        };
        ranked.push((class, short, paths, rest, order));
    }
    ranked.sort_by_key(|(class, short, ..)| (*class, *short));
    let ranked = ranked.into_iter();
    ranked
        .map(|(_, _, paths, rest, order)| (paths, rest, order))
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    impl Paths {
        /// Whether a path is among them, as nginx sees it.
        fn matches(&self, path: &str) -> bool {
            match self.kind {
                Kind::Exact => self.text == path,
                Kind::Firm | Kind::Prefix => path.starts_with(&self.text),
                Kind::Regex => Regex::new(&self.text).is_ok_and(|regex| regex.is_match(path)),
                Kind::RegexBlind => Regex::new(&format!("(?i:{})", self.text))
                    .is_ok_and(|regex| regex.is_match(path)),
            }
        }
    }

    fn paths(kind: Kind, text: &str) -> Paths {
        let text = text.to_owned();
        Paths { kind, text }
    }

    /// nginx's choice, by its documentation of `location`.
    fn chosen(locations: &[(Paths, usize)], path: &str) -> Option<usize> {
        let matching = |kinds: &'static [Kind]| {
            let found = locations
                .iter()
                .filter(move |(paths, _)| kinds.contains(&paths.kind));
            found.filter(|(paths, _)| paths.matches(path))
        };
        if let Some((_, place)) = matching(&[Kind::Exact]).next() {
            return Some(*place);
        }
        let longest =
            matching(&[Kind::Firm, Kind::Prefix]).max_by_key(|(paths, _)| paths.text.len());
        if let Some((
            Paths {
                kind: Kind::Firm, ..
            },
            place,
        )) = longest
        {
            return Some(*place);
        }
        let expression = matching(&[Kind::Regex, Kind::RegexBlind]).next();
        expression.or(longest).map(|(_, place)| *place)
    }

    const EXPRESSIONS: &str = r"(\^/[ab]|[ab]\$|\^/a\|b\$)";
    const BLIND: &str = "[AB]/";

    /// A location, with an expression of these two where it has one.
    pub(in crate::convert::nginx) fn location(
        expression: &'static str,
        blind: &'static str,
    ) -> impl Strategy<Value = Paths> {
        let prefix = "(/|/[ab]{1,2}/?|/[ab]/[ab]/?)";
        prop_oneof![
            (Just(Kind::Exact), prefix),
            (Just(Kind::Firm), prefix),
            (Just(Kind::Prefix), prefix),
            (Just(Kind::Regex), expression),
            (Just(Kind::RegexBlind), blind),
        ]
        .prop_map(|(kind, text)| Paths { kind, text })
    }

    proptest! {
        #[test]
        fn the_first_that_matches_is_nginx_s_choice(
            locations in vec(location(EXPRESSIONS, BLIND), 0..8),
            path in "/[ab]{0,2}(/[ab]?){0,2}",
        ) {
            let mut unlike: Vec<(Paths, usize)> = Vec::new();
            for paths in locations {
                let is_known = |other: &Paths| other.text == paths.text
                    && (other.kind == paths.kind || !(other.is_expression() || paths.is_expression()));
                // nginx refuses the same location twice.
                if !unlike.iter().any(|(other, _)| is_known(other)) {
                    let place = unlike.len();
                    unlike.push((paths, place));
                }
            }
            let expected = chosen(&unlike, &path);
            let sorted = sorted(unlike);
            prop_assume!(sorted.iter().all(|(_, _, order)| *order == Order::Same));
            let mut found = sorted.iter().filter(|(paths, ..)| paths.matches(&path));
            prop_assert_eq!(found.next().map(|(_, place, _)| *place), expected);
        }

        /// What is written into the route matches what nginx's location matches.
        #[test]
        fn patterns_match_the_same_paths(
            location in location(EXPRESSIONS, BLIND),
            path in "/[ab]{0,2}(/[ab]?){0,2}",
        ) {
            let matches = location.pattern().unwrap().matches(&path);
            // A prefix with a slash at its end also takes the path without it, which nginx redirects there.
            let redirected = location.folder() == Some(&path);
            prop_assert!(matches == location.matches(&path) || redirected);
            let strict = location.strict_pattern().unwrap();
            if matches!(strict, Pattern::Regex(_)) && location.folder().is_some() {
                prop_assert_eq!(strict.matches(&path), location.matches(&path));
            }
        }
    }

    #[test]
    fn signs_may_stand_apart_or_not() {
        let read = |text: &str| {
            let file = std::sync::Arc::from("x");
            let (tree, _) = crate::convert::nginx::tree::parse(text, &file).unwrap();
            Paths::read(&tree[0])
        };
        assert_eq!(read("location = /a {}"), Some(paths(Kind::Exact, "/a")));
        assert_eq!(
            read("location ~*\\.php$ {}"),
            Some(paths(Kind::RegexBlind, "\\.php$"))
        );
        assert_eq!(read("location ^~ /s/ {}"), Some(paths(Kind::Firm, "/s/")));
        assert_eq!(read("location @named {}"), None);
    }

    #[test]
    fn an_expression_that_only_nginx_reads_is_refused() {
        let private = paths(Kind::Regex, r"^/(?!pri\)v(a)te)x\(");
        let error = private.pattern().unwrap_err();
        assert!(error.contains("look-around"), "{error}");
        let without = private.without_look_around();
        assert_eq!(without, Some(paths(Kind::Regex, r"^/x\(")));
        assert_eq!(paths(Kind::Regex, "(?!").without_look_around(), None);
        assert_eq!(paths(Kind::Regex, "^/a").without_look_around(), None);
    }
}

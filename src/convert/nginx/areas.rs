//! Which paths a pattern of a route takes, and what of them another one takes.
//!
//! Patterns count as Portway matches them. In doubt a pattern takes some of the paths of another.

use regex::Regex;

use crate::convert::nginx::pattern::Pattern;
use crate::decision::routing::Taken;
use crate::decision::routing::may_begin_within;
use crate::decision::routing::taken_behind;

/// The paths of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// All that begin with this text.
    Begins(String),
    /// This path, written without a slash at its end, and all below it.
    Below(String),
    /// This path.
    Exact(String),
    /// All that an expression matches from their beginning.
    Expression(String),
}

impl Shape {
    /// That of the pattern of a route.
    pub(super) fn of(pattern: &Pattern) -> Self {
        match pattern {
            Pattern::Exact(text) => Self::Exact(text.clone()),
            Pattern::Path(text) => Self::Below(text.strip_suffix('/').unwrap_or(text).to_owned()),
            Pattern::Regex(text) => match literal(text) {
                // There is no path that does not begin so.
                Some(literal) if ["", "/"].contains(&literal.as_str()) => {
                    Self::Below(String::new())
                }
                Some(literal) => Self::Begins(literal),
                None => Self::Expression(text.clone()),
            },
        }
    }
}

/// What a pattern takes of the paths of another one.
pub(super) fn share(of: &Shape, by: &Shape) -> Taken {
    if of == by {
        return Taken::All;
    }
    match (of, by) {
        (Shape::Exact(path), _) => of_path(path, by),
        (_, Shape::Exact(path)) => not_all(of_path(path, of)),
        (Shape::Below(top), Shape::Below(other)) => {
            among((is_below(top, other), is_below(other, top)))
        }
        (Shape::Below(top), Shape::Begins(text)) => {
            let first = if top.is_empty() { "/" } else { top.as_str() };
            let below = format!("{top}/");
            among((first.starts_with(text), text.starts_with(&below)))
        }
        (Shape::Begins(text), Shape::Below(top)) => {
            let below = format!("{top}/");
            among((text.starts_with(&below), top.starts_with(text)))
        }
        (Shape::Begins(text), Shape::Begins(other)) => {
            among((text.starts_with(other), other.starts_with(text)))
        }
        (Shape::Begins(text), Shape::Expression(expression)) => taken_behind(text, expression),
        (Shape::Below(top), Shape::Expression(expression)) => {
            let below = taken_behind(&format!("{top}/"), expression);
            let is_one = top.is_empty() || of_path(top, by) == below;
            if is_one { below } else { Taken::Some }
        }
        (Shape::Expression(expression), Shape::Begins(_) | Shape::Below(_)) => {
            let begins = Shape::Begins(beginning(expression));
            let is_root = matches!(by, Shape::Below(top) if top.is_empty());
            if is_root || share(&begins, by) == Taken::All {
                Taken::All
            } else {
                not_all(share(by, of))
            }
        }
        (Shape::Expression(_), Shape::Expression(_)) => Taken::Some,
    }
}

/// What a pattern takes of one path.
fn of_path(path: &str, by: &Shape) -> Taken {
    let is_taken = match by {
        Shape::Begins(text) => path.starts_with(text.as_str()),
        Shape::Below(top) => is_below(path, top),
        Shape::Exact(other) => path == other,
        Shape::Expression(expression) => match Regex::new(&format!("^(?:{expression})")) {
            Ok(regex) => regex.is_match(path),
            Err(_) => return Taken::Some,
        },
    };
    if is_taken { Taken::All } else { Taken::None }
}

/// What one of two patterns takes of the other, where the other takes this of it and has more paths.
const fn not_all(taken: Taken) -> Taken {
    match taken {
        Taken::None => Taken::None,
        Taken::All | Taken::Some => Taken::Some,
    }
}

/// By whether all of it is taken, and some.
const fn among(taken: (bool, bool)) -> Taken {
    match taken {
        (true, _) => Taken::All,
        (false, true) => Taken::Some,
        (false, false) => Taken::None,
    }
}

fn is_below(path: &str, top: &str) -> bool {
    let rest = path.strip_prefix(top);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The paths of a pattern, or those of them that an expression takes as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) pattern: Pattern,
    shape: Shape,
    expression: Option<Shape>,
}

impl Area {
    /// All paths of a pattern.
    pub(super) const fn all(shape: Shape, pattern: Pattern) -> Self {
        Self {
            pattern,
            shape,
            expression: None,
        }
    }

    /// The paths of a pattern that an expression takes, too; none where no pattern can say them.
    pub(super) fn both(shape: &Shape, expression: &Shape) -> Option<Self> {
        let Shape::Expression(text) = expression else {
            return None;
        };
        let begins = match shape {
            Shape::Begins(text) => text.clone(),
            Shape::Below(top) if !top.is_empty() && of_path(top, expression) == Taken::None => {
                format!("{top}/")
            }
            Shape::Below(_) | Shape::Exact(_) | Shape::Expression(_) => return None,
        };
        if may_begin_within(&begins, &looked_for(text)?) {
            return None;
        }
        let both = format!("{}{text}", regex::escape(&begins));
        Some(Self {
            pattern: Pattern::Regex(both),
            shape: shape.clone(),
            expression: Some(expression.clone()),
        })
    }

    /// What a pattern takes of it.
    pub(super) fn taken_by(&self, by: &Shape) -> Taken {
        if self.expression.as_ref() == Some(by) {
            return Taken::All;
        }
        share(&self.shape, by)
    }

    /// Whether another one has all its paths.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        match &other.expression {
            None => self.taken_by(&other.shape) == Taken::All,
            Some(_) => self == other,
        }
    }

    /// Whether it has all paths of a pattern that are another area's.
    pub(super) fn takes(&self, shape: &Shape, of: &Self) -> bool {
        match &self.expression {
            None => share(shape, &self.shape) == Taken::All,
            Some(expression) => expression == shape && share(&of.shape, &self.shape) == Taken::All,
        }
    }
}

/// What an expression looks for anywhere in a path; none where it is about the beginning of paths.
fn looked_for(expression: &str) -> Option<String> {
    let inside = |text: &str| {
        let inner = text.strip_prefix(".*(?:")?.strip_suffix(')')?;
        Some(inner.to_owned())
    };
    if let Some(found) = inside(expression) {
        return Some(found);
    }
    let blind = expression.strip_prefix("(?i:")?.strip_suffix(')')?;
    inside(blind).map(|found| format!("(?i:{found})"))
}

/// The text that all begin with that an expression matches; it may be shorter than it could be.
fn beginning(expression: &str) -> String {
    let mut text = String::new();
    if expression.contains('|') {
        return text;
    }
    let mut chars = expression.chars();
    while let Some(c) = chars.next() {
        let escaped = if c == '\\' { chars.next() } else { None };
        match escaped {
            Some(escaped) if escaped.is_ascii_punctuation() => text.push(escaped),
            None if c.is_ascii_alphanumeric() || "/-_~!@:,=&;%'".contains(c) => text.push(c),
            Some(_) | None => {
                if "?*{".contains(c) {
                    text.pop();
                }
                return text;
            }
        }
    }
    text
}

/// The text that an expression is, where nothing in it means anything else.
fn literal(expression: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = expression.chars();
    while let Some(c) = chars.next() {
        text.push(if c == '\\' { chars.next()? } else { c });
    }
    (regex::escape(&text) == expression).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(key: &str, text: &str) -> Shape {
        let text = text.to_owned();
        Shape::of(&match key {
            "exact" => Pattern::Exact(text),
            "path" => Pattern::Path(text),
            _ => Pattern::Regex(text),
        })
    }

    #[test]
    fn patterns_are_read_as_they_were_written() {
        let begins = |text: &str| Shape::Begins(text.to_owned());
        let expression = r#".*(?:\.(js|"a"\$\$\${)$)"#;
        assert_eq!(shape("regex", r"/a\-b\.c/"), begins("/a-b.c/"));
        assert_eq!(shape("regex", "/a.c"), Shape::Expression("/a.c".to_owned()));
        assert_eq!(
            shape("regex", expression),
            Shape::Expression(expression.to_owned())
        );
        assert_eq!(shape("regex", "/"), shape("path", "/"));
        assert_eq!(shape("path", "/a/"), shape("path", "/a"));
    }

    #[test]
    fn a_pattern_takes_all_or_none_or_some_of_another() {
        let js = r".*(?:\.js$)";
        for (of, by, taken) in [
            (("exact", "/a"), ("path", "/a/"), Taken::All),
            (("exact", "/ab"), ("path", "/a/"), Taken::None),
            (("exact", "/ab"), ("regex", "/a"), Taken::All),
            (("exact", "/a.js"), ("regex", js), Taken::All),
            (("path", "/a/"), ("exact", "/a"), Taken::Some),
            (("path", "/a/"), ("exact", "/ab"), Taken::None),
            (("path", "/a/"), ("path", "/"), Taken::All),
            (("path", "/"), ("path", "/a/"), Taken::Some),
            (("path", "/a/"), ("regex", "/a/"), Taken::Some),
            (("path", "/a/"), ("regex", "/a"), Taken::All),
            (("path", "/a/"), ("regex", "/ab"), Taken::None),
            (("path", "/a/"), ("regex", js), Taken::Some),
            (("path", "/a.js/"), ("regex", ".*[.]js"), Taken::All),
            (("path", "/a/"), ("regex", "/[bc]/"), Taken::None),
            (("regex", "/a/"), ("path", "/a/"), Taken::All),
            (("regex", "/a"), ("path", "/a/"), Taken::Some),
            (("regex", "/ab"), ("path", "/a/"), Taken::None),
            (("regex", "/ab"), ("regex", "/a"), Taken::All),
            (("regex", "/a"), ("regex", "/b"), Taken::None),
            (("regex", js), ("path", "/"), Taken::All),
            (("regex", js), ("path", "/a/"), Taken::Some),
            (("regex", "/a/[0-9]+"), ("path", "/a/"), Taken::All),
            (("regex", "/a[0-9]+"), ("path", "/a/"), Taken::None),
            (("regex", "/b/[0-9]+"), ("path", "/a/"), Taken::None),
            (("regex", "/a/?[0-9]"), ("path", "/a/"), Taken::Some),
            (("regex", "/a|/b."), ("path", "/a/"), Taken::Some),
        ] {
            let found = share(&shape(of.0, of.1), &shape(by.0, by.1));
            assert_eq!(found, taken, "{of:?} {by:?}");
        }
    }

    #[test]
    fn what_two_patterns_share_is_a_pattern_where_the_expression_begins_behind() {
        for (of, by, both) in [
            ("/a/", r".*(?:\.js$)", Some(r"/a/.*(?:\.js$)")),
            ("/a/", r"(?i:.*(?:\.js$))", Some(r"/a/(?i:.*(?:\.js$))")),
            ("/a.d/", r".*(?:\.js$)", Some(r"/a\.d/.*(?:\.js$)")),
            ("/a.j/", r".*(?:\.j.*x$)", None),
            ("/a/", "/[a-z]+/x", None),
            ("/", r".*(?:\.js$)", None),
        ] {
            let area = Area::both(&shape("path", of), &shape("regex", by));
            let pattern = area.map(|area| area.pattern);
            let expected = both.map(|text| Pattern::Regex(text.to_owned()));
            assert_eq!(pattern, expected, "{of} {by}");
        }
    }
}

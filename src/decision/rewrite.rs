//! Other paths for upstreams: a prefix taken off, a prefix put on, or a pattern replaced; and the way back
//! for what an answer says about paths.
//!
//! Compiled when the configuration is read. Routing, policy and logs see the path that was asked for and
//! never the one that comes out here.

use std::borrow::Cow;
use std::fmt;

use regex::Captures;
use regex::Regex;
use regex::RegexBuilder;

use crate::decision::path::PathRefusal;
use crate::decision::path::Tolerance;
use crate::decision::path::normalise;

/// How the paths of a route are changed for its upstreams.
#[derive(Clone)]
pub struct Rewrite(Kind);

#[derive(Clone)]
enum Kind {
    Pattern {
        pattern: Regex,
        with: Box<[Piece]>,
    },
    /// Whole segments; empty where nothing is taken off, or nothing put on.
    Prefix {
        strip: Box<str>,
        add: Box<str>,
    },
}

/// A piece of what comes in the place of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// What a group of the pattern matched.
    Group(usize),
    /// This text.
    Text(Box<str>),
}

/// Why a rewrite cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// A dollar sign that names no group.
    #[error("a `$` is followed by the number of a group")]
    Dollar,
    /// A group that the pattern does not have.
    #[error("the pattern has no group {0}")]
    Group(usize),
    /// The pattern is none.
    #[error("`{text}` is not a regular expression: {reason}")]
    Pattern {
        /// What was written.
        text: String,
        /// Why it is none.
        reason: String,
    },
}

impl RewriteError {
    /// Whether it is the pattern that is wrong, and not what comes in its place.
    #[must_use]
    pub const fn is_about_pattern(&self) -> bool {
        match self {
            Self::Pattern { .. } => true,
            Self::Dollar | Self::Group(_) => false,
        }
    }
}

impl Rewrite {
    /// Takes whole segments off the beginning of paths, then puts others on. Both begin with a slash; `/`
    /// alone stands for nothing.
    #[must_use]
    pub fn prefix(strip: &str, add: &str) -> Self {
        Self(Kind::Prefix {
            strip: strip.trim_end_matches('/').into(),
            add: add.trim_end_matches('/').into(),
        })
    }

    /// Puts a text in the place of every path that the pattern matches as a whole; `$1` in it is what the
    /// first group matched.
    ///
    /// # Errors
    /// See [`RewriteError`].
    pub fn pattern(text: &str, with: &str) -> Result<Self, RewriteError> {
        // By itself first: `/a)|(/b` must not break out of the group that anchors it.
        compile(text, text)?;
        let pattern = compile(text, &format!(r"\A(?:{text})\z"))?;
        let with = pieces(with)?;
        let groups = pattern.captures_len();
        let missing = with.iter().find_map(|piece| match piece {
            Piece::Group(group) => (*group >= groups).then_some(*group),
            Piece::Text(_) => None,
        });
        match missing {
            Some(group) => Err(RewriteError::Group(group)),
            None => Ok(Self(Kind::Pattern { pattern, with })),
        }
    }

    /// The prefix that the public knows and upstreams do not; none where there is no such.
    #[must_use]
    pub fn stripped(&self) -> Option<&str> {
        match &self.0 {
            Kind::Pattern { .. } => None,
            Kind::Prefix { strip, .. } => (!strip.is_empty()).then_some(&**strip),
        }
    }

    /// The path that an upstream is asked for in the place of a canonical one; none where it is the same.
    ///
    /// # Errors
    /// When what comes out is not canonical, or holds something odd that the route does not let through:
    /// the upstream might read it as another path than the one that was decided on.
    pub fn path(
        &self,
        canonical: &str,
        tolerance: Tolerance,
    ) -> Result<Option<String>, PathRefusal> {
        let other = match &self.0 {
            Kind::Pattern { pattern, with } => pattern
                .captures(canonical)
                .map(|found| filled(with, &found)),
            Kind::Prefix { strip, add } => behind(canonical, strip).map(|rest| joined(add, rest)),
        };
        let Some(other) = other.filter(|other| other != canonical) else {
            return Ok(None);
        };
        let read = normalise(&other)?;
        if read.as_str() != other {
            return Err(PathRefusal::Ambiguous);
        }
        if let Some(odd) = tolerance.first_missing(read.oddities()) {
            return Err(PathRefusal::Odd(odd));
        }
        Ok(Some(other))
    }

    /// What comes in the place of a canonical path, as it is; none where the pattern does not match, or is a prefix.
    #[must_use]
    pub fn text(&self, canonical: &str) -> Option<String> {
        match &self.0 {
            Kind::Pattern { pattern, with } => {
                let found = pattern.captures(canonical)?;
                Some(filled(with, &found))
            }
            Kind::Prefix { .. } => None,
        }
    }

    /// An address in an answer, as the public knows it; none where it stays as it is. `public` is how the
    /// addresses of the virtual host begin, such as `https://app.example.com`.
    #[must_use]
    pub fn location(&self, location: &str, public: &str) -> Option<String> {
        let (before, target) = match location.strip_prefix(public) {
            Some(target) => (public, target),
            None => ("", location),
        };
        if !target.starts_with('/') || target.starts_with("//") {
            return None;
        }
        let end = target.find(['?', '#']).unwrap_or(target.len());
        let (path, rest) = target.split_at_checked(end)?;
        let path = self.public_path(path)?;
        let stays = !before.is_empty() || !leads_away(&path);
        stays.then(|| format!("{before}{path}{rest}"))
    }

    /// A `Set-Cookie` whose path is one that the public knows; none where it stays as it is. Those of
    /// cookies that must have `/` for a path (RFC 6265bis §4.1.3.2) do.
    #[must_use]
    pub fn set_cookie(&self, line: &str) -> Option<String> {
        let name = line.trim_start().as_bytes();
        let prefix = name.get(..HOST_PREFIX.len());
        if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(HOST_PREFIX.as_bytes())) {
            return None;
        }
        let mut has_changed = false;
        let attributes = line.split(';').enumerate().map(|(at, attribute)| {
            let path = attribute
                .split_once('=')
                .filter(|(name, _)| at > 0 && name.trim().eq_ignore_ascii_case("path"))
                .and_then(|(_, path)| self.public_path(path.trim()));
            let Some(path) = path else {
                return Cow::Borrowed(attribute);
            };
            has_changed = true;
            // A cookie for `/app/` is not sent with `/app` (RFC 6265 §5.1.4).
            let path = match path.trim_end_matches('/') {
                "" => "/",
                path => path,
            };
            Cow::Owned(format!(" Path={path}"))
        });
        let line = attributes.collect::<Vec<_>>().join(";");
        has_changed.then_some(line)
    }

    /// The path that the public knows for one of an upstream's; none where it is the same, or cannot be
    /// told. What begins as the public's paths do is taken for one that the application has put together
    /// with the prefix in mind.
    fn public_path(&self, path: &str) -> Option<String> {
        let Kind::Prefix { strip, add } = &self.0 else {
            return None;
        };
        let is_public = add.is_empty() && behind(path, strip).is_some();
        let rest = behind(path, add).filter(|_| !is_public)?;
        Some(joined(strip, rest))
    }
}

/// Whether a browser would take a path for an address on another host. It leaves tabs out and takes a
/// backslash for a slash (WHATWG URL §4.4).
fn leads_away(path: &str) -> bool {
    let behind = path.strip_prefix('/').unwrap_or(path);
    behind.trim_start_matches('\t').starts_with(['/', '\\'])
}

/// What follows a prefix of whole segments.
fn behind<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix)
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn joined(prefix: &str, rest: &str) -> String {
    match (prefix, rest) {
        ("", "") => "/".to_owned(),
        _ => format!("{prefix}{rest}"),
    }
}

fn filled(with: &[Piece], found: &Captures<'_>) -> String {
    let texts = with.iter().map(|piece| match piece {
        Piece::Group(group) => found.get(*group).map_or("", |text| text.as_str()),
        Piece::Text(text) => &**text,
    });
    texts.collect()
}

fn compile(text: &str, expression: &str) -> Result<Regex, RewriteError> {
    let compiled = RegexBuilder::new(expression)
        .size_limit(REGEX_BYTES_MAX)
        .build();
    compiled.map_err(|fault| {
        // The reason stands in the last line, below a picture of where it is.
        let fault = fault.to_string();
        let last = fault.lines().last().unwrap_or_default();
        RewriteError::Pattern {
            text: text.to_owned(),
            reason: last.strip_prefix("error: ").unwrap_or(last).to_owned(),
        }
    })
}

fn pieces(with: &str) -> Result<Box<[Piece]>, RewriteError> {
    let mut parts = with.split('$');
    let first = parts.next().unwrap_or_default();
    let mut pieces = vec![Piece::Text(first.into())];
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit());
        let digits = part.split_at_checked(end.unwrap_or(part.len()));
        let (number, text) = digits.ok_or(RewriteError::Dollar)?;
        let group = number.parse().map_err(|_| RewriteError::Dollar)?;
        pieces.extend([Piece::Group(group), Piece::Text(text.into())]);
    }
    Ok(pieces.into())
}

/// What is written alike does alike.
impl PartialEq for Rewrite {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (
                Kind::Pattern { pattern, with },
                Kind::Pattern {
                    pattern: its,
                    with: with_its,
                },
            ) => pattern.as_str() == its.as_str() && with == with_its,
            (
                Kind::Prefix { strip, add },
                Kind::Prefix {
                    strip: its,
                    add: its_add,
                },
            ) => strip == its && add == its_add,
            (Kind::Pattern { .. }, Kind::Prefix { .. })
            | (Kind::Prefix { .. }, Kind::Pattern { .. }) => false,
        }
    }
}

impl Eq for Rewrite {}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Pattern { pattern, with } => f
                .debug_struct("Rewrite")
                .field("pattern", &pattern.as_str())
                .field("with", with)
                .finish(),
            Kind::Prefix { strip, add } => f
                .debug_struct("Rewrite")
                .field("strip", strip)
                .field("add", add)
                .finish(),
        }
    }
}

/// Largest compiled pattern, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;
const HOST_PREFIX: &str = "__Host-";

#[cfg(test)]
mod tests {
    use super::*;

    fn path(rewrite: &Rewrite, path: &str) -> Option<String> {
        rewrite.path(path, Tolerance::none()).unwrap()
    }

    #[test]
    fn prefixes_are_whole_segments_and_what_is_left_begins_with_a_slash() {
        let strip = Rewrite::prefix("/app", "/");
        assert_eq!(path(&strip, "/app").as_deref(), Some("/"));
        assert_eq!(path(&strip, "/app/").as_deref(), Some("/"));
        assert_eq!(path(&strip, "/app/x/y").as_deref(), Some("/x/y"));
        assert_eq!(path(&strip, "/apple"), None);
        let replace = Rewrite::prefix("/app/", "/internal/v2/");
        assert_eq!(path(&replace, "/app").as_deref(), Some("/internal/v2"));
        assert_eq!(path(&replace, "/app/x").as_deref(), Some("/internal/v2/x"));
        let add = Rewrite::prefix("/", "/base");
        assert_eq!(path(&add, "/").as_deref(), Some("/base/"));
        assert_eq!(path(&add, "/x").as_deref(), Some("/base/x"));
    }

    #[test]
    fn a_pattern_replaces_whole_paths_and_nothing_else() {
        let rewrite = Rewrite::pattern("/v([0-9]+)/(.*)", "/api/$2/$1").unwrap();
        assert_eq!(
            path(&rewrite, "/v12/users/7").as_deref(),
            Some("/api/users/7/12")
        );
        assert_eq!(path(&rewrite, "/x/v12/users"), None);
        assert_eq!(path(&rewrite, "/v12"), None);
        let either = Rewrite::pattern("/a|/b", "/c").unwrap();
        assert_eq!(path(&either, "/b").as_deref(), Some("/c"));
        assert_eq!(path(&either, "/b/c"), None);
    }

    #[test]
    fn a_path_that_could_be_read_as_another_one_is_refused_d_18() {
        let hidden = Rewrite::pattern("/x(.)/(.)(.*)", "/$1$2$3").unwrap();
        hidden.path("/x./.", Tolerance::none()).unwrap_err();
        let double = Rewrite::pattern("/v1(/.*)", "/$1").unwrap();
        assert_eq!(
            double.path("/v1/x", Tolerance::none()),
            Err(PathRefusal::Ambiguous)
        );
        let relative = Rewrite::pattern("/v1/(.*)", "$1").unwrap();
        relative.path("/v1/x", Tolerance::none()).unwrap_err();
    }

    #[test]
    fn a_rewrite_that_cannot_work_is_an_error() {
        assert_eq!(
            Rewrite::pattern("/a/(.*)", "/$2").unwrap_err(),
            RewriteError::Group(2)
        );
        assert_eq!(
            Rewrite::pattern("/a", "/$x").unwrap_err(),
            RewriteError::Dollar
        );
        for pattern in ["/a)|(/b", "/(a"] {
            let error = Rewrite::pattern(pattern, "/").unwrap_err();
            assert!(matches!(error, RewriteError::Pattern { .. }), "{error}");
        }
    }

    #[test]
    fn an_address_in_an_answer_is_the_one_that_the_public_knows_w_21() {
        const PUBLIC: &str = "https://app.test";
        let strip = Rewrite::prefix("/app", "/");
        let replace = Rewrite::prefix("/app", "/internal");
        let add = Rewrite::prefix("/", "/base");
        for (rewrite, location, expected) in [
            (&strip, "/login?next=/x", Some("/app/login?next=/x")),
            (&strip, "/", Some("/app/")),
            (
                &strip,
                "https://app.test/x#y",
                Some("https://app.test/app/x#y"),
            ),
            (&strip, "https://app.test.evil.test/x", None),
            (&strip, "https://elsewhere.test/x", None),
            (&strip, "//elsewhere.test/x", None),
            (&strip, "x/y", None),
            (&strip, "/app/login", None),
            (&strip, "/app", None),
            (&replace, "/internal/x", Some("/app/x")),
            (&replace, "/internal", Some("/app")),
            (&replace, "/other", None),
            // What would lead elsewhere without the prefix stays as it is.
            (&add, "/base/x", Some("/x")),
            (&add, "/base//evil.test", None),
            (&add, "/base/\\evil.test", None),
            (&add, "/base/\t/evil.test", None),
            (
                &add,
                "https://app.test/base//x",
                Some("https://app.test//x"),
            ),
        ] {
            assert_eq!(
                rewrite.location(location, PUBLIC).as_deref(),
                expected,
                "{location}"
            );
        }
        let pattern = Rewrite::pattern("/a", "/b").unwrap();
        assert_eq!(pattern.location("/b", PUBLIC), None);
    }

    #[test]
    fn the_path_of_a_cookie_is_the_one_that_the_public_knows() {
        let strip = Rewrite::prefix("/app", "/");
        let replace = Rewrite::prefix("/app", "/internal");
        for (rewrite, line, expected) in [
            (
                &strip,
                "a=1; Path=/; Secure",
                Some("a=1; Path=/app; Secure"),
            ),
            (&strip, "a=1;path=/x/", Some("a=1; Path=/app/x")),
            (&strip, "a=1; Path=/app", None),
            (&strip, "a=1; Secure", None),
            (&strip, "path=/x", None),
            (&strip, "__Host-a=1; Path=/; Secure", None),
            (&strip, "__host-a=1; Path=/; Secure", None),
            (&replace, "a=/; Path=/internal/", Some("a=/; Path=/app")),
            (&replace, "a=1; Path=/", None),
        ] {
            assert_eq!(rewrite.set_cookie(line).as_deref(), expected, "{line}");
        }
    }
}

//! Patterns over canonical paths, each in two forms: as written, and with its letter case folded.
//!
//! Patterns never see a query, and never a path that `path::normalise` has not been through.

use std::fmt;
use std::sync::Arc;

use globset::GlobBuilder;
use globset::GlobMatcher;
use regex::Regex;
use regex::RegexBuilder;

use crate::decision::path::PathRefusal;
use crate::decision::path::folded;
use crate::decision::path::loosened;
use crate::decision::path::normalise;

/// Which paths a route is for.
#[derive(Clone)]
pub struct PathPattern {
    written: Arc<str>,
    kind: Kind,
    /// Whether a folded reading may match in one way and not in the other.
    minds_case: bool,
}

#[derive(Clone)]
enum Kind {
    Exact(Literal),
    Glob(Pair<GlobMatcher>),
    Prefix(Literal),
    Regex(Pair<Regex>),
}

/// A path to compare with, as written and folded.
#[derive(Clone)]
struct Literal {
    text: Arc<str>,
    lower: Arc<str>,
}

/// A compiled pattern, as written and blind to letter case.
#[derive(Clone)]
struct Pair<M> {
    sensitive: M,
    blind: M,
    /// How every path begins that it matches, in whole segments, folded.
    begins: Arc<str>,
}

/// Where a pattern stands among the segments of paths, case folded.
pub(super) enum Place<'p> {
    /// It matches this path and everything below.
    Below(&'p str),
    /// It matches this path.
    Exact(&'p str),
    /// It matches only this path and what is below it, and not all of that.
    Somewhere(&'p str),
}

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A path that every request for it would be refused for.
    #[error("a path like this can be read in several ways and would always be refused")]
    Ambiguous,
    /// An escape that readings spell differently.
    #[error("{written} never stands in a path as patterns see it; write {spelled}")]
    Escape {
        /// As it was written.
        written: String,
        /// As readings spell it.
        spelled: String,
    },
    /// The glob has a fault.
    #[error("{0}")]
    Glob(String),
    /// The path would be refused in a request.
    #[error("{0}")]
    Path(#[source] PathRefusal),
    /// The regular expression has a fault or is too large.
    #[error("{0}")]
    Regex(String),
    /// The pattern does not begin with `/`.
    #[error("it does not begin with a slash")]
    NotAbsolute,
    /// The pattern has characters that a path has only as escapes.
    #[error("the character {0:?} never stands in a path; write it as its percent escape")]
    NotInPaths(char),
}

impl PathPattern {
    /// Matches one path only. `/a` does not match `/a/`.
    ///
    /// # Errors
    /// When the text is not a path that a request can have.
    pub fn exact(text: &str) -> Result<Self, PatternError> {
        Ok(Self::new(text, Kind::Exact(Literal::parse(text)?)))
    }

    /// Matches a path and everything below it: `/adm` matches `/adm`, `/adm/` and `/adm/x`, and not
    /// `/admin`. A trailing slash of the pattern means nothing.
    ///
    /// # Errors
    /// When the text is not a path that a request can have.
    pub fn prefix(text: &str) -> Result<Self, PatternError> {
        let path = Literal::parse(text)?;
        Ok(Self::new(text, Kind::Prefix(path.without_trailing_slash())))
    }

    /// The path that the pattern spells out, be it for that alone or for what is below it too.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match &self.kind {
            Kind::Exact(path) | Kind::Prefix(path) => Some(&path.text),
            Kind::Glob(_) | Kind::Regex(_) => None,
        }
    }

    /// Matches whole paths: `*` and `?` stay within a segment, `**` crosses them; `[…]` and `{a,b}`
    /// choose. `/adm/**` matches `/adm/` and everything below, and not `/adm`.
    ///
    /// # Errors
    /// When the text is not a glob, or holds characters that paths only have as escapes.
    pub fn glob(text: &str) -> Result<Self, PatternError> {
        check_absolute(text)?;
        check_spelling(text)?;
        let compile = |letter_case: LetterCase| {
            GlobBuilder::new(text)
                .literal_separator(true)
                .backslash_escape(true)
                .case_insensitive(letter_case == LetterCase::Ignored)
                .build()
                .map(|glob| glob.compile_matcher())
                .map_err(|fault| PatternError::Glob(fault.kind().to_string()))
        };
        let begins = fixed_segments(text);
        Ok(Self::new(text, Kind::Glob(Pair::compile(compile, begins)?)))
    }

    /// Matches paths that begin with what the expression describes; end it with `$` to match whole
    /// paths.
    ///
    /// # Errors
    /// When the text is not a regular expression, is too large, or holds characters that paths only
    /// have as escapes.
    pub fn regex(text: &str) -> Result<Self, PatternError> {
        check_spelling(text)?;
        let compile = |expression: &str, letter_case: LetterCase| {
            RegexBuilder::new(expression)
                .size_limit(REGEX_BYTES_MAX)
                .case_insensitive(letter_case == LetterCase::Ignored)
                .build()
                .map_err(|fault| PatternError::Regex(fault.to_string()))
        };
        // By itself first: `/a)|(/b` must not break out of the group that anchors it.
        compile(text, LetterCase::Kept)?;
        let anchored = format!("^(?:{text})");
        let begins = beginning_of(text);
        let pair = Pair::compile(|letter_case| compile(&anchored, letter_case), begins)?;
        Ok(Self::new(text, Kind::Regex(pair)))
    }

    fn new(text: &str, kind: Kind) -> Self {
        let minds_case = match &kind {
            Kind::Exact(path) | Kind::Prefix(path) => path.text != path.lower,
            // A class, an escape or a flag can concern upper-case letters without showing one.
            Kind::Glob(_) | Kind::Regex(_) => {
                text.contains(|c: char| c.is_ascii_uppercase() || "[(\\".contains(c))
            }
        };
        Self {
            written: Arc::from(text),
            kind,
            minds_case,
        }
    }

    /// Whether a reading matches as written.
    pub(super) fn matches(&self, reading: &str) -> bool {
        match &self.kind {
            Kind::Exact(path) => &*path.text == reading,
            Kind::Glob(glob) => glob.sensitive.is_match(reading),
            Kind::Prefix(path) => is_below(reading, &path.text),
            Kind::Regex(regex) => regex.sensitive.is_match(reading),
        }
    }

    /// Whether a folded reading matches when letter case means nothing.
    pub(super) fn matches_folded(&self, lower: &str) -> bool {
        match &self.kind {
            Kind::Exact(path) => &*path.lower == lower,
            Kind::Glob(glob) => glob.blind.is_match(lower),
            Kind::Prefix(path) => is_below(lower, &path.lower),
            Kind::Regex(regex) => regex.blind.is_match(lower),
        }
    }

    /// Whether a folded reading may match in one way and not in the other.
    pub(super) const fn minds_case(&self) -> bool {
        self.minds_case
    }

    /// What equal patterns have in common, and no others.
    pub(super) fn key(&self) -> (&'static str, &str) {
        match &self.kind {
            Kind::Exact(path) => ("exact", &path.text),
            Kind::Glob(_) => ("glob", &self.written),
            Kind::Prefix(path) => ("prefix", &path.text),
            Kind::Regex(_) => ("regex", &self.written),
        }
    }

    /// Where the pattern stands among the segments of paths.
    pub(super) fn place(&self) -> Place<'_> {
        match &self.kind {
            Kind::Exact(path) => Place::Exact(&path.lower),
            Kind::Glob(glob) => Place::Somewhere(&glob.begins),
            Kind::Prefix(path) => Place::Below(&path.lower),
            Kind::Regex(regex) => Place::Somewhere(&regex.begins),
        }
    }

    /// A glob or an expression as an expression over bytes: as written, and blind to letter case.
    pub(super) fn expressions(&self) -> Option<(String, String)> {
        match &self.kind {
            Kind::Exact(_) | Kind::Prefix(_) => None,
            Kind::Glob(glob) => {
                let text = |glob: &GlobMatcher| glob.glob().regex().to_owned();
                Some((text(&glob.sensitive), text(&glob.blind)))
            }
            Kind::Regex(regex) => {
                let blind = format!("(?i:{})", regex.blind.as_str());
                Some((regex.sensitive.as_str().to_owned(), blind))
            }
        }
    }
}

/// The beginning of a glob that stands for itself, in whole segments.
fn fixed_segments(text: &str) -> Arc<str> {
    let is_fixed =
        |segment: &&str| !segment.contains(['*', '?', '[', ']', '{', '}', '\\', '%', ',']);
    let fixed: Vec<&str> = text.split('/').take_while(is_fixed).collect();
    Arc::from(fixed.join("/").to_ascii_lowercase())
}

/// The beginning of an expression that stands for itself, in whole segments; empty where the expression
/// has a choice at the outermost level, or anything else that makes its beginning hard to tell.
fn beginning_of(text: &str) -> Arc<str> {
    let text = text.strip_prefix('^').unwrap_or(text);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_~!@:,=&;".contains(c);
    let end = text.find(|c: char| !is_plain(c)).unwrap_or(text.len());
    let (plain, rest) = text.split_at_checked(end).unwrap_or_default();
    // What may be there any number of times, or not at all, is no part of it.
    let plain = match (
        rest.starts_with(['?', '*', '{']),
        plain.split_at_checked(end.saturating_sub(1)),
    ) {
        (true, Some((certain, _))) => certain,
        _ => plain,
    };
    let whole = match plain.rsplit_once('/') {
        Some((whole, _)) if plain.starts_with('/') && !has_outer_choice(rest) => whole,
        _ => "",
    };
    Arc::from(whole.to_ascii_lowercase())
}

/// Whether `|` may stand outside every group; in doubt it does.
fn has_outer_choice(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut class = false;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => {
                rest.next();
            }
            // A bracket inside or at the beginning of a class is hard to pair.
            '[' if class || begins_with_bracket(rest.as_str()) => return true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth = depth.saturating_sub(1),
            '|' if !class && depth == 0 => return true,
            _ => {}
        }
    }
    false
}

fn begins_with_bracket(class: &str) -> bool {
    class.strip_prefix('^').unwrap_or(class).starts_with(']')
}

/// Largest compiled regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

impl Literal {
    fn parse(text: &str) -> Result<Self, PatternError> {
        check_absolute(text)?;
        let path = normalise(text).map_err(PatternError::Path)?;
        let mut readings = path.readings();
        match (readings.next(), readings.next()) {
            (Some(only), None) => Ok(Self::new(only)),
            _ => Err(PatternError::Ambiguous),
        }
    }

    fn new(text: &str) -> Self {
        Self {
            text: Arc::from(text),
            lower: Arc::from(folded(text)),
        }
    }

    fn without_trailing_slash(self) -> Self {
        self.text.strip_suffix('/').map(Self::new).unwrap_or(self)
    }
}

impl<M> Pair<M> {
    fn compile(
        compile: impl Fn(LetterCase) -> Result<M, PatternError>,
        begins: Arc<str>,
    ) -> Result<Self, PatternError> {
        Ok(Self {
            sensitive: compile(LetterCase::Kept)?,
            blind: compile(LetterCase::Ignored)?,
            begins,
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LetterCase {
    Ignored,
    Kept,
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn check_absolute(text: &str) -> Result<(), PatternError> {
    if text.starts_with('/') {
        Ok(())
    } else {
        Err(PatternError::NotAbsolute)
    }
}

/// Checks that the characters and escapes of a glob or an expression are ones that readings have.
fn check_spelling(text: &str) -> Result<(), PatternError> {
    if let Some(c) = text.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(PatternError::NotInPaths(c));
    }
    let escapes = text.split('%').skip(1).filter_map(|part| part.get(..2));
    for digits in escapes.filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit())) {
        let written = format!("%{digits}");
        let spelled = loosened(&written.to_ascii_uppercase());
        if spelled != written {
            return Err(PatternError::Escape { written, spelled });
        }
    }
    Ok(())
}

/// As the operator wrote it.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.kind {
            Kind::Exact(_) => "Exact",
            Kind::Glob(_) => "Glob",
            Kind::Prefix(_) => "Prefix",
            Kind::Regex(_) => "Regex",
        };
        f.debug_tuple(kind).field(&self.written).finish()
    }
}

/// Equal patterns are of one kind and match the same text.
impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for PathPattern {}

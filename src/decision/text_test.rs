//! Tests of single texts: what an attribute, a header or a parameter has to be like.
//!
//! Compiled when the configuration is read; which text is tested, and what an absent one means, is
//! `authorization`'s matter.

use std::fmt;
use std::sync::Arc;

use regex::Regex;
use regex::RegexBuilder;

use crate::decision::names::Names;

/// What a text has to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextTest {
    /// It has this in it.
    Contains(Box<str>),
    /// It ends with this.
    EndsWith(Box<str>),
    /// It is one of these.
    In(Names<Box<str>>),
    /// It is there, whatever it is.
    Present,
    /// The whole of it matches this.
    Matches(TextPattern),
    /// It begins with this.
    StartsWith(Box<str>),
}

impl TextTest {
    /// Whether a text passes.
    #[must_use]
    pub fn passes(&self, text: &str) -> bool {
        match self {
            Self::Contains(part) => text.contains(&**part),
            Self::EndsWith(end) => text.ends_with(&**end),
            Self::In(texts) => texts.contains(text),
            Self::Matches(pattern) => pattern.is_match(text),
            Self::Present => true,
            Self::StartsWith(start) => text.starts_with(&**start),
        }
    }
}

/// A regular expression over texts. Equal ones are written alike.
#[derive(Clone)]
pub struct TextPattern {
    written: Arc<str>,
    regex: Regex,
}

impl TextPattern {
    /// An expression that the whole text has to match.
    ///
    /// # Errors
    /// When it is not a regular expression, or too large a one.
    pub fn whole(text: &str) -> Result<Self, regex::Error> {
        // By itself first: `a)|(b` must not break out of the group that anchors it.
        Self::anywhere(text)?;
        let regex = compile(&format!("^(?:{text})$"))?;
        Ok(Self {
            written: Arc::from(text),
            regex,
        })
    }

    /// An expression that some part of the text has to match.
    ///
    /// # Errors
    /// When it is not a regular expression, or too large a one.
    pub fn anywhere(text: &str) -> Result<Self, regex::Error> {
        Ok(Self {
            written: Arc::from(text),
            regex: compile(text)?,
        })
    }

    /// Whether a text matches; takes time in proportion to its length.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build()
}

impl PartialEq for TextPattern {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written && self.regex.as_str() == other.regex.as_str()
    }
}

impl Eq for TextPattern {}

impl fmt::Debug for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TextPattern").field(&self.written).finish()
    }
}

/// Largest compiled expression, in bytes.
const REGEX_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_about_the_whole_text_and_cannot_break_out_of_it() {
        let pattern = TextPattern::whole("a|b+").unwrap();
        for (text, matches) in [("a", true), ("bb", true), ("ab", false), ("a\n", false)] {
            assert_eq!(pattern.is_match(text), matches, "{text:?}");
        }
        assert!(TextPattern::whole("a)|(b").is_err());
        assert!(TextPattern::whole("(a{1000}){1000}").is_err());
    }

    #[test]
    fn each_test_passes_what_it_says() {
        let text = |text: &str| Box::from(text);
        let one_of = TextTest::In(["x", "yz"].map(text).into_iter().collect());
        for (test, passing, failing) in [
            (TextTest::Contains(text("b")), "abc", "ac"),
            (TextTest::EndsWith(text("c")), "abc", "cab"),
            (one_of, "yz", "y"),
            (TextTest::Present, "", "\0"),
            (TextTest::StartsWith(text("a")), "abc", "cab"),
        ] {
            assert!(test.passes(passing), "{test:?}");
            assert_eq!(test.passes(failing), test == TextTest::Present, "{test:?}");
        }
    }
}

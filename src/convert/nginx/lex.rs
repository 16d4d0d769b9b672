//! nginx's words: text → words, braces, semicolons and comments, each with its line.
//!
//! As nginx reads them: quotes begin a word or are none, a backslash keeps the next character in the word, and
//! only `\"`, `\'`, `\\`, `\t`, `\r` and `\n` are replaced. What words mean is not known here.

use std::iter::Peekable;
use std::str::Chars;

/// A piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) line: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Close,
    Comment(String),
    End,
    Open,
    Word(String),
}

/// Why a file cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub problem: SyntaxProblem,
}

/// What is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxProblem {
    /// Something right behind a closing quote.
    #[error("a quote ends and {0:?} follows at once")]
    AfterQuote(char),
    /// More blocks inside one another than anybody means.
    #[error("blocks are more than {0} deep")]
    Deep(usize),
    /// The file ends inside a block.
    #[error("the block that begins here is not closed")]
    OpenBlock,
    /// The file ends inside quotes.
    #[error("the quote that begins here is not closed")]
    OpenQuote,
    /// A brace or semicolon where a word is expected.
    #[error("unexpected {0:?}")]
    Unexpected(char),
    /// The file ends before a semicolon.
    #[error("a directive is not ended by `;`")]
    Unfinished,
}

/// Reads pieces one by one.
pub(super) struct Lexer<'t> {
    rest: Peekable<Chars<'t>>,
    line: u32,
    /// Whether a quote has just ended.
    behind_quote: bool,
}

impl<'t> Lexer<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self {
            rest: text.trim_start_matches('\u{feff}').chars().peekable(),
            line: 1,
            behind_quote: false,
        }
    }

    /// The line that the next piece cannot be before.
    pub(super) const fn line(&self) -> u32 {
        self.line
    }

    /// The next piece; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Token>, SyntaxError> {
        self.check_behind_quote()?;
        while self.rest.peek().is_some_and(|c| is_space(*c)) {
            self.take();
        }
        let line = self.line;
        let kind = match self.rest.peek() {
            None => return Ok(None),
            Some(';') => self.single(Kind::End),
            Some('{') => self.single(Kind::Open),
            Some('}') => self.single(Kind::Close),
            Some('#') => Kind::Comment(self.comment()),
            Some(quote @ ('"' | '\'')) => {
                let quote = *quote;
                self.quoted(quote)?
            }
            Some(_) => Kind::Word(self.word()),
        };
        Ok(Some(Token { kind, line }))
    }

    fn check_behind_quote(&mut self) -> Result<(), SyntaxError> {
        if !std::mem::take(&mut self.behind_quote) {
            return Ok(());
        }
        match self.rest.peek() {
            Some(c) if !is_space(*c) && !matches!(c, ';' | '{' | ')') => Err(SyntaxError {
                line: self.line,
                problem: SyntaxProblem::AfterQuote(*c),
            }),
            _ => Ok(()),
        }
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line = self.line.saturating_add(1);
        }
        Some(c)
    }

    fn single(&mut self, kind: Kind) -> Kind {
        self.take();
        kind
    }

    fn comment(&mut self) -> String {
        self.take();
        let mut text = String::new();
        while let Some(c) = self.rest.peek() {
            if *c == '\n' {
                break;
            }
            text.push(*c);
            self.take();
        }
        text.trim_end().to_owned()
    }

    fn quoted(&mut self, quote: char) -> Result<Kind, SyntaxError> {
        let line = self.line;
        self.take();
        let mut text = String::new();
        while let Some(c) = self.take() {
            if c == quote {
                self.behind_quote = true;
                return Ok(Kind::Word(text));
            }
            self.push(&mut text, c);
        }
        Err(SyntaxError {
            line,
            problem: SyntaxProblem::OpenQuote,
        })
    }

    fn word(&mut self) -> String {
        let mut text = String::new();
        let mut variable = false;
        while let Some(c) = self.rest.peek().copied() {
            // `${name}` is no block.
            let ends = is_space(c) || c == ';' || (c == '{' && !variable);
            if ends {
                break;
            }
            self.take();
            self.push(&mut text, c);
            variable = c == '$';
        }
        text
    }

    /// A character of a word, with the one behind it where it is a backslash.
    fn push(&mut self, text: &mut String, c: char) {
        if c != '\\' {
            text.push(c);
            return;
        }
        match self.take() {
            Some(c @ ('"' | '\'' | '\\')) => text.push(c),
            Some('t') => text.push('\t'),
            Some('r') => text.push('\r'),
            Some('n') => text.push('\n'),
            Some(c) => text.extend(['\\', c]),
            None => text.push('\\'),
        }
    }
}

/// nginx's spaces, and those that text copied from a page has in their place.
const fn is_space(c: char) -> bool {
    matches!(
        c,
        ' ' | '\t' | '\r' | '\n' | '\u{a0}' | '\u{2007}' | '\u{202f}'
    )
}

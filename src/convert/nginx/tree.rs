//! Words → directives, with blocks inside one another, comments, and the place of each.
//!
//! Files that include others are put together in `include`.

use std::sync::Arc;

use crate::convert::nginx::lex::Kind;
use crate::convert::nginx::lex::Lexer;
use crate::convert::nginx::lex::SyntaxError;
use crate::convert::nginx::lex::SyntaxProblem;
use crate::convert::nginx::lex::Token;

/// A directive with its words, and what stands in its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its first word.
    pub name: String,
    /// The other words, as they mean.
    pub args: Vec<String>,
    /// What stands between its braces; none where it ends with a semicolon.
    pub body: Option<Vec<Self>>,
    /// The file it stands in.
    pub file: Arc<str>,
    /// The line it begins on.
    pub line: u32,
    /// The comments before it, behind it on the same line, and at the end of its block.
    pub comments: Vec<String>,
    /// Its number in the whole, which `include` gives.
    pub(super) id: usize,
    /// Why the file that it names could not be read.
    pub(super) unread: Option<String>,
}

impl Directive {
    /// The first argument; empty where there is none.
    #[must_use]
    pub fn first(&self) -> &str {
        self.args.first().map_or("", String::as_str)
    }

    /// What stands in its block.
    #[must_use]
    pub fn inside(&self) -> &[Self] {
        self.body.as_deref().unwrap_or_default()
    }

    /// The directive on one line, without its block.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut text = self.name.clone();
        for arg in &self.args {
            text.push(' ');
            let is_word = !arg.is_empty() && !arg.contains(|c: char| c.is_whitespace());
            let visible = arg.chars().map(|c| if c.is_control() { ' ' } else { c });
            if is_word {
                text.extend(visible);
            } else {
                text.push('\'');
                text.extend(visible);
                text.push('\'');
            }
        }
        match text.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text,
        }
    }
}

/// Reads the directives of a file, and the comments at its end.
///
/// # Errors
/// The first thing that nginx would not read either.
pub fn parse(text: &str, file: &Arc<str>) -> Result<(Vec<Directive>, Vec<String>), SyntaxError> {
    let mut parser = Parser {
        lexer: Lexer::new(text),
        file: Arc::clone(file),
        comments: Vec::new(),
    };
    let directives = parser.block(None)?;
    Ok((directives, parser.comments))
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    file: Arc<str>,
    /// Comments that wait for what they are about.
    comments: Vec<String>,
}

/// The block that is being read.
#[derive(Clone, Copy)]
struct Block {
    line: u32,
    depth: usize,
}

impl Parser<'_> {
    fn block(&mut self, block: Option<Block>) -> Result<Vec<Directive>, SyntaxError> {
        let mut directives: Vec<Directive> = Vec::new();
        // The line on which the last directive ended.
        let mut ended = 0;
        while let Some(Token { kind, line }) = self.lexer.next()? {
            match kind {
                Kind::Comment(text) => match directives.last_mut() {
                    Some(last) if line == ended => last.comments.push(text),
                    _ => self.comments.push(text),
                },
                Kind::Word(name) => {
                    let depth = block.map_or(0, |block| block.depth);
                    directives.push(self.directive(name, line, depth)?);
                    ended = self.lexer.line();
                }
                Kind::Close if block.is_some() => return Ok(directives),
                Kind::Close => return Err(unexpected(line, '}')),
                Kind::Open => return Err(unexpected(line, '{')),
                Kind::End => return Err(unexpected(line, ';')),
            }
        }
        match block {
            None => Ok(directives),
            Some(Block { line, .. }) => Err(SyntaxError {
                line,
                problem: SyntaxProblem::OpenBlock,
            }),
        }
    }

    fn directive(
        &mut self,
        name: String,
        line: u32,
        depth: usize,
    ) -> Result<Directive, SyntaxError> {
        let mut directive = Directive {
            name,
            args: Vec::new(),
            body: None,
            file: Arc::clone(&self.file),
            line,
            comments: std::mem::take(&mut self.comments),
            id: 0,
            unread: None,
        };
        loop {
            let Some(token) = self.lexer.next()? else {
                let problem = SyntaxProblem::Unfinished;
                return Err(SyntaxError { line, problem });
            };
            match token.kind {
                Kind::Comment(text) => directive.comments.push(text),
                Kind::Word(word) => directive.args.push(word),
                Kind::End => return Ok(directive),
                Kind::Close => return Err(unexpected(token.line, '}')),
                Kind::Open => break,
            }
        }
        if depth >= DEPTH_MAX {
            let problem = SyntaxProblem::Deep(DEPTH_MAX);
            return Err(SyntaxError { line, problem });
        }
        let depth = depth.saturating_add(1);
        directive.body = Some(self.block(Some(Block { line, depth }))?);
        directive.comments.append(&mut self.comments);
        Ok(directive)
    }
}

const fn unexpected(line: u32, c: char) -> SyntaxError {
    SyntaxError {
        line,
        problem: SyntaxProblem::Unexpected(c),
    }
}

/// Blocks inside one another; each takes some stack.
const DEPTH_MAX: usize = 32;
/// Characters of a directive in the report.
const SHOWN_MAX: usize = 80;

#[cfg(test)]
#[path = "tree/tests.rs"]
mod tests;

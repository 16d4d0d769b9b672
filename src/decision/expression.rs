//! `when:` expressions: written in the Common Expression Language, checked and compiled when the
//! configuration is read, evaluated over the facts of a request.
//!
//! The grammar is the language's own. What an expression may say is a subset in which every type is known
//! before the first request: facts, comparisons, tests of texts and lists, the clock. Whatever cannot be
//! told at run time (an absent fact, an overflow, too many steps) makes the part of the expression that
//! depends on it unknown, and `authorization` fails closed on that. Regular expressions, time zones and
//! networks are literals, so that no request brings its own.

use std::fmt;
use std::sync::Arc;

use crate::decision::facts::Fact;
use crate::decision::facts::FactError;
use crate::decision::facts::Subject;
use crate::decision::facts::Value;

use compile::Compiler;
use evaluate::Run;
use tree::Kind;
use tree::Node;

mod calls;
mod compile;
mod evaluate;
mod syntax;
mod tree;

/// A compiled expression. Equal ones are written alike.
#[derive(Clone)]
pub struct Expression {
    written: Arc<str>,
    root: Arc<Node>,
    facts: Arc<[Fact]>,
}

/// What is wrong with an expression, and where in it: line and column count from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionFault {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
    /// What is wrong there.
    pub problem: ExpressionProblem,
}

/// What can be wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionProblem {
    /// A call with other arguments than it takes.
    #[error("`{0}` is written {1}")]
    Arguments(&'static str, &'static str),
    /// A name that is no fact.
    #[error("{0}")]
    Fact(#[source] FactError),
    /// A function that does not exist.
    #[error("there is no function `{0}`")]
    Function(String),
    /// `has` of something that is always there, or is no fact.
    #[error("`has` asks for a fact that may be absent, such as `has(user.email)`")]
    Has,
    /// The wrong kind of value.
    #[error("`{place}` takes {wanted}, and this is {found}")]
    Kind {
        /// What takes it.
        place: String,
        /// What it takes.
        wanted: &'static str,
        /// What it is given.
        found: &'static str,
    },
    /// A literal that is not what it has to be.
    #[error("`{text}` is not {what}")]
    Literal {
        /// What was written.
        text: String,
        /// What it has to be.
        what: &'static str,
    },
    /// Something that has to be written out, because it is compiled when the configuration is read.
    #[error("`{0}` takes a text in quotes here")]
    NotLiteral(&'static str),
    /// Two values that cannot be compared or added.
    #[error("`{place}` cannot be applied to {left} and {right}")]
    Operands {
        /// The operator.
        place: &'static str,
        /// What stands left of it.
        left: &'static str,
        /// What stands right of it.
        right: &'static str,
    },
    /// A regular expression that is none.
    #[error("`{text}` is not a regular expression: {reason}")]
    Pattern {
        /// What was written.
        text: String,
        /// Why it is none.
        reason: String,
    },
    /// The whole is neither true nor false.
    #[error("the expression is {0}; it has to be true or false")]
    Result(&'static str),
    /// The grammar of the language is broken.
    #[error("{0}")]
    Syntax(String),
    /// More than is evaluated within a request.
    #[error(
        "an expression has at most {BYTES_MAX} bytes and {NODES_MAX} parts, {DEPTH_MAX} inside one another"
    )]
    TooLarge,
    /// A part of the language that has no place in a condition.
    #[error("{0} cannot be used here")]
    Unsupported(&'static str),
}

impl Expression {
    /// Compiles an expression. The parser descends into every bracket and along every chain of operators:
    /// whoever compiles what others wrote gives it [`STACK_BYTES`].
    ///
    /// # Errors
    /// The first fault of it.
    pub fn compile(text: &str) -> Result<Self, ExpressionFault> {
        let at_start = |problem| ExpressionFault {
            line: 1,
            column: 1,
            problem,
        };
        if text.len() > BYTES_MAX {
            return Err(at_start(ExpressionProblem::TooLarge));
        }
        let ((root, kind), facts) = Compiler::parse(text)?;
        if kind != Kind::Flag {
            return Err(at_start(ExpressionProblem::Result(kind.words())));
        }
        Ok(Self {
            written: Arc::from(text),
            root: Arc::new(root),
            facts: facts.into(),
        })
    }

    /// Whether the expression holds; `None` when that cannot be told.
    #[must_use]
    pub fn evaluate(&self, subject: &Subject<'_>) -> Option<bool> {
        match Run::new(subject, STEPS_MAX).value(&self.root)? {
            Value::Flag(holds) => Some(holds),
            Value::Moment(_)
            | Value::Number(_)
            | Value::Span(_)
            | Value::Text(_)
            | Value::Texts(_) => None,
        }
    }

    /// The facts that it reads.
    #[must_use]
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl Eq for Expression {}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.written).finish()
    }
}

/// The functions that an expression may call.
#[must_use]
pub const fn function_names() -> &'static [&'static str] {
    calls::FUNCTIONS
}

/// Longest expression, in bytes.
pub const BYTES_MAX: usize = 4096;
/// Most parts of an expression.
pub const NODES_MAX: usize = 512;
/// Most parts that are inside one another.
pub const DEPTH_MAX: usize = 48;
/// The stack that compiling the deepest text of that length takes, several times over.
pub const STACK_BYTES: usize = 128 << 20;
/// Most steps of an evaluation: a walk through ten thousand groups fits.
const STEPS_MAX: u32 = 100_000;

#[cfg(test)]
mod tests;

//! What the parser of expressions complains of, in words for those who write conditions.
//!
//! What is wrong beyond the grammar is `compile`'s to say.

use cel::ParseErrors;

use crate::decision::expression::ExpressionFault;
use crate::decision::expression::ExpressionProblem;

/// The first fault that the parser found, in words.
pub(super) fn syntax_fault(errors: &ParseErrors) -> ExpressionFault {
    let first = errors.errors.first();
    let (line, column) = first.map_or((1, 1), |error| error.pos);
    let message = first.map_or("this is no expression", |error| error.msg.as_str());
    let count = |place: isize| usize::try_from(place).unwrap_or(1).max(1);
    ExpressionFault {
        line: count(line),
        column: count(column),
        problem: ExpressionProblem::Syntax(brief(message)),
    }
}

/// What the parser says, without its list of everything that might have stood there.
fn brief(message: &str) -> String {
    let message = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if let Some(odd) = message.strip_prefix(ODD_CHARACTERS) {
        return match odd.chars().next() {
            Some('=') => "`=` compares nothing; it is written `==`".to_owned(),
            Some('&') => "`&` joins nothing; it is written `&&`".to_owned(),
            Some('|') => "`|` joins nothing; it is written `||`".to_owned(),
            Some('"' | '\'') => "a text has no quote at its end".to_owned(),
            Some(odd) => format!("`{odd}` cannot stand here"),
            None => "the expression ends too early".to_owned(),
        };
    }
    let cut = message.split_once(" expecting ");
    cut.map_or(message, |(before, _)| before).to_owned()
}

/// How the parser begins to tell of characters that begin nothing.
const ODD_CHARACTERS: &str = "token recognition error at: '";

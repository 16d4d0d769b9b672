//! What there is to say about a configuration: faults, for which it is refused, and warnings, for which
//! it is not. Each has its place in its file.
//!
//! What can be wrong is `problem`, what looks wrong `advice`; how it looks is `show`. Private keys and
//! passwords are never shown, whatever stands on the line (`hide`).

use std::collections::BTreeMap;
use std::fmt;

use crate::config::diagnostic::hide::shown_lines;
use crate::config::diagnostic::show::Kind;
use crate::config::diagnostic::show::Message;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::raw::Position;
use crate::config::texts::Texts;
use crate::config::userinfo;

mod hide;
mod show;

/// One thing that is wrong.
#[derive(Debug)]
pub struct Fault {
    /// Where; absent when the file itself cannot be read.
    pub at: Option<Position>,
    /// The keys and list indices that lead there, such as `listeners[0].bind`; empty at the top.
    pub path: String,
    /// What is wrong.
    pub problem: Problem,
}

/// One thing that is wrong, as it is said.
#[derive(Clone, Debug)]
pub struct Reported<'f> {
    /// The file.
    pub file: &'f str,
    /// Where in it.
    pub at: Option<Position>,
    /// The keys and list indices that lead there.
    pub path: &'f str,
    /// What is wrong.
    pub message: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

/// Everything that is wrong with a configuration, at least one fault, in the order of the file.
#[derive(Debug)]
pub struct Faults(Box<Report>);

#[derive(Debug)]
struct Report {
    texts: Texts,
    first: Fault,
    rest: Vec<Fault>,
}

/// One thing that is allowed and yet looks like a mistake.
#[derive(Debug)]
pub struct Warning {
    /// Where.
    pub at: Position,
    /// The keys and list indices that lead there.
    pub path: String,
    /// What looks like a mistake.
    pub advice: Advice,
}

/// The warnings about a configuration, most often none, in the order of the file.
#[derive(Debug, Default)]
pub struct Warnings {
    all: Vec<Placed>,
}

/// A warning with its file and its line, without secrets: a configuration keeps no text that holds them.
#[derive(Debug)]
struct Placed {
    warning: Warning,
    file: String,
    at: Position,
    line: Option<String>,
}

/// Whether messages are shown in colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// With ANSI escapes, for a terminal.
    Ansi,
    /// Plain text.
    Plain,
}

impl Faults {
    /// Sorts the faults of a configuration; without a fault there is nothing to report.
    #[must_use]
    pub fn collect(texts: &Texts, mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by_key(|fault| fault.at.map(|at| (at.line, at.column)));
        let mut faults = faults.into_iter();
        let first = faults.next()?;
        let rest = faults.collect();
        Some(Self(Box::new(Report {
            texts: texts.clone(),
            first,
            rest,
        })))
    }

    /// Reports a single fault.
    #[must_use]
    pub fn one(file: &str, text: &str, fault: Fault) -> Self {
        Self(Box::new(Report {
            texts: Texts::of(file, text),
            first: fault,
            rest: Vec::new(),
        }))
    }

    /// The faults, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        std::iter::once(&self.0.first).chain(&self.0.rest)
    }

    /// How many faults there are, at least one.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.rest.len().saturating_add(1)
    }

    /// Every fault as it is said, in its parts.
    pub fn reports(&self) -> impl Iterator<Item = Reported<'_>> {
        let texts = &self.0.texts;
        self.iter().map(|fault| Reported {
            file: match fault.at {
                Some(at) => texts.line(at.line).file,
                None => texts.name(),
            },
            at: fault.at.map(|at| local(texts, at)),
            path: &fault.path,
            message: without_userinfo(&fault.problem),
            hint: hint(texts, fault),
        })
    }

    /// Shows every fault, with an empty line between them.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        let mut lines = ShownLines::default();
        let shown = self.iter().zip(self.reports()).map(|(fault, report)| {
            let line = fault.at.and_then(|at| lines.at(&self.0.texts, at));
            let message = Message {
                kind: Kind::Error,
                text: report.message,
                hint: report.hint,
                file: report.file,
                at: report.at,
                path: report.path,
                line: line.as_deref(),
            };
            message.show(colour)
        });
        shown.collect::<Vec<_>>().join("\n")
    }
}

/// What is said, which may repeat what is written.
fn without_userinfo(said: &impl ToString) -> String {
    userinfo::replaced(&said.to_string(), HIDDEN).into_owned()
}

/// A place as its own file numbers it.
fn local(texts: &Texts, at: Position) -> Position {
    Position {
        line: texts.line(at.line).number,
        ..at
    }
}

/// What can be done about a fault. Where it speaks of another place, that may be in another file.
fn hint(texts: &Texts, fault: &Fault) -> Option<String> {
    let (Problem::Duplicate { first, .. } | Problem::DuplicateKey { first, .. }) = &fault.problem
    else {
        return fault.problem.hint();
    };
    let other = texts.line(*first);
    let here = fault.at.map(|at| texts.line(at.line).file);
    Some(if here == Some(other.file) {
        format!("the first is on line {}", other.number)
    } else {
        format!("the first is in {} on line {}", other.file, other.number)
    })
}

/// The lines of files as they may be shown, each file looked through once.
#[derive(Default)]
struct ShownLines(BTreeMap<String, Vec<String>>);

impl ShownLines {
    fn at(&mut self, texts: &Texts, at: Position) -> Option<String> {
        let line = texts.line(at.line);
        let shown = self.0.entry(line.file.to_owned());
        let shown = shown.or_insert_with(|| shown_lines(line.text));
        shown.get(line.number.saturating_sub(1)).cloned()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Colour::Plain).trim_end())
    }
}

impl std::error::Error for Faults {}

impl Warnings {
    /// Sorts the warnings about a configuration.
    #[must_use]
    pub fn collect(texts: &Texts, mut warnings: Vec<Warning>) -> Self {
        warnings.sort_by_key(|warning| (warning.at.line, warning.at.column));
        let mut lines = ShownLines::default();
        let placed = warnings.into_iter().map(|warning| Placed {
            file: texts.line(warning.at.line).file.to_owned(),
            at: local(texts, warning.at),
            line: lines.at(texts, warning.at),
            warning,
        });
        Self {
            all: placed.collect(),
        }
    }

    /// The warnings, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Warning> {
        self.all.iter().map(|placed| &placed.warning)
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.all.len()
    }

    /// Shows every warning, with an empty line between them.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        let shown = self.messages().map(|message| message.show(colour));
        shown.collect::<Vec<_>>().join("\n")
    }

    /// Every warning in one line, for a log.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.messages().map(|message| message.line_of_log())
    }

    fn messages(&self) -> impl Iterator<Item = Message<'_>> {
        self.all.iter().map(|placed| Message {
            kind: Kind::Warning,
            text: without_userinfo(&placed.warning.advice),
            hint: placed.warning.advice.hint(),
            file: &placed.file,
            at: Some(placed.at),
            path: &placed.warning.path,
            line: placed.line.as_deref(),
        })
    }
}

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Colour::Plain).trim_end())
    }
}

const HIDDEN: &str = "(user and password)";

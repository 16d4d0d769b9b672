//! What there is to say about a configuration: faults, for which it is refused, and warnings, for which
//! it is not. Each has its place in the file.
//!
//! What can be wrong is `problem`, what looks wrong `advice`; how it looks is `show`. Private keys and
//! passwords are never shown, whatever stands on the line (`hide`).

use std::fmt;

use crate::config::diagnostic::hide::shown_lines;
use crate::config::diagnostic::show::Kind;
use crate::config::diagnostic::show::Message;
use crate::config::problem::Problem;
use crate::config::problem::advice::Advice;
use crate::config::raw::Position;

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
    file: String,
    text: String,
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
    file: String,
    /// With the line of each, without secrets: a configuration keeps no text that holds them.
    all: Vec<(Warning, Option<String>)>,
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
    /// Sorts the faults of a file; without a fault there is nothing to report.
    #[must_use]
    pub fn collect(file: &str, text: &str, mut faults: Vec<Fault>) -> Option<Self> {
        faults.sort_by_key(|fault| fault.at.map(|at| (at.line, at.column)));
        let mut faults = faults.into_iter();
        let first = faults.next()?;
        let rest = faults.collect();
        Some(Self(Box::new(Report {
            file: file.to_owned(),
            text: text.to_owned(),
            first,
            rest,
        })))
    }

    /// Reports a single fault.
    #[must_use]
    pub fn one(file: &str, text: &str, fault: Fault) -> Self {
        let (file, text) = (file.to_owned(), text.to_owned());
        Self(Box::new(Report {
            file,
            text,
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
        self.iter().map(|fault| Reported {
            file: &self.0.file,
            at: fault.at,
            path: &fault.path,
            message: fault.problem.to_string(),
            hint: fault.problem.hint(),
        })
    }

    /// Shows every fault, with an empty line between them.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        let lines = shown_lines(&self.0.text);
        let line = |at: Position| lines.get(at.line.saturating_sub(1)).map(String::as_str);
        let shown = self.iter().map(|fault| {
            let message = Message {
                kind: Kind::Error,
                text: fault.problem.to_string(),
                hint: fault.problem.hint(),
                file: &self.0.file,
                at: fault.at,
                path: &fault.path,
                line: fault.at.and_then(line),
            };
            message.show(colour)
        });
        shown.collect::<Vec<_>>().join("\n")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Colour::Plain).trim_end())
    }
}

impl std::error::Error for Faults {}

impl Warnings {
    /// Sorts the warnings about a file.
    #[must_use]
    pub fn collect(file: &str, text: &str, mut warnings: Vec<Warning>) -> Self {
        if warnings.is_empty() {
            return Self::default();
        }
        warnings.sort_by_key(|warning| (warning.at.line, warning.at.column));
        let lines = shown_lines(text);
        let line = |warning: &Warning| lines.get(warning.at.line.saturating_sub(1)).cloned();
        Self {
            file: file.to_owned(),
            all: warnings
                .into_iter()
                .map(|warning| {
                    let line = line(&warning);
                    (warning, line)
                })
                .collect(),
        }
    }

    /// The warnings, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Warning> {
        self.all.iter().map(|(warning, _)| warning)
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
        self.all.iter().map(|(warning, line)| Message {
            kind: Kind::Warning,
            text: warning.advice.to_string(),
            hint: warning.advice.hint(),
            file: &self.file,
            at: Some(warning.at),
            path: &warning.path,
            line: line.as_deref(),
        })
    }
}

impl fmt::Display for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Colour::Plain).trim_end())
    }
}

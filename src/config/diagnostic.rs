//! The faults of a configuration and how they are shown: file, line, column, the line itself with a
//! caret, the path of keys, and a hint.
//!
//! What can be wrong is `problem`; here it only gets a place and a shape. Private keys are never
//! shown, whatever stands on the line.

use std::fmt;
use std::fmt::Write;

use crate::config::problem::Problem;
use crate::config::raw::Position;

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

/// Whether faults are shown in colour.
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

    /// Shows every fault, with an empty line between them.
    #[must_use]
    pub fn render(&self, colour: Colour) -> String {
        let lines = shown_lines(&self.0.text);
        let paint = Paint::of(colour);
        let shown: Vec<String> = self
            .iter()
            .map(|fault| show(fault, &self.0.file, &lines, &paint))
            .collect();
        shown.join("\n")
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Colour::Plain).trim_end())
    }
}

impl std::error::Error for Faults {}

struct Paint {
    error: &'static str,
    frame: &'static str,
    hint: &'static str,
    off: &'static str,
}

impl Paint {
    const fn of(colour: Colour) -> Self {
        match colour {
            Colour::Ansi => Self {
                error: "\x1b[1;31m",
                frame: "\x1b[34m",
                hint: "\x1b[1;36m",
                off: "\x1b[0m",
            },
            Colour::Plain => Self {
                error: "",
                frame: "",
                hint: "",
                off: "",
            },
        }
    }
}

fn show(fault: &Fault, file: &str, lines: &[String], paint: &Paint) -> String {
    let Paint {
        error,
        frame,
        hint,
        off,
    } = paint;
    let mut out = format!(
        "{error}error{off}: {}\n",
        printable(&fault.problem.to_string())
    );
    let Some(at) = fault.at else {
        push_line(&mut out, format_args!("  {frame}-->{off} {file}"));
        push_hint(&mut out, fault, "", hint, off);
        return out;
    };
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    let path = if fault.path.is_empty() {
        String::new()
    } else {
        format!("  {}", fault.path)
    };
    let place = format!("{file}:{number}:{}{}", at.column, printable(&path));
    push_line(&mut out, format_args!("{margin}{frame}-->{off} {place}"));
    if let Some(line) = lines.get(at.line.saturating_sub(1)) {
        push_line(&mut out, format_args!("{margin} {frame}|{off}"));
        push_line(
            &mut out,
            format_args!("{frame}{number} |{off} {}", printable(line)),
        );
        let caret = caret(line, at);
        push_line(
            &mut out,
            format_args!("{margin} {frame}|{off} {error}{caret}{off}"),
        );
    }
    push_hint(&mut out, fault, &format!("{margin} "), hint, off);
    out
}

fn push_hint(out: &mut String, fault: &Fault, margin: &str, hint: &str, off: &str) {
    if let Some(text) = fault.problem.hint() {
        push_line(
            out,
            format_args!("{margin}{hint}= hint{off}: {}", printable(&text)),
        );
    }
}

fn push_line(out: &mut String, line: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(out, "{line}");
}

/// Carets under the meant characters; tabs stay tabs so that they stand below the right ones.
fn caret(line: &str, at: Position) -> String {
    let before = at.column.saturating_sub(1);
    let indent = line.chars().map(|c| if c == '\t' { '\t' } else { ' ' });
    let indent: String = indent.chain(std::iter::repeat(' ')).take(before).collect();
    let left = line.chars().count().saturating_sub(before).max(1);
    format!("{indent}{}", "^".repeat(at.width.clamp(1, left)))
}

/// Replaces what would move a terminal's cursor or hide text.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// The lines of the file, without private keys: neither what stands in or below a key `key`, nor PEM
/// blocks anywhere, since a syntax fault may point into the middle of one.
fn shown_lines(text: &str) -> Vec<String> {
    let mut inside_pem = false;
    let mut below: Option<usize> = None;
    text.lines()
        .map(|line| {
            let indent = line.chars().take_while(|c| c.is_whitespace()).count();
            below = below.filter(|column| indent > *column || line.trim().is_empty());
            inside_pem |= line.contains("-----BEGIN") && line.contains("PRIVATE KEY");
            let hidden = inside_pem || below.is_some();
            inside_pem &= !line.contains("-----END");
            if hidden {
                return hide_line(line);
            }
            let Some(key) = inline_key(line) else {
                return line.to_owned();
            };
            below = Some(key.column);
            let opens_below = key.value.is_empty() || key.value.starts_with(['|', '>']);
            if opens_below {
                line.to_owned()
            } else {
                format!("{} {HIDDEN}", key.head)
            }
        })
        .collect()
}

fn hide_line(line: &str) -> String {
    let indent: String = line.chars().take_while(|c| c.is_whitespace()).collect();
    format!("{indent}{HIDDEN}")
}

/// A key `key` on a line.
struct InlineKey<'l> {
    column: usize,
    head: &'l str,
    value: &'l str,
}

fn inline_key(line: &str) -> Option<InlineKey<'_>> {
    line.match_indices("key").find_map(|(start, word)| {
        let (before, rest) = line.split_at_checked(start)?;
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '-') {
            return None;
        }
        let behind = rest.strip_prefix(word)?.trim_start_matches(['"', '\'']);
        let value = behind.trim_start().strip_prefix(':')?;
        let head = line.strip_suffix(value)?;
        Some(InlineKey {
            column: before.chars().count(),
            head,
            value: value.trim(),
        })
    })
}

const HIDDEN: &str = "(private key)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_never_shown() {
        for text in [
            "key: \"secret\"",
            "- { my_key: a, key: secret }",
            "- \"key\" : secret",
            "tls:\n  key: |\n    secret\n\n    secret\n",
            "tls:\n  key:\n    secret\n",
            "tls:\n  key: >-\n    -----BEGIN PRIVATE KEY-----\n    secret\n",
            "-----BEGIN EC PRIVATE KEY-----\nsecret\n-----END EC PRIVATE KEY-----",
        ] {
            let shown = shown_lines(text).join("\n");
            assert!(!shown.contains("secret"), "{shown}");
        }
    }

    #[test]
    fn what_stands_beside_a_private_key_is_shown() {
        let text = "- key: |\n    secret\n  key_file: b\n  certificate: c\n";
        assert_eq!(
            shown_lines(text),
            [
                "- key: |",
                "    (private key)",
                "  key_file: b",
                "  certificate: c"
            ]
        );
    }

    #[test]
    fn a_caret_stands_below_its_characters() {
        let at = Position {
            line: 1,
            column: 3,
            width: 99,
        };
        assert_eq!(caret("\tab c", at), "\t ^^^");
        assert_eq!(caret("", at), "  ^");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\tc"), "a\u{fffd}[2Jb\tc");
    }
}

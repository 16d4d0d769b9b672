//! How one message about a place of the file looks: the sentence, the place, the line with a caret,
//! the hint.
//!
//! What it says, and which secrets the line must not show, is decided elsewhere.

use std::fmt;
use std::fmt::Write;

use crate::config::diagnostic::Colour;
use crate::config::raw::Position;

/// What is to be shown.
pub(super) struct Message<'m> {
    /// Whether it is wrong or only looks so.
    pub(super) kind: Kind,
    /// The sentence.
    pub(super) text: String,
    /// What can be done about it.
    pub(super) hint: Option<String>,
    /// The name of the file.
    pub(super) file: &'m str,
    /// Where; absent when it is about the whole file.
    pub(super) at: Option<Position>,
    /// The keys that lead there.
    pub(super) path: &'m str,
    /// The line, without secrets.
    pub(super) line: Option<&'m str>,
}

/// Whether a configuration is refused for it.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// It is.
    Error,
    /// It is not.
    Warning,
}

impl Message<'_> {
    /// The message in several lines, the last one ended.
    pub(super) fn show(&self, colour: Colour) -> String {
        let paint = Paint::of(colour);
        let Paint { frame, off, .. } = paint;
        let (word, tone) = match self.kind {
            Kind::Error => ("error", paint.error),
            Kind::Warning => ("warning", paint.warning),
        };
        let mut out = format!("{tone}{word}{off}: {}\n", printable(&self.text));
        let Some(at) = self.at else {
            push_line(&mut out, format_args!("  {frame}-->{off} {}", self.file));
            self.push_hint(&mut out, "", &paint);
            return out;
        };
        let number = at.line.to_string();
        let margin = " ".repeat(number.len());
        let place = self.place(at);
        push_line(&mut out, format_args!("{margin}{frame}-->{off} {place}"));
        if let Some(line) = self.line {
            push_line(&mut out, format_args!("{margin} {frame}|{off}"));
            let shown = printable(line);
            push_line(&mut out, format_args!("{frame}{number} |{off} {shown}"));
            let caret = caret(line, at);
            push_line(
                &mut out,
                format_args!("{margin} {frame}|{off} {tone}{caret}{off}"),
            );
        }
        self.push_hint(&mut out, &format!("{margin} "), &paint);
        out
    }

    /// The message in one line, for a log.
    pub(super) fn line_of_log(&self) -> String {
        let place = self
            .at
            .map_or_else(|| self.file.to_owned(), |at| self.place(at));
        let hint = self
            .hint
            .as_ref()
            .map_or_else(String::new, |hint| format!(" ({hint})"));
        printable(&format!("{place}: {}{hint}", self.text))
    }

    fn place(&self, at: Position) -> String {
        let gap = if self.path.is_empty() { "" } else { "  " };
        let path = printable(self.path);
        format!("{}:{}:{}{gap}{path}", self.file, at.line, at.column)
    }

    fn push_hint(&self, out: &mut String, margin: &str, paint: &Paint) {
        let Paint { hint, off, .. } = paint;
        if let Some(text) = &self.hint {
            push_line(
                out,
                format_args!("{margin}{hint}= hint{off}: {}", printable(text)),
            );
        }
    }
}

struct Paint {
    error: &'static str,
    warning: &'static str,
    frame: &'static str,
    hint: &'static str,
    off: &'static str,
}

impl Paint {
    const fn of(colour: Colour) -> Self {
        match colour {
            Colour::Ansi => Self {
                error: "\x1b[1;31m",
                warning: "\x1b[1;33m",
                frame: "\x1b[34m",
                hint: "\x1b[1;36m",
                off: "\x1b[0m",
            },
            Colour::Plain => Self {
                error: "",
                warning: "",
                frame: "",
                hint: "",
                off: "",
            },
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_message_for_the_log_is_one_line() {
        let message = Message {
            kind: Kind::Warning,
            text: "this is\nodd".to_owned(),
            hint: Some("leave it out".to_owned()),
            file: "gateway.yaml",
            at: Some(Position::START),
            path: "mdc",
            line: None,
        };
        assert_eq!(
            message.line_of_log(),
            "gateway.yaml:1:1  mdc: this is\u{fffd}odd (leave it out)"
        );
    }
}

//! The loss report: what became of each directive, and why.

use std::fmt::Write;

use serde::Serialize;

/// What became of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// What it does is done.
    Kept,
    /// What it does is done in another way, or nearly.
    Changed,
    /// What it does, or a part of it, is not done.
    Dropped,
}

/// A line of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The file it stands in.
    pub file: String,
    /// The line it begins on, from 1.
    pub line: u32,
    /// The directive as it was read, shortened.
    pub directive: String,
    /// What became of it.
    pub verdict: Verdict,
    /// What stands for it, or why nothing does.
    pub why: String,
}

/// What became of all of them, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The lines.
    pub directives: Vec<Entry>,
}

impl Report {
    /// How many lines say this.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let lines = self.directives.iter();
        lines.filter(|entry| entry.verdict == verdict).count()
    }

    /// The report as text: a line for each directive, and a summary.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for entry in &self.directives {
            let Entry {
                file,
                line,
                directive,
                verdict,
                why,
            } = entry;
            let verdict = verdict.word();
            let _infallible = writeln!(text, "{file}:{line}: {verdict:<7} {directive}: {why}");
        }
        let _infallible = writeln!(
            text,
            "{} kept, {} changed, {} dropped",
            self.count(Verdict::Kept),
            self.count(Verdict::Changed),
            self.count(Verdict::Dropped)
        );
        text
    }
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Changed => "changed",
            Self::Dropped => "dropped",
        }
    }
}

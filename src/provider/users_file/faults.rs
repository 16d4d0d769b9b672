//! The faults of a users file, each with its place, and how they are shown.

use std::fmt;
use std::path::Path;

use crate::provider::users_file::document::Problem;

/// One thing that is wrong in a users file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: u64,
    /// The column, counted from 1.
    pub column: u64,
    /// What is wrong there.
    pub problem: Problem,
}

/// Shows each fault on a line of its own, the way compilers do.
pub(super) struct Listed<'a>(pub(super) &'a Path, pub(super) &'a [Fault]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (
            index,
            Fault {
                line,
                column,
                problem,
            },
        ) in self.1.iter().enumerate()
        {
            let separator = if index == 0 { "" } else { "\n" };
            write!(
                f,
                "{separator}{}:{line}:{column}: {problem}",
                self.0.display()
            )?;
        }
        Ok(())
    }
}

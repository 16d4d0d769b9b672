//! What can be wrong about the files that a configuration includes, before it is looked at what stands in them.

use crate::config::parse::INCLUDABLE;
use crate::config::problem::words;

/// What is wrong about an included file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IncludeProblem {
    /// A file that is part of what it includes.
    #[error("the file `{0}` includes itself")]
    Cycle(String),
    /// A pattern of files that is none.
    #[error("`{0}` is not a pattern of files")]
    Pattern(String),
    /// A section that an included file cannot have.
    #[error("`{0}` cannot stand in an included file")]
    Section(String),
    /// Files are included too deeply, or too many of them.
    #[error("too many files are included")]
    TooMany,
}

impl IncludeProblem {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let fixed = match self {
            Self::Cycle(_) => "leave it out: every file is read once",
            Self::Pattern(_) => {
                "`*`, `?` and `[…]` may stand in the name of the file, not of its folders"
            }
            Self::Section(_) => {
                return format!(
                    "put it into the configuration file; an included file may have {}",
                    words(INCLUDABLE)
                );
            }
            Self::TooMany => "put several into one file",
        };
        fixed.to_owned()
    }
}

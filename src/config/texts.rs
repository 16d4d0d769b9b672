//! The texts of a configuration: the file itself, and the files that it includes.
//!
//! Their lines are numbered through: those of an included file go on where another's end, so that a place is
//! one number wherever it stands. Which file and line that is, is told here and nowhere else.

/// The texts of a configuration, in the order in which they were read.
#[derive(Clone, Debug)]
pub struct Texts {
    main: Text,
    included: Vec<Text>,
}

#[derive(Clone, Debug)]
struct Text {
    name: String,
    text: String,
    /// How many lines are numbered before its own.
    before: usize,
}

/// A line of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'t> {
    /// The name of the file.
    pub file: &'t str,
    /// Its text.
    pub text: &'t str,
    /// The line in it, from 1.
    pub number: usize,
}

impl Texts {
    /// Begins with the configuration file.
    #[must_use]
    pub fn of(name: &str, text: &str) -> Self {
        Self {
            main: Text {
                name: name.to_owned(),
                text: text.to_owned(),
                before: 0,
            },
            included: Vec::new(),
        }
    }

    /// The name of the configuration file.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.main.name
    }

    /// Adds an included file, and answers how many lines are numbered before its own.
    pub fn include(&mut self, name: String, text: String) -> usize {
        let last = self.included.last().unwrap_or(&self.main);
        // A fault at the end of a file may stand behind its last line.
        let before = last.before + last.text.matches('\n').count() + 2;
        self.included.push(Text { name, text, before });
        before
    }

    /// Which line of which file a number means.
    #[must_use]
    pub fn line(&self, number: usize) -> Line<'_> {
        let text = self.text(number);
        Line {
            file: &text.name,
            text: &text.text,
            number: number.saturating_sub(text.before),
        }
    }

    /// A mark that is the same for all lines of one file, and another for each file.
    #[must_use]
    pub fn file_of(&self, number: usize) -> usize {
        self.text(number).before
    }

    fn text(&self, number: usize) -> &Text {
        let mut from_the_end = self.included.iter().rev();
        let found = from_the_end.find(|text| number > text.before);
        found.unwrap_or(&self.main)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_leads_to_a_line_of_one_file() {
        let mut texts = Texts::of("a", "1\n2\n");
        let b = texts.include("b".to_owned(), "1".to_owned());
        let c = texts.include("c".to_owned(), String::new());
        let at = |number| {
            let line = texts.line(number);
            (line.file, line.number)
        };
        assert_eq!(at(1), ("a", 1));
        assert_eq!(at(3), ("a", 3));
        assert_eq!(at(b + 1), ("b", 1));
        assert_eq!(at(b + 2), ("b", 2));
        assert_eq!(at(c + 1), ("c", 1));
        assert_ne!(texts.file_of(b + 1), texts.file_of(c + 1));
    }
}

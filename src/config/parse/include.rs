//! `include`: other files whose sections become part of the configuration, before any of it is read.
//!
//! Lists grow, maps get further entries; nothing that stands in one file can be changed by another. Paths in
//! every file start from the folder of the configuration file.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use globset::GlobBuilder;
use globset::GlobMatcher;

use crate::config::diagnostic::Fault;
use crate::config::diagnostic::Warning;
use crate::config::parse::FILE_BYTES_MAX;
use crate::config::parse::Surroundings;
use crate::config::parse::expand::expand;
use crate::config::parse::of_misread;
use crate::config::parse::reading::wrong_type;
use crate::config::problem::Problem;
use crate::config::problem::ReadFileError;
use crate::config::problem::advice::Advice;
use crate::config::problem::include::IncludeProblem;
use crate::config::raw::Content;
use crate::config::raw::Entry;
use crate::config::raw::Node;
use crate::config::raw::Position;
use crate::config::raw::ReadTreeError;
use crate::config::raw::read_tree;
use crate::config::raw::read_tree_after;
use crate::config::texts::Texts;

/// Reads the tree of a configuration, with the files that it includes put in, and what is doubtful about them.
/// `texts` has the configuration file, and gets the others.
///
/// # Errors
/// Every fault of including; what the sections mean has not been looked at then.
pub(super) fn whole(
    text: &str,
    texts: &mut Texts,
    surroundings: &Surroundings<'_>,
) -> Result<(Node, Vec<Warning>), Vec<Fault>> {
    let mut root = read_tree(text).map_err(|misread| vec![of_misread(misread)])?;
    let Content::Map(entries) = &mut root.content else {
        return Ok((root, Vec::new()));
    };
    let mut including = Including {
        surroundings,
        seen: BTreeMap::from([(PathBuf::from(texts.name()), 1)]),
        open: vec![PathBuf::from(texts.name())],
        texts,
        whole: std::mem::take(entries),
        faults: Vec::new(),
        warnings: Vec::new(),
    };
    let includes = including.whole.iter().filter(|entry| entry.key == INCLUDE);
    for entry in includes.cloned().collect::<Vec<_>>() {
        including.follow(&entry);
    }
    *entries = including.whole;
    if including.faults.is_empty() {
        Ok((root, including.warnings))
    } else {
        Err(including.faults)
    }
}

struct Including<'a> {
    surroundings: &'a Surroundings<'a>,
    texts: &'a mut Texts,
    /// The files so far, each with the line that names it.
    seen: BTreeMap<PathBuf, usize>,
    /// The files that are being read, each included by the one before.
    open: Vec<PathBuf>,
    /// The entries of the configuration so far.
    whole: Vec<Entry>,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

/// A place that names files: what faults about them point at.
struct Named<'n> {
    at: Position,
    path: String,
    text: &'n str,
}

impl Including<'_> {
    /// Puts in the files that an entry names.
    fn follow(&mut self, entry: &Entry) {
        match &entry.value.content {
            Content::Text(_) => self.follow_one(&entry.value, INCLUDE.to_owned()),
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.follow_one(item, format!("{INCLUDE}[{index}]"));
                }
            }
            Content::Map(_) => {
                let problem = wrong_type(&entry.value.content, "a file or a list of files");
                self.fault(entry.value.at, INCLUDE, problem);
            }
            Content::Null => self.fault(entry.at, INCLUDE, Problem::NoValue),
        }
    }

    fn follow_one(&mut self, node: &Node, path: String) {
        let Content::Text(written) = &node.content else {
            let problem = wrong_type(&node.content, "a single value");
            return self.fault(node.at, &path, problem);
        };
        let text = match expand(written, self.surroundings.variable) {
            Ok(text) => text,
            Err(error) => return self.fault(node.at, &path, Problem::Expand(error)),
        };
        let named = Named {
            at: node.at,
            path,
            text: &text,
        };
        match self.files(&named) {
            Ok(files) => files.iter().for_each(|file| self.put_in(file, &named)),
            Err(problem) => self.fault(named.at, &named.path, problem),
        }
    }

    /// The files that a text means: one, those of a folder, or those that a pattern fits.
    fn files(&mut self, named: &Named<'_>) -> Result<Vec<PathBuf>, Problem> {
        let last = named.text.rsplit('/').next().unwrap_or_default();
        let folder = named.text.strip_suffix(last).unwrap_or_default();
        let pattern = match last {
            _ if folder.contains(['*', '?']) => {
                return Err(not_a_pattern(named));
            }
            "" if !folder.is_empty() => EVERY,
            _ if last.contains(['*', '?', '[']) => last,
            _ => return Ok(vec![self.surroundings.folder.join(named.text)]),
        };
        let fits = matcher(pattern).ok_or_else(|| not_a_pattern(named))?;
        let folder = self.surroundings.folder.join(folder);
        let names = (self.surroundings.list)(&folder);
        let mut names = names.map_err(|error| Problem::File {
            path: folder.clone(),
            error,
        })?;
        // What is hidden belongs to an editor or to the system.
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        if last.is_empty() {
            self.doubt_left_out(&names, named);
        }
        names.retain(|name| fits.is_match(name));
        Ok(names.into_iter().map(|name| folder.join(name)).collect())
    }

    /// Warns of files of a folder that are likely meant, and whose ending is another one.
    fn doubt_left_out(&mut self, names: &[String], named: &Named<'_>) {
        let meant = names.iter().map(String::as_str);
        let meant = meant.filter(|name| OTHER_ENDINGS.iter().any(|ending| name.ends_with(ending)));
        let meant: Vec<&str> = meant.collect();
        let Some((first, others)) = meant.split_first() else {
            return;
        };
        self.warnings.push(Warning {
            at: named.at,
            path: named.path.clone(),
            advice: Advice::LeftOut {
                name: (*first).to_owned(),
                others: others.len(),
            },
        });
    }

    fn put_in(&mut self, file: &Path, named: &Named<'_>) {
        let shown = file.display().to_string();
        if self.open.iter().any(|open| open == file) {
            let problem = IncludeProblem::Cycle(shown);
            return self.fault(named.at, &named.path, Problem::Include(problem));
        }
        if let Some(first) = self.seen.get(file) {
            let problem = Problem::Duplicate {
                what: "file",
                text: shown,
                first: *first,
            };
            return self.fault(named.at, &named.path, problem);
        }
        if self.open.len() > DEPTH_MAX || self.seen.len() > FILES_MAX {
            let problem = IncludeProblem::TooMany;
            return self.fault(named.at, &named.path, Problem::Include(problem));
        }
        self.seen.insert(file.to_owned(), named.at.line);
        let text = (self.surroundings.read)(file, FILE_BYTES_MAX)
            .and_then(|bytes| String::from_utf8(bytes).map_err(|_| ReadFileError::NotText));
        match text {
            Ok(text) => {
                self.open.push(file.to_owned());
                self.read(shown, &text);
                self.open.pop();
            }
            Err(error) => {
                let path = file.to_owned();
                self.fault(named.at, &named.path, Problem::File { path, error });
            }
        }
    }

    fn read(&mut self, name: String, text: &str) {
        let before = self.texts.include(name, text.to_owned());
        let root = match read_tree_after(text, before) {
            Ok(root) => root,
            // A file whose lines are all commented out.
            Err(misread) if misread.error == ReadTreeError::Empty => return,
            Err(misread) => return self.faults.push(of_misread(misread)),
        };
        match root.content {
            Content::Map(entries) => entries.into_iter().for_each(|entry| self.take(entry)),
            Content::Null => {}
            Content::List(_) | Content::Text(_) => {
                let problem = wrong_type(&root.content, "a map of sections");
                self.fault(root.at, "", problem);
            }
        }
    }

    /// Takes over one section of an included file.
    fn take(&mut self, entry: Entry) {
        if entry.key == INCLUDE {
            return self.follow(&entry);
        }
        if !INCLUDABLE.contains(&entry.key.as_str()) {
            let problem = IncludeProblem::Section(entry.key.clone());
            return self.fault(entry.at, &entry.key, Problem::Include(problem));
        }
        let same = self.whole.iter_mut().find(|other| other.key == entry.key);
        let Some(same) = same else {
            return self.whole.push(entry);
        };
        match (&mut same.value.content, entry.value.content) {
            (Content::List(items), Content::List(more)) => items.extend(more),
            (Content::Map(entries), Content::Map(more)) => entries.extend(more),
            // What is wrong with the first of them is said when it is read.
            (Content::Null | Content::Text(_), _) => {}
            (Content::List(_) | Content::Map(_), Content::Null) => {
                self.fault(entry.at, &entry.key, Problem::NoValue);
            }
            (Content::List(_), other) => {
                let problem = wrong_type(&other, "a list");
                self.fault(entry.value.at, &entry.key, problem);
            }
            (Content::Map(_), other) => {
                let problem = wrong_type(&other, "a map");
                self.fault(entry.value.at, &entry.key, problem);
            }
        }
    }

    fn fault(&mut self, at: Position, path: &str, problem: Problem) {
        self.faults.push(Fault {
            at: Some(at),
            path: path.to_owned(),
            problem,
        });
    }
}

fn not_a_pattern(named: &Named<'_>) -> Problem {
    Problem::Include(IncludeProblem::Pattern(named.text.to_owned()))
}

fn matcher(pattern: &str) -> Option<GlobMatcher> {
    let glob = GlobBuilder::new(pattern).literal_separator(true).build();
    glob.ok().map(|glob| glob.compile_matcher())
}

/// The key that names other files.
pub(super) const INCLUDE: &str = "include";
/// The sections that may stand in an included file, in alphabetical order.
pub const INCLUDABLE: &[&str] = &["listeners", "policies", "pools", "virtual_hosts"];
/// Which files of a folder are meant.
const EVERY: &str = "*.yaml";
/// Endings that others give such files.
const OTHER_ENDINGS: &[&str] = &[".conf", ".yml"];
/// Files that include one another.
const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 1000;

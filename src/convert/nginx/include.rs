//! The file that is named and all that it includes → one tree, in which each directive has a number.
//!
//! What an `include` names is put behind it, and the `include` stays, so that the report has it.

use std::collections::VecDeque;
use std::io;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use globset::GlobBuilder;

use crate::convert::nginx::lex::SyntaxError;
use crate::convert::nginx::tree::Directive;
use crate::convert::nginx::tree::parse;

/// What a conversion may ask of the world.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The bytes of a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
    /// The names of what is in a folder.
    pub list: &'a dyn Fn(&Path) -> io::Result<Vec<String>>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").finish_non_exhaustive()
    }
}

/// Why nothing can be converted.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// More files, or files inside one another, than anybody means.
    #[error("{}: more than {FILES_MAX} files, or an `include` that includes itself", .0.display())]
    Many(PathBuf),
    /// A file is not what nginx reads.
    #[error("{}: {source}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: SyntaxError,
    },
}

/// A configuration as a whole.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) directives: Vec<Directive>,
    /// Comments at the end of the file.
    pub(super) comments: Vec<String>,
}

/// Reads a file and all that it includes; relative paths start from its folder, as nginx's do from that of its
/// main file.
pub(super) fn read(path: &Path, surroundings: Surroundings<'_>) -> Result<Tree, ReadError> {
    let mut reader = Reader {
        folder: path.parent().unwrap_or_else(|| Path::new("")),
        surroundings,
        files: 0,
        numbers: 0,
    };
    let bytes = (surroundings.read)(path).map_err(|source| ReadError::File {
        path: path.to_owned(),
        source,
    })?;
    let (directives, comments) = reader.file(path, &bytes)?;
    let directives = reader.whole(directives, 0)?;
    Ok(Tree {
        directives,
        comments,
    })
}

struct Reader<'a> {
    folder: &'a Path,
    surroundings: Surroundings<'a>,
    files: usize,
    numbers: usize,
}

impl Reader<'_> {
    fn file(
        &mut self,
        path: &Path,
        bytes: &[u8],
    ) -> Result<(Vec<Directive>, Vec<String>), ReadError> {
        self.files = self.files.saturating_add(1);
        if self.files > FILES_MAX {
            return Err(ReadError::Many(path.to_owned()));
        }
        let name: Arc<str> = Arc::from(path.display().to_string());
        parse(&String::from_utf8_lossy(bytes), &name).map_err(|source| ReadError::Syntax {
            path: path.to_owned(),
            source,
        })
    }

    /// The directives of a block with those that it includes, numbered.
    fn whole(
        &mut self,
        directives: Vec<Directive>,
        depth: usize,
    ) -> Result<Vec<Directive>, ReadError> {
        let mut whole = Vec::new();
        let mut open: VecDeque<Directive> = directives.into();
        while let Some(mut directive) = open.pop_front() {
            directive.id = self.numbers;
            self.numbers = self.numbers.saturating_add(1);
            if let Some(body) = directive.body.take() {
                let depth = depth.saturating_add(1);
                directive.body = Some(self.whole(body, depth)?);
            }
            let included = if directive.name == "include" && directive.body.is_none() {
                self.included(&mut directive)?
            } else {
                Vec::new()
            };
            whole.push(directive);
            for directive in included.into_iter().rev() {
                open.push_front(directive);
            }
        }
        Ok(whole)
    }

    /// What the files of an `include` hold. One that is not there is noted: it may be on another machine.
    fn included(&mut self, include: &mut Directive) -> Result<Vec<Directive>, ReadError> {
        let path = self.folder.join(include.first());
        let mut directives = Vec::new();
        let paths = match self.fitting(&path) {
            Ok(paths) => paths,
            Err(error) => {
                include.unread = Some(error.to_string());
                return Ok(directives);
            }
        };
        for path in paths {
            match (self.surroundings.read)(&path) {
                Ok(bytes) => {
                    let (inside, mut comments) = self.file(&path, &bytes)?;
                    directives.extend(inside);
                    include.comments.append(&mut comments);
                }
                Err(error) => include.unread = Some(error.to_string()),
            }
        }
        Ok(directives)
    }

    /// The files that a path with `*`, `?` or `[…]` in it stands for, in the order of their names.
    fn fitting(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::new()];
        for component in path.components() {
            let name = component.as_os_str().to_string_lossy();
            let is_pattern =
                matches!(component, Component::Normal(_)) && name.contains(['*', '?', '[']);
            if !is_pattern {
                found.iter_mut().for_each(|path| path.push(component));
                continue;
            }
            let glob = GlobBuilder::new(&name).literal_separator(true).build();
            let glob = glob.map_err(io::Error::other)?.compile_matcher();
            let mut next = Vec::new();
            for folder in found {
                // A folder that is not there fits nothing, as with nginx.
                let mut names = (self.surroundings.list)(&folder).unwrap_or_default();
                names.sort_unstable();
                let fits = |name: &String| glob.is_match(name) && !name.starts_with('.');
                next.extend(names.into_iter().filter(fits).map(|name| folder.join(name)));
            }
            found = next;
        }
        Ok(found)
    }
}

/// Files in all, which also ends one that includes itself.
const FILES_MAX: usize = 1000;

//! The files that a configuration was read from, and whether they have changed since.
//!
//! A file is known by what the file system tells of what its path leads to, links followed: a file that was
//! renamed into place, an edit in place and a link that was turned elsewhere all show. Nothing is read
//! here, and nobody is told by the system.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

/// The files that a configuration was read from, each as it was just before it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources(BTreeMap<PathBuf, Option<Stamp>>);

/// A version of a file or a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
    /// Moves even where a tool sets the time of modification back.
    changed: (i64, i64),
}

impl Stamp {
    /// The version that a path leads to; none where it leads nowhere.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            device: file.dev(),
            inode: file.ino(),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        })
    }

    /// Whether these are versions of one and the same file: it was written in place, and whoever does that may
    /// be in the middle of it. Another file that was put in its place is whole.
    #[must_use]
    pub const fn is_same_file(&self, other: &Self) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

impl Sources {
    /// Notes a file that is about to be read. One that was noted before stays as it was then, so that a
    /// change between two readings shows.
    pub fn note(&mut self, path: &Path) {
        if !self.0.contains_key(path) {
            self.0.insert(path.to_owned(), Stamp::of(path));
        }
    }

    /// The same files as they are now.
    #[must_use]
    pub fn again(&self) -> Self {
        let paths = self.0.keys();
        Self(paths.map(|path| (path.clone(), Stamp::of(path))).collect())
    }

    /// These files and those of another reading; of one that is in both, what is here counts.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        for (path, stamp) in other.0 {
            self.0.entry(path).or_insert(stamp);
        }
        self
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_and_orchestrators_do_to_a_file_shows() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("v1")).unwrap();
        std::fs::create_dir(at("v2")).unwrap();
        std::fs::write(at("v1/a.yaml"), "one").unwrap();
        std::fs::write(at("v2/a.yaml"), "two").unwrap();
        std::os::unix::fs::symlink("v1", at("data")).unwrap();
        let mut sources = Sources::default();
        sources.note(&at("data/a.yaml"));
        assert_eq!(sources.again(), sources);

        std::os::unix::fs::symlink("v2", at("data.new")).unwrap();
        std::fs::rename(at("data.new"), at("data")).unwrap();
        let swapped = sources.again();
        assert_ne!(swapped, sources);

        std::fs::write(at("v2/new.yaml"), "two").unwrap();
        std::fs::rename(at("v2/new.yaml"), at("v2/a.yaml")).unwrap();
        let replaced = sources.again();
        assert_ne!(replaced, swapped);

        std::fs::write(at("v2/a.yaml"), "three").unwrap();
        assert_ne!(sources.again(), replaced);
    }

    #[test]
    fn a_file_that_comes_or_goes_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        let mut sources = Sources::default();
        sources.note(&path);
        std::fs::write(&path, "").unwrap();
        let there = sources.again();
        assert_ne!(there, sources);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(there.again(), sources);
    }
}

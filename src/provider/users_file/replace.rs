//! Replacing a file whole: locked against other writers, durable, never half written.
//!
//! What the file says is of no interest here.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Uid;

/// The exclusive right to replace a file; given back when dropped. The empty lock file stays beside the
/// target: removing it would let two writers lock two different files.
#[derive(Debug)]
pub(crate) struct FileLock {
    target: PathBuf,
    _lock: File,
}

impl FileLock {
    /// Waits for the right to replace `path`. A symbolic link is followed once, so that the link stays.
    pub(crate) fn acquire(path: &Path) -> io::Result<Self> {
        let target = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            found => found?,
        };
        // Whoever else may write in the folder must not have an administrator make a file elsewhere.
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(beside(&target, ".lock")?)?;
        give_away(&lock, &target);
        lock.lock()?;
        Ok(Self {
            target,
            _lock: lock,
        })
    }

    /// Replaces the file by one that holds `text`: written beside it, brought to the disk, renamed.
    /// The new file is for its owner alone and keeps the owner of the old one.
    pub(crate) fn replace(&self, text: &str) -> io::Result<()> {
        let temporary = beside(&self.target, ".new")?;
        // Whoever left one behind did not hold the lock to its end; `create_new` must not trip over it.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let outcome = self.write(&temporary, text);
        if outcome.is_err() {
            drop(fs::remove_file(&temporary));
        }
        outcome
    }

    fn write(&self, temporary: &Path, text: &str) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(temporary)?;
        // The process's umask can only take rights away; this puts back what it took.
        rustix::fs::fchmod(&file, Mode::from_raw_mode(PRIVATE))?;
        self.keep_owner(&file)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(temporary, &self.target)?;
        File::open(folder(&self.target))?.sync_all()
    }

    /// An administrator changes the file as root while the gateway reads it as somebody else.
    fn keep_owner(&self, file: &File) -> io::Result<()> {
        let old = match fs::metadata(&self.target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            old => old?,
        };
        let new = file.metadata()?;
        if (old.uid(), old.gid()) == (new.uid(), new.gid()) {
            return Ok(());
        }
        let (owner, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
        Ok(rustix::fs::fchown(file, Some(owner), Some(group))?)
    }
}

/// Gives a lock to the owner of what it locks, or else of the folder: root may have made it, and the gateway is to
/// open it, too. Others may not give files away, and who cannot open it says so.
fn give_away(lock: &File, target: &Path) {
    let owner = fs::metadata(target).or_else(|_| fs::metadata(folder(target)));
    let (Ok(owner), Ok(own)) = (owner, lock.metadata()) else {
        return;
    };
    if (owner.uid(), owner.gid()) != (own.uid(), own.gid()) {
        let (owner, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
        rustix::fs::fchown(lock, Some(owner), Some(group)).ok();
    }
}

const PRIVATE: u32 = 0o600;

/// A hidden name in the same folder, so that renaming is one step.
fn beside(target: &Path, suffix: &str) -> io::Result<PathBuf> {
    let Some(name) = target.file_name() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the path does not name a file",
        ));
    };
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(suffix);
    Ok(target.with_file_name(hidden))
}

fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_belongs_to_the_owner_of_what_it_locks_or_else_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (there, missing) = (dir.path().join("users.yaml"), dir.path().join("key-use"));
        fs::write(&there, "").unwrap();
        // Only root can give files away; for others all of them are their own.
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            std::os::unix::fs::chown(&there, Some(4711), Some(4712)).unwrap();
            std::os::unix::fs::chown(dir.path(), Some(4713), Some(4714)).unwrap();
        }
        for _again in 0..2 {
            for path in [&there, &missing] {
                drop(FileLock::acquire(path).unwrap());
            }
        }
        let owner = |path: &Path| {
            let about = fs::metadata(path).unwrap();
            (about.uid(), about.gid())
        };
        let lock = |path: &Path| owner(&beside(path, ".lock").unwrap());
        assert_eq!(lock(&there), owner(&there));
        assert_eq!(lock(&missing), owner(dir.path()));
        assert_ne!(is_root, owner(&there) == owner(dir.path()));
    }

    #[test]
    fn a_link_in_place_of_the_lock_leads_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (dir.path().join("users.yaml"), dir.path().join("elsewhere"));
        std::os::unix::fs::symlink(&elsewhere, beside(&path, ".lock").unwrap()).unwrap();
        assert!(FileLock::acquire(&path).is_err());
        assert!(!elsewhere.exists());
    }
}

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
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(PRIVATE)
            .open(beside(&target, ".lock")?)?;
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

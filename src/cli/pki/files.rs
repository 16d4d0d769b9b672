//! Writes a set of files that belong together: all beside their places first, then each moved there.
//!
//! Nothing is ever half written, and nothing that stands is replaced unless that was asked for.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::Uid;

/// For the owner alone.
pub(super) const PRIVATE: u32 = 0o600;
/// Readable by everybody.
pub(super) const PUBLIC: u32 = 0o644;

/// Whether files that stand may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replace {
    /// They may: the user asked for it.
    Asked,
    /// They may not.
    Never,
}

/// A file stands where one should be written.
#[derive(Debug, thiserror::Error)]
#[error("{} is there already; nothing was written", .0.display())]
pub(super) struct Occupied(PathBuf);

/// Files on their way into one folder.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    replace: Replace,
    /// Each with the place it is for.
    drafts: Vec<(PathBuf, PathBuf)>,
}

/// Checks that nothing would be replaced, before anybody is asked for anything.
pub(super) fn check_free(places: &[&Path], replace: Replace) -> Result<(), Occupied> {
    let occupied = |place: &&&Path| fs::symlink_metadata(place).is_ok();
    match (places.iter().find(occupied), replace) {
        (Some(place), Replace::Never) => Err(Occupied((*place).to_owned())),
        (Some(_), Replace::Asked) | (None, _) => Ok(()),
    }
}

impl Files {
    /// Begins a set of files for a folder, which is made for its owner alone if it is not there.
    pub(super) fn into(folder: &Path, replace: Replace) -> anyhow::Result<Self> {
        let cannot = || format!("the folder {} could not be made", folder.display());
        if !folder.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(cannot)?;
            let parent = parent_of(folder);
            give_to_owner_of(&parent, &File::open(folder)?).with_context(cannot)?;
        }
        Ok(Self {
            folder: folder.to_owned(),
            replace,
            drafts: Vec::new(),
        })
    }

    /// Writes one file beside its place and brings it to the disk.
    pub(super) fn add(&mut self, name: &str, content: &[u8], mode: u32) -> anyhow::Result<()> {
        let draft = self.folder.join(format!(".{name}.new"));
        let place = self.folder.join(name);
        self.write(&draft, content, mode)
            .with_context(|| format!("{} could not be written", place.display()))?;
        self.drafts.push((draft, place));
        Ok(())
    }

    /// Moves every file to its place, in the order they were added.
    pub(super) fn publish(self) -> anyhow::Result<()> {
        for (draft, place) in &self.drafts {
            let cannot = || format!("{} could not be written", place.display());
            match self.place(draft, place) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    return Err(Occupied(place.clone()).into());
                }
                placed => placed.with_context(cannot)?,
            }
        }
        File::open(&self.folder)?.sync_all()?;
        Ok(())
    }

    fn place(&self, draft: &Path, place: &Path) -> io::Result<()> {
        match self.replace {
            Replace::Asked => fs::rename(draft, place),
            // Unlike a rename, a link fails where something stands.
            Replace::Never => fs::hard_link(draft, place).and_then(|()| fs::remove_file(draft)),
        }
    }

    fn write(&self, draft: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        // One that was left behind by a crash must not trip `create_new` over it.
        match fs::remove_file(draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(PRIVATE)
            .open(draft)?;
        give_to_owner_of(&self.folder, &file)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        file.write_all(content)?;
        file.sync_all()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for (draft, _) in &self.drafts {
            // Those that were moved are gone; one that cannot be removed is replaced by the next try.
            let _left_behind = fs::remove_file(draft).is_err();
        }
    }
}

/// An administrator enrols as root while the gateway reads the files as somebody else: what is new in a
/// folder belongs to the folder's owner.
fn give_to_owner_of(folder: &Path, file: &File) -> io::Result<()> {
    let (wanted, own) = (fs::metadata(folder)?, file.metadata()?);
    if !is_root() || (wanted.uid(), wanted.gid()) == (own.uid(), own.gid()) {
        return Ok(());
    }
    let (owner, group) = (Uid::from_raw(wanted.uid()), Gid::from_raw(wanted.gid()));
    Ok(rustix::fs::fchown(file, Some(owner), Some(group))?)
}

/// Whether what is made belongs to root.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn parent_of(folder: &Path) -> PathBuf {
    match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

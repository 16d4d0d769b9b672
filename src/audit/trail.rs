//! Appends to a trail: under a lock, from where the chain ends, durably, and wholly or not at all.

use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::fchown;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::FlockOperation;
use rustix::fs::OFlags;
use rustix::fs::flock;

use crate::audit::AuditParts;
use crate::audit::head;
use crate::audit::head::Head;
use crate::audit::tail;
use crate::audit::tail::Tail;
use crate::crypto::audit_seal::SealState;
use crate::crypto::audit_seal::SealedThing;
use crate::crypto::key_ring::KeyRing;
use crate::logbook::chain::Draft;
use crate::logbook::chain::LineHash;
use crate::logbook::chain::Link;
use crate::logbook::chain::ReadLine;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::time::Timestamp;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;
use crate::ports::entropy::seal_nonce;

/// An event and when it was noted.
#[derive(Clone, Debug)]
pub(super) struct Noted {
    /// When.
    pub(super) at: Timestamp,
    /// What.
    pub(super) event: Event,
}

/// A trail on disk.
pub struct Trail {
    path: PathBuf,
    data_centre: String,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Where the chain stood after the last append of this process.
    known: Mutex<Option<Link>>,
}

/// Why a trail could not be appended to. It is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The note of its end could not be opened, locked, read or written.
    #[error("{} cannot be used", .0.display())]
    Head(PathBuf, #[source] std::io::Error),
    /// The trail could not be opened, read or written.
    #[error("{} cannot be written", .0.display())]
    Trail(PathBuf, #[source] std::io::Error),
}

impl Trail {
    /// The trail in a file, which is opened for each append: it may be moved away at any time.
    #[must_use]
    pub fn new(path: PathBuf, data_centre: String, parts: &AuditParts) -> Self {
        Self {
            path,
            data_centre,
            keys: Arc::clone(&parts.keys),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
            known: Mutex::new(None),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes sure that the trail can be written: it is there then, with nothing in it if it was not.
    ///
    /// # Errors
    /// See [`TrailError`].
    pub fn begin_writing(&self) -> Result<(), TrailError> {
        let head_path = head_of(&self.path);
        let head = open(&head_path, Kind::Note);
        head.map_err(|error| TrailError::Head(head_path, error))?;
        let lines = open(&self.path, Kind::Lines);
        lines.map_err(|error| TrailError::Trail(self.path.clone(), error))?;
        Ok(())
    }

    /// Appends one event.
    ///
    /// # Errors
    /// See [`TrailError`].
    pub fn note(&self, event: Event) -> Result<(), TrailError> {
        let at = self.clock.now();
        self.append(&[Noted { at, event }]).map(drop)
    }

    /// Appends events; they are durable when this returns. Answers where the chain ends then.
    ///
    /// # Errors
    /// See [`TrailError`].
    pub(super) fn append(&self, events: &[Noted]) -> Result<Link, TrailError> {
        let head_path = head_of(&self.path);
        let head = open(&head_path, Kind::Note).and_then(|file| {
            // Released when the file is closed.
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        let head = head.map_err(|error| TrailError::Head(head_path.clone(), error))?;
        let noted = Head::read(&head, Some(&self.keys));
        let noted = noted.map_err(|error| TrailError::Head(head_path.clone(), error))?;
        let in_trail = |error| TrailError::Trail(self.path.clone(), error);
        let mut file = open(&self.path, Kind::Lines).map_err(in_trail)?;
        let tail = tail::read(&file).map_err(in_trail)?;
        let (link, text) = self.lines(noted, &tail, events);
        let written = write_whole(&mut file, &text, &tail)
            .map_err(in_trail)
            .and_then(|()| {
                head::write(&head, link, &self.keys, self.nonce())
                    .map_err(|error| TrailError::Head(head_path, error))
            });
        if written.is_err() {
            // Nothing of it is to stay: it is written anew, under the same numbers. What cannot be taken
            // back is a torn line, which the next append mends, or lines that are there twice.
            file.set_len(tail.whole_bytes).ok();
        }
        written?;
        *self.known.lock() = Some(link);
        Ok(link)
    }

    /// The lines to be appended, and where the chain ends with them.
    fn lines(&self, noted: Head, tail: &Tail, events: &[Noted]) -> (Link, Vec<u8>) {
        let (mut link, cut) = self.begin(noted, tail);
        let repaired = (tail.torn_bytes > 0).then(|| {
            Event::new(EventKind::TrailRepaired).with("bytes", tail.torn_bytes.to_string())
        });
        let at = self.clock.now();
        let finds = repaired.into_iter().chain(cut);
        let finds = finds.map(|event| Noted { at, event });
        let mut text = Vec::new();
        for Noted { at, event } in finds.chain(events.iter().cloned()) {
            let draft = Draft {
                at,
                data_centre: &self.data_centre,
                event: &event,
            };
            link = link.append(&draft, |hash| self.seal(hash), &mut text);
        }
        (link, text)
    }

    /// Where the chain goes on, and what is to be told if it was not found as it was left. The seals of the
    /// lines that follow vouch for all before them, so nothing may be taken over that nobody vouches for yet.
    fn begin(&self, noted: Head, tail: &Tail) -> (Link, Option<Event>) {
        let last = tail.last.as_ref().map(|line| line.link);
        let found = last.map_or_else(|| "none".to_owned(), |last| last.sequence.to_string());
        let cut = |expected: String| {
            let cut = Event::new(EventKind::TrailCut).with("expected", expected);
            Some(cut.with("found", found))
        };
        let known = *self.known.lock();
        // Others may have gone on from there, but nobody goes back.
        let is_behind = |known: &Link| match noted {
            Head::Absent | Head::Forged => true,
            Head::At(head) => {
                head.sequence < known.sequence
                    || (head.sequence == known.sequence && head.hash != known.hash)
            }
        };
        if let Some(known) = known.filter(is_behind) {
            return (known, cut(known.sequence.to_string()));
        }
        match noted {
            Head::At(head) => match tail.last.as_ref().filter(|line| self.is_own(line)) {
                // A crash came between the lines and the note.
                Some(own) if own.link.sequence > head.sequence => (own.link, None),
                Some(own) if own.link == head => (head, None),
                // It was moved away.
                None if tail.whole_bytes == 0 => (head, None),
                Some(_) | None => (head, cut(head.sequence.to_string())),
            },
            Head::Absent if tail.whole_bytes == 0 => (Link::BEGINNING, None),
            Head::Absent | Head::Forged => {
                (last.unwrap_or(Link::BEGINNING), cut("unknown".to_owned()))
            }
        }
    }

    fn is_own(&self, line: &ReadLine) -> bool {
        let hash = line.link.hash.to_hex();
        self.keys.judge_audit(SealedThing::Line, &hash, &line.seal) == SealState::Good
    }

    fn seal(&self, hash: &LineHash) -> String {
        self.keys
            .seal_audit(SealedThing::Line, &hash.to_hex(), self.nonce())
    }

    fn nonce(&self) -> [u8; 12] {
        seal_nonce(self.entropy.as_ref())
    }
}

impl std::fmt::Debug for Trail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trail")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// Appends to what is whole of a trail.
pub(super) fn write_whole(file: &mut File, text: &[u8], tail: &Tail) -> std::io::Result<()> {
    if tail.torn_bytes > 0 {
        file.set_len(tail.whole_bytes)?;
    }
    file.write_all(text)?;
    file.sync_data()
}

/// The note of where a trail ends, beside it.
pub(super) fn head_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(HEAD_ENDING);
    path.with_file_name(name)
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Lines are appended to it.
    Lines,
    /// The note of the end is written in place.
    Note,
}

fn open(path: &Path, kind: Kind) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    // The owner of the folder must not have root write, or be given, a file elsewhere.
    let flags = OFlags::NOFOLLOW.bits().cast_signed();
    options
        .read(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags);
    match kind {
        Kind::Lines => options.append(true),
        Kind::Note => options.write(true).truncate(false),
    };
    let is_new = !path.exists();
    let file = options.open(path)?;
    if is_new {
        give_away(&file, path);
        // A line that is durable in a file that is not found after a crash is lost all the same.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()?;
    }
    Ok(file)
}

/// Gives a new file to the owner of its folder: it may have been made by root, and the gateway is to write it
/// too. Others may not, and need not: they own the folder.
fn give_away(file: &File, path: &Path) {
    let folder = path.parent().and_then(|folder| folder.metadata().ok());
    if let Some(folder) = folder {
        fchown(file, Some(folder.uid()), Some(folder.gid())).ok();
    }
}

const HEAD_ENDING: &str = ".head";

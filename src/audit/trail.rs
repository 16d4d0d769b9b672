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

use rustix::fs::FlockOperation;
use rustix::fs::flock;

use crate::audit::AuditParts;
use crate::audit::head;
use crate::audit::head::Head;
use crate::audit::tail;
use crate::crypto::audit_seal::SealedThing;
use crate::crypto::key_ring::KeyRing;
use crate::logbook::chain::Draft;
use crate::logbook::chain::LineHash;
use crate::logbook::chain::Link;
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
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
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
        let head = open(&head_path).and_then(|file| {
            // Released when the file is closed.
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        let head = head.map_err(|error| TrailError::Head(head_path.clone(), error))?;
        let noted = Head::read(&head, Some(&self.keys));
        let noted = noted.map_err(|error| TrailError::Head(head_path.clone(), error))?;
        let link = self.append_behind(noted, events);
        let link = link.map_err(|error| TrailError::Trail(self.path.clone(), error))?;
        head::write(&head, link, &self.keys, self.nonce())
            .map_err(|error| TrailError::Head(head_path, error))?;
        Ok(link)
    }

    fn append_behind(&self, noted: Head, events: &[Noted]) -> std::io::Result<Link> {
        let mut file = open(&self.path)?;
        let tail = tail::read(&file)?;
        let (begin, finds) = Self::begin(noted, &tail);
        let mut link = begin;
        let mut text = Vec::new();
        let at = self.clock.now();
        let finds = finds.into_iter().map(|event| Noted { at, event });
        for Noted { at, event } in finds.chain(events.iter().cloned()) {
            let draft = Draft {
                at,
                data_centre: &self.data_centre,
                event: &event,
            };
            link = link.append(&draft, |hash| self.seal(hash), &mut text);
        }
        if tail.torn_bytes > 0 {
            file.set_len(tail.whole_bytes)?;
        }
        let written = file.write_all(&text).and_then(|()| file.sync_data());
        if written.is_err() {
            // Nothing of it is to stay: it is written anew, under the same numbers. What cannot be taken
            // back is a torn line, which the next append mends, or is found as a line out of order.
            file.set_len(tail.whole_bytes).ok();
        }
        written.map(|()| link)
    }

    /// Where the chain goes on, and what is to be told of how it was found.
    fn begin(noted: Head, tail: &tail::Tail) -> (Link, Vec<Event>) {
        let mut finds = Vec::new();
        if tail.torn_bytes > 0 {
            let bytes = tail.torn_bytes.to_string();
            finds.push(Event::new(EventKind::TrailRepaired).with("bytes", bytes));
        }
        let link = match (noted, tail.last) {
            (Head::At(head), Some(last)) if last.sequence < head.sequence => {
                let cut = Event::new(EventKind::TrailCut)
                    .with("expected", head.sequence.to_string())
                    .with("found", last.sequence.to_string());
                finds.push(cut);
                head
            }
            (Head::At(head), None) => head,
            (_, Some(last)) => last,
            (Head::Absent, None) => Link::BEGINNING,
            (Head::Forged, None) => {
                finds.push(Event::new(EventKind::TrailCut).with("expected", "unknown"));
                Link::BEGINNING
            }
        };
        (link, finds)
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

/// The note of where a trail ends, beside it.
pub(super) fn head_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(HEAD_ENDING);
    path.with_file_name(name)
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    let is_head = path
        .as_os_str()
        .as_encoded_bytes()
        .ends_with(HEAD_ENDING.as_bytes());
    options.read(true).create(true).mode(0o600);
    if is_head {
        // Not for appending: the note is written in place.
        options.write(true).truncate(false);
    } else {
        options.append(true);
    }
    let is_new = !path.exists();
    let file = options.open(path)?;
    if is_new {
        give_away(&file, path);
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

//! Verifies a trail: every line follows the one before, was sealed by a holder of the keys, and none is missing
//! at the end as far as the note beside it knows.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FlockOperation;
use rustix::fs::flock;

use crate::audit::head::Head;
use crate::audit::trail::head_of;
use crate::crypto::audit_seal::SealState;
use crate::crypto::audit_seal::SealedThing;
use crate::crypto::key_ring::KeyRing;
use crate::logbook::chain::LineFault;
use crate::logbook::chain::Link;
use crate::logbook::chain::ReadLine;

/// What a trail is judged by.
#[derive(Clone, Copy)]
pub struct Judge<'a> {
    /// The keys; without them nobody can tell who wrote the chain.
    pub keys: Option<&'a KeyRing>,
    /// The file that is being written, beside which its end is noted.
    pub current: Option<&'a Path>,
}

impl std::fmt::Debug for Judge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Judge")
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

/// A trail without a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How many lines it has.
    pub lines: u64,
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// What the seal of the last line says; it vouches for all lines before it. Unknown without keys.
    pub vouched: Option<SealState>,
    /// Whether the end agrees with the note beside the trail; unknown where there is none to compare with.
    pub end: End,
}

/// What is known of a trail's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The note agrees.
    Noted,
    /// Beside the file with the last line there is no note.
    Unknown,
}

/// Why a trail is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A line is not what it should be.
    #[error("{}:{line}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: u64,
        /// What is wrong.
        #[source]
        fault: LineFault,
    },
    /// It ends too early, or otherwise than noted.
    #[error(
        "the trail ends with line {found}, and should go on to line {expected}: lines were cut off its end"
    )]
    Cut {
        /// The number that was noted last.
        expected: u64,
        /// The number of the last line.
        found: u64,
    },
    /// The file being written has no line, and none of the others has the one that was noted last.
    #[error(
        "there is no line, and the last one should be {0}: lines were cut off, or files that were moved away \
         are not named"
    )]
    Emptied(u64),
    /// The note of the end was not written by a holder of the keys.
    #[error("{} was not sealed with a key of the ring", .0.display())]
    Forged(PathBuf),
    /// There is no line.
    #[error("there is no line to verify")]
    Nothing,
    /// There is no note of where the trail ends.
    #[error("{} is missing: lines may have been cut off the end of the trail", .0.display())]
    Unnoted(PathBuf),
    /// A file cannot be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
}

/// Verifies the files of one trail, in whatever order they are named.
///
/// # Errors
/// The first line that is wrong.
pub fn verify(paths: &[PathBuf], judge: &Judge<'_>) -> Result<Report, VerifyError> {
    let written = judge.current.filter(|current| is_among(current, paths));
    let copy = match written {
        Some(_) => None,
        None => noted_copy(paths, judge.current)?,
    };
    let current = match written.or(copy.as_deref()) {
        Some(current) => Some(Current::look(current, judge.keys)?),
        None => None,
    };
    // It has just been moved away, or was never written.
    let is_gone = |path: &Path| {
        let current = current.as_ref().filter(|current| current.bytes == 0);
        current.is_some_and(|current| is_same(current.path, path))
    };
    let mut walk = Walk::default();
    for path in in_order(paths.iter().filter(|path| !is_gone(path)))? {
        let current = current.as_ref();
        let current = current.filter(|current| is_same(current.path, &path));
        walk.file(
            &path,
            current.map_or(u64::MAX, |current| current.bytes),
            judge.keys,
        )?;
    }
    let (Some(first), Some(last)) = (walk.first, walk.last) else {
        return Err(current.map_or(VerifyError::Nothing, Current::nothing));
    };
    let end = match current {
        Some(current) => current.compare_end(last)?,
        None => End::Unknown,
    };
    Ok(Report {
        lines: walk.lines,
        first,
        last: last.sequence,
        vouched: walk.vouched,
        end,
    })
}

/// The file with the last line, or an emptied one, where a note of the end lies beside it: a copy, which nobody
/// writes to.
fn noted_copy(paths: &[PathBuf], current: Option<&Path>) -> Result<Option<PathBuf>, VerifyError> {
    let is_noted = |path: &Path| {
        let note = head_of(path);
        // A trail may have the name of a note.
        note.exists() && current.is_none_or(|current| !is_same(current, &note))
    };
    let is_empty = |path: &Path| path.metadata().is_ok_and(|about| about.len() == 0);
    let emptied = paths.iter().find(|path| is_empty(path) && is_noted(path));
    if let Some(emptied) = emptied {
        return Ok(Some(emptied.clone()));
    }
    let last = in_order(paths.iter())?.pop();
    Ok(last.filter(|last| is_noted(last)))
}

/// The files by the number of their first line; empty ones are left out.
fn in_order<'a>(paths: impl Iterator<Item = &'a PathBuf>) -> Result<Vec<PathBuf>, VerifyError> {
    let mut files = Vec::new();
    for path in paths {
        let mut line = Vec::new();
        let read = open(path)?.read_until(b'\n', &mut line);
        read.map_err(|error| VerifyError::Unreadable(path.clone(), error))?;
        if !line.is_empty() {
            let line = parse(&line).map_err(|fault| broken(path, 1, fault))?;
            files.push((line.link.sequence, path.clone()));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

#[derive(Default)]
struct Walk {
    lines: u64,
    first: Option<u64>,
    last: Option<Link>,
    vouched: Option<SealState>,
}

impl Walk {
    fn file(&mut self, path: &Path, bytes: u64, keys: Option<&KeyRing>) -> Result<(), VerifyError> {
        let mut reader = open(path)?.take(bytes);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line);
            let read = read.map_err(|error| VerifyError::Unreadable(path.to_owned(), error))?;
            if read == 0 {
                break;
            }
            let taken = self.line(&line, keys);
            taken.map_err(|fault| broken(path, number, fault))?;
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8], keys: Option<&KeyRing>) -> Result<(), LineFault> {
        let line = parse(line)?;
        let sequence = line.link.sequence;
        match self.last {
            Some(last) => last.check(&line)?,
            None if sequence == 1 => Link::BEGINNING.check(&line)?,
            None => {}
        }
        let hash = line.link.hash.to_hex();
        let state = keys.map(|keys| keys.judge_audit(SealedThing::Line, &hash, &line.seal));
        if state == Some(SealState::Wrong) {
            return Err(LineFault::Seal(sequence));
        }
        if line.is_cut {
            return Err(LineFault::Cut(sequence));
        }
        self.vouched = state;
        self.first.get_or_insert(sequence);
        self.last = Some(line.link);
        self.lines += 1;
        Ok(())
    }
}

/// The file that is being written, or a copy of it, and where it ended at one moment: lines go on being added to
/// the former.
struct Current<'a> {
    path: &'a Path,
    bytes: u64,
    noted: Head,
}

impl<'a> Current<'a> {
    /// Looks at it while nobody writes.
    fn look(path: &'a Path, keys: Option<&KeyRing>) -> Result<Self, VerifyError> {
        let note = head_of(path);
        let unreadable = |error| VerifyError::Unreadable(note.clone(), error);
        let head = match File::open(&note) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(unreadable)?),
        };
        if let Some(head) = &head {
            // Released when the file is closed.
            flock(head, FlockOperation::LockShared).map_err(|error| unreadable(error.into()))?;
        }
        let bytes = match path.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            about => about.map(|about| about.len()),
        };
        let noted = head.as_ref().map(|head| Head::read(head, keys));
        Ok(Self {
            path,
            bytes: bytes.map_err(|error| VerifyError::Unreadable(path.to_owned(), error))?,
            noted: noted
                .transpose()
                .map_err(unreadable)?
                .unwrap_or(Head::Absent),
        })
    }

    /// What it means that there is no line at all.
    fn nothing(self) -> VerifyError {
        match self.noted {
            Head::At(noted) => VerifyError::Emptied(noted.sequence),
            Head::Absent => VerifyError::Nothing,
            Head::Forged => VerifyError::Forged(head_of(self.path)),
        }
    }

    /// Compares its end with the note beside it. A line behind the note is as it should be: a crash can come
    /// between them.
    fn compare_end(&self, last: Link) -> Result<End, VerifyError> {
        let note = head_of(self.path);
        match self.noted {
            Head::Absent => Err(VerifyError::Unnoted(note)),
            Head::Forged => Err(VerifyError::Forged(note)),
            Head::At(noted) if noted.sequence > last.sequence => Err(VerifyError::Cut {
                expected: noted.sequence,
                found: last.sequence,
            }),
            Head::At(noted) if noted.sequence == last.sequence && noted.hash != last.hash => {
                let fault = LineFault::Detached(noted.sequence);
                Err(broken(self.path, noted.sequence, fault))
            }
            Head::At(_) => Ok(End::Noted),
        }
    }
}

fn is_among(current: &Path, paths: &[PathBuf]) -> bool {
    paths.iter().any(|path| is_same(current, path))
}

/// Whether two paths lead to one file, however they are written.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    one == other || whole(one).is_some_and(|one| Some(one) == whole(other))
}

fn parse(line: &[u8]) -> Result<ReadLine, LineFault> {
    let whole = line.strip_suffix(b"\n").ok_or(LineFault::Malformed)?;
    let text = str::from_utf8(whole).map_err(|_| LineFault::Malformed)?;
    ReadLine::parse(text)
}

fn broken(path: &Path, line: u64, fault: LineFault) -> VerifyError {
    VerifyError::Broken {
        path: path.to_owned(),
        line,
        fault,
    }
}

fn open(path: &Path) -> Result<BufReader<File>, VerifyError> {
    let file = File::open(path);
    let file = file.map_err(|error| VerifyError::Unreadable(path.to_owned(), error))?;
    Ok(BufReader::new(file))
}

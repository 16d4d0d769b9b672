//! Verifies a trail: every line follows the one before, was sealed by a holder of the keys, and none is missing
//! at the end as far as the note beside it knows.

use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;

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
    /// There is no note, or the file being written was not looked at.
    Unknown,
}

/// Why a trail is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A line is not what it should be.
    #[error("{}:{line}: {fault}", path.display())]
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
    /// The note of the end was not written by a holder of the keys.
    #[error("{} was not written by this gateway", .0.display())]
    Forged(PathBuf),
    /// There is no line.
    #[error("there is no line to verify")]
    Nothing,
    /// A file cannot be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
}

/// Verifies the files of one trail, in whatever order they are named.
///
/// # Errors
/// The first line that is wrong.
pub fn verify(paths: &[PathBuf], judge: &Judge<'_>) -> Result<Report, VerifyError> {
    let mut walk = Walk::default();
    for path in in_order(paths)? {
        walk.file(&path, judge.keys)?;
    }
    let (Some(first), Some(last)) = (walk.first, walk.last) else {
        return Err(VerifyError::Nothing);
    };
    let read = |path: &PathBuf| Some(path.as_path()) == judge.current;
    let end = match judge.current.filter(|_| paths.iter().any(read)) {
        Some(current) => compare_end(current, last, judge.keys)?,
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

/// The files by the number of their first line; empty ones are left out.
fn in_order(paths: &[PathBuf]) -> Result<Vec<PathBuf>, VerifyError> {
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
    fn file(&mut self, path: &Path, keys: Option<&KeyRing>) -> Result<(), VerifyError> {
        let mut reader = open(path)?;
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
        self.vouched = state;
        self.first.get_or_insert(sequence);
        self.last = Some(line.link);
        self.lines += 1;
        Ok(())
    }
}

/// Compares the end of the file that is being written with the note beside it. Lines behind the note are as
/// they should be: it is written after them.
fn compare_end(current: &Path, last: Link, keys: Option<&KeyRing>) -> Result<End, VerifyError> {
    let path = head_of(current);
    let head = match File::open(&path) {
        Ok(file) => Head::read(&file, keys),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Head::Absent),
        Err(error) => Err(error),
    };
    match head.map_err(|error| VerifyError::Unreadable(path.clone(), error))? {
        Head::Absent => Ok(End::Unknown),
        Head::Forged => Err(VerifyError::Forged(path)),
        Head::At(noted) if noted.sequence > last.sequence => Err(VerifyError::Cut {
            expected: noted.sequence,
            found: last.sequence,
        }),
        Head::At(noted) if noted.sequence == last.sequence && noted.hash != last.hash => Err(
            broken(current, noted.sequence, LineFault::Detached(noted.sequence)),
        ),
        Head::At(_) => Ok(End::Noted),
    }
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

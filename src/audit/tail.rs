//! The end of a trail: its last whole line, and what an interrupted write has left behind it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::logbook::chain::ReadLine;

/// The end of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// Its last line, if that is one.
    pub(super) last: Option<ReadLine>,
    /// How long the file is up to the end of that line, in bytes.
    pub(super) whole_bytes: u64,
    /// Bytes behind it.
    pub(super) torn_bytes: u64,
}

/// Reads the end of a trail.
pub(super) fn read(file: &File) -> std::io::Result<Tail> {
    let length = file.metadata()?.len();
    let begin = length.saturating_sub(LINE_BYTES_MAX);
    let mut bytes = vec![0; usize::try_from(length - begin).unwrap_or_default()];
    file.read_exact_at(&mut bytes, begin)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n');
    let whole = whole.map_or(0, |at| at + 1);
    let torn = bytes.len().saturating_sub(whole) as u64;
    let lines = bytes.get(..whole).unwrap_or_default();
    let lines = String::from_utf8_lossy(lines);
    let last = lines.lines().next_back();
    Ok(Tail {
        last: last.and_then(|line| ReadLine::parse(line).ok()),
        whole_bytes: length - torn,
        torn_bytes: torn,
    })
}

/// No line is longer: a handful of texts of 2 KiB, escaped.
const LINE_BYTES_MAX: u64 = 128 * 1024;

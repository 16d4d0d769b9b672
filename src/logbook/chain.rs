//! The lines of the audit trail: JSON objects, each with the hash of the one before.
//!
//! The hash shows that a line was changed, removed, added or moved; a seal over the hash, made with a key of the
//! key ring, shows that nobody without the keys has written the chain anew (ADR 0015). Files and keys are not
//! known here.

use sha2::Digest;
use sha2::Sha256;

use crate::logbook::escape::Escape;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::logbook::moment::rfc3339;
use crate::model::time::Timestamp;

/// The end of a chain: its last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number; lines count from 1.
    pub sequence: u64,
    /// Its hash.
    pub hash: LineHash,
}

/// The hash of a line, which covers all lines before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineHash([u8; 32]);

/// A line to be written.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// When it happened.
    pub at: Timestamp,
    /// The data centre.
    pub data_centre: &'a str,
    /// What happened.
    pub event: &'a Event,
}

/// A line that was read and is whole in itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadLine {
    /// Where the chain stands with it.
    pub link: Link,
    /// The hash of the line before.
    pub previous: LineHash,
    /// The seal over its hash.
    pub seal: String,
    /// Whether it tells that what stands before it was not found as it was left.
    pub is_cut: bool,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineFault {
    /// Its text does not have the hash that it says.
    #[error("line {0} was changed after it was written")]
    Changed(u64),
    /// It says itself that what stands before it was not found as it was left.
    #[error(
        "line {0} says that lines before it were cut off or replaced, or that nobody could vouch for them"
    )]
    Cut(u64),
    /// It follows another line than the one before it.
    #[error("line {0} does not follow the line before it, which was changed or replaced")]
    Detached(u64),
    /// It is not one.
    #[error("this is not a line of an audit trail")]
    Malformed,
    /// Lines are missing before it.
    #[error("lines {first} to {last} are missing before this one")]
    Missing {
        /// The first that is missing.
        first: u64,
        /// The last that is missing.
        last: u64,
    },
    /// It comes after a later one.
    #[error("line {found} stands behind line {after}")]
    OutOfOrder {
        /// The number of the line before it.
        after: u64,
        /// Its number.
        found: u64,
    },
    /// Its seal was not made with the key that it names, or for another line.
    #[error("the seal of line {0} is wrong: the chain was written anew from here or before")]
    Seal(u64),
}

impl Link {
    /// Before the first line.
    pub const BEGINNING: Self = Self {
        sequence: 0,
        hash: LineHash([0; 32]),
    };

    /// Appends a line, its end included; `seal` makes the seal over its hash. Answers where the chain stands
    /// then.
    #[must_use]
    pub fn append(
        self,
        draft: &Draft<'_>,
        seal: impl FnOnce(&LineHash) -> String,
        text: &mut Vec<u8>,
    ) -> Self {
        let sequence = self.sequence.saturating_add(1);
        let begin = text.len();
        let previous = self.hash.to_hex();
        text.extend_from_slice(format!("{{\"seq\":{sequence},\"prev\":\"{previous}\"").as_bytes());
        push_field("time", &rfc3339(draft.at), text);
        push_field("data_centre", draft.data_centre, text);
        push_field("event", draft.event.kind.as_str(), text);
        for (name, detail) in &draft.event.details {
            push_field(name, detail, text);
        }
        let hash = LineHash::of(text.get(begin..).unwrap_or_default());
        push_field("hash", &hash.to_hex(), text);
        push_field("seal", &seal(&hash), text);
        text.extend_from_slice(b"}\n");
        Self { sequence, hash }
    }

    /// Judges whether a line follows this one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(self, line: &ReadLine) -> Result<(), LineFault> {
        let (after, found) = (self.sequence, line.link.sequence);
        if found <= after {
            return Err(LineFault::OutOfOrder { after, found });
        }
        if found > after.saturating_add(1) {
            let (first, last) = (after + 1, found - 1);
            return Err(LineFault::Missing { first, last });
        }
        if line.previous != self.hash {
            return Err(LineFault::Detached(found));
        }
        Ok(())
    }
}

impl LineHash {
    fn of(text: &[u8]) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// The hash as 64 hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads 64 hex digits.
    #[must_use]
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !digits || text.len() != HASH_DIGITS {
            return None;
        }
        let mut bytes = [0; 32];
        let (pairs, _) = text.as_bytes().as_chunks::<2>();
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let pair = str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

impl ReadLine {
    /// Reads a line without its end.
    ///
    /// # Errors
    /// When it is none, or was changed.
    pub fn parse(line: &str) -> Result<Self, LineFault> {
        let mut read = Self::read(line).ok_or(LineFault::Malformed)?;
        let (covered, _) = line.rsplit_once(HASH_MARK).ok_or(LineFault::Malformed)?;
        let changed = LineFault::Changed(read.link.sequence);
        let object: serde_json::Value = serde_json::from_str(line).map_err(|_| changed)?;
        if LineHash::of(covered.as_bytes()) != read.link.hash {
            return Err(changed);
        }
        let event = object.get("event").and_then(serde_json::Value::as_str);
        read.is_cut = event == Some(EventKind::TrailCut.as_str());
        Ok(read)
    }

    fn read(line: &str) -> Option<Self> {
        let (head, tail) = line.rsplit_once(HASH_MARK)?;
        let (hash, seal) = tail.split_once("\",\"seal\":\"")?;
        let seal = seal.strip_suffix("\"}")?;
        let (sequence, rest) = head.strip_prefix("{\"seq\":")?.split_once(",\"prev\":\"")?;
        let (previous, _) = rest.split_once('"')?;
        let link = Link {
            sequence: sequence.parse().ok()?,
            hash: LineHash::from_hex(hash)?,
        };
        Some(Self {
            link,
            previous: LineHash::from_hex(previous)?,
            seal: seal.to_owned(),
            is_cut: false,
        })
    }
}

fn push_field(name: &str, value: &str, text: &mut Vec<u8>) {
    text.extend_from_slice(format!(",\"{name}\":\"").as_bytes());
    Escape::Json.write(value.as_bytes(), text);
    text.push(b'"');
}

const HASH_DIGITS: usize = 64;
/// No value can hold it: quotes within values are escaped.
const HASH_MARK: &str = ",\"hash\":\"";

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(count: u64) -> Vec<String> {
        let mut text = Vec::new();
        let mut link = Link::BEGINNING;
        for number in 0..count {
            let event = Event::new(EventKind::SignedIn)
                .with("user", format!("user{number}"))
                .with("odd", "\",\"hash\":\"\n");
            let draft = Draft {
                at: Timestamp::from_millis(number),
                data_centre: "local",
                event: &event,
            };
            link = link.append(&draft, |_| "sealed".to_owned(), &mut text);
            assert_eq!(link.sequence, number + 1);
        }
        let text = String::from_utf8(text).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn first_fault(lines: &[String]) -> Option<(usize, LineFault)> {
        let mut link = Link::BEGINNING;
        for (index, line) in lines.iter().enumerate() {
            let checked = ReadLine::parse(line).and_then(|line| link.check(&line).map(|()| line));
            match checked {
                Ok(line) => link = line.link,
                Err(fault) => return Some((index, fault)),
            }
        }
        None
    }

    #[test]
    fn a_trail_that_nobody_touched_is_whole_and_json() {
        let lines = trail(5);
        assert_eq!(first_fault(&lines), None);
        let read: serde_json::Value = serde_json::from_str(&lines[1]).unwrap();
        assert_eq!((&read["seq"], &read["user"]), (&2.into(), &"user1".into()));
        assert_eq!(read["odd"], "\",\"hash\":\"\n");
        assert_eq!(read["time"], "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn any_byte_of_a_line_that_is_changed_is_found() {
        let lines = trail(2);
        let end = lines[0].rfind("\",\"seal\"").unwrap();
        for at in 0..end {
            let mut changed = lines.clone();
            let mut bytes = changed[0].clone().into_bytes();
            bytes[at] ^= 1;
            changed[0] = String::from_utf8_lossy(&bytes).into_owned();
            assert!(first_fault(&changed).is_some(), "byte {at}");
        }
    }

    #[test]
    fn lines_that_are_removed_moved_or_added_are_found() {
        let lines = trail(6);
        let mut removed = lines.clone();
        removed.drain(2..4);
        let fault = LineFault::Missing { first: 3, last: 4 };
        assert_eq!(first_fault(&removed), Some((2, fault)));
        let mut moved = lines.clone();
        moved.swap(3, 4);
        let fault = LineFault::Missing { first: 4, last: 4 };
        assert_eq!(first_fault(&moved), Some((3, fault)));
        let mut added = lines.clone();
        added.insert(3, lines[1].clone());
        let fault = LineFault::OutOfOrder { after: 3, found: 2 };
        assert_eq!(first_fault(&added), Some((3, fault)));
        let other = trail(7);
        let mut replaced = lines;
        replaced[3] = other[3].replace("user3", "mallory");
        assert_eq!(first_fault(&replaced), Some((3, LineFault::Changed(4))));
    }

    #[test]
    fn a_line_with_a_hash_of_its_own_is_found_at_the_next_one() {
        let mut lines = trail(4);
        let (head, _) = lines[1].rsplit_once(HASH_MARK).unwrap();
        let head = head.replace("user1", "mallory");
        let hash = LineHash::of(head.as_bytes()).to_hex();
        lines[1] = format!("{head}{HASH_MARK}{hash}\",\"seal\":\"sealed\"}}");
        assert_eq!(first_fault(&lines), Some((2, LineFault::Detached(3))));
    }
}

//! Distinguished names of certificates as text, in the two forms in which applications know them from nginx:
//! RFC 2253 and the older line with slashes (W-26).
//!
//! Both are byte for byte what OpenSSL 3.0 prints (`X509_NAME_print_ex` with `XN_FLAG_RFC2253`, and
//! `X509_NAME_oneline`), so that an application that compares names finds those that it knows. Every byte that
//! comes out is printable ASCII. Nothing is compared here.

use std::fmt::Write;

use crate::crypto::object_names::dotted;
use crate::crypto::object_names::short_name;

/// Why a name has no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameTextError {
    /// The bytes are no name.
    #[error("it is no distinguished name")]
    Malformed,
    /// It is longer than anybody prints.
    #[error("it is longer than {NAME_BYTES_MAX} bytes")]
    TooLong,
}

/// A name that has been read.
#[derive(Debug)]
pub struct DistinguishedName<'d> {
    entries: Vec<Entry<'d>>,
}

/// One attribute of a name.
#[derive(Debug)]
struct Entry<'d> {
    /// Which of the relative names it belongs to.
    set: usize,
    oid: String,
    /// The value as it is encoded, tag and length included.
    encoded: &'d [u8],
    tag: u8,
    contents: &'d [u8],
}

impl<'d> DistinguishedName<'d> {
    /// Reads a name in DER (RFC 5280 §4.1.2.4).
    ///
    /// # Errors
    /// See [`NameTextError`].
    pub fn parse(der: &'d [u8]) -> Result<Self, NameTextError> {
        if der.len() > NAME_BYTES_MAX {
            return Err(NameTextError::TooLong);
        }
        let entries = entries(der).ok_or(NameTextError::Malformed)?;
        let name = Self { entries };
        // What has no text in one form has none in the other.
        name.try_rfc2253().ok_or(NameTextError::Malformed)?;
        Ok(name)
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The name as RFC 2253 writes it, the last attribute first: `CN=x,OU=y`.
    #[must_use]
    pub fn rfc2253(&self) -> String {
        self.try_rfc2253().unwrap_or_default()
    }

    fn try_rfc2253(&self) -> Option<String> {
        let mut out = String::new();
        let mut before = None;
        // All attributes are turned round, those of one relative name among them too, as OpenSSL does.
        for entry in self.entries.iter().rev() {
            match before {
                None => {}
                Some(set) if set == entry.set => out.push('+'),
                Some(_) => out.push(','),
            }
            before = Some(entry.set);
            match short_name(&entry.oid) {
                Some(name) => {
                    out.push_str(name);
                    out.push('=');
                    put_value(&mut out, entry)?;
                }
                None => {
                    out.extend(entry.oid.chars().take(OID_CHARS_MAX));
                    out.push('=');
                    put_dump(&mut out, entry.encoded);
                }
            }
        }
        Some(out)
    }

    /// The name in the older form, the first attribute first: `/OU=y/CN=x`.
    #[must_use]
    pub fn legacy(&self) -> String {
        let mut out = String::new();
        let mut before = None;
        for entry in &self.entries {
            let is_beside = before == Some(entry.set);
            out.push(if is_beside { '+' } else { '/' });
            before = Some(entry.set);
            match short_name(&entry.oid) {
                Some(name) => out.push_str(name),
                None => out.extend(entry.oid.chars().take(OID_CHARS_MAX)),
            }
            out.push('=');
            for byte in entry.shown_contents() {
                put_legacy(&mut out, *byte);
            }
        }
        out
    }
}

impl Entry<'_> {
    /// The contents without the count of unused bits, which OpenSSL does not keep with a bit string.
    fn shown_contents(&self) -> &[u8] {
        match (self.tag, self.contents) {
            (BIT_STRING, [_, bits @ ..]) => bits,
            (BIT_STRING, []) => &[],
            (SEQUENCE, _) => self.encoded,
            (_, contents) => contents,
        }
    }
}

/// A value by the width of its characters; none for one that ends within a character.
fn put_value(out: &mut String, entry: &Entry<'_>) -> Option<()> {
    let contents = entry.contents;
    match entry.tag {
        // Taken as bytes: they are UTF-8 already, or are shown as what they are.
        UTF8_STRING => {
            for (at, byte) in contents.iter().enumerate() {
                put_escaped(out, *byte, Place::of(at, contents.len()));
            }
        }
        NUMERIC_STRING | PRINTABLE_STRING | T61_STRING | IA5_STRING | UTC_TIME
        | GENERALIZED_TIME | VISIBLE_STRING => {
            put_characters(out, contents.iter().map(|byte| u32::from(*byte)));
        }
        BMP_STRING => {
            let (pairs, []) = contents.as_chunks() else {
                return None;
            };
            put_characters(
                out,
                pairs.iter().map(|pair| u16::from_be_bytes(*pair).into()),
            );
        }
        UNIVERSAL_STRING => {
            let (fours, []) = contents.as_chunks() else {
                return None;
            };
            put_characters(out, fours.iter().map(|four| u32::from_be_bytes(*four)));
        }
        _ => put_dump(out, entry.encoded),
    }
    Some(())
}

/// Characters of any width, as UTF-8; those that are none are left out.
fn put_characters(out: &mut String, characters: impl ExactSizeIterator<Item = u32>) {
    let count = characters.len();
    for (at, character) in characters.enumerate() {
        let Some(character) = char::from_u32(character) else {
            continue;
        };
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            put_escaped(out, byte, Place::of(at, count));
        }
    }
}

/// Where in its value a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    Inner,
    Last,
}

impl Place {
    /// A single character is the last one.
    const fn of(at: usize, count: usize) -> Self {
        if at + 1 == count {
            Self::Last
        } else if at == 0 {
            Self::First
        } else {
            Self::Inner
        }
    }
}

/// One byte, escaped as RFC 2253 §2.4 asks, what is no ASCII and what controls included.
fn put_escaped(out: &mut String, byte: u8, place: Place) {
    let is_escaped = match byte {
        b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => true,
        b' ' => place != Place::Inner,
        b'#' => place == Place::First,
        _ => false,
    };
    if is_escaped {
        out.push('\\');
    }
    match byte {
        b' '..=b'~' => out.push(char::from(byte)),
        _ => put_hex(out, "\\", byte),
    }
}

fn put_legacy(out: &mut String, byte: u8) {
    match byte {
        b'/' | b'+' => {
            out.push('\\');
            out.push(char::from(byte));
        }
        b' '..=b'~' => out.push(char::from(byte)),
        _ => put_hex(out, "\\x", byte),
    }
}

/// The encoding itself, where a value has no text (RFC 2253 §2.4).
fn put_dump(out: &mut String, encoded: &[u8]) {
    out.push('#');
    for byte in encoded {
        put_hex(out, "", *byte);
    }
}

fn put_hex(out: &mut String, before: &str, byte: u8) {
    // Writing to a String cannot fail.
    write!(out, "{before}{byte:02X}").ok();
}

fn entries(der: &[u8]) -> Option<Vec<Entry<'_>>> {
    let (whole, rest) = element(der)?;
    if whole.tag != SEQUENCE || !rest.is_empty() {
        return None;
    }
    let mut found = Vec::new();
    let mut sets = whole.contents;
    let mut count = 0;
    while !sets.is_empty() {
        let (set, rest) = element(sets)?;
        sets = rest;
        if set.tag != SET || set.contents.is_empty() {
            return None;
        }
        let mut pairs = set.contents;
        while !pairs.is_empty() {
            let (pair, rest) = element(pairs)?;
            pairs = rest;
            found.push(entry(&pair, count)?);
        }
        count += 1;
    }
    Some(found)
}

fn entry<'d>(pair: &Element<'d>, set: usize) -> Option<Entry<'d>> {
    let (oid, rest) = element(pair.contents)?;
    let (value, rest) = element(rest)?;
    if pair.tag != SEQUENCE || oid.tag != OBJECT_IDENTIFIER || !rest.is_empty() {
        return None;
    }
    Some(Entry {
        set,
        oid: dotted(oid.contents)?,
        encoded: value.encoded,
        tag: value.tag,
        contents: value.contents,
    })
}

/// A tag, a length and what they are about.
struct Element<'d> {
    tag: u8,
    encoded: &'d [u8],
    contents: &'d [u8],
}

/// The first element, and what follows it. Tags of several bytes and open lengths are not DER of a name.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let [tag, first, behind @ ..] = der else {
        return None;
    };
    if tag & 0x1f == 0x1f {
        return None;
    }
    let (length, head) = match first {
        0..=0x7f => (usize::from(*first), 2),
        0x81..=0x83 => {
            let count = usize::from(first & 0x7f);
            let bytes = behind.get(..count)?;
            let length = bytes
                .iter()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            (length, 2 + count)
        }
        _ => return None,
    };
    let encoded = der.get(..head.checked_add(length)?)?;
    let element = Element {
        tag: *tag,
        encoded,
        contents: encoded.get(head..)?,
    };
    Some((element, der.get(encoded.len()..)?))
}

/// More than any authority signs.
const NAME_BYTES_MAX: usize = 16 * 1024;
/// How much of an unknown identifier OpenSSL prints.
const OID_CHARS_MAX: usize = 79;

const BIT_STRING: u8 = 0x03;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const NUMERIC_STRING: u8 = 0x12;
const PRINTABLE_STRING: u8 = 0x13;
const T61_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VISIBLE_STRING: u8 = 0x1a;
const UNIVERSAL_STRING: u8 = 0x1c;
const BMP_STRING: u8 = 0x1e;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

//! The other readings of a path: what a server behind the gateway may make of its bytes.
//!
//! Each step below is something that real servers do; all combinations of them are looked at. Letter
//! case is not among the steps: it multiplies every reading, so it is folded while comparing.

use std::borrow::Cow;

use super::DotSegments;
use super::PathRefusal;
use super::Piece;
use super::canonical;
use super::hex_byte;
use super::pieces;
use super::push_escape;

/// Lists the readings of a canonical path, the path as written first; empty when it is the only one.
///
/// # Errors
/// When a reading is no path, hides a dot segment, or there are more than `READINGS_MAX`.
pub(super) fn all(text: &str) -> Result<Vec<String>, PathRefusal> {
    let mut readings = vec![loosened(text)];
    let mut next = 0;
    while let Some(reading) = readings.get(next).cloned() {
        next += 1;
        for changed in STEPS.iter().filter_map(|step| step(&reading)) {
            let changed = loosened(&canonical(&changed, DotSegments::Refused)?);
            if readings.contains(&changed) {
                continue;
            }
            if readings.len() == READINGS_MAX {
                return Err(PathRefusal::TooManyReadings);
            }
            readings.push(changed);
        }
    }
    if readings.len() == 1 && readings.first().is_some_and(|only| only == text) {
        readings.clear();
    }
    Ok(readings)
}

/// An honest path has one or two; whoever needs more is probing.
const READINGS_MAX: usize = 24;

/// What a server may do with a path; `None` when it changes nothing.
type Step = fn(&str) -> Option<String>;

const STEPS: [Step; 9] = [
    |text| replaced(text, "%2F", "/"),
    |text| replaced(text, "%5C", "/"),
    |text| replaced(text, "%3B", ";"),
    |text| cut_at(text, "%3F"),
    |text| cut_at(text, "%23"),
    without_parameters,
    decoded_once_more,
    narrowed,
    trimmed,
];

fn replaced(text: &str, escape: &str, with: &str) -> Option<String> {
    text.contains(escape).then(|| text.replace(escape, with))
}

/// Ends the path where a decoded `?` or `#` would end it.
fn cut_at(text: &str, escape: &str) -> Option<String> {
    text.split_once(escape).map(|(path, _)| path.to_owned())
}

/// Takes the parameters (`;x=1`) off every segment.
fn without_parameters(text: &str) -> Option<String> {
    text.contains(';').then(|| {
        let names: Vec<&str> = text
            .split('/')
            .filter_map(|segment| segment.split(';').next())
            .collect();
        names.join("/")
    })
}

/// Takes spaces off both ends of every segment and dots off its end, as file systems of Windows do.
fn trimmed(text: &str) -> Option<String> {
    let segments: Vec<&str> = text.split('/').map(trimmed_segment).collect();
    Some(segments.join("/")).filter(|trimmed| trimmed != text)
}

/// A dot segment that comes to light stays one, and is refused as hidden.
fn trimmed_segment(segment: &str) -> &str {
    let mut rest = segment;
    loop {
        let before = rest;
        rest = rest.trim_start_matches("%20").trim_end_matches("%20");
        if !rest.bytes().all(|b| b == b'.') {
            rest = rest.trim_end_matches('.');
        }
        if rest == before {
            return rest;
        }
    }
}

/// Whether decoding twice gives more than decoding once.
pub(super) fn is_doubly_encoded(text: &str) -> bool {
    after_percents(text).any(|part| inner_escape(part).is_some())
}

fn decoded_once_more(text: &str) -> Option<String> {
    if !is_doubly_encoded(text) {
        return None;
    }
    let mut out = text.split("%25").next().unwrap_or(text).to_owned();
    for part in after_percents(text) {
        match inner_escape(part) {
            Some((Inner::Byte(byte), _)) => push_escape(&mut out, byte),
            Some((Inner::Char(c), _)) => push_escaped_char(&mut out, c),
            None => out.push_str("%25"),
        }
        out.push_str(inner_escape(part).map_or(part, |(_, tail)| tail));
    }
    Some(out)
}

/// What follows each escaped `%`.
fn after_percents(text: &str) -> impl Iterator<Item = &str> {
    text.split("%25").skip(1)
}

/// What an escape behind an escaped `%` stands for: a byte, or IIS's `%uXXXX`.
enum Inner {
    Byte(u8),
    Char(char),
}

/// The escape that a text begins with once a `%` is put before it, and what follows.
fn inner_escape(text: &str) -> Option<(Inner, &str)> {
    if let Some((hex, tail)) = text.split_at_checked(2)
        && let Some(byte) = hex_byte(hex)
    {
        return Some((Inner::Byte(byte), tail));
    }
    let (hex, tail) = text.strip_prefix(['u', 'U'])?.split_at_checked(4)?;
    let (high, low) = hex.split_at_checked(2)?;
    let unit = u16::from_be_bytes([hex_byte(high)?, hex_byte(low)?]);
    Some((Inner::Char(char::from_u32(u32::from(unit))?), tail))
}

/// Replaces characters beyond ASCII that some servers take for ASCII ones: full-width forms, and
/// those that folding their case turns into ASCII letters.
fn narrowed(text: &str) -> Option<String> {
    let out = mapped(text, narrow);
    (out != text).then_some(out)
}

fn narrow(c: char) -> char {
    /// Full-width forms are ASCII plus this.
    const WIDTH: u32 = 0xFEE0;
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - WIDTH).unwrap_or(c),
        'ı' | 'İ' => 'i',
        'ſ' => 's',
        '\u{212A}' => 'k',
        _ => c,
    }
}

/// Folds the letter case of a reading or of a pattern's text; escapes keep their spelling.
pub(in crate::decision) fn folded(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|b| b.is_ascii_uppercase() || b == b'%') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for piece in pieces(&mapped(text, lower_case)).flatten() {
        match piece {
            Piece::Escape(byte) => push_escape(&mut out, byte),
            Piece::Literal(literal) => out.push_str(&literal.to_ascii_lowercase()),
        }
    }
    if out == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(out)
    }
}

/// The lower-case form of a character that has exactly one.
fn lower_case(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(only), None) => only,
        _ => c,
    }
}

/// Replaces the escaped characters beyond ASCII one by one.
fn mapped(text: &str, map: fn(char) -> char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut wide = Vec::new();
    for piece in pieces(text).flatten() {
        match piece {
            Piece::Escape(byte) if !byte.is_ascii() => wide.push(byte),
            Piece::Escape(byte) => {
                flush(&mut out, &mut wide, map);
                push_escape(&mut out, byte);
            }
            Piece::Literal(literal) => {
                flush(&mut out, &mut wide, map);
                out.push_str(literal);
            }
        }
    }
    flush(&mut out, &mut wide, map);
    out
}

fn flush(out: &mut String, wide: &mut Vec<u8>, map: fn(char) -> char) {
    for c in String::from_utf8_lossy(wide).chars() {
        push_escaped_char(out, map(c));
    }
    wide.clear();
}

fn push_escaped_char(out: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        push_escape(out, byte);
    }
}

/// Unescapes the visible ASCII characters that mean nothing in a path.
pub(in crate::decision) fn loosened(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text).flatten() {
        match piece {
            Piece::Escape(byte) if byte.is_ascii_graphic() && !b"#%/;?\\".contains(&byte) => {
                out.push(char::from(byte));
            }
            Piece::Escape(byte) => push_escape(&mut out, byte),
            Piece::Literal(literal) => out.push_str(literal),
        }
    }
    out
}

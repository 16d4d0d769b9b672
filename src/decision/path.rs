//! The one path normaliser: what it returns is what is decided on, and its bytes are what is forwarded.
//!
//! A path also knows its other readings: what servers behind the gateway may take it for (see
//! `reading`). Queries are no part of it, and which paths are served is the business of `routing`.

use std::borrow::Cow;

pub use self::oddity::Oddity;
pub use self::oddity::Tolerance;
pub(in crate::decision) use self::reading::folded;
pub(in crate::decision) use self::reading::loosened;

mod oddity;
mod reading;

/// Brings the raw path of a request target, without its query, into canonical form.
///
/// Canonical means: it begins with `/`; escapes of unreserved characters are decoded and all others
/// have upper-case hexadecimal digits; dot segments, plain or encoded, are resolved (RFC 3986
/// §5.2.4); repeated slashes are one. A canonical path normalises to itself.
///
/// # Errors
/// Says what is wrong with a path that no route can allow.
pub fn normalise(raw: &str) -> Result<NormalPath<'_>, PathRefusal> {
    if is_plain(raw) {
        return Ok(NormalPath {
            text: Cow::Borrowed(raw),
            oddities: Tolerance::none(),
            readings: Vec::new(),
        });
    }
    let text = canonical(raw, DotSegments::Resolved)?;
    let oddities = oddity::all_in(&text);
    let readings = reading::all(&text)?;
    let text = if text == raw {
        Cow::Borrowed(raw)
    } else {
        Cow::Owned(text)
    };
    Ok(NormalPath {
        text,
        oddities,
        readings,
    })
}

/// A path in canonical form, with everything else it may be taken for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath<'a> {
    text: Cow<'a, str>,
    oddities: Tolerance,
    /// Empty when the text itself is the only reading.
    readings: Vec<String>,
}

impl NormalPath<'_> {
    /// The canonical path: the bytes to forward.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The odd spellings in it, as the tolerance it takes to let them through.
    #[must_use]
    pub const fn oddities(&self) -> Tolerance {
        self.oddities
    }

    /// Every text a server may take the path for, the path as written first.
    ///
    /// Readings are compared with patterns and never forwarded. Visible ASCII characters without a
    /// meaning in a path are unescaped in them, so that `%40` and `@` are one. Letter case is left
    /// as it is: `routing` folds it.
    pub fn readings(&self) -> impl Iterator<Item = &str> {
        let itself = self.readings.is_empty().then_some(self.as_str());
        itself
            .into_iter()
            .chain(self.readings.iter().map(String::as_str))
    }
}

/// Why a path is refused with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathRefusal {
    /// A `..` segment leaves the root.
    #[error("the path climbs above the root")]
    AboveRoot,
    /// Read in different ways, the path belongs to different routes.
    #[error("the path can be read as belonging to another route")]
    Ambiguous,
    /// A character that no path holds unescaped.
    #[error("the character {0:?} is not allowed in a path")]
    Character(char),
    /// An escaped control character.
    #[error("the path holds an escaped control character")]
    ControlCharacter,
    /// A dot segment behind a parameter or an odd escape.
    #[error("the path hides a dot segment")]
    HiddenDotSegment,
    /// A `%` without two hexadecimal digits.
    #[error("the path holds a malformed escape")]
    MalformedEscape,
    /// The target does not begin with `/`.
    #[error("the path does not begin with a slash")]
    NotAbsolute,
    /// Escapes that are not UTF-8, overlong forms among them.
    #[error("the path is not UTF-8")]
    NotUtf8,
    /// An odd spelling that the route does not tolerate.
    #[error("the path holds {}", .0.name())]
    Odd(Oddity),
    /// More readings than are looked at.
    #[error("the path can be read in too many ways")]
    TooManyReadings,
}

/// Whether a text is canonical and has no second reading but its letter case; most paths are.
fn is_plain(raw: &str) -> bool {
    let mut previous = b'\0';
    for byte in raw.bytes() {
        let fits = match byte {
            // A segment that begins with a dot may be a dot segment; one that ends with one has readings.
            b'/' => !matches!(previous, b'/' | b'.'),
            b'.' => previous != b'/',
            b'%' | b';' | b'#' | b'?' | b'\\' => false,
            _ => byte.is_ascii_graphic(),
        };
        if !fits {
            return false;
        }
        previous = byte;
    }
    raw.starts_with('/') && previous != b'.'
}

/// What becomes of `.` and `..` segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DotSegments {
    /// They are hidden ones that nobody honest sends.
    Refused,
    /// They are resolved.
    Resolved,
}

fn canonical(raw: &str, dots: DotSegments) -> Result<String, PathRefusal> {
    if !raw.starts_with('/') {
        return Err(PathRefusal::NotAbsolute);
    }
    resolve(&unescape(raw)?, dots)
}

/// Checks every character and escape, decodes those of unreserved characters, spells the others in
/// upper case.
fn unescape(raw: &str) -> Result<String, PathRefusal> {
    let mut out = String::with_capacity(raw.len());
    let mut wide = Vec::new();
    for piece in pieces(raw) {
        match piece.ok_or(PathRefusal::MalformedEscape)? {
            Piece::Escape(byte) if byte.is_ascii() => {
                check_wide(&mut wide)?;
                push_ascii(&mut out, byte)?;
            }
            Piece::Escape(byte) => {
                wide.push(byte);
                push_escape(&mut out, byte);
            }
            Piece::Literal(text) => {
                check_wide(&mut wide)?;
                out.push_str(check_literal(text)?);
            }
        }
    }
    check_wide(&mut wide)?;
    Ok(out)
}

/// A part of a path: an escaped byte, or text without escapes.
enum Piece<'a> {
    Escape(u8),
    Literal(&'a str),
}

/// Cuts a path into its parts; `None` stands for a malformed escape.
fn pieces(text: &str) -> impl Iterator<Item = Option<Piece<'_>>> {
    let (head, tail) = text
        .split_once('%')
        .map_or((text, None), |(head, tail)| (head, Some(tail)));
    let escaped = tail
        .into_iter()
        .flat_map(|tail| tail.split('%'))
        .flat_map(|part| {
            let (escape, literal) = part
                .split_at_checked(2)
                .map_or((None, ""), |(hex, literal)| (hex_byte(hex), literal));
            [escape.map(Piece::Escape), Some(Piece::Literal(literal))]
        });
    std::iter::once(Some(Piece::Literal(head)))
        .chain(escaped)
        .filter(|piece| !matches!(piece, Some(Piece::Literal(""))))
}

/// The value of two hexadecimal digits; a sign is not one.
fn hex_byte(hex: &str) -> Option<u8> {
    let is_hex = hex.len() == 2 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex {
        u8::from_str_radix(hex, 16).ok()
    } else {
        None
    }
}

fn check_literal(text: &str) -> Result<&str, PathRefusal> {
    let wrong = |c: char| !c.is_ascii_graphic() || matches!(c, '#' | '?' | '\\');
    text.chars()
        .find(|c| wrong(*c))
        .map_or(Ok(text), |c| Err(PathRefusal::Character(c)))
}

/// Checks a run of escaped bytes beyond ASCII, and forgets it.
fn check_wide(wide: &mut Vec<u8>) -> Result<(), PathRefusal> {
    let text = std::str::from_utf8(wide).map_err(|_| PathRefusal::NotUtf8)?;
    if text.chars().any(char::is_control) {
        return Err(PathRefusal::ControlCharacter);
    }
    wide.clear();
    Ok(())
}

fn push_ascii(out: &mut String, byte: u8) -> Result<(), PathRefusal> {
    if byte.is_ascii_control() {
        return Err(PathRefusal::ControlCharacter);
    }
    if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
        out.push(char::from(byte));
    } else {
        push_escape(out, byte);
    }
    Ok(())
}

fn push_escape(out: &mut String, byte: u8) {
    let digits = [byte >> 4, byte & 0xf].map(|digit| char::from_digit(u32::from(digit), 16));
    out.push('%');
    out.extend(
        digits
            .into_iter()
            .flatten()
            .map(|digit| digit.to_ascii_uppercase()),
    );
}

/// Merges slashes and resolves dot segments (RFC 3986 §5.2.4).
fn resolve(text: &str, dots: DotSegments) -> Result<String, PathRefusal> {
    let mut out = String::with_capacity(text.len());
    let mut open = false;
    for segment in text.split('/') {
        let name = segment.split(';').next().unwrap_or(segment);
        let is_dots = matches!(name, "." | "..");
        if is_dots && (name != segment || dots == DotSegments::Refused) {
            return Err(PathRefusal::HiddenDotSegment);
        }
        open = is_dots || segment.is_empty();
        match segment {
            "" | "." => {}
            ".." => out.truncate(out.rfind('/').ok_or(PathRefusal::AboveRoot)?),
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if open {
        out.push('/');
    }
    Ok(out)
}

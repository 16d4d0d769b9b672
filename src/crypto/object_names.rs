//! The short names by which OpenSSL prints object identifiers, and the identifiers as digits and dots.
//!
//! The list is OpenSSL's; what is not in it has no name.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The short name of an object identifier in digits and dots; none where OpenSSL knows none.
pub(super) fn short_name(dotted: &str) -> Option<&'static str> {
    static NAMES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
        let lines = include_str!("object_names.txt").lines();
        lines
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| line.split_once(' '))
            .collect()
    });
    NAMES.get(dotted).copied()
}

/// An object identifier in digits and dots, from its contents in DER; none for what is no identifier, or
/// longer than OpenSSL prints.
pub(super) fn dotted(contents: &[u8]) -> Option<String> {
    if contents.len() > CONTENTS_MAX || contents.last().is_none_or(|last| last & 0x80 != 0) {
        return None;
    }
    let mut out = String::new();
    let mut arc = Number::default();
    for byte in contents {
        arc.push(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        let mut whole = std::mem::take(&mut arc);
        if out.is_empty() {
            out.push_str(whole.split_first_arc());
        }
        out.push('.');
        whole.write(&mut out);
    }
    Some(out)
}

/// A number without bound, as parts of nine decimal digits, the lowest first.
#[derive(Default)]
struct Number(Vec<u32>);

impl Number {
    /// Takes in seven more bits.
    fn push(&mut self, bits: u8) {
        let mut carry = u64::from(bits);
        for part in &mut self.0 {
            carry += u64::from(*part) * 128;
            *part = u32::try_from(carry % PART).unwrap_or_default();
            carry /= PART;
        }
        if carry > 0 {
            self.0.push(u32::try_from(carry).unwrap_or_default());
        }
    }

    /// The first two arcs are one number (X.690 §8.19.4): takes the first from it.
    fn split_first_arc(&mut self) -> &'static str {
        let is_small = self.0.len() <= 1;
        let Some(low) = self.0.first_mut() else {
            return "0";
        };
        let (first, taken) = match *low {
            0..40 if is_small => ("0", 0),
            40..80 if is_small => ("1", 40),
            _ => ("2", 80),
        };
        self.subtract(taken);
        first
    }

    fn subtract(&mut self, taken: u32) {
        let mut borrow = taken;
        for part in &mut self.0 {
            let (left, below) = part.overflowing_sub(borrow);
            *part = if below {
                left.wrapping_add(PART_32)
            } else {
                left
            };
            borrow = u32::from(below);
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn write(&self, out: &mut String) {
        let mut parts = self.0.iter().rev();
        match parts.next() {
            None => out.push('0'),
            Some(first) => out.push_str(&first.to_string()),
        }
        for part in parts {
            out.push_str(&format!("{part:09}"));
        }
    }
}

const PART_32: u32 = 1_000_000_000;
const PART: u64 = PART_32 as u64;
/// What OpenSSL refuses to print is longer.
const CONTENTS_MAX: usize = 586;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_printed_as_they_are_assigned() {
        for (contents, text) in [
            (&[0x55, 0x04, 0x03][..], "2.5.4.3"),
            (
                &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01],
                "1.2.840.113549.1.9.1",
            ),
            (&[0x00], "0.0"),
            (&[0x27], "0.39"),
            (&[0x28], "1.0"),
            (&[0x4f], "1.39"),
            (&[0x50], "2.0"),
            (&[0x88, 0x37, 0x03], "2.999.3"),
            (
                &[
                    0x69, 0x83, 0xba, 0xbd, 0xae, 0xbb, 0xa3, 0x8f, 0xf7, 0xb8, 0x12,
                ],
                "2.25.31884000858715577362",
            ),
        ] {
            assert_eq!(dotted(contents).as_deref(), Some(text));
        }
        assert_eq!(dotted(&[]), None);
        assert_eq!(dotted(&[0x55, 0x84]), None);
        assert_eq!(dotted(&[1; CONTENTS_MAX + 1]), None);
    }

    #[test]
    fn names_are_those_of_openssl() {
        assert_eq!(short_name("2.5.4.3"), Some("CN"));
        assert_eq!(short_name("0.9.2342.19200300.100.1.1"), Some("UID"));
        assert_eq!(short_name("1.2.3.4"), None);
    }
}

//! Changes bytes as a fuzzer does, by chance that begins with a seed: the same seed gives the same bytes.

use crate::random::Random;

/// Where chance stands.
pub(crate) struct Mutation(Random);

impl Mutation {
    /// Chance for one body.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        Self(Random::stream(seed, name))
    }

    /// One of these, with a few changes.
    pub(crate) fn of(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.one(seeds).cloned().unwrap_or_default();
        for _ in 0..=self.below(6) {
            self.change(&mut bytes, seeds);
        }
        bytes.truncate(BYTES_MAX);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(bytes.len() + 1);
        let span = at..(at + self.below(16)).min(bytes.len());
        match self.below(9) {
            0 => {
                let bit = self.below(8);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let odd = self.one(ODD_BYTES).copied().unwrap_or_default();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = odd;
                }
            }
            2 => bytes.truncate(at),
            3 => {
                bytes.drain(span);
            }
            4 => {
                let copy = bytes.get(span).unwrap_or_default().to_vec();
                bytes.splice(at..at, copy);
            }
            5 => {
                let other = self.one(seeds).cloned().unwrap_or_default();
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            6 => {
                let odd = self.one(ODD_TEXTS).copied().unwrap_or_default();
                bytes.splice(at..at, odd.bytes());
            }
            7 => {
                let odd = self.one(ODD_TEXTS).copied().unwrap_or_default();
                bytes.splice(span, odd.bytes());
            }
            _ => {
                let count = self.below(8);
                let random: Vec<u8> = (0..count).map(|_| self.byte()).collect();
                bytes.splice(at..at, random);
            }
        }
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len()))
    }

    fn byte(&mut self) -> u8 {
        self.0.next().to_le_bytes()[0]
    }

    /// A number below a bound, or 0.
    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound)
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let seeds = [b"GET /a".to_vec(), b"users: []".to_vec()];
    let bytes = |seed, name| {
        let mut mutation = Mutation::new(seed, name);
        (0..50).map(|_| mutation.of(&seeds)).collect::<Vec<_>>()
    };
    assert_eq!(bytes(1, "path"), bytes(1, "path"));
    assert_ne!(bytes(1, "path"), bytes(2, "path"));
    assert_ne!(bytes(1, "path"), bytes(1, "query"));
}

/// What texts have a meaning in one place or another.
const ODD_TEXTS: &[&str] = &[
    "%2e%2e",
    "%2f",
    "%5c",
    "%00",
    "..",
    "//",
    "\\",
    ";",
    "#",
    "?",
    "%",
    "\r\n",
    "\n",
    "\t",
    " ",
    "\u{feff}",
    "\u{202e}",
    "\u{ff0e}",
    "é",
    "𝔸",
    "\0",
    "\"",
    "'",
    "${",
    "}",
    "$$",
    "${user.id}",
    "{ ",
    "[",
    "]",
    ": ",
    "- ",
    "&a ",
    "*a",
    "<<: ",
    "!!str ",
    "|",
    "null",
    "true",
    "0",
    "-1",
    "18446744073709551616",
    "1e9",
    "NaN",
    "=",
    "==",
    "&&",
    "(((",
    "__Host-portway-authn-main=",
    "; ",
    ", ",
    "AAAA",
    "____",
    "::1",
    "255.255.255.255",
];
const ODD_BYTES: &[u8] = &[
    0, 1, 9, 10, 13, 27, 32, 34, 37, 47, 59, 92, 127, 128, 192, 224, 240, 254, 255,
];
/// Longer ones only take longer.
const BYTES_MAX: usize = 32 << 10;

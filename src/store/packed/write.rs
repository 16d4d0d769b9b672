//! Writing the bytes of a packed record: numbers are as short as they are small.

use crate::model::time::Timestamp;
use crate::store::names::Names;
use crate::store::names::Shared;

/// The bytes of one record, as they are written.
pub(super) struct Writer<'n> {
    bytes: Vec<u8>,
    names: &'n mut Names,
}

impl<'n> Writer<'n> {
    pub(super) fn new(names: &'n mut Names) -> Self {
        Self {
            bytes: Vec::with_capacity(BYTES_USUAL),
            names,
        }
    }

    /// The bytes in a place of their own: an allocator leaves what merely shrinks where it is.
    pub(super) fn finish(self) -> Box<[u8]> {
        Box::from(self.bytes.as_slice())
    }

    pub(super) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Seven bits in a byte, the lowest first; the highest bit says that more follow.
    pub(super) fn number(&mut self, mut number: u64) {
        loop {
            let [low, ..] = number.to_le_bytes();
            number >>= 7;
            if number == 0 {
                return self.byte(low & 0x7f);
            }
            self.byte(low | 0x80);
        }
    }

    /// A point in time by its distance from another, on whichever side it lies.
    pub(super) fn time(&mut self, time: Timestamp, since: Timestamp) {
        let distance = time.as_millis().wrapping_sub(since.as_millis());
        let is_before = distance >> 63;
        self.number((distance << 1) ^ is_before.wrapping_neg());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
    }

    pub(super) fn name<N: Shared>(&mut self, name: &N) {
        let number = self.names.hold(name);
        self.number(u64::from(number));
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.byte(0),
            Some(value) => {
                self.byte(1);
                write(self, value);
            }
        }
    }

    pub(super) fn list<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.number(values.len() as u64);
        values.iter().for_each(|value| write(self, value));
    }
}

/// Saves most records from growing their buffer step by step.
const BYTES_USUAL: usize = 256;

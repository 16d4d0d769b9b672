//! Reading what `write` wrote. Bytes that it did not write end in nothing, never in a panic.

use crate::model::time::Timestamp;
use crate::store::names::Shared;
use crate::store::packed::NameSource;

/// The bytes of one record, as they are read.
pub(super) struct Reader<'b, S> {
    bytes: &'b [u8],
    names: S,
}

impl<'b, S: NameSource> Reader<'b, S> {
    pub(super) const fn new(bytes: &'b [u8], names: S) -> Self {
        Self { bytes, names }
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.bytes.split_first_chunk()?;
        self.bytes = rest;
        Some(*array)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn time(&mut self, since: Timestamp) -> Option<Timestamp> {
        let folded = self.number()?;
        let distance = (folded >> 1) ^ (folded & 1).wrapping_neg();
        Some(Timestamp::from_millis(
            since.as_millis().wrapping_add(distance),
        ))
    }

    pub(super) fn text(&mut self) -> Option<&'b str> {
        let length = self.length()?;
        let (text, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        str::from_utf8(text).ok()
    }

    pub(super) fn name<N: Shared>(&mut self) -> Option<N> {
        let number = u32::try_from(self.number()?).ok()?;
        self.names.name(number)
    }

    /// What stands there, if anything does; nothing at all when it cannot be read.
    #[expect(
        clippy::option_option,
        reason = "what is unreadable is not what is absent"
    )]
    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.byte()? {
            0 => Some(None),
            _ => read(self).map(Some),
        }
    }

    pub(super) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<Vec<T>> {
        let length = self.length()?;
        // Each entry takes a byte at least.
        let mut list = Vec::with_capacity(length.min(self.bytes.len()));
        for _ in 0..length {
            list.push(read(self)?);
        }
        Some(list)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }
}

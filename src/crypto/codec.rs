//! A minimal binary codec for what travels inside a seal: numbers of fixed width or as short as they
//! are, and text with its length.
//!
//! Reading never panics and never allocates more than the input is long. There is no versioning here:
//! the seal's version byte covers it.

use crate::model::time::Timestamp;

/// The bytes were not what the reader asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Builds a message.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts a message with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    /// Appends one byte.
    pub fn byte(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    /// Appends a 32-bit number, big-endian.
    pub fn number(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_be_bytes())
    }

    /// Appends a point in time.
    pub fn time(&mut self, value: Timestamp) -> &mut Self {
        self.raw(&value.as_millis().to_be_bytes())
    }

    /// Appends a number in as few bytes as it takes: seven bits each, the lowest first (LEB128).
    pub fn short_number(&mut self, mut value: u64) -> &mut Self {
        while value >= u64::from(MORE) {
            self.0.push(value.to_le_bytes()[0] | MORE);
            value >>= BITS;
        }
        self.0.push(value.to_le_bytes()[0]);
        self
    }

    /// Appends a point in time as the distance from another one that the reader knows; a point before
    /// that one takes more bytes and reads back all the same.
    pub fn time_after(&mut self, base: Timestamp, value: Timestamp) -> &mut Self {
        self.short_number(value.as_millis().wrapping_sub(base.as_millis()))
    }

    /// Appends bytes whose length the reader knows.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends text with its length; text beyond 65535 bytes is cut, which no bounded name reaches.
    pub fn text(&mut self, text: &str) -> &mut Self {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.raw(&length.to_be_bytes());
        let kept = text
            .as_bytes()
            .get(..usize::from(length))
            .unwrap_or_default();
        self.raw(kept)
    }

    /// Appends a name with its length in one byte; a name beyond 255 bytes is cut, which none is.
    pub fn name(&mut self, name: &str) -> &mut Self {
        let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
        self.byte(length);
        let kept = name
            .as_bytes()
            .get(..usize::from(length))
            .unwrap_or_default();
        self.raw(kept)
    }

    /// The finished message.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Takes a message apart, front to back.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes one byte.
    ///
    /// # Errors
    /// When the message is over.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// Takes a 32-bit number.
    ///
    /// # Errors
    /// When the message is over.
    pub fn number(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// Takes a point in time.
    ///
    /// # Errors
    /// When the message is over.
    pub fn time(&mut self) -> Result<Timestamp, Malformed> {
        self.array()
            .map(|bytes| Timestamp::from_millis(u64::from_be_bytes(bytes)))
    }

    /// Takes a number of as few bytes as it takes.
    ///
    /// # Errors
    /// When the message is over, or the number is longer than it need be or than 64 bits.
    pub fn short_number(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(BITS) {
            let byte = self.byte()?;
            let bits = u64::from(byte & !MORE);
            value |= bits << shift;
            // The tenth byte has room for one bit, and a last byte of nothing would be a second spelling.
            if (bits << shift) >> shift != bits || (byte == 0 && shift > 0) {
                return Err(Malformed);
            }
            if byte & MORE == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    /// Takes a point in time that was written as the distance from `base`.
    ///
    /// # Errors
    /// As [`Self::short_number`].
    pub fn time_after(&mut self, base: Timestamp) -> Result<Timestamp, Malformed> {
        let distance = self.short_number()?;
        Ok(Timestamp::from_millis(
            base.as_millis().wrapping_add(distance),
        ))
    }

    /// Takes `N` bytes.
    ///
    /// # Errors
    /// When the message is over.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    /// Takes text with its length.
    ///
    /// # Errors
    /// When the message is over, or the text is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(u16::from_be_bytes(self.array()?));
        self.text_of(length)
    }

    /// Takes a name with its length in one byte.
    ///
    /// # Errors
    /// When the message is over, or the name is not UTF-8.
    pub fn name(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.byte()?);
        self.text_of(length)
    }

    /// All that is left.
    pub const fn rest(&mut self) -> &'a [u8] {
        let rest = self.0;
        self.0 = &[];
        rest
    }

    fn text_of(&mut self, length: usize) -> Result<&'a str, Malformed> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        std::str::from_utf8(head).map_err(|_| Malformed)
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// When bytes are left over.
    pub const fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Malformed)
        }
    }
}

/// Bits of a number in each byte of its short form.
const BITS: usize = 7;
/// Set in every byte of a short number but the last.
const MORE: u8 = 0x80;

//! A minimal binary codec for what travels inside a seal: fixed-width numbers and length-prefixed text.
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

//! Spellings of a path that are refused unless a route tolerates them.
//!
//! Tolerating one never changes which route a path belongs to: its readings are compared all the same.

use super::reading::is_doubly_encoded;

/// A spelling that honest clients rarely send and servers read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    /// An escape of an escape, such as `%252f`.
    DoubleEncoding,
    /// `%5c`.
    EncodedBackslash,
    /// `%23`.
    EncodedHash,
    /// `%2f`.
    EncodedSlash,
}

impl Oddity {
    /// Every oddity.
    pub const ALL: [Self; 4] = [
        Self::DoubleEncoding,
        Self::EncodedBackslash,
        Self::EncodedHash,
        Self::EncodedSlash,
    ];

    /// The names of all oddities, as `parse` reads them.
    pub const NAMES: [&'static str; 4] = [
        "double_encoding",
        "encoded_backslash",
        "encoded_hash",
        "encoded_slash",
    ];

    /// Finds an oddity by its name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|oddity| oddity.name() == name)
    }

    /// The name of the oddity in configuration and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        let [
            double_encoding,
            encoded_backslash,
            encoded_hash,
            encoded_slash,
        ] = Self::NAMES;
        match self {
            Self::DoubleEncoding => double_encoding,
            Self::EncodedBackslash => encoded_backslash,
            Self::EncodedHash => encoded_hash,
            Self::EncodedSlash => encoded_slash,
        }
    }

    const fn bit(self) -> u8 {
        match self {
            Self::DoubleEncoding => 1,
            Self::EncodedBackslash => 2,
            Self::EncodedHash => 4,
            Self::EncodedSlash => 8,
        }
    }
}

/// A set of oddities; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance(u8);

impl Tolerance {
    /// Tolerates nothing odd.
    #[must_use]
    pub const fn none() -> Self {
        Self(0)
    }

    /// Tolerates one oddity more.
    #[must_use]
    pub const fn with(self, oddity: Oddity) -> Self {
        Self(self.0 | oddity.bit())
    }

    /// Whether an oddity is tolerated.
    #[must_use]
    pub const fn allows(self, oddity: Oddity) -> bool {
        self.0 & oddity.bit() != 0
    }

    /// The oddities of the set, by name.
    pub fn iter(self) -> impl Iterator<Item = Oddity> {
        Oddity::ALL
            .into_iter()
            .filter(move |oddity| self.allows(*oddity))
    }

    /// The first oddity of `found` that is not tolerated.
    #[must_use]
    pub fn first_missing(self, found: Self) -> Option<Oddity> {
        Self(found.0 & !self.0).iter().next()
    }
}

/// Finds the oddities of a canonical path.
pub(super) fn all_in(canonical: &str) -> Tolerance {
    let found = canonical.split('%').skip(1).filter_map(|part| {
        let (escape, _) = part.split_at_checked(2)?;
        match escape {
            "23" => Some(Oddity::EncodedHash),
            "2F" => Some(Oddity::EncodedSlash),
            "5C" => Some(Oddity::EncodedBackslash),
            _ => None,
        }
    });
    let found = found.fold(Tolerance::none(), Tolerance::with);
    if is_doubly_encoded(canonical) {
        found.with(Oddity::DoubleEncoding)
    } else {
        found
    }
}

//! Durations and sizes with units: text → value.
//!
//! A bare number is refused, because its unit would be a guess (W-36), and so are fractions, zero
//! durations and spans beyond ten years, which would overflow somewhere else.

use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// A number without a unit.
    #[error("it has no unit")]
    Bare(&'static Units),
    /// A number with a fraction.
    #[error("it has a fraction")]
    Fraction,
    /// Not a number followed by a unit.
    #[error("it is not a number with a unit")]
    Shape(&'static Units),
    /// Larger than anything sensible.
    #[error("it is too large")]
    TooLarge,
    /// A unit nobody knows.
    #[error("the unit `{0}` is unknown")]
    Unit(String, &'static Units),
    /// A duration of nothing.
    #[error("it must be longer than nothing")]
    Zero,
}

/// The units of one kind of quantity.
#[derive(Debug, PartialEq, Eq)]
pub struct Units {
    /// Names, and how many of the smallest each is.
    all: &'static [(&'static str, u64)],
    /// The one a bare number most likely meant.
    meant: &'static str,
}

impl QuantityError {
    /// How the quantity is written.
    #[must_use]
    pub fn hint(&self, text: &str) -> Option<String> {
        match self {
            Self::Bare(units) => Some(format!("write `{text}{}`", units.meant)),
            Self::Fraction => Some("use a smaller unit".to_owned()),
            Self::Shape(units) | Self::Unit(_, units) => {
                let names: Vec<&str> = units.all.iter().map(|(name, _)| *name).collect();
                Some(format!("units: {}", names.join(", ")))
            }
            Self::TooLarge | Self::Zero => None,
        }
    }
}

/// Reads a duration such as `250ms`, `30s` or `1h30m`.
///
/// # Errors
/// Says what keeps the text from being one.
pub fn duration(text: &str) -> Result<Duration, QuantityError> {
    duration_in(text, DURATIONS)
}

/// Reads a duration of which a bare number would have meant milliseconds.
///
/// # Errors
/// Says what keeps the text from being one.
pub fn brief_duration(text: &str) -> Result<Duration, QuantityError> {
    duration_in(text, BRIEF_DURATIONS)
}

fn duration_in(text: &str, units: &'static Units) -> Result<Duration, QuantityError> {
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (value, behind) = part(rest, units)?;
        total = total.checked_add(value).ok_or(QuantityError::TooLarge)?;
        rest = behind;
    }
    match total {
        _ if text.is_empty() => Err(QuantityError::Shape(units)),
        0 => Err(QuantityError::Zero),
        1..=MILLISECONDS_MAX => Ok(Duration::from_millis(total)),
        _ => Err(QuantityError::TooLarge),
    }
}

/// Reads a size such as `32KiB` as bytes.
///
/// # Errors
/// Says what keeps the text from being one.
pub fn size(text: &str) -> Result<u64, QuantityError> {
    match part(text, SIZES)? {
        (bytes, "") if bytes <= BYTES_MAX => Ok(bytes),
        (_, "") => Err(QuantityError::TooLarge),
        _ => Err(QuantityError::Shape(SIZES)),
    }
}

/// One number with its unit, and what follows them.
fn part<'t>(text: &'t str, units: &'static Units) -> Result<(u64, &'t str), QuantityError> {
    let behind_digits = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(behind_digits).unwrap_or(text);
    let behind = behind_digits.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let name = behind_digits.strip_suffix(behind).unwrap_or(behind_digits);
    if digits.is_empty() {
        return Err(QuantityError::Shape(units));
    }
    if name.is_empty() {
        return Err(match behind.chars().next() {
            None => QuantityError::Bare(units),
            Some('.' | ',') => QuantityError::Fraction,
            Some(_) => QuantityError::Shape(units),
        });
    }
    let unit = units.all.iter().find(|(unit, _)| *unit == name);
    let (_, factor) = unit.ok_or_else(|| QuantityError::Unit(name.to_owned(), units))?;
    let number: u64 = digits.parse().map_err(|_| QuantityError::TooLarge)?;
    let value = number.checked_mul(*factor).ok_or(QuantityError::TooLarge)?;
    Ok((value, behind))
}

const DURATIONS: &Units = &Units {
    all: &[
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
    ],
    meant: "s",
};

const BRIEF_DURATIONS: &Units = &Units {
    all: DURATIONS.all,
    meant: "ms",
};

const SIZES: &Units = &Units {
    all: &[
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ],
    meant: "B",
};

/// Ten years.
const MILLISECONDS_MAX: u64 = 10 * 366 * 86_400_000;

/// What still fits the arithmetic of every platform.
const BYTES_MAX: u64 = 1 << 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_carry_units_w_36() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_mins(90)));
        assert_eq!(duration("30"), Err(QuantityError::Bare(DURATIONS)));
        assert_eq!(
            duration("30").unwrap_err().hint("30").unwrap(),
            "write `30s`"
        );
        assert_eq!(duration("1.5s"), Err(QuantityError::Fraction));
        assert_eq!(duration("0s"), Err(QuantityError::Zero));
        assert_eq!(duration("5 m"), Err(QuantityError::Shape(DURATIONS)));
        assert_eq!(duration("-5m"), Err(QuantityError::Shape(DURATIONS)));
        assert_eq!(duration(""), Err(QuantityError::Shape(DURATIONS)));
        assert_eq!(
            duration("5min"),
            Err(QuantityError::Unit("min".to_owned(), DURATIONS))
        );
        assert_eq!(
            duration("9999999999999999999s"),
            Err(QuantityError::TooLarge)
        );
        assert_eq!(duration("4000d"), Err(QuantityError::TooLarge));
    }

    #[test]
    fn a_bare_number_of_the_old_properties_meant_milliseconds_x_01() {
        assert_eq!(brief_duration("80ms"), Ok(Duration::from_millis(80)));
        let error = brief_duration("1000").unwrap_err();
        assert_eq!(error.hint("1000").unwrap(), "write `1000ms`");
    }

    #[test]
    fn sizes_carry_units() {
        assert_eq!(size("0B"), Ok(0));
        assert_eq!(size("32KiB"), Ok(32 << 10));
        assert_eq!(
            size("10MB"),
            Err(QuantityError::Unit("MB".to_owned(), SIZES))
        );
        assert_eq!(size("1KiB1B"), Err(QuantityError::Shape(SIZES)));
        assert_eq!(size("9999999TiB"), Err(QuantityError::TooLarge));
    }
}

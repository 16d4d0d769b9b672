//! nginx's times and sizes → quantities with a unit (W-36).

use std::time::Duration;

/// A time such as `5m`, `1h 30m`, `500ms` or `30`, which are seconds.
pub(super) fn time(text: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, behind) = number(rest)?;
        let unit: &str = behind.trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let name = behind.strip_suffix(unit).unwrap_or(behind);
        let (_, milliseconds) = TIMES.iter().find(|(known, _)| *known == name)?;
        let part = Duration::from_millis(number.checked_mul(*milliseconds)?);
        total = total.checked_add(part)?;
        rest = unit.trim_start();
    }
    (total <= TIME_MAX).then_some(total)
}

/// A time as it is written here.
pub(super) fn duration(time: Duration) -> String {
    let milliseconds = time.as_millis();
    let units = [
        (86_400_000, "d"),
        (3_600_000, "h"),
        (60_000, "m"),
        (1000, "s"),
    ];
    let unit = units
        .iter()
        .find(|(unit, _)| milliseconds.is_multiple_of(*unit));
    match unit {
        Some((unit, name)) => format!("{}{name}", milliseconds / unit),
        None => format!("{milliseconds}ms"),
    }
}

/// A size such as `10m`, `512k` or `4096`, in bytes.
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = number(text)?;
    let factor = match unit {
        "" => 1,
        "k" | "K" => 1 << 10,
        "m" | "M" => 1 << 20,
        "g" | "G" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A size as it is written here.
pub(super) fn bytes(size: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let unit = units
        .iter()
        .find(|(unit, _)| size > 0 && size.is_multiple_of(*unit));
    match unit {
        Some((unit, name)) => format!("{}{name}", size / unit),
        None => format!("{size}B"),
    }
}

fn number(text: &str) -> Option<(u64, &str)> {
    let behind = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.strip_suffix(behind)?;
    Some((digits.parse().ok()?, behind))
}

/// Longer than anybody waits, and the longest that a configuration may say.
const TIME_MAX: Duration = Duration::from_hours(24 * 3650);

const TIMES: &[(&str, u64)] = &[
    ("", 1000),
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
    ("M", 2_592_000_000),
    ("y", 31_536_000_000),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_get_the_unit_that_nginx_means_w_36() {
        for (text, expected) in [
            ("5m", "5m"),
            ("60", "1m"),
            ("90s", "90s"),
            ("1h30m", "90m"),
            ("1h 30m", "90m"),
            ("500ms", "500ms"),
            ("1M", "30d"),
        ] {
            assert_eq!(
                time(text).map(duration).as_deref(),
                Some(expected),
                "{text}"
            );
        }
        for (text, expected) in [
            ("10m", "10MiB"),
            ("8K", "8KiB"),
            ("1000", "1000B"),
            ("1g", "1GiB"),
        ] {
            assert_eq!(size(text).map(bytes).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "x", "5x", "m"] {
            assert_eq!((time(text), size(text)), (None, None), "{text}");
        }
    }
}

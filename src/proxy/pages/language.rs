//! Which language somebody reads, by their `Accept-Language` (RFC 9110 §12.5.4, RFC 4647 §3.4).

/// The first of the languages that are spoken which somebody prefers; none where none is asked for.
pub(super) fn preferred(accept: &str, spoken: &[&str]) -> Option<usize> {
    let mut ranges: Vec<(u32, &str)> = accept
        .split(',')
        .take(RANGES_MAX)
        .filter_map(range)
        .filter(|(weight, _)| *weight > 0)
        .collect();
    // Stable: of two alike the first counts.
    ranges.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    ranges.into_iter().find_map(|(_, range)| {
        let wanted = range.to_ascii_lowercase();
        let mut tag = wanted.as_str();
        loop {
            if let Some(found) = spoken.iter().position(|language| *language == tag) {
                return Some(found);
            }
            (tag, _) = tag.rsplit_once('-')?;
        }
    })
}

/// A range and its weight in thousandths.
fn range(part: &str) -> Option<(u32, &str)> {
    let mut parts = part.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let weight = parts.find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        (name.trim().eq_ignore_ascii_case("q")).then(|| thousandths(value.trim()))
    });
    Some((weight.unwrap_or(WHOLE), range))
}

fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(3);
    let thousandths = digits.fold(0, |sum, digit| {
        sum * 10 + u32::from(digit.saturating_sub(b'0').min(9))
    });
    match whole {
        "0" | "" => thousandths,
        _ => WHOLE,
    }
}

const WHOLE: u32 = 1000;
/// A header that lists more than this is not a person's.
const RANGES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPOKEN: [&str; 4] = ["en", "ar", "de", "fr"];

    fn language(accept: &str) -> Option<&'static str> {
        let found = preferred(accept, &SPOKEN);
        found.map(|index| SPOKEN[index])
    }

    #[test]
    fn the_language_preferred_most_is_spoken_also_for_one_of_its_regions() {
        for (accept, expected) in [
            ("de", Some("de")),
            ("de-AT,de;q=0.9,en;q=0.8", Some("de")),
            ("es,fr-CH;q=0.7,en;q=0.6", Some("fr")),
            ("en;q=0.5, ar;q=0.9", Some("ar")),
            ("DE", Some("de")),
            ("en,de", Some("en")),
            ("fr;q=0,de;q=0.1", Some("de")),
            ("es", None),
            ("*", None),
            ("", None),
            (";q=1,,;", None),
        ] {
            assert_eq!(language(accept), expected, "{accept:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_is_too_odd(accept in "[ -~]{0,200}") {
            language(&accept);
        }
    }
}

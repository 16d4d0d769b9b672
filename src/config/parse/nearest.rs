//! "Did you mean": the most similar of some words.
//!
//! Knows words, not keys; nothing is guessed when nothing is near.

/// The most similar word, if one is near enough to have been meant.
pub(in crate::config) fn nearest<'w>(
    text: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    // A long text has no near word, and measuring it would cost its length times each word's.
    if text.len() > BYTES_MAX {
        return None;
    }
    let folded = text.to_ascii_lowercase();
    let allowed = (text.chars().count() / 3).clamp(1, 3);
    let distances = words
        .into_iter()
        .filter(|word| word.len().abs_diff(text.len()) <= allowed)
        .map(|word| (distance(&folded, word), word));
    let (distance, word) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= allowed).then_some(word)
}

/// Insertions, removals and replacements of characters, and swaps of neighbours.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut above: Vec<usize> = (0..=right.len()).collect();
    let mut above_that: Vec<usize> = Vec::new();
    let mut last = None;
    for (row, a) in left.chars().enumerate() {
        let mut current = vec![row.saturating_add(1)];
        for (column, b) in right.iter().enumerate() {
            let at = |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX);
            let replaced = at(&above, column).saturating_add(usize::from(a != *b));
            let removed = at(&above, column.saturating_add(1)).saturating_add(1);
            let inserted = at(&current, column).saturating_add(1);
            let before = column.checked_sub(1);
            let swaps = last == Some(*b) && before.and_then(|place| right.get(place)) == Some(&a);
            let swapped = match before {
                Some(place) if swaps => at(&above_that, place).saturating_add(1),
                _ => usize::MAX,
            };
            current.push(replaced.min(removed).min(inserted).min(swapped));
        }
        above_that = std::mem::replace(&mut above, current);
        last = Some(a);
    }
    above.last().copied().unwrap_or(usize::MAX)
}

const BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_its_word() {
        let words = ["hosts", "host", "routes", "listeners", "plain_http"];
        for (slip, meant) in [
            ("hots", "hosts"),
            ("rotues", "routes"),
            ("listner", "listeners"),
            ("plain-http", "plain_http"),
        ] {
            assert_eq!(nearest(slip, words), Some(meant), "{slip}");
        }
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest(&"h".repeat(100_000), words), None);
    }

    #[test]
    fn neighbours_that_swapped_count_once() {
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}

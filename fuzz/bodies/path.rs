//! The path normaliser: what it returns is canonical, hides nothing, and normalises to itself (W-09, D-18).

use portway::decision::path::normalise;

/// Normalises a text.
pub fn run(data: &[u8]) {
    let Ok(raw) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(path) = normalise(raw) else {
        return;
    };
    let text = path.as_str();
    assert!(text.starts_with('/'));
    assert!(!text.contains("//"), "{text}");
    assert!(
        text.split('/')
            .all(|segment| segment != "." && segment != ".."),
        "{text}"
    );
    assert!(
        text.chars()
            .all(|c| !c.is_control() && c != '?' && c != '#' && c != ' '),
        "{text:?}"
    );
    let again = normalise(text).expect("a canonical path is a path");
    assert_eq!(again.as_str(), text, "{raw:?}");
    assert_eq!(again.oddities(), path.oddities(), "{raw:?}");
    let readings: Vec<&str> = path.readings().collect();
    assert!(again.readings().eq(readings.iter().copied()), "{raw:?}");
    assert!(!readings.is_empty() && readings.len() <= READINGS_MAX);
}

/// Spellings of all kinds.
pub fn seeds() -> Vec<Vec<u8>> {
    [
        "/",
        "/app/Main.HTML",
        "/wiki/Jos%C3%A9%20M",
        "/pub/../adm",
        "/pub/..%2fadm",
        "/pub/..%5cadm",
        "/pub/%2e%2e/adm",
        "/pub/..;/adm",
        "/adm;x=1/s",
        "/adm%23pub",
        "/%252e%252e/adm",
        "//adm///s//",
        "/%E4%BD%A0",
        "/a\\b",
        "/%c0%ae%c0%ae/adm",
        "/100%25/x",
        "/list[0]|x",
        "/\u{ff0e}\u{ff0e}/adm",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}

/// More would be a way to make each request dear.
const READINGS_MAX: usize = 256;

//! The page on attacks names tests, and each of them exists.
//!
//! That a test shows what the page says is for people to see.

use std::collections::BTreeSet;

use regex::Regex;

use crate::read;
use crate::texts;

#[test]
fn every_test_that_the_page_on_attacks_names_exists() {
    let tests = tests();
    let page = read("docs/security.md");
    let named = named(&page);
    assert!(named.len() >= 100, "{}", named.len());
    let missing: Vec<&String> = named.difference(&tests).collect();
    assert!(
        missing.is_empty(),
        "docs/security.md names no test: {missing:#?}"
    );
}

/// A line that names nothing shows nothing.
#[test]
fn every_line_of_its_tables_names_a_test() {
    let page = read("docs/security.md");
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let rows: Vec<&str> = rows
        .filter(|row| !row.starts_with("| ---") && !row.ends_with("| shown by |"))
        .collect();
    assert!(rows.len() >= 50, "{}", rows.len());
    for row in rows {
        assert!(!named(row).is_empty(), "{row}");
    }
}

/// What stands in quotes and reads like a sentence.
fn named(text: &str) -> BTreeSet<String> {
    let name = Regex::new("`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let found = name.captures_iter(text);
    found.map(|found| found.extract::<1>().1.concat()).collect()
}

/// The names of the functions that are tests, in the code and beside it.
fn tests() -> BTreeSet<String> {
    let test = Regex::new(r"(?m)^\s*(?:async )?fn ([a-z0-9_]+)\(").unwrap();
    let mut names = BTreeSet::new();
    for (_, text) in texts(&["rs"]) {
        let marked = text.contains("#[test]")
            || text.contains("#[tokio::test")
            || text.contains("proptest!");
        if marked {
            names.extend(
                test.captures_iter(&text)
                    .map(|found| found.extract::<1>().1.concat()),
            );
        }
    }
    names
}

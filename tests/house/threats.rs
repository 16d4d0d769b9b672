//! The page on attacks names tests, each of which exists, and every attack of the list beside this file.
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

/// In a row of the tables, or among what has no part here yet.
#[test]
fn every_attack_of_the_list_is_named_by_the_page() {
    let listed = ids(&read("tests/house/attacks.txt"));
    assert!(listed.len() >= 148, "{}", listed.len());
    let named = ids(&read("docs/security.md"));
    let missing: Vec<&String> = listed.difference(&named).collect();
    assert!(missing.is_empty(), "docs/security.md names no {missing:#?}");
}

#[test]
fn what_helps_a_test_is_none() {
    let text = "#[test]\nfn one_is_a_test() {}\nfn another_only_helps_it() {}\n\
        #[tokio::test(start_paused = true)]\n// Why.\n#[expect(x)]\nasync fn so_is_this_one() {}\n";
    let expected = ["one_is_a_test", "so_is_this_one"].map(str::to_owned);
    assert_eq!(tests_in(text), BTreeSet::from(expected));
    let page = "CVE-2026-1, GHSA-a1b2-c3d4-e5f6 and RUSTSEC-2026-0002; CVE-2026";
    let expected = ["CVE-2026-1", "GHSA-a1b2-c3d4-e5f6", "RUSTSEC-2026-0002"].map(str::to_owned);
    assert_eq!(ids(page), BTreeSet::from(expected));
}

/// What stands in quotes and reads like a sentence.
fn named(text: &str) -> BTreeSet<String> {
    let name = Regex::new("`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let found = name.captures_iter(text);
    found.map(|found| found.extract::<1>().1.concat()).collect()
}

/// The ids of advisories.
fn ids(text: &str) -> BTreeSet<String> {
    let id = Regex::new(r"\b(?:CVE|GHSA|GO|RUSTSEC)-[0-9a-z]+(?:-[0-9a-z]+)+").unwrap();
    let found = id.find_iter(text);
    found.map(|found| found.as_str().to_owned()).collect()
}

/// The names of the tests, in the code and beside it.
fn tests() -> BTreeSet<String> {
    let texts = texts(&["rs"]);
    texts.iter().flat_map(|(_, text)| tests_in(text)).collect()
}

/// The functions of a file that are marked as tests.
fn tests_in(text: &str) -> BTreeSet<String> {
    let between = r"(?:(?:#\[[^\]]*\]|//[^\n]*)\s*)*";
    let test =
        format!(r"#\[(?:tokio::)?test(?:\([^\]]*\))?\]\s*{between}(?:async )?fn ([a-z0-9_]+)\(");
    let found = Regex::new(&test).unwrap();
    let found = found.captures_iter(text);
    found.map(|found| found.extract::<1>().1.concat()).collect()
}

//! The page that shows each fault and each warning once is what the fixtures give. `UPDATE_EXPECTED=1` writes it.

use std::collections::BTreeMap;
use std::fs;

use regex::Regex;

use crate::fixtures;
use crate::root;

#[test]
fn the_page_of_faults_shows_each_kind_once() {
    let page = page();
    let path = root().join("docs/guide/faults.md");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page,
        "docs/guide/faults.md is not what the fixtures give; UPDATE_EXPECTED=1 writes it"
    );
    assert!(page.matches("```text").count() >= 150);
}

fn page() -> String {
    let mut page = BEGINNING.to_owned();
    page.push_str(&section("invalid"));
    page.push_str(WARNINGS);
    page.push_str(&section("warnings"));
    page
}

/// Every kind of message that the fixtures of a folder give, with its first example.
fn section(folder: &str) -> String {
    let quoted = Regex::new("`[^`]*`|[0-9]+").unwrap();
    let mut kinds = BTreeMap::new();
    for path in fixtures(folder, "expected") {
        let text = fs::read_to_string(&path).unwrap();
        for example in text.trim_end().split("\n\n") {
            let message = example.lines().next().unwrap_or_default();
            let kind = quoted.replace_all(message, "…").into_owned();
            kinds.entry(kind).or_insert_with(|| example.to_owned());
        }
    }
    let blocks = kinds.values();
    blocks
        .map(|example| format!("\n```text\n{example}\n```\n"))
        .collect()
}

const BEGINNING: &str = "# Faults of a configuration

Every kind of fault and warning that `portway check`, `portway run` and a reload can give, by its first words, each with an example: the message, the place, and under `hint` what would be right. The page is made from the tests of these messages.

## Faults
";

const WARNINGS: &str = "
## Warnings

What is allowed, and yet likely a mistake. `portway check` exits with 0 all the same.
";

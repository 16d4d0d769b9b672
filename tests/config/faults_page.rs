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

/// Whoever adds a message adds a fixture, and with it an example on the page.
#[test]
fn every_message_of_a_fault_has_an_example() {
    let (mut count, mut without) = (0, Vec::new());
    let page = page();
    for file in MESSAGES {
        let text = fs::read_to_string(root().join(file)).unwrap();
        for (variant, message) in messages(&text) {
            count += 1;
            let is_shown = page.lines().any(|line| message.is_match(line));
            if !is_shown && !NEVER_SHOWN.contains(&variant.as_str()) {
                without.push(format!("{file}: {variant}: {message}"));
            }
        }
    }
    assert!(count >= 120, "{count}");
    assert!(without.is_empty(), "{}", without.join("\n"));
}

#[test]
fn a_message_without_an_example_would_be_noticed() {
    let source = "    #[error(\n        \"`{0}` is \\\n         not {what}\"\n    )]\n    /// A word.\n    Odd(String),\n\
                  #[error(\"{0}\")]\n    Other(#[source] Cause),\n    #[error(\"it is {}\", words(.0))]\n    Third,\n";
    let found = messages(source);
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Odd", "Third"], "what only passes on has none");
    assert!(found[0].1.is_match("error: `x` is not a word"));
    assert!(!found[0].1.is_match("error: `x` is a word"));
}

/// The variants of the errors in a source that have a message of their own, and what the message looks like.
fn messages(source: &str) -> Vec<(String, Regex)> {
    let variant =
        Regex::new(r#"(?s)#\[error\(\s*"((?:[^"\\]|\\.)*)".*?\)\]\s*(?:///[^\n]*\n\s*)*(\w+)"#)
            .unwrap();
    let broken_line = Regex::new(r"\\\n\s*").unwrap();
    let place = Regex::new(r"\{[^{}]*\}").unwrap();
    let mut found = Vec::new();
    for captures in variant.captures_iter(source) {
        let (_, [message, name]) = captures.extract();
        let message = broken_line.replace_all(message, "").replace("{{", "{");
        let pieces: Vec<String> = place.split(&message).map(regex::escape).collect();
        if pieces.iter().any(|piece| !piece.is_empty()) {
            let shape = Regex::new(&pieces.join(".*")).unwrap();
            found.push((name.to_owned(), shape));
        }
    }
    found
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

/// Where messages about a configuration are worded.
const MESSAGES: &[&str] = &[
    "src/config/parse/expand.rs",
    "src/config/parse/quantity.rs",
    "src/config/problem.rs",
    "src/config/problem/advice.rs",
    "src/config/problem/forward.rs",
    "src/config/problem/include.rs",
    "src/config/problem/mdc.rs",
    "src/config/problem/policy.rs",
    "src/config/raw.rs",
    "src/decision/expression.rs",
    "src/decision/facts/fact.rs",
    "src/decision/rewrite.rs",
    "src/decision/routing/pattern.rs",
    "src/logbook/line_format.rs",
    "src/model/name.rs",
];
/// Messages that no text of a configuration gives: one stands for a fault of the gateway itself, one is about
/// bytes that are no text, one is taken for an unknown word, and one would only repeat what stands before it.
const NEVER_SHOWN: [&str; 4] = ["Incomplete", "NoField", "NotAHost", "Utf8"];

const BEGINNING: &str = "# Faults of a configuration

Every kind of fault and warning that `portway check`, `portway run` and a reload can give, by its first words, each with an example: the message, the place, and under `hint` what would be right. The page is made from the tests of these messages.

## Faults
";

const WARNINGS: &str = "
## Warnings

What is allowed, and yet likely a mistake. `portway check` exits with 0 all the same.
";

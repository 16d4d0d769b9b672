//! Every rule id that code or tests quote is defined in `docs/specification.md`.
//!
//! That the code keeps a rule is for the test that quotes it.

use std::collections::BTreeMap;

use regex::Regex;

use crate::read;
use crate::texts;

const SPECIFICATION: &str = "docs/specification.md";

/// The shapes of rule ids.
const ID: &str = r"\b(?:W-\d{2}|M-\d{3}|S-\d{1,2}|MDC-[A-Z]+-\d+|D-\d{1,2}|R\d{1,2}|X-\d{2}|F\d\.\d{1,2}|C-\d{2})\b";

/// A definition shorter than this says nothing.
const DEFINITION_CHARS_MIN: usize = 40;

#[test]
fn every_quoted_rule_is_defined() {
    let defined = definitions(&read(SPECIFICATION));
    let id = Regex::new(ID).unwrap();
    let mut unknown = Vec::new();
    for (path, text) in texts(&["rs", "mjs"]) {
        // This file quotes ids that nobody means.
        if path.ends_with("tests/house/rules.rs") {
            continue;
        }
        for (line, number) in text.lines().zip(1..) {
            unknown.extend(
                quoted(&id, line)
                    .filter(|quoted| !defined.contains_key(*quoted))
                    .map(|quoted| format!("{}:{number}: {quoted}", path.display())),
            );
        }
    }
    assert!(
        unknown.is_empty(),
        "not defined in {SPECIFICATION}:\n{}",
        unknown.join("\n")
    );
}

#[test]
fn every_definition_says_something_and_stands_once() {
    let text = read(SPECIFICATION);
    let defined = definitions(&text);
    assert!(
        defined.len() > 60,
        "only {} rules were found",
        defined.len()
    );
    for (id, said) in &defined {
        let [once] = said.as_slice() else {
            panic!("{id} is defined {} times", said.len())
        };
        assert!(is_definition(once), "{id} says nothing: {once}");
    }
}

/// Ids at the head of a list item, with what the item says.
fn definitions(text: &str) -> BTreeMap<String, Vec<String>> {
    let head = Regex::new(&format!(r"^- \*\*({ID})\*\* (.*)$")).unwrap();
    let mut defined: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for found in text.lines().filter_map(|line| head.captures(line)) {
        let (_, [id, said]) = found.extract();
        defined
            .entry(id.to_owned())
            .or_default()
            .push(said.to_owned());
    }
    defined
}

fn is_definition(said: &str) -> bool {
    let hollow = ["TODO", "TBD", "FIXME", "…", "..."];
    said.chars().count() >= DEFINITION_CHARS_MIN && !hollow.iter().any(|word| said.contains(word))
}

/// The ids in a line. A letter and a number inside a longer name (`SHA-S-1`, `R2.x`) are not one.
fn quoted<'a>(id: &'a Regex, line: &'a str) -> impl Iterator<Item = &'a str> {
    id.find_iter(line)
        .filter(|found| {
            let before = line
                .get(..found.start())
                .and_then(|text| text.chars().next_back());
            let after = line.get(found.end()..).and_then(|text| text.chars().next());
            !matches!(before, Some('-' | '.' | '_' | '/' | '#' | '%'))
                && !matches!(after, Some('-' | '_' | '='))
        })
        .map(|found| found.as_str())
}

#[test]
fn ids_are_told_from_other_text() {
    let id = Regex::new(ID).unwrap();
    let line = "keeps S-17, W-07 and MDC-COOKIE-5 (R9), not SHA-256, X-S-1, ES-256 or R2_3";
    assert_eq!(
        quoted(&id, line).collect::<Vec<_>>(),
        ["S-17", "W-07", "MDC-COOKIE-5", "R9"]
    );
}

#[test]
fn a_hollow_or_doubled_definition_is_noticed() {
    assert!(!is_definition(
        "TBD: to be written in a later step, when it is known."
    ));
    assert!(!is_definition("See elsewhere."));
    let twice = definitions(
        "- **S-1** First thing said about it.\n- **S-1** Second thing said about it.\n",
    );
    assert_eq!(twice["S-1"].len(), 2);
}

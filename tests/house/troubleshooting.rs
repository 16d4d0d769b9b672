//! The page on troubleshooting has every sentence that users are shown and every line that the log has.
//!
//! That cause and remedy are the right ones is for people to see.

use regex::Regex;

use crate::read;
use crate::texts;

const PAGE: &str = "docs/guide/troubleshooting.md";

#[test]
fn every_sentence_of_the_pages_is_explained() {
    let page = plain(&read(PAGE));
    let catalogue = read("src/proxy/pages/messages/en.txt");
    let texts = catalogue.lines().filter_map(|line| line.split_once(" = "));
    let sentences = texts.filter(|(_, text)| text.ends_with(['.', '?']));
    let missing: Vec<String> = sentences
        .clone()
        .filter(|(_, text)| !page.contains(text))
        .map(|(key, text)| format!("{key}: {text}"))
        .collect();
    assert!(missing.is_empty(), "{PAGE} lacks\n{}", missing.join("\n"));
    assert!(sentences.count() >= 40);
}

#[test]
fn every_line_of_the_log_is_explained() {
    let page = plain(&read(PAGE));
    let mut missing = Vec::new();
    let mut count = 0;
    for (path, text) in texts(&["rs"]) {
        if !path.starts_with("src") || path.starts_with("src/demo") || is_test(&path) {
            continue;
        }
        let code = text.split("\nmod tests {").next().unwrap_or_default();
        for line in lines(code) {
            count += 1;
            if !page.contains(&plain(&line)) {
                missing.push(format!("{}: {line}", path.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{PAGE} lacks\n{}", missing.join("\n"));
    assert!(count >= 80, "{count}");
}

#[test]
fn the_lines_of_a_text_are_found() {
    let code = "tracing::warn!(a = \"b (c\", %d, \"one \\\n      line\");
        tracing::error!(\"{error:#}\"); tracing::debug!(\"no\"); tracing::info!(x = f(\"y\"), \"two\",);";
    assert_eq!(lines(code), ["one line", "two"]);
}

fn is_test(path: &std::path::Path) -> bool {
    path.ends_with("tests.rs") || path.iter().any(|part| part == "tests")
}

/// A text in which nothing is set apart.
fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// What is logged at `info` and above: the last text of each call, unless it is nothing but what is put in.
fn lines(code: &str) -> Vec<String> {
    let call = Regex::new(r"tracing::(?:info|warn|error)!\(").unwrap();
    let text = Regex::new(r#"(?s)"((?:[^"\\]|\\.)*)""#).unwrap();
    let joint = Regex::new(r"\\\n\s*").unwrap();
    let mut found = Vec::new();
    for begin in call.find_iter(code) {
        let arguments = arguments(&code[begin.end()..]);
        let Some(last) = text.captures_iter(arguments).last() else {
            continue;
        };
        let (_, [last]) = last.extract();
        if !last.starts_with('{') {
            found.push(joint.replace_all(last, "").into_owned());
        }
    }
    found
}

/// What stands before the bracket that closes a call.
fn arguments(rest: &str) -> &str {
    let mut depth = 1;
    let mut in_text = false;
    let mut escaped = false;
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            '(' if !in_text => depth += 1,
            ')' if !in_text => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &rest[..at];
        }
    }
    rest
}

//! What a reader of the documents relies on: links that lead somewhere, commands that exist.
//!
//! Whether what they say is true is for the tests of the gateway.

use std::path::Path;

use portway::config::diagnostic::Colour;
use portway::config::parse::Surroundings;
use portway::config::parse::parse;
use regex::Regex;

use crate::read;
use crate::root;
use crate::texts;

/// What fits a first screen.
const FIRST_SCREEN_LINES: usize = 40;

#[test]
fn relative_links_lead_somewhere() {
    let mut broken = Vec::new();
    for (path, text) in texts(&["md"]) {
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        for target in link_targets(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let file = if file.is_empty() {
                path.clone()
            } else {
                folder.join(file)
            };
            let there = root().join(&file);
            if !there.exists() {
                broken.push(format!("{}: {target}", path.display()));
            } else if !anchor.is_empty()
                && !headings(&read(&file.display().to_string())).contains(&anchor.to_owned())
            {
                broken.push(format!("{}: no heading #{anchor}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_first_screen_of_the_readme_has_the_two_commands() {
    let readme = read("README.md");
    let screen = readme
        .lines()
        .take(FIRST_SCREEN_LINES)
        .collect::<Vec<_>>()
        .join("\n");
    let commands = shell_lines(&screen);
    for command in ["make demo", "make test"] {
        assert!(
            commands.iter().any(|line| line.starts_with(command)),
            "{command}: {commands:?}"
        );
    }
}

#[test]
fn every_make_command_in_the_documents_is_a_target() {
    let makefile = read("Makefile");
    let target = |name: &str| {
        makefile
            .lines()
            .any(|line| line.starts_with(&format!("{name}:")))
    };
    let quoted = Regex::new(r"(?m)(?:^|`)make ([a-z][a-z-]*)").unwrap();
    for (path, text) in texts(&["md"]) {
        for found in quoted.captures_iter(&text) {
            let (_, [name]) = found.extract();
            assert!(target(name), "{}: make {name}", path.display());
        }
    }
    for name in ["demo", "test", "check", "simulate", "bench"] {
        assert!(target(name), "make {name}");
    }
}

/// The configuration that the README shows is one: certificates are made up here, nothing else.
#[test]
fn the_configuration_in_the_readme_is_valid() {
    let blocks = blocks(&read("README.md"), "yaml");
    let [text] = blocks.as_slice() else {
        panic!("one configuration: {}", blocks.len())
    };
    let pem = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    let files = |path: &Path, _| {
        let is_key = path.extension().is_some_and(|ending| ending == "key");
        Ok(pem(if is_key { "PRIVATE KEY" } else { "CERTIFICATE" }).into_bytes())
    };
    let surroundings = Surroundings {
        folder: root(),
        variable: &|_| None,
        read: &files,
        list: &|_| Ok(Vec::new()),
        threads: 1,
    };
    if let Err(faults) = parse(text, "README.md", &surroundings) {
        panic!("{}", faults.render(Colour::Plain));
    }
}

/// Every decision record has its number once, and says context, decision and price.
#[test]
fn decision_records_are_numbered_and_whole() {
    let mut numbers = Vec::new();
    for (path, text) in texts(&["md"]) {
        if !path.starts_with("docs/adr") || path.ends_with("README.md") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let number = name.split('-').next().unwrap_or_default().to_owned();
        assert!(number.len() == 4 && number.parse::<u32>().is_ok(), "{name}");
        assert!(
            text.starts_with(&format!("# {number} ")),
            "{name} begins with its number"
        );
        for part in ["## Context", "## Decision", "## Price"] {
            assert!(text.contains(&format!("\n{part}\n")), "{name} lacks {part}");
        }
        assert!(text.lines().count() <= 60, "{name} is longer than a page");
        numbers.push(number);
    }
    let count = numbers.len();
    numbers.sort();
    numbers.dedup();
    assert!(count > 0 && numbers.len() == count, "{numbers:?}");
}

/// The targets of links and images that are neither addresses nor inside code.
fn link_targets(text: &str) -> Vec<String> {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let code = Regex::new(r"(?s)```.*?```|`[^`\n]*`").unwrap();
    let prose = code.replace_all(text, "");
    link.captures_iter(&prose)
        .map(|found| found.extract::<1>().1.concat())
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}

/// The anchors of the headings, as GitHub makes them.
fn headings(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

/// The lines of the shell blocks.
fn shell_lines(text: &str) -> Vec<String> {
    blocks(text, "sh")
        .iter()
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// The code blocks in one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let block = Regex::new(&format!(r"(?s)```{language}\n(.*?)```")).unwrap();
    block
        .captures_iter(text)
        .map(|found| found.extract::<1>().1.concat())
        .collect()
}

#[test]
fn links_in_prose_are_seen_and_links_in_code_are_not() {
    let text = "[a](b.md#c) `[x](y)` <https://z> [d](https://e)\n```\n[f](g)\n```\n";
    assert_eq!(link_targets(text), ["b.md#c"]);
    assert_eq!(headings("# A b: `c`!\ntext\n## D"), ["a-b-c", "d"]);
}

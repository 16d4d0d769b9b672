//! Every command line of Portway that the documents show is one that the program takes.
//!
//! What the commands do is for other tests.

use portway::cli;
use regex::Regex;

use crate::texts;

#[test]
fn every_command_in_a_block_is_read() {
    let mut count = 0;
    for (path, text) in texts(&["md"]) {
        for words in commands(&text) {
            if let Err(error) = cli::command().try_get_matches_from(&words) {
                panic!("{}: {}\n{error}", path.display(), words.join(" "));
            }
            count += 1;
        }
    }
    assert!(count >= 40, "{count}");
}

/// In a sentence a command may lack what it needs; its verb has to exist.
#[test]
fn every_verb_in_a_sentence_exists() {
    let inline = Regex::new(r"`portway((?: [a-z-]+)+)").unwrap();
    let mut count = 0;
    for (path, text) in texts(&["md"]) {
        // It has a label of the protocol that looks like one.
        if path.ends_with("docs/back-channel.md") {
            continue;
        }
        for found in inline.captures_iter(&text) {
            let (_, [words]) = found.extract();
            assert!(is_verb(words), "{}: portway{words}", path.display());
            count += 1;
        }
    }
    assert!(count >= 40, "{count}");
}

#[test]
fn a_command_that_is_none_would_be_noticed() {
    let text = "```sh\nportway check --config a.yaml # why\n  portway run \\\n    --log x | tee y\n```\nportway no\n";
    let found = commands(text);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], ["portway", "check", "--config", "a.yaml"]);
    assert_eq!(found[1], ["portway", "run", "--log", "x"]);
    let wrong = ["portway", "check", "--colour"];
    assert!(cli::command().try_get_matches_from(wrong).is_err());
    assert!(is_verb(" users add") && is_verb(" check that") && !is_verb(" users sing"));
}

/// The command lines of the shell blocks, by their words.
fn commands(text: &str) -> Vec<Vec<String>> {
    let block = Regex::new(r"(?s)```(?:sh)?\n(.*?)```").unwrap();
    let command = Regex::new(r"(?m)^\s*(portway .*)$").unwrap();
    let end = Regex::new(r"\s(?:#|[|>;&]).*$").unwrap();
    let mut found = Vec::new();
    for inside in block.captures_iter(text) {
        let (_, [inside]) = inside.extract();
        let joined = inside.replace("\\\n", " ");
        for line in command.captures_iter(&joined) {
            let (_, [line]) = line.extract();
            found.push(words(&end.replace(line, "")));
        }
    }
    found
}

/// The words of a command line; those in quotes are one.
fn words(line: &str) -> Vec<String> {
    let word = Regex::new(r#""([^"]*)"|(\S+)"#).unwrap();
    let words = word.captures_iter(line);
    let words = words.filter_map(|found| found.get(1).or_else(|| found.get(2)));
    words.map(|word| word.as_str().to_owned()).collect()
}

/// Whether words begin with a verb, and with one of its own where it has some.
fn is_verb(words: &str) -> bool {
    let mut command = cli::command();
    for word in words.split_whitespace() {
        if !command.has_subcommands() || word.starts_with('-') {
            return true;
        }
        let Some(verb) = command.find_subcommand(word) else {
            return word == "help";
        };
        command = verb.clone();
    }
    true
}

//! The scripts parse, can be run, and are the ones that the Makefile and continuous integration call.
//!
//! What they install is not tried here; `make test` itself is that test.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::files_of_the_repository;
use crate::read;
use crate::root;

#[test]
fn every_script_parses_and_can_be_run() {
    let scripts: Vec<_> = files_of_the_repository()
        .into_iter()
        .filter(|path| {
            path.extension().is_some_and(|ending| ending == "sh") || path == Path::new(".ci/run")
        })
        .collect();
    assert!(scripts.len() >= 4, "{scripts:?}");
    for script in scripts {
        let path = root().join(&script);
        let text = read(&script.display().to_string());
        let shell = if text.starts_with("#!/bin/sh\n") {
            "sh"
        } else {
            "bash"
        };
        assert!(
            text.starts_with("#!/bin/sh\n") || text.starts_with("#!/usr/bin/env bash\n"),
            "{script:?}"
        );
        assert!(text.contains("\nset -"), "{script:?} stops at a fault");
        let parsed = Command::new(shell).arg("-n").arg(&path).output().unwrap();
        assert!(
            parsed.status.success(),
            "{script:?}: {}",
            String::from_utf8_lossy(&parsed.stderr)
        );
        assert!(
            path.metadata().unwrap().permissions().mode() & 0o111 != 0,
            "{script:?} is executable"
        );
    }
}

#[test]
fn continuous_integration_runs_make_test_and_nothing_else() {
    let script = read(".ci/run");
    let commands: Vec<&str> = script
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter(|line| !line.starts_with("set ") && !line.starts_with("cd "))
        .collect();
    assert_eq!(commands, ["exec make test"]);
}

/// The closing line that `make test` prints is summed from what the runners print.
#[test]
fn the_closing_lines_of_every_runner_are_counted() {
    let lines = "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 3 filtered out\n\
        test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n\
        \u{1b}[32m     Summary\u{1b}[0m [   1.2s] 10 tests run: 7 passed (1 slow), 2 failed, 1 timed out, 0 skipped\n\
        # pass 4\n# fail 1\nnot a summary: 99 passed\n";
    assert_eq!(said_by("count", "passed", lines), "24");
    assert_eq!(said_by("count", "failed", lines), "6");
}

#[test]
fn tests_that_pass_at_the_second_try_are_named() {
    let lines = "\u{1b}[33;1m   FLAKY 2/2\u{1b}[0m [   1.234s] (1/2) portway::gateway upgrades::goes_on\n\
        FLAKY 2/2 [   1.234s] portway::gateway upgrades::goes_on\n\
        PASS [   1.234s] (2/2) portway::hostile h2::floods\nFLAKY or broken: a.mjs, which said:\n";
    let named = said_by("flaky", "", lines);
    assert_eq!(named, "portway::gateway upgrades::goes_on");
}

#[test]
fn an_attack_that_succeeds_once_is_not_tried_again() {
    let config = read(".config/nextest.toml");
    let repeated = config
        .split("[[profile.default.overrides]]")
        .filter(|part| part.contains("\nretries = "));
    for part in repeated {
        let others = part.replace("(binary(hostile) & test(/^slow::/))", "");
        assert!(!others.contains("binary(hostile)"), "{part}");
    }
}

/// What a function of `scripts/test.sh` says of these lines of a step.
fn said_by(function: &str, argument: &str, lines: &str) -> String {
    let script = read("scripts/test.sh");
    let from = script.find(&format!("\n{function}() {{\n")).unwrap();
    let to = from + script.get(from..).unwrap().find("\n}\n").unwrap() + 3;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), lines).unwrap();
    let run = format!(
        "output={}\n{}\n{function} {argument}",
        file.path().display(),
        script.get(from..to).unwrap()
    );
    let out = Command::new("bash").args(["-c", &run]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

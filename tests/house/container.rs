//! Replays the build steps of the `Dockerfile` as far as that goes without a container engine.
//!
//! The files that its COPY lines name are laid out alone in an empty folder, and the build command is
//! run there as a check; what base images hold is taken on trust.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::read;
use crate::root;

/// The instructions, continuation lines joined: `("RUN", "cargo build …")`.
fn instructions(dockerfile: &str) -> Vec<(String, String)> {
    let joined = dockerfile
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n")
        .replace("\\\n", " ");
    joined
        .lines()
        .filter_map(|line| line.trim().split_once(' '))
        .map(|(name, rest)| {
            (
                name.to_owned(),
                rest.split_whitespace().collect::<Vec<_>>().join(" "),
            )
        })
        .collect()
}

fn dockerfile() -> Vec<(String, String)> {
    instructions(&read("Dockerfile"))
}

fn last<'a>(all: &'a [(String, String)], name: &str) -> &'a str {
    all.iter()
        .rev()
        .find(|(found, _)| found == name)
        .map(|(_, rest)| rest.as_str())
        .unwrap_or_default()
}

/// What the build stage copies from the repository: sources without the destination.
fn copied(all: &[(String, String)]) -> Vec<String> {
    all.iter()
        .filter(|(name, rest)| name == "COPY" && !rest.starts_with("--from"))
        .flat_map(|(_, rest)| {
            let words: Vec<&str> = rest.split(' ').collect();
            words
                .split_last()
                .map(|(_, sources)| sources.to_vec())
                .unwrap_or_default()
        })
        .map(str::to_owned)
        .collect()
}

fn build_command(all: &[(String, String)]) -> String {
    let found: Vec<_> = all
        .iter()
        .filter(|(name, rest)| name == "RUN" && rest.starts_with("cargo "))
        .collect();
    let [(_, command)] = found.as_slice() else {
        panic!("one cargo command builds: {found:?}")
    };
    command.clone()
}

#[test]
fn what_is_copied_exists_and_is_not_ignored() {
    let ignored = read(".dockerignore");
    let let_through: Vec<&str> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    assert!(
        ignored.lines().any(|line| line == "*"),
        "nothing is sent unless it is named"
    );
    for source in copied(&dockerfile()) {
        assert!(root().join(&source).exists(), "COPY {source}");
        assert!(
            let_through.contains(&source.trim_start_matches("./")),
            ".dockerignore lets {source} through"
        );
    }
}

#[test]
fn the_build_command_is_the_one_of_the_makefile() {
    let command = build_command(&dockerfile());
    let makefile = read("Makefile");
    assert!(
        makefile.lines().any(|line| line.trim() == command),
        "`{command}` is not in the Makefile"
    );
    assert!(command.contains("--locked"), "{command}");
}

/// The replay: with nothing but the copied files, the package is whole and compiles.
#[test]
fn the_copied_files_alone_are_enough_to_build() {
    let all = dockerfile();
    let folder = tempfile::tempdir().unwrap();
    for source in copied(&all) {
        copy(&root().join(&source), &folder.path().join(&source));
    }
    // The dependencies were compiled for the other tests; only the package itself is checked anew.
    let command = build_command(&all).replace("build --release", "check --offline --lib --bins");
    let mut words = command.split(' ').skip(1);
    let checked = Command::new(env!("CARGO"))
        .args(words.by_ref())
        .env("CARGO_TARGET_DIR", root().join("target"))
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(
        checked.status.success(),
        "{command}\n{}",
        String::from_utf8_lossy(&checked.stderr)
    );
}

#[test]
fn the_packages_that_are_installed_exist() {
    let all = dockerfile();
    let packages: Vec<String> = all
        .iter()
        .filter(|(name, _)| name == "RUN")
        .flat_map(|(_, rest)| {
            rest.split("&&")
                .map(str::trim)
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter_map(|step| step.strip_prefix("apt-get install ").map(str::to_owned))
        .flat_map(|step| {
            step.split(' ')
                .filter(|word| !word.starts_with('-'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(packages.iter().any(|name| name == "cmake"), "{packages:?}");
    for package in packages {
        assert!(
            package
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)),
            "{package}"
        );
        // Elsewhere than on Debian nobody can be asked; an empty answer means that the lists are not there.
        let known = Command::new("apt-cache")
            .args(["policy", &package])
            .output();
        if let Ok(answer) = known {
            let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
            assert!(!answer.contains("Candidate: (none)"), "{package}: {answer}");
        }
    }
}

#[test]
fn the_image_runs_the_gateway_without_root() {
    let all = dockerfile();
    let user = last(&all, "USER")
        .split(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    assert!(user.parse::<u32>().is_ok_and(|uid| uid > 0), "USER {user}");
    let entry: Vec<String> =
        serde_json::from_str(last(&all, "ENTRYPOINT")).expect("ENTRYPOINT in its JSON form");
    let [binary] = entry.as_slice() else {
        panic!("ENTRYPOINT {entry:?}")
    };
    let put_there = all.iter().any(|(name, rest)| {
        name == "COPY"
            && rest.starts_with("--from=build ")
            && rest.ends_with(&format!(" {binary}"))
            && rest.contains("/release/portway")
    });
    assert!(put_there, "{binary} is copied from the build stage");
    assert!(
        last(&all, "HEALTHCHECK").contains("CMD ["),
        "HEALTHCHECK in its JSON form"
    );
    assert!(
        last(&all, "FROM").starts_with("debian:bookworm-slim"),
        "{}",
        last(&all, "FROM")
    );
}

/// The base image has the toolchain that the repository pins, or the build would fetch another.
#[test]
fn the_toolchain_of_the_image_is_the_pinned_one() {
    let all = dockerfile();
    let image = all
        .iter()
        .find(|(name, _)| name == "FROM")
        .map(|(_, rest)| rest.as_str())
        .unwrap_or_default();
    let version = image
        .strip_prefix("rust:")
        .and_then(|rest| rest.split('-').next())
        .expect("a rust image");
    let pinned = read("rust-toolchain.toml");
    assert!(
        pinned.contains(&format!("channel = \"{version}")),
        "{image} and {pinned}"
    );
    assert!(
        read("Cargo.toml").contains(&format!("rust-version = \"{version}\"")),
        "{image}"
    );
}

#[test]
fn continued_lines_are_one_instruction() {
    let all = instructions("FROM a AS build\nRUN x \\\n    && y\n# RUN no\nCOPY a b c/\n");
    assert_eq!(last(&all, "RUN"), "x && y");
    assert_eq!(copied(&all), ["a", "b"]);
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

//! Tests of the house rather than of the gateway: rule ids, container file, supply chain, documents and the
//! commands in them, keys, scripts.
//!
//! Nothing here starts Portway. Each module judges what stands in the repository, and shows on a bad
//! example that it would notice.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "a test that cannot read the repository should fail"
)]

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

mod commands;
mod container;
mod documents;
mod keys;
mod migrating;
mod reference;
mod rules;
mod scripts;
mod supply_chain;
mod threats;
mod troubleshooting;

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a file of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The files that git tracks, or would if they were added; paths from the root.
fn files_of_the_repository() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "-z",
        ])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    assert!(
        listed.status.success(),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    String::from_utf8(listed.stdout)
        .unwrap()
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(PathBuf::from)
        .filter(|path| root().join(path).is_file())
        .collect()
}

/// The text files of the repository with one of these endings, with their text.
fn texts(endings: &[&str]) -> Vec<(PathBuf, String)> {
    files_of_the_repository()
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted))
        })
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).unwrap();
            (path, text)
        })
        .collect()
}

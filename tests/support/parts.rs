//! The real programs that tests drive, and what they need a machine to allow. What is missing is said, and fails where
//! `CI=true`.

use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Finds a program; `None` when it is not installed, which the caller takes as leave to skip.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders =
        std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/local/sbin".into()]);
    let found = folders
        .map(|folder| folder.join(program))
        .find(|path| path.is_file());
    said(program, found)
}

/// Finds a shared library, like [`find`].
pub(crate) fn find_library(name: &str) -> Option<PathBuf> {
    let folders = [
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64",
        "/usr/lib",
    ];
    let paths = folders
        .iter()
        .map(|folder| PathBuf::from(folder).join(name));
    said(name, paths.into_iter().find(|path| path.is_file()))
}

/// Finds a program at its place, like [`find`].
pub(crate) fn find_at(path: &std::path::Path) -> Option<PathBuf> {
    let found = path.is_file().then(|| path.to_owned());
    said(&path.display().to_string(), found)
}

/// Says what this machine does not allow, so that the caller does without it.
pub(crate) fn not_allowed(what: &str) {
    assert!(!is_ci(), "this machine does not allow it: {what}");
    eprintln!("this machine does not allow it: {what}");
}

fn said(part: &str, found: Option<PathBuf>) -> Option<PathBuf> {
    if found.is_none() {
        let count = MISSING.fetch_add(1, Ordering::Relaxed) + 1;
        assert!(
            !is_ci(),
            "{part} is missing: scripts/test-parts.sh installs it"
        );
        eprintln!("skipped: {part} is missing ({count} parts missing so far)");
    }
    found
}

fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|ci| ci == "true")
}

static MISSING: AtomicUsize = AtomicUsize::new(0);

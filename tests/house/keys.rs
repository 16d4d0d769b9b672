//! No private key is in the repository.
//!
//! A key that tests need is made when they run.

use std::fs;

use regex::bytes::Regex;

use crate::files_of_the_repository;
use crate::root;

/// A PEM key with a body; the first line alone, in a message or in a test, is none.
fn private_key() -> Regex {
    Regex::new(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\s|\\n|\r)+[A-Za-z0-9+/=]{32,}").unwrap()
}

#[test]
fn no_private_key_is_tracked() {
    let key = private_key();
    let found: Vec<_> = files_of_the_repository()
        .into_iter()
        .filter(|path| {
            let named = path.extension().is_some_and(|ending| {
                ["key", "p12", "pfx", "jks"]
                    .iter()
                    .any(|bad| ending == *bad)
            });
            named || key.is_match(&fs::read(root().join(path)).unwrap_or_default())
        })
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn what_the_certificate_script_writes_is_ignored() {
    for name in ["ca.key", "ca.crt", "server.key", "server.crt"] {
        let ignored = std::process::Command::new("git")
            .args(["check-ignore", "--quiet", &format!("certs/{name}")])
            .current_dir(root())
            .status()
            .unwrap();
        assert!(ignored.success(), "certs/{name} would be tracked");
    }
}

#[test]
fn a_key_would_be_noticed() {
    let body = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEH".to_owned();
    let dashes = "-----";
    assert!(
        private_key().is_match(format!("{dashes}BEGIN PRIVATE KEY{dashes}\n{body}").as_bytes())
    );
    assert!(
        private_key().is_match(format!("{dashes}BEGIN EC PRIVATE KEY{dashes}\\n{body}").as_bytes())
    );
    assert!(
        !private_key().is_match(format!("{dashes}BEGIN CERTIFICATE{dashes}\n{body}").as_bytes())
    );
}

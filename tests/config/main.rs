//! The configuration as operators meet it: examples that parse, faults with their exact words, and
//! settings that survive being written and read.
//!
//! Nothing here touches the disk but to read fixtures; files and variables are pretended.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests may stop the test"
)]

use std::path::Path;
use std::path::PathBuf;

use portway::config::Config;
use portway::config::diagnostic::Faults;
use portway::config::parse::Surroundings;
use portway::config::parse::parse;
use portway::config::problem::ReadFileError;

mod examples;
mod invalid;
mod meaning;
mod round_trip;

/// Parses with pretended files and variables; the name is what faults show.
fn parse_as(name: &str, text: &str) -> Result<Config, Faults> {
    let surroundings = Surroundings {
        folder: Path::new(""),
        variable: &variable,
        read: &read,
        threads: 4,
    };
    parse(text, name, &surroundings)
}

fn parsed(text: &str) -> Config {
    parse_as("gateway.yaml", text).unwrap_or_else(|faults| panic!("{faults}"))
}

fn variable(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "LINES" => Some("a: 1\nb: [2".to_owned()),
        "UPSTREAM" => Some("10.0.0.9:8080".to_owned()),
        _ => None,
    }
}

/// Pretends that every certificate and key is there, except those named after what is wrong.
fn read(path: &Path) -> Result<Vec<u8>, ReadFileError> {
    let name = path.file_name().unwrap().to_str().unwrap();
    match (
        name,
        path.extension().and_then(|extension| extension.to_str()),
    ) {
        ("missing.crt" | "missing.key", _) => Err(ReadFileError::NotFound),
        ("secret.key", _) => Err(ReadFileError::NotPermitted),
        ("encrypted.key", _) => Ok(block("ENCRYPTED PRIVATE KEY", name)),
        (_, Some("crt" | "pem")) => Ok(block("CERTIFICATE", name)),
        (_, Some("key")) => Ok(block("PRIVATE KEY", name)),
        _ => Err(ReadFileError::NotFound),
    }
}

fn block(label: &str, inside: &str) -> Vec<u8> {
    let dashes = "-----";
    format!("{dashes}BEGIN {label}{dashes}\n{inside}\n{dashes}END {label}{dashes}\n").into_bytes()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

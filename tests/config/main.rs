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
use portway::config::diagnostic::Warnings;
use portway::config::parse::Surroundings;
use portway::config::parse::parse;
use portway::config::problem::ReadFileError;

mod convert;
mod effective;
mod cookbook;
mod documents;
mod examples;
mod faults_page;
mod include;
mod invalid;
mod meaning;
mod round_trip;
mod round_trip_mdc;
mod several;
mod warnings;

/// Parses with pretended files and variables; the name is what faults show.
fn parse_as(name: &str, text: &str) -> Result<Config, Faults> {
    surroundings(|surroundings| parse(text, name, surroundings))
}

/// Pretended files and variables.
fn surroundings<T>(with: impl FnOnce(&Surroundings<'_>) -> T) -> T {
    with(&Surroundings {
        folder: Path::new(""),
        variable: &variable,
        read: &read,
        list: &list,
        threads: 4,
    })
}

/// What a configuration means: where its warnings stand does not matter.
fn meaning_of(config: Config) -> String {
    let warnings = Warnings::default();
    format!("{:?}", Config { warnings, ..config })
}

fn parsed(text: &str) -> Config {
    parse_as("gateway.yaml", text).unwrap_or_else(|faults| panic!("{faults}"))
}

fn variable(name: &str) -> Option<String> {
    match name {
        "EMPTY" => Some(String::new()),
        "SHARED" => Some("shared by two".to_owned()),
        "LINES" => Some("a: 1\nb: [2".to_owned()),
        "LONG" => Some("x".repeat(1 << 20)),
        "UPSTREAM" => Some("10.0.0.9:8080".to_owned()),
        _ => None,
    }
}

/// Included files are fixtures. In the folder `conf.d` there is a faulty one, and what is no configuration; in
/// `sites` an empty one, and some that end otherwise.
fn list(folder: &Path) -> Result<Vec<String>, ReadFileError> {
    let faulty = ["faulty.yaml", ".hidden.yaml", "faulty.yaml~", "README"];
    let others = ["shop.yml", "empty.yaml", "blog.conf", ".old.yml"];
    let folders = [("conf.d", faulty), ("sites", others)];
    let found = folders.iter().find(|(name, _)| folder == Path::new(name));
    let (_, names) = found.ok_or(ReadFileError::NotFound)?;
    Ok(names.map(str::to_owned).to_vec())
}

fn included(name: &str) -> Result<Vec<u8>, ReadFileError> {
    let path = root().join("tests/fixtures/config/included").join(name);
    std::fs::read(path).map_err(|_| ReadFileError::NotFound)
}

/// Pretends that every certificate, key and password is there, except those named after what is wrong,
/// and what lies in the folder `gone`.
fn read(path: &Path, _: u64) -> Result<Vec<u8>, ReadFileError> {
    if path.starts_with("gone") {
        return Err(ReadFileError::NotFound);
    }
    let name = path.file_name().unwrap().to_str().unwrap();
    match (
        name,
        path.extension().and_then(|extension| extension.to_str()),
    ) {
        ("missing.crt" | "missing.key", _) => Err(ReadFileError::NotFound),
        ("secret.key", _) => Err(ReadFileError::NotPermitted),
        ("broken.crt", _) => Err(ReadFileError::Io(std::io::Error::other(
            "the disk is broken",
        ))),
        ("folder.crt", _) => Err(ReadFileError::NotAFile),
        ("large.crt", _) => Err(ReadFileError::TooLarge(1 << 20)),
        ("encrypted.key", _) => Ok(block("ENCRYPTED PRIVATE KEY", name)),
        ("short.password", _) => Ok(b"short\n".to_vec()),
        ("bytes.yaml", _) => Ok(b"pools: \xff".to_vec()),
        (_, Some("yaml")) => included(name),
        (_, Some("password")) => Ok(format!("shared by {name}\r\n").into_bytes()),
        (_, Some("crl")) => Ok(block("X509 CRL", name)),
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

/// The files of one kind in a folder of fixtures, in order.
fn fixtures(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/fixtures/config").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}

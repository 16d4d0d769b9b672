//! The bodies of `fuzz/` run here with a fixed seed, a bounded number of times: each of their seeds, every file in
//! `corpus/NAME`, and what becomes of those when bytes are changed.
//!
//! `PORTWAY_FUZZ_RUNS=…` runs them so many times each, `PORTWAY_FUZZ_SEED=…` from another seed, and
//! `PORTWAY_FUZZ_CORPUS=DIR` writes the seeds there, for a fuzzer to begin with. A failure prints the bytes, which
//! then belong into the corpus.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a property that does not hold stops the test, and says with which bytes"
)]

use std::fs;
use std::path::PathBuf;
use std::thread;

use portway::backchannel::probe;
use portway::decision::expression::Expression;
use portway::decision::expression::STACK_BYTES;

use crate::bodies::Body;
use crate::mutation::Mutation;

#[expect(unreachable_pub, reason = "a crate of its own uses them too")]
#[path = "../../fuzz/bodies/mod.rs"]
mod bodies;
mod mutation;
#[expect(
    dead_code,
    clippy::indexing_slicing,
    reason = "the simulation draws in more ways"
)]
#[path = "../simulation/random.rs"]
mod random;

#[test]
fn no_bytes_break_a_property_in_the_first_half() {
    run_all(bodies::ALL.iter().step_by(2));
}

#[test]
fn no_bytes_break_a_property_in_the_second_half() {
    run_all(bodies::ALL.iter().skip(1).step_by(2));
}

/// A body that gives up at the first byte would find nothing.
#[test]
fn seeds_are_read_to_some_end() {
    let messages = bodies::back_channel::seeds();
    // The head of a question alone reads as an opening, too.
    assert!(
        messages
            .iter()
            .all(|bytes| probe::kinds(bytes).unwrap() == 2)
    );
    let texts = bodies::expression::seeds();
    let compiled = |text: &[u8]| Expression::compile(std::str::from_utf8(text).unwrap()).is_ok();
    assert!(texts.iter().all(|text| compiled(text)));
}

/// cargo-fuzz finds its targets by their files.
#[test]
fn every_body_has_a_target_and_a_line_in_the_manifest() {
    let folder = root().join("fuzz");
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    for body in bodies::ALL {
        let target = folder.join(format!("fuzz_targets/{}.rs", body.name));
        let text = fs::read_to_string(target).unwrap();
        assert!(text.contains("fuzz_target!"), "{}", body.name);
        let line = format!("path = \"fuzz_targets/{}.rs\"", body.name);
        assert!(manifest.contains(&line), "{}", body.name);
    }
    let files = fs::read_dir(folder.join("fuzz_targets")).unwrap();
    assert_eq!(files.count(), bodies::ALL.len());
}

fn run_all(bodies: impl Iterator<Item = &'static Body> + Send + 'static) {
    // Expressions descend into their brackets, as they do when a configuration is loaded.
    let room = thread::Builder::new().stack_size(STACK_BYTES);
    let running = room.spawn(move || bodies.for_each(run)).unwrap();
    if let Err(why) = running.join() {
        std::panic::resume_unwind(why);
    }
}

fn run(body: &Body) {
    let seeds = beginnings(body);
    write_corpus(body, &seeds);
    for bytes in &seeds {
        tried(body, bytes);
    }
    let runs = number("PORTWAY_FUZZ_RUNS", u64::from(body.runs));
    let seed = number("PORTWAY_FUZZ_SEED", SEED);
    let mut mutation = Mutation::new(seed, body.name);
    for _ in 0..runs {
        tried(body, &mutation.of(&seeds));
    }
}

/// Runs a body, and says with which bytes when it panics.
fn tried(body: &Body, bytes: &[u8]) {
    struct Told<'b>(&'b Body, &'b [u8]);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if thread::panicking() {
                eprintln!(
                    "{} failed with {:?}",
                    self.0.name,
                    self.1.escape_ascii().to_string()
                );
            }
        }
    }
    let told = Told(body, bytes);
    (body.run)(bytes);
    drop(told);
}

/// The seeds of a body, and the files of its corpus in their order.
fn beginnings(body: &Body) -> Vec<Vec<u8>> {
    let mut seeds = (body.seeds)();
    let files = fs::read_dir(root().join("tests/fuzz/corpus").join(body.name));
    let mut files: Vec<PathBuf> = files
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    seeds.extend(files.iter().map(|file| fs::read(file).unwrap()));
    if body.name == "configuration" {
        seeds.extend(fixtures());
    }
    assert!(!seeds.is_empty(), "{} has no seeds", body.name);
    seeds
}

/// Faulty configurations, each of which goes another way through the reader.
fn fixtures() -> Vec<Vec<u8>> {
    let files = fs::read_dir(root().join("tests/fixtures/config/invalid")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn write_corpus(body: &Body, seeds: &[Vec<u8>]) {
    let Some(folder) = std::env::var_os("PORTWAY_FUZZ_CORPUS") else {
        return;
    };
    let folder = PathBuf::from(folder).join(body.name);
    fs::create_dir_all(&folder).unwrap();
    for (number, bytes) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number:03}")), bytes).unwrap();
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    let Some(text) = std::env::var_os(variable) else {
        return otherwise;
    };
    let number = text.to_str().and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("{variable} is no number"))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

const SEED: u64 = 0x706f_7274_7761_7931;

//! The figures of sign-ins and of several data centres: processes of the built binary, over TLS on loopback, driven by a
//! small client and read from the outside.
//!
//! `make bench` runs everything. A word after `--` chooses one part (`hops`, `memory`, `policy`, `sign_ins`,
//! `silence`, `stores`);
//! `quick` takes a twentieth of each number, which tries the program and measures nothing.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what cannot be measured ends the program, with an exit code that says so"
)]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../../tests/federation/link.rs"]
mod link;
#[path = "../../tests/memory/sample.rs"]
mod sample;
#[path = "../../tests/support/mod.rs"]
mod support;

mod centres;
mod fill;
mod hand_over;
mod hops;
mod line;
mod logout;
mod memory;
mod policy;
mod process;
mod round_trip;
mod sign_ins;
mod silence;
mod stores;
mod table;

use tokio::time::Instant;

use crate::table::Figure;
use crate::table::Scale;

/// The one of the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Cargo adds an option of its own.
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let is_quick = words.iter().any(|word| word == "quick");
    let scale = if is_quick { Scale::QUICK } else { Scale::FULL };
    let chosen: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| *word != "quick")
        .collect();
    if let Some(odd) = chosen.iter().find(|word| !PARTS.contains(word)) {
        eprintln!("no such part: {odd}; there are {}", PARTS.join(", "));
        std::process::exit(2);
    }
    let began = Instant::now();
    for part in PARTS {
        if chosen.is_empty() || chosen.contains(part) {
            print!("{}", table::show(&measure(part, scale).await));
            eprintln!("{part}: done after {} s", began.elapsed().as_secs());
        }
    }
}

async fn measure(part: &str, scale: Scale) -> Vec<Figure> {
    match part {
        "hops" => Box::pin(hops::measure(scale)).await,
        "memory" => memory::measure(scale),
        "policy" => policy::measure(scale),
        "sign_ins" => Box::pin(sign_ins::measure(scale)).await,
        "silence" => Box::pin(silence::measure(scale)).await,
        _ => Box::pin(stores::measure(scale)).await,
    }
}

const PARTS: &[&str] = &["hops", "memory", "policy", "sign_ins", "silence", "stores"];

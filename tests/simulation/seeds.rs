//! Runs seeds without any mutation: many of them, in shares that run side by side.
//!
//! The seeds are always the same, unless the environment says otherwise (`make simulate`).

use crate::tally::Counted;
use crate::tally::Tally;
use crate::witness::Telling;
use crate::world;

#[test]
fn no_rule_is_broken_in_the_first_share() {
    share(0);
}

#[test]
fn no_rule_is_broken_in_the_second_share() {
    share(1);
}

#[test]
fn no_rule_is_broken_in_the_third_share() {
    share(2);
}

#[test]
fn no_rule_is_broken_in_the_fourth_share() {
    share(3);
}

#[test]
fn no_rule_is_broken_in_the_fifth_share() {
    share(4);
}

#[test]
fn no_rule_is_broken_in_the_sixth_share() {
    share(5);
}

#[test]
fn no_rule_is_broken_in_the_seventh_share() {
    share(6);
}

#[test]
fn no_rule_is_broken_in_the_eighth_share() {
    share(7);
}

/// Runs every eighth seed. All that break a rule are named, and the first tells its story.
fn share(number: u64) {
    let first = setting("PORTWAY_SIMULATION_SEED", 0);
    let runs = setting("PORTWAY_SIMULATION_RUNS", RUNS);
    let mut broken = Vec::new();
    let mut tally = Tally::default();
    let mut count = 0;
    for seed in (first..first.saturating_add(runs)).filter(|seed| seed % SHARES == number) {
        let ran = world::run(seed, None, Telling::Silent);
        tally.add(&ran.tally);
        count += 1;
        if let Some(rule) = ran.broken {
            broken.push((seed, rule));
        }
    }
    if count > 0 {
        say(&format!("{count} seeds: {tally}"));
    }
    if let Some((seed, _)) = broken.first() {
        let length = if runs == 1 { usize::MAX } else { STORY_LINES };
        let broken = broken
            .iter()
            .map(|(seed, rule)| format!("seed {seed}: {rule}\n"));
        panic!(
            "{}\n\n{}\nthe story of seed {seed}, whole by `make simulate SEED={seed} RUNS=1`",
            story_end(*seed, length),
            broken.collect::<String>(),
        );
    }
    if runs == 1 && count == 1 {
        say(&story_end(first, usize::MAX));
    }
    if count >= COUNTED_MIN {
        is_eventful(&tally, count);
    }
}

/// Rules that nothing puts to the test are kept by doing nothing.
fn is_eventful(tally: &Tally, runs: u64) {
    for (counted, per_hundred_runs) in LEAST {
        let least = per_hundred_runs * runs / 100;
        let count = tally.of(counted);
        assert!(count >= least, "{counted:?}: {count} of {least}; {tally}");
    }
}

#[test]
fn a_seed_tells_the_same_story_every_time() {
    for seed in 0..SAME {
        let story = || world::run(seed, None, Telling::Story).story;
        let (first, second) = (story(), story());
        let differs = first.iter().zip(&second).find(|(one, other)| one != other);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(first.len(), second.len(), "seed {seed}");
    }
}

/// The last lines of the story of a seed.
fn story_end(seed: u64, length: usize) -> String {
    let story = world::run(seed, None, Telling::Story).story;
    story[story.len().saturating_sub(length)..].join("\n")
}

#[expect(clippy::print_stdout, reason = "it is for whoever runs seeds by hand")]
fn say(what: &str) {
    println!("{what}");
}

fn setting(name: &str, otherwise: u64) -> u64 {
    let text = std::env::var_os(name).and_then(|text| text.into_string().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Seeds that `make test` runs.
const RUNS: u64 = 2_000;
const SHARES: u64 = 8;
/// Seeds that are run twice.
const SAME: u64 = 20;
/// The lines of a story that are printed where it is one of many.
const STORY_LINES: usize = 80;
/// Runs of which so much can be said that counting them means something.
const COUNTED_MIN: u64 = 100;
/// What must have happened at least, in a hundred runs.
const LEAST: [(Counted, u64); 13] = [
    (Counted::Adoption, 200),
    (Counted::Challenge, 500),
    (Counted::ClockSet, 10),
    (Counted::Crash, 25),
    (Counted::Creation, 20),
    (Counted::CutOff, 5),
    (Counted::FullDisk, 5),
    (Counted::Logout, 100),
    (Counted::LostLog, 1),
    (Counted::Partition, 50),
    (Counted::Refusal, 500),
    (Counted::RequestAfterHop, 500),
    (Counted::SignIn, 500),
];

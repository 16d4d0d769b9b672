//! Proves that the rules bite: with one of the engine's rules switched off, a broken rule is noticed.
//!
//! Each test knows a seed that noticed it. Where that seed has come to something else, others are tried,
//! a bounded number.

use crate::mutant::Mutation;
use crate::witness::Telling;
use crate::world;

#[test]
fn a_forgotten_tombstone_is_noticed_s_14() {
    is_noticed(Mutation::NoTombstoneCheck, 2, &["R1", "R3", "R4"]);
}

#[test]
fn a_generation_that_nobody_compares_is_noticed_s_4() {
    is_noticed(Mutation::NoGenerationCheck, 10, &["S-4", "R7"]);
}

#[test]
fn an_adoption_beside_another_is_noticed_mdc_index_3() {
    is_noticed(Mutation::NoSingleFlight, 11, &["MDC-INDEX-3"]);
}

#[test]
fn a_reservation_that_never_lapses_is_noticed_s_6() {
    is_noticed(Mutation::NoLapse, 1, &["S-6"]);
}

#[test]
fn a_lifetime_that_begins_anew_is_noticed_r6() {
    is_noticed(Mutation::LifetimeBeginsAnew, 0, &["R6"]);
}

#[test]
fn a_gito_cookie_of_another_session_is_noticed_s_13() {
    is_noticed(Mutation::NoSsoMatchOnGito, 15, &["R5"]);
}

#[test]
fn a_pending_copy_that_serves_is_noticed_s_6() {
    is_noticed(Mutation::PendingServes, 1, &["S-6"]);
}

#[test]
fn a_move_without_rank_is_noticed_s_14() {
    is_noticed(Mutation::MovedWithoutRank, 6, &["S-14", "S-4", "R7"]);
}

#[test]
fn a_lease_that_is_skipped_is_noticed_s_16() {
    is_noticed(Mutation::NoLease, 11, &["S-16"]);
}

#[test]
fn no_such_session_after_amnesia_is_noticed_s_19() {
    is_noticed(Mutation::MissingAfterAmnesia, 2, &["S-19"]);
}

#[test]
fn an_insert_without_the_atomic_check_is_noticed_s_17() {
    is_noticed(Mutation::InsertInTwoSteps, 4, &["R1", "R3", "R4", "R7"]);
}

#[test]
fn a_refusal_taken_for_silence_is_noticed_s_8() {
    is_noticed(Mutation::RefusalIsSilence, 24, &["S-8"]);
}

#[test]
fn a_release_that_nobody_confirmed_is_noticed_s_6() {
    is_noticed(Mutation::NoCommit, 0, &["R7", "S-6"]);
}

#[test]
fn a_new_log_that_is_believed_at_once_is_noticed_s_15() {
    is_noticed(Mutation::NoPullBeforeHonouring, 128, &["S-15", "R1"]);
}

/// Runs seeds until one of these rules is found broken, the one that is known to notice first.
#[expect(clippy::print_stdout, reason = "it says which seed is to be known")]
fn is_noticed(mutation: Mutation, known: u64, rules: &[&str]) {
    let seeds = std::iter::once(known).chain(0..RUNS_MAX);
    let broken = seeds.into_iter().find_map(|seed| {
        let broken = world::run(seed, Some(mutation), Telling::Silent).broken?;
        Some((seed, broken))
    });
    let Some((seed, broken)) = broken else {
        panic!("nothing is noticed of {mutation:?} in {RUNS_MAX} runs");
    };
    println!("{mutation:?}, seed {seed}: {broken}");
    if !rules.iter().any(|rule| broken.starts_with(rule)) {
        let story = world::run(seed, Some(mutation), Telling::Story).story;
        let end = &story[story.len().saturating_sub(STORY_LINES)..];
        panic!(
            "{}\n\nseed {seed}: {mutation:?} breaks something else: {broken}",
            end.join("\n")
        );
    }
}

/// Most runs in which a mutation may hide.
const RUNS_MAX: u64 = 300;
/// The lines of a story that are printed.
const STORY_LINES: usize = 80;

//! Idleness across data centres: in whatever order the answers come, and however often, the verdict is
//! the same, and it is early only where nothing later could change it (S-20).

use std::time::Duration;

use portway::decision::idle::Accesses;
use portway::decision::idle::Limits;
use portway::decision::idle::Reconciliation;
use portway::decision::idle::Verdict;
use portway::model::name::ClusterId;
use portway::model::peer::Answer;
use portway::model::peer::Silence;
use portway::model::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::cases;

const NOW: Timestamp = Timestamp::from_millis(10_000_000);
const IDLE: Duration = Duration::from_mins(30);
const PEERS: usize = 4;

/// What one peer says, if anything.
#[derive(Clone, Copy, Debug)]
enum Word {
    Access(u64),
    Ended,
    Missing,
    Silence,
    Unknown,
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        6 => (0_u64..60).prop_map(Word::Access),
        1 => Just(Word::Ended),
        1 => Just(Word::Missing),
        1 => Just(Word::Silence),
        1 => Just(Word::Unknown),
    ]
}

fn access() -> impl Strategy<Value = Option<Timestamp>> {
    proptest::option::of((0_u64..60).prop_map(ago))
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn the_order_and_number_of_answers_does_not_matter(
        local in access(),
        cookie in access(),
        words in vec(word(), PEERS),
        first in Just((0..PEERS).collect::<Vec<_>>()).prop_shuffle(),
        second in Just((0..PEERS).collect::<Vec<_>>()).prop_shuffle(),
        again in vec(0..PEERS, 0..6),
    ) {
        let mut one = begin(local, cookie);
        let mut two = begin(local, cookie);
        for at in first {
            say(&mut one, at, words[at]);
        }
        for at in second.into_iter().chain(again) {
            say(&mut two, at, words[at]);
        }
        prop_assert_eq!(one.verdict(NOW), two.verdict(NOW));
        prop_assert_eq!(one.verdict(NOW), Some(expected(local, cookie, &words)));
    }

    #[test]
    fn a_verdict_that_comes_early_is_one_that_nothing_but_an_end_can_change(
        local in access(),
        cookie in access(),
        words in vec(word(), PEERS),
    ) {
        let mut machine = begin(local, cookie);
        let mut early = machine.verdict(NOW);
        for (at, word) in words.iter().enumerate() {
            say(&mut machine, at, *word);
            let verdict = machine.verdict(NOW);
            match (early, verdict) {
                (Some(Verdict::Fresh(before)), Some(Verdict::Fresh(after))) => {
                    prop_assert!(after >= before);
                }
                (Some(Verdict::Fresh(_)), other) => prop_assert_eq!(other, Some(Verdict::Ended)),
                (Some(Verdict::Ended), other) => prop_assert_eq!(other, Some(Verdict::Ended)),
                (Some(other), _) => prop_assert!(false, "{:?} before everyone was heard", other),
                (None, _) => {}
            }
            early = verdict;
        }
        prop_assert!(early.is_some());
    }
}

fn expected(local: Option<Timestamp>, cookie: Option<Timestamp>, words: &[Word]) -> Verdict {
    if words.iter().any(|word| matches!(word, Word::Ended)) {
        return Verdict::Ended;
    }
    let told = words.iter().filter_map(|word| match word {
        Word::Access(minutes) => Some(ago(*minutes)),
        Word::Ended | Word::Missing | Word::Silence | Word::Unknown => None,
    });
    let newest = told.chain(local).chain(cookie).max();
    if let Some(newest) = newest
        && NOW.since(newest) < IDLE
    {
        return Verdict::Fresh(newest);
    }
    let is_silent = |word: &Word| matches!(word, Word::Silence | Word::Unknown);
    if words.iter().any(is_silent) {
        Verdict::Undecided
    } else {
        Verdict::Idle
    }
}

fn begin(local: Option<Timestamp>, cookie: Option<Timestamp>) -> Reconciliation {
    let limits = Limits {
        idle_timeout: IDLE,
        now: NOW,
        deadline: NOW.after(Duration::from_secs(1)),
    };
    Reconciliation::begin(Accesses { local, cookie }, (0..PEERS).map(peer), limits)
}

fn say(machine: &mut Reconciliation, at: usize, word: Word) {
    let access;
    let heard = match word {
        Word::Access(minutes) => {
            access = Answer::LastAccess(ago(minutes));
            Ok(&access)
        }
        Word::Ended => Ok(&Answer::Ended),
        Word::Missing => Ok(&Answer::Missing),
        Word::Silence => Err(Silence::TimedOut),
        Word::Unknown => Ok(&Answer::Unknown),
    };
    machine.handle(&peer(at), heard);
}

fn peer(at: usize) -> ClusterId {
    ClusterId::parse(&format!("peer{at}")).unwrap()
}

fn ago(minutes: u64) -> Timestamp {
    NOW.before(Duration::from_mins(minutes))
}

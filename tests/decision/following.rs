//! Following an end log over a network that doubles, delays and reorders, while the log grows, loses its
//! memory and forgets old entries: whatever a reading vouches for has been applied (S-15, S-16).

use std::collections::BTreeSet;
use std::collections::HashMap;
use std::time::Duration;

use portway::decision::following::Asked;
use portway::decision::following::Following;
use portway::decision::following::ReadError;
use portway::decision::following::Then;
use portway::decision::following::delivery::batches;
use portway::model::end::End;
use portway::model::end::Incarnation;
use portway::model::end::Position;
use portway::model::end::Pulled;
use portway::model::id::SsoId;
use portway::model::name::ClusterId;
use portway::model::peer::Answer;
use portway::model::peer::ENDS_MAX;
use portway::model::peer::Question;
use portway::model::peer::Rest;
use portway::model::peer::Silence;
use portway::model::session::EndCause;
use portway::model::session::Generation;
use portway::model::session::Rank;
use portway::model::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;

use super::cases;

const BEGAN: Timestamp = Timestamp::from_millis(1_000_000);
/// What the model's log puts into one answer.
const PAGE: usize = 3;

#[derive(Clone, Copy, Debug)]
enum Event {
    /// Something ends at the peer.
    End,
    /// A question is sent.
    Ask,
    /// A question reaches the peer, which answers it; it may reach it again.
    Serve(usize),
    /// An answer arrives and its ends are applied; it may arrive again.
    Apply(usize),
    /// An answer arrives, and the disk is full.
    Fail(usize),
    /// The peer loses its log.
    Lose,
    /// The engine starts again, from what it noted last.
    Restart,
    /// A question is asked and answered without delay.
    RoundTrip,
    /// Time passes.
    Pass(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::End),
        3 => Just(Event::Ask),
        3 => any::<usize>().prop_map(Event::Serve),
        3 => any::<usize>().prop_map(Event::Apply),
        1 => any::<usize>().prop_map(Event::Fail),
        1 => Just(Event::Lose),
        1 => Just(Event::Restart),
        4 => Just(Event::RoundTrip),
        2 => (0_u64..1000).prop_map(Event::Pass),
    ]
}

struct World {
    now: Timestamp,
    /// The life of the peer's log, and when each of its entries was written.
    life: u8,
    log: Vec<(Timestamp, End)>,
    ends: u64,
    following: Following,
    /// What the engine noted durably.
    noted: Option<Pulled>,
    questions: Vec<(Question, Asked)>,
    answers: Vec<(Asked, Answer)>,
    applied: BTreeSet<SsoId>,
}

impl World {
    fn new() -> Self {
        Self {
            now: BEGAN,
            life: 1,
            log: Vec::new(),
            ends: 0,
            following: Following::resume(None),
            noted: None,
            questions: Vec::new(),
            answers: Vec::new(),
            applied: BTreeSet::new(),
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::End => {
                self.ends += 1;
                self.log.push((self.now, tombstone(self.ends)));
            }
            Event::Ask => {
                let asked = self.following.ask(self.now);
                self.questions.push(asked);
            }
            Event::Serve(which) => {
                if let Some((question, asked)) = pick(&self.questions, which).cloned() {
                    let answer = self.page(&question);
                    self.answers.push((asked, answer));
                }
            }
            Event::Apply(which) => {
                if let Some((asked, answer)) = pick(&self.answers, which).cloned() {
                    self.apply(asked, answer);
                }
            }
            Event::Fail(which) => {
                if let Some((asked, answer)) = pick(&self.answers, which).cloned() {
                    Following::read(asked, Ok(answer)).unwrap();
                }
            }
            Event::Lose => {
                self.life += 1;
                self.log.clear();
            }
            Event::Restart => {
                // Whatever was under way is not waited for any more.
                self.questions.clear();
                self.answers.clear();
                self.following = Following::resume(self.noted);
            }
            Event::RoundTrip => {
                self.round_trip();
            }
            Event::Pass(millis) => self.now = self.now.after(Duration::from_millis(millis)),
        }
    }

    fn round_trip(&mut self) -> Then {
        let (question, asked) = self.following.ask(self.now);
        let answer = self.page(&question);
        self.apply(asked, answer)
    }

    fn page(&self, question: &Question) -> Answer {
        let Question::PullEnds { incarnation, after } = question else {
            panic!("{question:?} is no question for ends");
        };
        let own = Incarnation([self.life; 16]);
        let start = if *incarnation == own { after.0 } else { 0 };
        let entries = (1..).zip(&self.log).filter(|(at, _)| *at > start);
        let ends: Vec<(Position, End)> = entries
            .map(|(at, (_, end))| (Position(at), end.clone()))
            .take(PAGE)
            .collect();
        let rest = if ends.len() < PAGE {
            Rest::Complete
        } else {
            Rest::More
        };
        Answer::Ends {
            incarnation: own,
            ends,
            rest,
        }
    }

    fn apply(&mut self, asked: Asked, answer: Answer) -> Then {
        let batch = Following::read(asked, Ok(answer)).unwrap();
        self.applied.extend(batch.ends.iter().map(sso));
        let then = self.following.applied(batch.read);
        if let Then::Complete(pulled) = then {
            self.noted = Some(pulled);
            self.check(pulled);
        }
        then
    }

    /// Every end that stood in this life of the log when the question was sent has been applied.
    fn check(&self, pulled: Pulled) {
        assert!(pulled.sent <= self.now);
        if pulled.incarnation != Incarnation([self.life; 16]) {
            return;
        }
        let vouched_for = self.log.iter().filter(|(at, _)| *at < pulled.sent);
        for (_, end) in vouched_for {
            assert!(self.applied.contains(&sso(end)), "{end:?} was passed over");
        }
        let read = usize::try_from(pulled.position.0).unwrap();
        for (_, end) in self.log.iter().take(read) {
            assert!(self.applied.contains(&sso(end)), "{end:?} was passed over");
        }
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn what_a_reading_vouches_for_has_been_applied(events in vec(event(), 1..120)) {
        let mut world = World::new();
        for event in events {
            world.happen(event);
        }
        // The network is well again: the log is read to its end in as many questions as it has pages.
        let pages = world.log.len() / PAGE + 1;
        let mut then = world.round_trip();
        for _ in 0..=pages {
            if then == Then::AskAgain {
                then = world.round_trip();
            }
        }
        let Then::Complete(pulled) = then else {
            panic!("the log is not read to its end but {then:?}");
        };
        prop_assert_eq!(pulled.sent, world.now);
        for (_, end) in &world.log {
            prop_assert!(world.applied.contains(&sso(end)));
        }
    }

    #[test]
    fn no_answer_makes_a_reader_go_back_or_panic(
        positions in vec(0_u64..20, 0..8),
        life in 0_u8..3,
        is_complete in any::<bool>(),
        begin in proptest::option::of(0_u64..20),
    ) {
        let pulled = begin.map(|at| Pulled {
            incarnation: Incarnation([1; 16]),
            position: Position(at),
            sent: BEGAN,
        });
        let mut following = Following::resume(pulled);
        let (_, asked) = following.ask(BEGAN);
        let answer = Answer::Ends {
            incarnation: Incarnation([life; 16]),
            ends: positions.iter().map(|at| (Position(*at), tombstone(*at))).collect(),
            rest: if is_complete { Rest::Complete } else { Rest::More },
        };
        let read = Following::read(asked, Ok(answer));
        let start = if life == 1 { begin.unwrap_or(0) } else { 0 };
        let is_page = positions.first().is_none_or(|first| *first > start)
            && positions.is_sorted_by(|one, next| one < next)
            && (is_complete || !positions.is_empty());
        prop_assert_eq!(read.is_ok(), is_page);
        if let Ok(batch) = read {
            following.applied(batch.read);
            let (question, _) = following.ask(BEGAN);
            let Question::PullEnds { after, .. } = question else {
                panic!("{question:?} is no question for ends");
            };
            prop_assert_eq!(after.0, positions.last().copied().unwrap_or(start));
        } else {
            prop_assert_eq!(read, Err(ReadError::Malformed));
        }
        let silent = Following::read(asked, Err(Silence::Busy));
        prop_assert_eq!(silent, Err(ReadError::Silent(Silence::Busy)));
    }

}

proptest! {
    #![proptest_config(cases(12))]

    /// S-15: whoever hears only the batches knows as much as whoever heard everything.
    #[test]
    fn a_push_says_all_that_was_to_be_said_and_each_once(
        ends in vec((0_u64..2500, proptest::option::of(0_u32..4)), 0..3000),
    ) {
        let ends: Vec<End> = ends
            .into_iter()
            .map(|(number, generation)| match generation {
                Some(generation) => moved(number, generation),
                None => tombstone(number),
            })
            .collect();
        let pushed = batches(ends.clone());
        prop_assert!(pushed.iter().all(|batch| !batch.is_empty() && batch.len() <= ENDS_MAX));
        let told: Vec<End> = pushed.concat();
        let subjects: BTreeSet<SsoId> = told.iter().map(sso).collect();
        prop_assert_eq!(subjects.len(), told.len());
        prop_assert_eq!(known_after(&told), known_after(&ends));
    }
}

/// What a receiver knows of each SSO session: that it has ended, or the highest generation.
fn known_after(ends: &[End]) -> HashMap<SsoId, Option<Generation>> {
    let mut known: HashMap<SsoId, Option<Generation>> = HashMap::new();
    for end in ends {
        let told = match end {
            End::Moved { holder, .. } => Some(holder.generation),
            End::Tombstone { .. } | End::UserCutOff { .. } | End::ProviderCutOff { .. } => None,
        };
        let standing = known.entry(sso(end)).or_insert(told);
        *standing = match (*standing, told) {
            (Some(one), Some(other)) => Some(one.max(other)),
            _ => None,
        };
    }
    known
}

fn pick<T>(from: &[T], which: usize) -> Option<&T> {
    from.get(which.checked_rem(from.len())?)
}

fn sso(end: &End) -> SsoId {
    match end {
        End::Tombstone { sso, .. } | End::Moved { sso, .. } => *sso,
        End::UserCutOff { .. } | End::ProviderCutOff { .. } => panic!("{end:?} names no session"),
    }
}

fn sso_of(number: u64) -> SsoId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    SsoId::from_bytes(bytes)
}

fn tombstone(number: u64) -> End {
    End::Tombstone {
        sso: sso_of(number),
        cause: EndCause::LoggedOut,
        expires: BEGAN,
    }
}

fn moved(number: u64, generation: u32) -> End {
    End::Moved {
        sso: sso_of(number),
        holder: Rank {
            generation: Generation(generation),
            cluster: ClusterId::parse("b").unwrap(),
        },
        expires: BEGAN,
    }
}

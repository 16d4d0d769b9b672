//! Ejection of members that answer with errors: when, for how long, how many at a time, and never the last.

use std::time::Duration;

use portway::decision::upstream::Member;
use portway::decision::upstream::MemberState;
use portway::decision::upstream::Outcome;
use portway::decision::upstream::Outlier;
use portway::decision::upstream::OutlierTerms;
use portway::decision::upstream::Tiers;
use portway::decision::upstream::Verdict;
use portway::model::time::Timestamp;
use proptest::prelude::*;

const TERMS: OutlierTerms = OutlierTerms {
    consecutive_5xx: 5,
    consecutive_failures: 3,
    ejection: Duration::from_secs(30),
    ejection_max: Duration::from_mins(2),
    interval: Duration::from_secs(10),
    percent_max: 50,
};

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + seconds * 1000)
}

/// A member as the pool sees it at a moment.
#[derive(Clone, Debug)]
struct Node {
    name: usize,
    state: MemberState,
}

impl Member for Node {
    fn weight(&self) -> u32 {
        1
    }

    fn state(&self) -> MemberState {
        self.state
    }

    fn in_flight(&self) -> usize {
        0
    }

    fn seed(&self) -> u64 {
        0
    }
}

/// A pool whose members are noted and ejected as the gateway does it.
struct Pool {
    terms: OutlierTerms,
    primaries: usize,
    members: Vec<Outlier>,
    /// What else is the matter with a member.
    otherwise: Vec<Option<MemberState>>,
    now: Timestamp,
}

impl Pool {
    fn new(terms: OutlierTerms, members: usize, primaries: usize) -> Self {
        Self {
            terms,
            primaries: primaries.min(members),
            members: vec![Outlier::default(); members],
            otherwise: vec![None; members],
            now: at(0),
        }
    }

    fn state(&self, member: usize) -> MemberState {
        let taken_out = self.otherwise[member].filter(|state| *state != MemberState::Suspected);
        taken_out.unwrap_or_else(|| {
            if self.members[member].is_out(self.now) {
                MemberState::Ejected
            } else {
                self.otherwise[member].unwrap_or(MemberState::Healthy)
            }
        })
    }

    fn tiers(&self) -> Tiers<Node> {
        let node = |name| Node {
            name,
            state: self.state(name),
        };
        Tiers {
            primary: (0..self.primaries).map(node).collect(),
            secondary: (self.primaries..self.members.len()).map(node).collect(),
            failover_threshold: 1,
        }
    }

    fn count(&self, state: MemberState) -> usize {
        let states = (0..self.members.len()).map(|member| self.state(member));
        states.filter(|its| *its == state).count()
    }

    /// Notes an outcome, and tells whether the member was ejected for it.
    fn note(&mut self, member: usize, outcome: Outcome) -> bool {
        let verdict = self.members[member].note(&self.terms, outcome, self.now);
        let ejects = verdict == Some(Verdict::Eject)
            && self.terms.may_eject(&self.tiers(), |it| it.name == member);
        if ejects {
            self.members[member].eject(&self.terms, self.now);
        }
        ejects
    }
}

#[test]
fn errors_in_a_row_are_due_for_an_ejection_and_a_good_answer_clears_them() {
    let mut member = Outlier::default();
    assert!(member.is_at_rest());
    let mut note = |outcomes: &str| -> Vec<Option<Verdict>> {
        let outcome = |c| match c {
            '+' => Outcome::Answered,
            '5' => Outcome::Error,
            _ => Outcome::Failed,
        };
        let each = outcomes.chars();
        each.map(|c| member.note(&TERMS, outcome(c), at(0)))
            .collect()
    };
    assert_eq!(note("5555+5555"), [None; 9]);
    assert_eq!(note("5"), [Some(Verdict::Eject)]);
    assert_eq!(note("+"), [None]);
    // An answer of any kind ends a row of failures.
    assert_eq!(note("--5-"), [None; 4]);
    assert_eq!(note("-"), [Some(Verdict::Eject)], "five that were bad");
    assert_eq!(note("+--"), [None; 3]);
    assert_eq!(note("-"), [Some(Verdict::Eject)], "three that failed");
}

#[test]
fn ejections_grow_up_to_the_longest_and_shrink_while_all_is_well() {
    let mut member = Outlier::default();
    let mut now = at(0);
    let mut eject = |quiet: u64| {
        now = now.after(Duration::from_secs(quiet));
        let span = member.eject(&TERMS, now);
        assert!(member.is_out(now) && !member.is_at_rest());
        assert!(member.is_out(now.after(span - Duration::from_millis(1))));
        now = now.after(span);
        assert!(!member.is_out(now), "it comes back by itself");
        span.as_secs()
    };
    let spans: Vec<u64> = (0..6).map(|_| eject(1)).collect();
    assert_eq!(spans, [30, 60, 90, 120, 120, 120]);
    assert_eq!(
        eject(25),
        90,
        "two intervals make it two steps shorter, and this is one"
    );
    assert_eq!(eject(1000), 30);
}

#[test]
fn what_comes_while_a_member_is_ejected_counts_neither_for_nor_against_it() {
    let mut member = Outlier::default();
    member.eject(&TERMS, at(0));
    for outcome in [Outcome::Failed, Outcome::Error, Outcome::Answered] {
        for _ in 0..10 {
            assert_eq!(member.note(&TERMS, outcome, at(29)), None);
        }
    }
    assert_eq!(member.note(&TERMS, Outcome::Failed, at(30)), None);
    let back = member.note(&TERMS, Outcome::Answered, at(31));
    assert_eq!(back, Some(Verdict::Back));
    assert!(member.is_at_rest(), "it is told once");
}

#[test]
fn a_clock_that_is_set_back_lets_a_member_in() {
    let mut member = Outlier::default();
    member.eject(&TERMS, at(1000));
    assert!(!member.is_out(at(900)));
}

#[test]
fn numbers_of_zero_eject_for_nothing() {
    let terms = OutlierTerms {
        consecutive_5xx: 0,
        consecutive_failures: 2,
        ..TERMS
    };
    let mut member = Outlier::default();
    for _ in 0..100 {
        assert_eq!(member.note(&terms, Outcome::Error, at(0)), None);
    }
    member.note(&terms, Outcome::Failed, at(0));
    let verdict = member.note(&terms, Outcome::Failed, at(0));
    assert_eq!(verdict, Some(Verdict::Eject));
}

#[test]
fn one_may_be_ejected_whatever_the_share_but_not_of_one() {
    let terms = OutlierTerms {
        percent_max: 10,
        ..TERMS
    };
    for (members, expected) in [(1, 0), (2, 1), (9, 1), (19, 1), (20, 2), (30, 3)] {
        let mut pool = Pool::new(terms, members, members);
        for member in 0..members {
            for _ in 0..20 {
                pool.note(member, Outcome::Error);
            }
        }
        assert_eq!(pool.count(MemberState::Ejected), expected, "of {members}");
    }
}

#[test]
fn nobody_is_ejected_where_all_others_are_out_for_other_reasons() {
    for reason in [
        MemberState::Down,
        MemberState::Drained,
        MemberState::Suspected,
    ] {
        let mut pool = Pool::new(TERMS, 4, 2);
        pool.otherwise = vec![None, Some(reason), Some(reason), Some(reason)];
        for _ in 0..50 {
            assert!(!pool.note(0, Outcome::Failed), "{reason:?}");
        }
        pool.otherwise[3] = None;
        assert!(pool.note(0, Outcome::Failed), "the secondary is well");
    }
}

/// What happens to a pool.
#[derive(Clone, Debug)]
enum Step {
    Changes(usize, Option<MemberState>),
    Comes(usize, Outcome),
    Passes(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let outcomes = vec![
        Outcome::Answered,
        Outcome::Error,
        Outcome::Error,
        Outcome::Failed,
        Outcome::Failed,
    ];
    let reasons = vec![
        None,
        None,
        Some(MemberState::Down),
        Some(MemberState::Drained),
        Some(MemberState::Suspected),
    ];
    prop_oneof![
        8 => (0usize..12, prop::sample::select(outcomes)).prop_map(|(at, what)| Step::Comes(at, what)),
        1 => (0usize..12, prop::sample::select(reasons)).prop_map(|(at, why)| Step::Changes(at, why)),
        1 => (0u64..90_000).prop_map(Step::Passes),
    ]
}

proptest! {
    #![proptest_config(super::cases(1024))]

    #[test]
    fn an_ejection_leaves_somebody_who_is_well_and_keeps_to_its_share(
        members in 1usize..12,
        primaries in 1usize..12,
        percent_max in 1u32..=100,
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let terms = OutlierTerms { percent_max, ..TERMS };
        let mut pool = Pool::new(terms, members, primaries);
        let most = (members * percent_max as usize / 100).max(1);
        for step in steps {
            match step {
                Step::Passes(millis) => pool.now = pool.now.after(Duration::from_millis(millis)),
                Step::Changes(member, why) => pool.otherwise[member % members] = why,
                Step::Comes(member, outcome) => {
                    let ejected = pool.note(member % members, outcome);
                    if ejected {
                        prop_assert!(pool.count(MemberState::Healthy) > 0, "the last was ejected");
                        prop_assert!(pool.count(MemberState::Ejected) <= most);
                    }
                }
            }
        }
        // Whatever was, it is over by itself.
        pool.now = pool.now.after(TERMS.ejection_max);
        prop_assert_eq!(pool.count(MemberState::Ejected), 0);
    }

    #[test]
    fn what_others_answer_is_nothing_to_a_member_and_neither_is_the_order(
        outcomes in prop::collection::vec((0usize..3, prop::sample::select(vec![
            Outcome::Answered, Outcome::Error, Outcome::Failed,
        ])), 0..60),
    ) {
        let alone = |member: usize| {
            let mut outlier = Outlier::default();
            for (_, outcome) in outcomes.iter().filter(|(of, _)| *of == member) {
                outlier.note(&TERMS, *outcome, at(0));
            }
            outlier
        };
        let mut together = [Outlier::default(); 3];
        for (member, outcome) in &outcomes {
            together[*member].note(&TERMS, *outcome, at(0));
        }
        prop_assert_eq!(together, [alone(0), alone(1), alone(2)]);
    }

    #[test]
    fn an_ejection_is_never_longer_than_the_longest_nor_shorter_than_the_first(
        pauses in prop::collection::vec(0u64..100_000, 1..40),
    ) {
        let mut member = Outlier::default();
        let mut now = at(0);
        for pause in pauses {
            now = now.after(Duration::from_millis(pause));
            let span = member.eject(&TERMS, now);
            prop_assert!(span >= TERMS.ejection && span <= TERMS.ejection_max);
            now = now.after(span);
        }
    }
}

//! Both processes and what is on its way between them, with deaths at every step.

use std::collections::VecDeque;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// Both processes, what is on its way between them, and the lock of the store.
struct World {
    old: Option<Old>,
    new: Option<New>,
    to_old: VecDeque<Happened>,
    to_new: VecDeque<Heard>,
    owner: Option<Who>,
    /// Who has accepted a connection since the hand-over began.
    accepted: Vec<Who>,
    reopens: bool,
}

struct Old {
    at: Predecessor,
    does: Option<Step>,
}

struct New {
    at: Successor,
    does: Option<Move>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Old,
    New,
}

#[derive(Clone, Copy, Debug)]
enum Turn {
    Old,
    New,
    OldDies,
    NewDies,
    /// The predecessor has waited for long enough.
    Late,
}

impl World {
    fn new(reopens: bool) -> Self {
        let mut at = Predecessor::default();
        let does = at.hear(Happened::Asked);
        Self {
            old: Some(Old { at, does }),
            new: None,
            to_old: VecDeque::new(),
            to_new: VecDeque::new(),
            owner: Some(Who::Old),
            accepted: Vec::new(),
            reopens,
        }
    }

    fn take(&mut self, turn: Turn) {
        match turn {
            Turn::Old => self.old_moves(),
            Turn::New => self.new_moves(),
            Turn::OldDies => self.old_dies(),
            Turn::NewDies => self.new_dies(),
            Turn::Late => {
                if let Some(old) = &self.old
                    && matches!(old.at, Predecessor::Preparing | Predecessor::Given)
                    && old.does.is_none()
                {
                    self.to_old.push_back(Happened::Failed);
                }
            }
        }
    }

    fn old_moves(&mut self) {
        let Some(mut old) = self.old.take() else {
            return;
        };
        let happened = match old.does.take() {
            None => self.to_old.pop_front(),
            Some(step) => self.does(step),
        };
        if let Some(happened) = happened {
            old.does = old.at.hear(happened);
        }
        self.old = Some(old);
    }

    fn does(&mut self, step: Step) -> Option<Happened> {
        match step {
            Step::Start => {
                let at = Successor::default();
                self.new = Some(New { at, does: None });
                self.to_old.push_back(Happened::Ready);
                None
            }
            Step::Close => {
                assert_eq!(self.owner, Some(Who::Old));
                self.owner = None;
                Some(Happened::Closed)
            }
            Step::Give if self.new.is_none() => Some(Happened::Failed),
            Step::Give => {
                self.to_new.extend([Heard::Begun, Heard::Yours]);
                None
            }
            Step::Leave if self.new.is_none() => Some(Happened::Failed),
            Step::Leave => {
                self.to_new.push_back(Heard::Go);
                Some(Happened::Done)
            }
            Step::End => {
                self.new_dies();
                self.to_old.clear();
                Some(Happened::Gone)
            }
            Step::Reopen if self.reopens => {
                assert_eq!(self.owner, None, "the store is somebody else's");
                self.owner = Some(Who::Old);
                Some(Happened::Reopened)
            }
            Step::Reopen => Some(Happened::NotReopened),
            Step::Resume => {
                assert_eq!(self.owner, Some(Who::Old));
                Some(Happened::Done)
            }
            Step::Stop => None,
        }
    }

    fn new_moves(&mut self) {
        let Some(mut new) = self.new.take() else {
            return;
        };
        match new.does.take() {
            None => {
                let heard = self.to_new.pop_front();
                new.does = heard.and_then(|heard| new.at.hear(heard));
                if heard == Some(Heard::Yours) {
                    assert_eq!(self.owner, Some(Who::New), "it has not opened the store");
                    self.to_old.push_back(Happened::Able);
                }
            }
            Some(Move::Open) => {
                assert_eq!(self.owner, None, "the store is somebody else's");
                self.owner = Some(Who::New);
            }
            Some(Move::Accept) => {
                assert_eq!(self.owner, Some(Who::New));
                self.accepted.push(Who::New);
            }
            Some(Move::GiveUp) => {
                self.new = Some(new);
                self.new_dies();
                return;
            }
        }
        self.new = Some(new);
    }

    fn old_dies(&mut self) {
        if self.old.take().is_some() && self.new.is_some() {
            self.to_new.push_back(Heard::Silence);
        }
        if self.owner == Some(Who::Old) {
            self.owner = None;
        }
    }

    fn new_dies(&mut self) {
        if self.new.take().is_some() {
            self.to_old.push_back(Happened::Failed);
        }
        self.to_new.clear();
        if self.owner == Some(Who::New) {
            self.owner = None;
        }
    }

    /// Lets both go on until neither has anything to do.
    fn settle(&mut self) {
        for _ in 0..64 {
            self.old_moves();
            self.new_moves();
        }
    }
}

fn turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        8 => Just(Turn::Old),
        8 => Just(Turn::New),
        1 => Just(Turn::OldDies),
        1 => Just(Turn::NewDies),
        1 => Just(Turn::Late),
    ]
}

proptest! {
    /// Whatever dies when, the store has one owner in the end: whoever lives, if anybody does who may.
    #[test]
    fn the_store_never_has_two_owners_and_whoever_lives_has_it(turns in vec(turn(), 0..40)) {
        let mut world = World::new(true);
        for turn in turns {
            world.take(turn);
            if world.accepted.contains(&Who::New)
                && let Some(old) = &world.old
            {
                prop_assert_eq!(old.at, Predecessor::Left, "it could take back what was changed");
            }
        }
        world.settle();
        match (&world.old, &world.new) {
            (Some(old), Some(_)) => {
                prop_assert_eq!(old.at, Predecessor::Left);
                prop_assert_eq!(world.owner, Some(Who::New));
            }
            (Some(old), None) if old.at != Predecessor::Left => {
                prop_assert_eq!(old.at, Predecessor::Serving);
                prop_assert_eq!(world.owner, Some(Who::Old));
            }
            // It took leave, and its successor died as any gateway may.
            (Some(_), None) | (None, None) => prop_assert_eq!(world.owner, None),
            (None, Some(_)) => prop_assert_eq!(world.owner, Some(Who::New)),
        }
    }
}

#[test]
fn without_a_fault_the_successor_has_the_store_and_accepts() {
    let mut world = World::new(true);
    world.settle();
    assert_eq!(world.old.unwrap().at, Predecessor::Left);
    assert_eq!(world.owner, Some(Who::New));
    assert_eq!(world.accepted, [Who::New]);
}

#[test]
fn a_store_that_cannot_be_closed_or_opened_again_stops_the_right_one() {
    let mut at = Predecessor::Closing;
    assert_eq!(at.hear(Happened::NotClosed), Some(Step::End));
    assert_eq!(at.hear(Happened::Gone), Some(Step::Resume));
    assert_eq!(at.hear(Happened::Done), None);
    assert_eq!(at, Predecessor::Serving);
    let mut world = World::new(false);
    while world.owner != Some(Who::New) {
        world.take(Turn::Old);
        world.take(Turn::New);
    }
    world.to_old.clear();
    world.take(Turn::NewDies);
    world.settle();
    assert_eq!(world.old.unwrap().at, Predecessor::Lost);
}

#[test]
fn nothing_is_done_at_a_word_that_cannot_be_meant() {
    for at in [Predecessor::Serving, Predecessor::Left, Predecessor::Lost] {
        let mut same = at;
        assert_eq!(same.hear(Happened::Able), None);
        assert_eq!(same.hear(Happened::Failed), None);
        assert_eq!(same, at);
    }
    let mut waiting = Successor::Waiting;
    assert_eq!(
        waiting.hear(Heard::Yours),
        Some(Move::Open),
        "nothing is in memory"
    );
    assert_eq!(waiting, Successor::Owning);
    assert_eq!(waiting.hear(Heard::Begun), None);
    let mut serving = Successor::Serving;
    assert_eq!(serving.hear(Heard::Yours), None);
    assert_eq!(serving.hear(Heard::Silence), None);
}

//! Which faults there will be, and when: made from a seed before anything starts.
//!
//! Doing them is the storm's matter.

use std::time::Duration;

use crate::dice::Dice;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::millis;

/// A fault to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) at: Millis,
    pub(crate) lasts: Millis,
    pub(crate) trouble: Trouble,
}

/// What will be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Everybody is killed at once.
    Blackout,
    /// Its clock is set this many seconds ahead.
    Clock(NodeId, i64),
    /// Its disk is filled.
    Full(NodeId),
    /// Everything between the two arrives late.
    Held(NodeId, NodeId),
    /// Nothing gets to or from it.
    Isolated(NodeId),
    /// `kill -9`.
    Killed(NodeId),
    /// Killed as soon as it is up, again and again.
    Looping(NodeId),
    /// What is sent one way is lost.
    OneWay { from: NodeId, to: NodeId },
    /// Every connection is reset.
    Reset(NodeId, NodeId),
    /// SIGSTOP.
    Stopped(NodeId),
    /// What is sent either way is lost.
    TwoWay(NodeId, NodeId),
    /// It may write to no file.
    Unwritable(NodeId),
}

impl Trouble {
    /// Whether it befalls the process of this gateway, which has to run for it.
    pub(crate) fn befalls(self, node: NodeId) -> bool {
        match self {
            Self::Blackout => true,
            Self::Full(one)
            | Self::Killed(one)
            | Self::Looping(one)
            | Self::Stopped(one)
            | Self::Unwritable(one) => one == node,
            Self::Clock(..)
            | Self::Held(..)
            | Self::Isolated(_)
            | Self::OneWay { .. }
            | Self::Reset(..)
            | Self::TwoWay(..) => false,
        }
    }

    /// What it is called when it is counted: one of [`TROUBLES`].
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Clock(_, seconds) if seconds < 0 => TROUBLES[0],
            Self::Clock(..) => TROUBLES[1],
            Self::Full(_) => TROUBLES[2],
            Self::Held(..) => TROUBLES[3],
            Self::Isolated(_) => TROUBLES[4],
            Self::Killed(_) => TROUBLES[5],
            Self::Looping(_) => TROUBLES[6],
            Self::OneWay { .. } => TROUBLES[7],
            Self::Reset(..) => TROUBLES[8],
            Self::Stopped(_) => TROUBLES[9],
            Self::TwoWay(..) => TROUBLES[10],
            Self::Unwritable(_) => TROUBLES[11],
            Self::Blackout => TROUBLES[12],
        }
    }
}

/// The kinds of trouble, before it is said whom they meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Blackout,
    ClockAhead,
    ClockBehind,
    Full,
    Held,
    Isolated,
    Killed,
    Looping,
    OneWay,
    Reset,
    Severed,
    Stopped,
    TwoWay,
    Unwritable,
}

/// Rounds of every kind of trouble, each followed by a calm; all over before `length`.
pub(crate) fn make(dice: &mut Dice, length: Duration, nodes: usize) -> Vec<Planned> {
    let mut kinds = vec![
        Kind::Blackout,
        Kind::ClockAhead,
        Kind::ClockBehind,
        Kind::Full,
        Kind::Held,
        Kind::Isolated,
        Kind::Killed,
        Kind::Looping,
        Kind::OneWay,
        Kind::Reset,
        Kind::Severed,
        Kind::Stopped,
        Kind::TwoWay,
        Kind::Unwritable,
    ];
    let length = millis(length);
    let round = ROUND.min(length);
    let mut plan = Vec::new();
    let mut busy = vec![0; nodes];
    let mut begins = 0;
    while begins + round <= length {
        dice.shuffle(&mut kinds);
        let step = (round - LONGEST.min(round / 2)) / u64::try_from(kinds.len()).unwrap();
        let mut at = begins;
        for kind in &kinds {
            at += step;
            plan.extend(place(*kind, at, dice, &mut busy));
        }
        begins += round + CALM;
    }
    plan
}

/// For a world in which sessions are to end by time alone: the first data centre is cut off from the others
/// for longer than they may take it at its last word, after a time without any trouble.
pub(crate) fn cuts(length: Duration, lease: Duration) -> Vec<Planned> {
    let (length, lasts) = (millis(length), millis(lease) + LONGER);
    let mut plan = Vec::new();
    let mut at = QUIET;
    while at + lasts <= length {
        plan.push(Planned {
            at,
            lasts,
            trouble: Trouble::Isolated(CUT_OFF),
        });
        at += lasts + QUIET;
    }
    plan
}

/// Says whom a trouble meets. One gateway has one trouble at a time; those of the network may add to it.
fn place(kind: Kind, at: Millis, dice: &mut Dice, busy: &mut [Millis]) -> Vec<Planned> {
    let mut order: Vec<usize> = (0..busy.len()).collect();
    dice.shuffle(&mut order);
    let (one, other) = (NodeId(order[0]), NodeId(order[1]));
    let lasts = match kind {
        Kind::Stopped => 5000,
        Kind::Blackout | Kind::Killed => dice.between(200, 3000),
        Kind::Isolated | Kind::Severed | Kind::TwoWay => dice.between(7500, LONGEST),
        Kind::OneWay | Kind::Held => dice.between(2000, 9000),
        Kind::ClockAhead | Kind::ClockBehind => dice.between(4000, 8000),
        Kind::Full | Kind::Unwritable => dice.between(3000, 6000),
        Kind::Looping | Kind::Reset => 0,
    };
    let all_free = busy.iter().copied().fold(at, Millis::max);
    let mut own = || {
        let free = order.iter().copied().find(|node| busy[*node] <= at);
        let node = free.unwrap_or_else(|| {
            let soonest = order.iter().copied().min_by_key(|node| busy[*node]);
            soonest.unwrap()
        });
        let at = at.max(busy[node]);
        busy[node] = at + lasts + RECOVERS;
        (NodeId(node), at)
    };
    let (trouble, at) = match kind {
        Kind::Blackout => (Trouble::Blackout, all_free),
        Kind::ClockAhead => take(own(), |node| Trouble::Clock(node, CLOCK_OFF)),
        Kind::ClockBehind => take(own(), |node| Trouble::Clock(node, -CLOCK_OFF)),
        Kind::Full => take(own(), Trouble::Full),
        Kind::Killed => take(own(), Trouble::Killed),
        Kind::Looping => take(own(), Trouble::Looping),
        Kind::Stopped => take(own(), Trouble::Stopped),
        Kind::Unwritable => take(own(), Trouble::Unwritable),
        Kind::Held => (Trouble::Held(one, other), at),
        Kind::Isolated => (Trouble::Isolated(one), at),
        Kind::OneWay => {
            let (from, to) = (one, other);
            (Trouble::OneWay { from, to }, at)
        }
        Kind::Reset => (Trouble::Reset(one, other), at),
        Kind::Severed => take(own(), Trouble::Isolated),
        Kind::TwoWay => (Trouble::TwoWay(one, other), at),
    };
    if trouble == Trouble::Blackout {
        busy.fill(at + lasts + RECOVERS);
    }
    let mut planned = vec![Planned { at, lasts, trouble }];
    // What was acknowledged while nobody else could hear of it is on its disk or nowhere (R9).
    if let (Kind::Severed, Trouble::Isolated(node)) = (kind, trouble) {
        planned.push(Planned {
            at: at + lasts * 3 / 4,
            lasts: 0,
            trouble: Trouble::Killed(node),
        });
    }
    planned
}

fn take(
    (node, at): (NodeId, Millis),
    trouble: impl FnOnce(NodeId) -> Trouble,
) -> (Trouble, Millis) {
    (trouble(node), at)
}

/// The names under which troubles are counted.
pub(crate) const TROUBLES: [&str; 13] = [
    "clocks set back by 120 s",
    "clocks set ahead by 120 s",
    "full disks",
    "networks that held everything up",
    "data centres cut off from all others",
    "kill -9",
    "restarts in a loop",
    "partitions one way",
    "connections reset",
    "SIGSTOP for 5 s",
    "partitions both ways",
    "processes that could write to no file",
    "kill -9 of all data centres at once",
];
/// How far a clock is set off, in seconds.
const CLOCK_OFF: i64 = 120;
/// The longest that any trouble lasts.
const LONGEST: Millis = 11_000;
/// One of every kind fits into it.
const ROUND: Millis = 40_000;
/// After a round everything heals, and has the time to.
const CALM: Millis = 35_000;
/// The data centre that is cut off where time is to end sessions.
pub(crate) const CUT_OFF: NodeId = NodeId(0);
/// There nothing is wrong for so long, first and between the cuts.
const QUIET: Millis = 14_000;
/// So much longer than the lease is the cut.
const LONGER: Millis = 4500;
/// A gateway is left alone for this long after its trouble.
const RECOVERS: Millis = 1000;

#[test]
fn the_shortest_run_has_a_cut_that_outlasts_the_lease() {
    let lease = Duration::from_secs(3);
    let plan = cuts(Duration::from_secs(22), lease);
    assert_eq!(plan.len(), 1, "{plan:?}");
    assert!(plan[0].lasts > millis(lease));
    let long = cuts(Duration::from_secs(140), lease);
    assert!(long.len() > 4, "{long:?}");
}

#[test]
fn the_same_seed_gives_the_same_plan_and_each_kind_comes() {
    for seconds in [22, 600] {
        let length = Duration::from_secs(seconds);
        let plan = make(&mut Dice::new(7), length, 3);
        assert_eq!(plan, make(&mut Dice::new(7), length, 3));
        assert_ne!(plan, make(&mut Dice::new(8), length, 3));
        for name in TROUBLES {
            let comes = plan.iter().any(|planned| planned.trouble.name() == name);
            assert!(comes, "{name}: {plan:?}");
        }
    }
}

//! Does what the plan says, and writes down when each fault began and ended.

use std::time::Duration;

use tokio::time::Instant;

use crate::history::Fault;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::Span;
use crate::history::What;
use crate::plan::Planned;
use crate::plan::Trouble;
use crate::relay::Way;
use crate::world::World;

/// A fault that has begun.
struct Standing {
    /// When it is to end.
    ends: Millis,
    what: Vec<What>,
    began: Span,
    by: Trouble,
}

/// Carries a plan out, from its start on, until the last fault is over.
pub(crate) async fn rage(world: &World, plan: &[Planned]) {
    let start = world.chronicle.now();
    let mut plan = plan.to_vec();
    plan.sort_by_key(|planned| planned.at);
    let mut coming = plan.into_iter().peekable();
    let mut standing: Vec<Standing> = Vec::new();
    loop {
        standing.sort_by_key(|fault| std::cmp::Reverse(fault.ends));
        let next_end = standing.last().map(|fault| fault.ends);
        let next_begin = coming.peek().map(|planned| start + planned.at);
        match (next_end, next_begin) {
            (None, None) => return,
            (Some(end), begin) if begin.is_none_or(|begin| end <= begin) => {
                reach(world, end).await;
                if let Some(fault) = standing.pop() {
                    end_one(world, fault, &standing).await;
                }
            }
            (_, begin) => {
                reach(world, begin.unwrap_or_default()).await;
                if let Some(planned) = coming.next() {
                    raise(world, planned.trouble, &mut standing).await;
                    standing.extend(begin_one(world, planned, &standing).await);
                }
            }
        }
    }
}

/// Has whoever is down come up again, in time, if the next trouble is to befall a process: on a machine that
/// is busy all is later than it was planned.
async fn raise(world: &World, next: Trouble, standing: &mut Vec<Standing>) {
    let is_down = |fault: &Standing| {
        let mut what = fault.what.iter();
        what.any(|what| matches!(what, What::Down(node) if next.befalls(*node)))
    };
    while let Some(at) = standing.iter().position(is_down) {
        let fault = standing.remove(at);
        reach(world, fault.ends).await;
        end_one(world, fault, standing).await;
    }
}

/// Waits until this time of the run has come.
async fn reach(world: &World, time: Millis) {
    let instant: Instant = world.chronicle.began() + Duration::from_millis(time);
    tokio::time::sleep_until(instant).await;
}

async fn begin_one(world: &World, planned: Planned, others: &[Standing]) -> Option<Standing> {
    let now = || world.chronicle.now();
    let from = now();
    eprintln!("{from:>7} {:?} for {} ms", planned.trouble, planned.lasts);
    world.chronicle.befell(planned.trouble.name());
    let what = match planned.trouble {
        Trouble::Blackout => world.nodes.iter().map(|node| What::Down(node.id)).collect(),
        Trouble::Clock(node, seconds) => vec![What::Ahead(node, seconds)],
        Trouble::Full(node) | Trouble::Unwritable(node) => vec![What::Full(node)],
        Trouble::Held(one, other) => held(one, other),
        Trouble::Isolated(one) => {
            let others = world.nodes.iter().map(|node| node.id);
            others
                .filter(|other| *other != one)
                .flat_map(|other| lost(one, other))
                .collect()
        }
        Trouble::Killed(node) => vec![What::Down(node)],
        Trouble::OneWay { from, to } => vec![What::Lost { from, to }],
        Trouble::Reset(one, other) => vec![What::Reset(one, other)],
        Trouble::Stopped(node) => vec![What::Stopped(node)],
        Trouble::TwoWay(one, other) => lost(one, other),
        Trouble::Looping(node) => {
            for _ in 0..LOOPS {
                let from = now();
                inflict(world, What::Down(node), planned.trouble);
                let began = Span { from, to: now() };
                let fault = Standing {
                    ends: now(),
                    what: vec![What::Down(node)],
                    began,
                    by: planned.trouble,
                };
                end_one(world, fault, others).await;
            }
            return None;
        }
    };
    what.iter()
        .for_each(|what| inflict(world, *what, planned.trouble));
    Some(Standing {
        ends: now() + planned.lasts,
        what,
        began: Span { from, to: now() },
        by: planned.trouble,
    })
}

fn lost(one: NodeId, other: NodeId) -> Vec<What> {
    let way = |from, to| What::Lost { from, to };
    vec![way(one, other), way(other, one)]
}

fn held(one: NodeId, other: NodeId) -> Vec<What> {
    let way = |from, to| What::Held { from, to };
    vec![way(one, other), way(other, one)]
}

fn inflict(world: &World, what: What, by: Trouble) {
    match what {
        What::Ahead(node, seconds) => world.node(node).set_clock_ahead(seconds),
        What::Down(node) => world.node(node).kill9(),
        What::Full(node) if by == Trouble::Unwritable(node) => {
            world.node(node).limit_writing(Some(0));
        }
        What::Full(node) => world.node(node).fill_disk(),
        What::Held { from, to } => world.network.set(from, to, Way::Held),
        What::Lost { from, to } => world.network.set(from, to, Way::Lost),
        What::Reset(one, other) => world.network.reset(one, other),
        What::Stopped(node) => world.node(node).stop(),
    }
}

async fn end_one(world: &World, fault: Standing, others: &[Standing]) {
    for what in &fault.what {
        let from = world.chronicle.now();
        match *what {
            What::Ahead(node, _) => world.node(node).set_clock_ahead(0),
            What::Down(node) => world.node(node).start().await,
            What::Full(node) if fault.by == Trouble::Unwritable(node) => {
                world.node(node).limit_writing(None);
            }
            What::Full(node) => world.node(node).clear_disk(),
            What::Held { from, to } | What::Lost { from, to } => {
                world.network.set(from, to, still(from, to, others));
            }
            What::Reset(..) => {}
            What::Stopped(node) => world.node(node).go_on(),
        }
        let to = world.chronicle.now();
        world.chronicle.fault(Fault {
            what: *what,
            began: fault.began,
            over: Span { from, to },
        });
    }
}

/// What other faults make of a way.
fn still(from: NodeId, to: NodeId, others: &[Standing]) -> Way {
    let mut standing = others.iter().flat_map(|fault| &fault.what);
    let way = standing.find_map(|what| match *what {
        What::Held { from: a, to: b } if (a, b) == (from, to) => Some(Way::Held),
        What::Lost { from: a, to: b } if (a, b) == (from, to) => Some(Way::Lost),
        What::Ahead(..)
        | What::Down(_)
        | What::Full(_)
        | What::Held { .. }
        | What::Lost { .. }
        | What::Reset(..)
        | What::Stopped(_) => None,
    });
    way.unwrap_or(Way::Open)
}

/// How often a gateway in a loop is killed.
const LOOPS: usize = 3;

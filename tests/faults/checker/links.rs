//! When news could get from one data centre to another, and what a clock may have shown: arithmetic on
//! the faults of a history.

use crate::history::Fault;
use crate::history::Lasting;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::Promises;
use crate::history::Span;
use crate::history::What;
use crate::history::millis;

/// By when an end must have been heard of, and by which rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) at: Millis,
    pub(crate) rule: &'static str,
    pub(crate) allowance: Allowance,
}

/// How much time was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// No more than is promised where nothing is wrong.
    Calm,
    /// More, for something was wrong.
    Disturbed,
    /// None: it was known there.
    Nothing,
}

/// By when `to` must have heard of what `from` knew at `at`; `None` when they never had the time together.
/// An end in memory only may be lost with the next crash of `from`.
pub(crate) fn due(
    (from, to): (NodeId, NodeId),
    at: Millis,
    lasting: Lasting,
    faults: &[Fault],
    promises: &Promises,
) -> Option<Due> {
    let heal = millis(promises.heal);
    let lost_at = match lasting {
        Lasting::Durable => Millis::MAX,
        Lasting::Memory => next_crash(from, at, faults).unwrap_or(Millis::MAX),
    };
    let mut apart: Vec<Span> = faults
        .iter()
        .filter(|fault| fault.what.parts(from, to))
        .map(Fault::outer)
        .collect();
    apart.sort_by_key(|span| span.from);
    apart.push(Span {
        from: Millis::MAX,
        to: Millis::MAX,
    });
    let mut together_since = 0;
    for span in apart {
        let due = if together_since + heal <= at {
            fan_out(at, faults, promises)
        } else {
            Due {
                at: at.max(together_since) + heal,
                rule: "R3",
                allowance: Allowance::Disturbed,
            }
        };
        if due.at <= span.from && due.at <= lost_at {
            return Some(due);
        }
        together_since = together_since.max(span.to);
    }
    None
}

/// By when an end of this moment must be known where everybody is connected (R2).
fn fan_out(at: Millis, faults: &[Fault], promises: &Promises) -> Due {
    let promised = millis(promises.fan_out);
    let under_way = Span {
        from: at.saturating_sub(promised),
        to: at + promised,
    };
    let is_calm = !faults.iter().any(|fault| fault.outer().meets(under_way));
    let (bound, allowance) = if is_calm {
        (promised, Allowance::Calm)
    } else {
        (millis(promises.fan_out_disturbed), Allowance::Disturbed)
    };
    Due {
        at: at + bound,
        rule: "R2",
        allowance,
    }
}

/// When a gateway was next killed, at the earliest.
fn next_crash(node: NodeId, after: Millis, faults: &[Fault]) -> Option<Millis> {
    faults
        .iter()
        .filter(|fault| fault.what == What::Down(node) && fault.outer().to >= after)
        .map(|fault| fault.outer().from)
        .min()
}

/// Whether a gateway may have been killed within a span.
pub(crate) fn may_have_crashed(node: NodeId, within: Span, faults: &[Fault]) -> bool {
    faults
        .iter()
        .any(|fault| fault.what == What::Down(node) && fault.outer().meets(within))
}

/// Whether nothing could get from one data centre to another in all of a span, for certain.
pub(crate) fn apart_throughout(one: NodeId, other: NodeId, span: Span, faults: &[Fault]) -> bool {
    faults.iter().any(|fault| {
        let parts = match fault.what {
            What::Held { from, to } | What::Lost { from, to } => {
                (from, to) == (one, other) || (from, to) == (other, one)
            }
            What::Down(node) | What::Stopped(node) => node == other,
            What::Ahead(..) | What::Full(_) | What::Reset(..) => false,
        };
        let inner = fault.inner();
        parts && inner.is_some_and(|inner| inner.from <= span.from && span.to <= inner.to)
    })
}

/// How many milliseconds ahead a clock was within a span, at least and at most.
pub(crate) fn ahead(node: NodeId, span: Span, faults: &[Fault]) -> (i64, i64) {
    let wide = Span {
        from: span.from.saturating_sub(CLOCK_MOVES),
        to: span.to + CLOCK_MOVES,
    };
    let mut shown = Vec::new();
    let mut is_moved_throughout = false;
    for fault in faults {
        if let What::Ahead(moved, seconds) = fault.what
            && moved == node
            && fault.outer().meets(wide)
        {
            shown.push(seconds * 1000);
            is_moved_throughout |= fault
                .inner()
                .is_some_and(|inner| inner.from <= wide.from && wide.to <= inner.to);
        }
    }
    if !is_moved_throughout {
        shown.push(0);
    }
    let least = shown.iter().copied().min().unwrap_or(0);
    (least, shown.iter().copied().max().unwrap_or(0))
}

/// Whether no clock was moved within a span.
pub(crate) fn clocks_were_right(span: Span, faults: &[Fault]) -> bool {
    !faults
        .iter()
        .any(|fault| matches!(fault.what, What::Ahead(..)) && fault.outer().meets(span))
}

/// Whether a clock was ahead within a span.
pub(crate) fn was_ahead(span: Span, faults: &[Fault]) -> bool {
    faults.iter().any(|fault| {
        matches!(fault.what, What::Ahead(_, seconds) if seconds > 0) && fault.outer().meets(span)
    })
}

/// How long it may take until a gateway sees that its clock was moved.
const CLOCK_MOVES: Millis = 1500;

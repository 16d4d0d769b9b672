//! Verifies the promises R1 to R9 of the session engine over the history of a run: a pure function.
//!
//! It knows only what users could see and what the gateways logged, so it blames nothing that may have been
//! right: every bound runs from the latest moment at which something can have happened. What runs the
//! gateways, and what breaks them, is elsewhere.

use std::collections::BTreeMap;

use crate::history::Asked;
use crate::history::History;
use crate::history::Holding;
use crate::history::Lasting;
use crate::history::LoginId;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::Said;
use crate::history::Span;
use crate::history::Verdict;
use crate::history::millis;

use gather::Case;
pub(crate) use gather::ENDED;
use gather::Known;
use gather::LOG_LAG;
use gather::Source;
use gather::cases;
use kept::Kept;
use links::Allowance;
use links::Due;

mod gather;
mod kept;
mod links;
#[cfg(test)]
mod tests;

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) rule: &'static str,
    pub(crate) login: LoginId,
    pub(crate) node: NodeId,
    pub(crate) at: Millis,
    pub(crate) why: String,
}

/// What the checker found, and how much it had to judge by.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) violations: Vec<Violation>,
    /// Ends that somebody was told of.
    pub(crate) ends: usize,
    /// Refusals of a session after its end was known there, which would have been violations otherwise.
    pub(crate) refused_after_end: usize,
    /// Accepted requests that were looked at.
    pub(crate) accepts: usize,
    /// Logins whose session was recognised in the logs.
    pub(crate) recognised: usize,
    /// Requests whose session had to be honoured, and was.
    pub(crate) kept: usize,
    /// Moves of a session from one holder to the next that had to be adoptions.
    pub(crate) moves: usize,
    /// Refusals of what had to be refused for its age, for want of use, or for want of news from where it
    /// began.
    pub(crate) refused_as: Overdue,
    /// Refusals in other data centres, past the time in which an end gets there while all is calm.
    pub(crate) prompt: usize,
}

/// Refusals that would have been violations otherwise, by what time had made of a session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overdue {
    pub(crate) idle: usize,
    pub(crate) old: usize,
    pub(crate) unheard: usize,
}

/// Checks a history.
pub(crate) fn check(history: &History) -> Findings {
    let cases = cases(history);
    let mut findings = Findings::default();
    for case in cases.values() {
        findings.ends += case
            .known
            .iter()
            .filter(|known| known.source == Source::Acknowledged)
            .count();
        findings.recognised += usize::from(!case.words.is_empty());
        check_ends(case, history, &mut findings);
        for asked in &case.asked {
            check_time(case, asked, history, &mut findings);
            match kept::judge(case, asked, &cases, history) {
                Kept::Honoured => findings.kept += 1,
                Kept::Lost(violation) => findings.violations.push(violation),
                Kept::Open => {}
            }
        }
        check_holders(case, history, &mut findings);
    }
    check_maximum(&cases, history, &mut findings);
    findings.violations.sort_by_key(|violation| violation.at);
    findings
}

/// R5, R6 and the lease: what time alone ends.
fn check_time(case: &Case<'_>, asked: &Asked, history: &History, findings: &mut Findings) {
    let overdue = [
        outlived(case, asked, history),
        idled(case, asked, history),
        lease_ignored(case, asked, history),
    ];
    match asked.verdict {
        Verdict::Accepted | Verdict::Crossed => {
            findings.accepts += 1;
            findings.violations.extend(crossed(case, asked));
            findings.violations.extend(overdue.into_iter().flatten());
        }
        Verdict::Refused => {
            let [old, idle, unheard] = overdue.map(|overdue| usize::from(overdue.is_some()));
            findings.refused_as.old += old;
            findings.refused_as.idle += idle;
            findings.refused_as.unheard += unheard;
        }
        Verdict::Failed => {}
    }
}

fn accepted<'c>(case: &'c Case<'_>) -> impl Iterator<Item = &'c Asked> {
    let asked = case.asked.iter().copied();
    asked.filter(|asked| matches!(asked.verdict, Verdict::Accepted | Verdict::Crossed))
}

/// R1, R4, R9 where the end was known, R2 and R3 where it must have been heard of.
fn check_ends(case: &Case<'_>, history: &History, findings: &mut Findings) {
    for known in &case.known {
        for node in (0..history.nodes).map(NodeId) {
            let due = if node == known.node {
                Some(Due {
                    at: known.at,
                    rule: "R1",
                    allowance: Allowance::Nothing,
                })
            } else {
                let way = (known.node, node);
                let (faults, promises) = (&history.faults, &history.promises);
                links::due(way, known.at, known.lasting, faults, promises)
            };
            let Some(due) = due else { continue };
            for asked in case.asked.iter().filter(|asked| asked.node == node) {
                judge_end(case, known, due, asked, history, findings);
            }
        }
    }
    // One request may break a promise about several ends; one of each rule is enough.
    findings.violations.dedup_by_key(|violation| {
        (
            violation.rule,
            violation.login,
            violation.node,
            violation.at,
        )
    });
}

#[expect(
    clippy::too_many_arguments,
    reason = "one question with all it goes by"
)]
fn judge_end(
    case: &Case<'_>,
    known: &Known,
    due: Due,
    asked: &Asked,
    history: &History,
    findings: &mut Findings,
) {
    if asked.span.from < due.at {
        return;
    }
    let since = Span {
        from: due.at,
        to: asked.span.to,
    };
    let has_crashed = links::may_have_crashed(asked.node, since, &history.faults);
    let is_own = asked.node == known.node;
    if has_crashed && is_own && known.lasting == Lasting::Memory {
        return;
    }
    if asked.verdict == Verdict::Refused {
        findings.refused_after_end += 1;
        findings.prompt += usize::from(due.allowance == Allowance::Calm);
        return;
    }
    if asked.verdict == Verdict::Failed {
        return;
    }
    let rule = match (is_own, has_crashed, known.source) {
        (false, ..) => due.rule,
        (true, _, Source::Refused) => "R4",
        (true, true, Source::Acknowledged) => "R9",
        (true, false, Source::Acknowledged) => "R1",
    };
    let why = format!(
        "ended at {} by {} ({:?}, {:?}), due here by {}",
        known.node, known.at, known.source, known.lasting, due.at
    );
    findings.violations.push(violation(rule, case, asked, why));
}

/// Nobody is served as somebody else.
fn crossed(case: &Case<'_>, asked: &Asked) -> Option<Violation> {
    let crossed = asked.verdict == Verdict::Crossed;
    crossed.then(|| violation("R1", case, asked, "served as another user".to_owned()))
}

/// R6: the lifetime is fixed at the login; each clock counts as it was then and there.
fn outlived(case: &Case<'_>, asked: &Asked, history: &History) -> Option<Violation> {
    let login = case.sign_in;
    let (_, then) = links::ahead(login.node, login.span, &history.faults);
    let (now, _) = links::ahead(asked.node, asked.span, &history.faults);
    let lifetime = history.promises.lifetime;
    let expires = signed(login.span.to + millis(lifetime) + SLACK) + then;
    let shown = signed(asked.span.from) + now;
    let why = || format!("{} ms after its lifetime", shown - expires);
    (shown > expires).then(|| violation("R6", case, asked, why()))
}

/// R5, the late half: nobody touched it for longer than the time-out. What moves the clocks meanwhile, and a
/// crash, are left out.
fn idled(case: &Case<'_>, asked: &Asked, history: &History) -> Option<Violation> {
    let login = case.sign_in;
    let before = case
        .asked
        .iter()
        .filter(|other| other.verdict != Verdict::Refused && other.span.from < asked.span.from);
    let touched = before.map(|other| match other.verdict {
        // It may have been handled after the client gave up.
        Verdict::Failed => other.span.to + HANDLED_LATE,
        Verdict::Accepted | Verdict::Crossed | Verdict::Refused => other.span.to,
    });
    let touched = touched.chain([login.span.to]).max()?;
    let life = Span {
        from: login.span.from.saturating_sub(CLOCK_SETTLES),
        to: asked.span.to,
    };
    let since = Span {
        from: touched.saturating_sub(CLOCK_SETTLES),
        to: asked.span.to,
    };
    // An access that a clock ahead of its time stamped counts until that time.
    let is_disturbed = links::was_ahead(life, &history.faults)
        || !links::clocks_were_right(since, &history.faults)
        || (0..history.nodes)
            .any(|node| links::may_have_crashed(NodeId(node), since, &history.faults));
    let limit = touched + millis(history.promises.idle) + IDLE_SLACK;
    let why = || format!("untouched since {touched}");
    (!is_disturbed && asked.span.from > limit).then(|| violation("R5", case, asked, why()))
}

/// S-16: a session that came from a data centre that has been silent for longer than the lease.
fn lease_ignored(case: &Case<'_>, asked: &Asked, history: &History) -> Option<Violation> {
    let origin = case.sign_in.node;
    if asked.node == origin {
        return None;
    }
    let lease = millis(history.promises.lease) + SLACK;
    let silence = Span {
        from: asked.span.from.checked_sub(lease)?,
        to: asked.span.to,
    };
    // A clock that moves makes a reading of the peer's log younger or older than it is.
    let steady = Span {
        from: silence.from.saturating_sub(CLOCK_SETTLES),
        to: silence.to + CLOCK_SETTLES,
    };
    let is_over = links::apart_throughout(asked.node, origin, silence, &history.faults)
        && links::clocks_were_right(steady, &history.faults);
    let why = || format!("{origin} has been silent for longer than the lease (S-16)");
    is_over.then(|| violation("R2", case, asked, why()))
}

/// R7: with one holder at a time, whoever serves after another has adopted in between. Looked at while
/// nothing is broken, or has been a while ago.
fn check_holders(case: &Case<'_>, history: &History, findings: &mut Findings) {
    if history.promises.holding == Holding::Several || case.words.is_empty() {
        return;
    }
    let mut served: Vec<_> = accepted(case).collect();
    served.sort_by_key(|asked| asked.span.from);
    for pair in served.windows(2) {
        let [before, after] = pair else { continue };
        let between = Span {
            from: before.span.from,
            to: after.span.to + LOG_LAG,
        };
        let calm = Span {
            from: between
                .from
                .saturating_sub(2 * millis(history.promises.heal)),
            to: between.to,
        };
        let is_calm = !history.faults.iter().any(|fault| fault.outer().meets(calm));
        let has_adopted = case.words.iter().any(|word| {
            word.said == Said::Adopted
                && word.node == after.node
                && between.from <= word.at
                && word.at <= between.to
        });
        if before.node == after.node || !is_calm {
            continue;
        }
        findings.moves += 1;
        if !has_adopted {
            let why = format!("{} held it, and nothing was adopted", before.node);
            findings.violations.push(violation("R7", case, after, why));
        }
    }
}

/// R8: sessions begun at one data centre and accepted there after the last of them was begun were all
/// alive at that moment.
fn check_maximum(cases: &BTreeMap<LoginId, Case<'_>>, history: &History, findings: &mut Findings) {
    let most = history.promises.per_user_max;
    for last in cases.values() {
        let (user, node) = (&last.sign_in.user, last.sign_in.node);
        let alive = cases.values().filter(|case| {
            let begun_here = case.sign_in.user == *user && case.sign_in.node == node;
            let in_time = case.sign_in.span.to <= last.sign_in.span.to;
            let served = |asked: &&Asked| {
                asked.node == node
                    && asked.span.from >= last.sign_in.span.to
                    // An anchored session that was elsewhere may come home; adoption evicts nobody.
                    && (history.promises.holding == Holding::Several
                        || has_stayed(case, node, asked.span.to))
            };
            begun_here && in_time && accepted(case).any(|asked| served(&asked))
        });
        let count = alive.count();
        if count > most {
            findings.violations.push(Violation {
                rule: "R8",
                login: last.sign_in.login,
                node,
                at: last.sign_in.span.to,
                why: format!("{user} has {count} sessions, {most} are allowed"),
            });
        }
    }
}

/// Whether nobody had come with a session to another data centre until then.
fn has_stayed(case: &Case<'_>, node: NodeId, until: Millis) -> bool {
    let mut asked = case.asked.iter();
    asked.all(|asked| asked.node == node || asked.span.from > until)
}

fn violation(rule: &'static str, case: &Case<'_>, asked: &Asked, why: String) -> Violation {
    Violation {
        rule,
        login: case.sign_in.login,
        node: asked.node,
        at: asked.span.from,
        why,
    }
}

fn signed(time: Millis) -> i64 {
    i64::try_from(time).unwrap()
}

/// What rounding, and stamping a fault, may come to.
pub(crate) const SLACK: Millis = 1500;
/// How much later than its last known touch a session may have been touched.
pub(crate) const IDLE_SLACK: Millis = 2000;
/// How long after a client has given up its request may still be handled.
const HANDLED_LATE: Millis = 15_000;
/// How long after a clock was moved what it stamped may still be around.
const CLOCK_SETTLES: Millis = 3000;

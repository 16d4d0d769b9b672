//! What may not be lost: a session that nobody ended, that is in use and not too old, serves once all is
//! calm (R5, its early half; R9 where a gateway was killed meanwhile).
//!
//! Only the collector's word counts against it: an application also sends away whose cookie has lapsed.

use std::collections::BTreeMap;

use super::CLOCK_SETTLES;
use super::SLACK;
use super::Violation;
use super::gather::Case;
use super::gather::ENDED;
use super::gather::Known;
use super::gather::LOG_LAG;
use super::gather::Source;
use super::links;
use super::violation;
use crate::history::Asked;
use crate::history::Came;
use crate::history::Cookies;
use crate::history::Desk;
use crate::history::History;
use crate::history::LoginId;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::Said;
use crate::history::Span;
use crate::history::Verdict;
use crate::history::millis;

/// What a request says about the keeping of its session.
pub(super) enum Kept {
    /// It had to be honoured, and was.
    Honoured,
    /// It had to be honoured, and was not.
    Lost(Violation),
    /// It may have been refused for a good reason.
    Open,
}

pub(super) fn judge(
    case: &Case<'_>,
    asked: &Asked,
    cases: &BTreeMap<LoginId, Case<'_>>,
    history: &History,
) -> Kept {
    let must_serve = could_serve(case, asked, history)
        && is_in_use(case, asked, history)
        && !may_have_ended(case, asked, history)
        && !may_have_been_evicted(case, asked, cases, history);
    match (asked.verdict, asked.desk) {
        _ if !must_serve => Kept::Open,
        (Verdict::Accepted, _) => Kept::Honoured,
        (Verdict::Refused, Desk::Collector) => lost(case, asked, history),
        (Verdict::Refused, Desk::Application) | (Verdict::Crossed | Verdict::Failed, _) => {
            Kept::Open
        }
    }
}

/// Whether all is calm, the cookies are as they should be, and the lifetime is not over by any clock.
fn could_serve(case: &Case<'_>, asked: &Asked, history: &History) -> bool {
    let begun = case.sign_in.span.from;
    let life = Span {
        from: begun.saturating_sub(CLOCK_SETTLES),
        to: asked.span.to,
    };
    let heal = millis(history.promises.heal);
    let calm = Span {
        from: asked.span.from.saturating_sub(heal),
        to: asked.span.to,
    };
    asked.cookies == Cookies::Current
        && !history.faults.iter().any(|fault| fault.outer().meets(calm))
        && links::clocks_were_right(life, &history.faults)
        && asked.span.to + SLACK < begun + millis(history.promises.lifetime)
}

/// Whether it was used so lately, with the same cookies, that it cannot be idle.
fn is_in_use(case: &Case<'_>, asked: &Asked, history: &History) -> bool {
    let uses = case.asked.iter().filter(|other| {
        other.verdict == Verdict::Accepted
            && other.cookies == Cookies::Current
            && other.span.to <= asked.span.from
    });
    let last = uses.map(|other| other.span.from).max();
    let last = last.unwrap_or(case.sign_in.span.from);
    asked.span.to + IDLE_SLACK < last + millis(history.promises.idle)
}

/// Whether anything that its user did may have ended it: a sign-out, or a login in its place.
fn may_have_ended(case: &Case<'_>, asked: &Asked, history: &History) -> bool {
    let (login, now) = (case.sign_in.login, asked.span.to);
    let mut begun = history.may_end.iter();
    // What a gateway gives as its reason excuses nothing.
    let known = case.known.iter();
    let mut told = known.filter(|known| known.source == Source::Acknowledged);
    begun.any(|end| end.login == login && end.at <= now) || told.any(|known| known.at <= now)
}

/// Whether there was a login since, at whose data centre more sessions of the user may have stood than are
/// allowed.
fn may_have_been_evicted(
    case: &Case<'_>,
    asked: &Asked,
    cases: &BTreeMap<LoginId, Case<'_>>,
    history: &History,
) -> bool {
    let user = &case.sign_in.user;
    let of_user = || cases.values().filter(|other| other.sign_in.user == *user);
    let forms = || history.forms.iter().filter(|form| form.user == *user);
    let lifetime = millis(history.promises.lifetime) + SLACK;
    let life = Span {
        from: case.sign_in.span.from,
        to: asked.span.to,
    };
    forms().filter(|form| life.holds(form.at)).any(|form| {
        let is_alive = |from: Millis| from <= form.at + SLACK && form.at <= from + lifetime;
        let standing = of_user().filter(|other| {
            let had_ended = |known: &Known| {
                known.source == Source::Acknowledged
                    && known.node == form.node
                    && known.at <= form.at
            };
            // The login of the form itself is among them.
            is_alive(other.sign_in.span.from) && !other.known.iter().any(had_ended)
        });
        let unknown = forms().filter(|other| other.came == Came::Silence && is_alive(other.at));
        standing.count() + unknown.count() > history.promises.per_user_max
    })
}

fn lost(case: &Case<'_>, asked: &Asked, history: &History) -> Kept {
    let said = Span {
        from: asked.span.from,
        to: asked.span.to + LOG_LAG,
    };
    // Once its user may have ended it, a refusal of what has ended is of a later question.
    let ends = history.may_end.iter();
    let ends = ends.filter(|end| end.login == case.sign_in.login);
    let ends = ends.map(|end| end.at).min().unwrap_or(Millis::MAX);
    let mut reasons = case.words.iter().filter_map(|word| match &word.said {
        Said::Refused(why) if why == ENDED && word.at >= ends => None,
        Said::Refused(why) if word.node == asked.node && said.holds(word.at) => Some(why.as_str()),
        Said::Refused(_) | Said::Adopted | Said::NotAdopted | Said::SignedIn { .. } => None,
    });
    // A machine that is busy may keep an answer waiting for too long, and silence is no permit (S-8).
    let Some(why) = reasons.find(|why| !SILENCE.contains(why)) else {
        return Kept::Open;
    };
    let mut all = (0..history.nodes).map(NodeId);
    let since = Span {
        from: case.sign_in.span.from,
        to: asked.span.to,
    };
    let has_crashed = all.any(|node| links::may_have_crashed(node, since, &history.faults));
    let rule = if has_crashed { "R9" } else { "R5" };
    let why = format!("it was in use and nobody had ended it; refused as {why}");
    Kept::Lost(violation(rule, case, asked, why))
}

/// Reasons that come from want of an answer.
const SILENCE: [&str; 3] = ["Unanswered", "HeldElsewhere", "LeaseOver"];
/// How much sooner than by its users' clock a session may be idle.
const IDLE_SLACK: Millis = 2000;

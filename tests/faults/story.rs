//! Tells people what happened: the story of a login, and all of a history as lines.

use crate::checker::Violation;
use crate::history::History;
use crate::history::LoginId;
use crate::history::Millis;
use crate::history::Said;
use crate::world::World;

/// All that happened to the login of a violation, and the logs' lines about it.
pub(crate) fn tell(violation: &Violation, world: &World, history: &History) -> String {
    let Violation {
        rule,
        login,
        node,
        at,
        why,
    } = violation;
    let mut lines = events(history, Some(*login));
    let sessions: Vec<_> = history
        .sign_ins
        .iter()
        .filter(|sign_in| sign_in.login == *login)
        .flat_map(|sign_in| {
            let words = history.words.iter();
            words.filter(|word| {
                matches!(&word.said, Said::SignedIn { user } if *user == sign_in.user)
                    && word.node == sign_in.node
                    && (sign_in.span.from..sign_in.span.to + 1000).contains(&word.at)
            })
        })
        .map(|word| word.session.as_str())
        .collect();
    for node in &world.nodes {
        let said = node.lines_about(&sessions).into_iter();
        lines.extend(said.map(|(at, line)| (at, format!("{} logs {line}", node.id))));
    }
    lines.sort();
    let story: String = lines
        .iter()
        .map(|(at, line)| format!("{at:>8} {line}\n"))
        .collect();
    format!("{rule} broken at {at}: {node} accepted {login}, {why}\n{story}")
}

/// A history as lines, in the order of time.
pub(crate) fn lines(history: &History) -> String {
    let mut lines = events(history, None);
    lines.extend(history.words.iter().map(|word| {
        let line = format!("{} logs {:?} of {}", word.node, word.said, word.session);
        (word.at, line)
    }));
    lines.sort();
    lines
        .iter()
        .map(|(at, line)| format!("{at:>8} {line}\n"))
        .collect()
}

/// The events of a login or of all, with every fault.
fn events(history: &History, only: Option<LoginId>) -> Vec<(Millis, String)> {
    let concerns = |login: LoginId| only.is_none_or(|only| only == login);
    let mut lines = Vec::new();
    for sign_in in &history.sign_ins {
        if concerns(sign_in.login) || sign_in.replaces.is_some_and(&concerns) {
            lines.push((sign_in.span.from, format!("{sign_in:?}")));
        }
    }
    for asked in history.asked.iter().filter(|asked| concerns(asked.login)) {
        let (span, at) = (asked.span, asked.node);
        let line = format!(
            "{} {:?} at {at} {:?}, until {}",
            asked.login, asked.verdict, asked.desk, span.to
        );
        lines.push((span.from, line));
    }
    for sign_out in &history.sign_outs {
        let begun = sign_out.begun.map(|(_, login)| login);
        let told = sign_out
            .told
            .iter()
            .flat_map(|told| told.logins.iter().copied());
        if told.chain(begun).any(&concerns) {
            lines.push((sign_out.span.from, format!("{sign_out:?}")));
        }
    }
    for fault in &history.faults {
        let line = format!("fault {:?}, until {}", fault.what, fault.over.to);
        lines.push((fault.began.from, line));
    }
    lines
}

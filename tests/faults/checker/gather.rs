//! Puts a history in order: for each login its requests, the ends that are known of it, and the lines of
//! the logs about it. What that proves is its parent's matter.

use std::collections::BTreeMap;

use crate::history::Asked;
use crate::history::History;
use crate::history::Lasting;
use crate::history::LoginId;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::Said;
use crate::history::SignIn;
use crate::history::Span;
use crate::history::What;
use crate::history::Word;

/// An end that is known to hold at a data centre from some moment on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) node: NodeId,
    pub(crate) at: Millis,
    pub(crate) lasting: Lasting,
    pub(crate) source: Source,
}

/// How an end became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A user was told.
    Acknowledged,
    /// The gateway refused a cookie and logged that its session had ended (R4).
    Refused,
}

/// Everything about one login.
pub(crate) struct Case<'h> {
    pub(crate) sign_in: &'h SignIn,
    pub(crate) asked: Vec<&'h Asked>,
    pub(crate) known: Vec<Known>,
    pub(crate) words: Vec<&'h Word>,
}

/// Gathers what concerns each login.
pub(crate) fn cases(history: &History) -> BTreeMap<LoginId, Case<'_>> {
    let mut cases: BTreeMap<_, _> = history
        .sign_ins
        .iter()
        .map(|sign_in| {
            let case = Case {
                sign_in,
                asked: Vec::new(),
                known: Vec::new(),
                words: Vec::new(),
            };
            (sign_in.login, case)
        })
        .collect();
    for asked in &history.asked {
        if let Some(case) = cases.get_mut(&asked.login) {
            case.asked.push(asked);
        }
    }
    for (session, login) in recognise(history) {
        if let Some(case) = cases.get_mut(&login) {
            let of_it = history.words.iter().filter(|word| word.session == session);
            case.words.extend(of_it);
        }
    }
    for (login, known) in acknowledged(history) {
        if let Some(case) = cases.get_mut(&login) {
            case.known.push(known);
        }
    }
    for case in cases.values_mut() {
        let refusals = refusals(case, history);
        case.known.extend(refusals);
    }
    cases
}

/// Finds out which session of the logs a login began. A user's logins come one after the other, so where a
/// data centre logged as many as were answered, their order tells; otherwise only one that stands alone is
/// recognised.
fn recognise(history: &History) -> Vec<(String, LoginId)> {
    let mut recognised = Vec::new();
    let mut places: BTreeMap<(NodeId, &str), Vec<&SignIn>> = BTreeMap::new();
    for sign_in in &history.sign_ins {
        let place = (sign_in.node, sign_in.user.as_str());
        places.entry(place).or_default().push(sign_in);
    }
    for ((node, name), mut logins) in places {
        logins.sort_by_key(|login| login.span.from);
        let logged: Vec<&Word> = history
            .words
            .iter()
            .filter(|word| word.node == node)
            .filter(|word| matches!(&word.said, Said::SignedIn { user } if user == name))
            .collect();
        let fits = |login: &SignIn, word: &Word| {
            (login.span.from..=login.span.to + LOG_LAG).contains(&word.at)
        };
        let pairs = || logins.iter().zip(&logged);
        if logged.len() == logins.len() && pairs().all(|(login, word)| fits(login, word)) {
            recognised.extend(pairs().map(|(login, word)| (word.session.clone(), login.login)));
            continue;
        }
        for login in logins {
            let mut fitting = logged.iter().filter(|word| fits(login, word));
            if let (Some(word), None) = (fitting.next(), fitting.next()) {
                recognised.push((word.session.clone(), login.login));
            }
        }
    }
    recognised
}

/// The ends that users were told of: at the end of a sign-out, and by a login in the place of another.
fn acknowledged(history: &History) -> Vec<(LoginId, Known)> {
    let known = |node, at, lasting| Known {
        node,
        at,
        lasting,
        source: Source::Acknowledged,
    };
    let mut ends = Vec::new();
    for sign_out in &history.sign_outs {
        if let Some((at, login)) = sign_out.begun {
            ends.push((login, known(sign_out.node, at, Lasting::Memory)));
        }
        let Some(told) = &sign_out.told else { continue };
        for login in &told.logins {
            ends.push((*login, known(sign_out.node, told.at, told.own)));
            for peer in &told.confirmed {
                ends.push((*login, known(*peer, told.at, Lasting::Durable)));
            }
        }
    }
    for sign_in in &history.sign_ins {
        if let Some(replaced) = sign_in.replaces {
            let end = known(sign_in.node, sign_in.span.to, Lasting::Durable);
            ends.push((replaced, end));
        }
    }
    ends
}

/// The ends that a gateway gave as its reason. It has written down what it knew for a while.
fn refusals(case: &Case<'_>, history: &History) -> Vec<Known> {
    let ended = case
        .words
        .iter()
        .filter(|word| word.said == Said::Refused(ENDED.to_owned()));
    let mut known = Vec::new();
    for word in ended {
        let memory = Known {
            node: word.node,
            at: word.at,
            lasting: Lasting::Memory,
            source: Source::Refused,
        };
        known.push(memory);
        let settling = Span {
            from: word.at,
            to: word.at + SETTLES,
        };
        let is_unsettled = history.faults.iter().any(|fault| {
            let hinders =
                fault.what == What::Full(word.node) || fault.what == What::Down(word.node);
            hinders && fault.outer().meets(settling)
        });
        if !is_unsettled {
            known.push(Known {
                at: settling.to,
                lasting: Lasting::Durable,
                ..memory
            });
        }
    }
    known
}

/// The reason that a gateway logs for a session that has ended.
pub(crate) const ENDED: &str = "Ended";
/// How much later than it was written a line of a log may be read.
pub(crate) const LOG_LAG: Millis = 3000;
/// After this time what a gateway knows is on its disk.
const SETTLES: Millis = 3000;

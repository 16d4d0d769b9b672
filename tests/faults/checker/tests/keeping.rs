//! Forged histories of a session that had to be kept.

use std::time::Duration;

use super::A;
use super::B;
use super::LOGIN;
use super::NOTHING;
use super::check;
use super::quiet;
use super::sign_in;
use super::span;
use crate::history::Asked;
use crate::history::Came;
use crate::history::Cookies;
use crate::history::Desk;
use crate::history::Form;
use crate::history::History;
use crate::history::LoginId;
use crate::history::MayEnd;
use crate::history::Millis;
use crate::history::Said;
use crate::history::SignOut;
use crate::history::Verdict;
use crate::history::What;

/// A session that its user signed in for at A at 5000, used at 45,000, and comes back with at 50,000.
fn in_use(desk: Desk, verdict: Verdict) -> History {
    let mut history = quiet();
    history.promises.idle = Duration::from_secs(8);
    history.sign_ins = vec![sign_in(LOGIN, A, 5000)];
    history.forms = vec![form("alice", 5000)];
    let mut from = 6000;
    while from < 46_000 {
        history = history.came_back(Desk::Application, from, Verdict::Accepted);
        from += 3000;
    }
    let user = "alice".to_owned();
    let history = history.word(A, 5100, Said::SignedIn { user });
    history.came_back(desk, 50_000, verdict)
}

impl History {
    fn came_back(mut self, desk: Desk, from: Millis, verdict: Verdict) -> Self {
        self.asked.push(Asked {
            login: LOGIN,
            cookies: Cookies::Current,
            node: A,
            desk,
            span: span(from, from + 50),
            verdict,
        });
        self
    }

    fn refused_as(self, why: &str) -> Self {
        self.word(A, 50_020, Said::Refused(why.to_owned()))
    }
}

#[test]
fn a_session_in_use_that_is_refused_is_caught_r5() {
    let lost = || in_use(Desk::Collector, Verdict::Refused);
    assert_eq!(lost().refused_as("Idle").broken(), ["R5"]);
    assert_eq!(lost().refused_as("Missing").broken(), ["R5"]);
    assert_eq!(lost().refused_as("Ended").broken(), ["R5"]);
    // Silence is no permit, and a busy machine may be silent; so may a log be.
    assert_eq!(lost().refused_as("Unanswered").broken(), NOTHING);
    assert_eq!(lost().broken(), NOTHING);
    // Its authn cookie may have lapsed.
    let sent_away = in_use(Desk::Application, Verdict::Refused);
    assert_eq!(sent_away.refused_as("Idle").broken(), NOTHING);
    let honoured = in_use(Desk::Collector, Verdict::Accepted);
    assert_eq!(honoured.broken(), NOTHING);
    assert!(check(&honoured).kept > check(&lost()).kept);
}

#[test]
fn what_is_refused_after_a_sign_out_is_no_reason_for_what_was_refused_before() {
    let lost = || in_use(Desk::Collector, Verdict::Refused);
    let and_ended = |mut history: History| {
        history.may_end.push(MayEnd {
            login: LOGIN,
            at: 51_000,
        });
        history.word(A, 52_000, Said::Refused("Ended".to_owned()))
    };
    let silent = lost().refused_as("LeaseOver");
    assert_eq!(and_ended(silent).broken(), NOTHING);
    assert_eq!(and_ended(lost().refused_as("Missing")).broken(), ["R5"]);
    assert_eq!(and_ended(lost().refused_as("Ended")).broken(), ["R5"]);
    let late = lost().word(A, 52_000, Said::Refused("Ended".to_owned()));
    assert_eq!(late.broken(), ["R5"]);
}

#[test]
fn a_login_that_is_lost_in_a_crash_is_caught_r9() {
    let lost = in_use(Desk::Collector, Verdict::Refused).refused_as("Missing");
    let crashed = lost.clone().fault(What::Down(A), 20_000, 22_000);
    assert_eq!(crashed.broken(), ["R9"]);
    let just_now = lost.fault(What::Down(A), 42_000, 43_000);
    assert_eq!(just_now.broken(), NOTHING);
}

#[test]
fn a_session_that_may_have_ended_may_be_refused() {
    let lost = || in_use(Desk::Collector, Verdict::Refused).refused_as("Missing");
    let mut ended = lost();
    ended.may_end.push(MayEnd {
        login: LOGIN,
        at: 49_000,
    });
    assert_eq!(ended.broken(), NOTHING);
    let clock = lost().fault(What::Ahead(B, -120), 10_000, 15_000);
    assert_eq!(clock.broken(), NOTHING);
    let mut unused = lost();
    unused
        .asked
        .retain(|asked| asked.span.from < 40_000 || asked.desk == Desk::Collector);
    assert_eq!(unused.broken(), NOTHING);
}

#[test]
fn a_session_that_may_have_been_evicted_may_be_refused() {
    let lost = || in_use(Desk::Collector, Verdict::Refused).refused_as("Missing");
    let log_in = |history: &mut History, number: usize, at: Millis| {
        history.forms.push(form("alice", at));
        history.sign_ins.push(sign_in(LoginId(number), A, at));
    };
    let mut full = lost();
    log_in(&mut full, 1, 20_000);
    assert_eq!(full.broken(), ["R5"]);
    let mut crowded = full.clone();
    log_in(&mut crowded, 2, 30_000);
    assert_eq!(crowded.broken(), NOTHING);
    // The login that the third took the place of does not count where it was ended.
    let mut replaced = crowded;
    replaced.sign_outs.push(SignOut {
        node: A,
        span: span(25_000, 25_100),
        begun: Some((25_100, LoginId(1))),
        told: None,
    });
    assert_eq!(replaced.broken(), ["R5"]);
    // A form without an answer may have begun a session.
    let mut unanswered = full;
    unanswered.forms.push(form("alice", 40_000));
    assert_eq!(unanswered.broken(), ["R5"]);
    unanswered.forms[2].came = Came::Silence;
    assert_eq!(unanswered.broken(), NOTHING);
    let mut others = lost();
    let more = [46_000, 47_000].map(|at| form("bob", at));
    others.forms.extend(more);
    assert_eq!(others.broken(), ["R5"]);
}

fn form(user: &str, at: Millis) -> Form {
    Form {
        user: user.to_owned(),
        node: A,
        at,
        came: Came::Answer,
    }
}

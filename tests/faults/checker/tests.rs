//! The checker bites: forged histories, each with one promise broken, and the same ones without.

use std::time::Duration;

use super::check;
use crate::history::Asked;
use crate::history::Cookies;
use crate::history::Desk;
use crate::history::Fault;
use crate::history::History;
use crate::history::Holding;
use crate::history::Lasting;
use crate::history::LoginId;
use crate::history::Millis;
use crate::history::NodeId;
use crate::history::Promises;
use crate::history::Said;
use crate::history::SignIn;
use crate::history::SignOut;
use crate::history::Span;
use crate::history::Told;
use crate::history::Verdict;
use crate::history::What;
use crate::history::Word;

mod keeping;

const A: NodeId = NodeId(0);
const B: NodeId = NodeId(1);
const C: NodeId = NodeId(2);
const LOGIN: LoginId = LoginId(0);

/// Alice signs in at A from 1000 to 1100, and nothing else.
fn quiet() -> History {
    History {
        promises: Promises {
            lifetime: Duration::from_secs(100),
            idle: Duration::from_secs(90),
            lease: Duration::from_secs(5),
            per_user_max: 2,
            holding: Holding::Several,
            fan_out: Duration::from_secs(2),
            fan_out_disturbed: Duration::from_secs(5),
            heal: Duration::from_secs(10),
        },
        nodes: 3,
        sign_ins: vec![sign_in(LOGIN, A, 1000)],
        asked: Vec::new(),
        sign_outs: Vec::new(),
        may_end: Vec::new(),
        forms: Vec::new(),
        words: Vec::new(),
        faults: Vec::new(),
    }
}

const fn span(from: Millis, to: Millis) -> Span {
    Span { from, to }
}

fn sign_in(login: LoginId, node: NodeId, from: Millis) -> SignIn {
    SignIn {
        login,
        user: "alice".to_owned(),
        node,
        span: span(from, from + 100),
        replaces: None,
    }
}

impl History {
    fn asked(mut self, node: NodeId, from: Millis, verdict: Verdict) -> Self {
        self.asked.push(Asked {
            login: LOGIN,
            node,
            cookies: Cookies::Copied,
            desk: Desk::Application,
            span: span(from, from + 50),
            verdict,
        });
        self
    }

    fn accepted(self, node: NodeId, from: Millis) -> Self {
        self.asked(node, from, Verdict::Accepted)
    }

    /// Signed out at A from 20,000 on: the application answers at 20,100, the page at 20,200.
    fn signed_out(mut self, own: Lasting, confirmed: &[NodeId]) -> Self {
        self.sign_outs.push(SignOut {
            node: A,
            span: span(20_000, 20_200),
            begun: Some((20_100, LOGIN)),
            told: Some(Told {
                at: 20_200,
                logins: vec![LOGIN],
                own,
                confirmed: confirmed.to_vec(),
            }),
        });
        self
    }

    fn fault(mut self, what: What, from: Millis, to: Millis) -> Self {
        self.faults.push(Fault {
            what,
            began: span(from, from + 10),
            over: span(to - 10, to),
        });
        self
    }

    /// A log line of A about the session that the logs call `s`.
    fn word(mut self, node: NodeId, at: Millis, said: Said) -> Self {
        self.words.push(Word {
            node,
            at,
            session: "s".to_owned(),
            said,
        });
        self
    }

    fn recognised(self) -> Self {
        let user = "alice".to_owned();
        self.word(A, 1050, Said::SignedIn { user })
    }

    /// The rules that the checker finds broken.
    fn broken(&self) -> Vec<&'static str> {
        let mut rules: Vec<_> = check(self).violations.iter().map(|v| v.rule).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_accept_where_the_sign_out_was_acknowledged_is_caught_r1() {
    let history = quiet().signed_out(Lasting::Durable, &[]);
    assert_eq!(history.clone().accepted(A, 20_150).broken(), ["R1"]);
    // Begun before the answer, it may have been decided before.
    assert_eq!(history.clone().accepted(A, 20_090).broken(), NOTHING);
    let refused = history.asked(A, 20_300, Verdict::Refused);
    assert_eq!(refused.broken(), NOTHING);
    assert!(check(&refused).refused_after_end > 0);
}

#[test]
fn an_accept_where_the_end_was_confirmed_is_caught_at_once_r1() {
    let history = quiet().signed_out(Lasting::Durable, &[B]);
    assert_eq!(history.clone().accepted(B, 20_250).broken(), ["R1"]);
    assert_eq!(history.accepted(C, 20_250).broken(), NOTHING);
}

#[test]
fn an_accept_of_a_session_replaced_by_another_login_is_caught_r1() {
    let mut history = quiet();
    let mut second = sign_in(LoginId(1), A, 5000);
    second.replaces = Some(LOGIN);
    history.sign_ins.push(second);
    assert_eq!(history.clone().accepted(A, 5200).broken(), ["R1"]);
    assert_eq!(history.accepted(A, 4000).broken(), NOTHING);
}

#[test]
fn an_accept_as_somebody_else_is_caught() {
    let history = quiet().asked(A, 3000, Verdict::Crossed);
    assert_eq!(history.broken(), ["R1"]);
}

#[test]
fn an_accept_elsewhere_after_the_fan_out_is_caught_r2() {
    let history = quiet().signed_out(Lasting::Durable, &[]);
    assert_eq!(history.clone().accepted(B, 22_300).broken(), ["R2"]);
    assert_eq!(history.clone().accepted(B, 22_000).broken(), NOTHING);
    let refused = history.clone().asked(B, 22_300, Verdict::Refused);
    assert!(check(&refused).prompt > 0);
    // Where something is wrong, were it elsewhere, more time is given.
    let disturbed = history.fault(What::Down(C), 19_000, 20_500);
    assert_eq!(disturbed.clone().accepted(B, 24_000).broken(), NOTHING);
    assert_eq!(disturbed.accepted(B, 25_300).broken(), ["R2"]);
}

#[test]
fn what_time_has_ended_is_counted_where_it_is_refused_r5_r6_s_16() {
    let mut history = quiet();
    history.promises.idle = Duration::from_secs(20);
    history.promises.lifetime = Duration::from_secs(30);
    let cut = What::Lost { from: A, to: B };
    let history = history.fault(cut, 10_000, 60_000);
    let refused = |at| check(&history.clone().asked(B, at, Verdict::Refused)).refused_as;
    let counts = |at| {
        let refused = refused(at);
        [refused.unheard, refused.idle, refused.old]
    };
    assert_eq!(counts(12_000), [0, 0, 0]);
    assert_eq!(counts(20_000), [1, 0, 0]);
    assert_eq!(counts(24_000), [1, 1, 0]);
    assert_eq!(counts(40_000), [1, 1, 1]);
}

#[test]
fn an_accept_after_a_partition_has_healed_is_caught_r3() {
    for what in [
        What::Lost { from: A, to: B },
        What::Lost { from: B, to: A },
        What::Held { from: A, to: B },
        What::Down(B),
        What::Stopped(A),
        What::Full(B),
    ] {
        let mut history = quiet().signed_out(Lasting::Durable, &[]);
        history.promises.lease = Duration::from_secs(100);
        let history = history.fault(what, 19_000, 30_000);
        assert_eq!(history.clone().accepted(B, 29_000).broken(), NOTHING);
        assert_eq!(history.clone().accepted(B, 39_000).broken(), NOTHING);
        assert_eq!(history.clone().accepted(B, 40_300).broken(), ["R3"]);
        // A partition of others excuses nobody.
        assert_eq!(history.accepted(C, 50_000).broken(), expected_at_c(what));
    }
}

/// C hears from A within the bound unless A itself was stopped.
fn expected_at_c(what: What) -> [&'static str; 1] {
    if what == What::Stopped(A) {
        ["R3"]
    } else {
        ["R2"]
    }
}

#[test]
fn another_partition_before_the_bound_begins_the_waiting_anew_r3() {
    let cut = What::Lost { from: A, to: B };
    let history = quiet()
        .signed_out(Lasting::Durable, &[])
        .fault(cut, 19_000, 30_000)
        .fault(cut, 35_000, 45_000);
    assert_eq!(history.clone().accepted(B, 54_000).broken(), NOTHING);
    assert_eq!(history.accepted(B, 55_300).broken(), ["R3"]);
}

#[test]
fn what_was_only_in_memory_may_be_lost_in_a_crash_and_not_before_r1() {
    let history = quiet()
        .signed_out(Lasting::Memory, &[])
        .fault(What::Full(A), 15_000, 30_000)
        .fault(What::Down(A), 22_000, 24_000);
    assert_eq!(history.clone().accepted(A, 21_000).broken(), ["R1"]);
    assert_eq!(history.clone().accepted(A, 25_000).broken(), NOTHING);
    assert_eq!(history.accepted(B, 60_000).broken(), NOTHING);
}

#[test]
fn what_was_written_down_survives_a_crash_r9() {
    let history = quiet()
        .signed_out(Lasting::Durable, &[])
        .fault(What::Down(A), 22_000, 24_000);
    assert_eq!(history.accepted(A, 25_000).broken(), ["R9"]);
}

#[test]
fn an_accept_after_a_refusal_for_an_end_is_caught_r4() {
    let refused = Said::Refused(super::ENDED.to_owned());
    let history = quiet().recognised().word(B, 10_000, refused);
    assert_eq!(history.clone().accepted(B, 10_100).broken(), ["R4"]);
    assert_eq!(history.clone().accepted(B, 9900).broken(), NOTHING);
    // Killed at once, it may not have been written down; later it has been.
    let killed = history.clone().fault(What::Down(B), 10_500, 11_000);
    assert_eq!(killed.accepted(B, 11_500).broken(), NOTHING);
    let later = history.fault(What::Down(B), 14_000, 15_000);
    assert_eq!(later.accepted(B, 15_500).broken(), ["R4"]);
    // Another reason is no promise.
    let other = Said::Refused("Unanswered".to_owned());
    let history = quiet().recognised().word(B, 10_000, other);
    assert_eq!(history.accepted(B, 10_100).broken(), NOTHING);
}

#[test]
fn a_session_that_the_logs_do_not_tell_apart_is_not_blamed() {
    let refused = Said::Refused(super::ENDED.to_owned());
    let mut history = quiet().recognised().word(B, 10_000, refused);
    let user = "alice".to_owned();
    history.words.push(Word {
        node: A,
        at: 1060,
        session: "t".to_owned(),
        said: Said::SignedIn { user },
    });
    assert_eq!(history.accepted(B, 10_100).broken(), NOTHING);
}

#[test]
fn logins_in_quick_succession_are_told_apart_by_their_order_r4() {
    let refused = Said::Refused(super::ENDED.to_owned());
    let mut history = quiet().recognised().word(B, 10_000, refused);
    history.sign_ins.push(sign_in(LoginId(1), A, 1200));
    let user = "alice".to_owned();
    history.words.push(Word {
        node: A,
        at: 1310,
        session: "t".to_owned(),
        said: Said::SignedIn { user },
    });
    assert_eq!(history.accepted(B, 10_100).broken(), ["R4"]);
}

#[test]
fn an_accept_of_an_idle_session_is_caught_r5() {
    let history = quiet();
    assert_eq!(history.clone().accepted(A, 96_000).broken(), ["R5"]);
    assert_eq!(history.clone().accepted(A, 90_000).broken(), NOTHING);
    let touched = history.clone().accepted(B, 10_000).accepted(A, 96_000);
    assert_eq!(touched.broken(), NOTHING);
    let refused = history.clone().asked(A, 10_000, Verdict::Refused);
    assert_eq!(refused.accepted(A, 96_000).broken(), ["R5"]);
    // Who crashed since has not seen all of the time pass.
    let crashed = history.clone().fault(What::Down(A), 40_000, 41_000);
    assert_eq!(crashed.accepted(A, 96_000).broken(), NOTHING);
    // An access by a clock that was ahead counts for as long, and one by a clock that was behind does not.
    let clock = |seconds| {
        let history = history.clone().fault(What::Ahead(A, seconds), 2000, 4000);
        let mut history = history.accepted(A, 10_000).accepted(A, 105_000);
        history.promises.lifetime = Duration::from_secs(200);
        history
    };
    assert_eq!(clock(120).broken(), NOTHING);
    assert_eq!(clock(-120).broken(), ["R5"]);
}

#[test]
fn an_accept_after_the_lifetime_is_caught_r6() {
    let mut history = quiet().accepted(A, 50_000);
    history.promises.idle = Duration::from_secs(100);
    assert_eq!(history.clone().accepted(A, 102_000).broken(), NOTHING);
    assert_eq!(history.clone().accepted(A, 103_000).broken(), ["R6"]);
    // A clock that was set back shows less.
    let back = history.clone().fault(What::Ahead(A, -120), 60_000, 110_000);
    assert_eq!(back.accepted(A, 103_000).broken(), NOTHING);
    // One that was ahead at the login fixed a later end, and one that is ahead now sees it sooner.
    let early = history.clone().fault(What::Ahead(A, 120), 500, 40_000);
    assert_eq!(early.accepted(A, 103_000).broken(), NOTHING);
    let late = history.fault(What::Ahead(B, 120), 50_000, 90_000);
    assert_eq!(late.clone().accepted(B, 60_000).broken(), ["R6"]);
    assert_eq!(late.accepted(A, 60_000).broken(), NOTHING);
}

#[test]
fn a_foreign_session_honoured_after_the_lease_is_caught_r2_s_16() {
    let cut = What::Lost { from: A, to: B };
    let history = quiet().accepted(B, 9000).fault(cut, 10_000, 30_000);
    assert_eq!(history.clone().accepted(B, 15_000).broken(), NOTHING);
    assert_eq!(history.clone().accepted(B, 20_000).broken(), ["R2"]);
    assert_eq!(history.clone().accepted(A, 20_000).broken(), NOTHING);
    // A third data centre cannot vouch for it.
    let vouched = history.clone().accepted(C, 12_000);
    assert_eq!(vouched.accepted(B, 20_000).broken(), ["R2"]);
    assert_eq!(history.accepted(C, 20_000).broken(), NOTHING);
}

#[test]
fn a_second_holder_is_caught_while_all_is_calm_r7() {
    let mut history = quiet().recognised();
    history.promises.holding = Holding::One;
    let history = history.accepted(A, 30_000).accepted(B, 31_000);
    assert_eq!(history.broken(), ["R7"]);
    let adopted = history.clone().word(B, 31_020, Said::Adopted);
    assert_eq!(adopted.broken(), NOTHING);
    assert_eq!(check(&adopted).moves, 1);
    let elsewhere = history.clone().word(C, 31_020, Said::Adopted);
    assert_eq!(elsewhere.broken(), ["R7"]);
    let disturbed = history.clone().fault(What::Reset(B, C), 25_000, 26_000);
    assert_eq!(disturbed.broken(), NOTHING);
    let mut several = history;
    several.promises.holding = Holding::Several;
    assert_eq!(several.broken(), NOTHING);
}

#[test]
fn more_sessions_than_allowed_are_caught_r8() {
    let mut history = quiet();
    for number in 1..3 {
        let from = 1000 + 1000 * u64::try_from(number).unwrap();
        history.sign_ins.push(sign_in(LoginId(number), A, from));
    }
    let accept = |history: &mut History, login: usize, node: NodeId, from: Millis| {
        history.asked.push(Asked {
            login: LoginId(login),
            node,
            cookies: Cookies::Copied,
            desk: Desk::Application,
            span: span(from, from + 50),
            verdict: Verdict::Accepted,
        });
    };
    accept(&mut history, 1, A, 4000);
    accept(&mut history, 2, A, 4100);
    // Before the third login it may well have been accepted.
    accept(&mut history, 0, A, 2500);
    assert_eq!(history.broken(), NOTHING);
    let mut broken = history.clone();
    accept(&mut broken, 0, A, 4200);
    assert_eq!(broken.broken(), ["R8"]);
    // One that was elsewhere may have come home, where only one data centre holds it.
    let mut moved = broken;
    moved.promises.holding = Holding::One;
    assert_eq!(moved.broken(), ["R8"]);
    accept(&mut moved, 0, B, 3500);
    assert_eq!(moved.broken(), NOTHING);
    // Elsewhere no maximum is kept.
    accept(&mut history, 0, B, 4200);
    assert_eq!(history.broken(), NOTHING);
}

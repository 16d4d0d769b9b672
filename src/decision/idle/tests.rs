//! When a session is idle, rule by rule.

use super::*;

const NOW: Timestamp = Timestamp::from_millis(10_000_000);
const IDLE: Duration = Duration::from_mins(30);
const WAIT: Duration = Duration::from_secs(1);

#[test]
fn the_newest_of_record_and_cookies_counts_m_057_mdc_time_1() {
    let (old, new) = (ago(40), ago(10));
    for (local, cookie) in [(old, new), (new, old)] {
        let machine = begin(Some(local), Some(cookie), &["b"]);
        assert_eq!(machine.verdict(NOW), Some(Verdict::Fresh(new)));
        assert_eq!(machine.asks().count(), 0);
    }
}

#[test]
fn an_access_that_lies_ahead_counts_as_of_now_s_20() {
    let machine = begin(None, Some(NOW.after(WAIT)), &[]);
    assert_eq!(machine.verdict(NOW), Some(Verdict::Fresh(NOW)));
    let mut machine = begin(Some(ago(40)), None, &["b"]);
    machine.handle(&peer("b"), Ok(&Answer::LastAccess(NOW.after(WAIT))));
    assert_eq!(machine.verdict(NOW), Some(Verdict::Fresh(NOW)));
}

#[test]
fn a_session_is_idle_from_the_timeout_on_s_20() {
    let machine = begin(Some(NOW.before(IDLE)), None, &[]);
    assert_eq!(machine.verdict(NOW), Some(Verdict::Idle));
    let last = NOW.before(IDLE).after(Duration::from_millis(1));
    let machine = begin(Some(last), None, &[]);
    assert_eq!(machine.verdict(NOW), Some(Verdict::Fresh(last)));
}

#[test]
fn the_chain_is_asked_before_anyone_is_challenged_m_076_s_20() {
    let mut machine = begin(Some(ago(40)), None, &["b", "c", "b"]);
    let asked: Vec<ClusterId> = machine.asks().cloned().collect();
    assert_eq!(asked, [peer("b"), peer("c")]);
    assert_eq!(machine.verdict(NOW), None);
    machine.handle(&peer("c"), Ok(&Answer::LastAccess(ago(5))));
    assert_eq!(machine.verdict(NOW), Some(Verdict::Fresh(ago(5))));
    assert_eq!(machine.asks().count(), 0);
}

#[test]
fn it_is_idle_when_everyone_says_so_s_20() {
    let mut machine = begin(Some(ago(40)), Some(ago(50)), &["b", "c", "d", "e"]);
    let words = [
        ("b", Answer::LastAccess(ago(35))),
        ("c", Answer::Missing),
        ("d", Answer::Idle),
    ];
    for (from, word) in words {
        machine.handle(&peer(from), Ok(&word));
        assert_eq!(machine.verdict(NOW), None);
    }
    machine.handle(&peer("e"), Ok(&Answer::Expired));
    assert_eq!(machine.verdict(NOW), Some(Verdict::Idle));
}

#[test]
fn an_end_is_final_whatever_else_is_said_s_7() {
    let mut machine = begin(Some(ago(40)), None, &["b", "c"]);
    machine.handle(&peer("b"), Ok(&Answer::LastAccess(ago(1))));
    machine.handle(&peer("c"), Ok(&Answer::Ended));
    assert_eq!(machine.verdict(NOW), Some(Verdict::Ended));
}

#[test]
fn silence_decides_nothing_s_20() {
    let mut machine = begin(Some(ago(40)), None, &["b", "c"]);
    machine.handle(&peer("b"), Ok(&Answer::LastAccess(ago(35))));
    machine.handle(&peer("c"), Err(Silence::TimedOut));
    assert_eq!(machine.verdict(NOW), Some(Verdict::Undecided));
    machine.handle(&peer("c"), Ok(&Answer::LastAccess(ago(36))));
    assert_eq!(machine.verdict(NOW), Some(Verdict::Idle));
    machine.handle(&peer("c"), Err(Silence::Unreachable));
    assert_eq!(machine.verdict(NOW), Some(Verdict::Idle));
}

#[test]
fn an_answer_that_tells_no_access_is_as_good_as_silence_s_19_s_20() {
    let moved = Answer::Moved {
        to: peer("d"),
        generation: crate::model::session::Generation(4),
    };
    for answer in [Answer::Unknown, Answer::Done, moved] {
        let mut machine = begin(Some(ago(40)), None, &["b"]);
        machine.handle(&peer("b"), Ok(&answer));
        assert_eq!(machine.verdict(NOW), Some(Verdict::Undecided));
    }
}

#[test]
fn nobody_is_waited_for_beyond_the_deadline_s_7() {
    let machine = begin(Some(ago(40)), None, &["b"]);
    let deadline = machine.deadline();
    let before = deadline.before(Duration::from_millis(1));
    assert_eq!(machine.verdict(before), None);
    assert_eq!(machine.verdict(deadline), Some(Verdict::Undecided));
}

#[test]
fn a_stranger_has_no_say_s_20() {
    let mut machine = begin(Some(ago(40)), None, &["b"]);
    machine.handle(&peer("x"), Ok(&Answer::LastAccess(NOW)));
    machine.handle(&peer("x"), Ok(&Answer::Ended));
    assert_eq!(machine.verdict(NOW), None);
}

fn begin(local: Option<Timestamp>, cookie: Option<Timestamp>, chain: &[&str]) -> Reconciliation {
    let limits = Limits {
        idle_timeout: IDLE,
        now: NOW,
        deadline: NOW.after(WAIT),
    };
    let chain: Vec<ClusterId> = chain.iter().map(|name| peer(name)).collect();
    Reconciliation::begin(Accesses { local, cookie }, chain, limits)
}

fn peer(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

fn ago(minutes: u64) -> Timestamp {
    NOW.before(Duration::from_mins(minutes))
}

//! Reading logs, leases, clocks and pushes, rule by rule.

use std::time::Duration;

use super::delivery::batches;
use super::lease::Lease;
use super::lease::LeaseOver;
use super::skew::Offset;
use super::skew::RoundTrip;
use super::skew::Side;
use super::skew::Skew;
use super::*;
use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::Rank;
use crate::model::session::SsoFacts;

const NOW: Timestamp = Timestamp::from_millis(10_000_000);
const TERM: Duration = Duration::from_mins(30);
const SKEW: Duration = Duration::from_mins(2);
const LIFE: Incarnation = Incarnation([1; 16]);
const NEXT_LIFE: Incarnation = Incarnation([2; 16]);

#[test]
fn a_log_never_read_is_read_from_its_beginning_s_15() {
    let mut following = Following::resume(None);
    let (question, asked) = following.ask(NOW);
    assert!(matches!(
        question,
        Question::PullEnds {
            after: Position(0),
            ..
        }
    ));
    let batch = Following::read(asked, Ok(page(LIFE, &[1, 2], Rest::More))).unwrap();
    assert_eq!(batch.ends, [tombstone(1), tombstone(2)]);
    assert_eq!(following.applied(batch.read), Then::AskAgain);
    let (question, _) = following.ask(NOW);
    assert_eq!(question, pull(LIFE, 2));
}

#[test]
fn reading_goes_on_where_the_last_complete_one_ended_s_15() {
    let mut following = Following::resume(Some(pulled(7, NOW)));
    assert_eq!(following.ask(NOW).0, pull(LIFE, 7));
}

#[test]
fn a_complete_reading_counts_from_when_its_last_question_was_sent_s_16() {
    let mut following = Following::resume(None);
    read_page(&mut following, NOW, page(LIFE, &[1, 2], Rest::More));
    let later = NOW.after(Duration::from_secs(1));
    let then = read_page(&mut following, later, page(LIFE, &[3], Rest::Complete));
    assert_eq!(then, Then::Complete(pulled(3, later)));
    let later = later.after(Duration::from_secs(1));
    let then = read_page(&mut following, later, page(LIFE, &[], Rest::Complete));
    assert_eq!(then, Then::Complete(pulled(3, later)));
}

#[test]
fn what_could_not_be_applied_is_asked_for_again_s_15() {
    let mut following = Following::resume(Some(pulled(7, NOW)));
    let (_, asked) = following.ask(NOW);
    Following::read(asked, Ok(page(LIFE, &[8], Rest::Complete))).unwrap();
    assert_eq!(following.ask(NOW).0, pull(LIFE, 7));
}

#[test]
fn another_life_of_the_log_is_read_from_its_beginning_s_15() {
    let mut following = Following::resume(Some(pulled(7, NOW)));
    let then = read_page(&mut following, NOW, page(NEXT_LIFE, &[1, 2], Rest::More));
    assert_eq!(then, Then::AskAgain);
    assert_eq!(following.ask(NOW).0, pull(NEXT_LIFE, 2));
    let then = read_page(&mut following, NOW, page(NEXT_LIFE, &[5], Rest::Complete));
    let Then::Complete(pulled) = then else {
        panic!("the reading is not complete but {then:?}");
    };
    assert_eq!(pulled.incarnation, NEXT_LIFE);
    assert_eq!(pulled.position, Position(5));
}

#[test]
fn an_answer_from_before_changes_nothing_s_15() {
    let mut following = Following::resume(Some(pulled(7, NOW)));
    let (_, first) = following.ask(NOW);
    let (_, second) = following.ask(NOW.after(Duration::from_secs(1)));
    let old = Following::read(first, Ok(page(LIFE, &[8], Rest::More))).unwrap();
    let new = Following::read(second, Ok(page(NEXT_LIFE, &[1], Rest::Complete))).unwrap();
    following.applied(new.read);
    assert_eq!(following.applied(old.read), Then::Pause);
    assert_eq!(following.applied(new.read), Then::Pause);
    assert_eq!(following.ask(NOW).0, pull(NEXT_LIFE, 1));
}

#[test]
fn a_late_answer_does_not_make_a_reading_older_s_16() {
    let mut following = Following::resume(Some(pulled(7, NOW)));
    let (_, first) = following.ask(NOW.after(Duration::from_secs(1)));
    let (_, second) = following.ask(NOW.after(Duration::from_secs(2)));
    let read = |asked| {
        Following::read(asked, Ok(page(LIFE, &[], Rest::Complete)))
            .unwrap()
            .read
    };
    following.applied(read(second));
    let sent = NOW.after(Duration::from_secs(2));
    assert_eq!(
        following.applied(read(first)),
        Then::Complete(pulled(7, sent))
    );
}

#[test]
fn a_clock_that_was_set_back_does_not_hide_new_readings_s_16() {
    let mut following = Following::resume(Some(pulled(7, NOW)));
    let before = NOW.before(Duration::from_mins(5));
    let then = read_page(&mut following, before, page(LIFE, &[], Rest::Complete));
    assert_eq!(then, Then::Complete(pulled(7, before)));
}

#[test]
fn what_is_no_page_of_a_log_is_not_taken_s_15() {
    let mut following = Following::resume(Some(pulled(7, NOW)));
    let (_, asked) = following.ask(NOW);
    let long: Vec<u64> = (8..).take(ENDS_MAX + 1).collect();
    let pages = [
        page(LIFE, &[7], Rest::Complete),
        page(LIFE, &[9, 8], Rest::Complete),
        page(LIFE, &[8, 8], Rest::Complete),
        page(LIFE, &[], Rest::More),
        page(LIFE, &long, Rest::More),
        page(NEXT_LIFE, &[0], Rest::Complete),
    ];
    for page in pages {
        assert_eq!(Following::read(asked, Ok(page)), Err(ReadError::Malformed));
    }
    let longest: Vec<u64> = (8..).take(ENDS_MAX).collect();
    assert!(Following::read(asked, Ok(page(LIFE, &longest, Rest::More))).is_ok());
}

#[test]
fn silence_is_told_from_an_answer_that_tells_nothing_s_8() {
    let (_, asked) = Following::resume(None).ask(NOW);
    assert_eq!(
        Following::read(asked, Err(Silence::TimedOut)),
        Err(ReadError::Silent(Silence::TimedOut))
    );
    assert_eq!(
        Following::read(asked, Ok(Answer::Unknown)),
        Err(ReadError::Untold)
    );
}

#[test]
fn a_log_without_end_is_left_for_the_next_interval_s_15() {
    let mut following = Following::resume(None);
    let mut position = 0;
    let mut then = Then::AskAgain;
    while then == Then::AskAgain {
        assert!(position < Following::BATCHES_MAX as u64);
        position += 1;
        then = read_page(&mut following, NOW, page(LIFE, &[position], Rest::More));
    }
    assert_eq!(then, Then::Pause);
    assert_eq!(following.ask(NOW).0, pull(LIFE, position));
}

#[test]
fn nothing_is_created_unless_every_peer_was_heard_of_recently_s_16() {
    let now = NOW;
    let fresh = now.before(TERM).after(Duration::from_millis(1));
    let peers = [
        (peer("b"), Some(pulled(1, fresh))),
        (peer("c"), Some(pulled(1, now))),
    ];
    assert_eq!(lease(&peers).may_create(now), Ok(()));
    let peers = [
        (peer("b"), Some(pulled(1, now))),
        (peer("c"), Some(pulled(1, now.before(TERM)))),
    ];
    assert_eq!(
        lease(&peers).may_create(now),
        Err(LeaseOver::TooLongAgo(peer("c")))
    );
    let peers = [(peer("b"), None)];
    assert_eq!(
        lease(&peers).may_create(now),
        Err(LeaseOver::NeverRead(peer("b")))
    );
    assert_eq!(lease(&[]).may_create(now), Ok(()));
}

#[test]
fn a_reading_that_lies_ahead_gives_no_lease_s_16() {
    let peers = [(peer("b"), Some(pulled(1, NOW.after(SKEW))))];
    assert_eq!(
        lease(&peers).may_create(NOW),
        Err(LeaseOver::TooLongAgo(peer("b")))
    );
}

#[test]
fn a_reading_made_while_a_request_is_judged_counts_for_it_s_16() {
    let peers = [(
        peer("b"),
        Some(pulled(1, NOW.after(Duration::from_secs(3)))),
    )];
    assert_eq!(lease(&peers).may_create(NOW), Ok(()));
    let chain = [peer("b")];
    assert_eq!(lease(&peers).honours(&chain, &facts(NOW), NOW), Ok(()));
}

#[test]
fn a_session_is_honoured_while_its_chain_is_heard_of_s_16() {
    let peers = [
        (peer("b"), Some(pulled(1, NOW))),
        (peer("c"), Some(pulled(1, NOW.before(TERM)))),
    ];
    let lease = lease(&peers);
    let honours = |chain: &[&str]| {
        let chain: Vec<ClusterId> = chain.iter().map(|name| peer(name)).collect();
        lease.honours(&chain, &facts(NOW.before(SKEW)), NOW)
    };
    assert_eq!(honours(&[]), Ok(()));
    assert_eq!(honours(&["b"]), Ok(()));
    assert_eq!(honours(&["b", "gone"]), Ok(()));
    assert_eq!(honours(&["b", "c"]), Err(LeaseOver::TooLongAgo(peer("c"))));
}

#[test]
fn a_new_log_honours_nothing_older_before_every_peer_was_read_s_15() {
    let peers = [(peer("b"), Some(pulled(1, NOW))), (peer("c"), None)];
    let lease = lease(&peers);
    let began = lease.began;
    let older = facts(began.before(Duration::from_millis(1)));
    let over = Err(LeaseOver::NeverRead(peer("c")));
    assert_eq!(lease.honours([], &older, NOW), over);
    assert_eq!(lease.honours([], &facts(began), NOW), Ok(()));
    // Where it may have begun elsewhere, its beginning is as sure as the clocks.
    let b = peer("b");
    assert_eq!(lease.honours([&b], &facts(began), NOW), over);
    let surely_later = facts(began.after(SKEW));
    assert_eq!(lease.honours([&b], &surely_later, NOW), Ok(()));
    let all = [(peer("c"), Some(pulled(1, NOW.before(TERM))))];
    let lease = Lease {
        peers: &all,
        ..lease
    };
    assert_eq!(lease.honours([], &older, NOW), Ok(()));
}

#[test]
fn a_clock_is_measured_against_the_middle_of_the_round_trip_s_22() {
    let trip = |theirs| RoundTrip {
        sent: NOW,
        received: NOW.after(Duration::from_millis(100)),
        theirs,
    };
    let middle = NOW.after(Duration::from_millis(50));
    let offset = |size, side| {
        Some(Offset {
            size: Duration::from_millis(size),
            side,
        })
    };
    assert_eq!(trip(middle).offset(), offset(0, Side::Ahead));
    let ahead = middle.after(Duration::from_millis(7));
    assert_eq!(trip(ahead).offset(), offset(7, Side::Ahead));
    let behind = middle.before(Duration::from_millis(7));
    assert_eq!(trip(behind).offset(), offset(7, Side::Behind));
}

#[test]
fn a_clock_set_back_during_the_round_trip_measures_nothing_s_22() {
    let trip = RoundTrip {
        sent: NOW,
        received: NOW.before(Duration::from_millis(1)),
        theirs: NOW,
    };
    assert_eq!(trip.offset(), None);
}

#[test]
fn a_skew_is_kept_up_to_its_limits_s_22_mdc_time_2() {
    let judge = |millis| {
        let offset = Offset {
            size: Duration::from_millis(millis),
            side: Side::Behind,
        };
        offset.judge(Duration::from_secs(30), SKEW)
    };
    assert_eq!(judge(30_000), Skew::Within);
    assert_eq!(judge(30_001), Skew::Allowed);
    assert_eq!(judge(120_000), Skew::Allowed);
    assert_eq!(judge(120_001), Skew::Beyond);
}

#[test]
fn ends_are_pushed_once_each_and_in_order_s_15() {
    let pushed = batches([tombstone(1), tombstone(2), tombstone(1), tombstone(3)]);
    assert_eq!(pushed, [[tombstone(1), tombstone(2), tombstone(3)]]);
    assert!(batches([]).is_empty());
}

#[test]
fn no_message_carries_more_ends_than_allowed_s_15() {
    let many = (0..=ENDS_MAX as u64).map(tombstone);
    let lengths: Vec<usize> = batches(many).iter().map(Vec::len).collect();
    assert_eq!(lengths, [ENDS_MAX, 1]);
}

#[test]
fn what_says_more_is_pushed_s_14_s_15() {
    assert_eq!(batches([moved(1, 4), tombstone(1)]), [[tombstone(1)]]);
    assert_eq!(batches([tombstone(1), moved(1, 4)]), [[tombstone(1)]]);
    assert_eq!(batches([moved(1, 4), moved(1, 3)]), [[moved(1, 4)]]);
    assert_eq!(batches([moved(1, 3), moved(1, 4)]), [[moved(1, 4)]]);
    assert_eq!(batches([cut_off(4, 9), cut_off(5, 8)]), [[cut_off(5, 9)]]);
    let provider = |expires| End::ProviderCutOff {
        session: ProviderSessionId::of("issuer", "sid"),
        expires: Timestamp::from_millis(expires),
    };
    assert_eq!(batches([provider(4), provider(3)]), [[provider(4)]]);
}

fn pull(incarnation: Incarnation, after: u64) -> Question {
    Question::PullEnds {
        incarnation,
        after: Position(after),
    }
}

fn pulled(position: u64, sent: Timestamp) -> Pulled {
    Pulled {
        incarnation: LIFE,
        position: Position(position),
        sent,
    }
}

fn page(incarnation: Incarnation, positions: &[u64], rest: Rest) -> Answer {
    let ends = positions.iter().map(|at| (Position(*at), tombstone(*at)));
    Answer::Ends {
        incarnation,
        ends: ends.collect(),
        rest,
    }
}

fn read_page(following: &mut Following, now: Timestamp, page: Answer) -> Then {
    let (_, asked) = following.ask(now);
    let batch = Following::read(asked, Ok(page)).unwrap();
    following.applied(batch.read)
}

fn sso(number: u64) -> SsoId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    SsoId::from_bytes(bytes)
}

fn tombstone(number: u64) -> End {
    End::Tombstone {
        sso: sso(number),
        cause: EndCause::LoggedOut,
        expires: NOW,
    }
}

fn moved(number: u64, generation: u32) -> End {
    End::Moved {
        sso: sso(number),
        holder: Rank {
            generation: Generation(generation),
            cluster: peer("b"),
        },
        expires: NOW,
    }
}

fn cut_off(before: u64, expires: u64) -> End {
    End::UserCutOff {
        store: StoreName::parse("local").unwrap(),
        subject: UserName::parse("alice").unwrap(),
        authenticated_before: Timestamp::from_millis(before),
        expires: Timestamp::from_millis(expires),
    }
}

fn peer(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

fn lease(peers: &[(ClusterId, Option<Pulled>)]) -> Lease<'_> {
    Lease {
        began: NOW.before(Duration::from_hours(1)),
        hard_skew: SKEW,
        term: TERM,
        peers,
    }
}

fn facts(first_authenticated: Timestamp) -> SsoFacts {
    SsoFacts {
        sso: sso(1),
        subject: UserName::parse("alice").unwrap(),
        store: StoreName::parse("local").unwrap(),
        first_authenticated,
        expires: NOW.after(Duration::from_hours(8)),
        generation: Generation(0),
        level: AuthLevel::new(10).unwrap(),
        level_reached: first_authenticated,
    }
}

//! The adoption table A.6 and the failure table 7-3, row by row, and what holds whatever is answered.
#![expect(
    clippy::unnecessary_wraps,
    clippy::wildcard_enum_match_arm,
    reason = "a scripted peer answers one question in its own way and all others alike"
)]

use std::net::IpAddr;
use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::model::claim::HostLimits;
use crate::model::claim::NotLive;
use crate::model::claim::Place;
use crate::model::claim::Presented;
use crate::model::id::AdoptionId;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::GroupName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::peer::Answer;
use crate::model::peer::Data;
use crate::model::peer::Question;
use crate::model::peer::Refusal;
use crate::model::peer::Silence;
use crate::model::session::Attributes;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Rank;
use crate::model::session::Release;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_000_000_000);
const IDLE: Duration = Duration::from_mins(30);

fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

fn facts() -> SsoFacts {
    SsoFacts {
        sso: SsoId::from_bytes([1; 16]),
        subject: UserName::parse("alice").unwrap(),
        store: StoreName::parse("local").unwrap(),
        first_authenticated: NOW.before(Duration::from_mins(10)),
        expires: NOW.after(Duration::from_hours(8)),
        generation: Generation(0),
        level: AuthLevel::new(10).unwrap(),
        level_reached: NOW.before(Duration::from_mins(10)),
    }
}

fn identity(groups: &[&str]) -> Identity {
    let facts = facts();
    let groups = groups.iter().map(|group| GroupName::parse(group).unwrap());
    Identity {
        store: facts.store,
        subject: facts.subject,
        name: None,
        email: None,
        groups: groups.collect(),
        attributes: Default::default(),
    }
}

/// The record that the other data centre holds.
fn theirs() -> Session {
    Session {
        id: SessionId::from_bytes([2; 16]),
        facts: facts(),
        state: SessionState::Live,
        identity: identity(&["fetched"]),
        last_access: NOW.before(Duration::from_mins(3)),
        client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        held_since: NOW.before(Duration::from_mins(10)),
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: vec![crate::model::name::HostName::parse("app.test").unwrap()],
        version: 7,
    }
}

fn case(policy: AdoptionPolicy) -> Case {
    Case {
        own: cluster("here"),
        policy,
        facts: facts(),
        presented: Presented {
            at: Place::Application,
            client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            limits: HostLimits::NONE,
        },
        local: Local::Absent,
        candidates: vec![cluster("there")],
        silent: Vec::new(),
        chain: vec![Holder {
            cluster: cluster("there"),
            session: SessionId::from_bytes([2; 16]),
        }],
        last_access: Some(NOW.before(Duration::from_mins(5))),
        idle_timeout: IDLE,
        creation: Creation::Allowed,
        adoption: AdoptionId::from_bytes([3; 16]),
        session: SessionId::from_bytes([4; 16]),
    }
}

const fn policy(anchor: Anchor, retrieval: Retrieval, on_silence: OnSilence) -> AdoptionPolicy {
    AdoptionPolicy {
        anchor,
        retrieval,
        hop: Hop::Silent,
        retries: 2,
        attempt_limit: Duration::from_secs(1),
        on_missing: OnMissing::Create,
        on_silence,
    }
}

const FREE: AdoptionPolicy = policy(Anchor::Free, Retrieval::Fetch, OnSilence::Challenge);
const ANCHORED: AdoptionPolicy = policy(Anchor::Anchored, Retrieval::Fetch, OnSilence::Challenge);

/// What a run came to.
struct Ran {
    outcome: Outcome,
    asked: Vec<(ClusterId, Question)>,
    /// What was announced, and how many records had been kept before.
    announced: Vec<(Rank, usize)>,
    kept: Vec<Session>,
    ended_at: Timestamp,
}

impl Ran {
    fn record(&self) -> &Session {
        self.kept.last().expect("a record was kept")
    }

    fn serves(&self) -> bool {
        self.outcome == Outcome::Serve && self.record().state == SessionState::Live
    }

    fn refusal(&self) -> Option<NotLive> {
        match &self.outcome {
            Outcome::Refuse(why) => Some(*why),
            Outcome::CutOff | Outcome::Ended | Outcome::Serve => None,
        }
    }
}

/// Plays a case against peers that answer by `peers`, each taking `pace`.
fn play(
    case: Case,
    pace: Duration,
    reread: &Reread,
    mut peers: impl FnMut(&ClusterId, &Question) -> Result<Answer, Silence>,
) -> Ran {
    let mut now = NOW;
    let (mut adoption, mut effect) = Adoption::begin(case, now);
    let mut ran = Ran {
        outcome: Outcome::CutOff,
        asked: Vec::new(),
        announced: Vec::new(),
        kept: Vec::new(),
        ended_at: now,
    };
    for _ in 0..200 {
        let input = match effect {
            Effect::Finish(outcome) => {
                ran.outcome = outcome;
                ran.ended_at = now;
                return ran;
            }
            Effect::Ask {
                peer,
                question,
                limit,
            } => {
                let answer = peers(&peer, &question);
                ran.asked.push((peer, *question));
                now = now.after(if answer.is_err() {
                    limit
                } else {
                    pace.min(limit)
                });
                match answer {
                    Ok(answer) => Input::Answer(answer),
                    Err(silence) => Input::Silence(silence),
                }
            }
            Effect::Announce(rank) => {
                ran.announced.push((rank, ran.kept.len()));
                Input::Announced
            }
            Effect::Wait(span) => {
                now = now.after(span);
                Input::Waited
            }
            Effect::Reread => Input::Reread(reread.clone()),
            Effect::Keep(session) => {
                let version = session.version + u64::from(!ran.kept.is_empty());
                ran.kept.push(*session);
                Input::Kept(Kept::Kept { version })
            }
        };
        effect = adoption.handle(input, now);
    }
    panic!("the adoption does not end");
}

fn run(case: Case, peers: impl FnMut(&ClusterId, &Question) -> Result<Answer, Silence>) -> Ran {
    play(case, Duration::from_millis(1), &Reread::Unsupported, peers)
}

fn holder_lets_go(question: &Question) -> Result<Answer, Silence> {
    Ok(match question {
        Question::Commit { .. } => Answer::Committed(None),
        _ => Answer::Session(Box::new(theirs())),
    })
}

fn silent(_: &ClusterId, _: &Question) -> Result<Answer, Silence> {
    Err(Silence::TimedOut)
}

#[test]
fn a6_rows_1_and_2_a_hop_is_challenged_when_the_policy_says_so_mdc_adopt_4() {
    for anchor in [Anchor::Free, Anchor::Anchored] {
        let policy = AdoptionPolicy {
            hop: Hop::Reauthenticate,
            ..policy(anchor, Retrieval::Fetch, OnSilence::Continue)
        };
        let ran = run(case(policy), |_, question| holder_lets_go(question));
        assert_eq!(ran.refusal(), Some(NotLive::Reauthenticate));
        assert!(ran.asked.is_empty());
        // Whoever has just signed in to come here is not asked again.
        let mut arrival = case(policy);
        arrival.presented.at = Place::Arrival;
        let ran = run(arrival, |_, question| holder_lets_go(question));
        assert!(ran.serves(), "{anchor:?}");
    }
}

#[test]
fn who_has_signed_in_to_come_here_before_comes_back_without_being_asked_mdc_adopt_4() {
    let policy = AdoptionPolicy {
        hop: Hop::Reauthenticate,
        ..policy(Anchor::Anchored, Retrieval::Fetch, OnSilence::Challenge)
    };
    let mut stub = theirs();
    stub.state = SessionState::Moved {
        to: cluster("ny"),
        generation: Generation(1),
        adoption: None,
    };
    let mut live = theirs();
    live.state = SessionState::Live;
    for local in [
        Local::Stub(Box::new(stub)),
        Local::Outranked(Box::new(live)),
    ] {
        for at in [Place::Application, Place::Collector] {
            let mut back = case(policy);
            back.local = local.clone();
            back.presented.at = at;
            let ran = run(back.clone(), |_, question| holder_lets_go(question));
            assert!(ran.serves(), "{at:?} {local:?}");
            // That takes nothing away from whoever holds it.
            let ran = run(back, silent);
            assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
        }
    }
}

#[test]
fn from_where_the_clock_is_too_far_off_nothing_is_made_from_a_cookie_either_s_22_mdc_adopt_1() {
    let policy = policy(Anchor::Free, Retrieval::Off, OnSilence::Continue);
    let mut far_off = case(policy);
    assert!(run(far_off.clone(), silent).serves());
    far_off.creation = Creation::Skew;
    assert_eq!(run(far_off, silent).refusal(), Some(NotLive::Skew));
}

#[test]
fn a6_row_3_without_retrieval_nobody_is_asked_and_attributes_are_read_again_mdc_adopt_1() {
    let policy = policy(Anchor::Free, Retrieval::Off, OnSilence::Challenge);
    let known = Reread::Known(identity(&["reread"]));
    let ran = play(case(policy), Duration::ZERO, &known, silent);
    assert!(ran.serves() && ran.asked.is_empty());
    let record = ran.record();
    assert_eq!(record.identity, identity(&["reread"]));
    assert_eq!(
        record.facts,
        facts(),
        "user and remaining lifetime of the cookie"
    );
    let chain: Vec<_> = record
        .aliases
        .iter()
        .map(|holder| &holder.cluster)
        .collect();
    assert_eq!(chain, [&cluster("there")]);
}

#[test]
fn a6_row_3_creating_from_claims_needs_the_lease_s_16() {
    let policy = policy(Anchor::Free, Retrieval::Off, OnSilence::Continue);
    let mut case = case(policy);
    case.creation = Creation::LeaseOver;
    assert_eq!(run(case, silent).refusal(), Some(NotLive::LeaseOver));
}

#[test]
fn a6_row_4_anchoring_without_retrieval_reserves_and_commits_without_attributes() {
    let policy = policy(Anchor::Anchored, Retrieval::Off, OnSilence::Challenge);
    let bare = Session {
        attributes: Attributes::Unknown,
        identity: identity(&[]),
        ..theirs()
    };
    let ran = run(case(policy), |_, question| {
        Ok(match question {
            Question::Reserve { data, .. } => {
                assert_eq!(*data, Data::None);
                Answer::Session(Box::new(bare.clone()))
            }
            _ => Answer::Committed(None),
        })
    });
    assert!(ran.serves());
    assert_eq!(ran.record().attributes, Attributes::Unknown, "S-10");
    assert_eq!(ran.record().facts.generation, Generation(1));
}

#[test]
fn a6_row_5_anchoring_without_retrieval_continues_or_challenges_when_nobody_answers() {
    let challenge = policy(Anchor::Anchored, Retrieval::Off, OnSilence::Challenge);
    assert_eq!(
        run(case(challenge), silent).refusal(),
        Some(NotLive::Unanswered)
    );
    let go_on = policy(Anchor::Anchored, Retrieval::Off, OnSilence::Continue);
    let ran = run(case(go_on), silent);
    assert!(ran.serves());
    let rank = Rank {
        generation: Generation(1),
        cluster: cluster("here"),
    };
    assert_eq!(ran.announced, [(rank, 0)], "before the record stands");
}

#[test]
fn a6_row_6_a_free_session_is_copied_with_all_attributes_mdc_adopt_3_mdc_fail_2() {
    let ran = run(case(FREE), |_, question| {
        assert!(matches!(question, Question::Fetch { .. }));
        holder_lets_go(question)
    });
    assert!(ran.serves());
    assert_eq!(
        ran.asked.len(),
        1,
        "the other data centre keeps its session"
    );
    let record = ran.record();
    assert_eq!(record.identity, identity(&["fetched"]));
    assert_eq!(record.visited, theirs().visited);
    assert_eq!(record.facts.generation, Generation(0));
    assert_eq!(record.last_access, theirs().last_access);
}

#[test]
fn a6_row_7_an_anchored_session_is_let_go_after_the_copy_is_durable_mdc_adopt_2_mdc_fail_1() {
    let ran = run(case(ANCHORED), |_, question| holder_lets_go(question));
    assert!(ran.serves());
    assert_eq!(
        ran.kept.len(),
        2,
        "the pending copy, then the live record (S-6)"
    );
    assert!(matches!(ran.kept[0].state, SessionState::Pending(_)));
    let (_, commit) = &ran.asked[1];
    let Question::Commit {
        version,
        generation,
        adoption,
        ..
    } = commit
    else {
        panic!("{commit:?}")
    };
    assert_eq!((*version, *generation), (7, Generation(1)));
    assert_eq!(*adoption, AdoptionId::from_bytes([3; 16]));
}

#[test]
fn a_record_that_changed_after_it_was_read_comes_with_the_commit_s_6() {
    let mut newer = theirs();
    newer.last_access = NOW;
    newer.facts.expires = NOW.after(Duration::from_hours(1));
    let ran = run(case(ANCHORED), |_, question| {
        Ok(match question {
            Question::Commit { .. } => Answer::Committed(Some(Box::new(newer.clone()))),
            _ => Answer::Session(Box::new(theirs())),
        })
    });
    assert_eq!(ran.record().last_access, NOW);
    assert_eq!(ran.record().facts.expires, newer.facts.expires);
}

#[test]
fn a6_row_8_no_such_session_is_a_challenge_at_authorisation_and_a_session_at_the_collector_x_03() {
    let missing = |_: &ClusterId, _: &Question| Ok(Answer::Missing);
    let go_on = policy(Anchor::Free, Retrieval::Fetch, OnSilence::Continue);
    for policy in [FREE, go_on] {
        assert_eq!(run(case(policy), missing).refusal(), Some(NotLive::Missing));
    }
    let mut at_collector = case(FREE);
    at_collector.presented.at = Place::Collector;
    assert!(run(at_collector.clone(), missing).serves());
    at_collector.policy.on_missing = OnMissing::Challenge;
    assert_eq!(run(at_collector, missing).refusal(), Some(NotLive::Missing));
}

#[test]
fn a6_row_8_ended_is_final_whatever_the_policy_says_s_7() {
    for on_silence in [OnSilence::Challenge, OnSilence::Continue] {
        for place in [Place::Application, Place::Collector] {
            let mut case = case(policy(Anchor::Anchored, Retrieval::Fetch, on_silence));
            case.presented.at = place;
            case.candidates.push(cluster("third"));
            let ran = run(case, |_, _| Ok(Answer::Ended));
            assert_eq!(ran.outcome, Outcome::Ended);
            assert_eq!(ran.asked.len(), 1, "nobody else is asked");
            assert!(ran.kept.is_empty());
        }
    }
}

#[test]
fn a6_row_9_idle_moves_on_to_the_next_and_is_a_challenge_at_the_end() {
    let idle = |_: &ClusterId, _: &Question| Ok(Answer::Idle);
    for on_silence in [OnSilence::Challenge, OnSilence::Continue] {
        let policy = policy(Anchor::Free, Retrieval::Fetch, on_silence);
        assert_eq!(run(case(policy), idle).refusal(), Some(NotLive::Idle));
    }
    let mut case = case(FREE);
    case.candidates.push(cluster("third"));
    let ran = run(case, |peer, question| {
        if *peer == cluster("there") {
            Ok(Answer::Idle)
        } else {
            holder_lets_go(question)
        }
    });
    assert!(ran.serves());
}

#[test]
fn a6_row_10_silence_is_a_challenge_after_the_retries_mdc_fail_3() {
    let ran = run(case(ANCHORED), silent);
    assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
    assert_eq!(ran.asked.len(), 3, "one attempt and two retries (M-063)");
    assert!(ran.kept.is_empty());
}

#[test]
fn a6_row_11_silence_is_no_challenge_where_the_policy_continues_mdc_fail_4() {
    let policy = policy(Anchor::Anchored, Retrieval::Fetch, OnSilence::Continue);
    let ran = run(case(policy), silent);
    assert!(ran.serves());
    assert_eq!(ran.record().facts.generation, Generation(1));
    assert_eq!(ran.record().facts.expires, facts().expires, "R6");
    let mut stale = case(policy);
    stale.last_access = Some(NOW.before(IDLE));
    assert_eq!(run(stale, silent).refusal(), Some(NotLive::Idle));
}

#[test]
fn a_refusal_is_no_silence_s_8() {
    let policy = policy(Anchor::Free, Retrieval::Fetch, OnSilence::Continue);
    for (refusal, expected) in [
        (Refusal::UnknownStore, NotLive::UnknownStore),
        (Refusal::Skew, NotLive::Skew),
        (Refusal::NotPermitted, NotLive::Refused),
    ] {
        let ran = run(case(policy), |_, _| Ok(Answer::Refused(refusal)));
        assert_eq!(ran.refusal(), Some(expected));
    }
    let ran = run(case(policy), |_, _| {
        Ok(Answer::Refused(Refusal::Mismatched))
    });
    assert_eq!(ran.refusal(), Some(NotLive::Mismatched));
}

#[test]
fn a_peer_that_is_there_and_will_not_speak_is_no_silence_s_8() {
    for anchor in [Anchor::Free, Anchor::Anchored] {
        let policy = policy(anchor, Retrieval::Fetch, OnSilence::Continue);
        for why in [Silence::Protocol, Silence::Busy] {
            let ran = run(case(policy), |_, _| Err(why));
            assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
            assert_eq!(ran.asked.len(), 1, "it is not asked again");
            assert!(ran.kept.is_empty());
        }
        let ran = run(case(policy), |_, _| Ok(Answer::Done));
        assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
    }
}

#[test]
fn a_copy_whose_commit_was_met_by_a_peer_that_will_not_speak_does_not_serve_s_8() {
    let policy = policy(Anchor::Anchored, Retrieval::Fetch, OnSilence::Continue);
    let ran = run(case(policy), |_, question| match question {
        Question::Commit { .. } => Err(Silence::Protocol),
        _ => holder_lets_go(question),
    });
    assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
    assert!(matches!(ran.record().state, SessionState::Pending(_)));
}

#[test]
fn a_holder_that_cannot_store_its_promise_serves_on_s_6() {
    for anchor in [Anchor::Free, Anchor::Anchored] {
        let go_on = policy(anchor, Retrieval::Fetch, OnSilence::Continue);
        let ran = run(case(go_on), |_, _| Ok(Answer::NotDurable));
        assert_eq!(ran.refusal(), Some(NotLive::HeldElsewhere));
    }
}

#[test]
fn an_engine_that_cannot_tell_counts_as_silent_s_19() {
    let policy = policy(Anchor::Free, Retrieval::Fetch, OnSilence::Continue);
    assert!(run(case(policy), |_, _| Ok(Answer::Unknown)).serves());
    let ran = run(case(FREE), |_, _| Ok(Answer::Unknown));
    assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
}

#[test]
fn an_open_circuit_is_not_tried_again() {
    let ran = run(case(FREE), |_, _| Err(Silence::CircuitOpen));
    assert_eq!(ran.asked.len(), 1);
}

#[test]
fn what_differs_in_subject_or_store_is_a_challenge_s_3() {
    let mut other = theirs();
    other.facts.subject = UserName::parse("mallory").unwrap();
    let ran = run(case(FREE), |_, _| {
        Ok(Answer::Session(Box::new(other.clone())))
    });
    assert_eq!(ran.refusal(), Some(NotLive::Mismatched));
}

#[test]
fn the_earlier_expiry_counts_s_3_mdc_adopt_7() {
    let mut later = theirs();
    later.facts.expires = NOW.after(Duration::from_hours(100));
    let ran = run(case(FREE), |_, _| {
        Ok(Answer::Session(Box::new(later.clone())))
    });
    assert_eq!(ran.record().facts.expires, facts().expires);
}

#[test]
fn a_stub_is_followed_to_a_higher_generation_only_s_7() {
    let third = cluster("third");
    let moved = |generation| Answer::Moved {
        to: cluster("third"),
        generation: Generation(generation),
    };
    let ran = run(case(ANCHORED), |peer, question| {
        if *peer == third {
            let mut session = theirs();
            session.facts.generation = Generation(1);
            return Ok(match question {
                Question::Commit { .. } => Answer::Committed(None),
                _ => Answer::Session(Box::new(session)),
            });
        }
        Ok(moved(1))
    });
    assert!(ran.serves());
    assert_eq!(ran.record().facts.generation, Generation(2));
    let ran = run(case(ANCHORED), |peer, _| {
        assert_ne!(*peer, third);
        Ok(moved(0))
    });
    assert_eq!(ran.refusal(), Some(NotLive::Missing));
}

#[test]
fn stubs_that_point_at_each_other_end_after_each_was_asked_once_s_7() {
    let mut generation = 0;
    let ran = run(case(ANCHORED), |peer, _| {
        generation += 1;
        let to = if *peer == cluster("there") {
            "third"
        } else {
            "there"
        };
        Ok(Answer::Moved {
            to: cluster(to),
            generation: Generation(generation),
        })
    });
    assert_eq!(ran.asked.len(), 2);
    assert!(!ran.serves());
}

#[test]
fn a_holder_that_is_outranked_by_the_cookie_is_not_adopted_from_s_4() {
    let mut case = case(ANCHORED);
    case.facts.generation = Generation(5);
    let ran = run(case, |_, question| holder_lets_go(question));
    assert!(ran.kept.is_empty());
    assert_eq!(ran.refusal(), Some(NotLive::Missing));
}

#[test]
fn a_session_held_too_briefly_is_waited_for_s_9() {
    let mut asked = 0;
    let ran = run(case(ANCHORED), |_, question| {
        asked += 1;
        if asked == 1 {
            return Ok(Answer::TooSoon(Duration::from_millis(200)));
        }
        holder_lets_go(question)
    });
    assert!(ran.serves());
    assert!(ran.ended_at.since(NOW) >= Duration::from_millis(200));
}

#[test]
fn what_another_has_reserved_is_waited_for_within_the_deadline_s_8() {
    let ran = run(case(ANCHORED), |_, _| Ok(Answer::Reserved));
    assert_eq!(ran.refusal(), Some(NotLive::HeldElsewhere));
    assert!(ran.ended_at.since(NOW) <= ANCHORED.deadline());
}

#[test]
fn a_lapsed_reservation_gives_the_copy_up_s_6() {
    let ran = run(case(ANCHORED), |_, question| {
        Ok(match question {
            Question::Commit { .. } => Answer::Lapsed,
            _ => Answer::Session(Box::new(theirs())),
        })
    });
    assert_eq!(ran.refusal(), Some(NotLive::HeldElsewhere));
    let SessionState::Moved { to, generation, .. } = &ran.record().state else {
        panic!("{:?}", ran.record().state)
    };
    assert_eq!((to, *generation), (&cluster("there"), Generation(0)));
}

#[test]
fn a_commit_without_an_answer_leaves_the_copy_pending_or_promotes_it_s_6() {
    let silent_commit = |_: &ClusterId, question: &Question| match question {
        Question::Commit { .. } => Err(Silence::TimedOut),
        _ => Ok(Answer::Session(Box::new(theirs()))),
    };
    let ran = run(case(ANCHORED), silent_commit);
    assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
    assert!(matches!(ran.record().state, SessionState::Pending(_)));
    let go_on = policy(Anchor::Anchored, Retrieval::Fetch, OnSilence::Continue);
    let ran = run(case(go_on), silent_commit);
    assert!(ran.serves());
    assert_eq!(ran.record().facts.generation, Generation(2));
    let rank = Rank {
        generation: Generation(2),
        cluster: cluster("here"),
    };
    assert_eq!(ran.announced, [(rank, 1)], "before the promoted record");
}

#[test]
fn a_commit_that_is_refused_leaves_the_copy_pending_for_it_may_have_been_done_before_s_6_s_22() {
    for answer in [
        Answer::Refused(Refusal::Skew),
        Answer::Refused(Refusal::NotPermitted),
        Answer::NotDurable,
        Answer::Done,
    ] {
        let ran = run(case(ANCHORED), |_, question| match question {
            Question::Commit { .. } => Ok(answer.clone()),
            _ => holder_lets_go(question),
        });
        assert_eq!(ran.refusal(), Some(NotLive::Unanswered), "{answer:?}");
        assert_eq!(ran.kept.len(), 1, "{answer:?}");
        assert!(matches!(ran.record().state, SessionState::Pending(_)));
    }
}

#[test]
fn a_session_that_began_here_or_with_a_stranger_is_not_made_from_its_cookie_s_7() {
    for place in [Place::Application, Place::Collector] {
        let policy = policy(Anchor::Free, Retrieval::Fetch, OnSilence::Continue);
        let mut case = case(policy);
        case.presented.at = place;
        case.creation = Creation::NoOrigin;
        let ran = run(case.clone(), |_, _| Ok(Answer::Missing));
        assert_eq!(ran.refusal(), Some(NotLive::Missing));
        let ran = run(case, silent);
        assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
    }
}

#[test]
fn a_stub_that_points_here_tells_how_high_a_new_holder_has_to_rank_s_4() {
    let mut case = case(ANCHORED);
    case.presented.at = Place::Collector;
    let ran = run(case, |_, _| {
        Ok(Answer::Moved {
            to: cluster("here"),
            generation: Generation(3),
        })
    });
    assert!(ran.serves());
    assert_eq!(ran.record().facts.generation, Generation(4));
}

fn pending() -> Session {
    let mut pending = theirs();
    pending.facts.generation = Generation(1);
    pending.state = SessionState::Pending(Release {
        adoption: AdoptionId::from_bytes([9; 16]),
        from: cluster("there"),
        generation: Generation(0),
        version: 7,
    });
    pending
}

#[test]
fn a_pending_copy_is_committed_again_with_the_same_adoption_s_6() {
    let mut case = case(ANCHORED);
    case.local = Local::Pending(Box::new(pending()));
    let ran = run(case, |_, question| {
        let Question::Commit { adoption, .. } = question else {
            panic!("{question:?}")
        };
        assert_eq!(*adoption, AdoptionId::from_bytes([9; 16]));
        Ok(Answer::Committed(None))
    });
    assert!(ran.serves());
}

#[test]
fn an_end_that_the_commit_meets_is_final_s_17() {
    let ran = run(case(ANCHORED), |_, question| {
        Ok(match question {
            Question::Commit { .. } => Answer::Ended,
            _ => Answer::Session(Box::new(theirs())),
        })
    });
    assert_eq!(ran.outcome, Outcome::Ended);
}

#[test]
fn a_stub_whose_holder_is_silent_is_reclaimed_where_the_policy_continues_s_5() {
    let mut stub = theirs();
    stub.facts.generation = Generation(3);
    stub.state = SessionState::Moved {
        to: cluster("there"),
        generation: Generation(3),
        adoption: None,
    };
    let go_on = policy(Anchor::Anchored, Retrieval::Fetch, OnSilence::Continue);
    let mut reclaim = case(go_on);
    reclaim.facts.generation = Generation(3);
    reclaim.local = Local::Stub(Box::new(stub));
    let ran = run(reclaim.clone(), silent);
    assert!(ran.serves());
    assert_eq!(ran.record().facts.generation, Generation(4));
    reclaim.policy.on_silence = OnSilence::Challenge;
    assert_eq!(run(reclaim, silent).refusal(), Some(NotLive::Unanswered));
}

/// M-044
#[test]
fn who_was_silent_a_moment_ago_is_silent_still_and_the_others_are_asked_s_7_s_8() {
    let mut waited = case(FREE);
    waited.silent = vec![cluster("there")];
    let ran = run(waited.clone(), |_, _| panic!("asked again"));
    assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
    waited.candidates.push(cluster("third"));
    let ran = run(waited.clone(), |peer, question| {
        assert_eq!(*peer, cluster("third"));
        holder_lets_go(question)
    });
    assert!(ran.serves());
    // A stub that points there leads to the same silence.
    let moved = |_: &ClusterId, _: &Question| {
        Ok(Answer::Moved {
            to: cluster("there"),
            generation: Generation(3),
        })
    };
    waited.candidates = vec![cluster("third")];
    let ran = run(waited, moved);
    assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
    assert_eq!(ran.asked.len(), 1);
    // What follows from it is the policy's word as ever.
    let go_on = policy(Anchor::Anchored, Retrieval::Fetch, OnSilence::Continue);
    for local in [Local::Absent, Local::Pending(Box::new(pending()))] {
        let mut waited = case(go_on);
        waited.silent = vec![cluster("there")];
        waited.local = local;
        let ran = run(waited, |_, _| panic!("asked again"));
        assert!(ran.serves());
    }
}

#[test]
fn a_user_who_is_gone_is_cut_off_and_an_unknown_store_refused_s_10_mdc_adopt_8() {
    let peers = |_: &ClusterId, question: &Question| holder_lets_go(question);
    let ran = play(case(FREE), Duration::ZERO, &Reread::Gone, peers);
    assert_eq!(ran.outcome, Outcome::CutOff);
    let ran = play(case(FREE), Duration::ZERO, &Reread::UnknownStore, peers);
    assert_eq!(ran.refusal(), Some(NotLive::UnknownStore));
}

#[test]
fn a_promise_that_is_not_used_is_given_back_s_6() {
    let ran = play(
        case(ANCHORED),
        Duration::ZERO,
        &Reread::Gone,
        |_, question| match question {
            Question::Abort { .. } => Ok(Answer::Done),
            _ => holder_lets_go(question),
        },
    );
    assert_eq!(ran.outcome, Outcome::CutOff);
    assert!(matches!(
        ran.asked.last(),
        Some((_, Question::Abort { .. }))
    ));
}

#[test]
fn a_promise_that_lapsed_is_no_silence_s_6_s_8() {
    let go_on = policy(Anchor::Anchored, Retrieval::Fetch, OnSilence::Continue);
    let ran = run(case(go_on), |_, _| Ok(Answer::Lapsed));
    assert_eq!(ran.refusal(), Some(NotLive::HeldElsewhere));
}

#[test]
fn with_the_identity_store_away_fetched_attributes_count_and_claims_do_not_s_10() {
    let peers = |_: &ClusterId, question: &Question| holder_lets_go(question);
    let away = Reread::Unavailable;
    assert!(play(case(FREE), Duration::ZERO, &away, peers).serves());
    let off = policy(Anchor::Free, Retrieval::Off, OnSilence::Continue);
    let ran = play(case(off), Duration::ZERO, &away, silent);
    assert_eq!(ran.refusal(), Some(NotLive::Unanswered));
}

#[test]
fn with_nobody_to_ask_the_user_is_challenged_s_7() {
    for retrieval in [Retrieval::Fetch, Retrieval::Off] {
        let mut case = case(policy(Anchor::Free, retrieval, OnSilence::Continue));
        case.candidates.clear();
        assert_eq!(run(case, silent).refusal(), Some(NotLive::Missing));
    }
}

fn any_answer() -> impl Strategy<Value = Result<Answer, Silence>> {
    let mut newer = theirs();
    newer.facts.generation = Generation(2);
    prop_oneof![
        Just(Ok(Answer::Session(Box::new(theirs())))),
        Just(Ok(Answer::Session(Box::new(newer)))),
        (0_u64..400).prop_map(|ms| Ok(Answer::TooSoon(Duration::from_millis(ms)))),
        Just(Ok(Answer::Reserved)),
        Just(Ok(Answer::Committed(None))),
        Just(Ok(Answer::Lapsed)),
        (0_u32..5, 0_usize..4).prop_map(|(generation, to)| Ok(Answer::Moved {
            to: cluster(["here", "there", "third", "nowhere"][to]),
            generation: Generation(generation),
        })),
        Just(Ok(Answer::Ended)),
        Just(Ok(Answer::Idle)),
        Just(Ok(Answer::Expired)),
        Just(Ok(Answer::Missing)),
        Just(Ok(Answer::Unknown)),
        Just(Ok(Answer::Refused(Refusal::Skew))),
        Just(Ok(Answer::Done)),
        Just(Ok(Answer::NotDurable)),
        Just(Err(Silence::Protocol)),
        Just(Err(Silence::TimedOut)),
        Just(Err(Silence::CircuitOpen)),
    ]
}

fn any_policy() -> impl Strategy<Value = AdoptionPolicy> {
    (0_usize..2, 0_usize..2, 0_usize..2, 0_u32..4, 0_usize..2).prop_map(
        |(anchor, retrieval, silence, retries, missing)| AdoptionPolicy {
            anchor: [Anchor::Anchored, Anchor::Free][anchor],
            retrieval: [Retrieval::Fetch, Retrieval::Off][retrieval],
            hop: Hop::Silent,
            retries,
            attempt_limit: Duration::from_millis(500),
            on_missing: [OnMissing::Challenge, OnMissing::Create][missing],
            on_silence: [OnSilence::Challenge, OnSilence::Continue][silence],
        },
    )
}

proptest! {
    /// Whatever the peers say: the adoption ends by its deadline, never lengthens a lifetime, never
    /// changes who it is, never lets a generation fall, and without anybody's word only where the
    /// operator and the lease allow it (S-3, S-4, S-6, S-7, S-16).
    #[test]
    fn whatever_is_answered_an_adoption_is_bounded_and_honest(
        policy in any_policy(),
        answers in proptest::collection::vec(any_answer(), 1..12),
        creation in prop_oneof![Just(Creation::Allowed), Just(Creation::LeaseOver)],
        at_collector in any::<bool>(),
        pace in 0_u64..300,
    ) {
        let mut case = case(policy);
        case.creation = creation;
        case.candidates.push(cluster("third"));
        if at_collector {
            case.presented.at = Place::Collector;
        }
        let mut script = answers.iter().cycle();
        let mut heard = Vec::new();
        let ran = play(case, Duration::from_millis(pace), &Reread::Unsupported, |_, _| {
            let answer = script.next().unwrap().clone();
            heard.push(answer.clone());
            answer
        });
        prop_assert!(ran.ended_at.since(NOW) <= policy.deadline());
        let mut generation = Generation(0);
        for record in &ran.kept {
            prop_assert_eq!(&record.facts.sso, &facts().sso);
            prop_assert_eq!(&record.facts.subject, &facts().subject);
            prop_assert!(record.facts.expires <= facts().expires);
            let is_stub = matches!(record.state, SessionState::Moved { .. });
            prop_assert!(is_stub || record.facts.generation >= generation);
            generation = record.facts.generation;
        }
        if ran.serves() {
            let committed = heard.iter().any(|answer| matches!(answer, Ok(Answer::Committed(_))));
            let fetched = heard.iter().any(|answer| matches!(answer, Ok(Answer::Session(_))));
            let by_word = match policy.anchor {
                Anchor::Anchored => committed && fetched,
                Anchor::Free => fetched && policy.retrieval == Retrieval::Fetch,
            };
            prop_assert!(by_word || creation == Creation::Allowed);
        }
        if heard.iter().any(|answer| matches!(answer, Ok(Answer::Ended))) {
            prop_assert_eq!(ran.outcome, Outcome::Ended);
        }
    }
}

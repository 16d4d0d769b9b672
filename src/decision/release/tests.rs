//! What a holder answers, rule by rule. What holds whatever order the questions come in is for
//! `tests/decision/release.rs`.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use super::*;
use crate::model::id::ProviderSessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::GroupName;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::peer::Refusal;
use crate::model::session::Attributes;
use crate::model::session::Holder;
use crate::model::session::Release;

const NOW: Timestamp = Timestamp::from_millis(10_000_000);
const IDLE: Duration = Duration::from_mins(30);
const HOLD: Duration = Duration::from_millis(250);
const LAPSE: Duration = Duration::from_secs(10);
const SKEW: Duration = Duration::from_mins(2);

#[test]
fn a_tombstone_answers_every_question_with_ended_s_7_s_14() {
    let answers = [
        fetched(&Known::Ended).answer,
        reserved(&Known::Ended, 1).answer,
        committed(&Known::Ended, 1, 5).answer,
        last_access(&holding(NOW), &Known::Ended, &facts()).answer,
    ];
    assert!(answers.iter().all(|answer| *answer == Answer::Ended));
    let mut session = record();
    session.state = SessionState::Ended;
    let answers = [
        fetched(&known(&session)).answer,
        reserved(&known(&session), 1).answer,
        committed(&known(&session), 1, 5).answer,
        last_access(&holding(NOW), &known(&session), &facts()).answer,
    ];
    assert!(answers.iter().all(|answer| *answer == Answer::Ended));
}

#[test]
fn a_record_of_another_subject_or_store_is_refused_as_mismatched_s_3() {
    let session = record();
    let mut other_subject = facts();
    other_subject.subject = UserName::parse("bob").unwrap();
    let mut other_store = facts();
    other_store.store = StoreName::parse("elsewhere").unwrap();
    for facts in [other_subject, other_store] {
        let known = known(&session);
        let replies = [
            fetch(&holding(NOW), &known, &b(), &facts, id(9)),
            reserve(&holding(NOW), &known, &b(), &asking(&facts, 1, Data::All)),
            last_access(&holding(NOW), &known, &facts),
        ];
        for reply in replies {
            assert_eq!(reply.answer, Answer::Refused(Refusal::Mismatched));
            assert_eq!(reply.change, Change::None);
        }
    }
}

#[test]
fn a_fetched_session_goes_on_being_served_here_mdc_adopt_3() {
    let session = record();
    let reply = fetched(&known(&session));
    let given = given_session(&reply);
    assert_eq!(given.state, SessionState::Live);
    assert_eq!(stored(&reply).state, SessionState::Live);
    assert_eq!(stored(&reply).reserved, None);
}

#[test]
fn whoever_fetches_is_noted_in_the_chain_once_s_20() {
    let session = record();
    let reply = fetched(&known(&session));
    let noted = stored(&reply);
    let alias = Holder {
        cluster: b(),
        session: id(9),
    };
    assert_eq!(noted.aliases.last(), Some(&alias));
    assert_eq!(fetched(&known(&noted)).change, Change::None);
}

#[test]
fn everything_but_the_promise_travels_mdc_adopt_7() {
    let session = record();
    let given = given_session(&reserved(&known(&session), 1));
    assert_eq!(given.facts, session.facts);
    assert_eq!(given.identity, session.identity);
    assert_eq!(given.client_address, session.client_address);
    assert_eq!(given.provider_session, session.provider_session);
    assert_eq!(given.visited, session.visited);
    assert_eq!(given.attributes, Attributes::Known);
    assert_eq!(given.reserved, None);
}

#[test]
fn the_chain_that_travels_names_the_holder_and_not_the_asker_m_012() {
    let mut session = record();
    note(&mut session, &b(), id(9));
    note(&mut session, &c(), id(8));
    let clusters: Vec<ClusterId> = given_session(&fetched(&known(&session)))
        .aliases
        .into_iter()
        .map(|holder| holder.cluster)
        .collect();
    assert_eq!(clusters, [c(), a()]);
}

#[test]
fn the_last_access_that_travels_is_the_newest_and_never_ahead_s_20() {
    let session = record();
    let noted = session.last_access.after(Duration::from_mins(1));
    let with = |last_access| Known::Record {
        session: &session,
        last_access,
    };
    assert_eq!(given_session(&fetched(&with(noted))).last_access, noted);
    let ahead = NOW.after(Duration::from_mins(1));
    assert_eq!(given_session(&fetched(&with(ahead))).last_access, NOW);
    let older = session.last_access.before(Duration::from_mins(1));
    assert_eq!(
        given_session(&fetched(&with(older))).last_access,
        session.last_access
    );
}

#[test]
fn the_earlier_of_two_expiries_travels_and_is_kept_s_3() {
    let session = record();
    let mut facts = facts();
    facts.expires = NOW.after(Duration::from_millis(1));
    let ask = |facts: &SsoFacts| fetch(&holding(NOW), &known(&session), &b(), facts, id(9));
    assert_eq!(
        given_session(&ask(&facts)).facts.expires,
        NOW.after(Duration::from_millis(1))
    );
    facts.expires = NOW;
    assert_eq!(ask(&facts).answer, Answer::Expired);
    facts.expires = session.facts.expires.after(Duration::from_hours(1));
    assert_eq!(
        given_session(&ask(&facts)).facts.expires,
        session.facts.expires
    );
}

#[test]
fn an_idle_session_is_neither_fetched_nor_reserved_a6_row_9() {
    let mut session = record();
    session.last_access = NOW.before(IDLE);
    assert_eq!(fetched(&known(&session)).answer, Answer::Idle);
    assert_eq!(reserved(&known(&session), 1).answer, Answer::Idle);
    session.last_access = NOW.before(IDLE).after(Duration::from_millis(1));
    given_session(&fetched(&known(&session)));
}

#[test]
fn a_stub_names_the_next_holder_and_its_generation_s_2() {
    let mut session = record();
    session.state = SessionState::Moved {
        to: c(),
        generation: Generation(7),
        adoption: None,
    };
    let moved = Answer::Moved {
        to: c(),
        generation: Generation(7),
    };
    assert_eq!(fetched(&known(&session)).answer, moved);
    assert_eq!(reserved(&known(&session), 1).answer, moved);
}

#[test]
fn a_pending_copy_is_not_given_away_and_is_no_silence_s_6_s_8() {
    let mut session = record();
    session.state = pending(3);
    assert_eq!(fetched(&known(&session)).answer, Answer::Reserved);
    assert_eq!(reserved(&known(&session), 1).answer, Answer::Reserved);
    assert_eq!(committed(&known(&session), 1, 9).answer, Answer::Lapsed);
}

#[test]
fn no_such_session_is_said_only_where_it_would_be_known_s_19() {
    let mut holding = holding(NOW);
    let authenticated = facts().first_authenticated;
    let ask = |holding: &Holding<'_>| fetch(holding, &Known::Absent, &b(), &facts(), id(9)).answer;
    holding.remembers_since = authenticated.before(SKEW).before(Duration::from_millis(1));
    assert_eq!(ask(&holding), Answer::Missing);
    // The clock that wrote the beginning may have been ahead by as much.
    holding.remembers_since = authenticated.before(SKEW);
    assert_eq!(ask(&holding), Answer::Unknown);
    holding.remembers_since = NOW;
    let absent = Known::Absent;
    let replies = [
        reserve(&holding, &absent, &b(), &asking(&facts(), 1, Data::All)),
        last_access(&holding, &absent, &facts()),
    ];
    assert!(replies.iter().all(|reply| reply.answer == Answer::Unknown));
}

#[test]
fn a_record_that_the_asker_has_seen_outranked_is_not_given_away_s_4() {
    let session = record();
    let mut facts = facts();
    facts.generation = session.facts.generation.next();
    let known = known(&session);
    let replies = [
        fetch(&holding(NOW), &known, &b(), &facts, id(9)),
        reserve(&holding(NOW), &known, &b(), &asking(&facts, 1, Data::All)),
    ];
    for reply in replies {
        assert_eq!(reply.answer, Answer::Unknown);
        assert_eq!(reply.change, Change::None);
    }
    facts.generation = Generation(0);
    given_session(&fetch(&holding(NOW), &known, &b(), &facts, id(9)));
}

#[test]
fn a_session_that_has_just_arrived_is_kept_for_a_while_s_9() {
    let mut session = record();
    session.held_since = NOW.before(Duration::from_millis(100));
    let reply = reserved(&known(&session), 1);
    assert_eq!(reply.answer, Answer::TooSoon(Duration::from_millis(150)));
    assert_eq!(reply.change, Change::None);
    session.held_since = NOW.before(HOLD);
    given_session(&reserved(&known(&session), 1));
    session.held_since = NOW.after(Duration::from_mins(1));
    given_session(&reserved(&known(&session), 1));
    session.held_since = NOW;
    given_session(&fetched(&known(&session)));
}

#[test]
fn a_promise_is_stored_and_the_holder_serves_on_s_6() {
    let session = record();
    let reply = reserved(&known(&session), 1);
    let promised = stored(&reply);
    assert_eq!(promised.state, SessionState::Live);
    assert_eq!(
        promised.reserved,
        Some(Reservation {
            adoption: adoption(1),
            by: b(),
            until: NOW.after(LAPSE),
            version: session.version + 1,
            data: Data::All,
        })
    );
    assert_eq!(given_session(&reply).version, promised.version + 1);
}

#[test]
fn a_promise_asked_for_twice_is_made_once_and_not_prolonged_s_6_x_19() {
    let first = reserved(&known(&record()), 1);
    let promised = after(&first);
    let later = NOW.after(Duration::from_secs(3));
    let again = reserve(
        &holding(later),
        &known(&promised),
        &b(),
        &asking(&facts(), 1, Data::All),
    );
    assert_eq!(again.change, Change::None);
    assert_eq!(again.answer, first.answer);
}

#[test]
fn a_promise_keeps_other_adoptions_waiting_until_it_lapses_s_6_s_8() {
    let promised = after(&reserved(&known(&record()), 1));
    let ask = |now, from: &ClusterId, number| {
        let facts = facts();
        let question = asking(&facts, number, Data::All);
        reserve(&holding(now), &known(&promised), from, &question)
    };
    let last = NOW.after(LAPSE).before(Duration::from_millis(1));
    assert_eq!(ask(last, &c(), 2).answer, Answer::Reserved);
    assert_eq!(ask(last, &b(), 2).answer, Answer::Reserved);
    assert_eq!(ask(last, &c(), 1).answer, Answer::Reserved);
    let reply = ask(NOW.after(LAPSE), &c(), 2);
    given_session(&reply);
    assert_eq!(stored(&reply).reserved.map(|promise| promise.by), Some(c()));
}

#[test]
fn the_late_copy_of_a_question_does_not_renew_a_lapsed_promise_s_6() {
    let promised = after(&reserved(&known(&record()), 1));
    let late = reserve(
        &holding(NOW.after(LAPSE)),
        &known(&promised),
        &b(),
        &asking(&facts(), 1, Data::All),
    );
    assert_eq!(late.answer, Answer::Lapsed);
    assert_eq!(late.change, Change::None);
}

#[test]
fn a_promise_from_before_the_clock_was_set_back_keeps_nobody_waiting_s_6() {
    let promised = after(&reserved(&known(&record()), 1));
    let before = NOW.before(Duration::from_mins(1));
    let reply = reserve(
        &holding(before),
        &known(&promised),
        &c(),
        &asking(&facts(), 2, Data::All),
    );
    given_session(&reply);
}

#[test]
fn a_reservation_without_data_carries_no_attributes_m_061_s_10() {
    let session = record();
    let question_facts = facts();
    let question = asking(&question_facts, 1, Data::None);
    let reply = reserve(&holding(NOW), &known(&session), &b(), &question);
    let given = given_session(&reply);
    assert_bare(&given);
    assert_eq!(given.facts, session.facts);
    assert_eq!(stored(&reply).identity, session.identity);
    let mut changed = after(&reply);
    changed.version += 1;
    assert_bare(&newer(&committed(&known(&changed), 1, 5)).unwrap());
}

#[test]
fn a_commit_makes_the_record_a_stub_that_names_the_asker_s_6_mdc_adopt_2() {
    let promised = after(&reserved(&known(&record()), 1));
    let reply = committed(&known(&promised), 1, 5);
    assert_eq!(reply.answer, Answer::Committed(None));
    let stub = stored(&reply);
    assert_eq!(
        stub.state,
        SessionState::Moved {
            to: b(),
            generation: Generation(5),
            adoption: Some(adoption(1)),
        }
    );
    assert_eq!(stub.last_access, promised.last_access);
    assert!(is_noted(&stub, &b(), id(9)));
}

#[test]
fn a_commit_brings_the_newer_record_where_it_changed_meanwhile_s_6() {
    let mut promised = after(&reserved(&known(&record()), 1));
    promised.version += 1;
    promised.visited.push(HostName::parse("new.test").unwrap());
    let reply = committed(&known(&promised), 1, 5);
    assert_eq!(newer(&reply).unwrap().visited, promised.visited);
}

#[test]
fn a_request_between_promise_and_commit_is_not_lost_s_4_r5() {
    let promised = after(&reserved(&known(&record()), 1));
    let access = promised.last_access.after(Duration::from_secs(1));
    let touched = Known::Record {
        session: &promised,
        last_access: access,
    };
    let reply = committed(&touched, 1, 5);
    assert_eq!(newer(&reply).unwrap().last_access, access);
    assert_eq!(stored(&reply).last_access, access);
}

#[test]
fn a_commit_asked_again_is_answered_again_with_the_record_and_changes_nothing_s_6_x_19() {
    let promised = after(&reserved(&known(&record()), 1));
    let stub = after(&committed(&known(&promised), 1, 5));
    let again = committed(&known(&stub), 1, 5);
    assert_eq!(again.change, Change::None);
    let given = newer(&again).unwrap();
    assert_eq!(given.state, SessionState::Live);
    assert_eq!(given.identity, promised.identity);
    assert_eq!(given.facts, promised.facts);
}

#[test]
fn a_stub_commits_to_no_other_adoption_s_6() {
    let promised = after(&reserved(&known(&record()), 1));
    let stub = after(&committed(&known(&promised), 1, 5));
    let ask = |from: &ClusterId, number, generation| {
        let question = commit_of(&promised, number, generation);
        commit(&holding(NOW), &known(&stub), from, &question)
    };
    for reply in [ask(&b(), 2, 5), ask(&c(), 1, 5), ask(&b(), 1, 6)] {
        assert_eq!(reply.answer, Answer::Lapsed);
        assert_eq!(reply.change, Change::None);
    }
}

#[test]
fn a_commit_counts_only_for_the_promise_it_names_s_6() {
    let promised = after(&reserved(&known(&record()), 1));
    let own = promised.facts.generation;
    let ask = |now, from: &ClusterId, question: Commit| {
        let reply = commit(&holding(now), &known(&promised), from, &question);
        assert_eq!(reply.change, Change::None);
        reply.answer
    };
    let good = commit_of(&promised, 1, 5);
    assert_eq!(ask(NOW.after(LAPSE), &b(), good), Answer::Lapsed);
    assert_eq!(ask(NOW, &c(), good), Answer::Lapsed);
    assert_eq!(ask(NOW, &b(), commit_of(&promised, 2, 5)), Answer::Lapsed);
    let same_generation = Commit {
        generation: own,
        ..good
    };
    assert_eq!(ask(NOW, &b(), same_generation), Answer::Lapsed);
    let older = Commit {
        version: promised.version - 1,
        ..good
    };
    assert_eq!(ask(NOW, &b(), older), Answer::Lapsed);
    assert_eq!(committed(&Known::Absent, 1, 5).answer, Answer::Lapsed);
    assert_eq!(committed(&known(&record()), 1, 5).answer, Answer::Lapsed);
}

#[test]
fn a_late_commit_does_not_take_what_a_late_question_reserved_again_s_6() {
    let first = after(&reserved(&known(&record()), 1));
    let late_commit = commit_of(&first, 1, 5);
    let time = NOW.after(LAPSE);
    let (facts, other) = (facts(), asking_of(2));
    let second = after(&reserve(
        &holding(time),
        &known(&first),
        &c(),
        &other(&facts),
    ));
    let time = time.after(LAPSE);
    let again = asking(&facts, 1, Data::All);
    let third = after(&reserve(&holding(time), &known(&second), &b(), &again));
    let reply = commit(&holding(time), &known(&third), &b(), &late_commit);
    assert_eq!(reply.answer, Answer::Lapsed);
    assert_eq!(reply.change, Change::None);
}

#[test]
fn an_aborted_promise_lets_others_go_ahead_and_is_not_made_again_s_6() {
    let promised = after(&reserved(&known(&record()), 1));
    let reply = abort(&holding(NOW), &known(&promised), &b(), adoption(1));
    assert_eq!(reply.answer, Answer::Done);
    let aborted = after(&reply);
    assert_eq!(aborted.state, SessionState::Live);
    assert_eq!(reserved(&known(&aborted), 1).answer, Answer::Lapsed);
    assert_eq!(committed(&known(&aborted), 1, 5).answer, Answer::Lapsed);
    given_session(&reserved(&known(&aborted), 2));
    let again = abort(&holding(NOW), &known(&aborted), &b(), adoption(1));
    assert_eq!(again.change, Change::None);
}

#[test]
fn an_abort_that_overtakes_its_question_counts_s_6() {
    let aborted = after(&abort(&holding(NOW), &known(&record()), &b(), adoption(1)));
    assert_eq!(reserved(&known(&aborted), 1).answer, Answer::Lapsed);
    given_session(&reserved(&known(&aborted), 2));
}

#[test]
fn an_abort_leaves_the_promises_of_others_and_stubs_alone_s_6() {
    let promised = after(&reserved(&known(&record()), 1));
    let stub = after(&committed(&known(&promised), 1, 5));
    let replies = [
        abort(&holding(NOW), &known(&promised), &c(), adoption(1)),
        abort(&holding(NOW), &known(&promised), &b(), adoption(2)),
        abort(&holding(NOW), &known(&stub), &b(), adoption(1)),
        abort(&holding(NOW), &Known::Absent, &b(), adoption(1)),
        abort(&holding(NOW), &Known::Ended, &b(), adoption(1)),
    ];
    for reply in replies {
        assert_eq!(reply.answer, Answer::Done);
        assert_eq!(reply.change, Change::None);
    }
}

#[test]
fn whoever_served_a_session_says_when_s_20() {
    let mut session = record();
    let noted = session.last_access.after(Duration::from_secs(5));
    let states = [
        SessionState::Live,
        pending(3),
        SessionState::Moved {
            to: c(),
            generation: Generation(9),
            adoption: None,
        },
    ];
    for state in states {
        session.state = state;
        let known = Known::Record {
            session: &session,
            last_access: noted,
        };
        let reply = last_access(&holding(NOW), &known, &facts());
        assert_eq!(reply.answer, Answer::LastAccess(noted));
        assert_eq!(reply.change, Change::None);
    }
    let over = holding(session.facts.expires);
    assert_eq!(
        last_access(&over, &known(&session), &facts()).answer,
        Answer::Expired
    );
}

#[test]
fn a_live_record_becomes_a_stub_only_of_a_higher_holder_s_4_s_14() {
    let session = after(&reserved(&known(&record()), 1));
    let own = session.facts.generation;
    let stays = [
        rank("a", own.next()),
        rank("Z", own),
        rank("c", Generation(0)),
    ];
    for holder in stays {
        assert_eq!(moved(&a(), &known(&session), &holder), Change::None);
    }
    for holder in [rank("b", own), rank("Z", own.next())] {
        let stub = stub_of(moved(&a(), &known(&session), &holder));
        let expected = SessionState::Moved {
            to: holder.cluster,
            generation: holder.generation,
            adoption: None,
        };
        assert_eq!(stub.state, expected);
        assert_eq!(stub.reserved, None);
        assert_eq!(committed(&known(&stub), 1, 9).answer, Answer::Lapsed);
    }
}

#[test]
fn a_stub_follows_a_higher_holder_only_s_4_s_14() {
    let mut session = record();
    session.state = SessionState::Moved {
        to: b(),
        generation: Generation(7),
        adoption: Some(adoption(1)),
    };
    for holder in [rank("b", Generation(7)), rank("z", Generation(6))] {
        assert_eq!(moved(&a(), &known(&session), &holder), Change::None);
    }
    let stub = stub_of(moved(&a(), &known(&session), &rank("c", Generation(7))));
    assert!(matches!(stub.state, SessionState::Moved { to, .. } if to == c()));
}

#[test]
fn a_pending_copy_ranks_by_what_it_will_hold_s_4_s_6() {
    let mut session = record();
    session.state = pending(3);
    let own_name = ClusterId::parse("m").unwrap();
    for holder in [rank("b", Generation(4)), rank("z", Generation(3))] {
        assert_eq!(moved(&own_name, &known(&session), &holder), Change::None);
    }
    for holder in [rank("z", Generation(4)), rank("b", Generation(5))] {
        stub_of(moved(&own_name, &known(&session), &holder));
    }
}

#[test]
fn a_move_revives_nothing_s_14() {
    let holder = rank("z", Generation(9));
    assert_eq!(moved(&a(), &Known::Absent, &holder), Change::None);
    assert_eq!(moved(&a(), &Known::Ended, &holder), Change::None);
    let mut session = record();
    session.state = SessionState::Ended;
    assert_eq!(moved(&a(), &known(&session), &holder), Change::None);
}

#[test]
fn a_stub_keeps_the_newest_access_that_was_noted_s_4() {
    let session = record();
    let noted = session.last_access.after(Duration::from_secs(5));
    let known = Known::Record {
        session: &session,
        last_access: noted,
    };
    let stub = stub_of(moved(&a(), &known, &rank("z", Generation(9))));
    assert_eq!(stub.last_access, noted);
}

fn a() -> ClusterId {
    ClusterId::parse("a").unwrap()
}

fn b() -> ClusterId {
    ClusterId::parse("b").unwrap()
}

fn c() -> ClusterId {
    ClusterId::parse("c").unwrap()
}

fn id(number: u8) -> SessionId {
    SessionId::from_bytes([number; 16])
}

fn adoption(number: u8) -> AdoptionId {
    AdoptionId::from_bytes([number; 16])
}

fn rank(cluster: &str, generation: Generation) -> Rank {
    Rank {
        generation,
        cluster: ClusterId::parse(cluster).unwrap(),
    }
}

fn pending(generation: u32) -> SessionState {
    SessionState::Pending(Release {
        adoption: adoption(7),
        from: c(),
        generation: Generation(generation),
        version: 1,
    })
}

fn facts() -> SsoFacts {
    SsoFacts {
        sso: SsoId::from_bytes([1; 16]),
        subject: UserName::parse("alice").unwrap(),
        store: StoreName::parse("local").unwrap(),
        first_authenticated: NOW.before(Duration::from_mins(10)),
        expires: NOW.after(Duration::from_hours(8)),
        generation: Generation(3),
        level: AuthLevel::new(10).unwrap(),
        level_reached: NOW.before(Duration::from_mins(10)),
    }
}

fn record() -> Session {
    let facts = facts();
    Session {
        id: id(1),
        state: SessionState::Live,
        identity: Identity {
            store: facts.store.clone(),
            subject: facts.subject.clone(),
            name: Some("Alice".to_owned()),
            email: Some("alice@example.test".to_owned()),
            groups: vec![GroupName::parse("staff").unwrap()],
            attributes: Default::default(),
        },
        facts,
        last_access: NOW.before(Duration::from_mins(2)),
        client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        held_since: NOW.before(Duration::from_mins(10)),
        reserved: None,
        provider_session: Some(ProviderSessionId::of("issuer", "sid")),
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: vec![HostName::parse("app.test").unwrap()],
        version: 4,
    }
}

fn holding(now: Timestamp) -> Holding<'static> {
    static OWN: std::sync::LazyLock<ClusterId> = std::sync::LazyLock::new(a);
    Holding {
        own: &OWN,
        now,
        idle_timeout: IDLE,
        min_hold: HOLD,
        lapse: LAPSE,
        hard_skew: SKEW,
        remembers_since: Timestamp::from_millis(0),
    }
}

const fn known(session: &Session) -> Known<'_> {
    Known::Record {
        session,
        last_access: session.last_access,
    }
}

fn asking(facts: &SsoFacts, number: u8, data: Data) -> Reserve<'_> {
    Reserve {
        facts,
        adoption: adoption(number),
        data,
    }
}

fn asking_of(number: u8) -> impl Fn(&SsoFacts) -> Reserve<'_> {
    move |facts| asking(facts, number, Data::All)
}

fn fetched(known: &Known<'_>) -> Reply {
    fetch(&holding(NOW), known, &b(), &facts(), id(9))
}

fn reserved(known: &Known<'_>, number: u8) -> Reply {
    let facts = facts();
    reserve(
        &holding(NOW),
        known,
        &b(),
        &asking(&facts, number, Data::All),
    )
}

/// The commit of whoever read the first promise that [`record`] gives.
fn committed(standing: &Known<'_>, number: u8, generation: u32) -> Reply {
    let read = after(&reserved(&known(&record()), number));
    let question = commit_of(&read, number, generation);
    commit(&holding(NOW), standing, &b(), &question)
}

fn commit_of(read: &Session, number: u8, generation: u32) -> Commit {
    Commit {
        adoption: adoption(number),
        version: read.version,
        generation: Generation(generation),
        session: id(9),
    }
}

fn given_session(reply: &Reply) -> Session {
    let Answer::Session(session) = &reply.answer else {
        panic!("no session was given but {:?}", reply.answer);
    };
    Session::clone(session)
}

fn newer(reply: &Reply) -> Option<Session> {
    let Answer::Committed(newer) = &reply.answer else {
        panic!("nothing was committed but {:?}", reply.answer);
    };
    newer.as_deref().cloned()
}

/// What is handed to the store.
fn stored(reply: &Reply) -> Session {
    stub_of(reply.change.clone())
}

/// What stands once the change is stored.
fn after(reply: &Reply) -> Session {
    let mut session = stored(reply);
    session.version += 1;
    session
}

fn stub_of(change: Change) -> Session {
    match change {
        Change::Replace(session) => *session,
        Change::None => panic!("nothing was changed"),
    }
}

fn assert_bare(session: &Session) {
    let identity = &session.identity;
    assert_eq!(session.attributes, Attributes::Unknown);
    assert!(identity.groups.is_empty() && identity.name.is_none() && identity.email.is_none());
}

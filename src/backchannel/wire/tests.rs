//! What survives the way over the wire, and what does not pass.

use std::net::IpAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::attribute::Attribute;
use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::model::end::End;
use crate::model::end::Incarnation;
use crate::model::end::Position;
use crate::model::id::AdoptionId;
use crate::model::id::KeyId;
use crate::model::id::ProviderSessionId;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::AttributeName;
use crate::model::name::ClusterId;
use crate::model::name::GroupName;
use crate::model::name::HostName;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::peer::Answer;
use crate::model::peer::Data;
use crate::model::peer::ENDS_MAX;
use crate::model::peer::Greeting;
use crate::model::peer::Question;
use crate::model::peer::Refusal;
use crate::model::peer::Rest;
use crate::model::session::Attributes;
use crate::model::session::EndCause;
use crate::model::session::Generation;
use crate::model::session::Holder;
use crate::model::session::Rank;
use crate::model::session::Release;
use crate::model::session::Reservation;
use crate::model::session::Session;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;

mod carrying_tests;

/// None of them manages another data centre.
#[test]
fn data_centres_have_words_for_sessions_and_their_ends_only_mdc_sec_6() {
    let words = [
        "Abort",
        "Commit",
        "Fetch",
        "Hello",
        "LastAccess",
        "PullEnds",
        "PushEnds",
        "Reserve",
    ];
    assert_eq!(Question::VERBS, words);
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn cluster() -> impl Strategy<Value = ClusterId> {
    "[a-z][a-z0-9.-]{0,15}".prop_map(|name| ClusterId::parse(&name).unwrap())
}

fn store() -> impl Strategy<Value = StoreName> {
    "[a-z]{1,32}".prop_map(|name| StoreName::parse(&name).unwrap())
}

fn user() -> impl Strategy<Value = UserName> {
    "[a-zà-ý @.]{1,40}".prop_map(|name| UserName::parse(&name).unwrap())
}

fn host() -> impl Strategy<Value = HostName> {
    "[a-z]{1,20}\\.test".prop_map(|name| HostName::parse(&name).unwrap())
}

fn sso() -> impl Strategy<Value = SsoId> {
    any::<[u8; 16]>().prop_map(SsoId::from_bytes)
}

fn session_id() -> impl Strategy<Value = SessionId> {
    any::<[u8; 16]>().prop_map(SessionId::from_bytes)
}

fn adoption() -> impl Strategy<Value = AdoptionId> {
    any::<[u8; 16]>().prop_map(AdoptionId::from_bytes)
}

fn generation() -> impl Strategy<Value = Generation> {
    any::<u32>().prop_map(Generation)
}

fn provider_session() -> impl Strategy<Value = ProviderSessionId> {
    any::<(String, String)>().prop_map(|(issuer, sid)| ProviderSessionId::of(&issuer, &sid))
}

fn facts() -> impl Strategy<Value = SsoFacts> {
    let names = (sso(), user(), store());
    let numbers = (time(), time(), generation(), 0_u8..=99, time());
    (names, numbers).prop_map(
        |((sso, subject, store), (first, expires, generation, level, reached))| SsoFacts {
            sso,
            subject,
            store,
            first_authenticated: first,
            expires,
            generation,
            level: AuthLevel::new(level).unwrap(),
            level_reached: reached,
        },
    )
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![Just(Data::All), Just(Data::None)]
}

fn state() -> impl Strategy<Value = SessionState> {
    let moved = (cluster(), generation(), proptest::option::of(adoption()));
    let pending = (adoption(), cluster(), generation(), any::<u64>());
    prop_oneof![
        Just(SessionState::Ended),
        Just(SessionState::Live),
        moved.prop_map(|(to, generation, adoption)| SessionState::Moved {
            to,
            generation,
            adoption
        }),
        pending.prop_map(|(adoption, from, generation, version)| {
            SessionState::Pending(Release {
                adoption,
                from,
                generation,
                version,
            })
        }),
    ]
}

fn identity() -> impl Strategy<Value = Identity> {
    let group = "[a-z ]{1,30}".prop_map(|name| GroupName::parse(&name).unwrap());
    let groups = proptest::collection::vec(group, 0..20);
    let text = || proptest::option::of(".{0,40}");
    (store(), user(), text(), text(), groups, attribute_set()).prop_map(
        |(store, subject, name, email, groups, extra)| Identity {
            store,
            subject,
            name,
            email,
            groups,
            attributes: extra,
        },
    )
}

fn attribute_set() -> impl Strategy<Value = AttributeSet> {
    let text = || "[^\\pC]{0,20}".prop_map(String::into_boxed_str);
    let value = prop_oneof![
        text().prop_map(AttributeValue::Text),
        proptest::collection::vec(text(), 0..4)
            .prop_map(|texts| AttributeValue::List(texts.into())),
    ];
    proptest::collection::btree_map("[a-z._-]{1,12}", value, 0..4).prop_map(|attributes| {
        let attributes = attributes.into_iter().map(|(name, value)| Attribute {
            name: AttributeName::parse(&name).unwrap(),
            value,
        });
        AttributeSet::new(attributes.collect()).unwrap()
    })
}

fn session() -> impl Strategy<Value = Session> {
    let holder =
        (cluster(), session_id()).prop_map(|(cluster, session)| Holder { cluster, session });
    let aliases = proptest::collection::vec(holder, 0..4);
    let visited = proptest::collection::vec(host(), 0..4);
    let reserved = (adoption(), cluster(), time(), any::<u64>(), data());
    let reserved = reserved.prop_map(|(adoption, by, until, version, data)| Reservation {
        adoption,
        by,
        until,
        version,
        data,
    });
    let core = (
        session_id(),
        facts(),
        state(),
        identity(),
        any::<IpAddr>(),
        time(),
        any::<u64>(),
    );
    let rest = (
        time(),
        proptest::option::of(reserved),
        proptest::option::of(provider_session()),
        prop_oneof![Just(Attributes::Known), Just(Attributes::Unknown)],
        proptest::option::of(attribute_set()),
    );
    (core, rest, aliases, visited).prop_map(|(core, rest, aliases, visited)| {
        let (id, facts, state, identity, client_address, last_access, version) = core;
        let (held_since, reserved, provider_session, attributes, noted) = rest;
        Session {
            id,
            facts,
            state,
            identity,
            last_access,
            client_address,
            held_since,
            reserved,
            provider_session,
            attributes,
            noted,
            aliases,
            visited,
            version,
        }
    })
}

fn end() -> impl Strategy<Value = End> {
    let cause = prop_oneof![
        Just(EndCause::Disabled),
        Just(EndCause::Evicted),
        Just(EndCause::Killed),
        Just(EndCause::LoggedOut),
        Just(EndCause::Replaced),
    ];
    prop_oneof![
        (sso(), cause, time()).prop_map(|(sso, cause, expires)| End::Tombstone {
            sso,
            cause,
            expires
        }),
        (sso(), generation(), cluster(), time()).prop_map(|(sso, generation, cluster, expires)| {
            let holder = Rank {
                generation,
                cluster,
            };
            End::Moved {
                sso,
                holder,
                expires,
            }
        }),
        (store(), user(), time(), time()).prop_map(|(store, subject, before, expires)| {
            End::UserCutOff {
                store,
                subject,
                authenticated_before: before,
                expires,
            }
        }),
        (provider_session(), time())
            .prop_map(|(session, expires)| End::ProviderCutOff { session, expires }),
    ]
}

fn greeting() -> impl Strategy<Value = Greeting> {
    let keys = proptest::collection::vec(any::<u32>().prop_map(KeyId), 0..6);
    let stores = proptest::collection::vec(store(), 0..6);
    let who = (cluster(), any::<[u8; 16]>(), "[0-9.]{1,12}", time());
    (who, keys, stores).prop_map(
        |((cluster, incarnation, version, now), keys, stores)| Greeting {
            cluster,
            incarnation: Incarnation(incarnation),
            version,
            now,
            seals: keys.first().copied(),
            keys,
            stores,
        },
    )
}

fn question() -> impl Strategy<Value = Question> {
    let commit = (sso(), adoption(), any::<u64>(), generation(), session_id());
    prop_oneof![
        greeting().prop_map(Question::Hello),
        (facts(), session_id()).prop_map(|(facts, session)| Question::Fetch { facts, session }),
        (facts(), adoption(), data()).prop_map(|(facts, adoption, data)| Question::Reserve {
            facts,
            adoption,
            data
        }),
        commit.prop_map(
            |(sso, adoption, version, generation, session)| Question::Commit {
                sso,
                adoption,
                version,
                generation,
                session,
            }
        ),
        (sso(), adoption()).prop_map(|(sso, adoption)| Question::Abort { sso, adoption }),
        facts().prop_map(|facts| Question::LastAccess { facts }),
        proptest::collection::vec(end(), 0..8).prop_map(|ends| Question::PushEnds { ends }),
        (any::<[u8; 16]>(), any::<u64>()).prop_map(|(incarnation, after)| Question::PullEnds {
            incarnation: Incarnation(incarnation),
            after: Position(after),
        }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let refusal = prop_oneof![
        Just(Refusal::Mismatched),
        Just(Refusal::NotPermitted),
        Just(Refusal::Skew),
        Just(Refusal::UnknownStore),
    ];
    let entry = (any::<u64>().prop_map(Position), end());
    let rest = prop_oneof![Just(Rest::Complete), Just(Rest::More)];
    let ends = (
        any::<[u8; 16]>(),
        proptest::collection::vec(entry, 0..8),
        rest,
    );
    prop_oneof![
        greeting().prop_map(Answer::Hello),
        session().prop_map(|session| Answer::Session(Box::new(session))),
        (0_u64..3_600_000).prop_map(|ms| Answer::TooSoon(Duration::from_millis(ms))),
        proptest::option::of(session().prop_map(Box::new)).prop_map(Answer::Committed),
        (cluster(), generation()).prop_map(|(to, generation)| Answer::Moved { to, generation }),
        refusal.prop_map(Answer::Refused),
        time().prop_map(Answer::LastAccess),
        proptest::collection::vec(host(), 0..8).prop_map(|visited| Answer::Noted { visited }),
        ends.prop_map(|(incarnation, ends, rest)| Answer::Ends {
            incarnation: Incarnation(incarnation),
            ends,
            rest,
        }),
        prop_oneof![
            Just(Answer::Reserved),
            Just(Answer::Lapsed),
            Just(Answer::Ended),
            Just(Answer::Idle),
            Just(Answer::Expired),
            Just(Answer::Missing),
            Just(Answer::Unknown),
            Just(Answer::NotDurable),
            Just(Answer::Done),
        ],
    ]
}

fn head() -> Letterhead {
    let engine = |name| NodeName::Engine(ClusterId::parse(name).unwrap());
    Letterhead {
        from: engine("ny"),
        to: engine("london"),
        sent: Timestamp::from_millis(1_000),
        valid_until: Timestamp::from_millis(2_000),
    }
}

/// The verb of a message, as a later release would look for it.
fn verb(bytes: &[u8]) -> String {
    let body: BodyIn<Verb> = read(bytes).unwrap();
    body.body.0
}

proptest! {
    #[test]
    fn every_question_arrives_as_it_was_asked(asked in question()) {
        let bytes = enclose(&head(), &asked).unwrap();
        prop_assert_eq!(letterhead(&bytes).unwrap(), head());
        prop_assert_eq!(body::<Question>(&bytes).unwrap(), asked);
        let verb = verb(&bytes);
        prop_assert!(Question::VERBS.contains(&verb.as_str()), "{verb}");
    }

    #[test]
    fn every_answer_arrives_as_it_was_given(given in answer()) {
        let bytes = enclose(&head(), &given).unwrap();
        prop_assert_eq!(body::<Answer>(&bytes).unwrap(), given);
        let verb = verb(&bytes);
        prop_assert!(Answer::VERBS.contains(&verb.as_str()), "{verb}");
    }

    /// Whatever happens to bytes on their way, reading them ends in a message or an error.
    #[test]
    fn changed_bytes_never_panic(
        asked in question(),
        given in answer(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        for mut bytes in [enclose(&head(), &asked).unwrap(), enclose(&head(), &given).unwrap()] {
            for (place, byte) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
            bytes.truncate(cut.index(bytes.len()) + 1);
            read_all(&bytes);
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        read_all(&bytes);
    }

    #[test]
    fn the_opening_and_its_proof_arrive_as_they_were_said(
        nonce in proptest::option::of(any::<[u8; PROOF_BYTES]>()),
        proof in any::<[u8; PROOF_BYTES]>(),
    ) {
        let Letterhead { from, to, .. } = head();
        let said = Opening { from, to, nonce };
        let bytes = said.enclose().unwrap();
        prop_assert_eq!(Opening::read(&bytes).unwrap(), said);
        let bytes = enclose_proof(proof).unwrap();
        prop_assert_eq!(read_proof(&bytes).unwrap(), proof);
    }
}

fn read_all(bytes: &[u8]) {
    letterhead(bytes).ok();
    body::<Question>(bytes).ok();
    body::<Answer>(bytes).ok();
    Opening::read(bytes).ok();
    read_proof(bytes).ok();
    read_code(bytes);
}

/// An envelope with any body, and any further fields.
#[derive(Serialize)]
struct Later<B> {
    version: u16,
    priority: &'static str,
    from: String,
    to: String,
    sent: u64,
    valid_until: u64,
    body: B,
    trace: Vec<(u8, &'static str)>,
}

fn later<B: Serialize>(version: u16, body: B) -> Vec<u8> {
    write(&Later {
        version,
        priority: "high",
        from: "portway://ny".to_owned(),
        to: "portway://london".to_owned(),
        sent: 1,
        valid_until: 2,
        body,
        trace: vec![(1, "a"), (2, "b")],
    })
    .unwrap()
}

#[derive(Serialize)]
enum LaterQuestion {
    Abort {
        sso: SsoId,
        adoption: AdoptionId,
        reason: &'static str,
    },
    Abjure,
    Transfer {
        sso: SsoId,
    },
}

#[test]
fn a_field_of_a_later_release_is_passed_over() {
    let (sso, adoption) = (SsoId::from_bytes([1; 16]), AdoptionId::from_bytes([2; 16]));
    let bytes = later(
        1,
        LaterQuestion::Abort {
            sso,
            adoption,
            reason: "why not",
        },
    );
    assert_eq!(letterhead(&bytes).unwrap().from, head().from);
    assert_eq!(body(&bytes), Ok(Question::Abort { sso, adoption }));
}

#[test]
fn a_verb_of_a_later_release_is_told_apart_from_nonsense() {
    let sso = SsoId::from_bytes([1; 16]);
    let unknown = |verb: &str| Err::<Question, _>(WireError::UnknownVerb(verb.to_owned()));
    assert_eq!(
        body(&later(1, LaterQuestion::Transfer { sso })),
        unknown("Transfer")
    );
    assert_eq!(body(&later(1, LaterQuestion::Abjure)), unknown("Abjure"));
    let malformed = [
        later(1, 7),
        later(1, "Hello"),
        later(1, [("Fetch", 1)]),
        vec![0xa0],
        vec![],
    ];
    for bytes in malformed {
        let read = body::<Question>(&bytes);
        assert!(matches!(read, Err(WireError::Malformed(_))), "{read:?}");
    }
}

#[test]
fn another_version_is_not_guessed_at() {
    assert_eq!(letterhead(&later(2, 1)), Err(WireError::Version(2)));
}

#[test]
fn bytes_behind_a_message_are_refused() {
    let mut bytes = enclose(&head(), &Answer::Done).unwrap();
    bytes.push(0);
    assert!(body::<Answer>(&bytes).is_err());
    assert!(letterhead(&bytes).is_err());
}

#[test]
fn nesting_beyond_anything_honest_is_refused() {
    let mut bytes = vec![0x81; 100_000];
    bytes.push(0);
    assert!(letterhead(&bytes).is_err());
    // A map of one known key whose value is nested: passed over as unknown, but not at any depth.
    let mut deep = b"\xa1\x61x".to_vec();
    deep.extend(bytes);
    read_all(&deep);
    assert!(letterhead(&deep).is_err());
}

#[test]
fn what_a_header_announces_is_not_reserved() {
    // A text and an array of 2^60 each.
    for kind in [0x7b, 0x9b, 0x5b, 0xbb] {
        let mut bytes = b"\xa1\x64body".to_vec();
        bytes.extend([kind, 0x10, 0, 0, 0, 0, 0, 0, 0]);
        read_all(&bytes);
        assert!(body::<Question>(&bytes).is_err());
    }
}

#[test]
fn lists_texts_and_levels_keep_their_bounds() {
    let end = End::ProviderCutOff {
        session: ProviderSessionId::of("issuer", "sid"),
        expires: Timestamp::from_millis(1),
    };
    let push = |count| Question::PushEnds {
        ends: vec![end.clone(); count],
    };
    let bytes = enclose(&head(), &push(ENDS_MAX)).unwrap();
    assert!(body::<Question>(&bytes).is_ok());
    assert!(bytes.len() < QUESTION_BYTES_MAX);
    let bytes = enclose(&head(), &push(ENDS_MAX + 1)).unwrap();
    assert_eq!(body::<Question>(&bytes), Err(WireError::Bound("ends")));

    let level = |level: u8| {
        #[derive(Serialize)]
        enum Raw {
            LastAccess { facts: RawFacts },
        }
        #[derive(Serialize)]
        struct RawFacts {
            sso: [u8; 16],
            subject: &'static str,
            store: &'static str,
            first_authenticated: u64,
            expires: u64,
            generation: u32,
            level: u8,
            level_reached: u64,
        }
        body::<Question>(&later(
            1,
            Raw::LastAccess {
                facts: RawFacts {
                    sso: [0; 16],
                    subject: "alice",
                    store: "users",
                    first_authenticated: 0,
                    expires: 0,
                    generation: 0,
                    level,
                    level_reached: 0,
                },
            },
        ))
    };
    assert!(level(99).is_ok());
    assert!(matches!(level(100), Err(WireError::Malformed(_))));
}

#[test]
fn a_greeting_cannot_write_into_the_log() {
    let greeting = Greeting {
        cluster: ClusterId::parse("ny").unwrap(),
        incarnation: Incarnation([0; 16]),
        version: "1.0\nroot logged in".to_owned(),
        now: Timestamp::from_millis(0),
        keys: Vec::new(),
        seals: None,
        stores: Vec::new(),
    };
    let bytes = enclose(&head(), &Question::Hello(greeting)).unwrap();
    assert_eq!(
        body::<Question>(&bytes),
        Err(WireError::Bound("program version"))
    );
}

#[test]
fn an_error_does_not_repeat_all_that_was_sent() {
    #[derive(Serialize)]
    enum Raw {
        Reserve { data: String },
    }
    let data = "x".repeat(100_000);
    let read = body::<Question>(&later(1, Raw::Reserve { data }));
    let Err(WireError::Malformed(why)) = read else {
        panic!("{read:?}");
    };
    assert!(why.chars().count() <= ERROR_CHARS_SHOWN, "{}", why.len());
}

#[test]
fn a_code_is_read_as_it_was_written_and_an_unknown_one_is_other() {
    for code in Code::ALL {
        assert_eq!(read_code(&enclose_code(code)), code);
        assert!(code.status().is_client_error() || code.status().is_server_error());
    }
    let later = write(&CodeWire {
        code: "tired".to_owned(),
    })
    .unwrap();
    assert_eq!(read_code(&later), Code::Other);
    assert_eq!(read_code(b"<html>"), Code::Other);
}

#[test]
fn a_signature_stands_once_and_whole_in_the_headers() {
    let signature = Signature {
        counter: 7,
        tag: [9; PROOF_BYTES],
    };
    let mut headers = HeaderMap::new();
    assert_eq!(Signature::read(&headers), None);
    signature.write(&mut headers);
    assert_eq!(Signature::read(&headers), Some(signature));
    headers.append(COUNTER, HeaderValue::from(8));
    assert_eq!(Signature::read(&headers), None);
}

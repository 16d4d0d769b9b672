//! Records that come back as they were packed, and bytes that were not.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use proptest::collection::btree_map;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::proptest;

use super::*;
use crate::model::attribute::Attribute;
use crate::model::attribute::AttributeSet;
use crate::model::attribute::AttributeValue;
use crate::model::name::AttributeName;
use crate::model::name::ClusterId;
use crate::model::name::GroupName;
use crate::model::name::HostName;
use crate::model::name::StoreName;

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_packed_and_lets_its_names_go(sessions in vec(session(), 1..8)) {
        let mut names = Names::default();
        let pack = |session: &Session| (Packed::new(session, &mut names), Beside::of(session));
        let packed: Vec<_> = sessions.iter().map(pack).collect();
        for ((packed, beside), session) in packed.iter().zip(&sessions) {
            assert_eq!(packed.session(*beside, &names).as_ref(), Some(session));
            assert_eq!(packed.goes_idle(), session.state == SessionState::Live);
        }
        for ((packed, beside), session) in packed.into_iter().zip(sessions) {
            assert_eq!(packed.take(beside, &mut names), Some(session));
        }
        assert_eq!(names.len(), 0);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in vec(any::<u8>(), 0..200), session in session()) {
        let mut names = Names::default();
        let beside = Beside::of(&session);
        let Packed(mut packed) = Packed::new(&session, &mut names);
        drop(Packed(bytes.clone().into()).session(beside, &names));
        let place = bytes.len() % packed.len();
        packed[place] ^= 0xff;
        drop(Packed(packed).session(beside, &names));
    }
}

fn session() -> impl Strategy<Value = Session> {
    let heads = (id(), facts(), state(), identity());
    let times = (time(), time(), any::<u64>());
    let address = prop_oneof![
        any::<u32>().prop_map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits))),
        any::<u128>().prop_map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits))),
    ];
    let attributes = prop_oneof![Just(Attributes::Known), Just(Attributes::Unknown)];
    let provider = option::of(any::<[u8; 32]>().prop_map(ProviderSessionId::from_bytes));
    let rest = (address, attributes, provider, option::of(reservation()));
    let noted = option::of(attribute_set());
    let holder = (cluster(), id()).prop_map(|(cluster, session)| Holder { cluster, session });
    let lists = (vec(holder, 0..4), vec(host(), 0..4));
    (heads, times, rest, lists, noted).prop_map(
        |((id, facts, state, mut identity), times, rest, (aliases, visited), noted)| {
            if identity.name.is_some() {
                identity.store = facts.store.clone();
                identity.subject = facts.subject.clone();
            }
            Session {
                id,
                facts,
                state,
                identity,
                last_access: times.0,
                client_address: rest.0,
                held_since: times.1,
                reserved: rest.3,
                provider_session: rest.2,
                attributes: rest.1,
                noted,
                aliases,
                visited,
                version: times.2,
            }
        },
    )
}

fn facts() -> impl Strategy<Value = SsoFacts> {
    let times = (time(), time(), time());
    (id(), user(), store(), times, generation(), 0..=99_u8).prop_map(
        |(
            sso,
            subject,
            store,
            (first_authenticated, expires, level_reached),
            generation,
            level,
        )| {
            SsoFacts {
                sso: SsoId::from_bytes(*sso.as_bytes()),
                subject,
                store,
                first_authenticated,
                expires,
                generation,
                level: AuthLevel::new(level).unwrap(),
                level_reached,
            }
        },
    )
}

fn identity() -> impl Strategy<Value = Identity> {
    let group = (0..5_u8).prop_map(|n| GroupName::parse(&format!("group {n}")).unwrap());
    let text = || option::of("\\PC{0,200}");
    let texts = (text(), text(), vec(group, 0..6), attribute_set());
    (store(), user(), texts).prop_map(|(store, subject, (name, email, groups, attributes))| {
        Identity {
            store,
            subject,
            name,
            email,
            groups,
            attributes,
        }
    })
}

fn attribute_set() -> impl Strategy<Value = AttributeSet> {
    let text = || "[a-z ]{0,20}".prop_map(String::into_boxed_str);
    let value = prop_oneof![
        text().prop_map(AttributeValue::Text),
        vec(text(), 0..4).prop_map(|texts| AttributeValue::List(texts.into())),
    ];
    btree_map(0..9_u8, value, 0..4).prop_map(|attributes| {
        let named = |(n, value)| Attribute {
            name: AttributeName::parse(&format!("attribute-{n}")).unwrap(),
            value,
        };
        AttributeSet::new(attributes.into_iter().map(named).collect()).unwrap()
    })
}

fn state() -> impl Strategy<Value = SessionState> {
    let adoption = || any::<[u8; 16]>().prop_map(AdoptionId::from_bytes);
    let moved = (cluster(), generation(), option::of(adoption()));
    let pending = (adoption(), cluster(), generation(), any::<u64>());
    prop_oneof![
        Just(SessionState::Ended),
        Just(SessionState::Live),
        moved.prop_map(|(to, generation, adoption)| SessionState::Moved {
            to,
            generation,
            adoption,
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

fn reservation() -> impl Strategy<Value = Reservation> {
    let data = prop_oneof![Just(Data::All), Just(Data::None)];
    let adoption = any::<[u8; 16]>().prop_map(AdoptionId::from_bytes);
    (adoption, cluster(), time(), any::<u64>(), data).prop_map(
        |(adoption, by, until, version, data)| Reservation {
            adoption,
            by,
            until,
            version,
            data,
        },
    )
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (1_700_000_000_000..1_700_000_100_000_u64).prop_map(Timestamp::from_millis),
        any::<u64>().prop_map(Timestamp::from_millis),
    ]
}

fn generation() -> impl Strategy<Value = Generation> {
    prop_oneof![0..3_u32, any::<u32>()].prop_map(Generation)
}

fn id() -> impl Strategy<Value = SessionId> {
    any::<[u8; 16]>().prop_map(SessionId::from_bytes)
}

fn user() -> impl Strategy<Value = UserName> {
    (0..9_u8).prop_map(|n| UserName::parse(&format!("Jörg {n}")).unwrap())
}

fn store() -> impl Strategy<Value = StoreName> {
    (0..2_u8).prop_map(|n| StoreName::parse(&format!("store-{n}")).unwrap())
}

fn cluster() -> impl Strategy<Value = ClusterId> {
    (0..3_u8).prop_map(|n| ClusterId::parse(&format!("dc-{n}")).unwrap())
}

fn host() -> impl Strategy<Value = HostName> {
    (0..200_u8).prop_map(|n| HostName::parse(&format!("app-{n}.example.test")).unwrap())
}

//! Sessions as most are, and what of each is its own.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;

use portway::model::attribute::AttributeSet;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::ClusterId;
use portway::model::name::GroupName;
use portway::model::name::HostName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::session::Attributes;
use portway::model::session::Generation;
use portway::model::session::Holder;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;

/// The session of the user of a number: three of 300 groups, two of 50 applications, one other data centre.
/// Every text is made anew, as it is at a sign-in.
pub(crate) fn session(number: u64) -> Session {
    let store = || StoreName::parse("staff").unwrap();
    let subject = || UserName::parse(&format!("user-{number:07}")).unwrap();
    let group = |n: u64| GroupName::parse(&format!("department-{:03}", n % 300)).unwrap();
    let host = |n: u64| HostName::parse(&format!("app-{:02}.apps.test", n % 50)).unwrap();
    let now = Timestamp::from_millis(BEGAN + 37 * number);
    Session {
        id: SessionId::from_bytes(random(number, 1)),
        facts: SsoFacts {
            sso: sso(number),
            subject: subject(),
            store: store(),
            first_authenticated: now,
            expires: now.after(LIFETIME),
            generation: Generation(0),
            level: AuthLevel::NONE,
            level_reached: now,
        },
        state: SessionState::Live,
        identity: Identity {
            store: store(),
            subject: subject(),
            name: Some(format!("User Number {number}")),
            email: Some(format!("user-{number:07}@mail.example.test")),
            groups: [1, 7, 31].map(|factor| group(number / factor)).to_vec(),
            attributes: AttributeSet::default(),
        },
        last_access: now,
        client_address: IpAddr::V4(Ipv4Addr::from_bits(
            0x0a00_0000 | u32::try_from(number % 0x100_0000).unwrap(),
        )),
        held_since: now,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Some(AttributeSet::default()),
        aliases: vec![Holder {
            cluster: ClusterId::parse("dc-b").unwrap(),
            session: SessionId::from_bytes(random(number, 2)),
        }],
        visited: vec![host(number), host(number / 50)],
        version: 1,
    }
}

/// The id of the SSO session of a number.
pub(crate) fn sso(number: u64) -> SsoId {
    SsoId::from_bytes(random(number, 0))
}

/// The bytes that no other session has: ids, user, texts about the user, times, address. The names of groups,
/// hosts, stores and data centres are shared, and neither they nor what refers to them is counted.
pub(crate) fn own_bytes(session: &Session) -> usize {
    let identity = &session.identity;
    let ids = 16 * (2 + session.aliases.len());
    let texts = [&identity.name, &identity.email];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let address = match session.client_address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 16,
    };
    // Of the first authentication, of its level, of the expiry, of the last access, and held since.
    let times = 5 * 8;
    ids + session.facts.subject.as_str().len() + texts + times + address
}

/// Bytes that look random and are the same in every run.
fn random(number: u64, kind: u64) -> [u8; 16] {
    let half = |half: u64| {
        let mut bits = (number * 8 + kind * 2 + half).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u128::from(bits ^ (bits >> 31))
    };
    ((half(0) << 64) | half(1)).to_be_bytes()
}

const BEGAN: u64 = 1_790_000_000_000;
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

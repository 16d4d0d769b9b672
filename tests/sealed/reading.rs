//! What is inside a seal: it reads back as it was written, and bytes that are nothing of the kind are
//! refused without a panic.

use std::fmt::Debug;
use std::num::NonZeroU8;
use std::time::Duration;

use http::HeaderMap;
use portway::crypto::bearer::Bearer;
use portway::crypto::bearer::BindTo;
use portway::crypto::bearer::Bound;
use portway::crypto::claims::AuthnCookie;
use portway::crypto::claims::Claims;
use portway::crypto::claims::Form;
use portway::crypto::claims::Freshness;
use portway::crypto::claims::GitoCookie;
use portway::crypto::claims::IdCookie;
use portway::crypto::claims::Rounds;
use portway::crypto::claims::Seen;
use portway::crypto::claims::SignInRequest;
use portway::crypto::claims::SignOut;
use portway::crypto::claims::Token;
use portway::crypto::claims::Visited;
use portway::crypto::claims::provider_visit::ProviderVisit;
use portway::crypto::codec::Malformed;
use portway::crypto::codec::Reader;
use portway::crypto::codec::Writer;
use portway::crypto::tags::AddressTag;
use portway::crypto::tags::ClusterTag;
use portway::crypto::tags::UserTag;
use portway::model::claim::Activity;
use portway::model::claim::HostLimits;
use portway::model::end::Confirmed;
use portway::model::id::Nonce;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::id::TokenId;
use portway::model::identity::AuthLevel;
use portway::model::name::ClusterId;
use portway::model::name::HostName;
use portway::model::name::StoreName;
use portway::model::name::UserName;
use portway::model::network::PrefixLengths;
use portway::model::session::Generation;
use portway::model::session::Holder;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;
use proptest::array::uniform8;
use proptest::array::uniform16;
use proptest::array::uniform32;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;
use proptest::sample::select;
use proptest::test_runner::TestCaseError;

use super::cases;

fn id() -> impl Strategy<Value = [u8; 16]> {
    uniform16(any::<u8>())
}

fn time() -> impl Strategy<Value = Timestamp> {
    any::<u64>().prop_map(Timestamp::from_millis)
}

fn level() -> impl Strategy<Value = AuthLevel> {
    (0_u8..=99).prop_map(|level| AuthLevel::new(level).unwrap())
}

fn cluster() -> impl Strategy<Value = ClusterId> {
    "[A-Za-z0-9._-]{1,16}".prop_map(|name| ClusterId::parse(&name).unwrap())
}

fn host() -> impl Strategy<Value = HostName> {
    "[a-z0-9]{1,20}(\\.[a-z0-9]{1,20}){0,3}".prop_map(|name| HostName::parse(&name).unwrap())
}

fn user() -> impl Strategy<Value = UserName> {
    "\\PC{1,40}".prop_filter_map("a user name", |name| UserName::parse(&name).ok())
}

fn facts() -> impl Strategy<Value = SsoFacts> {
    let names = (id(), user(), store());
    let times = (time(), time(), time());
    (names, times, any::<u32>(), level()).prop_map(
        |(
            (sso, subject, store),
            (first_authenticated, expires, level_reached),
            generation,
            level,
        )| {
            SsoFacts {
                sso: SsoId::from_bytes(sso),
                subject,
                store,
                first_authenticated,
                expires,
                generation: Generation(generation),
                level,
                level_reached,
            }
        },
    )
}

fn bound() -> impl Strategy<Value = Bound> {
    let lengths = (8_u8..=32, 7_u8..=16);
    let lengths = lengths.prop_map(|(ipv4, ipv6)| PrefixLengths::new(ipv4, ipv6 * 4).unwrap());
    let what = (option::of(lengths), any::<bool>());
    (what, any::<[u8; 4]>(), id()).prop_map(|((address, user_agent), client, sso)| {
        let what = BindTo {
            address,
            user_agent,
        };
        let bearer = Bearer {
            address: client.into(),
            headers: &HeaderMap::new(),
        };
        Bound::to(what, &SsoId::from_bytes(sso), &bearer)
    })
}

fn authn() -> impl Strategy<Value = AuthnCookie> {
    let times = (time(), option::of(time()));
    (facts(), cluster(), id(), times, bound()).prop_map(
        |(facts, cluster, session, (issued, last_access), bound)| AuthnCookie {
            facts,
            cluster,
            session: SessionId::from_bytes(session),
            issued,
            last_access,
            bound,
        },
    )
}

fn id_cookie() -> impl Strategy<Value = IdCookie> {
    let tag = proptest::array::uniform3(any::<u8>()).prop_map(ClusterTag::from_bytes);
    let visited = (tag, id()).prop_map(|(cluster, session)| Visited {
        cluster,
        session: SessionId::from_bytes(session),
    });
    let latest = (cluster(), id()).prop_map(|(cluster, session)| Holder {
        cluster,
        session: SessionId::from_bytes(session),
    });
    (
        facts(),
        vec(visited, 0..=IdCookie::EARLIER_MAX),
        latest,
        time(),
        option::of(rounds()),
        bound(),
    )
        .prop_map(
            |(facts, earlier, latest, last_access, rounds, bound)| IdCookie {
                facts,
                earlier,
                latest,
                last_access,
                rounds,
                bound,
            },
        )
}

fn gito() -> impl Strategy<Value = GitoCookie> {
    let tags = (
        proptest::array::uniform3(any::<u8>()),
        uniform8(any::<u8>()),
    );
    let times = (time(), time(), time());
    (id(), id(), tags, any::<u32>(), times).prop_map(
        |(sso, session, (cluster, user), generation, (expires, last_access, created))| GitoCookie {
            sso: SsoId::from_bytes(sso),
            cluster: ClusterTag::from_bytes(cluster),
            session: SessionId::from_bytes(session),
            user: UserTag::from_bytes(user),
            generation: Generation(generation),
            expires,
            last_access,
            created,
        },
    )
}

fn rounds() -> impl Strategy<Value = Rounds> {
    let to = proptest::array::uniform4(any::<u8>()).prop_map(AddressTag::from_bytes);
    let count = (1..32_u8).prop_map(|count| NonZeroU8::new(count).unwrap());
    (to, count, time()).prop_map(|(to, count, since)| Rounds { to, count, since })
}

fn freshness() -> impl Strategy<Value = Freshness> {
    select(vec![Freshness::Earlier, Freshness::Now])
}

fn seen() -> impl Strategy<Value = Seen> {
    select(vec![
        Seen::ClocksDiffer,
        Seen::Good,
        Seen::NonceOnly,
        Seen::Nothing,
        Seen::Over,
        Seen::Strayed,
        Seen::Unconfirmed,
        Seen::Unreadable,
    ])
}

fn activity() -> impl Strategy<Value = Activity> {
    select(vec![Activity::Counts, Activity::None])
}

fn limits() -> impl Strategy<Value = HostLimits> {
    let limit = || option::of((1..1_u64 << 48).prop_map(Duration::from_millis));
    (limit(), limit()).prop_map(|(idle_timeout, lifetime)| HostLimits {
        idle_timeout,
        lifetime,
    })
}

fn request() -> impl Strategy<Value = SignInRequest> {
    let way = (time(), freshness(), seen(), limits(), activity());
    (host(), ".{0,300}", id(), level(), way).prop_map(
        |(host, target, nonce, level, (issued, freshness, seen, limits, activity))| SignInRequest {
            host,
            target,
            nonce: Nonce::from_bytes(nonce),
            level,
            issued,
            freshness,
            seen,
            limits,
            activity,
        },
    )
}

fn store() -> impl Strategy<Value = StoreName> {
    "[A-Za-z0-9._-]{1,32}".prop_map(|name| StoreName::parse(&name).unwrap())
}

fn provider_visit() -> impl Strategy<Value = ProviderVisit> {
    let ways = (any::<bool>(), option::of(request()));
    (store(), id(), uniform32(any::<u8>()), time(), ways).prop_map(
        |(provider, nonce, secret, issued, (again, request))| ProviderVisit {
            provider,
            nonce: Nonce::from_bytes(nonce),
            secret,
            issued,
            again,
            request,
        },
    )
}

fn token() -> impl Strategy<Value = Token> {
    let rest = (time(), freshness());
    (id(), authn(), id(), ".{0,300}", rest).prop_map(
        |(id, cookie, nonce, target, (expires, freshness))| Token {
            id: TokenId::from_bytes(id),
            cookie,
            nonce: Nonce::from_bytes(nonce),
            target,
            expires,
            freshness,
        },
    )
}

fn form() -> impl Strategy<Value = Form> {
    (id(), time()).prop_map(|(nonce, issued)| Form {
        nonce: Nonce::from_bytes(nonce),
        issued,
    })
}

fn sign_out() -> impl Strategy<Value = SignOut> {
    let ended = vec(id().prop_map(SsoId::from_bytes), 0..6);
    let confirmed = || select(vec![Confirmed::Durable, Confirmed::Outstanding]);
    let data_centres = vec((cluster(), confirmed()), 0..=16);
    let said = (confirmed(), data_centres);
    let back = (option::of(store()), option::of(".{1,200}"));
    (ended, vec(host(), 0..70), back, said, time()).prop_map(
        |(ended, hosts, (provider, return_to), (confirmed, data_centres), expires)| SignOut {
            ended,
            hosts,
            provider,
            return_to,
            confirmed,
            data_centres,
            expires,
        },
    )
}

/// Reads back as written, and neither a shorter nor a longer message reads at all.
fn round_trip<C: Claims + Debug + PartialEq>(claims: &C) -> Result<(), TestCaseError> {
    let bytes = claims.encode();
    let read = C::decode(&bytes);
    prop_assert_eq!(read.as_ref(), Ok(claims));
    for length in 0..bytes.len() {
        prop_assert!(C::decode(&bytes[..length]).is_err(), "{} bytes", length);
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    prop_assert!(C::decode(&longer).is_err());
    Ok(())
}

/// Bytes that read as a claim are the bytes of that claim: nothing has two spellings but what a name's
/// own canonical form folds together.
fn reads_quietly<C: Claims + Debug + PartialEq>(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Ok(claims) = C::decode(bytes) {
        let read = C::decode(&claims.encode());
        prop_assert_eq!(read.as_ref(), Ok(&claims));
    }
    Ok(())
}

fn reads_quietly_as_anything(bytes: &[u8]) -> Result<(), TestCaseError> {
    reads_quietly::<AuthnCookie>(bytes)?;
    reads_quietly::<Form>(bytes)?;
    reads_quietly::<GitoCookie>(bytes)?;
    reads_quietly::<IdCookie>(bytes)?;
    reads_quietly::<SignInRequest>(bytes)?;
    reads_quietly::<SignOut>(bytes)?;
    reads_quietly::<Token>(bytes)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn every_claim_reads_back_as_it_was_written(
        authn in authn(),
        id_cookie in id_cookie(),
        gito in gito(),
        request in request(),
        token in token(),
        form in form(),
        sign_out in sign_out(),
        visit in provider_visit(),
    ) {
        round_trip(&authn)?;
        round_trip(&id_cookie)?;
        round_trip(&gito)?;
        round_trip(&request)?;
        round_trip(&token)?;
        round_trip(&form)?;
        round_trip(&sign_out)?;
        round_trip(&visit)?;
    }

    #[test]
    fn a_claim_of_one_kind_with_any_byte_changed_is_read_without_a_panic(
        token in token(),
        sign_out in sign_out(),
        id_cookie in id_cookie(),
        gito in gito(),
        at in any::<proptest::sample::Index>(),
        new in any::<u8>(),
    ) {
        let claims = [token.encode(), sign_out.encode(), id_cookie.encode(), gito.encode()];
        for mut bytes in claims {
            let at = at.index(bytes.len());
            bytes[at] = new;
            reads_quietly_as_anything(&bytes)?;
        }
    }

    #[test]
    fn the_codec_reads_back_what_it_wrote(
        byte in any::<u8>(),
        number in any::<u32>(),
        time in time(),
        later in time(),
        raw in id(),
        text in ".{0,300}",
        name in "[a-z]{0,255}",
    ) {
        let mut to = Writer::with_capacity(0);
        to.byte(byte).number(number).time(time).raw(&raw).text(&text);
        to.short_number(later.as_millis()).time_after(time, later).name(&name);
        let bytes = to.into_bytes();
        let mut from = Reader::new(&bytes);
        prop_assert_eq!(from.byte(), Ok(byte));
        prop_assert_eq!(from.number(), Ok(number));
        prop_assert_eq!(from.time(), Ok(time));
        prop_assert_eq!(from.array(), Ok(raw));
        prop_assert_eq!(from.text(), Ok(text.as_str()));
        prop_assert_eq!(from.short_number(), Ok(later.as_millis()));
        prop_assert_eq!(from.time_after(time), Ok(later));
        prop_assert_eq!(from.name(), Ok(name.as_str()));
        prop_assert!(from.end().is_ok());
    }
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..300)) {
        reads_quietly_as_anything(&bytes)?;
    }
}

#[test]
fn a_list_of_the_greatest_length_that_is_not_there_is_refused() {
    for bytes in [&[255][..], &[0, 255], &[255, 255, 255, 255]] {
        assert!(SignOut::decode(bytes).is_err());
    }
}

#[test]
fn a_level_above_99_and_words_that_there_are_none_of_are_refused() {
    let request = SignInRequest {
        host: HostName::parse("app.test").unwrap(),
        target: "/".to_owned(),
        nonce: Nonce::from_bytes([1; 16]),
        level: AuthLevel::MAX,
        issued: Timestamp::from_millis(0),
        freshness: Freshness::Now,
        seen: Seen::Strayed,
        limits: HostLimits::NONE,
        activity: Activity::Counts,
    };
    // The level, how recent the authentication has to be, and what came with the browser.
    let bytes = request.encode();
    for (back, last) in [(11, 99), (2, 1), (1, 7)] {
        let at = bytes.len() - back;
        assert_eq!(bytes[at], last);
        let mut beyond = bytes.clone();
        beyond[at] += 1;
        assert!(SignInRequest::decode(&beyond).is_err(), "{back}");
    }
    // No ended session, no host, then the confirmation.
    let rest = [0; 12];
    assert!(SignOut::decode(&[&[0, 0, 1], &rest[..]].concat()).is_ok());
    assert!(SignOut::decode(&[&[0, 0, 2], &rest[..]].concat()).is_err());
}

#[test]
fn a_short_number_has_one_spelling_and_at_most_64_bits() {
    let read = |bytes: &[u8]| Reader::new(bytes).short_number();
    let spelled = |number: u64| {
        let mut to = Writer::with_capacity(0);
        to.short_number(number);
        to.into_bytes()
    };
    for (number, bytes) in [(0, 1), (127, 1), (128, 2), (1 << 42, 7), (u64::MAX, 10)] {
        let written = spelled(number);
        assert_eq!(written.len(), bytes, "{number}");
        assert_eq!(read(&written), Ok(number));
    }
    for odd in [
        &[0x80, 0][..],
        &[0xFF, 0x80, 0],
        &[0xFF; 9],
        &[0xFF; 11],
        &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2],
        &[],
    ] {
        assert_eq!(read(odd), Err(Malformed), "{odd:?}");
    }
}

//! How the chain grows, and where it says to ask.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::model::id::SessionId;
use crate::model::id::SsoId;
use crate::model::identity::AuthLevel;
use crate::model::identity::Identity;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::session::Attributes;
use crate::model::session::Generation;
use crate::model::session::SessionState;
use crate::model::session::SsoFacts;

const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn cluster(name: &str) -> ClusterId {
    ClusterId::parse(name).unwrap()
}

/// A data centre and its record, whose id begins with `n`.
fn holder(name: &str, n: u8) -> Holder {
    Holder {
        cluster: cluster(name),
        session: SessionId::from_bytes([n; 16]),
    }
}

/// The record of data centre a, whose id begins with 1.
fn session(aliases: &[Holder]) -> Session {
    let store = StoreName::parse("staff").unwrap();
    let subject = UserName::parse("alice").unwrap();
    Session {
        id: SessionId::from_bytes([1; 16]),
        facts: SsoFacts {
            sso: SsoId::from_bytes([9; 16]),
            subject: subject.clone(),
            store: store.clone(),
            first_authenticated: BEGINNING,
            expires: BEGINNING.after(600 * MINUTE),
            generation: Generation::default(),
            level: AuthLevel::MAX,
            level_reached: BEGINNING,
        },
        state: SessionState::Live,
        identity: Identity {
            store,
            subject,
            name: None,
            email: None,
            groups: Vec::new(),
            attributes: Default::default(),
        },
        last_access: BEGINNING,
        client_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        held_since: BEGINNING,
        reserved: None,
        provider_session: None,
        attributes: Attributes::Known,
        noted: Default::default(),
        aliases: aliases.to_vec(),
        visited: Vec::new(),
        version: 0,
    }
}

fn settings(anchor: Anchor) -> CookieSettings {
    let known = ["a", "b", "c", "d"].map(cluster);
    CookieSettings {
        clusters: Clusters::new(known).unwrap(),
        anchor,
        ..CookieSettings::of_one(cluster("a"))
    }
}

/// An ID cookie of the session with this chain.
fn cookie(chain: &[Holder]) -> IdCookie {
    let (latest, earlier) = chain.split_last().unwrap();
    IdCookie {
        facts: session(&[]).facts,
        earlier: earlier.iter().map(visited).collect(),
        latest: latest.clone(),
        last_access: BEGINNING.after(MINUTE),
        rounds: None,
        bound: Bound::default(),
    }
}

/// The chain as tags, the latest last.
fn chain_of(cookie: &IdCookie) -> Vec<Visited> {
    let latest = visited(&cookie.latest);
    cookie.earlier.iter().copied().chain([latest]).collect()
}

fn written(aliases: &[Holder], presented: Option<&IdCookie>, anchor: Anchor) -> IdCookie {
    let now = BEGINNING.after(2 * MINUTE);
    id_cookie(&session(aliases), presented, &settings(anchor), now)
}

fn expected(chain: &[Holder]) -> Vec<Visited> {
    chain.iter().map(visited).collect()
}

#[test]
fn a_new_session_has_a_chain_of_one_s_11_m_011() {
    let written = written(&[], None, Anchor::Free);
    assert_eq!(written.latest, holder("a", 1));
    assert!(written.earlier.is_empty());
    assert_eq!(written.facts, session(&[]).facts);
    assert_eq!(written.last_access, BEGINNING.after(2 * MINUTE));
}

#[test]
fn this_data_centre_moves_to_the_end_of_the_chain_mdc_cookie_2_m_012() {
    let presented = cookie(&[holder("b", 2), holder("a", 1), holder("c", 3)]);
    let written = written(&[], Some(&presented), Anchor::Free);
    let chain = [holder("b", 2), holder("c", 3), holder("a", 1)];
    assert_eq!(chain_of(&written), expected(&chain));
    assert_eq!(written.latest, holder("a", 1));
}

#[test]
fn the_chain_joins_what_the_record_and_the_cookie_know_mdc_cookie_2() {
    let presented = cookie(&[holder("b", 2), holder("c", 3)]);
    let aliases = [holder("d", 4), holder("c", 7)];
    let written = written(&aliases, Some(&presented), Anchor::Free);
    let chain = [
        holder("d", 4),
        holder("b", 2),
        holder("c", 3),
        holder("a", 1),
    ];
    assert_eq!(chain_of(&written), expected(&chain));
}

#[test]
fn an_anchored_session_has_a_chain_of_one_mdc_cookie_2() {
    let presented = cookie(&[holder("b", 2), holder("c", 3)]);
    let written = written(&[holder("d", 4)], Some(&presented), Anchor::Anchored);
    assert_eq!(chain_of(&written), expected(&[holder("a", 1)]));
}

#[test]
fn the_cookie_of_another_sso_session_lends_nothing_s_11() {
    let mut presented = cookie(&[holder("b", 2)]);
    presented.facts.sso = SsoId::from_bytes([8; 16]);
    presented.facts.expires = BEGINNING;
    let written = written(&[], Some(&presented), Anchor::Free);
    assert_eq!(chain_of(&written), expected(&[holder("a", 1)]));
    assert_eq!(written.facts, session(&[]).facts);
}

#[test]
fn a_rewritten_cookie_never_expires_later_s_3_r6() {
    let mut presented = cookie(&[holder("b", 2)]);
    presented.facts.expires = BEGINNING.after(5 * MINUTE);
    let earlier = written(&[], Some(&presented), Anchor::Free);
    assert_eq!(earlier.facts.expires, presented.facts.expires);
    presented.facts.expires = BEGINNING.after(6000 * MINUTE);
    let later = written(&[], Some(&presented), Anchor::Free);
    assert_eq!(later.facts.expires, session(&[]).facts.expires);
}

#[test]
fn a_rewritten_cookie_never_has_a_higher_level_s_12() {
    let mut presented = cookie(&[holder("b", 2)]);
    presented.facts.level = AuthLevel::NONE;
    presented.facts.level_reached = BEGINNING.before(MINUTE);
    let lower = written(&[], Some(&presented), Anchor::Free);
    assert_eq!(lower.facts, presented.facts);
    let mut session = session(&[]);
    session.facts.level = AuthLevel::NONE;
    let presented = cookie(&[holder("b", 2)]);
    let settings = settings(Anchor::Free);
    let written = id_cookie(&session, Some(&presented), &settings, BEGINNING);
    assert_eq!(written.facts.level, AuthLevel::NONE, "nor than the session");
}

#[test]
fn the_chain_says_where_to_ask_latest_first_s_7() {
    let presented = cookie(&[holder("b", 2), holder("a", 1), holder("c", 3)]);
    let hints = hints(&presented, None, &settings(Anchor::Free).clusters);
    let holders: Vec<_> = hints.iter().map(|hint| hint.holder.clone()).collect();
    assert_eq!(holders, [holder("c", 3), holder("a", 1), holder("b", 2)]);
    assert_eq!(hints[0].last_access, presented.last_access);
    assert_eq!(hints[1].last_access, BEGINNING, "at least then");
}

#[test]
fn a_data_centre_that_is_not_configured_is_left_out_but_for_the_latest_s_7() {
    let presented = cookie(&[holder("gone", 5), holder("b", 2), holder("strange", 6)]);
    let hints = hints(&presented, None, &settings(Anchor::Free).clusters);
    let holders: Vec<_> = hints.iter().map(|hint| hint.holder.clone()).collect();
    assert_eq!(holders, [holder("strange", 6), holder("b", 2)]);
}

#[test]
fn a_gito_cookie_takes_the_place_that_its_last_access_gives_it_f4_5_m_021() {
    let presented = cookie(&[holder("b", 2), holder("c", 3)]);
    let latest = presented.last_access;
    let before = BEGINNING.after(MINUTE / 2);
    let cases = [
        (holder("d", 4), latest.after(MINUTE), "d c b"),
        (holder("d", 4), before, "c d b"),
        (holder("d", 4), latest, "c d b"),
        (holder("b", 7), latest.after(MINUTE), "b c"),
        (holder("b", 7), before, "c b"),
        (holder("c", 7), latest.after(MINUTE), "c b"),
        (holder("c", 7), before, "c b"),
    ];
    for (holder, last_access, order) in cases {
        let gito = Hint {
            holder,
            last_access,
        };
        let clusters = settings(Anchor::Free).clusters;
        let hints = hints(&presented, Some(gito.clone()), &clusters);
        let named: Vec<_> = hints
            .iter()
            .map(|hint| hint.holder.cluster.as_str())
            .collect();
        assert_eq!(named.join(" "), order, "{gito:?}");
        assert!(hints.is_sorted_by(|one, other| one.last_access >= other.last_access));
        if last_access > latest {
            assert_eq!(hints.first(), Some(&gito));
        }
    }
}

fn step() -> impl Strategy<Value = Holder> {
    (0..20_u8, any::<u8>()).prop_map(|(name, n)| holder(&format!("dc-{name}"), n))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..Default::default() })]

    #[test]
    fn the_chain_has_one_entry_for_each_data_centre_and_sixteen_at_most_m_012_x_22(
        aliases in proptest::collection::vec(step(), 0..=16),
        presented in proptest::collection::vec(step(), 1..=16),
    ) {
        let presented = cookie(&presented);
        let written = written(&aliases, Some(&presented), Anchor::Free);
        let chain = chain_of(&written);
        prop_assert!(chain.len() <= 16);
        let mut tags: Vec<_> = chain.iter().map(|visit| visit.cluster).collect();
        tags.sort();
        tags.dedup();
        prop_assert_eq!(tags.len(), chain.len());
        prop_assert_eq!(chain.last(), Some(&visited(&holder("a", 1))));
        prop_assert!(chain.contains(&visited(&presented.latest)), "never the oldest");
    }
}

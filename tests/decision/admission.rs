//! Decisions: no permit for a protected route without a live session, at the level that is asked for,
//! and with a rule that allows it.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::sync::Arc;

use http::Method;
use portway::decision::admission::Asked;
use portway::decision::admission::Decision;
use portway::decision::admission::Denial;
use portway::decision::admission::LoginCause;
use portway::decision::admission::Standing;
use portway::decision::admission::decide;
use portway::decision::authorization::Verdict;
use portway::decision::authorization::authorize;
use portway::decision::policy::Access;
use portway::decision::policy::Condition;
use portway::decision::policy::Effect;
use portway::decision::policy::Policy;
use portway::decision::policy::Rule;
use portway::model::claim::Activity;
use portway::model::id::SessionId;
use portway::model::id::SsoId;
use portway::model::identity::AuthLevel;
use portway::model::identity::Identity;
use portway::model::name::GroupName;
use portway::model::session::Attributes;
use portway::model::session::Generation;
use portway::model::session::Session;
use portway::model::session::SessionState;
use portway::model::session::SsoFacts;
use portway::model::time::Timestamp;
use proptest::prelude::*;

use super::authorization::Facts;
use super::authorization::Vocabulary;
use super::authorization::facts;
use super::authorization::identity;
use super::authorization::level;
use super::authorization::policy;
use super::authorization::request;
use super::cases;

const NOW: Timestamp = Timestamp::from_millis(1_000);
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

fn session(identity: Identity) -> Arc<Session> {
    session_with(identity, Attributes::Known)
}

fn session_with(identity: Identity, attributes: Attributes) -> Arc<Session> {
    let began = Timestamp::from_millis(1000);
    Arc::new(Session {
        id: SessionId::from_bytes([1; 16]),
        facts: SsoFacts {
            sso: SsoId::from_bytes([2; 16]),
            subject: identity.subject.clone(),
            store: identity.store.clone(),
            first_authenticated: began,
            expires: Timestamp::from_millis(100_000),
            generation: Generation::default(),
            level: AuthLevel::MAX,
            level_reached: began,
        },
        state: SessionState::Live,
        identity,
        last_access: began,
        client_address: ADDRESS,
        held_since: began,
        reserved: None,
        provider_session: None,
        attributes,
        noted: Default::default(),
        aliases: Vec::new(),
        visited: Vec::new(),
        version: 0,
    })
}

fn alice_at(rank: u8) -> Standing {
    Standing::SignedIn(session(identity("alice", &["staff"])), level(rank))
}

fn everyone() -> Policy {
    let when = Condition::All(Vec::new());
    let effect = Effect::Allow;
    Policy::new(vec![Rule { effect, when }])
}

fn asked(access: Access, policy: &Policy) -> Asked<'_> {
    Asked {
        access,
        policy,
        level: level(20),
        activity: Activity::Counts,
        request: request(&Method::GET, ADDRESS),
    }
}

#[test]
fn a_protected_route_asks_for_a_sign_in_even_where_a_rule_allows_everyone() {
    let decision = decide(
        &asked(Access::Protected, &everyone()),
        Standing::Anonymous,
        NOW,
    );
    assert!(matches!(decision, Decision::LogIn(LoginCause::NotSignedIn)));
}

#[test]
fn a_session_below_the_level_of_the_route_has_to_sign_in_again_s_12() {
    for (rank, allowed) in [(0, false), (19, false), (20, true), (99, true)] {
        match decide(&asked(Access::Protected, &everyone()), alice_at(rank), NOW) {
            Decision::Allow(permit) => {
                assert!(allowed, "{rank}");
                assert_eq!(permit.level(), level(rank));
            }
            Decision::LogIn(LoginCause::LevelTooLow) => assert!(!allowed, "{rank}"),
            decision @ (Decision::Deny(_) | Decision::LogIn(_)) => panic!("{rank}: {decision:?}"),
        }
    }
}

/// The level that counts is the one that the standing states, not the session's own, which is higher
/// here; a rule sees it too.
#[test]
fn a_rule_sees_the_level_that_counts_s_12() {
    let when = Condition::Level(level(50));
    let effect = Effect::Allow;
    let policy = Policy::new(vec![Rule { effect, when }]);
    let decision = decide(&asked(Access::Protected, &policy), alice_at(49), NOW);
    assert!(matches!(
        decision,
        Decision::Deny(Denial { rule: None, .. })
    ));
    let decision = decide(&asked(Access::Protected, &policy), alice_at(50), NOW);
    assert!(matches!(decision, Decision::Allow(_)));
}

#[test]
fn a_session_whose_attributes_are_not_known_passes_no_rule_that_reads_one_s_10() {
    let staff = Condition::Group(vec![GroupName::parse("staff").unwrap()].into());
    let standing = || {
        let of_record = identity("alice", &["staff"]);
        Standing::SignedIn(session_with(of_record, Attributes::Unknown), level(20))
    };
    for when in [staff.clone(), Condition::Not(Box::new(staff))] {
        let effect = Effect::Allow;
        let policy = Policy::new(vec![Rule { effect, when }]);
        let decision = decide(&asked(Access::Protected, &policy), standing(), NOW);
        assert!(matches!(
            decision,
            Decision::Deny(Denial { rule: None, .. })
        ));
    }
    let decision = decide(&asked(Access::Protected, &everyone()), standing(), NOW);
    assert!(matches!(decision, Decision::Allow(_)));
}

#[test]
fn a_denial_names_the_rule() {
    let rule = |effect, when| Rule { effect, when };
    let denying = Policy::new(vec![
        rule(Effect::Allow, Condition::Any(Vec::new())),
        rule(Effect::Deny, Condition::SignedIn),
    ]);
    let decision = decide(&asked(Access::Protected, &denying), alice_at(20), NOW);
    assert!(matches!(
        decision,
        Decision::Deny(Denial { rule: Some(1), .. })
    ));
    let silent = Policy::default();
    let decision = decide(&asked(Access::Protected, &silent), alice_at(20), NOW);
    assert!(matches!(
        decision,
        Decision::Deny(Denial { rule: None, .. })
    ));
}

#[test]
fn an_unprotected_route_passes_whom_there_is_and_challenges_nobody() {
    let nobody = Policy::default();
    let asked = asked(Access::Unprotected, &nobody);
    match decide(&asked, alice_at(5), NOW) {
        Decision::Allow(permit) => {
            assert_eq!(permit.identity(), Some(&identity("alice", &["staff"])));
            assert_eq!(permit.level(), level(5));
        }
        decision @ (Decision::Deny(_) | Decision::LogIn(_)) => panic!("{decision:?}"),
    }
    match decide(&asked, Standing::Anonymous, NOW) {
        Decision::Allow(permit) => {
            assert!(permit.session().is_none() && permit.identity().is_none());
            assert_eq!(permit.level(), AuthLevel::NONE);
        }
        decision @ (Decision::Deny(_) | Decision::LogIn(_)) => panic!("{decision:?}"),
    }
}

#[test]
fn an_excluded_route_passes_no_identity_even_if_there_is_one() {
    let nobody = Policy::default();
    match decide(&asked(Access::Excluded, &nobody), alice_at(99), NOW) {
        Decision::Allow(permit) => {
            assert!(permit.session().is_none() && permit.identity().is_none());
            assert_eq!(permit.level(), AuthLevel::NONE);
        }
        decision @ (Decision::Deny(_) | Decision::LogIn(_)) => panic!("{decision:?}"),
    }
}

fn access() -> impl Strategy<Value = Access> {
    prop_oneof![
        Just(Access::Excluded),
        Just(Access::Protected),
        Just(Access::Unprotected)
    ]
}

/// The decision on facts under a policy.
fn decision(access: Access, policy: &Policy, least: AuthLevel, facts: &Facts) -> Decision {
    let asked = Asked {
        access,
        policy,
        level: least,
        activity: Activity::Counts,
        request: facts.request(),
    };
    let standing = facts
        .identity
        .clone()
        .map_or(Standing::Anonymous, |identity| {
            Standing::SignedIn(session_with(identity, facts.attributes), facts.level)
        });
    decide(&asked, standing, NOW)
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_permit_without_a_live_session_on_a_protected_route(
        policy in policy(Vocabulary::Everything),
        least in (0_u8..=99).prop_map(level),
        facts in facts(),
    ) {
        let judged = decision(Access::Protected, &policy, least, &facts);
        let Some(identity) = &facts.identity else {
            prop_assert!(matches!(judged, Decision::LogIn(LoginCause::NotSignedIn)));
            return Ok(());
        };
        let request = facts.request();
        let subject = facts.subject(&request);
        let allowed = facts.level >= least
            && matches!(authorize(&policy, &subject), Verdict::Allow(_));
        match judged {
            Decision::Allow(permit) => {
                prop_assert!(allowed);
                prop_assert_eq!(permit.identity(), Some(identity));
                prop_assert_eq!(permit.level(), facts.level);
            }
            Decision::Deny(_) => prop_assert!(!allowed && facts.level >= least),
            Decision::LogIn(cause) => {
                prop_assert_eq!(cause, LoginCause::LevelTooLow);
                prop_assert!(facts.level < least);
            }
        }
    }

    #[test]
    fn a_refused_request_stays_refused_without_its_session(
        access in access(),
        policy in policy(Vocabulary::Everything),
        least in (0_u8..=99).prop_map(level),
        facts in facts(),
    ) {
        let judged = decision(access, &policy, least, &facts);
        let forgotten = Facts { identity: None, ..facts };
        let without = decision(access, &policy, least, &forgotten);
        if !matches!(judged, Decision::Allow(_)) {
            prop_assert!(matches!(without, Decision::LogIn(_)));
        }
    }

    #[test]
    fn a_refused_request_stays_refused_at_a_lower_level_or_from_fewer_groups(
        policy in policy(Vocabulary::Positive),
        least in (0_u8..=99).prop_map(level),
        facts in facts(),
        lower in (0_u8..=99).prop_map(level),
    ) {
        if !matches!(decision(Access::Protected, &policy, least, &facts), Decision::Allow(_)) {
            let mut poorer = facts.clone();
            poorer.level = facts.level.min(lower);
            if let Some(identity) = &mut poorer.identity {
                identity.groups.pop();
            }
            let judged = decision(Access::Protected, &policy, least, &poorer);
            prop_assert!(!matches!(judged, Decision::Allow(_)));
        }
    }
}

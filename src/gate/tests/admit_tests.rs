//! Whom the gate admits: by which cookies, at which level, and what counts as an access.

use super::*;

#[tokio::test]
async fn a_live_session_is_admitted_and_its_access_noted() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let decision = post.admit(&[post.cookie(&session, APP)]).await;
    let Decision::Allow(permit) = decision else {
        panic!("{decision:?}");
    };
    assert_eq!(permit.session().unwrap().facts, session.facts);
    assert_eq!(permit.identity(), Some(&session.identity));
    assert_eq!(post.engine.touched(), [sso(1)]);
}

#[tokio::test]
async fn without_a_cookie_of_a_live_session_somebody_has_to_sign_in() {
    let post = Post::new();
    let session = session(1);
    let cookies = [
        Vec::new(),
        vec![b"other=1; x".to_vec()],
        vec![post.cookie(&session, APP)],
    ];
    for cookies in cookies {
        let decision = post.admit(&cookies).await;
        let expected = LoginCause::NotSignedIn;
        assert!(matches!(decision, Decision::LogIn(cause) if cause == expected));
    }
    assert!(post.engine.touched().is_empty());
}

#[tokio::test]
async fn a_cookie_of_another_host_does_not_open_m_015() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    assert!(!post.is_admitted(&[post.cookie(&session, SHOP)]).await);
    assert!(
        !post
            .is_admitted(&[post.cookie(&session, "login.test")])
            .await
    );
    assert_eq!(post.engine.looked_up.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_cookie_of_another_deployment_is_not_read_d_24() {
    let (post, other) = (Post::new(), Post::of_deployment("other"));
    let session = session(1);
    post.engine.begin(&session);
    let foreign = other.cookie(&session, APP);
    assert!(!post.is_admitted(std::slice::from_ref(&foreign)).await);
    let renamed = String::from_utf8(foreign).unwrap();
    let renamed = renamed.replace("authn-other", "authn-main").into_bytes();
    assert!(!post.is_admitted(&[renamed]).await, "its name is sealed in");
    assert_eq!(post.engine.looked_up.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_does_not_open_is_no_cookie_mdc_cookie_6() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let binding_host = host(APP);
    let binding = post.gate.authn_binding(&binding_host);
    let foreign_key = key_ring([8; 32]).seal_claims(&binding, [0; 12], &authn(&session));
    let token = post.sealed_token(&post.token(&session), APP);
    let good = String::from_utf8(post.cookie(&session, APP)).unwrap();
    let good = good.split_once('=').unwrap().1.to_owned();
    let values = [
        String::new(),
        "junk".to_owned(),
        "=".to_owned(),
        foreign_key,
        token,
        good.chars().skip(1).collect(),
        format!("{good}A"),
        format!("\"{good}\""),
        good.to_ascii_lowercase(),
    ];
    for value in &values {
        let cookie = pair(&post.gate.names.authn, value);
        assert!(!post.is_admitted(&[cookie]).await, "{value}");
    }
    let not_utf8 = [post.gate.names.authn.as_bytes(), b"=\xff\xfe"].concat();
    assert!(!post.is_admitted(&[not_utf8]).await);
}

#[tokio::test]
async fn a_cookie_that_is_not_believed_is_counted_and_one_that_has_lapsed_is_not_mdc_cookie_6() {
    let post = Post::with(|settings| settings.authn_lifetime = Some(15 * MINUTE));
    let session = session(1);
    post.engine.begin(&session);
    let counted = || post.gate.keys.rejected().map(|(_, count)| count);
    post.is_admitted(&[post.cookie(&session, APP)]).await;
    let lapsed = post.cookie_at(&session, APP, post.now().before(15 * MINUTE));
    post.is_admitted(&[lapsed]).await;
    assert_eq!(counted(), [0, 0, 0]);
    post.is_admitted(&[pair(&post.gate.names.authn, "junk")])
        .await;
    post.is_admitted(&[post.cookie(&session, SHOP)]).await;
    assert_eq!(counted(), [2, 0, 0]);
    let told = |kind| {
        post.audit
            .0
            .lock()
            .iter()
            .filter(|event| event.kind == kind)
            .count()
    };
    assert_eq!(told(EventKind::CookieNotOpened), 2);
    let ahead = post.now().after(MINUTE);
    post.is_admitted(&[post.cookie_at(&session, APP, ahead)])
        .await;
    assert_eq!(counted(), [3, 0, 0]);
}

#[tokio::test]
async fn a_cookie_from_further_in_the_future_than_clocks_differ_is_none_s_22() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let allowed = post.now().after(Duration::from_secs(30));
    assert!(
        post.is_admitted(&[post.cookie_at(&session, APP, allowed)])
            .await
    );
    let beyond = post.cookie_at(&session, APP, allowed.after(MILLISECOND));
    assert!(!post.is_admitted(std::slice::from_ref(&beyond)).await);
    post.pass(MILLISECOND);
    assert!(post.is_admitted(&[beyond]).await);
}

#[tokio::test]
async fn of_several_authn_cookies_the_first_whose_session_serves_counts_d_24() {
    let post = Post::new();
    let (dead, live) = (session(1), session(2));
    post.engine.begin(&live);
    let mut line = pair(&post.gate.names.authn, "junk");
    for session in [&dead, &live] {
        line.extend_from_slice(b"; ");
        line.extend_from_slice(&post.cookie(session, APP));
    }
    assert!(post.is_admitted(&[line]).await);
    assert_eq!(post.engine.touched(), [sso(2)]);
}

#[tokio::test]
async fn no_more_cookies_of_one_name_are_tried_than_four() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let mut cookies = vec![pair(&post.gate.names.authn, "junk"); 3];
    cookies.push(post.cookie(&session, APP));
    assert!(post.is_admitted(&cookies).await);
    cookies.insert(0, pair(&post.gate.names.authn, "junk"));
    assert!(!post.is_admitted(&cookies).await);
}

#[tokio::test]
async fn what_the_engine_cannot_tell_at_once_is_asked_for() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    post.engine.far_away.store(true, Ordering::SeqCst);
    assert!(post.is_admitted(&[post.cookie(&session, APP)]).await);
    post.engine.forget(&session);
    assert!(!post.is_admitted(&[post.cookie(&session, APP)]).await);
}

#[tokio::test]
async fn a_refused_request_is_no_access_s_20() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let (nobody, denied) = (Policy::default(), one_rule(Effect::Deny));
    let cookies = [post.cookie(&session, APP)];
    let decision = post.admit_to(&asked(&nobody), &cookies).await;
    assert!(matches!(
        decision,
        Decision::Deny(Denial { rule: None, .. })
    ));
    let decision = post.admit_to(&asked(&denied), &cookies).await;
    assert!(matches!(
        decision,
        Decision::Deny(Denial { rule: Some(0), .. })
    ));
    assert!(post.engine.touched().is_empty());
}

#[tokio::test]
async fn the_level_that_counts_is_the_smaller_of_cookie_and_session_s_12() {
    for (in_cookie, in_session) in [(20, 50), (50, 20)] {
        let post = Post::new();
        let mut known = session(1);
        known.facts.level = level(in_session);
        post.engine.begin(&known);
        known.facts.level = level(in_cookie);
        let cookies = [post.cookie(&known, APP)];
        let policy = everyone();
        let needs = |least| Asked {
            level: level(least),
            ..asked(&policy)
        };
        let admitted = post.admit_to(&needs(20), &cookies).await;
        assert!(matches!(admitted, Decision::Allow(permit) if permit.level() == level(20)));
        for beyond in [21, 50] {
            let sent = post.admit_to(&needs(beyond), &cookies).await;
            assert!(matches!(sent, Decision::LogIn(LoginCause::LevelTooLow)));
        }
    }
}

#[tokio::test]
async fn a_request_that_is_no_activity_is_served_and_renews_nothing_d_19() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let policy = everyone();
    let cookies = [post.cookie(&session, APP)];
    let poll = Asked {
        activity: Activity::None,
        ..asked(&policy)
    };
    let served = post.admit_to(&poll, &cookies).await;
    assert!(matches!(served, Decision::Allow(permit) if permit.session().is_some()));
    assert!(post.engine.touched().is_empty());
    post.admit_to(&asked(&policy), &cookies).await;
    assert_eq!(post.engine.touched(), [sso(1)]);
}

#[tokio::test]
async fn a_cookie_that_was_renewed_without_activity_vouches_for_the_access_before_d_19() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let used = post.now();
    post.pass(Duration::from_secs(60));
    let cookie = AuthnCookie {
        issued: post.now(),
        last_access: Some(used),
        ..authn(&session)
    };
    let app = host(APP);
    let value = post.gate.seal(&post.gate.authn_binding(&app), &cookie);
    post.admit(&[pair(&post.gate.names.authn, &value)]).await;
    assert_eq!(post.engine.claims.lock()[0].last_access, Some(used));
}

#[tokio::test]
async fn an_excluded_route_asks_no_engine_and_passes_no_identity_on() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let policy = Policy::default();
    let asked = Asked {
        access: Access::Excluded,
        ..asked(&policy)
    };
    let cookies = [post.cookie(&session, APP)];
    let decision = post.admit_to(&asked, &cookies).await;
    assert!(matches!(decision, Decision::Allow(permit) if permit.session().is_none()));
    assert_eq!(post.engine.looked_up.load(Ordering::SeqCst), 0);
    assert!(post.engine.touched().is_empty());
}

#[tokio::test]
async fn an_unprotected_route_passes_an_identity_on_if_there_is_one() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let policy = Policy::default();
    let asked = Asked {
        access: Access::Unprotected,
        ..asked(&policy)
    };
    let signed_in = post.admit_to(&asked, &[post.cookie(&session, APP)]).await;
    assert!(matches!(signed_in, Decision::Allow(permit) if permit.session().is_some()));
    assert_eq!(post.engine.touched(), [sso(1)]);
    let anonymous = post.admit_to(&asked, &[]).await;
    assert!(matches!(anonymous, Decision::Allow(permit) if permit.session().is_none()));
}

#[tokio::test]
async fn an_end_between_the_decision_and_the_registration_is_noticed_s_17() {
    let post = Post::new();
    let (first, second) = (session(1), session(2));
    post.engine.begin(&first);
    assert!(post.is_admitted(&[post.cookie(&first, APP)]).await);
    assert!(post.gate.still_serves(&sso(1)));
    post.engine.forget(&first);
    post.engine.begin(&second);
    assert!(!post.gate.still_serves(&sso(1)));
    assert!(post.gate.still_serves(&sso(2)));
}

#[tokio::test]
async fn an_authn_cookie_lapses_and_is_then_as_good_as_absent_mdc_cookie_3_m_078() {
    let post = Post::with(|settings| settings.authn_lifetime = Some(15 * MINUTE));
    let session = session(1);
    post.engine.begin(&session);
    let cookies = [post.cookie(&session, APP)];
    post.pass((15 * MINUTE).checked_sub(MILLISECOND).unwrap());
    assert!(post.is_admitted(&cookies).await);
    post.pass(MILLISECOND);
    let decision = post.admit(&cookies).await;
    let expected = LoginCause::NotSignedIn;
    assert!(matches!(decision, Decision::LogIn(cause) if cause == expected));
    assert_eq!(post.engine.touched().len(), 1);
    assert!(post.is_admitted(&[post.cookie(&session, APP)]).await);
}

#[tokio::test]
async fn an_authn_cookie_without_a_validity_of_its_own_is_good_as_long_as_its_session() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let cookies = [post.cookie(&session, APP)];
    post.pass(999 * MINUTE);
    assert!(post.is_admitted(&cookies).await);
}

#[tokio::test]
async fn the_allowance_for_a_clock_that_runs_ahead_is_configured_mdc_cookie_6_s_22() {
    let post = Post::with(|settings| settings.skew_allowance = 2 * MINUTE);
    let session = session(1);
    post.engine.begin(&session);
    let allowed = post.now().after(2 * MINUTE);
    for (issued, admitted) in [(allowed, true), (allowed.after(MILLISECOND), false)] {
        let cookies = [post.cookie_at(&session, APP, issued)];
        assert_eq!(post.is_admitted(&cookies).await, admitted);
    }
}

#[tokio::test]
async fn an_authn_cookie_claims_the_record_that_it_was_issued_for_mdc_cookie_3() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    post.admit(&[post.cookie(&session, APP)]).await;
    let expected = Claim {
        facts: session.facts.clone(),
        cluster: cluster("north"),
        session: session.id,
        hints: Vec::new(),
        last_access: Some(post.now()),
        presented: Presented {
            at: Place::Application,
            client_address: ADDRESS,
            limits: HostLimits::NONE,
        },
    };
    assert_eq!(*post.engine.claims.lock(), [expected]);
}

#[tokio::test]
async fn an_authorisation_never_rewrites_the_authn_cookie_mdc_cookie_3_x_06() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let policy = everyone();
    let cookies = [post.cookie(&session, APP)];
    let admission = post.admission(&asked(&policy), &cookies).await;
    assert!(matches!(admission.decision, Decision::Allow(_)));
    assert_eq!(admission.gito, None);
}

#[tokio::test]
async fn a_cookie_that_speaks_of_another_user_is_a_challenge_and_is_told_s_3() {
    let post = Post::new();
    let session = session(1);
    *post.engine.why.lock() = Some(NotLive::Mismatched);
    assert!(!post.is_admitted(&[post.cookie(&session, APP)]).await);
    let events = post.audit.0.lock();
    let [event] = events.as_slice() else {
        panic!("one event: {events:?}")
    };
    assert_eq!(event.kind, EventKind::CookieMismatched);
    let user = ("user", session.facts.subject.to_string());
    assert!(event.details.contains(&user), "{event:?}");
}

/// What a connection remembers spares the opening, and nothing else.
#[tokio::test]
async fn a_cookie_that_a_connection_remembers_is_judged_each_time() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let (memory, policy) = (OpenedCookie::default(), everyone());
    let (cookie, other) = (post.cookie(&session, APP), post.cookie(&session, SHOP));
    let shop = host(SHOP);
    let ask = async |cookie: &[u8], at: Option<&HostName>| {
        let cookies = [cookie];
        let plain = caller(&cookies);
        let caller = Caller {
            host: at.unwrap_or(plain.host),
            opened: Some(&memory),
            ..plain
        };
        let admission = post.gate.admit(&asked(&policy), &caller).await;
        matches!(admission.decision, Decision::Allow(_))
    };
    assert!(ask(&cookie, None).await && ask(&cookie, None).await);
    assert!(!ask(&cookie, Some(&shop)).await, "it is of another host");
    assert!(!ask(&other, None).await, "so is this");
    assert!(ask(&other, Some(&shop)).await && ask(&cookie, None).await);
    let mut forged = cookie.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(!ask(&forged, None).await, "a byte differs");
    assert!(ask(&cookie, None).await);
    post.engine.live.lock().clear();
    assert!(!ask(&cookie, None).await, "its session is over");
    post.engine.begin(&session);
    assert!(ask(&cookie, None).await);
    let retired = RingFile::first(&[9; 32].into(), BEGINNING);
    post.gate.keys.replace(&retired);
    assert!(!ask(&cookie, None).await, "its key is retired");
}

#[tokio::test]
async fn a_cookie_that_a_connection_remembers_lapses_mdc_cookie_3() {
    let post = Post::with(|settings| settings.authn_lifetime = Some(MINUTE));
    let session = session(1);
    post.engine.begin(&session);
    let (memory, policy) = (OpenedCookie::default(), everyone());
    let cookie = post.cookie(&session, APP);
    let cookies = [cookie.as_slice()];
    let caller = Caller {
        opened: Some(&memory),
        ..caller(&cookies)
    };
    let asked = asked(&policy);
    let first = post.gate.admit(&asked, &caller).await;
    assert!(matches!(first.decision, Decision::Allow(_)));
    post.pass(2 * MINUTE);
    let later = post.gate.admit(&asked, &caller).await;
    assert!(matches!(later.decision, Decision::LogIn(_)));
}

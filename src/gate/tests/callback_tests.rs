//! The one-step token that comes back: whose it is, how long and how often it is good.

use super::*;

#[tokio::test]
async fn a_good_token_becomes_an_authn_cookie_s_24() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let sealed = post.sealed_token(&post.token(&session), APP);
    let reply = post
        .callback(&[post.nonce_cookie(NONCE)], Some(&sealed))
        .await;
    assert_eq!(reply.kind, redirect("/deep?link=1"));
    let cookies = cookies_of(&reply);
    assert_eq!(cookies.len(), 1);
    assert!(post.is_admitted(&cookies).await);
    assert_eq!(*post.engine.visited.lock(), [(sso(1), host(APP))]);
    let set = reply.cookies.first().unwrap();
    assert!(set.starts_with("__Host-portway-authn-main="), "{set}");
    for attribute in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(set.contains(attribute), "{set} (MDC-COOKIE-5)");
    }
}

#[tokio::test]
async fn a_token_is_used_once_s_24() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let sealed = post.sealed_token(&post.token(&session), APP);
    let browser = [post.nonce_cookie(NONCE)];
    assert_eq!(
        post.callback(&browser, Some(&sealed)).await.cookies.len(),
        1
    );
    let again = post.callback(&browser, Some(&sealed)).await;
    assert_eq!(again, Reply::new(redirect("/deep?link=1")));
}

#[tokio::test]
async fn a_token_of_another_browser_sets_nothing_and_is_not_spent_s_24() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let sealed = post.sealed_token(&post.token(&session), APP);
    let stranger = post.nonce_cookie(Nonce::from_bytes([0xA2; 16]));
    let junk = pair(&post.gate.names.nonce, "junk");
    for cookies in [vec![stranger], vec![junk], Vec::new()] {
        let reply = post.callback(&cookies, Some(&sealed)).await;
        assert_eq!(reply, Reply::new(redirect("/deep?link=1")));
    }
    assert!(post.engine.spent.lock().is_empty());
    assert!(post.engine.visited.lock().is_empty());
    let reply = post
        .callback(&[post.nonce_cookie(NONCE)], Some(&sealed))
        .await;
    assert_eq!(reply.cookies.len(), 1);
}

#[tokio::test]
async fn a_token_is_good_until_it_expires_s_24() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let mut token = post.token(&session);
    let browser = [post.nonce_cookie(NONCE)];
    post.pass(MINUTE);
    let late = post.sealed_token(&token, APP);
    let reply = post.callback(&browser, Some(&late)).await;
    assert_eq!(reply, Reply::new(redirect("/deep?link=1")));
    assert!(post.engine.spent.lock().is_empty());
    token.expires = token.expires.after(MILLISECOND);
    let in_time = post.sealed_token(&token, APP);
    assert_eq!(
        post.callback(&browser, Some(&in_time)).await.cookies.len(),
        1
    );
}

#[tokio::test]
async fn a_session_that_ended_meanwhile_gets_no_cookie_s_17() {
    let post = Post::new();
    let sealed = post.sealed_token(&post.token(&session(1)), APP);
    for why in [None, Some(NotLive::Ended), Some(NotLive::Idle)] {
        *post.engine.why.lock() = why;
        let reply = post
            .callback(&[post.nonce_cookie(NONCE)], Some(&sealed))
            .await;
        assert!(reply.cookies.is_empty());
        // The collector may not know yet, and is not to hand it over again.
        let request = post.request_in(&reply);
        assert_eq!(request.freshness, Freshness::Now);
        assert_eq!(request.target, "/deep?link=1");
        assert_eq!(request.seen, Seen::Over);
    }
}

#[tokio::test]
async fn a_hop_that_asks_for_a_sign_in_asks_for_one_and_takes_what_comes_of_it_mdc_adopt_4() {
    let post = Post::new();
    let session = session(1);
    *post.engine.why.lock() = Some(NotLive::Reauthenticate);
    let mut token = post.token(&session);
    let sealed = post.sealed_token(&token, APP);
    let browser = [post.nonce_cookie(NONCE)];
    let reply = post.callback(&browser, Some(&sealed)).await;
    assert_eq!(post.request_in(&reply).freshness, Freshness::Now);
    let places = || {
        let mut claims = post.engine.claims.lock();
        let asked = std::mem::take(&mut *claims);
        asked.iter().map(|claim| claim.presented.at).next_back()
    };
    assert_eq!(places(), Some(Place::Application));
    token.freshness = Freshness::Now;
    let sealed = post.sealed_token(&token, APP);
    let reply = post.callback(&browser, Some(&sealed)).await;
    let place = host(APP);
    assert_eq!(
        reply,
        Reply::new(ReplyKind::NotAccepted { place }),
        "nobody is asked twice"
    );
    assert_eq!(places(), Some(Place::Arrival));
    post.engine.begin(&session);
    let reply = post.callback(&browser, Some(&sealed)).await;
    assert_eq!(reply.kind, redirect("/deep?link=1"));
    assert_eq!(places(), Some(Place::Arrival));
}

#[tokio::test]
async fn clocks_too_far_apart_end_on_a_page_that_says_so_s_22_d_10() {
    let post = Post::new();
    *post.engine.why.lock() = Some(NotLive::Skew);
    let mut token = post.token(&session(1));
    let browser = [post.nonce_cookie(NONCE)];
    for freshness in [Freshness::Earlier, Freshness::Now] {
        token.freshness = freshness;
        let sealed = post.sealed_token(&token, APP);
        let reply = post.callback(&browser, Some(&sealed)).await;
        let expected = ReplyKind::ClocksDiffer {
            place: host(APP),
            again: "/deep?link=1".to_owned(),
        };
        assert_eq!(reply, Reply::new(expected));
    }
    assert!(post.engine.spent.lock().is_empty());
}

#[tokio::test]
async fn silence_ends_on_a_page_that_tries_the_same_token_again_mdc_fail_3_s_24() {
    let post = Post::new();
    let session = session(1);
    let sealed = post.sealed_token(&post.token(&session), APP);
    let browser = [post.nonce_cookie(NONCE)];
    for why in [
        NotLive::Unanswered,
        NotLive::LeaseOver,
        NotLive::HeldElsewhere,
    ] {
        *post.engine.why.lock() = Some(why);
        let reply = post.callback(&browser, Some(&sealed)).await;
        let again = format!("/.portway/callback?t={sealed}");
        let place = host(APP);
        assert_eq!(reply, Reply::new(ReplyKind::Unconfirmed { place, again }));
    }
    for why in [NotLive::Refused, NotLive::Mismatched] {
        *post.engine.why.lock() = Some(why);
        let reply = post.callback(&browser, Some(&sealed)).await;
        let place = host(APP);
        assert_eq!(reply, Reply::new(ReplyKind::NotAccepted { place }));
    }
    assert!(post.engine.spent.lock().is_empty());
    post.engine.begin(&session);
    let reply = post.callback(&browser, Some(&sealed)).await;
    assert_eq!(reply.kind, redirect("/deep?link=1"));
    assert_eq!(reply.cookies.len(), 1);
}

#[tokio::test]
async fn a_session_that_serves_beats_a_token_whose_own_does_not_d_9() {
    let post = Post::new();
    let other = session(2);
    post.engine.begin(&other);
    *post.engine.why.lock() = Some(NotLive::Unanswered);
    let sealed = post.sealed_token(&post.token(&session(1)), APP);
    let browser = [post.nonce_cookie(NONCE), post.cookie(&other, APP)];
    let reply = post.callback(&browser, Some(&sealed)).await;
    assert_eq!(reply, Reply::new(redirect("/deep?link=1")));
}

#[tokio::test]
async fn the_authn_cookie_is_of_the_time_of_its_own_gate_s_22_mdc_cookie_6() {
    let hard = 2 * MINUTE;
    for ahead in [Duration::ZERO, hard] {
        let post = Post::with(|settings| settings.skew_hard = hard);
        let session = session(1);
        post.engine.begin(&session);
        let mut token = post.token(&session);
        token.cookie.issued = post.now().after(ahead);
        token.expires = post.now().after(ahead + MINUTE);
        let sealed = post.sealed_token(&token, APP);
        let browser = [post.nonce_cookie(NONCE)];
        let reply = post.callback(&browser, Some(&sealed)).await;
        let cookies = cookies_of(&reply);
        assert_eq!(cookies.len(), 1);
        assert!(post.is_admitted(&cookies).await, "{ahead:?}");
    }
}

#[tokio::test]
async fn a_token_of_a_clock_that_is_behind_is_good_within_the_hard_limit_and_once_s_22_s_24() {
    let hard = 2 * MINUTE;
    let post = Post::with(|settings| settings.skew_hard = hard);
    let session = session(1);
    post.engine.begin(&session);
    let mut token = post.token(&session);
    token.expires = post.now();
    let sealed = post.sealed_token(&token, APP);
    let browser = [post.nonce_cookie(NONCE)];
    post.pass(hard);
    let late = post.callback(&browser, Some(&sealed)).await;
    assert_eq!(late, Reply::new(redirect("/deep?link=1")));
    token.expires = post.now().before(hard).after(MILLISECOND);
    let sealed = post.sealed_token(&token, APP);
    assert_eq!(
        post.callback(&browser, Some(&sealed)).await.cookies.len(),
        1
    );
    let again = post.callback(&browser, Some(&sealed)).await;
    assert_eq!(again, Reply::new(redirect("/deep?link=1")));
}

#[tokio::test]
async fn what_is_no_token_of_this_host_leads_to_the_front_page() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    let token = post.token(&session);
    let of_other_host = post.sealed_token(&token, SHOP);
    let binding_host = host(APP);
    let of_other_kind = post
        .gate
        .seal(&post.gate.authn_binding(&binding_host), &token);
    let sealed = [
        None,
        Some(""),
        Some("junk"),
        Some(of_other_host.as_str()),
        Some(of_other_kind.as_str()),
    ];
    for sealed in sealed {
        let reply = post.callback(&[post.nonce_cookie(NONCE)], sealed).await;
        assert_eq!(reply, Reply::new(redirect("/")), "{sealed:?}");
    }
    assert!(post.engine.spent.lock().is_empty());
}

/// An application host holds an authn and a nonce cookie; neither grows with the groups.
#[tokio::test]
async fn all_cookies_of_an_application_host_stay_under_a_kibibyte_d_1() {
    let deployment = "d".repeat(DeploymentId::BYTES_MAX);
    let post = Post::of_deployment(&deployment);
    let mut largest = session(1);
    largest.facts.subject = UserName::parse(&"u".repeat(UserName::BYTES_MAX)).unwrap();
    largest.facts.store = StoreName::parse(&"s".repeat(StoreName::BYTES_MAX)).unwrap();
    post.engine.begin(&largest);
    let mut token = post.token(&largest);
    token.cookie.cluster = ClusterId::parse(&"c".repeat(ClusterId::BYTES_MAX)).unwrap();
    let sealed = post.sealed_token(&token, APP);
    let nonce = post.nonce_cookie(NONCE);
    let reply = post
        .callback(std::slice::from_ref(&nonce), Some(&sealed))
        .await;
    let mut line = cookies_of(&reply).concat();
    line.extend_from_slice(b"; ");
    line.extend_from_slice(&nonce);
    assert!(line.len() < 1024, "{} bytes", line.len());
}

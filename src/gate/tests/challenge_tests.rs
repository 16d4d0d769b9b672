//! Asking for a sign-in: browsers go to the collector and find back, programs are told.

use super::*;
use crate::decision::hand_over::demanded;
use crate::gate::challenge::page_behind;

#[test]
fn a_browser_is_sent_to_the_collector_with_what_it_wanted() {
    let post = Post::new();
    let reply = post.challenge(&[], "/deep?link=1");
    let request = post.request_in(&reply);
    assert_eq!(request.host, host(APP));
    assert_eq!(request.target, "/deep?link=1");
    assert_eq!(request.level, level(20));
    assert_eq!(request.issued, post.now());
    let cookie = post.nonce_cookie(request.nonce);
    assert_eq!(cookies_of(&reply), [cookie], "it is bound to this browser");
}

#[test]
fn one_nonce_cookie_serves_any_number_of_tabs_d_9() {
    let post = Post::new();
    let first = post.challenge(&[], "/one");
    let cookies = cookies_of(&first);
    let second = post.challenge(&cookies, "/two");
    assert!(second.cookies.is_empty());
    assert_eq!(post.request_in(&second).target, "/two");
    let nonce = post.request_in(&second).nonce;
    assert!(nonce.matches(&post.request_in(&first).nonce));
}

#[test]
fn a_nonce_cookie_that_is_none_is_replaced() {
    let post = Post::new();
    for value in ["", "junk", "AAAAAAAAAAAAAAAAAAAAAA=="] {
        let junk = pair(&post.gate.names.nonce, value);
        let reply = post.challenge(&[junk], "/");
        assert_eq!(reply.cookies.len(), 1, "{value}");
    }
}

#[test]
fn every_sealing_has_a_nonce_of_its_own() {
    let post = Post::new();
    let cookies = cookies_of(&post.challenge(&[], "/"));
    let sealed: HashSet<_> = (0..500)
        .map(|_| sealed_in(&post.challenge(&cookies, "/"), LOGIN))
        .collect();
    assert_eq!(sealed.len(), 500);
}

#[test]
fn what_may_not_stand_in_a_location_comes_back_to_the_front_page_d_18() {
    let post = Post::new();
    let longest = format!("/{}", "x".repeat(6 * 1024 - 1));
    let too_long = format!("{longest}x");
    for target in ["/", "/a?b=c&d", "/a//b", "/%0d%0a", longest.as_str()] {
        assert_eq!(post.request_in(&post.challenge(&[], target)).target, target);
    }
    let odd = [
        "",
        "*",
        "@evil.test/",
        ".evil.test/",
        ":6666/",
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test/",
        "/a b",
        "/a\r\nSet-Cookie: x",
        "/\u{fc}ber",
        too_long.as_str(),
    ];
    for target in odd {
        let request = post.request_in(&post.challenge(&[], target));
        assert_eq!(request.target, "/", "{target:?}");
    }
    let too_long = format!("/a?{too_long}");
    for (target, back) in [("/a?b=\\", "/a?b=%5C"), (too_long.as_str(), "/a")] {
        let request = post.request_in(&post.challenge(&[], target));
        assert_eq!(request.target, back, "{target:?}");
    }
}

#[test]
fn the_longest_target_still_fits_what_is_opened_later() {
    let post = Post::new();
    let longest = format!("/{}", "x".repeat(6 * 1024 - 1));
    let mut token = post.token(&session(1));
    token.target = longest;
    let sealed = post.sealed_token(&token, APP);
    let opened = post.gate.keys.open_claims(&token_binding(APP), &sealed);
    assert_eq!(opened, Some(token));
}

#[test]
fn a_program_is_told_where_to_sign_in_and_gets_no_cookie_d_8() {
    let post = Post::new();
    let reply = post.gate.challenge(&Challenged {
        host: &host(SHOP),
        target: "/api",
        asker: Asker::Program,
        level: AuthLevel::NONE,
        cookies: &[],
        bearer: caller(&[]).bearer(),
        freshness: Freshness::Earlier,
        limits: HostLimits::NONE,
        activity: Activity::Counts,
        refused: None,
        post: None,
    });
    let sign_in = "https://shop.apps.test:8443/.portway/sign-in?return=/api".to_owned();
    assert_eq!(reply, Reply::new(ReplyKind::SignInRequired { sign_in }));
}

#[test]
fn without_a_collector_nobody_gets_in() {
    let post = Post::with_origins("main", Origins::new(None, served()));
    let reply = post.challenge(&[], "/");
    let sign_in = String::new();
    assert_eq!(reply, Reply::new(ReplyKind::SignInRequired { sign_in }));
}

/// What the collector is told when a browser comes with these cookies.
fn seen(post: &Post, cookies: &[Vec<u8>], refused: Option<NotLive>) -> Seen {
    let cookies = lines(cookies);
    let reply = post.gate.challenge(&Challenged {
        host: &host(APP),
        target: "/",
        asker: Asker::Navigation,
        level: AuthLevel::NONE,
        cookies: &cookies,
        bearer: caller(&[]).bearer(),
        freshness: Freshness::Earlier,
        limits: HostLimits::NONE,
        activity: Activity::Counts,
        refused,
        post: None,
    });
    post.request_in(&reply).seen
}

#[test]
fn the_collector_learns_what_came_with_the_browser_d_10() {
    let post = Post::new();
    let nonce = post.nonce_cookie(NONCE);
    assert_eq!(seen(&post, &[], None), Seen::Nothing);
    assert_eq!(
        seen(&post, std::slice::from_ref(&nonce), None),
        Seen::NonceOnly
    );
    let junk = pair(&post.gate.names.authn, "junk");
    assert_eq!(seen(&post, &[nonce, junk], None), Seen::Unreadable);
    let good = post.cookie(&session(1), APP);
    assert_eq!(seen(&post, std::slice::from_ref(&good), None), Seen::Good);
    let early = post.cookie_at(&session(1), APP, post.now().after(MINUTE));
    assert_eq!(seen(&post, &[early], None), Seen::ClocksDiffer);
    let strayed = post.cookie_of_another(&session(1));
    assert_eq!(seen(&post, &[strayed], None), Seen::Strayed);
    for (why, told) in [
        (NotLive::Unanswered, Seen::Unconfirmed),
        (NotLive::Ended, Seen::Over),
    ] {
        assert_eq!(seen(&post, std::slice::from_ref(&good), Some(why)), told);
    }
}

#[tokio::test]
async fn admission_says_why_a_cookie_was_not_honoured_mdc_adopt_4() {
    let post = Post::new();
    let cookie = post.cookie(&session(1), APP);
    *post.engine.why.lock() = Some(NotLive::Reauthenticate);
    let policy = everyone();
    let admission = post.admission(&asked(&policy), &[cookie]).await;
    assert_eq!(admission.refused, Some(NotLive::Reauthenticate));
    assert_eq!(demanded(admission.refused), Freshness::Now);
    let admission = post.admission(&asked(&policy), &[]).await;
    assert_eq!(demanded(admission.refused), Freshness::Earlier);
}

#[test]
fn only_a_page_of_the_same_host_is_come_back_to_d_8() {
    let page = |referer| page_behind(Some(referer), "https://app.test");
    assert_eq!(
        page("https://app.test/list?of=all&page=2#row"),
        "/list?of=all&page=2"
    );
    for elsewhere in [
        "https://app.test",
        "https://app.test.evil.test/x",
        "https://app.test@evil.test/",
        "https://evil.test/x",
        "http://app.test/x",
        "https://app.test//evil.test/",
        "https://app.test/\\evil.test",
        "https://app.test/.portway/logout",
        "",
    ] {
        assert_eq!(page(elsewhere), "/", "{elsewhere}");
    }
    assert_eq!(page_behind(None, "https://app.test"), "/");
}

//! Signing out at an application host, and clearing its cookies when a sign-out passes by.

use super::*;

const TO_COLLECTOR: &str = "https://login.test:8443/.portway/logout?c=";

#[tokio::test]
async fn a_sign_out_ends_the_session_and_goes_on_to_the_collector_s_14() {
    let post = Post::new();
    let mut known = session(1);
    known.visited = vec![host(APP), host(SHOP)];
    post.engine.begin(&known);
    let reply = post.sign_out(&[post.cookie(&known, APP)], None).await;
    let expected = SignOut {
        ended: vec![sso(1)],
        hosts: vec![host(SHOP)],
        provider: None,
        return_to: None,
        confirmed: Confirmed::Durable,
        data_centres: Vec::new(),
        expires: post.now().after(5 * MINUTE),
    };
    assert_eq!(post.state_in(&reply, TO_COLLECTOR, "login.test"), expected);
    assert_eq!(*post.engine.ended.lock(), [sso(1)]);
    let names = &post.gate.names;
    assert_eq!(cleared_by(&reply), [&names.authn, &names.nonce]);
}

#[tokio::test]
async fn a_sign_out_ends_every_session_presented_known_or_not_s_18() {
    let post = Post::new();
    let (known, unknown, foreign) = (session(1), session(2), session(3));
    post.engine.begin(&known);
    post.engine.begin(&foreign);
    let cookies = [
        post.cookie(&unknown, APP),
        post.cookie(&known, APP),
        post.cookie(&foreign, SHOP),
    ];
    post.sign_out(&cookies, None).await;
    assert_eq!(*post.engine.ended.lock(), [sso(2), sso(1)]);
}

#[tokio::test]
async fn a_sign_out_ends_the_session_of_a_lapsed_cookie_too_and_each_once_s_18() {
    let post = Post::with(|settings| settings.authn_lifetime = Some(MINUTE));
    let session = session(1);
    post.engine.begin(&session);
    let ahead = post.now().after(9 * MINUTE);
    let cookies = [
        post.cookie(&session, APP),
        post.cookie_at(&session, APP, ahead),
    ];
    post.pass(2 * MINUTE);
    assert!(!post.is_admitted(&cookies).await);
    let reply = post.sign_out(&cookies, None).await;
    assert_eq!(*post.engine.ended.lock(), [sso(1)]);
    let state = post.state_in(&reply, TO_COLLECTOR, "login.test");
    assert_eq!(state.ended, [sso(1)]);
}

#[tokio::test]
async fn what_the_other_data_centres_said_travels_with_the_sign_out_mdc_logout_3() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    *post.engine.peers.lock() = vec![
        (cluster("south"), Confirmed::Durable),
        (cluster("west"), Confirmed::Outstanding),
    ];
    let reply = post.sign_out(&[post.cookie(&session, APP)], None).await;
    let state = post.state_in(&reply, TO_COLLECTOR, "login.test");
    let expected = [
        (cluster("north"), Confirmed::Durable),
        (cluster("south"), Confirmed::Durable),
        (cluster("west"), Confirmed::Outstanding),
    ];
    assert_eq!(state.data_centres, expected);
    assert_eq!(state.confirmed, Confirmed::Durable);
}

#[tokio::test]
async fn each_visited_host_is_cleared_once_whatever_sessions_visited_it() {
    let post = Post::new();
    let sessions = [1, 2].map(|n| {
        let mut known = session(n);
        known.visited = vec![host(SHOP), host(APP)];
        post.engine.begin(&known);
        known
    });
    let cookies = sessions.map(|session| post.cookie(&session, APP));
    let reply = post.sign_out(&cookies, None).await;
    let state = post.state_in(&reply, TO_COLLECTOR, "login.test");
    assert_eq!(state.hosts, [host(SHOP)]);
}

#[tokio::test]
async fn a_browser_that_is_not_signed_in_goes_on_to_the_collector_too() {
    let post = Post::new();
    let reply = post.sign_out(&[], None).await;
    let state = post.state_in(&reply, TO_COLLECTOR, "login.test");
    assert!(state.ended.is_empty());
    assert_eq!(cleared_by(&reply).len(), 2);
}

#[tokio::test]
async fn an_end_that_is_not_durable_travels_with_the_sign_out_s_15() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    post.engine.disk_full.store(true, Ordering::SeqCst);
    let reply = post.sign_out(&[post.cookie(&session, APP)], None).await;
    let state = post.state_in(&reply, TO_COLLECTOR, "login.test");
    assert_eq!(state.confirmed, Confirmed::Outstanding);
}

#[tokio::test]
async fn a_sign_out_that_no_engine_hears_is_told_before_it_goes_on_s_15() {
    let post = Post::new();
    let session = session(1);
    post.engine.begin(&session);
    post.engine.deaf.store(true, Ordering::SeqCst);
    let reply = post.sign_out(&[post.cookie(&session, APP)], None).await;
    let names = &post.gate.names;
    assert_eq!(cleared_by(&reply), [&names.authn, &names.nonce]);
    let ReplyKind::SignOutUnheard(onward) = reply.kind else {
        panic!("{reply:?}");
    };
    let reply = Reply::new(ReplyKind::Redirect(onward));
    let state = post.state_in(&reply, TO_COLLECTOR, "login.test");
    assert_eq!(state.ended, [sso(1)]);
    assert_eq!(state.confirmed, Confirmed::Outstanding);
    assert!(state.data_centres.is_empty(), "nobody has it");
}

#[tokio::test]
async fn a_sign_out_returns_to_served_hosts_only_d_18() {
    let post = Post::new();
    let cases = [
        ("https://app.test/bye", Some("https://app.test/bye")),
        ("https://evil.test/", None),
        ("//evil.test", None),
    ];
    for (asked, kept) in cases {
        let reply = post.sign_out(&[], Some(asked)).await;
        let state = post.state_in(&reply, TO_COLLECTOR, "login.test");
        assert_eq!(state.return_to.as_deref(), kept, "{asked}");
    }
}

#[tokio::test]
async fn without_a_collector_a_sign_out_ends_here() {
    let post = Post::with_origins("main", Origins::new(None, served()));
    let session = session(1);
    post.engine.begin(&session);
    let reply = post.sign_out(&[post.cookie(&session, APP)], None).await;
    assert_eq!(reply.kind, signed_out(Confirmed::Durable));
    assert_eq!(cleared_by(&reply).len(), 2);
    assert_eq!(*post.engine.ended.lock(), [sso(1)]);
}

#[test]
fn a_sign_out_that_passes_by_clears_the_cookies_and_goes_on() {
    let post = Post::new();
    let mut state = post.passing();
    state.hosts = vec![host("gone.test"), host(SHOP), host("a.apps.test")];
    let sealed = post.sealed_state(&state, APP);
    let reply = post.clear(&[post.cookie(&session(1), APP)], Some(&sealed));
    let next = "https://shop.apps.test:8443/.portway/clear?c=";
    let sent = post.state_in(&reply, next, SHOP);
    assert_eq!(sent.hosts, [host("a.apps.test")]);
    assert_eq!(sent.ended, state.ended);
    assert_eq!(sent.expires, state.expires, "a journey is not prolonged");
    let names = &post.gate.names;
    assert_eq!(cleared_by(&reply), [&names.authn, &names.nonce]);
}

#[test]
fn a_sign_out_ends_where_the_user_wanted_or_on_the_collectors_page() {
    let post = Post::new();
    let mut state = post.passing();
    let sealed = post.sealed_state(&state, APP);
    let reply = post.clear(&[], Some(&sealed));
    let page = format!("{LOGIN}/.portway/signed-out?c=");
    let sent = post.state_in(&reply, &page, "login.test");
    assert_eq!(sent, state);
    state.return_to = Some("https://app.test/bye".to_owned());
    let sealed = post.sealed_state(&state, APP);
    let reply = post.clear(&[], Some(&sealed));
    assert_eq!(reply.kind, redirect("https://app.test/bye"));
    assert_eq!(cleared_by(&reply).len(), 2);
}

#[test]
fn a_return_address_does_not_hide_that_an_end_is_not_durable_s_15() {
    let post = Post::new();
    let mut state = post.passing();
    state.return_to = Some("https://app.test/bye".to_owned());
    state.confirmed = Confirmed::Outstanding;
    let sealed = post.sealed_state(&state, APP);
    let reply = post.clear(&[], Some(&sealed));
    let page = format!("{LOGIN}/.portway/signed-out?c=");
    let sent = post.state_in(&reply, &page, "login.test");
    assert_eq!(sent.confirmed, Confirmed::Outstanding);
}

#[test]
fn a_browser_that_signed_in_again_meanwhile_keeps_its_cookie() {
    let post = Post::new();
    let (old, new) = (session(1), session(2));
    post.engine.begin(&old);
    post.engine.begin(&new);
    let sealed = post.sealed_state(&post.passing(), APP);
    let reply = post.clear(&[post.cookie(&new, APP)], Some(&sealed));
    assert!(reply.cookies.is_empty());
    assert!(matches!(reply.kind, ReplyKind::Redirect(_)));
    let reply = post.clear(&[post.cookie(&old, APP)], Some(&sealed));
    assert_eq!(cleared_by(&reply).len(), 2, "it is the one that ended");
    post.engine.forget(&new);
    let reply = post.clear(&[post.cookie(&new, APP)], Some(&sealed));
    assert_eq!(cleared_by(&reply).len(), 2, "it does not live");
}

/// Somebody else's sign-out that is led through this browser costs it nothing.
#[test]
fn a_session_that_is_not_known_here_keeps_its_cookies() {
    let post = Post::new();
    post.engine.far_away.store(true, Ordering::SeqCst);
    let sealed = post.sealed_state(&post.passing(), APP);
    let reply = post.clear(&[post.cookie(&session(2), APP)], Some(&sealed));
    assert!(reply.cookies.is_empty());
    let reply = post.clear(&[post.cookie(&session(1), APP)], Some(&sealed));
    assert_eq!(cleared_by(&reply).len(), 2, "it is the one that ended");
}

#[test]
fn what_is_no_sign_out_of_this_host_clears_nothing() {
    let post = Post::new();
    let state = post.passing();
    let elsewhere = post.sealed_state(&state, SHOP);
    let fresh = post.sealed_state(&state, APP);
    post.pass(5 * MINUTE);
    let cookies = [post.cookie(&session(1), APP)];
    let sealed = [
        None,
        Some("junk"),
        Some(elsewhere.as_str()),
        Some(fresh.as_str()),
    ];
    for sealed in sealed {
        let reply = post.clear(&cookies, sealed);
        assert_eq!(reply, Reply::new(redirect("/")), "{sealed:?}");
    }
}

/// A browser follows about twenty redirects in a row; a page in between begins a new row.
#[test]
fn however_many_hosts_were_visited_a_browser_arrives() {
    let post = Post::new();
    let mut state = post.passing();
    state.hosts = (0..64).map(|n| host(&format!("h{n}.apps.test"))).collect();
    let mut at = host(APP);
    let mut sealed = post.sealed_state(&state, APP);
    let (mut in_a_row, mut cleared) = (0, 0);
    loop {
        let caller = Caller {
            host: &at,
            ..caller(&[])
        };
        let reply = post.gate.clear(&caller, Some(&sealed));
        cleared += 1;
        let location = if let ReplyKind::Onward(location) = &reply.kind {
            in_a_row = 0;
            location.clone()
        } else {
            in_a_row += 1;
            sealed_in(&reply, "")
        };
        assert!(in_a_row < 15, "{in_a_row} redirects in a row");
        let Some((origin, rest)) = location.split_once(":8443/.portway/clear?c=") else {
            assert!(location.starts_with(LOGIN), "{location}");
            break;
        };
        at = host(origin.strip_prefix("https://").unwrap());
        sealed = rest.to_owned();
    }
    assert_eq!(cleared, 65, "this host and all the others");
}

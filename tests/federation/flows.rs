//! The five flows of a session between data centres, step by step (checklist, A.3).

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::Arrival;
use crate::pair::FREE;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::adoptions;
use crate::pair::assert_dead;
use crate::pair::served;
use crate::pair::sign_out;
use crate::pair::visit;
use crate::support::Browser;
use crate::support::Request;

/// The ID cookie as it stands.
fn id_cookie(browser: &Browser) -> String {
    let cookie = browser.jar.find("login.apps.test", "-id-");
    cookie.unwrap().value.clone()
}

/// How many entries of a chain a cookie has more than another. What else is in it takes a byte more or less.
fn entries_more(cookie: &str, than: &str) -> usize {
    (cookie.len() + ENTRY / 2 - than.len()) / ENTRY
}

/// M-013: the login host is one, whichever data centre answers for it.
#[tokio::test]
async fn only_the_login_host_is_sent_the_id_cookie_and_no_application_sees_it_mdc_cookie_1_m_013() {
    let pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    for gateway in [&pair.b, &pair.a] {
        assert_eq!(visit(&mut alice, gateway, OTHER).await, served("alice"));
        let id = alice.jar.find("login.apps.test", "-id-").unwrap().clone();
        assert_eq!((id.domain, id.host.as_str()), (None, "login.apps.test"));
        assert!(id.name.starts_with("__Host-"), "{}", id.name);
        assert!(id.secure && id.http_only);
        for url in [APP, OTHER] {
            let sent = alice.cookies_for(url);
            assert!(!sent.contains(&id.name), "{sent}");
            // Nor does an application, were a browser to send it.
            let sent = format!("{sent}; {}={}; theirs=1", id.name, id.value);
            let request = Request::get(url).header("cookie", &sent);
            alice.go_to(gateway);
            let seen = alice.send(request).await.expect(200);
            assert_eq!(seen.told("cookie"), "theirs=1");
        }
    }
}

/// What a data centre and the session that it holds take in a cookie, roughly.
const ENTRY: usize = 30;

/// F1.1 to F1.10: sign-on goes along, data do not, and nothing ends.
#[tokio::test]
async fn flow_1_a_hop_to_an_application_elsewhere_and_home_again_mdc_adopt_1_mdc_adopt_5() {
    let pair = Pair::start(Plan {
        adoption: "retrieve_data: false",
        ..FREE
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let issued = id_cookie(&alice);
    // An application that she has not been to: the collector of B is shown the cookie that A issued.
    assert_eq!(visit(&mut alice, &pair.b, OTHER).await, served("alice"));
    let chained = id_cookie(&alice);
    assert_ne!(chained, issued, "B adds itself to the chain (MDC-COOKIE-2)");
    assert_eq!(entries_more(&chained, &issued), 1, "X-04");
    assert_eq!(adoptions(&pair.b).await, 1);
    // Home again: its own session is found, with nobody to ask.
    pair.cut();
    alice.jar.forget("app.apps.test", "authn");
    assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
    assert_eq!(
        entries_more(&id_cookie(&alice), &chained),
        0,
        "one for each"
    );
    assert_eq!(adoptions(&pair.a).await, 0);
}

/// F2.1 to F2.10: the session moves, there and back.
#[tokio::test]
async fn flow_2_the_session_moves_to_where_its_user_is_mdc_adopt_2_mdc_adopt_5_mdc_cookie_2() {
    let pair = Pair::start(ANCHORED).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let issued = id_cookie(&alice);
    assert_eq!(visit(&mut alice, &pair.b, OTHER).await, served("alice"));
    let moved = id_cookie(&alice);
    assert_ne!(moved, issued);
    assert_eq!(entries_more(&moved, &issued), 0, "it names B only (X-04)");
    assert_eq!(adoptions(&pair.b).await, 1);
    alice.jar.forget("app.apps.test", "authn");
    assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
    assert_eq!(adoptions(&pair.a).await, 1, "fetched back from B");
    // B has nothing any more that it could serve alone.
    pair.cut();
    assert_eq!(visit(&mut alice, &pair.b, OTHER).await, Arrival::Challenged);
    assert_eq!(visit(&mut alice, &pair.a, OTHER).await, served("alice"));
}

/// F3: as the second, and the session that was left stays.
#[tokio::test]
async fn flow_3_the_data_are_fetched_and_the_session_left_stays_mdc_adopt_3() {
    let pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    assert_eq!(visit(&mut alice, &pair.b, OTHER).await, served("alice"));
    assert_eq!(adoptions(&pair.b).await, 1);
    pair.cut();
    for (gateway, url) in [(&pair.a, APP), (&pair.b, OTHER), (&pair.a, OTHER)] {
        assert_eq!(visit(&mut alice, gateway, url).await, served("alice"));
    }
    assert_eq!(adoptions(&pair.a).await, 0);
}

/// F4.1 to F4.5: the application is at B, the login host answers from A.
#[tokio::test]
async fn flow_4_signed_in_at_one_data_centre_and_authorised_at_another_mdc_adopt_6_s_24() {
    for plan in [FREE, ANCHORED] {
        let pair = Pair::start(plan).await;
        let mut alice = pair.signed_in_at_a("alice").await;
        alice.go_to(&pair.b);
        let to_login = alice.get(OTHER).await.expect(303);
        assert_eq!(to_login.location().host(), "login.apps.test");
        alice.go_to(&pair.a);
        let seamless = alice.follow(&to_login).await.expect(303);
        assert_eq!(seamless.location().host(), "other.apps.test");
        // The token that A made is spent at B, which adopts the session when it authorises.
        alice.go_to(&pair.b);
        let back = alice.follow(&seamless).await;
        let there = alice.follow_all(back).await.expect(200);
        assert_eq!(there.told("remote-user"), "alice");
        assert_eq!(adoptions(&pair.b).await, 1);
        // Later calls find it by the index, whoever answers for logins.
        for _ in 0..3 {
            alice.get(OTHER).await.expect(200);
        }
        assert_eq!(adoptions(&pair.b).await, 1);
        let gito = alice.jar.find("other.apps.test", "gito").unwrap();
        assert_eq!(gito.domain.as_deref(), Some("apps.test"));
        assert!(!there.text().contains("-portway-"), "{}", there.text());
        // A knows by the cookies where the newest session is.
        alice.jar.forget("app.apps.test", "authn");
        assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
    }
}

/// F5.1 to F5.5: every session of the sign-on ends, in every data centre, and every cookie goes.
#[tokio::test]
async fn flow_5_a_logout_ends_the_session_in_every_data_centre_mdc_logout_1() {
    for plan in [FREE, ANCHORED] {
        let pair = Pair::start(plan).await;
        for at in [&pair.a, &pair.b] {
            let mut alice = pair.signed_in_at_a("alice").await;
            assert_eq!(visit(&mut alice, &pair.b, OTHER).await, served("alice"));
            assert_eq!(visit(&mut alice, at, OTHER).await, served("alice"));
            let copy = alice.clone();
            sign_out(&mut alice, at).await;
            assert_eq!(alice.jar.len(), 0, "{:?}", alice.jar);
            assert_dead(&copy, &pair.a).await;
            assert_dead(&copy, &pair.b).await;
        }
    }
}

//! Cookies that are bound to the network or the program of the browser that they were given to.

use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::browser::USER_AGENT;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::websocket;
use crate::support::yaml;

const APP: &str = "https://app.test/";
const OTHER: &str = "https://other.test/";
const SOCKET: &str = "https://app.test/ws";
const SIGN_IN: &str = "https://login.test/.portway/sign-in";
const PASSWORD: &str = "https://login.test/.portway/password";
const HOME: &str = "192.0.2.1";
const AWAY: &str = "192.0.2.2";
const BY_IPV6: &str = "2001:db8::1";

/// The configuration of a gateway that believes this machine what it says of clients.
fn config(application: &Application, bind_to: &str) -> String {
    let yaml = yaml::applications(&[application.address()]);
    format!("trusted_proxies: [127.0.0.1]\nsession: {{ bind_to: {bind_to} }}\n{yaml}")
}

async fn start(bind_to: &str) -> (Application, Gateway) {
    let application = Application::start().await;
    let gateway = Gateway::start(&config(&application, bind_to)).await;
    (application, gateway)
}

fn from(browser: &Browser, address: &str) -> Browser {
    browser.clone().sending("x-forwarded-for", address)
}

async fn signed_in(gateway: &Gateway, address: &str) -> Browser {
    let mut browser = from(&Browser::new(gateway), address);
    browser.sign_in(APP, "alice").await.expect(200);
    browser
}

/// Whether a visit ends at the form for a password.
async fn is_asked(browser: &Browser, url: &str) -> bool {
    let mut copy = browser.clone();
    let answer = copy.get(url).await;
    let last = copy.follow_all(answer).await.expect(200);
    last.text().contains("type=\"password\"")
}

/// What a program is told, but for the reference.
fn told(answer: &Answer) -> serde_json::Value {
    let mut told: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    told.as_object_mut().unwrap().remove("reference").unwrap();
    told
}

/// The newest line of the audit trail about a cookie that strayed.
async fn strayed(gateway: &Gateway) -> String {
    until("the trail has it", PATIENCE, || async {
        let trail = gateway.folder().join("state/audit.jsonl");
        let text = std::fs::read_to_string(trail).ok()?;
        let mut lines = text.lines().rev();
        let line = lines.find(|line| line.contains("cookie_strayed"))?;
        Some(line.to_owned())
    })
    .await
}

#[tokio::test]
async fn cookies_bound_to_an_address_are_worth_nothing_from_another_and_their_owner_goes_on_d_19() {
    let (application, gateway) = start("[address]").await;
    let mut owner = signed_in(&gateway, HOME).await;
    owner.sign_in_silently(OTHER).await;
    let served = application.requests();
    let thief = from(&owner, AWAY);
    for url in [APP, OTHER, SIGN_IN] {
        assert!(is_asked(&thief, url).await, "{url}");
    }
    let page = thief.clone().get(PASSWORD).await.expect(200);
    assert!(!page.text().contains("alice"), "{}", page.text());
    let refused = thief.try_send(Request::get(APP)).await.unwrap();
    let nobody = from(&Browser::new(&gateway), AWAY);
    let without = nobody.try_send(Request::get(APP)).await.unwrap();
    assert_eq!((refused.status, without.status), (401, 401));
    assert_eq!(told(&refused), told(&without), "no word about why");
    let socket = websocket::open(&thief, SOCKET, &[("x-forwarded-for", AWAY)]).await;
    assert_eq!(socket.unwrap_err().status(), 401);
    assert_eq!(application.requests(), served, "nothing came through");
    let line = strayed(&gateway).await;
    for told in ["alice", AWAY, "\"differs\":\"address\""] {
        assert!(line.contains(told), "{line}");
    }
    for url in [APP, OTHER] {
        owner.get(url).await.expect(200);
    }
    assert!(!is_asked(&owner, SIGN_IN).await);
    websocket::open(&owner, SOCKET, &[("x-forwarded-for", HOME)])
        .await
        .unwrap();
}

#[tokio::test]
async fn a_user_who_has_moved_signs_in_once_and_goes_on_d_19() {
    let (_application, gateway) = start("[address, user_agent]").await;
    let mut browser = from(&signed_in(&gateway, HOME).await, AWAY);
    browser.sign_in(APP, "alice").await.expect(200);
    browser.get(APP).await.expect(200);
    browser.sign_in_silently(OTHER).await;
}

#[tokio::test]
async fn an_ipv6_network_is_one_address_d_19() {
    let (_application, gateway) = start("[address]").await;
    let browser = signed_in(&gateway, BY_IPV6).await;
    from(&browser, "2001:db8::ffff:1")
        .get(APP)
        .await
        .expect(200);
    for elsewhere in ["2001:db8:0:1::1", HOME] {
        assert!(is_asked(&from(&browser, elsewhere), APP).await);
    }
}

/// The collector by IPv6, the applications by IPv4: `get` and `follow_all` fail at what goes round.
#[tokio::test]
async fn a_browser_that_reaches_hosts_by_different_addresses_goes_on_without_a_question_d_19() {
    let (_application, gateway) = start("[address]").await;
    let mut browser = Browser::new(&gateway)
        .sending_to("login.test", "x-forwarded-for", BY_IPV6)
        .sending_to("app.test", "x-forwarded-for", HOME)
        .sending_to("other.test", "x-forwarded-for", HOME);
    browser.sign_in(APP, "alice").await.expect(200);
    for _ in 0..5 {
        browser.get(APP).await.expect(200);
    }
    browser.sign_in_silently(OTHER).await;
    browser.get(OTHER).await.expect(200);
    assert!(!is_asked(&browser, SIGN_IN).await);
    // From now on it reaches one by IPv6 as well: one way by the collector, and no question.
    let mut turned = from(&browser, BY_IPV6);
    turned.get(APP).await.expect(303);
    turned.sign_in_silently(APP).await;
    turned.get(APP).await.expect(200);
}

#[tokio::test]
async fn cookies_bound_to_a_program_are_worth_nothing_in_another_and_it_is_not_written_down_d_19() {
    let (_application, gateway) = start("[user_agent]").await;
    let program = "Secretive/7.1";
    let browser = Browser::new(&gateway).sending("user-agent", program);
    let mut owner = from(&browser, HOME);
    owner.sign_in(APP, "alice").await.expect(200);
    from(&owner, AWAY).get(APP).await.expect(200);
    let thief = owner.clone().sending("user-agent", "Thievish/8");
    for url in [APP, SIGN_IN] {
        assert!(is_asked(&thief, url).await, "{url}");
    }
    let socket = websocket::open(&thief, SOCKET, &[("user-agent", "Thievish/8")]).await;
    assert_eq!(socket.unwrap_err().status(), 401);
    owner.get(APP).await.expect(200);
    let line = strayed(&gateway).await;
    assert!(line.contains("\"differs\":\"user_agent\""), "{line}");
    let state = gateway.folder().join("state");
    for entry in std::fs::read_dir(state).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        for name in ["Secretive", "Thievish"] {
            assert!(!text.contains(name), "{}", path.display());
            assert!(!gateway.log().contains(name));
        }
    }
}

#[tokio::test]
async fn a_reload_changes_what_sessions_are_bound_to_from_then_on_d_19() {
    let (application, gateway) = start("[user_agent]").await;
    let bound = signed_in(&gateway, HOME).await;
    gateway.reload_with(&config(&application, "[]")).await;
    let free = signed_in(&gateway, HOME).await;
    let other = |browser: &Browser| browser.clone().sending("user-agent", "another");
    assert!(is_asked(&other(&bound), APP).await);
    assert!(!is_asked(&bound, APP).await);
    assert!(!is_asked(&other(&free), APP).await);
}

#[tokio::test]
async fn a_wider_network_is_one_address_and_who_signs_in_from_an_exception_is_bound_to_none_d_19() {
    let wide = "[{ address: { ipv4_prefix: 24, except: [198.51.100.0/24] } }]";
    let (application, gateway) = start(wide).await;
    let owner = signed_in(&gateway, HOME).await;
    from(&owner, AWAY).get(APP).await.expect(200);
    // A copy is worth nothing in an exception either.
    for elsewhere in ["192.0.3.1", "198.51.100.1"] {
        assert!(is_asked(&from(&owner, elsewhere), APP).await, "{elsewhere}");
    }
    let excepted = signed_in(&gateway, "198.51.100.1").await;
    for elsewhere in ["198.51.100.2", "203.0.113.9"] {
        from(&excepted, elsewhere).get(APP).await.expect(200);
    }
    gateway
        .reload_with(&config(&application, "[address]"))
        .await;
    for (bound, address) in [(&owner, AWAY), (&excepted, "203.0.113.9")] {
        from(bound, address).get(APP).await.expect(200);
    }
    assert!(is_asked(&from(&owner, "192.0.3.1"), APP).await);
    let strict = signed_in(&gateway, HOME).await;
    assert!(is_asked(&from(&strict, AWAY), APP).await);
}

#[tokio::test]
async fn without_a_binding_sessions_move_with_their_browsers() {
    let (_application, gateway) = start("[]").await;
    let browser = from(&signed_in(&gateway, HOME).await, AWAY);
    for name in ["another", USER_AGENT] {
        let mut moved = browser.clone().sending("user-agent", name);
        moved.get(APP).await.expect(200);
    }
    let trail = gateway.folder().join("state/audit.jsonl");
    let trail = std::fs::read_to_string(trail).unwrap();
    assert!(!trail.contains("cookie_strayed"));
}

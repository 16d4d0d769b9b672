//! What policies do besides allowing and denying: headers, cookies and session attributes for requests
//! that are let in, and what browsers see of those that are not.

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::browser::fetch;
use crate::support::gateway::Setup;
use crate::support::gateway::users_with;

#[tokio::test]
async fn an_application_gets_what_the_policy_gives_and_nothing_of_that_from_the_client_d_17() {
    let recorder = Recorder::start().await;
    let gateway = start(
        &recorder,
        GIVEN,
        "      - { path: /open, access: unprotected, pool: app }
      - { path: /excluded, access: excluded, pool: app }
      - { path: /, access: protected, policy: given, pool: app }
",
    )
    .await;
    let mut browser = Browser::new(&gateway);
    let answer = browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    let set = answer.set_cookies();
    assert!(
        set.iter()
            .any(|cookie| cookie.starts_with("theme=sales; HttpOnly; SameSite=Lax; Secure")),
        "{set:?}"
    );
    recorder.clear();
    let forged = |path: &str| {
        let mut request = Request::get(&format!("https://app.test{path}"));
        for name in ["X-Department", "x_department", "X.Department", "X-Who"] {
            request = request.header(name, "attacker");
        }
        let cookies = format!(
            "{}; theme=attacker; a=1",
            browser.cookies_for("https://app.test/")
        );
        request.header("cookie", &cookies)
    };
    for path in ["/", "/open/x", "/excluded/x"] {
        recorder.clear();
        browser.try_send(forged(path)).await.unwrap().expect(200);
        let seen = recorder.text().to_ascii_lowercase();
        assert!(!seen.contains("attacker"), "{path}: {seen}");
        let is_given = path == "/";
        assert_eq!(
            seen.contains("\r\nx-department: sales\r\n"),
            is_given,
            "{seen}"
        );
        assert_eq!(
            seen.contains("\r\nx-who: alice@local\r\n"),
            is_given,
            "{seen}"
        );
        assert_eq!(
            seen.contains("\r\ncookie: a=1; theme=sales\r\n"),
            is_given,
            "{seen}"
        );
    }
    // A browser that has the cookie is not told again.
    let again = browser.get("https://app.test/").await.expect(200);
    assert!(
        !again
            .set_cookies()
            .iter()
            .any(|cookie| cookie.starts_with("theme="))
    );
}

#[tokio::test]
async fn who_has_no_department_is_not_told_to_be_in_one() {
    let recorder = Recorder::start().await;
    let route = "      - { path: /, access: protected, policy: given, pool: app }\n";
    let gateway = start(&recorder, GIVEN, route).await;
    let mut bob = Browser::new(&gateway);
    bob.sign_in("https://app.test/", "bob").await.expect(200);
    let seen = recorder.text().to_ascii_lowercase();
    assert!(seen.contains("\r\nx-who: bob@local\r\n"), "{seen}");
    assert!(
        !seen.contains("x-department") && !seen.contains("theme="),
        "{seen}"
    );
}

#[tokio::test]
async fn what_a_policy_notes_of_a_session_later_rules_can_ask_for_and_a_restart_keeps_it() {
    let recorder = Recorder::start().await;
    let mut gateway = start(
        &recorder,
        "",
        "      - { path: /training, access: protected, policy: [{ allow: signed_in }], pool: app,
          responses: { session: { trained: \"yes\" } } }
      - { path: /tool, access: protected, pool: app,
          policy: [{ allow: { attribute: { name: trained, of: session, is: \"yes\" } } }] }
      - { path: /expression, access: protected, pool: app,
          policy: [{ allow: { when: \"session.attributes.trained == 'yes'\" } }] }
",
    )
    .await;
    let mut alice = Browser::new(&gateway);
    alice
        .sign_in("https://app.test/tool", "alice")
        .await
        .expect(403);
    alice.get("https://app.test/training").await.expect(200);
    alice.get("https://app.test/tool").await.expect(200);
    alice.get("https://app.test/expression").await.expect(200);
    let mut bob = Browser::new(&gateway);
    bob.sign_in("https://app.test/tool", "bob")
        .await
        .expect(403);
    gateway.terminate();
    gateway.wait_for_exit(crate::support::wait::PATIENCE).await;
    gateway.restart().await;
    alice.get("https://app.test/tool").await.expect(200);
}

#[tokio::test]
async fn the_tls_of_a_proxy_in_front_is_not_taken_for_that_of_the_client() {
    let recorder = Recorder::start().await;
    let route = "      - { path: /, access: protected, pool: app,
          policy: [{ allow: { when: \"tls.version == 'TLSv1.3' && tls.cipher.startsWith('TLS_')\" } }] }
";
    for (more, status) in [("", 200), ("trusted_proxies: [127.0.0.0/8]\n", 403)] {
        let gateway = start(&recorder, more, route).await;
        let mut alice = Browser::new(&gateway);
        let answer = alice.sign_in("https://app.test/", "alice").await;
        answer.expect(status);
    }
}

#[tokio::test]
async fn a_denial_is_answered_as_the_route_says_d_23() {
    let recorder = Recorder::start().await;
    let gateway = start(
        &recorder,
        "",
        "      - { path: /page, access: protected, policy: [], pool: app, remediation: \"Ask <Eve> for it.\" }
      - { path: /status, access: protected, policy: [], pool: app, denied: status }
      - { path: /away, access: protected, policy: [], pool: app,
          failure_url: \"/sorry.html?from=${request.path}&ref=${request.id}\" }
      - { path: /circle, access: protected, policy: [], pool: app, failure_url: /circle }
      - { path: /sorry.html, access: excluded, pool: app }
",
    )
    .await;
    let mut alice = Browser::new(&gateway);
    let page = alice
        .sign_in("https://app.test/page", "alice")
        .await
        .expect(403);
    let reference = page.header("x-request-id").to_owned();
    assert!(
        page.text().contains("Ask &lt;Eve&gt; for it."),
        "{}",
        page.text()
    );
    assert!(page.text().contains(&reference), "{}", page.text());
    let json = alice.send(fetch("https://app.test/page")).await.expect(403);
    assert!(json.text().contains("Ask <Eve> for it."), "{}", json.text());
    let bare = alice.get("https://app.test/status").await.expect(403);
    assert_eq!(bare.text(), "");
    assert_eq!(bare.header("x-request-id").len(), 32);
    let sent = alice.get("https://app.test/away/a%20b").await.expect(303);
    let id = sent.header("x-request-id");
    let expected = format!("/sorry.html?from=%2Faway%2Fa%2520b&ref={id}");
    assert_eq!(sent.header("location"), expected);
    alice.follow(&sent).await.expect(200);
    alice.send(fetch("https://app.test/away")).await.expect(403);
    // Sent to where it is denied already, a browser would go in circles.
    alice.get("https://app.test/circle").await.expect(403);
}

#[tokio::test]
async fn nobody_who_is_denied_is_sent_round_and_round() {
    let recorder = Recorder::start().await;
    let gateway = start(
        &recorder,
        "",
        "      - { path: /a, access: protected, policy: [], pool: app, failure_url: /b }
      - { path: /b, access: protected, policy: [], pool: app, failure_url: \"/a?from=${request.path}\" }
      - { path: /port, access: protected, policy: [], pool: app, failure_url: \"https://app.test:8443/port\" }
      - { path: /staff, access: protected, policy: [], pool: app, failure_url: /guests }
      - { path: /guests, access: protected, policy: [], pool: app, failure_url: /sorry }
      - { path: /sorry, access: excluded, pool: app }
",
    )
    .await;
    let mut alice = Browser::new(&gateway);
    let first = alice.sign_in("https://app.test/a", "alice").await;
    first.expect(403);
    for path in ["/a", "/b", "/port"] {
        let page = alice
            .get(&format!("https://app.test{path}"))
            .await
            .expect(403);
        assert!(
            page.text().contains("not allowed to open this page"),
            "{path}"
        );
    }
    // A way with an end is gone to its end.
    for (path, next) in [("/staff", "/guests"), ("/guests", "/sorry")] {
        let sent = alice
            .get(&format!("https://app.test{path}"))
            .await
            .expect(303);
        assert_eq!(sent.header("location"), next);
    }
}

#[tokio::test]
async fn who_is_let_in_on_the_way_of_the_denied_is_sent_there_though_others_would_come_back() {
    let recorder = Recorder::start().await;
    let gateway = start(
        &recorder,
        "",
        "      - { path: /staff, access: protected, policy: [{ allow: { group: staff } }], pool: app, failure_url: /customers }
      - { path: /customers, access: protected, policy: [{ allow: { group: customers } }], pool: app, failure_url: /staff }
      - { path: /north, access: protected, policy: [{ allow: { when: \"user.attributes.desk == 'north'\" } }], pool: app,
          failure_url: /south }
      - { path: /south, access: protected, policy: [{ allow: { when: \"user.attributes.desk == 'south'\" } }], pool: app,
          failure_url: /north }
      - { path: /far, access: protected, policy: [], pool: app, failure_url: /between }
      - { path: /between, access: protected, policy: [{ allow: { when: \"user.attributes.desk == 'x'\" } }], pool: app,
          failure_url: \"/staff?from=${request.path}\" }
",
    )
    .await;
    let mut alice = Browser::new(&gateway);
    let first = alice.sign_in("https://app.test/staff", "alice").await;
    first.expect(200);
    for (path, next) in [("/customers", "/staff"), ("/far", "/between")] {
        let sent = alice
            .get(&format!("https://app.test{path}"))
            .await
            .expect(303);
        assert_eq!(sent.header("location"), next);
    }
    let mut bob = Browser::new(&gateway);
    let page = bob.sign_in("https://app.test/staff", "bob").await;
    page.expect(403);
    // An attribute that bob does not have refuses at each step.
    for path in ["/staff", "/customers", "/north", "/south"] {
        let page = bob.get(&format!("https://app.test{path}")).await;
        let page = page.expect(403);
        assert!(
            page.text().contains("not allowed to open this page"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_sign_in_is_asked_for_as_the_route_says_d_8() {
    let recorder = Recorder::start().await;
    let gateway = start(
        &recorder,
        "",
        "      - { path: /api, access: protected, policy: [{ allow: signed_in }], pool: app, challenge: unauthorized }
      - { path: /old, access: protected, policy: [{ allow: signed_in }], pool: app, challenge: redirect }
      - { path: /, access: protected, policy: [{ allow: signed_in }], pool: app, success_url: /welcome }
",
    )
    .await;
    let mut browser = Browser::new(&gateway);
    let refused = browser.get("https://app.test/api").await.expect(401);
    assert!(!refused.header("www-authenticate").is_empty());
    let sent = browser
        .send(fetch("https://app.test/old"))
        .await
        .expect(303);
    assert!(sent.header("location").starts_with("https://login.test"));
    browser.send(fetch("https://app.test/x")).await.expect(401);
    // Who arrives is led to the page for that; who is here already gets what is asked for.
    let there = browser
        .sign_in("https://app.test/deep?x=1", "alice")
        .await
        .expect(200);
    assert_eq!(there.url.path(), "/welcome");
    let there = browser.get("https://app.test/deep?x=1").await.expect(200);
    assert_eq!(there.url.path(), "/deep");
}

#[tokio::test]
async fn presets_name_the_headers_that_applications_know_from_other_gateways() {
    for (preset, expected) in [
        (
            "oam",
            "oam_remote_user: alice|oam_remote_user_groups: staff|oam_identity_domain: local",
        ),
        (
            "oauth2_proxy",
            "x-forwarded-user: alice|x-forwarded-groups: staff|x-auth-request-email: alice@mail.test",
        ),
        (
            "pomerium",
            "x-pomerium-claim-sub: alice|x-pomerium-claim-groups: staff",
        ),
    ] {
        let recorder = Recorder::start().await;
        let gateway = start(
            &recorder,
            &format!("identity_headers: {{ preset: {preset} }}\n"),
            "      - { path: /, access: protected, policy: [{ allow: signed_in }], pool: app }\n",
        )
        .await;
        let mut browser = Browser::new(&gateway);
        browser
            .sign_in("https://app.test/", "alice")
            .await
            .expect(200);
        recorder.clear();
        let mut forged = Request::get("https://app.test/").header("Remote-User", "attacker");
        for header in expected.split('|') {
            forged = forged.header(header.split(": ").next().unwrap(), "attacker");
        }
        browser.send(forged).await.expect(200);
        let seen = recorder.text().to_ascii_lowercase();
        assert!(
            !seen.contains("attacker") && !seen.contains("\r\nremote-user"),
            "{seen}"
        );
        for header in expected.split('|') {
            assert!(
                seen.contains(&format!("\r\n{header}\r\n")),
                "{preset} {header}: {seen}"
            );
        }
    }
}

#[tokio::test]
async fn what_a_policy_gave_a_browser_is_forgotten_at_the_sign_out() {
    let recorder = Recorder::start().await;
    let route = "      - { path: /, access: protected, policy: given, pool: app }\n";
    let gateway = start(&recorder, GIVEN, route).await;
    let mut browser = Browser::new(&gateway);
    browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    assert!(
        browser
            .cookies_for("https://app.test/")
            .contains("theme=sales")
    );
    let answer = browser.get("https://app.test/.portway/logout").await;
    browser.follow_all(answer).await.expect(200);
    assert_eq!(browser.cookies_for("https://app.test/"), "");
}

const GIVEN: &str = "policies:
  given:
    rules: [{ allow: signed_in }]
    responses:
      headers: { X-Department: \"${user.attributes.department}\", X-Who: \"${user.id}@${user.store}\" }
      cookies: { theme: \"${user.attributes.department}\" }
";

async fn start(recorder: &Recorder, more: &str, routes: &str) -> Gateway {
    let users = users_with(&[
        ("alice", "[staff]", "alice@mail.test", "Alice"),
        ("bob", "[guests]", "bob@mail.test", "Bob"),
    ]);
    let users = users.replace(
        "name: alice,",
        "name: alice, attributes: { department: sales },",
    );
    let yaml = format!(
        "{HEAD}{more}pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
  - host: app.test
    routes:
{routes}",
        recorder.address()
    );
    Setup::new().file("users.yaml", &users).start(&yaml).await
}

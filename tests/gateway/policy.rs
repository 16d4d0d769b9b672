//! Who may pass: rules in order, the first that holds decides, nothing allows by silence.

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Nginx;
use crate::support::Request;
use crate::support::applications;
use crate::support::browser::fetch;
use crate::support::gateway::password;

#[tokio::test]
async fn admins_pass_and_others_see_a_denied_page_with_a_reference() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut carol = Browser::new(&gateway);
    carol
        .sign_in("https://app.test/admin/x", "carol")
        .await
        .expect(200);
    let mut alice = Browser::new(&gateway);
    let denied = alice
        .sign_in("https://app.test/admin/x", "alice")
        .await
        .expect(403);
    let reference = denied.header("x-request-id").to_owned();
    assert_eq!(reference.len(), 32, "{reference}");
    assert!(denied.text().contains("Access denied"), "{}", denied.text());
    assert!(denied.text().contains(&reference), "{}", denied.text());
    assert_eq!(denied.header("cache-control"), "no-store");
    gateway.wait_for_log(&reference).await;
    let line = gateway.log();
    let line = line.lines().find(|line| line.contains(&reference)).unwrap();
    assert!(
        line.contains("deny") && line.contains("no rule allows it"),
        "{line}"
    );
    // A program reads the same as JSON; the rest of the host is open to her.
    let denied = alice
        .send(fetch("https://app.test/admin/api"))
        .await
        .expect(403);
    let json: serde_json::Value = serde_json::from_slice(&denied.body).unwrap();
    assert_eq!(json["reference"], denied.header("x-request-id"));
    alice
        .get("https://app.test/administration")
        .await
        .expect(200);
}

#[tokio::test]
async fn rules_are_taken_in_order_and_nothing_allows_by_silence() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let route = |path: &str, policy: &str| {
        format!("      - {{ path: {path}, access: protected, policy: {policy}, pool: app }}\n")
    };
    let routes = [
        route("/nobody", "[]"),
        route("/only-deny", "[{ deny: { user: bob } }]"),
        route(
            "/not-alice",
            "[{ deny: { user: alice } }, { allow: signed_in }]",
        ),
        route(
            "/alice-first",
            "[{ allow: { user: alice } }, { deny: { group: staff } }, { allow: signed_in }]",
        ),
        route(
            "/read",
            "[{ allow: { all: [{ method: [GET, HEAD] }, { group: staff }] } }, { allow: { group: admins } }]",
        ),
        route("/elsewhere", "[{ allow: { address: 10.0.0.0/8 } }]"),
        route(
            "/here",
            "[{ allow: { all: [{ address: [127.0.0.0/8] }, { not: { user: bob } }] } }]",
        ),
        route("/level", "[{ allow: { level: 10 } }]"),
        route(
            "/any",
            "[{ allow: { any: [{ user: bob }, { group: admins }] } }]",
        ),
    ];
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{}\"] }} }}\nvirtual_hosts:\n  - host: app.test\n    routes:\n{}",
        nginx.address(),
        routes.concat()
    );
    let gateway = Gateway::start(&yaml).await;
    let expected: [(&str, &str, [u16; 4]); 11] = [
        ("GET", "/nobody", [403, 403, 403, 403]),
        ("GET", "/only-deny", [403, 403, 403, 403]),
        ("GET", "/not-alice", [403, 200, 200, 200]),
        ("GET", "/alice-first", [200, 403, 403, 200]),
        ("GET", "/read", [200, 200, 200, 403]),
        ("POST", "/read", [403, 403, 200, 403]),
        ("GET", "/elsewhere", [403, 403, 403, 403]),
        ("GET", "/here", [200, 403, 200, 200]),
        ("GET", "/level", [200, 200, 200, 200]),
        ("GET", "/any", [403, 200, 200, 403]),
        ("GET", "/without-a-route", [404, 404, 404, 404]),
    ];
    for (place, user) in ["alice", "bob", "carol", "dora"].into_iter().enumerate() {
        let mut browser = Browser::new(&gateway);
        browser
            .sign_in("https://app.test/level", user)
            .await
            .expect(200);
        for (method, path, statuses) in expected {
            let url = format!("https://app.test{path}");
            let answer = browser
                .send(Request::new(method.parse().unwrap(), &url))
                .await;
            assert_eq!(answer.status, statuses[place], "{user} {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_session_of_too_low_a_level_is_asked_to_sign_in_again_s_12() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let yaml = |level: u8| {
        let head = HEAD.replace("users.yaml }", &format!("users.yaml, level: {level} }}"));
        format!(
            "{head}pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
  - host: app.test
    routes: [{{ path: /, access: protected, policy: [{{ allow: signed_in }}], level: {level}, pool: app }}]
",
            nginx.address()
        )
    };
    let mut gateway = Gateway::start(&yaml(5)).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    gateway.terminate();
    gateway.wait_for_exit(crate::support::wait::PATIENCE).await;
    gateway.configure(&yaml(10));
    gateway.restart().await;
    let sent = browser.get("https://app.test/x").await.expect(303);
    let page = browser.follow(&sent).await.expect(200);
    let back = browser
        .log_in(&page, "alice", &password("alice"))
        .await
        .expect(303);
    browser.follow_all(back).await.expect(200);
}

#[tokio::test]
async fn a_route_takes_only_its_methods() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /read, methods: [GET], access: excluded, pool: app }}
      - {{ exact: /one, access: excluded, pool: app }}
      - {{ glob: \"/a/*/c\", access: excluded, pool: app }}
      - {{ regex: \"^/v[0-9]+/\", access: excluded, pool: app }}
",
        nginx.address()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut browser = Browser::new(&gateway);
    for (method, path, status) in [
        ("GET", "/read/x", 200),
        ("POST", "/read/x", 405),
        ("GET", "/readers", 404),
        ("GET", "/one", 200),
        ("GET", "/one/two", 404),
        ("GET", "/a/b/c", 200),
        ("GET", "/a/b/b/c", 404),
        ("GET", "/v12/x", 200),
        ("GET", "/vx/x", 404),
    ] {
        let url = format!("https://app.test{path}");
        let answer = browser
            .send(Request::new(method.parse().unwrap(), &url))
            .await;
        assert_eq!(answer.status, status, "{method} {path}");
        let allowed = if status == 405 { "GET, HEAD" } else { "" };
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    }
}

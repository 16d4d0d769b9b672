//! Routes that answer by themselves: redirects and fixed texts, under the protection of their route.

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Request;
use crate::support::gateway::Setup;

#[tokio::test]
async fn a_redirect_leads_where_its_route_says_w_42() {
    let gateway = start().await;
    let mut browser = Browser::new(&gateway);
    for (asked, status, expected) in [
        ("/moved/a%20b?x=1", 308, "https://new.test/moved/a%20b?x=1"),
        ("/old?x=1", 302, "/new?x=1"),
        ("/drop?x=1", 301, "/new"),
        ("/find?q=a%2Fb", 303, "/search/a%2Fb"),
        ("/by/7/a%20b?x=1", 302, "https://new.test/a%20b?of=7"),
        ("/by/7/a/b", 302, "https://new.test/a/b?of=7"),
    ] {
        let url = format!("https://app.test{asked}");
        let answer = browser.get(&url).await.expect(status);
        assert_eq!(answer.header("location"), expected, "{asked}");
        assert_eq!(answer.text(), "", "{asked}");
        assert_eq!(answer.header("x-rule"), "yes", "{asked}");
        assert!(!answer.header("x-request-id").is_empty(), "{asked}");
    }
    // Without what the address is made of, there is nowhere to go.
    browser.get("https://app.test/find").await.expect(404);
    browser.get("https://app.test/by/x").await.expect(404);
}

#[tokio::test]
async fn a_fixed_answer_is_what_was_written_or_read() {
    let gateway = start().await;
    let mut browser = Browser::new(&gateway);
    let robots = browser.get("https://app.test/robots.txt").await.expect(200);
    assert_eq!(robots.text(), "User-agent: *\n");
    assert_eq!(robots.header("content-type"), "text/plain; charset=utf-8");
    let head = Request::new(http::Method::HEAD, "https://app.test/robots.txt");
    let head = browser.send(head).await.expect(200);
    assert_eq!(head.header("content-length"), "14");
    assert_eq!(head.text(), "");
    let gone = browser.get("https://app.test/gone").await.expect(410);
    assert_eq!(gone.text(), "<p>Gone.</p>");
    assert_eq!(gone.header("content-type"), "text/html");
    let post = Request::post("https://app.test/gone").body("hello");
    browser.send(post).await.expect(410);
    let nothing = browser.get("https://app.test/nothing").await.expect(204);
    assert_eq!(nothing.text(), "");
    assert!(!nothing.headers.contains_key("content-type"), "{nothing:?}");
    // A file is read anew when it changes.
    gateway.replace("robots.txt", "Disallow: /\n");
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 0, "{said}");
    let robots = browser.get("https://app.test/robots.txt").await.expect(200);
    assert_eq!(robots.text(), "Disallow: /\n");
}

#[tokio::test]
async fn an_answer_of_a_protected_route_is_for_those_who_are_let_in_w_42() {
    let gateway = start().await;
    let mut alice = Browser::new(&gateway);
    let asked = alice.get("https://app.test/secret").await.expect(303);
    assert!(asked.header("location").starts_with("https://login.test"));
    let answer = alice
        .sign_in("https://app.test/secret", "alice")
        .await
        .expect(200);
    assert_eq!(answer.text(), "The secret.");
    assert_eq!(answer.header("cache-control"), "no-store");
    let mine = alice.get("https://app.test/me").await.expect(302);
    assert_eq!(mine.header("location"), "/users/alice");
    alice.get("https://app.test/denied").await.expect(403);
}

async fn start() -> Gateway {
    let yaml = format!(
        "{HEAD}virtual_hosts:
  - host: app.test
    headers: {{ response: {{ set: {{ X-Rule: \"yes\" }} }} }}
    routes:
      - path: /by
        access: excluded
        redirect: {{ regex: \"/by/([0-9]+)/(.*)\", to: \"https://new.test/$2?of=$1\" }}
      - {{ path: /moved, access: excluded,
          redirect: {{ to: \"https://new.test${{request.path}}\", status: 308 }} }}
      - {{ path: /old, access: excluded, redirect: {{ to: /new }} }}
      - {{ path: /drop, access: excluded, redirect: {{ to: /new, status: 301, query: drop }} }}
      - {{ path: /find, access: excluded,
          redirect: {{ to: \"/search/${{request.query.q}}\", status: 303, query: drop }} }}
      - {{ exact: /robots.txt, access: excluded, respond: {{ body_file: robots.txt }} }}
      - {{ path: /gone, access: excluded,
          respond: {{ status: 410, content_type: text/html, body: \"<p>Gone.</p>\" }} }}
      - {{ path: /nothing, access: excluded, respond: {{ status: 204 }} }}
      - {{ path: /secret, access: protected, policy: [{{ allow: signed_in }}],
          respond: {{ body: The secret. }} }}
      - {{ path: /me, access: protected, policy: [{{ allow: signed_in }}],
          redirect: {{ to: \"/users/${{user.id}}\" }} }}
      - {{ path: /denied, access: protected, policy: [], respond: {{ body: Never. }} }}
"
    );
    let setup = Setup::new().file("robots.txt", "User-agent: *\n");
    setup.start(&yaml).await
}

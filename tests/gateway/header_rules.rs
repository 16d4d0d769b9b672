//! What routes and virtual hosts change about headers, on the way to the upstream and back.

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::browser::fetch;
use crate::support::gateway::Setup;
use crate::support::yaml;

#[tokio::test]
async fn headers_are_set_added_and_removed_on_the_way_there_and_no_copy_of_the_client_s_survives() {
    let recorder = Recorder::start().await;
    let gateway = start(&recorder).await;
    let mut alice = Browser::new(&gateway);
    alice.sign_in("https://app.test/", "alice").await;
    recorder.clear();
    let request = Request::get("https://app.test/")
        .header("X-Environment", "attacker")
        .header("xenvironment", "attacker")
        .header("X-Reader", "attacker")
        .header("X-Debug", "attacker")
        .header("X-Tag", "client")
        .header("X-Untouched", "client");
    alice.send(request).await.expect(200);
    let seen = recorder.text().to_ascii_lowercase();
    for line in [
        "x-environment: production",
        "x-reader: alice from app.test",
        "x-tag: client",
        "x-tag: gateway",
        "x-untouched: client",
        "authorization: basic s3cret",
    ] {
        assert!(seen.contains(&format!("\r\n{line}\r\n")), "{line}: {seen}");
    }
    assert!(!seen.contains("attacker"), "{seen}");
    assert!(!seen.contains("x-debug"), "{seen}");
    // Somebody else's routes are not touched.
    recorder.clear();
    let request = Request::get("https://other.test/").header("X-Debug", "client");
    alice.send(request).await.expect(200);
    let seen = recorder.text().to_ascii_lowercase();
    assert!(seen.contains("\r\nx-debug: client\r\n"), "{seen}");
    assert!(!seen.contains("x-environment"), "{seen}");
}

#[tokio::test]
async fn what_a_rule_cannot_say_of_a_request_is_removed_from_it_all_the_same() {
    let recorder = Recorder::start().await;
    let gateway = start(&recorder).await;
    let request = Request::get("https://app.test/open/x").header("X-Reader", "attacker");
    Browser::new(&gateway).send(request).await.expect(200);
    let seen = recorder.text().to_ascii_lowercase();
    assert!(!seen.contains("x-reader"), "{seen}");
    // The route has the last word.
    assert!(seen.contains("\r\nx-environment: open\r\n"), "{seen}");
}

#[tokio::test]
async fn headers_are_set_added_and_removed_on_the_way_back() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nServer: Secret/1.0\r\n\
                  X-Frame-Options: ALLOWALL\r\nVary: Cookie\r\n\r\nok";
    let recorder = Recorder::answering(answer.as_bytes()).await;
    let gateway = start(&recorder).await;
    let answer = Browser::new(&gateway)
        .get("https://app.test/open/x")
        .await
        .expect(200);
    assert_eq!(answer.header("x-frame-options"), "DENY");
    assert_eq!(answer.header("x-served"), "GET /open/x");
    let vary: Vec<_> = answer.headers.get_all("vary").iter().collect();
    assert_eq!(vary, ["Cookie", "Accept-Language"]);
    assert!(!answer.headers.contains_key("server"), "{answer:?}");
    assert_eq!(answer.text(), "ok");
}

/// What an upstream or a rule says of transport security is for https (RFC 6797 §7.2), and what it sends browsers to
/// is public (W-21), `Refresh` included; trailers that are not passed on are not promised.
#[tokio::test]
async fn an_answer_says_what_holds_for_whoever_gets_it_w_21() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTrailer: X-Sum\r\n\
                  Strict-Transport-Security: max-age=7\r\n\
                  Refresh: 5; URL=\"http://internal.test/next?x\"\r\n\r\nok";
    let recorder = Recorder::answering(answer.as_bytes()).await;
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
  - host: app.test
    plain_http: serve
    routes: [{{ path: /, access: excluded, pool: app, upstream_host: internal.test }}]
",
        recorder.address()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut browser = Browser::new(&gateway);
    for (scheme, said) in [("https", "max-age=7"), ("http", "")] {
        let port = gateway.address(scheme).port();
        let address = format!("{scheme}://app.test:{port}");
        let answer = browser.get(&format!("{address}/x")).await.expect(200);
        assert_eq!(answer.header("strict-transport-security"), said);
        assert_eq!(answer.header("refresh"), format!("5; URL={address}/next?x"));
        assert_eq!(answer.header("trailer"), "");
    }
}

/// From the first answer of all on, which is the redirect to the sign-in.
#[tokio::test]
async fn answers_of_portway_s_own_have_what_the_virtual_host_adds_and_keep_what_is_theirs() {
    let application = Application::start().await;
    let host = "  - host: app.test\n";
    let rules = "    headers: { response: { remove: [Content-Security-Policy], set: {
      Strict-Transport-Security: max-age=63072000, Referrer-Policy: unsafe-url, X-Served: \"${request.path}\" } } }\n";
    let yaml = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&yaml.replace(host, &format!("{host}{rules}"))).await;
    let mut stranger = Browser::new(&gateway);
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    drop(application);
    let answers = [
        (stranger.get("https://app.test/").await, 303),
        (stranger.send(fetch("https://app.test/x")).await, 401),
        (
            stranger.get("https://app.test/.portway/style.css").await,
            200,
        ),
        (stranger.get("https://app.test/.portway/none").await, 404),
        (alice.get("https://app.test/admin").await, 403),
        (stranger.get("https://app.test/plain").await, 503),
    ];
    for (answer, status) in answers {
        let answer = answer.expect(status);
        assert_eq!(
            answer.header("strict-transport-security"),
            "max-age=63072000"
        );
        assert_eq!(answer.header("x-served"), answer.url.path());
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'none'")
        );
    }
    // Whoever listens could have said it.
    let plain = stranger.get("http://app.test/y").await.expect(301);
    assert_eq!(plain.header("strict-transport-security"), "");
    assert_eq!(plain.header("x-served"), "/y");
    let other = stranger.get("https://other.test/").await.expect(303);
    assert_eq!(other.header("strict-transport-security"), "");
}

async fn start(recorder: &Recorder) -> Gateway {
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
  - host: app.test
    headers:
      request:
        set:
          X-Environment: production
          X-Reader: \"${{user.id}} from ${{request.host}}\"
          Authorization: \"Basic ${{UPSTREAM_SECRET}}\"
        add: {{ X-Tag: gateway }}
        remove: [X-Debug]
      response:
        set: {{ X-Frame-Options: DENY, X-Served: \"${{request.method}} ${{request.path}}\" }}
        add: {{ Vary: Accept-Language }}
        remove: [Server]
    routes:
      - {{ path: /open, access: excluded, pool: app,
          headers: {{ request: {{ set: {{ X-Environment: open }} }} }} }}
      - {{ path: /, access: protected, policy: [{{ allow: signed_in }}], pool: app }}
  - host: other.test
    routes: [{{ path: /, access: excluded, pool: app }}]
",
        recorder.address()
    );
    let setup = Setup::new().variable("UPSTREAM_SECRET", "s3cret");
    setup.start(&yaml).await
}

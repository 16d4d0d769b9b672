//! Upstreams are asked for other paths than the public knows, and what they answer is mapped back.

use std::net::SocketAddr;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Recorder;

#[tokio::test]
async fn an_upstream_is_asked_for_the_rewritten_path_and_the_query_goes_along_w_40() {
    let recorder = Recorder::start().await;
    let gateway = start(recorder.address()).await;
    let mut browser = Browser::new(&gateway);
    for (asked, expected) in [
        ("/app/x?a=1&b=%2F", "/x?a=1&b=%2F"),
        ("/app", "/"),
        ("/app/a%20b/./c", "/a%20b/c"),
        ("/old/x/y", "/internal/x/y"),
        ("/v7/users/3?a=1", "/api/users/3/7?a=1"),
        ("/v7", "/v7"),
        ("/plain/x", "/plain/x"),
    ] {
        recorder.clear();
        let url = format!("https://app.test{asked}");
        browser.get(&url).await.expect(200);
        let seen = recorder.text();
        let line = format!("GET {expected} HTTP/1.1\r\n");
        assert!(seen.starts_with(&line), "{asked}: {seen}");
        let prefix = seen
            .to_ascii_lowercase()
            .contains("x-forwarded-prefix: /app\r\n");
        assert_eq!(prefix, asked.starts_with("/app"), "{seen}");
    }
}

#[tokio::test]
async fn policy_goes_by_the_path_that_was_asked_for_d_18() {
    let recorder = Recorder::start().await;
    let gateway = start(recorder.address()).await;
    let mut alice = Browser::new(&gateway);
    // `/open/admin` leads to what is protected as `/admin`, and is open all the same; and the other way.
    alice.get("https://app.test/open/admin").await.expect(200);
    assert!(recorder.text().starts_with("GET /admin "));
    recorder.clear();
    alice
        .sign_in("https://app.test/closed/open", "alice")
        .await
        .expect(403);
    assert_eq!(recorder.requests(), 0, "{}", recorder.text());
}

#[tokio::test]
async fn a_path_that_an_upstream_could_read_as_another_one_is_refused() {
    let recorder = Recorder::start().await;
    let gateway = start(recorder.address()).await;
    let mut browser = Browser::new(&gateway);
    browser.get("https://app.test/loose/x").await.expect(400);
    assert_eq!(recorder.requests(), 0, "{}", recorder.text());
}

#[tokio::test]
async fn addresses_and_cookies_in_an_answer_are_those_that_the_public_knows_w_40() {
    let answer = "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: LOCATION\r\n\
                  Set-Cookie: a=1; Path=/internal/x; HttpOnly\r\n\
                  Set-Cookie: __Host-b=1; Path=/; Secure\r\n\
                  Set-Cookie: c=1; Path=/\r\n\r\n";
    for (asked, said, location, cookies) in [
        (
            "/old/x",
            "/internal/login?next=/y",
            "/old/login?next=/y",
            ["a=1; Path=/old/x; HttpOnly", "c=1; Path=/"],
        ),
        (
            "/app/x",
            "http://UPSTREAM/login",
            "https://app.test/app/login",
            ["a=1; Path=/app/internal/x; HttpOnly", "c=1; Path=/app"],
        ),
        (
            "/app/x",
            "https://app.test/app/login",
            "https://app.test/app/login",
            ["a=1; Path=/app/internal/x; HttpOnly", "c=1; Path=/app"],
        ),
        (
            "/app/x",
            "https://elsewhere.test/login",
            "https://elsewhere.test/login",
            ["a=1; Path=/app/internal/x; HttpOnly", "c=1; Path=/app"],
        ),
        (
            "/plain/x",
            "/internal/login",
            "/internal/login",
            ["a=1; Path=/internal/x; HttpOnly", "c=1; Path=/"],
        ),
    ] {
        let said = said.to_owned();
        let recorder = Recorder::scripted(move |request, _, _| {
            // The upstream names itself by the address that it was connected to.
            let local = String::from_utf8_lossy(request);
            let own = local.lines().find_map(|line| line.strip_prefix("x-own: "));
            let said = said.replace("UPSTREAM", own.unwrap_or_default());
            crate::support::recorder::Reply::Send(answer.replace("LOCATION", &said).into_bytes())
        })
        .await;
        let gateway = start(recorder.address()).await;
        let url = format!("https://app.test{asked}");
        let own = recorder.address().to_string();
        let request = crate::support::Request::get(&url).header("x-own", &own);
        let port = gateway.address("https").port();
        let answer = Browser::new(&gateway).send(request).await.expect(302);
        let seen = answer.header("location").replace(&format!(":{port}"), "");
        assert_eq!(seen, location, "{asked}");
        let [first, last] = cookies;
        assert_eq!(
            answer.set_cookies(),
            [first, "__Host-b=1; Path=/; Secure", last],
            "{asked}"
        );
    }
}

async fn start(upstream: SocketAddr) -> Gateway {
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /app, access: excluded, pool: app, rewrite: {{ strip_prefix: /app }} }}
      - {{ path: /old, access: excluded, pool: app,
          rewrite: {{ strip_prefix: /old, add_prefix: /internal }} }}
      - {{ path: /open, access: excluded, pool: app, rewrite: {{ strip_prefix: /open }} }}
      - {{ path: /closed, access: protected, policy: [], pool: app, rewrite: {{ strip_prefix: /closed }} }}
      - {{ path: /loose, access: excluded, pool: app,
          rewrite: {{ regex: \"/loose(/.*)\", with: \"/$1\" }} }}
      - {{ path: /admin, access: protected, policy: [], pool: app }}
      - {{ regex: \"^/v[0-9]+\", access: excluded, pool: app,
          rewrite: {{ regex: \"/v([0-9]+)/(.*)\", with: \"/api/$2/$1\" }} }}
      - {{ path: /plain, access: excluded, pool: app }}
"
    );
    Gateway::start(&yaml).await
}

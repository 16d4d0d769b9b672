//! Scripts, programs and WebSockets without a session: a refusal they can read, never a redirect.

use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::browser::fetch;
use crate::support::websocket;
use crate::support::yaml;

#[tokio::test]
async fn a_program_without_a_session_gets_401_and_json_and_never_a_redirect_d_8() {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    let url = "https://app.test/api";
    let html = "text/html,*/*";
    let asked = [
        fetch(url),
        Request {
            method: http::Method::POST,
            ..fetch(url)
        }
        .body("{}"),
        Request::get(url),
        Request::get(url)
            .header("accept", "*/*")
            .header("user-agent", "curl/8"),
        Request::get(url).header("accept", "application/json"),
        Request::get(url)
            .header("accept", html)
            .header("x-requested-with", "XMLHttpRequest"),
        Request::get(url)
            .header("accept", html)
            .header("sec-fetch-mode", "no-cors"),
        Request::new(http::Method::DELETE, url).header("accept", html),
        Request::new(http::Method::PUT, url)
            .header("accept", html)
            .body("x"),
    ];
    for request in asked {
        let mut browser = Browser::new(&gateway);
        let answer = browser.send(request).await;
        assert_sign_in_required(&gateway, &answer);
        assert_eq!(browser.jar.len(), 0);
    }
    assert_eq!(application.requests(), 0);
}

#[tokio::test]
async fn a_websocket_without_a_session_gets_401_d_8() {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    let browser = Browser::new(&gateway);
    for headers in [
        &[][..],
        &[("accept", "text/html"), ("origin", "https://app.test")],
    ] {
        let url = format!("https://app.test:{}/ws", gateway.address("https").port());
        let headers: Vec<_> = headers
            .iter()
            .filter(|(name, _)| *name != "origin")
            .copied()
            .collect();
        let refused = websocket::open(&browser, &url, &headers).await.unwrap_err();
        assert_eq!(refused.status(), 401);
        assert!(refused.headers().contains_key("www-authenticate"));
    }
    assert_eq!(application.requests(), 0);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_open_a_websocket_with_the_users_cookies() {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let before = application.requests();
    let url = format!("https://app.test:{}/ws", gateway.address("https").port());
    for origin in [
        "https://evil.test",
        "null",
        "https://app.test.evil.test",
        "file://",
    ] {
        let refused = websocket::open(&browser, &url, &[("origin", origin)])
            .await
            .unwrap_err();
        assert_eq!(refused.status(), 403, "{origin}");
    }
    assert_eq!(application.requests(), before);
    let own = format!("https://app.test:{}", gateway.address("https").port());
    websocket::open(&browser, &url, &[("origin", &own)])
        .await
        .unwrap();
}

/// A page that everybody may see, as single-page applications have it, before an interface that asks for a level.
#[tokio::test]
async fn the_hint_for_a_program_leads_to_a_sign_in_and_back_to_its_page_d_8() {
    let application = Application::start().await;
    let api = "{ path: /api, access: protected, policy: anybody, pool: app, level: 10 }";
    let first = "      - { path: /public,";
    let yaml = yaml::applications(&[application.address()])
        .replace(first, &format!("      - {api}\n{first}"));
    let gateway = Gateway::start(&yaml).await;
    let own = format!("https://app.test:{}", gateway.address("https").port());
    let mut browser = Browser::new(&gateway);
    let page = format!("{own}/public?of=all&page=2");
    let api = || fetch("https://app.test/api").header("referer", &page);
    browser.get(&page).await.expect(200);
    let json = browser.send(api()).await.expect(401).body;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let hint = json.get("sign_in").unwrap().as_str().unwrap();
    let written = "/.portway/sign-in?return=/public%3Fof%3Dall%26page%3D2&level=10";
    assert_eq!(hint, format!("{own}{written}"));
    let back = browser.sign_in(hint, "alice").await.expect(200);
    assert_eq!(back.url.to_string(), page);
    browser.send(api()).await.expect(200);
    // Whoever is signed in is led back at once, and nobody anywhere else.
    let again = browser.get(hint).await.expect(303);
    assert_eq!(again.header("location"), "/public?of=all&page=2");
    for elsewhere in ["//evil.test/", "https://evil.test/", "/.portway/logout", ""] {
        let asked = format!("{own}/.portway/sign-in?return={elsewhere}");
        let answer = browser.get(&asked).await.expect(303);
        assert_eq!(answer.header("location"), "/", "{elsewhere}");
    }
    // A program that follows the hint itself is told again.
    let mut program = Browser::new(&gateway);
    program.send(fetch(hint)).await.expect(401);
}

fn assert_sign_in_required(gateway: &Gateway, answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(
        answer
            .header("www-authenticate")
            .starts_with("Portway-Session ")
    );
    assert_eq!(answer.header("location"), "");
    assert_eq!(answer.header("cache-control"), "no-store");
    let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(json.get("error").unwrap(), "sign_in_required");
    let own = format!("https://app.test:{}", gateway.address("https").port());
    let sign_in = format!("{own}/.portway/sign-in?return=/");
    assert_eq!(json.get("sign_in").unwrap(), &sign_in);
}

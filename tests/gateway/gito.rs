//! The GITO cookie and the page at the end of a sign-out, where another data centre is configured and
//! does not answer.

use std::net::SocketAddr;

use crate::support::Answer;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::yaml;

const GITO: &str = "__Secure-portway-gito-main";

/// A gateway of data centre north. South is at an address where nobody listens.
async fn gateway(upstream: SocketAddr, granularity: &str) -> Gateway {
    // The test counts the listeners by their key, which stands in quotes for the back-channel.
    let yaml = format!(
        "\
cluster_id: north
threads: 2
listeners:
  - name: https
    bind: 127.0.0.1:0
    tls: {{ certificates: [{{ certificate_file: cert.pem, key_file: key.pem }}] }}
collector: {{ host: login.apps.test, title: Sign in }}
authentication: {{ users_file: users.yaml }}
pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
{}virtual_hosts:
  - host: one.apps.test
    routes:
      - {{ path: /plain, access: excluded, pool: app }}
      - {{ path: /admin, access: protected, policy: admins, pool: app }}
      - {{ path: /, access: protected, policy: anybody, pool: app }}
  - host: two.apps.test
    routes: [{{ path: /, access: protected, policy: anybody, pool: app }}]
mdc:
  gito_domain: apps.test
  gito_granularity: {granularity}
  back_channel: {{ \"bind\": 127.0.0.1:0, security: open }}
  peers:
    - {{ cluster_id: south, primary: [\"127.0.0.1:9\"], password: \"a password of the test\" }}
",
        yaml::POLICIES
    );
    Gateway::start(&yaml).await
}

/// Whether an answer sets the GITO cookie.
fn sets_gito(answer: &Answer) -> bool {
    let mut set = answer.set_cookies().into_iter();
    set.any(|cookie| cookie.starts_with(GITO) && !cookie.contains("Max-Age=0"))
}

#[tokio::test]
async fn the_answer_to_a_permitted_request_sets_the_gito_cookie_mdc_cookie_4_m_020() {
    let recorder = Recorder::start().await;
    let gateway = gateway(recorder.address(), "1m").await;
    let mut browser = Browser::new(&gateway);
    let url = "https://one.apps.test/";
    let first = browser.sign_in(url, "alice").await.expect(200);
    assert!(sets_gito(&first), "{:?}", first.set_cookies());
    let cookie = first.set_cookies().into_iter();
    let cookie = cookie.filter(|cookie| cookie.starts_with(GITO));
    for cookie in cookie {
        for attribute in ["Domain=apps.test", "Secure", "HttpOnly", "SameSite=Lax"] {
            assert!(cookie.contains(attribute), "{cookie} lacks {attribute}");
        }
    }
    let second = browser.get(url).await.expect(200);
    assert!(!sets_gito(&second), "once in its granularity");
    let elsewhere = browser.get("https://two.apps.test/").await;
    let elsewhere = browser.follow_all(elsewhere).await.expect(200);
    assert!(!sets_gito(&elsewhere), "one for all hosts of the domain");
}

#[tokio::test]
async fn with_a_granularity_of_zero_every_answer_sets_it_mdc_cookie_4() {
    let recorder = Recorder::start().await;
    let gateway = gateway(recorder.address(), "0s").await;
    let mut browser = Browser::new(&gateway);
    let url = "https://one.apps.test/";
    browser.sign_in(url, "alice").await.expect(200);
    assert!(sets_gito(&browser.get(url).await.expect(200)));
    let denied = browser.get("https://one.apps.test/admin").await.expect(403);
    assert!(!sets_gito(&denied));
    let excluded = browser.get("https://one.apps.test/plain").await.expect(200);
    assert!(!sets_gito(&excluded));
}

#[tokio::test]
async fn no_application_sees_or_sets_the_gito_cookie_m_014_d_2() {
    let forged = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\
         set-cookie: {GITO}=forged; Domain=apps.test; Secure; Path=/\r\n\
         set-cookie: own=1\r\n\r\nok"
    );
    let recorder = Recorder::answering(forged.as_bytes()).await;
    let gateway = gateway(recorder.address(), "0s").await;
    let mut browser = Browser::new(&gateway);
    let url = "https://one.apps.test/";
    let page = browser.sign_in(url, "alice").await.expect(200);
    assert!(!page.set_cookies().iter().any(|set| set.contains("forged")));
    assert!(browser.cookies_for(url).contains(GITO));
    browser.get(url).await.expect(200);
    let seen = recorder.text();
    assert!(seen.contains("own=1"), "{seen}");
    assert!(!seen.to_lowercase().contains("portway-"), "{seen}");
}

#[tokio::test]
async fn a_gito_cookie_alone_signs_nobody_in_s_13() {
    let recorder = Recorder::start().await;
    let gateway = gateway(recorder.address(), "0s").await;
    let mut browser = Browser::new(&gateway);
    let url = "https://one.apps.test/";
    browser.sign_in(url, "alice").await.expect(200);
    let cookies = browser.cookies_for(url);
    let gito = cookies.split("; ").find(|pair| pair.starts_with(GITO));
    let mut thief = Browser::new(&gateway);
    for host in ["one.apps.test", "login.apps.test"] {
        let request = Request::get(&format!("https://{host}/")).header("cookie", gito.unwrap());
        let answer = thief.send(request.header("accept", "text/html")).await;
        assert!(!answer.text().contains("signed in as"), "{host}");
        assert_ne!((host, answer.status), ("one.apps.test", 200));
    }
}

#[tokio::test]
async fn a_sign_out_says_who_has_not_confirmed_and_clears_every_cookie_mdc_logout_1_mdc_logout_3() {
    let recorder = Recorder::start().await;
    let gateway = gateway(recorder.address(), "1m").await;
    let port = gateway.address("https").port();
    let mut browser = Browser::new(&gateway);
    let url = "https://one.apps.test/";
    browser.sign_in(url, "alice").await.expect(200);
    let copy = browser.clone();
    let target = format!("https://two.apps.test:{port}/bye");
    let encoded: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
    let first = browser
        .get(&format!("{url}.portway/logout?return={encoded}"))
        .await;
    let page = browser.follow_all(first).await.expect(200);
    assert_eq!(page.url.host(), "login.apps.test");
    let text = page.text();
    assert!(text.contains("<li>north: confirmed</li>"), "{text}");
    assert!(text.contains("<li>south: not confirmed yet</li>"), "{text}");
    assert!(text.contains(&format!("<a href=\"{target}\">")), "{text}");
    assert_eq!(browser.jar.len(), 0, "{:?}", browser.jar);
    let mut copy = copy;
    let challenged = copy.get(url).await.expect(303);
    copy.follow(&challenged).await.expect(200).form();
}

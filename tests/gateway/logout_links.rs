//! Links of applications by which users sign out: routes lead them to Portway's own sign-out.

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Recorder;
use crate::support::recorder::Reply;
use crate::support::yaml::POLICIES;

#[tokio::test]
async fn a_link_of_an_application_signs_out_of_everything_s_18() {
    let application = application().await;
    let gateway = start(&application).await;
    for (link, is_seen) in [("/app/logout", false), ("/own/logout", true)] {
        let mut browser = signed_in_twice(&gateway).await;
        let copy = browser.clone();
        application.clear();
        let url = format!("https://app.test{link}");
        let led = browser.get(&url).await.expect(302);
        assert_eq!(led.header("location"), "/.portway/logout", "{link}");
        let line = format!("GET {link} HTTP/1.1\r\n");
        assert_eq!(application.text().contains(&line), is_seen, "{link}");
        let first = browser.follow(&led).await.expect(303);
        // Before the browser follows anything else.
        assert_dead(copy).await;
        let last = browser.follow_all(first).await.expect(200);
        assert_eq!(last.url.host(), "login.test", "{link}");
        assert!(last.text().contains("signed out"), "{}", last.text());
        assert_eq!(browser.jar.len(), 0, "{link}: {:?}", browser.jar);
    }
}

#[tokio::test]
async fn where_a_link_ends_is_held_against_the_served_hosts_d_18() {
    let application = application().await;
    let gateway = start(&application).await;
    let port = gateway.address("https").port();
    let served = format!("https://other.test:{port}/public/bye?x=1");
    for link in ["/app/logout?return=", "/app/leave?end_url="] {
        for (end, host, path) in [
            (served.as_str(), "other.test", "/public/bye"),
            ("https://evil.test/", "login.test", "/.portway/signed-out"),
            ("//evil.test/", "login.test", "/.portway/signed-out"),
        ] {
            let mut browser = signed_in_twice(&gateway).await;
            let encoded: String = form_urlencoded::byte_serialize(end.as_bytes()).collect();
            let url = format!("https://app.test{link}{encoded}");
            let led = browser.get(&url).await.expect(302);
            let last = browser.follow_all(led).await.expect(200);
            let ended = (last.url.host(), last.url.path());
            assert_eq!(ended, (host, path), "{link}{end}");
            assert_eq!(browser.jar.len(), 0, "{link}{end}: {:?}", browser.jar);
        }
    }
}

#[tokio::test]
async fn a_link_on_another_site_to_a_link_of_an_application_asks_first() {
    let application = application().await;
    let gateway = start(&application).await;
    for link in ["/app/logout", "/own/logout"] {
        let mut browser = signed_in_twice(&gateway).await;
        let url = format!("https://app.test{link}");
        let led = browser.get_from_elsewhere(&url).await.expect(302);
        let page = browser.follow(&led).await.expect(200);
        assert!(page.text().contains("Sign out?"), "{}", page.text());
        for host in ["app.test", "other.test"] {
            browser.get(&format!("https://{host}/")).await.expect(200);
        }
    }
}

/// A browser that is signed in at two applications.
async fn signed_in_twice(gateway: &Gateway) -> Browser {
    let mut browser = Browser::signed_in(gateway, "alice").await;
    let there = browser.get("https://other.test/").await;
    browser.follow_all(there).await.expect(200);
    browser
}

/// Whether the session behind a copy of the cookies is dead everywhere.
async fn assert_dead(mut copy: Browser) {
    for host in ["app.test", "other.test"] {
        let page = copy.get(&format!("https://{host}/")).await.expect(303);
        copy.follow(&page).await.expect(200).form();
    }
}

/// An application that answers its own link with a redirect to its own login page.
async fn application() -> Recorder {
    Recorder::scripted(|request, _, _| {
        let answer: &[u8] = if request.starts_with(b"GET /own/logout ") {
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /own/login\r\n\r\n"
        } else {
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        };
        Reply::Send(answer.to_vec())
    })
    .await
}

async fn start(application: &Recorder) -> Gateway {
    let upstream = application.address();
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
{POLICIES}virtual_hosts:
  - host: app.test
    routes:
      - {{ exact: /app/logout, access: excluded, redirect: {{ to: /.portway/logout }} }}
      - {{ exact: /app/leave, access: excluded,
          redirect: {{ to: \"/.portway/logout?return=${{request.query.end_url}}\" }} }}
      - {{ exact: /own/logout, access: unprotected, pool: app,
          headers: {{ response: {{ set: {{ Location: /.portway/logout }} }} }} }}
      - {{ path: /admin, access: protected, policy: admins, pool: app }}
      - {{ path: /, access: protected, policy: anybody, pool: app }}
  - host: other.test
    routes:
      - {{ path: /public, access: excluded, pool: app }}
      - {{ path: /, access: protected, policy: anybody, pool: app }}
"
    );
    Gateway::start(&yaml).await
}

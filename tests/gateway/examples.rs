//! The configurations in `examples/`, started as they stand and driven.

use std::path::PathBuf;

use rustls::version::TLS13;

use super::client_certificates::connect;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Nginx;
use crate::support::Request;
use crate::support::browser::fetch;
use crate::support::certificates::ClientAuthority;
use crate::support::certificates::client_showing;
use crate::support::client::send_by;
use crate::support::gateway::Setup;
use crate::support::gateway::users_with;
use crate::support::nginx::Speaks;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
        .join("gateway.yaml")
}

/// A folder and the variables that both examples know.
fn setup() -> Setup {
    let setup = Setup::new();
    let path = |name: &str| setup.path(name).display().to_string();
    let (state, certificate, key, users) = (
        path("state"),
        path("cert.pem"),
        path("key.pem"),
        path("users.yaml"),
    );
    setup
        .variable("PORTWAY_STATE", &state)
        .variable("PORTWAY_CERTIFICATE", &certificate)
        .variable("PORTWAY_KEY", &key)
        .variable("PORTWAY_USERS", &users)
        .variable("PORTWAY_HTTPS", "127.0.0.1:0")
        .variable("PORTWAY_HTTP", "127.0.0.1:0")
}

/// The first configuration of the guide, as it stands but for ports and files.
#[tokio::test]
async fn the_first_application_of_the_guide_is_served_behind_a_sign_in() {
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/guide/first-application.md");
    let page = std::fs::read_to_string(page).unwrap();
    let behind = page.split("```yaml\n").nth(1).unwrap();
    let mut config = behind.split("```").next().unwrap().to_owned();
    let application = Application::start().await;
    let upstream = application.address().to_string();
    for (there, here) in [
        ("127.0.0.1:8443", "127.0.0.1:0"),
        ("127.0.0.1:8080", "127.0.0.1:0"),
        ("127.0.0.1:3000", upstream.as_str()),
        ("certs/server.crt", "cert.pem"),
        ("certs/server.key", "key.pem"),
    ] {
        assert!(config.contains(there), "{there}");
        config = config.replace(there, here);
    }
    let gateway = Gateway::start(&config).await;
    let mut browser = Browser::new(&gateway);
    let host = "https://work.portway.localhost";
    assert!(page.contains(&format!("curl --insecure --head {host}:8443/\n")));
    browser.send(fetch(&format!("{host}/"))).await.expect(401);
    let there = browser.sign_in(&format!("{host}/"), "alice").await;
    assert_eq!(there.expect(200).told("remote-user"), "alice");
    let checked = gateway.command(&["check"]).output().unwrap();
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success(), "{said}");
    assert!(!said.contains("policies name"), "{said}");
}

#[tokio::test]
async fn the_single_application_is_served_behind_a_sign_in() {
    let Some(nginx) = Nginx::start("app").await else {
        return;
    };
    let setup = setup().variable("APP_1", &nginx.address().to_string());
    let gateway = setup.start_with(&example("single")).await;
    let mut browser = Browser::new(&gateway);
    let host = "https://app.portway.localhost";
    browser
        .get(&format!("{host}/static/logo.png"))
        .await
        .expect(200);
    browser.get(&format!("{host}/health")).await.expect(200);
    browser
        .send(fetch(&format!("{host}/api")))
        .await
        .expect(401);
    let there = browser
        .sign_in(&format!("{host}/deep?x=1"), "alice")
        .await
        .expect(200);
    assert_eq!(
        (there.told("uri"), there.told("remote-user")),
        ("/deep?x=1".into(), "alice".into())
    );
    let mut dora = Browser::new(&gateway);
    dora.sign_in(&format!("{host}/"), "dora").await.expect(403);
    let out = browser.get(&format!("{host}/.portway/logout")).await;
    browser.follow_all(out).await.expect(200);
    browser.get(&format!("{host}/")).await.expect(303);
    let port = gateway.address("https").port();
    let moved = browser
        .get("http://app.portway.localhost/x")
        .await
        .expect(301);
    assert_eq!(moved.header("location"), format!("{host}:{port}/x"));
}

/// Twelve upstreams: two for each of two pools for each of three names.
async fn emm(mut setup: Setup) -> Option<(Vec<Nginx>, Setup)> {
    let mut upstreams = Vec::new();
    for name in ["WORK", "MGT", "KEYMGT"] {
        for (speaks, scheme) in [(Speaks::Http, "HTTP"), (Speaks::Https, "HTTPS")] {
            for member in [1, 2] {
                let variable = format!("{name}_{member}_{scheme}");
                let nginx = Nginx::speaking(&variable, speaks).await?;
                setup = setup.variable(&variable, &nginx.address().to_string());
                upstreams.push(nginx);
            }
        }
    }
    Some((upstreams, setup))
}

#[tokio::test]
async fn the_three_names_of_wso2_emm_are_served_from_both_pools_each_w_01_w_03_w_04_w_31() {
    let setup = setup();
    let authority = setup.path("ca.pem").display().to_string();
    let devices = ClientAuthority::new("Devices");
    let device_ca = setup.path("devices.pem").display().to_string();
    let setup = setup.variable("EMM_DEVICE_CA", &device_ca);
    let setup = setup.file("devices.pem", &devices.pem);
    let setup = setup.variable("EMM_CA", &authority).file(
        "users.yaml",
        &users_with(&[
            ("alice", "[emm-users]", "alice@mail.test", "Alice"),
            ("carol", "[emm-admins]", "carol@mail.test", "Carol"),
            ("bob", "[others]", "bob@mail.test", "Bob"),
        ]),
    );
    let Some((mut upstreams, setup)) = emm(setup).await else {
        return;
    };
    let gateway = setup.start_with(&example("wso2-emm")).await;

    let mut alice = roles(&gateway).await;
    pools(&gateway).await;
    by_certificate(&gateway, &devices).await;

    // A client stays with its member, and goes to the other one when that is killed.
    let url = "https://work.emm.wso2.com/";
    let home = alice.get(url).await.expect(200).told("upstream");
    for _ in 0..5 {
        assert_eq!(alice.get(url).await.told("upstream"), home);
    }
    let mut at_home = upstreams.iter_mut().filter(|one| one.name() == home);
    at_home.next().unwrap().kill();
    let other = alice.get(url).await.expect(200).told("upstream");
    assert!(other != home && is_work_tls(&other), "{other}");
}

fn is_work_tls(upstream: &str) -> bool {
    upstream.starts_with("WORK_") && upstream.ends_with("_HTTPS")
}

/// Signed in once for all names; workers, managers and others are told apart. Answers the worker.
async fn roles(gateway: &Gateway) -> Browser {
    let mut alice = Browser::new(gateway);
    let work = "https://work.emm.wso2.com/emm?x=1";
    let there = alice.sign_in(work, "alice").await.expect(200);
    assert!(is_work_tls(&there.told("upstream")), "{}", there.text());
    assert_eq!(there.told("remote-user"), "alice");
    assert_eq!(there.told("x-forwarded-proto"), "https");
    let denied = alice.get("https://mgt.emm.wso2.com/").await;
    alice.follow_all(denied).await.expect(403);

    let mut carol = Browser::new(gateway);
    let there = carol
        .sign_in("https://mgt.emm.wso2.com/", "carol")
        .await
        .expect(200);
    assert!(
        there.told("upstream").starts_with("MGT_"),
        "{}",
        there.text()
    );
    let there = carol.get(work).await;
    let there = carol.follow_all(there).await.expect(200);
    assert!(is_work_tls(&there.told("upstream")), "{}", there.text());
    // The key manager asks nobody, and is told of a session once there is one for its host.
    let there = carol.get("https://keymgt.emm.wso2.com/").await.expect(200);
    assert_eq!(there.told("remote-user"), "");

    Browser::new(gateway).sign_in(work, "bob").await.expect(403);
    alice
}

/// The application is told of the certificate of a device, and of nobody else's (W-23, W-25, W-26, W-27).
async fn by_certificate(gateway: &Gateway, devices: &ClientAuthority) {
    let host = "ssl.work.emm.wso2.com";
    let good = devices.issue("device-7", 7, 4000);
    let foreign = ClientAuthority::new("Devices").issue("device-7", 7, 4000);
    for (shown, status, told) in [
        (Some(&good), 200, "/O=Acme, Inc./CN=device-7"),
        (None, 200, ""),
        (Some(&foreign), 400, ""),
    ] {
        let config = client_showing(shown, &TLS13, b"h2");
        let stream = connect(gateway, host, config).await.unwrap();
        let request = Request::get(&format!("https://{host}/"));
        let request = request.header("Proxy_Mutual_Auth_Header", "/CN=attacker");
        let answer = send_by(&request, stream).await.unwrap().expect(status);
        if status == 200 {
            assert!(is_work_tls(&answer.told("upstream")), "{}", answer.text());
            assert_eq!(answer.told("proxy-mutual-auth-header"), told);
        }
    }
    let mut anybody = Browser::new(gateway);
    let moved = anybody.get(&format!("http://{host}/x")).await;
    moved.expect(301);
}

/// Plain http and TLS have pools of their own, and plain http serves what is open.
async fn pools(gateway: &Gateway) {
    let mut anybody = Browser::new(gateway);
    for (scheme, ending) in [("http", "_HTTP"), ("https", "_HTTPS")] {
        let url = format!("{scheme}://keymgt.emm.wso2.com/dynamic-client-web/register/");
        let answer = anybody
            .send(Request::post(&url).body("{}"))
            .await
            .expect(200);
        let upstream = answer.told("upstream");
        assert!(
            upstream.starts_with("KEYMGT_") && upstream.ends_with(ending),
            "{upstream}"
        );
    }
    for name in ["work", "mgt"] {
        let moved = anybody.get(&format!("http://{name}.emm.wso2.com/x")).await;
        let location = moved.expect(301).header("location").to_owned();
        assert!(
            location.starts_with(&format!("https://{name}.emm.wso2.com")),
            "{location}"
        );
    }
    let agent = anybody
        .get("http://work.emm.wso2.com/mdm-android-agent/x")
        .await;
    assert!(agent.expect(200).told("upstream").ends_with("_HTTP"));
}

//! What a reload takes up from files: certificates, users, included files, links; and that no faulty
//! configuration of all that are known takes the place of a good one.

use std::os::unix::fs::symlink;

use futures_util::SinkExt;
use futures_util::StreamExt;
use http::Method;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::Url;
use crate::support::certificates;
use crate::support::client;
use crate::support::gateway::Setup;
use crate::support::gateway::password;
use crate::support::gateway::users_with;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::yaml;

/// The certificate that a new connection is shown.
async fn shown(gateway: &Gateway) -> Vec<u8> {
    let tcp = TcpStream::connect(gateway.address("https")).await.unwrap();
    let stream = client::connect_tls(tcp, "app.test", &[b"http/1.1"]);
    let stream = stream.await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain.first().unwrap().to_vec()
}

async fn status_of(gateway: &Gateway, host: &str) -> u16 {
    let mut browser = Browser::new(gateway);
    browser.get(&format!("https://{host}/")).await.status
}

#[tokio::test]
async fn every_known_fault_leaves_the_good_configuration_serving_d_16() {
    let recorder = Recorder::start().await;
    let good = yaml::pool(&format!("primary: [\"{}\"]", recorder.address()));
    let gateway = Gateway::start(&good).await;
    let folder = format!(
        "{}/tests/fixtures/config/invalid",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut faulty = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "yaml") {
            continue;
        }
        gateway.edit(&std::fs::read_to_string(&path).unwrap());
        let report = gateway.control(Method::POST, "/v1/reload").await;
        assert_eq!(report["result"], "refused", "{}: {report}", path.display());
        let faults = report["faults"].as_array().unwrap();
        assert!(!faults.is_empty(), "{}: {report}", path.display());
        if faulty % 16 == 0 {
            assert_eq!(status_of(&gateway, "app.test").await, 200);
        }
        faulty += 1;
    }
    assert!(faulty >= 120, "{faulty}");
    assert_eq!(status_of(&gateway, "app.test").await, 200);
    let status = gateway.control(Method::GET, "/v1/status").await;
    assert_eq!(status["configuration"]["generation"], 1);
    gateway.reload_with(&good).await;
}

#[tokio::test]
async fn a_websocket_an_upload_and_a_download_outlast_reloads_d_16() {
    const PIECE: usize = 64 * 1024;
    let application = Application::start().await;
    let config = yaml::pool(&format!("primary: [\"{}\"]", application.address()));
    let gateway = Gateway::start(&config).await;
    let browser = Browser::new(&gateway);
    let mut download = browser
        .open(Request::get("https://app.test/slow/200"))
        .await;
    let mut socket = websocket::open(&browser, "https://app.test/ws", &[])
        .await
        .unwrap();
    let url = Url::parse("https://app.test/upload");
    let https = gateway.address("https");
    let mut upload = client::connect(&url, https, Protocol::H1).await.unwrap();
    let length = 10 * PIECE;
    let head =
        format!("POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: {length}\r\n\r\n");
    upload.write_all(head.as_bytes()).await.unwrap();
    let mut downloaded = 0;
    for round in 0..10_u64 {
        // The pool is another one each time, and in the end its host is gone.
        let other = format!("max_fails: {}, primary:", round + 2);
        let other = config.replace("primary:", &other);
        let gone = if round == 9 { "other.test" } else { "app.test" };
        gateway
            .reload_with(&other.replace("host: app.test", &format!("host: {gone}")))
            .await;
        upload.write_all(&vec![b'x'; PIECE]).await.unwrap();
        upload.flush().await.unwrap();
        let sent = (round + 1) * PIECE as u64;
        until("the upload goes on", PATIENCE, || async {
            (application.uploaded() == sent).then_some(())
        })
        .await;
        socket
            .send(Message::text(format!("{round}")))
            .await
            .unwrap();
        let echo = within("an echo", PATIENCE, socket.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(echo.into_text().unwrap().as_str(), format!("{round}"));
        downloaded += download.next().await.unwrap().unwrap().len();
    }
    let mut answer = [0; 15];
    upload.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    downloaded += within("the download", PATIENCE, download.rest())
        .await
        .unwrap()
        .len();
    assert_eq!(downloaded, 200 * 1024);
    assert_eq!(status_of(&gateway, "app.test").await, 421);
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_at_the_next_handshake() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::pool(&format!(
        "primary: [\"{}\"]",
        recorder.address()
    )))
    .await;
    let before = shown(&gateway).await;
    let renewed = certificates::issue(certificates::NAMES);
    // For a moment the key belongs to no certificate that is there.
    gateway.replace("cert.pem", &renewed.certificate);
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 2, "{said}");
    assert!(
        said.contains("the private key does not belong to the certificate"),
        "{said}"
    );
    assert_eq!(shown(&gateway).await, before);
    gateway.replace("key.pem", &renewed.key);
    gateway
        .wait_for_log("configuration reloaded trigger=\"files\"")
        .await;
    assert_eq!(
        shown(&gateway).await,
        certificates::der(&renewed.certificate)
    );
}

#[tokio::test]
async fn a_change_of_the_users_file_lets_new_users_in_and_old_ones_out() {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&config).await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    gateway.replace(
        "users.yaml",
        &users_with(&[("zoe", "[staff]", "zoe@mail.test", "Zoe")]),
    );
    gateway.wait_for_log("users file read again").await;
    until("alice is signed out", PATIENCE, || {
        let mut alice = alice.clone();
        async move { (alice.get("https://app.test/").await.status == 303).then_some(()) }
    })
    .await;
    let mut zoe = Browser::signed_in(&gateway, "zoe").await;
    // Another file by another name is taken up by the reload of the configuration.
    gateway.replace(
        "others.yaml",
        &users_with(&[("alice", "[staff]", "a@mail.test", "A")]),
    );
    gateway
        .reload_with(&config.replace("users_file: users.yaml", "users_file: others.yaml"))
        .await;
    until("zoe is signed out", PATIENCE, || {
        let mut zoe = zoe.clone();
        async move { (zoe.get("https://app.test/").await.status == 303).then_some(()) }
    })
    .await;
    alice
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    let refused = zoe.get("https://app.test/").await;
    let page = zoe.follow_all(refused).await.expect(200);
    let again = zoe.log_in(&page, "zoe", &password("zoe")).await;
    assert!(!again.redirects(), "{again:?}");
}

#[tokio::test]
async fn a_faulty_users_file_refuses_the_reload_as_a_whole() {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&config).await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    gateway.replace("others.yaml", "users: [{ name: alice }]\n");
    gateway.edit(&config.replace("users_file: users.yaml", "users_file: others.yaml"));
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("others.yaml"), "{said}");
    alice.get("https://app.test/").await.expect(200);
    // Once the file is as it should be, nobody has to ask again.
    let good = users_with(&[("alice", "[staff]", "a@mail.test", "A")]);
    gateway.replace("others.yaml", &good);
    let reloaded = "configuration reloaded trigger=\"files\" generation=";
    gateway.wait_for_log(&format!("{reloaded}2")).await;
    std::fs::remove_file(gateway.folder().join("others.yaml")).unwrap();
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 2, "{said}");
    gateway.replace("others.yaml", &good);
    gateway.wait_for_log(&format!("{reloaded}3")).await;
    let status = gateway.status().await;
    let last = &status["configuration"]["last_reload"];
    assert_eq!(last["result"], "applied", "{last}");
}

#[tokio::test]
async fn a_link_that_leads_elsewhere_is_a_change_as_orchestrators_make_it() {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let setup = Setup::new();
    let at = |name: &str| setup.path(name).display().to_string();
    let config = |upstream| {
        let config = yaml::pool(&format!("primary: [\"{upstream}\"]"));
        let config = config.replace("cert.pem", &at("cert.pem"));
        let config = config.replace("key.pem", &at("key.pem"));
        let config = config.replace("users.yaml", &at("users.yaml"));
        format!("state_dir: {}\n{config}", at("state"))
    };
    for (version, upstream) in [("v1", first.address()), ("v2", second.address())] {
        std::fs::create_dir(setup.path(version)).unwrap();
        let file = setup.path(version).join("gateway.yaml");
        std::fs::write(file, config(upstream)).unwrap();
    }
    symlink("v1", setup.path("..data")).unwrap();
    symlink("..data/gateway.yaml", setup.path("gateway.yaml")).unwrap();
    let path = setup.path("gateway.yaml");
    let gateway = setup.start_with(&path).await;
    assert_eq!(status_of(&gateway, "app.test").await, 200);
    assert!(second.bytes().is_empty());
    let (new, link) = (
        gateway.folder().join("..new"),
        gateway.folder().join("..data"),
    );
    symlink("v2", &new).unwrap();
    std::fs::rename(new, link).unwrap();
    gateway
        .wait_for_log("configuration reloaded trigger=\"files\"")
        .await;
    assert_eq!(status_of(&gateway, "app.test").await, 200);
    assert!(!second.bytes().is_empty());
}

#[tokio::test]
async fn an_included_file_is_followed_from_its_first_to_its_last_day() {
    let recorder = Recorder::start().await;
    let setup = Setup::new();
    std::fs::create_dir(setup.path("conf.d")).unwrap();
    let pool = yaml::pool(&format!("primary: [\"{}\"]", recorder.address()));
    let gateway = setup.start(&format!("include: conf.d/\n{pool}")).await;
    assert_eq!(status_of(&gateway, "other.test").await, 421);
    let other = "virtual_hosts:
  - host: other.test
    routes: [{ path: /, access: excluded, pool: app }]
";
    gateway.replace("conf.d/other.yaml", other);
    gateway
        .wait_for_log("configuration reloaded trigger=\"files\" generation=2")
        .await;
    assert_eq!(status_of(&gateway, "other.test").await, 200);
    gateway.replace(
        "conf.d/other.yaml",
        &other.replace("pool: app", "pool: none"),
    );
    gateway
        .wait_for_log(
            "conf.d/other.yaml:3:49  virtual_hosts[0].routes[0].pool: there is no pool `none`",
        )
        .await;
    assert_eq!(status_of(&gateway, "other.test").await, 200);
    std::fs::remove_file(gateway.folder().join("conf.d/other.yaml")).unwrap();
    gateway
        .wait_for_log("configuration reloaded trigger=\"files\" generation=3")
        .await;
    assert_eq!(status_of(&gateway, "other.test").await, 421);
    assert_eq!(status_of(&gateway, "app.test").await, 200);
}

#[tokio::test]
async fn upstreams_that_stay_keep_what_is_known_of_their_health() {
    let (well, gone) = (Recorder::start().await, Recorder::start().await);
    let (well_at, gone_at) = (well.address(), gone.address());
    drop(gone);
    let config = yaml::pool(&format!(
        "fail_timeout: 10m, primary: [\"{gone_at}\", \"{well_at}\"]"
    ));
    let gateway = Gateway::start(&config).await;
    let state = |status: &serde_json::Value, at: &str| {
        let upstreams = status["pools"][0]["upstreams"].as_array().unwrap();
        let found = upstreams.iter().find(|upstream| upstream["address"] == at);
        found.unwrap()["state"].as_str().unwrap().to_owned()
    };
    let gone_at = gone_at.to_string();
    until("the one that is gone is noticed", PATIENCE, || async {
        status_of(&gateway, "app.test").await;
        let status = gateway.status().await;
        (state(&status, &gone_at) == "suspected").then_some(())
    })
    .await;
    // Another weight makes it another pool, of the same upstreams.
    let other = config.replace("primary: [", "connect_retries: 1, primary: [");
    gateway.reload_with(&other).await;
    let status = gateway.status().await;
    let generation = status["configuration"]["generation"].as_u64().unwrap();
    assert!(generation >= 2, "{status}");
    assert_eq!(state(&status, &gone_at), "suspected");
    assert_eq!(state(&status, &well_at.to_string()), "healthy");
}

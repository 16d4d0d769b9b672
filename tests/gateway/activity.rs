//! What keeps a session from idling out while a request runs on: what its user does over it, and nothing that
//! happens by itself.

use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_tungstenite::tungstenite::Message;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::client;
use crate::support::client::Connection;
use crate::support::client::Live;
use crate::support::gateway::Setup;
use crate::support::message::Url;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::websocket::Socket;
use crate::support::yaml;

const MINUTE: u64 = 60;
const APP: &str = "https://app.test/";
const OTHER: &str = "https://other.test/";

/// `app.test` as ever; nothing at `other.test` is activity.
async fn gateway(application: &Application) -> Option<Gateway> {
    let setup = Setup::new().with_clock()?;
    let yaml = yaml::applications(&[application.address()]);
    let (app, other) = yaml.split_once("- host: other.test").unwrap();
    let other = other.replace("pool: app", "pool: app, activity: false");
    let yaml = format!("{app}- host: other.test{other}");
    Some(setup.start(&yaml).await)
}

/// The users of the sessions that have been idle for ten minutes, in order.
async fn idle(gateway: &Gateway) -> Vec<String> {
    let words = ["sessions", "list", "--json", "--idle-longer-than", "10m"];
    let output = gateway.verb(&words).await;
    assert!(output.status.success(), "{output:?}");
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sessions = list.get("sessions").and_then(Value::as_array).unwrap();
    let user = |session: &Value| Some(session.get("user")?.as_str()?.to_owned());
    let mut users: Vec<_> = sessions.iter().filter_map(user).collect();
    users.sort();
    users
}

/// Begins to send a body that does not end soon.
async fn upload(browser: &Browser) -> Connection {
    let url = Url::parse("https://app.test/upload");
    let address = browser.address(&url);
    let mut connection = client::connect(&url, address, Protocol::H1).await.unwrap();
    let cookies = browser.cookies_for("https://app.test/upload");
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: app.test\r\nCookie: {cookies}\r\nContent-Length: 9000000\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    connection
}

async fn download(browser: &Browser, path: &str) -> Live {
    let live = browser
        .open(Request::get(&format!("https://app.test{path}")))
        .await;
    assert_eq!(live.status, 200);
    live
}

async fn is_served(browser: &mut Browser, url: &str) -> bool {
    browser.send(Request::get(url)).await.status == 200
}

/// Three of each: those whose users do something, and those where something happens by itself.
struct Running {
    typed: Socket,
    uploaded: Connection,
    downloaded: Live,
    pinged: Socket,
    pushed: Live,
    polled: Socket,
}

impl Running {
    /// Moves something over each.
    async fn go_on(&mut self) {
        websocket::echo(&mut self.typed, "hello").await;
        self.uploaded.write_all(&[b'x'; 1024]).await.unwrap();
        self.downloaded.next().await.unwrap().unwrap();
        let ping = Message::Ping(Bytes::from_static(b"there?"));
        self.pinged.send(ping).await.unwrap();
        let answer = self.pinged.next().await.unwrap().unwrap();
        assert!(answer.is_pong(), "{answer:?}");
        self.pushed.next().await.unwrap().unwrap();
        websocket::echo(&mut self.polled, "anything new?").await;
    }
}

#[tokio::test]
async fn what_a_user_does_over_a_stream_is_activity_and_what_happens_by_itself_is_none_d_19() {
    let application = Application::start().await;
    let Some(gateway) = gateway(&application).await else {
        return;
    };
    let mut busy = Vec::new();
    let mut quiet = Vec::new();
    for user in ["alice", "bob", "carol"] {
        busy.push(Browser::signed_in(&gateway, user).await);
        quiet.push(Browser::signed_in(&gateway, user).await);
    }
    quiet[2].sign_in_silently(OTHER).await;
    let socket = async |browser: &Browser, url| websocket::open(browser, url, &[]).await.unwrap();
    let mut running = Running {
        typed: socket(&busy[0], "https://app.test/ws").await,
        uploaded: upload(&busy[1]).await,
        downloaded: download(&busy[2], "/slow/1000000").await,
        pinged: socket(&quiet[0], "https://app.test/ws").await,
        pushed: download(&quiet[1], "/ticks").await,
        polled: socket(&quiet[2], "https://other.test/ws").await,
    };
    gateway.set_clock_ahead(Duration::from_secs(20 * MINUTE));
    let each = ["alice", "bob", "carol"];
    within("the busy sessions are active", PATIENCE, async {
        while idle(&gateway).await != each {
            running.go_on().await;
        }
    })
    .await;
    gateway.set_clock_ahead(Duration::from_secs(40 * MINUTE));
    for (browser, url) in quiet.iter_mut().zip([APP, APP, OTHER]) {
        assert!(!is_served(browser, url).await, "{url}");
    }
    for browser in &mut busy {
        assert!(is_served(browser, APP).await);
    }
    websocket::echo(&mut running.typed, "still here").await;
}

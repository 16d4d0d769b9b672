//! The same head again and again by one connection: what was read of it is not read again, and nothing that
//! may have changed meanwhile is missed.

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Url;
use crate::support::client;
use crate::support::client::Connection;
use crate::support::gateway::users_with;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::yaml;

/// A connection that stays open, and the upstream behind it.
struct Kept<'r> {
    connection: Connection,
    recorder: &'r Recorder,
}

impl<'r> Kept<'r> {
    async fn open(gateway: &Gateway, recorder: &'r Recorder) -> Self {
        let url = Url::parse("https://app.test/");
        let https = gateway.address("https");
        let connection = client::connect(&url, https, Protocol::H1).await.unwrap();
        Self {
            connection,
            recorder,
        }
    }

    /// Asks for a path with these lines behind the request line; the status, and what the upstream saw, in
    /// lower case.
    async fn ask(&mut self, path: &str, fields: &str) -> (String, String) {
        self.recorder.clear();
        let request = format!("GET {path} HTTP/1.1\r\n{fields}\r\n");
        let connection = &mut self.connection;
        connection.write_all(request.as_bytes()).await.unwrap();
        connection.flush().await.unwrap();
        let mut seen = Vec::new();
        let mut piece = [0; 8192];
        let is_whole = |seen: &[u8]| {
            let text = String::from_utf8_lossy(seen).to_ascii_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                return false;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            length.is_none_or(|length| body.len() >= length.parse().unwrap())
        };
        while !is_whole(&seen) {
            let read = within("an answer", PATIENCE, connection.read(&mut piece));
            let bytes = read.await.unwrap();
            assert!(bytes > 0, "closed: {}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(piece.get(..bytes).unwrap());
        }
        let status = String::from_utf8_lossy(seen.get(9..12).unwrap()).into_owned();
        (status, self.recorder.text().to_ascii_lowercase())
    }
}

/// The value of a header that an upstream saw.
fn told<'t>(seen: &'t str, name: &str) -> Option<&'t str> {
    let prefix = format!("{name}: ");
    seen.lines().find_map(|line| line.strip_prefix(&prefix))
}

async fn cookies(gateway: &Gateway, user: &str) -> String {
    let browser = Browser::signed_in(gateway, user).await;
    browser.cookies_for("https://app.test/")
}

#[tokio::test]
async fn what_is_told_is_the_same_but_for_the_id() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    let fields = format!(
        "Host: app.test\r\nConnection: keep-alive\r\nX-Real.IP: forged\r\nRemote_User: forged\r\n\
         X-Request-Id: forged\r\nAccept: */*\r\nCookie: theme=dark; {}\r\n",
        cookies(&gateway, "alice").await
    );
    let mut kept = Kept::open(&gateway, &recorder).await;
    let mut ids = Vec::new();
    let mut heads = Vec::new();
    for _ in 0..5 {
        let (status, seen) = kept.ask("/a?b=c", &fields).await;
        assert_eq!(status, "200");
        assert!(!seen.contains("forged"), "{seen}");
        assert_eq!(told(&seen, "connection"), None);
        assert_eq!(told(&seen, "cookie"), Some("theme=dark"));
        assert_eq!(told(&seen, "remote-user"), Some("alice"));
        let id = told(&seen, "x-request-id").unwrap().to_owned();
        let parent = id.get(16..).unwrap();
        heads.push(seen.replace(&id, "ID").replace(parent, "PARENT"));
        ids.push(id);
    }
    assert!(heads.windows(2).all(|two| two[0] == two[1]), "{heads:#?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5, "each has its own id");
}

/// Balancers send requests of many users by one connection (CVE-2021-35472).
#[tokio::test]
async fn each_user_is_told_as_who_they_are_whoever_came_before_d_17() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    let fields = |cookies: &str| format!("Host: app.test\r\nCookie: {cookies}\r\n");
    let alice = fields(&cookies(&gateway, "alice").await);
    let bob = fields(&cookies(&gateway, "bob").await);
    let nobody = "Host: app.test\r\nAccept: */*\r\n".to_owned();
    let mut kept = Kept::open(&gateway, &recorder).await;
    let turns = [0, 0, 0, 1, 1, 0, 2, 2, 1, 0, 0, 2, 0, 1];
    let whose = [
        (&alice, Some("alice")),
        (&bob, Some("bob")),
        (&nobody, None),
    ];
    for turn in turns {
        let (head, user) = whose[turn];
        let (status, seen) = kept.ask("/public", head).await;
        assert_eq!((status.as_str(), told(&seen, "remote-user")), ("200", user));
    }
}

#[tokio::test]
async fn a_path_is_routed_and_judged_each_time() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    let fields = format!(
        "Host: app.test\r\nCookie: {}\r\n",
        cookies(&gateway, "bob").await
    );
    let mut kept = Kept::open(&gateway, &recorder).await;
    for (path, status, user) in [
        ("/a", "200", Some("bob")),
        ("/a", "200", Some("bob")),
        ("/a", "200", Some("bob")),
        ("/plain", "200", None),
        ("/plain", "200", None),
        ("/admin", "403", None),
        ("/public", "200", Some("bob")),
        ("/plain/../admin", "403", None),
        ("/a", "200", Some("bob")),
    ] {
        let (got, seen) = kept.ask(path, &fields).await;
        assert_eq!((got.as_str(), told(&seen, "remote-user")), (status, user));
    }
}

#[tokio::test]
async fn a_sign_out_and_a_change_of_groups_are_noticed_s_17() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let fields = format!(
        "Host: app.test\r\nCookie: {}\r\n",
        browser.cookies_for("https://app.test/")
    );
    let mut kept = Kept::open(&gateway, &recorder).await;
    for _ in 0..3 {
        let (_, seen) = kept.ask("/a", &fields).await;
        assert_ne!(told(&seen, "remote-groups"), Some("newcomers"));
    }
    let users = [("alice", "[newcomers]", "alice@example.org", "Alice")];
    gateway.replace("users.yaml", &users_with(&users));
    let shared = Mutex::new(kept);
    until("alice's new group", PATIENCE, || async {
        let (_, seen) = shared.lock().await.ask("/a", &fields).await;
        (told(&seen, "remote-groups") == Some("newcomers")).then_some(())
    })
    .await;
    let mut kept = shared.into_inner();
    browser
        .get("https://app.test/.portway/logout")
        .await
        .expect(303);
    let (status, seen) = kept.ask("/a", &fields).await;
    assert_eq!((status.as_str(), seen.as_str()), ("401", ""));
}

#[tokio::test]
async fn another_configuration_is_gone_by_at_once_d_16() {
    let recorder = Recorder::start().await;
    let upstream = recorder.address();
    let with = |top: &str| {
        format!(
            "{HEAD}{top}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
virtual_hosts: [{{ host: app.test, routes: [{{ path: /, access: excluded, pool: app }}] }}]
"
        )
    };
    let gateway = Gateway::start(&with("")).await;
    let fields = "Host: app.test\r\nX-Forwarded-For: 203.0.113.9\r\n";
    let mut kept = Kept::open(&gateway, &recorder).await;
    for _ in 0..3 {
        let (_, seen) = kept.ask("/", fields).await;
        assert_eq!(told(&seen, "x-real-ip"), Some("127.0.0.1"));
    }
    gateway
        .reload_with(&with("trusted_proxies: [127.0.0.1]\n"))
        .await;
    for _ in 0..3 {
        let (_, seen) = kept.ask("/", fields).await;
        assert_eq!(told(&seen, "x-real-ip"), Some("203.0.113.9"));
    }
    gateway.reload_with(&with("forwarded_headers: []\n")).await;
    for _ in 0..3 {
        let (_, seen) = kept.ask("/", fields).await;
        assert_eq!(told(&seen, "x-real-ip"), None);
        assert_eq!(told(&seen, "x-request-id"), None);
        assert_eq!(told(&seen, "traceparent"), None);
    }
}

/// Whatever is for the connection alone goes no further, whether or not `Connection` names it (RFC 9110 §7.6.1).
#[tokio::test]
async fn fields_for_the_connection_alone_go_no_further() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::pool(&format!(
        "primary: [\"{}\"]",
        recorder.address()
    )))
    .await;
    let mut kept = Kept::open(&gateway, &recorder).await;
    let fields = [
        "Connection: keep-alive",
        "Connection: Keep-Alive\r\nKeep-Alive: timeout=5",
        "Connection: keep-alive, X-Private\r\nX-Private: 1",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: Basic eDp5",
        "TE: trailers",
        "Trailer: X-Private",
        "HTTP2-Settings: AAMAAABkAAQAAP__",
        "Connection: X-Private\r\nX-Private: 1",
    ];
    for field in fields.iter().flat_map(|field| [field; 3]) {
        let (status, seen) = kept
            .ask("/", &format!("Host: app.test\r\n{field}\r\n"))
            .await;
        assert_eq!(status, "200", "{field}");
        for name in field.lines().filter_map(|line| line.split_once(':')) {
            let name = name.0.to_ascii_lowercase();
            assert_eq!(told(&seen, &name), None, "{field}: {seen}");
        }
    }
}

//! Upstreams at sockets of the file system: spoken to as those at addresses are, told of by their paths, and followed
//! when the file goes and comes.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixListener;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::LocalSocket;
use crate::support::Manner;
use crate::support::Multiplexed;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::nginx;
use crate::support::nginx::Door;
use crate::support::recorder::OK;
use crate::support::recorder::Reply;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::websocket;
use crate::support::yaml;

const PAGE: &str = "https://app.test/";

/// A folder for sockets, with a name that is short enough.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        format!("unix:{}", self.path(name).display())
    }
}

async fn ask(gateway: &Gateway, times: usize) {
    let mut browser = Browser::new(gateway);
    for _ in 0..times {
        browser.get(PAGE).await.expect(200);
    }
}

#[tokio::test]
async fn a_pool_that_fails_hides_no_failure_of_another() {
    let folder = Folder::new();
    let gateway = Gateway::start(&format!(
        "{HEAD}pools:
  northern: {{ primary: [\"{}\"] }}
  southern: {{ primary: [\"{}\"] }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /north, access: excluded, pool: northern }}
      - {{ path: /south, access: excluded, pool: southern }}
",
        folder.name("north.sock"),
        folder.name("south.sock")
    ))
    .await;
    let mut nobody = Browser::new(&gateway);
    for (path, pool) in [("north", "northern"), ("south", "southern")] {
        let page = nobody.get(&format!("https://app.test/{path}")).await;
        page.expect(503);
        until(
            &format!("a failure of {pool} is told"),
            PATIENCE,
            || async {
                let log = gateway.log();
                let mut failed = log.lines().filter(|line| line.contains("request failed"));
                failed.find(|line| line.contains(pool)).map(|_| ())
            },
        )
        .await;
    }
}

#[tokio::test]
async fn a_socket_has_its_share_beside_an_address_and_is_told_of_by_its_path() {
    let (one, two) = (Application::start().await, Application::start().await);
    let folder = Folder::new();
    let socket = LocalSocket::before(one.address(), &folder.path("App.sock"));
    let pool = yaml::pool(&format!(
        "primary: [{{ address: \"{}\", weight: 3 }}, \"{}\"]",
        socket.name(),
        two.address()
    ));
    let gateway = Gateway::start(&format!(
        "ops: {{ bind: \"127.0.0.1:0\" }}\nlogs: {{ access: {{ to: access.log }} }}\n{pool}"
    ))
    .await;
    ask(&gateway, 40).await;
    assert_eq!([one.requests(), two.requests()], [30, 10]);
    assert!(socket.connections() < 10, "connections are kept");
    let name = socket.name();
    let status = gateway.status().await;
    let told = status.pointer("/pools/0/upstreams/0/address").unwrap();
    assert_eq!(told, &name);
    let labels = format!("pool=\"app\",upstream=\"{name}\",address=\"{name}\"");
    let metric = format!("portway_upstream_requests_total{{{labels}}}");
    until("all are counted", PATIENCE, || async {
        (gateway.metric(&metric).await == Some(30.0)).then_some(())
    })
    .await;
    let list = gateway.verb(&["pool", "list"]).await;
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains(&name), "{list}");
    let log = gateway.folder().join("access.log");
    until("the access log names it", PATIENCE, || async {
        let log = std::fs::read_to_string(&log).unwrap_or_default();
        let field = format!("upstream={name} ");
        (log.matches(&field).count() == 30).then_some(())
    })
    .await;
}

#[tokio::test]
async fn connections_are_kept_to_a_socket_that_is_bound_by_another_name() {
    let application = Application::start().await;
    let folder = Folder::new();
    let socket = LocalSocket::before(application.address(), &folder.path("first.sock"));
    std::fs::rename(folder.path("first.sock"), folder.path("app.sock")).unwrap();
    std::os::unix::fs::symlink(folder.path("app.sock"), folder.path("link.sock")).unwrap();
    for name in ["app.sock", "link.sock"] {
        let pool = yaml::pool(&format!("primary: [\"{}\"]", folder.name(name)));
        let gateway = Gateway::start(&pool).await;
        let before = socket.connections();
        ask(&gateway, 30).await;
        let made = socket.connections() - before;
        assert!(made < 10, "{name}: {made} connections for 30 requests");
        let log = gateway.log();
        assert!(!log.contains("ERROR") && !log.contains("mismatch"), "{log}");
    }
}

#[tokio::test]
async fn a_socket_is_told_the_host_of_the_client_or_that_it_is_localhost() {
    let upstream = Recorder::scripted(|request, _, _| {
        let request = String::from_utf8_lossy(request).to_ascii_lowercase();
        let host = request.split("\r\nhost: ").nth(1).unwrap();
        let host = host.lines().next().unwrap();
        let answer = format!(
            "HTTP/1.1 302 Found\r\nLocation: http://localhost/there\r\nX-Told: {host}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        Reply::Send(answer.into_bytes())
    })
    .await;
    let folder = Folder::new();
    let socket = LocalSocket::before(upstream.address(), &folder.path("app.sock"));
    let pool = yaml::pool(&format!("primary: [\"{}\"]", socket.name()));
    let own = pool.replace("pool: app }", "pool: app, upstream_host: upstream }");
    // Who was not told so means the client's own machine by it.
    for (yaml, host, location) in [
        (&pool, "app.test", "http://localhost/there"),
        (&own, "localhost", "https://app.test"),
    ] {
        let gateway = Gateway::start(yaml).await;
        let answer = Browser::new(&gateway).get(PAGE).await.expect(302);
        assert!(answer.header("x-told").starts_with(host), "{answer:?}");
        assert!(
            answer.header("location").starts_with(location),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn websockets_and_bodies_pass_by_a_socket() {
    let application = Application::start().await;
    let folder = Folder::new();
    let socket = LocalSocket::before(application.address(), &folder.path("app.sock"));
    let pool = yaml::pool(&format!("primary: [\"{}\"]", socket.name()));
    let gateway = Gateway::start(&pool).await;
    let mut browser = Browser::new(&gateway);
    let opened = websocket::open(&browser, "https://app.test/ws", &[]).await;
    let mut opened = opened.unwrap();
    for text in ["one", "two"] {
        websocket::echo(&mut opened, text).await;
    }
    let post = Request::post("https://app.test/upload").body("x".repeat(1 << 20));
    let told = browser.send(post).await.expect(200);
    assert_eq!(told.told("uploaded"), (1 << 20).to_string());
    let bulk = browser.get("https://app.test/bulk/2000").await.expect(200);
    assert_eq!(bulk.body.len(), 2000 << 10);
    websocket::echo(&mut opened, "three").await;
}

#[tokio::test]
async fn http_2_and_tls_are_spoken_by_a_socket_whose_certificate_is_for_localhost() {
    let folder = Folder::new();
    let named = "tls: { ca_file: ca.pem, server_name: app.test }";
    for (place, (manner, settings)) in [
        (Manner::Plain, "scheme: h2c".to_owned()),
        (Manner::Tls(&[b"h2"]), format!("scheme: h2, {named}")),
    ]
    .into_iter()
    .enumerate()
    {
        let upstream = Multiplexed::start(manner).await;
        let path = folder.path(&format!("{place}.sock"));
        let socket = LocalSocket::before(upstream.address(), &path);
        let pool = yaml::pool(&format!("primary: [\"{}\"], {settings}", socket.name()));
        let gateway = Gateway::start(&pool).await;
        for protocol in [Protocol::H1, Protocol::H2] {
            let mut browser = Browser::new(&gateway).over(protocol);
            let post = Request::post("https://app.test/sum").body("x".repeat(100_000));
            assert_eq!(browser.send(post).await.expect(200).text(), "100000");
            assert_eq!(browser.get(PAGE).await.expect(200).text(), "ok");
        }
        assert_eq!(upstream.connections(), 1, "{settings}");
        assert_eq!(upstream.heads().len(), 4, "{settings}");
        if settings.contains(named) {
            // Its certificate is for another name than that of a socket.
            let pool = pool.replace(", server_name: app.test", "");
            gateway.reload_with(&pool).await;
            Browser::new(&gateway).get(PAGE).await.expect(503);
        }
    }
}

#[tokio::test]
async fn the_proxy_protocol_is_spoken_to_a_socket_and_its_checks_announce_nobody() {
    let upstream = Recorder::start().await;
    let folder = Folder::new();
    let socket = LocalSocket::before(upstream.address(), &folder.path("app.sock"));
    let pool = yaml::pool(&format!(
        "primary: [\"{}\"], proxy_protocol: v1, \
         health_check: {{ http: {{ path: /up }}, interval: 2s, timeout: 1s }}",
        socket.name()
    ));
    let gateway = Gateway::start(&pool).await;
    upstream.wait_for("PROXY UNKNOWN\r\nGET /up ").await;
    // By a connection each.
    ask(&gateway, 2).await;
    let seen = upstream.connections();
    let seen = seen.iter().map(|bytes| String::from_utf8_lossy(bytes));
    let told: Vec<_> = seen
        .filter(|text| text.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    for text in told {
        assert_eq!(text.matches("PROXY ").count(), 1, "{text}");
        assert_eq!(text.matches("GET / ").count(), 1, "{text}");
    }
}

#[tokio::test]
async fn a_request_goes_on_from_a_socket_that_nobody_is_at_to_one_that_lives_w_08() {
    let application = Application::start().await;
    let folder = Folder::new();
    let living = LocalSocket::before(application.address(), &folder.path("living.sock"));
    // Left behind by a server that is gone.
    drop(std::os::unix::net::UnixListener::bind(folder.path("left.sock")).unwrap());
    std::fs::write(folder.path("file"), "").unwrap();
    let dead = ["none.sock", "left.sock", "file"].map(|name| folder.name(name));
    let all = format!("\"{}\", \"{}\"", dead.join("\", \""), living.name());
    // Never out, so that requests meet those who are not there.
    let pool = yaml::pool(&format!("primary: [{all}], max_fails: 0"));
    let gateway = Gateway::start(&pool).await;
    ask(&gateway, 8).await;
    let post = Request::post("https://app.test/upload").body("hello");
    let told = Browser::new(&gateway).send(post).await.expect(200);
    assert_eq!(told.told("uploaded"), "5");
    assert_eq!(application.requests(), 9);
    for name in &dead {
        let alone = format!("primary: [\"{name}\"], max_fails: 0, connect_retries: 0");
        gateway.reload_with(&yaml::pool(&alone)).await;
        Browser::new(&gateway).get(PAGE).await.expect(503);
    }
    // The third fails as the second does, of which one client is told once.
    for name in &dead[..2] {
        gateway.wait_for_log(name).await;
    }
    assert!(!gateway.log().contains("0.0.0.0"), "{}", gateway.log());
    gateway.wait_for_log("it is a file, and no socket").await;
}

#[tokio::test]
async fn a_socket_may_be_deleted_and_made_anew_while_the_gateway_runs() {
    let (one, two) = (Application::start().await, Application::start().await);
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let first = LocalSocket::before(one.address(), &path);
    let pool = yaml::pool(&format!("primary: [\"{}\"], max_fails: 0", first.name()));
    let gateway = Gateway::start(&pool).await;
    ask(&gateway, 4).await;
    // The next server takes the place while the first one still runs.
    std::fs::remove_file(&path).unwrap();
    let second = LocalSocket::before(two.address(), &path);
    first.stop().await;
    ask(&gateway, 4).await;
    assert_eq!([one.requests(), two.requests()], [4, 4]);
    second.stop().await;
    std::fs::remove_file(&path).unwrap();
    Browser::new(&gateway).get(PAGE).await.expect(503);
    let third = LocalSocket::before(one.address(), &path);
    ask(&gateway, 4).await;
    assert_eq!([one.requests(), two.requests()], [8, 4]);
    drop(third);
}

/// Answers one request of each connection, and takes nothing more from it, though it stays open.
async fn answer_once(listener: UnixListener, made: Arc<AtomicUsize>) {
    let mut open = Vec::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        made.fetch_add(1, Ordering::SeqCst);
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        rustix::net::shutdown(&stream, rustix::net::Shutdown::Read).unwrap();
        stream.write_all(OK).await.unwrap();
        open.push(stream);
    }
}

#[tokio::test]
async fn a_kept_connection_that_takes_nothing_more_is_made_anew_for_a_get_and_not_for_a_body_w_08()
{
    for (method, status, connections) in [("GET", 200, 2), ("DELETE", 200, 2), ("POST", 502, 1)] {
        let folder = Folder::new();
        let listener = UnixListener::bind(folder.path("app.sock")).unwrap();
        let made = Arc::<AtomicUsize>::default();
        let answering = tokio::spawn(answer_once(listener, Arc::clone(&made)));
        let pool = yaml::pool(&format!("primary: [\"{}\"]", folder.name("app.sock")));
        // One thread has the connection back before it looks at the next request.
        let pool = pool.replace("threads: 2", "threads: 1");
        let gateway = Gateway::start(&pool).await;
        let mut browser = Browser::new(&gateway);
        browser.get(PAGE).await.expect(200);
        let request = Request::new(method.parse().unwrap(), PAGE);
        let request = match method {
            "POST" => request.body("hello"),
            _ => request,
        };
        browser.send(request).await.expect(status);
        assert_eq!(made.load(Ordering::SeqCst), connections, "{method}");
        answering.abort();
    }
}

#[tokio::test]
async fn a_check_takes_a_socket_out_and_lets_it_in_again() {
    let (one, two) = (Application::start().await, Application::start().await);
    let folder = Folder::new();
    let path = folder.path("app.sock");
    let socket = LocalSocket::before(one.address(), &path);
    let pool = yaml::pool(&format!(
        "primary: [\"{}\", \"{}\"], max_fails: 0, health_check: {{ tcp: true, \
         interval: 1s, timeout: 900ms, healthy_after: 1, unhealthy_after: 3 }}",
        socket.name(),
        two.address()
    ));
    let gateway = Gateway::start(&pool).await;
    let becomes = async |wanted: &str| {
        until(wanted, PATIENCE, || async {
            let status = gateway.status().await;
            let state = status.pointer("/pools/0/upstreams/0/state").cloned();
            (state.unwrap() == wanted).then_some(())
        })
        .await;
    };
    becomes("healthy").await;
    std::fs::remove_file(&path).unwrap();
    socket.stop().await;
    becomes("down").await;
    let status = gateway.status().await;
    let why = status.pointer("/pools/0/upstreams/0/check_fault").unwrap();
    assert!(why.as_str().unwrap().contains("No such file"), "{why}");
    let before = one.requests();
    ask(&gateway, 4).await;
    assert_eq!(one.requests(), before);
    let _again = LocalSocket::before(one.address(), &path);
    becomes("healthy").await;
    ask(&gateway, 4).await;
    assert_eq!(one.requests(), before + 2);
}

#[tokio::test]
async fn a_socket_is_drained_by_its_path_and_is_new_when_a_reload_adds_it() {
    let (one, two) = (Application::start().await, Application::start().await);
    let folder = Folder::new();
    // In capitals too: a path is no name of a host.
    let socket = LocalSocket::before(one.address(), &folder.path("App.Sock"));
    let both = |more: &str| {
        let (socket, other) = (socket.name(), two.address());
        yaml::pool(&format!("primary: [\"{socket}\", \"{other}\"]{more}"))
    };
    let gateway = Gateway::start(&both("")).await;
    let name = socket.name();
    let verb = async |words: &[&str], code: i32| {
        let output = gateway.verb(words).await;
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    };
    let drained = verb(&["pool", "drain", "app", &name], 0).await;
    assert_eq!(drained, format!("{name} of the pool app is drained\n"));
    ask(&gateway, 4).await;
    gateway.reload_with(&both(", connect_retries: 1")).await;
    ask(&gateway, 4).await;
    assert_eq!([one.requests(), two.requests()], [0, 8]);
    let other = name.replace("App.Sock", "app.sock");
    let refused = verb(&["pool", "undrain", "app", &other], 1).await;
    assert!(refused.contains("has no upstream"), "{refused}");
    verb(&["pool", "undrain", "app", &name], 0).await;
    ask(&gateway, 4).await;
    assert_eq!([one.requests(), two.requests()], [2, 10]);
    let alone = format!("primary: [\"{}\"], slow_start: 10h", two.address());
    gateway.reload_with(&yaml::pool(&alone)).await;
    gateway.reload_with(&both(", slow_start: 10h")).await;
    let status = gateway.status().await;
    let share = status.pointer("/pools/0/upstreams/0/percent_of_share");
    assert_eq!(share.unwrap(), 10);
}

#[tokio::test]
async fn a_socket_that_answers_with_errors_is_ejected_and_the_address_serves() {
    let sick = Recorder::answering(b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops").await;
    let well = Recorder::start().await;
    let folder = Folder::new();
    let socket = LocalSocket::before(sick.address(), &folder.path("app.sock"));
    let pool = yaml::pool(&format!(
        "primary: [\"{}\", \"{}\"], outliers: {{ consecutive_5xx: 2, ejection: 1h, ejection_max: 1h }}",
        socket.name(),
        well.address()
    ));
    let gateway = Gateway::start(&pool).await;
    let mut browser = Browser::new(&gateway);
    for _ in 0..4 {
        browser.get(PAGE).await;
    }
    let status = gateway.status().await;
    let state = status.pointer("/pools/0/upstreams/0/state").unwrap();
    assert_eq!(state, "ejected");
    ask(&gateway, 6).await;
    assert_eq!(sick.requests(), 2);
}

async fn are(gateway: &Gateway, states: [&str; 2]) {
    until(
        &format!("the upstreams are {states:?}"),
        PATIENCE,
        || async { (gateway.upstream_states().await == states).then_some(()) },
    )
    .await;
}

#[tokio::test]
async fn sockets_are_spoken_to_checked_and_kept_out_beyond_an_upgrade_d_16() {
    let (one, two) = (Application::start().await, Application::start().await);
    let folder = Folder::new();
    let path = folder.path("one.sock");
    let first = LocalSocket::before(one.address(), &path);
    let second = LocalSocket::before(two.address(), &folder.path("two.sock"));
    let pool = yaml::pool(&format!(
        "primary: [\"{}\", \"{}\"], max_fails: 0, health_check: {{ tcp: true, \
         interval: 1s, timeout: 900ms, healthy_after: 1, unhealthy_after: 3 }}",
        first.name(),
        second.name()
    ));
    let config = format!("{pool}limits: {{ drain_timeout: 60s }}\n");
    let mut gateway = Gateway::start(&config).await;
    are(&gateway, ["healthy", "healthy"]).await;
    let verb = gateway
        .verb(&["pool", "drain", "app", &second.name()])
        .await;
    assert!(verb.status.success(), "{verb:?}");
    ask(&gateway, 4).await;
    let browser = Browser::new(&gateway);
    let opened = websocket::open(&browser, "https://app.test/ws", &[]).await;
    let mut opened = opened.unwrap();
    websocket::echo(&mut opened, "before").await;
    let mut slow = browser
        .open(Request::get("https://app.test/slow/200"))
        .await;
    let begun = slow.next().await.unwrap().unwrap();
    let (said, code) = gateway.upgrade(&[]).await;
    assert_eq!(code, 0, "{said}");
    let serves = gateway.processes().last().copied().unwrap();
    assert_eq!(gateway.status().await["process_id"], serves);
    // Whose requests run on, and whoever comes now.
    websocket::echo(&mut opened, "after").await;
    ask(&gateway, 4).await;
    let rest = slow.rest().await.unwrap();
    assert_eq!(begun.len() + rest.len(), 200 << 10);
    websocket::echo(&mut opened, "still").await;
    opened.close(None).await.unwrap();
    drop((opened, slow, browser));
    let exit = gateway.wait_for_exit(PATIENCE).await;
    assert!(exit.success(), "{exit}");
    are(&gateway, ["healthy", "drained"]).await;
    assert_eq!([one.requests(), two.requests()], [10, 0]);
    // The successor looks after them as its predecessor did.
    std::fs::remove_file(&path).unwrap();
    first.stop().await;
    are(&gateway, ["down", "drained"]).await;
    let verb = gateway
        .verb(&["pool", "undrain", "app", &second.name()])
        .await;
    assert!(verb.status.success(), "{verb:?}");
    ask(&gateway, 4).await;
    let _again = LocalSocket::before(one.address(), &path);
    are(&gateway, ["healthy", "healthy"]).await;
    ask(&gateway, 4).await;
    assert_eq!([one.requests(), two.requests()], [12, 6]);
    assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
}

#[tokio::test]
async fn nginx_serves_at_sockets_in_plain_by_http_2_and_behind_the_proxy_protocol() {
    let folder = Folder::new();
    let at = |name: &str| folder.path(name).display().to_string();
    let lines = format!(
        "server {{ listen unix:{}; listen unix:{} http2; listen unix:{} proxy_protocol;\n\
         location / {{ return 200 \"$server_protocol $http_host $proxy_protocol_addr.\"; }} }}",
        at("h1"),
        at("h2"),
        at("announced")
    );
    let doors = ["h1", "h2", "announced"].map(|name| Door::Socket(folder.path(name)));
    let Some(_nginx) = nginx::serving(folder.0.path(), &lines, &doors).await else {
        return;
    };
    for (name, settings, told) in [
        ("h1", "", "HTTP/1.1 app.test .".to_owned()),
        ("h2", ", scheme: h2c", "HTTP/2.0 app.test .".to_owned()),
        (
            "announced",
            ", proxy_protocol: v2",
            "HTTP/1.1 app.test 127.0.0.1.".to_owned(),
        ),
    ] {
        let pool = yaml::pool(&format!("primary: [\"{}\"]{settings}", folder.name(name)));
        let pool = pool.replace("pool: app }", "pool: app, upstream_host: without_port }");
        let gateway = Gateway::start(&pool).await;
        let mut browser = Browser::new(&gateway);
        for _ in 0..3 {
            assert_eq!(browser.get(PAGE).await.expect(200).text(), told, "{name}");
        }
    }
}

//! Pages of the operator's in place of errors: of Portway's own, and of upstreams' where that is asked for.

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::support::Answer;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::gateway::Setup;
use crate::support::ports::kept_port;
use crate::support::recorder::Reply;

#[tokio::test]
async fn errors_of_portway_s_own_have_the_page_of_their_route_or_virtual_host_w_43() {
    let (gateway, _recorder) = start().await;
    let mut browser = Browser::new(&gateway);
    for (path, status, body) in [
        ("/nowhere", 404, "<p>Not here.</p>"),
        ("/own/x", 200, "ok"),
        ("/dead", 503, "<p>Sorry.</p>"),
        ("/gone", 200, "Gone, but fine."),
        ("/told", 404, "told"),
    ] {
        let answer = browser.get(&url(path)).await.expect(status);
        assert_eq!(answer.text(), body, "{path}");
        assert_eq!(answer.header("x-rule"), "yes", "{path}");
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
    }
    let missing = browser.get(&url("/nowhere")).await;
    assert_page(&missing, "text/html");
    let dead = browser.get(&url("/dead")).await;
    assert_page(&dead, "text/html; charset=utf-8");
    assert_eq!(dead.header("retry-after"), "5");
    let gone = browser.get(&url("/gone")).await;
    assert_eq!(gone.header("cache-control"), "no-store");
    let kept_out = browser.get(&url("/office/a?token=secret")).await;
    let kept_out = kept_out.expect(302);
    assert_eq!(
        kept_out.header("location"),
        "https://help.test/?from=/office/a"
    );
    assert_eq!(kept_out.header("cache-control"), "no-store");
    // Which methods there are is told with the page.
    let post = Request::post(&url("/own/x")).body("hello");
    let refused = browser.send(post).await.expect(405);
    assert_eq!(refused.header("allow"), "GET, HEAD");
    assert_eq!(refused.text(), "<p>Not here.</p>");
    let head = Request::new(http::Method::HEAD, &url("/nowhere"));
    let head = browser.send(head).await.expect(404);
    assert_eq!(
        (head.header("content-length"), head.text().as_str()),
        ("16", "")
    );
    // A route can have none.
    let none = browser.get(&url("/none")).await.expect(503);
    assert!(!none.text().contains("Sorry"), "{none:?}");
    // Nor has another host.
    let other = browser.get("http://unknown.test/").await.expect(421);
    assert!(!other.text().contains("Not here"), "{other:?}");
}

#[tokio::test]
async fn errors_of_upstreams_are_replaced_with_nothing_of_theirs_where_that_is_asked_for_w_43() {
    let (gateway, recorder) = start().await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut browser = Browser::new(&gateway).over(protocol);
        let secure = |path: &str| url(path).replace("http:", "https:");
        // The page is not for upstreams.
        let passed = browser.get(&secure("/app/404")).await.expect(404);
        assert_eq!(passed.text(), "of the application");
        assert_eq!(passed.header("x-upstream"), "yes");
        let well = browser.get(&secure("/app/200")).await.expect(200);
        assert_eq!(well.text(), "of the application");
        let replaced = browser.get(&secure("/app/503")).await.expect(503);
        assert_eq!(replaced.text(), "<p>Sorry.</p>");
        assert_page(&replaced, "text/html; charset=utf-8");
        // What programs go by stays.
        assert_eq!(replaced.header("retry-after"), "77");
        let asked = browser.get(&secure("/own/401")).await.expect(401);
        assert_eq!(asked.text(), "own");
        assert_eq!(asked.header("www-authenticate"), "Basic realm=\"x\"");
        assert_eq!(asked.header("retry-after"), "");
        let post = Request::post(&secure("/app/502")).body("x".repeat(100_000));
        let posted = browser.send(post).await.expect(502);
        assert_eq!(posted.text(), "<p>Sorry.</p>");
        let head = Request::new(http::Method::HEAD, &secure("/app/503"));
        let head = browser.send(head).await.expect(503);
        assert_eq!(
            (head.header("content-length"), head.text().as_str()),
            ("13", "")
        );
    }
    assert!(recorder.requests() >= 10, "{}", recorder.text());
}

/// What was asked for before and behind a page is not mixed up with it.
#[tokio::test]
async fn a_connection_goes_on_behind_a_page_and_ends_behind_one_for_an_upstream() {
    let (gateway, _recorder) = start().await;
    let mut line = TcpStream::connect(gateway.address("http")).await.unwrap();
    for (path, status, body) in [
        ("/nowhere", "404", "<p>Not here.</p>"),
        ("/app/200", "200", "of the application"),
        ("/gone", "200", "Gone, but fine."),
        ("/app/404", "404", "of the application"),
        ("/app/503", "503", "<p>Sorry.</p>"),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n");
        line.write_all(request.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(body.as_bytes()) {
            let mut piece = [0; 4096];
            let read = line.read(&mut piece).await.unwrap();
            let text = String::from_utf8_lossy(&seen).into_owned();
            assert!(read > 0, "{path}: closed behind {text}");
            seen.extend_from_slice(&piece[..read]);
        }
        let text = String::from_utf8_lossy(&seen).to_lowercase();
        assert!(text.starts_with(&format!("http/1.1 {status} ")), "{text}");
        let ends = text.contains("\r\nconnection: close\r\n");
        assert_eq!(ends, path == "/app/503", "{text}");
    }
    assert_eq!(line.read(&mut [0; 1]).await.unwrap(), 0);
}

/// A page stands in nobody's way to a sign-in, and opens none past one.
#[tokio::test]
async fn a_page_is_not_in_the_place_of_a_sign_in_or_a_denial_w_43() {
    let recorder = recorder().await;
    let address = recorder.address();
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{address}\"] }} }}
virtual_hosts:
  - host: app.test
    error_pages:
      - statuses: [401, 403, 404, 503]
        upstream_errors: replace
        respond: {{ status: 200, body: Sorry. }}
    routes:
      - {{ path: /admin, access: protected, policy: [], pool: app }}
      - {{ path: /, access: protected, policy: [{{ allow: signed_in }}], pool: app }}
"
    );
    let gateway = Gateway::start(&yaml).await;
    let mut alice = Browser::new(&gateway);
    let asked = alice.get("https://app.test/404").await.expect(303);
    assert!(asked.header("location").starts_with("https://login.test"));
    let program = crate::support::browser::fetch("https://app.test/404");
    let program = alice.send(program).await.expect(401);
    assert!(!program.text().contains("Sorry."), "{program:?}");
    assert_eq!(recorder.requests(), 0);
    let signed_in = alice.sign_in("https://app.test/200", "alice").await;
    assert_eq!(signed_in.expect(200).text(), "of the application");
    let replaced = alice.get("https://app.test/503").await.expect(200);
    assert_eq!(replaced.text(), "Sorry.");
    assert_eq!(replaced.header("cache-control"), "no-store");
    assert_eq!(replaced.header("set-cookie"), "");
    // With another status what the error needed means nothing.
    assert_eq!(replaced.header("retry-after"), "");
    let denied = alice.get("https://app.test/admin").await.expect(403);
    assert!(!denied.text().contains("Sorry."), "{denied:?}");
}

#[tokio::test]
async fn pages_are_read_anew_with_the_configuration() {
    let (gateway, _recorder) = start().await;
    let mut browser = Browser::new(&gateway);
    gateway.replace("sorry.html", "<p>Later.</p>");
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 0, "{said}");
    let page = browser.get(&url("/dead")).await.expect(503);
    assert_eq!(page.text(), "<p>Later.</p>");
}

fn assert_page(answer: &Answer, content_type: &str) {
    assert_eq!(answer.header("content-type"), content_type, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
    for name in ["set-cookie", "etag", "last-modified", "x-upstream"] {
        assert_eq!(answer.header(name), "", "{answer:?}");
    }
}

fn url(path: &str) -> String {
    format!("http://app.test{path}")
}

/// An upstream that answers with the status that the path ends with, and with much else.
async fn recorder() -> Recorder {
    Recorder::scripted(|request, _, _| {
        let head = String::from_utf8_lossy(request);
        let path = head.split(' ').nth(1).unwrap_or_default();
        let status = path.rsplit('/').next().and_then(|end| end.parse().ok());
        let status: u16 = status.unwrap_or(200);
        let body = if status == 200 && path.starts_with("/own") {
            "ok"
        } else {
            "of the application"
        };
        let more = match status {
            401 => "WWW-Authenticate: Basic realm=\"x\"\r\n",
            503 => "Retry-After: 77\r\n",
            _ => "",
        };
        let body_sent = if head.starts_with("HEAD") { "" } else { body };
        Reply::Send(
            format!(
                "HTTP/1.1 {status} Status\r\nSet-Cookie: a=b\r\nETag: \"1\"\r\nX-Upstream: yes\r\n\
                 Cache-Control: max-age=60\r\n{more}Content-Length: {}\r\n\r\n{body_sent}",
                body.len()
            )
            .into_bytes(),
        )
    })
    .await
}

async fn start() -> (Gateway, Recorder) {
    let recorder = recorder().await;
    let (address, dead) = (recorder.address(), kept_port());
    let yaml = format!(
        "{HEAD}pools:
  app: {{ primary: [\"{address}\"] }}
  dead: {{ primary: [\"127.0.0.1:{dead}\"] }}
virtual_hosts:
  - host: app.test
    plain_http: serve
    headers: {{ response: {{ set: {{ X-Rule: \"yes\" }} }} }}
    error_pages:
      - statuses: [404, 405]
        respond: {{ content_type: text/html, body: \"<p>Not here.</p>\" }}
      - statuses: [502, 503, 504]
        upstream_errors: replace
        respond: {{ content_type: text/html; charset=utf-8, body_file: sorry.html }}
      - statuses: [403]
        redirect: {{ to: \"https://help.test/?from=${{request.path}}\" }}
      - statuses: [410]
        respond: {{ status: 200, body: \"Gone, but fine.\" }}
    routes:
      - {{ path: /dead, access: excluded, pool: dead }}
      - {{ path: /office, access: excluded, addresses: [{{ deny: all }}], pool: app }}
      - path: /own
        access: excluded
        methods: [GET, HEAD]
        pool: app
        error_pages:
          - {{ statuses: [401], upstream_errors: replace, respond: {{ body: own }} }}
      - {{ path: /none, access: excluded, error_pages: [], pool: dead }}
      - {{ exact: /gone, access: excluded, respond: {{ status: 410 }} }}
      - {{ exact: /told, access: excluded, respond: {{ status: 404, body: told }} }}
      - {{ path: /app, access: excluded, pool: app }}
"
    );
    let setup = Setup::new().file("sorry.html", "<p>Sorry.</p>");
    (setup.start(&yaml).await, recorder)
}

//! Listeners and names: plain http, unknown hosts, certificates by name, HTTP/1.1 and HTTP/2, and what
//! upstreams are told about the connection.

use portway::decision::forwarded_headers::ForwardedHeaders;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Nginx;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::certificates;
use crate::support::client;
use crate::support::gateway::Setup;
use crate::support::parts;
use crate::support::yaml;

/// One host of each way with plain http, protected, unprotected and excluded routes.
fn plain_http(upstream: std::net::SocketAddr) -> String {
    let host = |name: &str, mode: &str| {
        format!(
            "  - host: {name}
    plain_http: {mode}
    routes:
      - {{ path: /public, access: unprotected, pool: app }}
      - {{ path: /plain, access: excluded, pool: app }}
      - {{ path: /, access: protected, policy: [{{ allow: signed_in }}], pool: app }}
"
        )
    };
    format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}\nvirtual_hosts:\n{}{}{}",
        host("app.test", "redirect"),
        host("other.test", "serve"),
        host("third.test", "refuse")
    )
}

#[tokio::test]
async fn plain_http_is_redirected_served_or_refused_w_02() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let gateway = Gateway::start(&plain_http(nginx.address())).await;
    let port = gateway.address("https").port();
    let mut browser = Browser::new(&gateway);
    let moved = |host: &str, target: &str| format!("https://{host}:{port}{target}");
    for (method, url, status, location) in [
        (
            "GET",
            "http://app.test/x?y=1",
            301,
            moved("app.test", "/x?y=1"),
        ),
        ("POST", "http://app.test/x", 308, moved("app.test", "/x")),
        (
            "GET",
            "http://app.test/plain",
            301,
            moved("app.test", "/plain"),
        ),
        (
            "GET",
            "http://other.test/x?y",
            301,
            moved("other.test", "/x?y"),
        ),
        ("GET", "http://other.test/plain", 200, String::new()),
        ("GET", "http://other.test/public", 200, String::new()),
        ("GET", "http://third.test/plain", 421, String::new()),
        (
            "GET",
            "http://login.test/.portway/sign-in?r=x",
            301,
            moved("login.test", "/.portway/sign-in?r=x"),
        ),
        (
            "GET",
            "http://other.test/.portway/callback?t=x",
            301,
            moved("other.test", "/.portway/callback?t=x"),
        ),
        (
            "GET",
            "http://other.test/.portway/logout",
            301,
            moved("other.test", "/.portway/logout"),
        ),
    ] {
        let request = Request::new(method.parse().unwrap(), url);
        let answer = browser.send(request).await.expect(status);
        assert_eq!(answer.header("location"), location, "{url}");
        assert!(answer.set_cookies().is_empty(), "{url}");
    }
}

/// People behind one address, each led to https once; and one who never gets there.
#[tokio::test]
async fn who_arrives_by_https_goes_in_no_circle_whatever_is_there_d_10() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&plain_http(recorder.address())).await;
    let browser = Browser::new(&gateway);
    let navigate = |url: &str| {
        Request::get(url)
            .header("accept", "text/html")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
    };
    for target in ["app.test/plain", "app.test/public", "login.test/"] {
        for _ in 0..20 {
            let by_http = navigate(&format!("http://{target}"));
            browser.try_send(by_http).await.unwrap().expect(301);
            let by_https = navigate(&format!("https://{target}"));
            browser.try_send(by_https).await.unwrap();
        }
    }
    let mut circles = 0;
    for _ in 0..20 {
        let by_http = browser.try_send(navigate("http://app.test/plain")).await;
        circles += usize::from(by_http.unwrap().status == 508);
    }
    assert_eq!(circles, 2);
}

#[tokio::test]
async fn no_cookie_of_portways_is_read_on_a_plain_connection() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let gateway = Gateway::start(&plain_http(nginx.address())).await;
    let mut browser = Browser::new(&gateway);
    let there = browser
        .sign_in("https://other.test/", "alice")
        .await
        .expect(200);
    assert_eq!(there.told("remote-user"), "alice");
    let cookies = browser.cookies_for("https://other.test/");
    let plain =
        Request::get("http://other.test/public").header("cookie", &format!("{cookies}; a=1"));
    let there = browser.send(plain).await.expect(200);
    assert_eq!(there.told("remote-user"), "");
    assert_eq!(there.told("cookie"), "a=1");
    assert_eq!(there.told("x-forwarded-proto"), "http");
}

#[tokio::test]
async fn a_host_that_is_not_served_here_is_refused_w_01() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{}\"] }} }}
virtual_hosts:
  - host: app.test
    listeners: [https]
    routes: [{{ path: /, access: excluded, pool: app }}]
  - host: \"*.apps.test\"
    routes: [{{ path: /, access: excluded, pool: app }}]
",
        nginx.address()
    );
    let gateway = Gateway::start(&yaml).await;
    let mut browser = Browser::new(&gateway);
    for (host, status) in [
        ("app.test", 200),
        ("one.apps.test", 200),
        ("two.one.apps.test", 200),
        ("apps.test", 421),
        ("unknown.test", 421),
        ("localhost", 421),
        ("127.0.0.1", 421),
    ] {
        // The name in TLS is another one, so that only the host decides.
        let request = Request::get("https://app.test/x").header("host", host);
        assert_eq!(browser.send(request).await.status, status, "{host}");
    }
    let mut h2 = browser.clone().over(Protocol::H2);
    h2.get("https://app.test/").await.expect(200);
    h2.get("https://other.test/").await.expect(421);
    browser.get("http://app.test/").await.expect(421);
    browser.get("http://unknown.test/").await.expect(421);
}

#[tokio::test]
async fn each_name_gets_its_own_certificate_and_the_first_serves_the_rest_w_22() {
    let first = certificates::issue(&["third.test"]);
    let own = certificates::issue(&["app.test"]);
    let wild = certificates::issue(&["*.apps.test", "other.test"]);
    let yaml = "
listeners:
  - name: https
    bind: 127.0.0.1:0
    tls:
      certificates:
        - { certificate_file: cert.pem, key_file: key.pem }
        - { certificate_file: own.pem, key_file: own.key }
        - { certificate_file: wild.pem, key_file: wild.key }
pools: { app: { primary: [127.0.0.1:1] } }
virtual_hosts:
  - hosts: [app.test, other.test, third.test, \"*.apps.test\"]
    routes: [{ path: /, access: excluded, pool: app }]
";
    let gateway = Setup::new()
        .file("cert.pem", &first.certificate)
        .file("key.pem", &first.key)
        .file("own.pem", &own.certificate)
        .file("own.key", &own.key)
        .file("wild.pem", &wild.certificate)
        .file("wild.key", &wild.key)
        .start(yaml)
        .await;
    for (host, expected) in [
        ("app.test", &own.certificate),
        ("other.test", &wild.certificate),
        ("one.apps.test", &wild.certificate),
        ("third.test", &first.certificate),
    ] {
        let tcp = tokio::net::TcpStream::connect(gateway.address("https"))
            .await
            .unwrap();
        let tls = client::connect_tls(tcp, host, &[]).await.unwrap();
        let shown = tls
            .get_ref()
            .1
            .peer_certificates()
            .unwrap()
            .first()
            .unwrap();
        assert_eq!(certificates::der(expected), shown.as_ref(), "{host}");
    }
}

#[tokio::test]
async fn upstreams_are_told_how_the_client_came_w_10_w_11_w_12_w_13() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let gateway = Gateway::start(&plain_http(nginx.address())).await;
    let mut browser = Browser::new(&gateway);
    for (listener, scheme) in [("https", "https"), ("http", "http")] {
        let port = gateway.address(listener).port();
        let answer = browser
            .get(&format!("{scheme}://other.test:{port}/plain/a?b=c"))
            .await
            .expect(200);
        let told = |name| answer.told(name);
        assert_eq!(told("uri"), "/plain/a?b=c");
        assert_eq!(told("host"), format!("other.test:{port}"));
        assert_eq!(told("x-forwarded-for"), "127.0.0.1");
        assert_eq!(told("x-real-ip"), "127.0.0.1");
        assert_eq!(told("x-forwarded-host"), "other.test");
        assert_eq!(told("x-forwarded-server"), "other.test");
        assert_eq!(told("x-forwarded-proto"), scheme);
        assert_eq!(told("x-forwarded-port"), port.to_string());
        let forwarded = format!("for=127.0.0.1;host=\"other.test:{port}\";proto={scheme}");
        assert_eq!(told("forwarded"), forwarded);
        assert_eq!(told("x-request-id"), answer.header("x-request-id"));
        assert_eq!(told("x-request-id").len(), 32);
    }
}

/// Whichever are told, none of a client's own gets through.
#[tokio::test]
async fn upstreams_are_told_by_the_headers_that_the_operator_names_w_10() {
    let recorder = Recorder::start().await;
    let upstream = recorder.address();
    let yaml = format!(
        "{HEAD}forwarded_headers: [X-Forwarded-For, x-forwarded-proto]
pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /silent, access: excluded, pool: app, forwarded_headers: [] }}
      - {{ path: /, access: excluded, pool: app }}
"
    );
    let gateway = Gateway::start(&yaml).await;
    let mut browser = Browser::new(&gateway);
    for (path, told) in [
        ("/a", &["x-forwarded-for", "x-forwarded-proto"][..]),
        ("/silent", &[]),
        ("/a", &["x-forwarded-for", "x-forwarded-proto"]),
    ] {
        let names = ForwardedHeaders::WORDS;
        let request = Request::get(&format!("https://app.test{path}"));
        let request = names
            .iter()
            .fold(request, |request, name| request.header(name, "forged"));
        recorder.clear();
        browser.send(request).await.expect(200);
        let seen = recorder.text().to_ascii_lowercase();
        assert!(!seen.contains("forged"), "{path}: {seen}");
        for name in names.map(|name| name.to_ascii_lowercase()) {
            let is_told = seen.contains(&format!("\r\n{name}: "));
            assert_eq!(is_told, told.contains(&name.as_str()), "{path}: {name}");
        }
    }
}

/// Which trace a request belongs to is a trusted proxy's to say, or the gateway's.
#[tokio::test]
async fn a_trace_begins_here_unless_a_trusted_proxy_passes_one_on_w_12() {
    const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    for (trust, is_believed) in [("", false), ("trusted_proxies: [127.0.0.1]\n", true)] {
        let recorder = Recorder::start().await;
        let upstream = recorder.address();
        let gateway = Gateway::start(&format!(
            "{HEAD}{trust}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
virtual_hosts:
  - host: app.test
    routes: [{{ path: /, access: excluded, pool: app }}]
"
        ))
        .await;
        let mut browser = Browser::new(&gateway);
        for (given, is_good) in [(GIVEN, true), (GIVEN, true), ("00-forged", false)] {
            recorder.clear();
            let request = Request::get("https://app.test/a")
                .header("traceparent", given)
                .header("tracestate", "vendor=forged")
                .header("Trace-Parent", "forged");
            let answer = browser.send(request).await.expect(200);
            let seen = recorder.text().to_ascii_lowercase();
            let id = answer.header("x-request-id");
            let begun = format!("00-{id}-{}-00", id.get(16..).unwrap());
            let passes = is_believed && is_good;
            let expected = match passes {
                true => GIVEN,
                false => &begun,
            };
            let lines = seen.lines().filter(|line| line.starts_with("trace"));
            let mut lines: Vec<&str> = lines.collect();
            lines.sort_unstable();
            let mut told = vec![format!("traceparent: {expected}")];
            told.extend(passes.then(|| "tracestate: vendor=forged".to_owned()));
            assert_eq!(lines, told, "{trust}{given}");
        }
    }
}

#[tokio::test]
async fn nobodys_forwarding_headers_are_believed_unless_the_sender_is_trusted_w_12() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let claims = |url: &str| {
        Request::get(url)
            .header("x-forwarded-for", "198.51.100.9, 203.0.113.7")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-port", "443")
            .header("x-forwarded-host", "evil.test")
    };
    let yaml = plain_http(nginx.address());
    let doubting = Gateway::start(&yaml).await;
    let mut browser = Browser::new(&doubting);
    let there = browser
        .send(claims("http://other.test/plain"))
        .await
        .expect(200);
    assert_eq!(there.told("x-forwarded-for"), "127.0.0.1");
    assert_eq!(there.told("x-forwarded-proto"), "http");
    browser
        .send(claims("http://app.test/plain"))
        .await
        .expect(301);

    let trusting = Gateway::start(&format!("trusted_proxies: [127.0.0.0/8]\n{yaml}")).await;
    let mut browser = Browser::new(&trusting);
    // To a terminator that says https, a plain listener is as good as TLS.
    let there = browser
        .send(claims("http://app.test/plain"))
        .await
        .expect(200);
    assert_eq!(there.told("x-real-ip"), "203.0.113.7");
    assert_eq!(
        there.told("x-forwarded-for"),
        "198.51.100.9, 203.0.113.7, 127.0.0.1"
    );
    assert_eq!(there.told("x-forwarded-proto"), "https");
    assert_eq!(there.told("x-forwarded-port"), "443");
    assert_eq!(there.told("x-forwarded-host"), "app.test");
    let odd = Request::get("http://other.test/plain").header("x-forwarded-for", "not-an-address");
    assert_eq!(
        browser.send(odd).await.expect(200).told("x-real-ip"),
        "127.0.0.1"
    );
}

#[tokio::test]
async fn the_host_that_an_upstream_sees_is_configured_and_its_redirects_become_public_w_13_w_21() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let upstream = nginx.address();
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
virtual_hosts:
  - host: app.test
    routes:
      - {{ path: /moved/upstream, access: excluded, pool: app, upstream_host: upstream }}
      - {{ path: /moved/named, access: excluded, pool: app, upstream_host: internal.test }}
      - {{ path: /, access: excluded, pool: app }}
"
    );
    let gateway = Gateway::start(&yaml).await;
    let port = gateway.address("https").port();
    let mut browser = Browser::new(&gateway);
    for (path, location) in [
        ("/moved/upstream", format!("https://app.test:{port}/target")),
        ("/moved/named", format!("https://app.test:{port}/target")),
        ("/moved/x", format!("http://app.test:{port}/target")),
    ] {
        let answer = browser
            .get(&format!("https://app.test:{port}{path}"))
            .await
            .expect(302);
        assert_eq!(answer.header("location"), location, "{path}");
    }
}

#[tokio::test]
async fn the_target_is_forwarded_as_it_was_written_w_17() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    let mut browser = Browser::new(&gateway);
    for target in [
        "/public",
        "/public/?",
        "/public/a%20b/c%C3%A4?x=%2f&y=a+b&z",
        "/public/a-b_c~d.e;v=1/(x)!$&'*+,=:@",
        "/public/a/?q=/../..//%00",
    ] {
        recorder.clear();
        browser
            .get(&format!("https://app.test{target}"))
            .await
            .expect(200);
        let line = format!("GET {target} HTTP/1.1\r\n");
        assert!(
            recorder.text().starts_with(&line),
            "{target}: {}",
            recorder.text()
        );
    }
}

#[tokio::test]
async fn curl_speaks_http_1_1_and_http_2_with_the_gateway() {
    let (Some(nginx), Some(curl)) = (Nginx::start("one").await, parts::find("curl")) else {
        return;
    };
    let gateway = Gateway::start(&yaml::applications(&[nginx.address()])).await;
    let https = gateway.address("https");
    let resolve = format!("app.test:{}:{}", https.port(), https.ip());
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let url = format!("https://app.test:{}/public/x?y=1", https.port());
        let output = std::process::Command::new(&curl)
            .args(["--silent", "--show-error", "--max-time", "20", option])
            .args(["--resolve", &resolve, "--cacert"])
            .arg(gateway.folder().join("ca.pem"))
            .args(["--write-out", "%{http_version} %{http_code}", &url])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            said.ends_with(&format!("{version} 200")),
            "{said} {output:?}"
        );
        assert!(said.contains("uri: /public/x?y=1\n"), "{said}");
    }
}

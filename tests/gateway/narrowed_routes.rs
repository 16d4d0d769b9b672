//! Routes with the same pattern that are told apart by headers, parameters and the scheme (`match`).

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::HEAD;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::yaml::POLICIES;

#[tokio::test]
async fn headers_parameters_and_the_scheme_choose_among_routes_of_a_path() {
    let recorder = Recorder::start().await;
    let gateway = start(&recorder).await;
    let mut browser = Browser::new(&gateway);
    for (url, header, expected) in [
        ("https://app.test/api/x", ("x-version", "2"), "two"),
        ("https://app.test/api/x", ("x-version", "3"), "one"),
        ("https://app.test/api/x", ("x-other", "2"), "one"),
        (
            "https://app.test/api/x?tab=%6eew",
            ("x-version", "3"),
            "new",
        ),
        ("https://app.test/api/x?tab=old", ("x-version", "3"), "one"),
        ("http://app.test/up", ("x-other", "2"), "plain"),
        ("https://app.test/up", ("x-other", "2"), "tls"),
        ("https://app.test/only", ("x-key", ""), "only"),
    ] {
        let request = Request::get(url).header(header.0, header.1);
        let answer = browser.send(request).await.expect(200);
        assert_eq!(answer.text(), expected, "{url} {header:?}");
    }
    // No other pattern takes what these routes are not for.
    let request = Request::get("https://app.test/only");
    browser.send(request).await.expect(404);
    let post = Request::post("https://app.test/only").header("x-key", "1");
    browser.send(post).await.expect(405);
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_opens_nothing() {
    let recorder = Recorder::start().await;
    let gateway = start(&recorder).await;
    let mut browser = Browser::new(&gateway);
    browser.get("https://app.test/service").await.expect(303);
    for query in ["wsdl=1&wsdl=2", "a=1;wsdl", "wsdl;a=1", "wsdl=%ff"] {
        let request = Request::get(&format!("https://app.test/service?{query}"));
        browser.send(request).await.expect(400);
    }
    assert_eq!(recorder.requests(), 0, "{}", recorder.text());
    gateway.wait_for_log("route cannot be told").await;
    let request = Request::get("https://app.test/service?wsdl");
    browser.send(request).await.expect(200);
    assert!(recorder.text().starts_with("GET /service?wsdl "));
}

#[tokio::test]
async fn a_header_that_comes_twice_and_differs_chooses_no_route() {
    let recorder = Recorder::start().await;
    let gateway = start(&recorder).await;
    let mut browser = Browser::new(&gateway);
    let twice = Request::get("https://app.test/api")
        .header("x-version", "2")
        .header("x-version", "3");
    browser.send(twice).await.expect(400);
}

async fn start(recorder: &Recorder) -> Gateway {
    let upstream = recorder.address();
    let yaml = format!(
        "{HEAD}pools: {{ app: {{ primary: [\"{upstream}\"] }} }}
{POLICIES}virtual_hosts:
  - host: app.test
    plain_http: serve
    routes:
      - path: /api
        match: {{ header: {{ name: X-Version, is: \"2\" }} }}
        access: excluded
        respond: {{ body: two }}
      - path: /api
        match: {{ query: [{{ name: tab, is: new }}] }}
        access: excluded
        respond: {{ body: new }}
      - {{ path: /api, access: excluded, respond: {{ body: one }} }}
      - {{ exact: /up, match: {{ scheme: http }}, access: excluded, respond: {{ body: plain }} }}
      - {{ exact: /up, match: {{ scheme: https }}, access: excluded, respond: {{ body: tls }} }}
      - path: /only
        methods: [GET]
        match: {{ header: {{ name: X-Key, present: true }} }}
        access: excluded
        respond: {{ body: only }}
      - path: /service
        match: {{ query: {{ name: wsdl, present: true }} }}
        access: excluded
        pool: app
      - {{ path: /service, access: protected, policy: anybody, pool: app }}
      - {{ path: /admin, access: protected, policy: admins, pool: app }}
      - {{ path: /, access: excluded, respond: {{ body: rest }} }}
"
    );
    Gateway::start(&yaml).await
}

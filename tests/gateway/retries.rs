//! What is tried again, and what is not: a request goes twice only when it cannot have been acted on.

use std::net::SocketAddr;

use tokio::time::Instant;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::ports::kept_port;
use crate::support::recorder::OK;
use crate::support::recorder::Reply;
use crate::support::yaml;

fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], kept_port()))
}

#[tokio::test]
async fn a_request_goes_to_the_next_member_when_one_cannot_be_reached_w_08() {
    let application = Application::start().await;
    // Never out, so that every request meets the members that are not there.
    let settings = format!(
        "primary: [\"{}\", \"{}\", \"{}\"], max_fails: 0",
        nobody(),
        application.address(),
        nobody()
    );
    let gateway = Gateway::start(&yaml::pool(&settings)).await;
    let mut browser = Browser::new(&gateway);
    for _ in 0..6 {
        browser.get("https://app.test/").await.expect(200);
        let post = Request::post("https://app.test/upload").body("hello");
        assert_eq!(browser.send(post).await.expect(200).told("uploaded"), "5");
    }
    assert_eq!(application.requests(), 12);
}

#[tokio::test]
async fn connect_retries_bounds_how_many_members_are_tried() {
    let application = Application::start().await;
    let settings = format!(
        "primary: [\"{}\", \"{}\"], secondary: [\"{}\"], max_fails: 0, connect_retries: 1",
        nobody(),
        nobody(),
        application.address()
    );
    let gateway = Gateway::start(&yaml::pool(&settings)).await;
    let answer = Browser::new(&gateway).get("https://app.test/").await;
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    assert_eq!(application.requests(), 0);
}

#[tokio::test]
async fn a_kept_connection_that_the_upstream_closes_is_made_anew_for_a_get_and_not_for_a_body_w_08()
{
    for (method, status, tries) in [
        ("GET", 200, 2),
        ("DELETE", 200, 2),
        ("PUT", 502, 1),
        ("POST", 502, 1),
    ] {
        // The first request of a connection is answered; the next one finds it closing.
        let recorder = Recorder::scripted(|_, before, _| match before {
            0 => Reply::Send(OK.to_vec()),
            _ => Reply::Close,
        })
        .await;
        let pool = yaml::pool(&format!("primary: [\"{}\"]", recorder.address()));
        // One thread has the connection back before it looks at the next request.
        let pool = pool.replace("threads: 2", "threads: 1");
        let gateway = Gateway::start(&pool).await;
        let mut browser = Browser::new(&gateway);
        browser.get("https://app.test/first").await.expect(200);
        let request = Request::new(method.parse().unwrap(), "https://app.test/second");
        let request = match method {
            "PUT" | "POST" => request.body("x".repeat(600)),
            _ => request,
        };
        let answer = browser.send(request).await;
        assert_eq!(answer.status, status, "{method}");
        let seen = recorder.text();
        let line = format!("{method} /second HTTP/1.1\r\n");
        assert_eq!(seen.matches(&line).count(), tries, "{method}: {seen}");
        assert_eq!(recorder.connections().len(), tries, "{method}: {seen}");
    }
}

#[tokio::test]
async fn a_request_that_a_fresh_connection_breaks_off_is_not_sent_again() {
    for method in ["GET", "POST"] {
        let recorder = Recorder::scripted(|_, _, _| Reply::Close).await;
        let settings = format!("primary: [\"{}\"], max_fails: 0", recorder.address());
        let gateway = Gateway::start(&yaml::pool(&settings)).await;
        let request = Request::new(method.parse().unwrap(), "https://app.test/once");
        let answer = Browser::new(&gateway).send(request).await.expect(502);
        assert!(
            answer.text().contains(answer.header("x-request-id")),
            "{}",
            answer.text()
        );
        assert_eq!(recorder.requests(), 1, "{method}: {}", recorder.text());
    }
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_a_502_and_one_that_breaks_off_is_not_made_whole() {
    for (answer, status) in [
        (&b"nonsense\r\n\r\n"[..], 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 502),
    ] {
        let bytes = answer.to_vec();
        let recorder = Recorder::scripted(move |_, _, _| Reply::SendAndClose(bytes.clone())).await;
        let settings = format!("primary: [\"{}\"]", recorder.address());
        let gateway = Gateway::start(&yaml::pool(&settings)).await;
        let answer = Browser::new(&gateway)
            .try_send(Request::get("https://app.test/"))
            .await;
        assert_eq!(answer.map(|answer| answer.status), Ok(status));
    }
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort".to_vec();
    let recorder = Recorder::scripted(move |_, _, _| Reply::SendAndClose(short.clone())).await;
    let settings = format!("primary: [\"{}\"]", recorder.address());
    let gateway = Gateway::start(&yaml::pool(&settings)).await;
    let mut live = Browser::new(&gateway)
        .open(Request::get("https://app.test/"))
        .await;
    live.rest().await.unwrap_err();
}

/// An upstream that does this to every request, before one that is well, and when to go on to that.
async fn sick(reply: Reply, settings: &str, retry_on: &str) -> (Recorder, Recorder, Gateway) {
    let sick = Recorder::scripted(move |_, _, _| reply.clone()).await;
    let well = Recorder::start().await;
    let settings = format!(
        "primary: [\"{}\"], secondary: [\"{}\"], max_fails: 0, {settings}",
        sick.address(),
        well.address()
    );
    let yaml = yaml::pool(&settings);
    let yaml = yaml.replace(
        "pool: app }]",
        &format!("pool: app, retry_on: [{retry_on}] }}]"),
    );
    let gateway = Gateway::start(&yaml).await;
    (sick, well, gateway)
}

const SICK: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nsick";

#[tokio::test]
async fn what_may_be_repeated_goes_to_another_upstream_after_what_the_route_names_w_08() {
    for (reply, word, status) in [
        (Reply::Send(SICK.to_vec()), "503", 503),
        (Reply::Close, "broken", 502),
        (Reply::Silence, "late", 504),
    ] {
        let settings = "timeouts: { first_byte: 1500ms }";
        let (first, second, gateway) = sick(reply.clone(), settings, word).await;
        let mut browser = Browser::new(&gateway);
        for method in ["GET", "DELETE", "PUT"] {
            let request = Request::new(method.parse().unwrap(), "https://app.test/x");
            browser.send(request).await.expect(200);
        }
        assert_eq!((first.requests(), second.requests()), (3, 3), "{word}");
        // Neither what changes something each time, nor a body, is sent twice.
        let post = Request::post("https://app.test/x");
        browser.send(post).await.expect(status);
        let put = Request::new(http::Method::PUT, "https://app.test/x").body("hello");
        browser.send(put).await.expect(status);
        assert_eq!((first.requests(), second.requests()), (5, 3), "{word}");
        // Nor is anything that the route says nothing about.
        let (first, second, gateway) = sick(reply, settings, "500").await;
        let answer = Browser::new(&gateway).get("https://app.test/x").await;
        assert_eq!(answer.status, status, "{word}");
        assert_eq!((first.requests(), second.requests()), (1, 0), "{word}");
    }
}

#[tokio::test]
async fn an_answer_is_passed_on_where_there_is_no_other_upstream_to_ask() {
    let recorder = Recorder::answering(SICK).await;
    let yaml = yaml::pool(&format!("primary: [\"{}\"]", recorder.address()));
    let yaml = yaml.replace("pool: app }]", "pool: app, retry_on: [503] }]");
    let gateway = Gateway::start(&yaml).await;
    let answer = Browser::new(&gateway).get("https://app.test/x").await;
    assert_eq!(answer.expect(503).text(), "sick");
    assert_eq!(recorder.requests(), 1);
}

#[tokio::test]
async fn a_budget_keeps_a_pool_that_is_ill_from_being_hit_harder() {
    let settings = "retry_budget: { percent: 0, per_second_min: 1 }";
    let (first, second, gateway) = sick(Reply::Send(SICK.to_vec()), settings, "503").await;
    let mut browser = Browser::new(&gateway);
    let (mut good, began) = (0, Instant::now());
    for _ in 0..15 {
        let answer = browser.get("https://app.test/x").await;
        good += usize::from(answer.status == 200);
    }
    // Ten for ten seconds; where the requests take longer, more come free again.
    let most = 10 + usize::try_from(began.elapsed().as_secs()).unwrap();
    assert!((10..=most).contains(&good), "{good} of {most}");
    assert_eq!((first.requests(), second.requests()), (15, good));
}

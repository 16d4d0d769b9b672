//! What is tried again, and what is not: a request goes twice only when it cannot have been acted on.

use std::net::SocketAddr;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::nginx::free_port;
use crate::support::recorder::OK;
use crate::support::recorder::Reply;
use crate::support::yaml;

fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
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
async fn a_kept_connection_that_the_upstream_closes_is_made_anew_for_a_get_and_not_for_a_post_w_08()
{
    for (method, status, tries) in [("GET", 200, 2), ("PUT", 200, 2), ("POST", 502, 1)] {
        // The first request of a connection is answered; the next one finds it closing.
        let recorder = Recorder::scripted(|_, before, _| match before {
            0 => Reply::Send(OK.to_vec()),
            _ => Reply::Close,
        })
        .await;
        let pool = yaml::pool(&format!("primary: [\"{}\"]", recorder.address()));
        // One thread has the connection back before it looks at the next request.
        let pool = pool.replace("threads: 2", "threads: 1");
        // Sent twice, the body would be too large.
        let gateway = Gateway::start(&format!("{pool}limits: {{ body_size: 1KiB }}\n")).await;
        let mut browser = Browser::new(&gateway);
        browser.get("https://app.test/first").await.expect(200);
        let request = Request::new(method.parse().unwrap(), "https://app.test/second");
        let request = if method == "GET" {
            request
        } else {
            request.body("x".repeat(600))
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

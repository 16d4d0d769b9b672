//! Live streams: WebSockets and answers without end, and that they close with their session.

use std::time::Duration;

use futures_util::SinkExt;
use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::client::Live;
use crate::support::until;
use crate::support::wait::CUT_WITHIN;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::websocket::echo;
use crate::support::yaml;

const SECOND: Duration = Duration::from_secs(1);

async fn gateway() -> (Application, Gateway) {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    (application, gateway)
}

async fn sign_out(mut browser: Browser) {
    browser
        .get("https://app.test/.portway/logout")
        .await
        .expect(303);
}

#[tokio::test]
async fn a_websocket_echoes_through_the_gateway() {
    let (application, gateway) = gateway().await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let mut socket = websocket::open(&browser, "https://app.test/ws", &[])
        .await
        .unwrap();
    for text in ["hello", "", &"x".repeat(200_000), "\u{e4}\u{1f600}"] {
        echo(&mut socket, text).await;
    }
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    until("the upstream's side closes", PATIENCE, || async {
        (application.open() == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_websocket_of_an_open_route_needs_no_session() {
    let (_application, gateway) = gateway().await;
    let browser = Browser::new(&gateway);
    let mut socket = websocket::open(&browser, "https://app.test/public/ws", &[])
        .await
        .unwrap();
    echo(&mut socket, "hello").await;
}

#[tokio::test]
async fn a_sign_out_closes_the_sessions_websockets_within_a_second_s_17_d_13() {
    let (application, gateway) = gateway().await;
    let (alice, bob) = (
        Browser::signed_in(&gateway, "alice").await,
        Browser::signed_in(&gateway, "bob").await,
    );
    let mut socket = websocket::open(&alice, "https://app.test/ws", &[])
        .await
        .unwrap();
    let mut idle = websocket::open(&alice, "https://app.test/ws", &[])
        .await
        .unwrap();
    let mut others = websocket::open(&bob, "https://app.test/ws", &[])
        .await
        .unwrap();
    echo(&mut socket, "hello").await;
    echo(&mut others, "hello").await;
    sign_out(alice).await;
    for socket in [&mut socket, &mut idle] {
        let end = within("the WebSocket closes", CUT_WITHIN, socket.next()).await;
        assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    }
    until("the upstream's side closes", PATIENCE, || async {
        (application.open() == 1).then_some(())
    })
    .await;
    echo(&mut others, "still here").await;
}

#[tokio::test]
async fn a_sign_out_closes_running_answers_within_a_second_over_h1_and_h2_s_17_d_13() {
    let (application, gateway) = gateway().await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let alice = Browser::signed_in(&gateway, "alice").await.over(protocol);
        let bob = Browser::signed_in(&gateway, "bob").await.over(protocol);
        let mut streams = Vec::new();
        for path in ["/ticks", "/still"] {
            streams.push(begun(&alice, path).await);
        }
        let mut others = begun(&bob, "/ticks").await;
        sign_out(alice).await;
        for stream in &mut streams {
            let cut = within("the stream is cut", CUT_WITHIN, stream.rest()).await;
            assert!(cut.is_err(), "{protocol:?}: an end as if all had come");
        }
        within("bob's goes on", PATIENCE, others.next())
            .await
            .unwrap()
            .unwrap();
        drop(others);
        until("the upstream's side closes", PATIENCE, || async {
            (application.open() == 0).then_some(())
        })
        .await;
    }
}

/// What is promised, once in some tries: where the machine has much else to do, one may be late, and not each.
#[tokio::test]
async fn a_stream_is_cut_within_a_second_of_the_end_of_its_session_d_13() {
    let (_application, gateway) = gateway().await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut took = cut_after(&gateway, protocol).await;
        let mut tries = 1;
        while took >= SECOND && tries < TRIES {
            took = cut_after(&gateway, protocol).await;
            tries += 1;
        }
        assert!(took < SECOND, "{protocol:?}: {took:?}");
    }
}

/// How long after the answer to a sign-out a stream of the session is cut.
async fn cut_after(gateway: &Gateway, protocol: Protocol) -> Duration {
    let alice = Browser::signed_in(gateway, "alice").await.over(protocol);
    let mut still = begun(&alice, "/still").await;
    sign_out(alice).await;
    let answered = Instant::now();
    within("the stream is cut", PATIENCE, still.rest())
        .await
        .unwrap_err();
    answered.elapsed()
}

#[tokio::test]
async fn streams_end_as_well_when_a_session_is_replaced_or_evicted_s_11_s_21() {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&format!("{yaml}session: {{ per_user_max: 1 }}\n")).await;
    let mut first = Browser::new(&gateway);
    let page = first.get("https://app.test/").await;
    let page = first.follow(&page).await.expect(200);
    first
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    let mut stream = begun(&first, "/still").await;
    let carol = crate::support::gateway::password("carol");
    first.log_in(&page, "carol", &carol).await.expect(303);
    within("a replaced session's stream", CUT_WITHIN, stream.rest())
        .await
        .unwrap_err();

    let second = Browser::signed_in(&gateway, "bob").await;
    let mut stream = begun(&second, "/still").await;
    Browser::signed_in(&gateway, "bob").await;
    within("an evicted session's stream", CUT_WITHIN, stream.rest())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn streams_that_would_not_be_let_in_any_more_are_cut_soon_after_a_reload_and_others_go_on_d_13()
 {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&yaml).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let bob = Browser::signed_in(&gateway, "bob").await;
    let open = async |browser: &Browser| {
        let socket = websocket::open(browser, "https://app.test/ws", &[]).await;
        let mut socket = socket.unwrap();
        echo(&mut socket, "hello").await;
        socket
    };
    let (mut of_alice, mut of_bob) = (open(&alice).await, open(&bob).await);
    let mut pushed = begun(&alice, "/ticks").await;
    // Long enough to be a stream.
    let began = Instant::now();
    while began.elapsed() < 2 * SECOND {
        pushed.next().await.unwrap().unwrap();
    }
    let anybody = "anybody: [{ allow: signed_in }]";
    let without = "anybody: [{ deny: { user: alice } }, { allow: signed_in }]";
    gateway.reload_with(&yaml.replace(anybody, without)).await;
    let end = within("her WebSocket closes", PATIENCE, of_alice.next()).await;
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    within("what is pushed ends", PATIENCE, pushed.rest())
        .await
        .unwrap_err();
    echo(&mut of_bob, "still here").await;
    let gone = yaml.replace(
        "path: /, access: protected",
        "path: /else, access: protected",
    );
    gateway.reload_with(&gone).await;
    let end = within("his WebSocket closes", PATIENCE, of_bob.next()).await;
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
}

#[tokio::test]
async fn a_stream_from_an_address_that_is_kept_out_now_is_cut_soon_after_a_reload_d_13() {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&yaml).await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let socket = websocket::open(&alice, "https://app.test/ws", &[]).await;
    let mut socket = socket.unwrap();
    echo(&mut socket, "hello").await;
    let rule = |rule: &str| {
        let route = format!("path: /, addresses: [{{ {rule} }}], access: protected");
        yaml.replace("path: /, access: protected", &route)
    };
    gateway.reload_with(&rule("allow: 127.0.0.1")).await;
    echo(&mut socket, "still here").await;
    gateway.reload_with(&rule("deny: all")).await;
    let end = within("the WebSocket closes", PATIENCE, socket.next()).await;
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
}

/// Opens a stream and waits for its first piece.
async fn begun(browser: &Browser, path: &str) -> Live {
    let mut live = browser
        .open(Request::get(&format!("https://app.test{path}")))
        .await;
    assert_eq!(live.status, 200);
    let first = within("the first piece", PATIENCE, live.next())
        .await
        .unwrap()
        .unwrap();
    assert!(first.starts_with(b"begin"), "{first:?}");
    live
}

#[tokio::test]
async fn an_event_arrives_although_no_other_follows_it() {
    let (application, gateway) = gateway().await;
    for protocol in [Protocol::H1, Protocol::H2] {
        let browser = Browser::signed_in(&gateway, "alice").await.over(protocol);
        let mut events = begun(&browser, "/still").await;
        let kind = events.headers.get("content-type").unwrap();
        assert_eq!(kind, "text/event-stream");
        assert_eq!(application.open(), 1, "the upstream has more to say");
        let more = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
        assert!(more.is_err(), "{more:?}");
        drop(events);
        until("the upstream's side closes", PATIENCE, || async {
            (application.open() == 0).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_websocket_stays_open_however_soon_the_upstream_accepts_it() {
    let (_application, gateway) = gateway().await;
    let mut browser = Browser::new(&gateway);
    let mut closed = 0;
    for _ in 0..UPGRADES {
        // Leaves a connection to the upstream behind, on one thread or another.
        browser.get("https://app.test/public").await.expect(200);
        let opened = websocket::open(&browser, "https://app.test/public/ws", &[]).await;
        let mut socket = opened.unwrap();
        socket.send(Message::text("x")).await.ok();
        let answer = within("an echo", PATIENCE, socket.next()).await;
        closed += usize::from(!matches!(answer, Some(Ok(_))));
    }
    assert_eq!(closed, 0, "of {UPGRADES} WebSockets");
}

const TRIES: usize = 10;
/// Enough for a race that one in twenty loses.
const UPGRADES: usize = 200;

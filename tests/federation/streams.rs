//! Streams that outlast the requests of their users: a WebSocket at one data centre while its user works at
//! another, or at none, or while that other is cut off (S-16, S-20).

use std::time::Duration;

use futures_util::SinkExt;
use futures_util::StreamExt;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::Gito;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::served;
use crate::pair::visit;
use crate::support::Browser;
use crate::support::Request;
use crate::support::until;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::websocket::Socket;

const IDLE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_stream_lives_while_its_user_works_at_another_data_centre_and_no_longer_s_20() {
    for gito in [Gito::Always, Gito::Without] {
        let pair = Pair::start(Plan {
            gito,
            mdc: "  partition_lease: 1h\n",
            session: "idle_timeout: 5s",
            ..FREE
        })
        .await;
        let alice = pair.signed_in_at_a("alice").await;
        let mut socket = stream(&alice).await;
        let begun = Instant::now();
        until("she has worked at B for long", BOUND, || {
            works_at_b(&pair, alice.clone(), begun)
        })
        .await;
        echo(&mut socket).await;
        // Hers were all there will be: what she sends on it is work, too.
        within("she is idle everywhere", BOUND, closes(&mut socket)).await;
    }
}

/// Something once she has worked for three idle times.
async fn works_at_b(pair: &Pair, mut alice: Browser, begun: Instant) -> Option<()> {
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    (begun.elapsed() > 3 * IDLE).then_some(())
}

/// Waits until a stream is closed.
async fn closes(socket: &mut Socket) {
    while let Some(Ok(Message::Text(_))) = socket.next().await {}
}

#[tokio::test]
async fn a_stream_ends_with_the_lease_on_a_data_centre_where_its_user_has_been_s_16() {
    let pair = Pair::start(Plan {
        mdc: "  partition_lease: 6s\n",
        ..FREE
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let bob = pair.signed_in_at_a("bob").await;
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    alice.go_to(&pair.a);
    let (mut hers, mut his) = (stream(&alice).await, stream(&bob).await);
    pair.cut();
    let closed = within("the lease is over", BOUND, hers.next()).await;
    assert!(!matches!(closed, Some(Ok(Message::Text(_)))), "{closed:?}");
    // Nobody else knows of an end of his.
    echo(&mut his).await;
}

async fn stream(browser: &Browser) -> Socket {
    let opened = websocket::open(browser, "https://app.apps.test/ws", &[]).await;
    let mut socket = opened.unwrap();
    echo(&mut socket).await;
    socket
}

async fn echo(socket: &mut Socket) {
    socket.send(Message::text("hello")).await.unwrap();
    let answer = within("an echo", BOUND, socket.next()).await;
    let text = answer.unwrap().unwrap().into_text().unwrap();
    assert_eq!(text.as_str(), "hello");
}

#[tokio::test]
async fn a_request_in_flight_finishes_though_its_session_moves_to_another_data_centre_s_17() {
    let pair = Pair::start(ANCHORED).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let mut answer = alice
        .open(Request::get("https://app.apps.test/slow/25"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    let rest = within("the rest comes", BOUND, answer.rest()).await;
    assert_eq!(rest.unwrap().len(), 25 * 1024);
}

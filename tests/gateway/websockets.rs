//! WebSockets in number: what passes both ways, and how they close.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use futures_util::SinkExt;
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::yaml;

const MESSAGES: usize = 10_000;
/// Closed as agreed, gone away, against the rules of the application, and codes of its own.
const CODES: [u16; 6] = [1000, 1001, 1008, 1011, 3000, 4999];

/// An upstream that sends back what it gets, and closes with the code that a text asks for.
struct Sockets {
    address: SocketAddr,
    closed: Closed,
    accepting: JoinHandle<()>,
}

/// How the other ends closed, in order.
type Closed = Arc<Mutex<Vec<(u16, String)>>>;

impl Sockets {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let closed = Closed::default();
        let noted = Arc::clone(&closed);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&noted)));
            }
        });
        Self {
            address,
            closed,
            accepting,
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: TcpStream, closed: Closed) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if let Message::Close(Some(frame)) = &message {
            let frame = (frame.code.into(), frame.reason.to_string());
            closed.lock().unwrap().push(frame);
        }
        let asked = message.to_text().unwrap_or_default();
        let asked = asked.strip_prefix("close ").and_then(|it| it.parse().ok());
        if let Some(code) = asked {
            socket.close(Some(frame(code))).await.unwrap();
        } else if message.is_text() || message.is_binary() {
            socket.send(message).await.unwrap();
        }
    }
}

fn frame(code: u16) -> CloseFrame {
    CloseFrame {
        code: CloseCode::from(code),
        reason: format!("because of {code} \u{e4}").into(),
    }
}

/// Texts and bytes by turns, from nothing to some kilobytes.
fn message(number: usize) -> Message {
    let length = number * 37 % 3000;
    if number.is_multiple_of(2) {
        Message::text(format!("{number} {}", "\u{e4}".repeat(length)))
    } else {
        let byte = u8::try_from(number % 256).unwrap();
        Message::binary(vec![byte; length])
    }
}

async fn start() -> (Sockets, Gateway, Browser) {
    let upstream = Sockets::start().await;
    let pool = format!("primary: [\"{}\"]", upstream.address);
    let gateway = Gateway::start(&yaml::pool(&pool)).await;
    let browser = Browser::new(&gateway);
    (upstream, gateway, browser)
}

#[tokio::test]
async fn ten_thousand_messages_go_up_and_come_back_as_they_are_and_in_order_w_20() {
    let (_upstream, _gateway, browser) = start().await;
    let socket = websocket::open(&browser, "https://app.test/", &[]).await;
    let (mut up, mut down) = socket.unwrap().split();
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            up.feed(message(number)).await.unwrap();
        }
        up.flush().await.unwrap();
        up
    });
    for number in 0..MESSAGES {
        let came = within("a message", PATIENCE, down.next()).await;
        let came = came.unwrap().unwrap();
        assert!(came == message(number), "message {number}");
    }
    let mut up = sending.await.unwrap();
    up.close().await.unwrap();
    let last: Vec<_> = down.collect().await;
    assert!(
        last.iter()
            .all(|it| it.as_ref().is_ok_and(Message::is_close)),
        "{last:?}"
    );
}

#[tokio::test]
async fn a_close_keeps_its_code_and_its_reason_in_both_directions() {
    let (upstream, _gateway, browser) = start().await;
    for code in CODES {
        let socket = websocket::open(&browser, "https://app.test/", &[]).await;
        let mut socket: WebSocketStream<_> = socket.unwrap();
        let asked = Message::text(format!("close {code}"));
        socket.send(asked).await.unwrap();
        let closed = within("the close", PATIENCE, socket.next()).await;
        let Some(Ok(Message::Close(Some(theirs)))) = closed else {
            panic!("{closed:?}");
        };
        assert_eq!(theirs, frame(code));
        let socket = websocket::open(&browser, "https://app.test/", &[]).await;
        let mut socket = socket.unwrap();
        socket.close(Some(frame(code))).await.unwrap();
        let ours = (code, frame(code).reason.to_string());
        until("the upstream hears it", PATIENCE, || async {
            upstream
                .closed
                .lock()
                .unwrap()
                .contains(&ours)
                .then_some(())
        })
        .await;
    }
}

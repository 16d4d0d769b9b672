//! A WebSocket client through the gateway.

use futures_util::SinkExt;
use futures_util::StreamExt;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::browser::Browser;
use super::client;
use super::client::Connection;
use super::client::Protocol;
use super::message::Url;
use super::wait::PATIENCE;
use super::wait::within;

/// An open WebSocket.
pub(crate) type Socket = WebSocketStream<Connection>;

/// Opens a WebSocket at an `https://` or `http://` address with a browser's cookies; the status and
/// headers of the answer when it is refused.
pub(crate) async fn open(
    browser: &Browser,
    url: &str,
    headers: &[(&str, &str)],
) -> Result<Socket, http::Response<Option<Vec<u8>>>> {
    let url = Url::parse(url);
    let stream = client::connect(&url, browser.address(&url), Protocol::H1)
        .await
        .unwrap();
    let address = url.to_string().replacen("http", "ws", 1);
    let mut request = address.into_client_request().unwrap();
    let cookies = browser.cookies_for(&url.to_string());
    let all = headers
        .iter()
        .copied()
        .chain((!cookies.is_empty()).then_some(("cookie", cookies.as_str())));
    for (name, value) in all {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(refused)) => Err(*refused),
        Err(error) => panic!("{url}: {error}"),
    }
}

/// Says something and waits for the same.
pub(crate) async fn echo(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let answer = within("an echo", PATIENCE, socket.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(answer.into_text().unwrap().as_str(), text);
}

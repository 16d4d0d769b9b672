//! What a sample application answers to one request, and the WebSocket that tells the time.
//!
//! How a page looks is `pages`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use futures_util::StreamExt;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::Limited;
use hyper::Request;
use hyper::Response;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::demo::apps::Apps;
use crate::demo::apps::Instance;
use crate::demo::apps::Kind;
use crate::demo::apps::pages;
use crate::ports::clock::Clock;
use crate::system::SystemClock;

/// Everything an answer may depend on besides the request.
pub(super) struct Asked<'a> {
    pub(super) apps: &'a Arc<Apps>,
    pub(super) index: usize,
    pub(super) peer: SocketAddr,
    pub(super) upgrade: &'a Mutex<Option<OnUpgrade>>,
}

/// A request as the application received it.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) method: Method,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) peer: SocketAddr,
}

impl Received {
    /// A header as text; an application that cannot read it shows what it can.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn wants_json(&self) -> bool {
        self.header("accept")
            .is_some_and(|accept| accept.contains("application/json"))
    }
}

impl Asked<'_> {
    pub(super) async fn answer(&self, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(instance) = self.apps.instances().get(self.index) else {
            return status(StatusCode::NOT_FOUND);
        };
        if instance.kind == Kind::Clock && request.uri().path() == "/clock/ws" {
            return self.upgrade(&mut request);
        }
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return status(StatusCode::PAYLOAD_TOO_LARGE);
        };
        let received = Received {
            method: head.method,
            target: head.uri.to_string(),
            headers: head.headers,
            body: body.to_bytes(),
            peer: self.peer,
        };
        if received.path() == "/health" {
            return status(StatusCode::OK);
        }
        match instance.kind {
            Kind::Admin => self.administer(&received, instance),
            Kind::Clock => html(pages::clock(instance, &received, self.apps.site)),
            Kind::Echo if received.wants_json() => json(&pages::echo_json(instance, &received)),
            Kind::Echo => html(pages::echo(instance, &received, self.apps.site)),
        }
    }

    /// The gateway lets nobody through to here but administrators; the page itself asks nothing.
    fn administer(&self, received: &Received, instance: &Instance) -> Response<Full<Bytes>> {
        if received.method != Method::POST {
            return html(pages::admin(instance, received, self.apps));
        }
        let body = String::from_utf8_lossy(&received.body).into_owned();
        let name = body.strip_prefix("instance=").unwrap_or_default();
        let done = match received.path() {
            "/admin/start" => self.apps.start(name).is_ok(),
            "/admin/stop" => {
                self.apps.stop(name);
                true
            }
            _ => false,
        };
        if !done {
            return status(StatusCode::BAD_REQUEST);
        }
        with(
            status(StatusCode::SEE_OTHER),
            header::LOCATION,
            HeaderValue::from_static("/admin"),
        )
    }

    /// Agrees to become a WebSocket (RFC 6455 §4.2.2).
    fn upgrade(&self, request: &mut Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY) else {
            return status(StatusCode::UPGRADE_REQUIRED);
        };
        let Ok(accept) = HeaderValue::try_from(derive_accept_key(key.as_bytes())) else {
            return status(StatusCode::BAD_REQUEST);
        };
        *self.upgrade.lock() = Some(hyper::upgrade::on(request));
        let answer = status(StatusCode::SWITCHING_PROTOCOLS);
        let answer = with(
            answer,
            header::CONNECTION,
            HeaderValue::from_static("upgrade"),
        );
        let answer = with(
            answer,
            header::UPGRADE,
            HeaderValue::from_static("websocket"),
        );
        with(answer, header::SEC_WEBSOCKET_ACCEPT, accept)
    }
}

/// Sends the time each second until the other side is gone.
pub(super) async fn tick(upgraded: TokioIo<Upgraded>) {
    let socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
    let (mut outgoing, mut incoming) = socket.split();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let alive = tokio::select! {
            _ = seconds.tick() => outgoing.send(Message::text(time())).await.is_ok(),
            message = incoming.next() => matches!(message, Some(Ok(_))),
        };
        if !alive {
            return;
        }
    }
}

fn time() -> String {
    let millis = i64::try_from(SystemClock.now().as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(millis).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

fn html(page: String) -> Response<Full<Bytes>> {
    let kind = HeaderValue::from_static("text/html; charset=utf-8");
    with(Response::new(Full::from(page)), header::CONTENT_TYPE, kind)
}

fn json(value: &serde_json::Value) -> Response<Full<Bytes>> {
    let kind = HeaderValue::from_static("application/json");
    with(
        Response::new(Full::from(value.to_string())),
        header::CONTENT_TYPE,
        kind,
    )
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

fn with(
    mut response: Response<Full<Bytes>>,
    name: HeaderName,
    value: HeaderValue,
) -> Response<Full<Bytes>> {
    response.headers_mut().insert(name, value);
    response
}

/// Larger bodies are not echoed.
const BODY_BYTES_MAX: usize = 1024 * 1024;

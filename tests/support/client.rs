//! Sends requests over HTTP/1.1 and HTTP/2, one connection each, without any state.
//!
//! Cookies and redirects are `browser`'s, what is sent and comes back is `message`'s.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates;
use super::message::Answer;
use super::message::Request;
use super::message::Url;
use super::wait::PATIENCE;
use super::wait::within;

/// An answer whose body is still coming.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    chunks: mpsc::Receiver<Result<Bytes, String>>,
}

impl Live {
    /// The next piece of the body; `None` at its end, an error when it was cut off.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, String>> {
        self.chunks.recv().await
    }

    /// Reads to the end; an error when it was cut off before, with what came until then.
    pub(crate) async fn rest(&mut self) -> Result<Bytes, String> {
        let mut body = Vec::new();
        while let Some(chunk) = self.next().await {
            body.extend_from_slice(&chunk?);
        }
        Ok(body.into())
    }
}

/// The longest that an answer may take: a thousand sign-ins at once keep one processor busy for half a minute.
const ANSWER: Duration = Duration::from_secs(60);

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    H1,
    H2,
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(
    request: &Request,
    address: SocketAddr,
    protocol: Protocol,
) -> Result<Answer, String> {
    let live = open(request, address, protocol).await?;
    whole(request, live).await
}

/// Sends a request by a connection of one's own, and reads the whole answer.
pub(crate) async fn send_by(
    request: &Request,
    stream: TlsStream<TcpStream>,
) -> Result<Answer, String> {
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stream = Connection::Tls(Box::new(stream));
    let opening = async {
        if is_h2 {
            open_h2(request, stream).await
        } else {
            open_h1(request, stream).await
        }
    };
    let live = within("the head of the answer", ANSWER, opening).await?;
    whole(request, live).await
}

async fn whole(request: &Request, mut live: Live) -> Result<Answer, String> {
    let body = within("the whole answer", PATIENCE, live.rest()).await?;
    Ok(Answer {
        status: live.status,
        headers: std::mem::take(&mut live.headers),
        body,
        url: request.url.clone(),
        site: String::new(),
    })
}

/// Sends a request and reads the head of its answer; the connection lives as long as the answer.
pub(crate) async fn open(
    request: &Request,
    address: SocketAddr,
    protocol: Protocol,
) -> Result<Live, String> {
    let stream = connect(&request.url, address, protocol).await?;
    let opening = async {
        match protocol {
            Protocol::H1 => open_h1(request, stream).await,
            Protocol::H2 => open_h2(request, stream).await,
        }
    };
    within("the head of the answer", ANSWER, opening).await
}

/// A connection, by TLS where the address says so.
#[derive(Debug)]
pub(crate) enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects as the scheme of an address asks, for a host of that name.
pub(crate) async fn connect(
    url: &Url,
    address: SocketAddr,
    protocol: Protocol,
) -> Result<Connection, String> {
    let tcp = TcpStream::connect(address)
        .await
        .map_err(|error| error.to_string())?;
    tcp.set_nodelay(true).unwrap();
    if url.scheme == "http" {
        return Ok(Connection::Plain(tcp));
    }
    let offered: &[u8] = match protocol {
        Protocol::H1 => b"http/1.1",
        Protocol::H2 => b"h2",
    };
    let stream = connect_tls(tcp, url.host(), &[offered]).await?;
    let chosen = stream.get_ref().1.alpn_protocol();
    assert_eq!(chosen, Some(offered), "the application protocol");
    Ok(Connection::Tls(Box::new(stream)))
}

/// Makes a TLS connection of a TCP connection, for a host of that name.
pub(crate) async fn connect_tls(
    tcp: TcpStream,
    host: &str,
    protocols: &[&[u8]],
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let connector = TlsConnector::from(certificates::client(protocols));
    connector
        .connect(name, tcp)
        .await
        .map_err(|error| error.to_string())
}

async fn open_h1(request: &Request, stream: Connection) -> Result<Live, String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(chain)?;
    tokio::spawn(connection.with_upgrades());
    let mut built = http::Request::builder()
        .method(request.method.clone())
        .uri(request.url.target.as_str());
    if !request.has("host") {
        built = built.header("host", &request.url.authority);
    }
    for (name, value) in &request.headers {
        built = built.header(name, value);
    }
    let built = built.body(Full::new(request.body.clone())).unwrap();
    let answer = sender.send_request(built).await.map_err(chain)?;
    let (head, mut body) = answer.into_parts();
    let (chunks, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        // The sender keeps the connection for as long as the body is read.
        let _sender = sender;
        loop {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = chunks.closed() => return,
            };
            let Some(frame) = frame else { return };
            let chunk = frame
                .map(|frame| frame.into_data().unwrap_or_default())
                .map_err(chain);
            if chunks.send(chunk).await.is_err() {
                return;
            }
        }
    });
    Ok(Live {
        status: head.status.as_u16(),
        headers: head.headers,
        chunks: receiver,
    })
}

async fn open_h2(request: &Request, stream: Connection) -> Result<Live, String> {
    let (sender, connection) = h2::client::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(2 * WINDOW)
        .handshake(stream)
        .await
        .map_err(chain)?;
    let driving = tokio::spawn(connection);
    let mut sender = sender.ready().await.map_err(chain)?;
    let mut built = http::Request::builder()
        .method(request.method.clone())
        .uri(request.url.to_string());
    for (name, value) in &request.headers {
        built = built.header(name.to_ascii_lowercase(), value);
    }
    let built = built.body(()).unwrap();
    let (answer, mut up) = sender
        .send_request(built, request.body.is_empty())
        .map_err(chain)?;
    if !request.body.is_empty() {
        up.send_data(request.body.clone(), true).map_err(chain)?;
    }
    let (head, mut body) = answer.await.map_err(chain)?.into_parts();
    let (chunks, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let _sender = sender;
        loop {
            let chunk = tokio::select! {
                chunk = body.data() => chunk,
                () = chunks.closed() => break,
            };
            let Some(chunk) = chunk else { break };
            if let Ok(chunk) = &chunk {
                body.flow_control().release_capacity(chunk.len()).ok();
            }
            if chunks.send(chunk.map_err(chain)).await.is_err() {
                break;
            }
        }
        driving.abort();
    });
    Ok(Live {
        status: head.status.as_u16(),
        headers: head.headers,
        chunks: receiver,
    })
}

/// What an HTTP/2 server may send at once, about as browsers allow.
const WINDOW: u32 = 8 * 1024 * 1024;

/// An error with its causes.
pub(crate) fn chain<E: std::error::Error>(error: E) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

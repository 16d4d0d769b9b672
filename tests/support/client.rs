//! Requests and answers over HTTP/1.1 and HTTP/2, one connection each, without any state.
//!
//! Cookies and redirects are `browser`'s.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
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
use super::page;
use super::wait::PATIENCE;
use super::wait::within;

/// An absolute address of `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) scheme: String,
    /// Host and port as written.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Self {
        let (scheme, rest) = text
            .split_once("://")
            .unwrap_or_else(|| panic!("not absolute: {text}"));
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = target.split('#').next().unwrap();
        let slash = if target.starts_with('/') { "" } else { "/" };
        Self {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            target: format!("{slash}{target}"),
        }
    }

    /// The host without its port.
    pub(crate) fn host(&self) -> &str {
        self.authority.split(':').next().unwrap()
    }

    /// The path without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// The value of a query parameter.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        form_urlencoded::parse(query.as_bytes())
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Scheme and authority.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// What a reference on this page leads to: an absolute address, or a path on the same host.
    pub(crate) fn join(&self, reference: &str) -> Self {
        if reference.is_empty() {
            self.clone()
        } else if reference.starts_with("//") {
            Self::parse(&format!("{}:{reference}", self.scheme))
        } else if reference.starts_with('/') {
            Self {
                target: reference.to_owned(),
                ..self.clone()
            }
        } else {
            Self::parse(reference)
        }
    }
}

impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.target)
    }
}

/// A request to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Request {
    pub(crate) fn new(method: Method, url: &str) -> Self {
        Self {
            method,
            url: Url::parse(url),
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn get(url: &str) -> Self {
        Self::new(Method::GET, url)
    }

    pub(crate) fn post(url: &str) -> Self {
        Self::new(Method::POST, url)
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether a header has been added.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Posts these fields as a form.
    pub(crate) fn form(self, fields: &[(String, String)]) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded")
            .body(page::encode(fields))
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What was asked for.
    pub(crate) url: Url,
    /// How it stands to the page that asked for it, as browsers say in `Sec-Fetch-Site`.
    pub(crate) site: String,
}

impl Answer {
    /// A header; the empty text when it is not there.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// All `Set-Cookie` values.
    pub(crate) fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    /// The body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Where a redirect leads to.
    pub(crate) fn location(&self) -> Url {
        let location = self.header("location");
        assert!(
            !location.is_empty(),
            "no redirect: {} {}",
            self.status,
            self.text()
        );
        self.url.join(location)
    }

    /// Whether it is a redirect.
    pub(crate) fn redirects(&self) -> bool {
        matches!(self.status, 301 | 302 | 303 | 307 | 308)
    }

    /// Fails unless the status is this.
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(
            self.status,
            status,
            "{} {:?} {}",
            self.url,
            self.headers,
            self.text()
        );
        self
    }

    /// The first form of the page.
    pub(crate) fn form(&self) -> page::Form {
        page::form(&self.text())
            .unwrap_or_else(|| panic!("no form: {} {}", self.status, self.text()))
    }

    /// What an echoing upstream says of a header or property, from a line `name: value`.
    pub(crate) fn told(&self, name: &str) -> String {
        let text = self.text();
        let line = text.lines().find_map(|line| {
            let (known, value) = line.split_once(':')?;
            (known == name).then(|| value.trim().to_owned())
        });
        line.unwrap_or_else(|| {
            panic!(
                "the upstream says nothing of {name}: {} {text}",
                self.status
            )
        })
    }
}

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
    let mut live = open(request, address, protocol).await?;
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
    within("the head of the answer", PATIENCE, opening).await
}

/// A connection, by TLS where the address says so.
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
        while let Some(frame) = body.frame().await {
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
    let (sender, connection) = h2::client::handshake(stream).await.map_err(chain)?;
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
        while let Some(chunk) = body.data().await {
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

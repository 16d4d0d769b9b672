//! A client that speaks HTTP/2, by TLS: one request after the other, each on a stream of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::SendStream;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::HeaderMap;
use http::Request;
use http::Uri;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::client::Answer;
use crate::client::Framing;
use crate::client::Header;
use crate::client::PATIENCE;
use crate::client::PAUSE;
use crate::requests::Body;
use crate::requests::Sent;
use crate::requests::filled;

/// A connection; it ends when dropped.
pub(crate) struct Line {
    runtime: Handle,
    sender: SendRequest<Bytes>,
    driving: JoinHandle<()>,
}

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// Why there is no connection.
    pub(crate) fn connect(
        address: SocketAddr,
        announced: &str,
        terms: Arc<ClientConfig>,
        name: &str,
    ) -> Result<Self, String> {
        let runtime = Handle::current();
        let connected = runtime.block_on(async {
            let name = ServerName::try_from(name.to_owned()).map_err(told)?;
            let mut tcp = TcpStream::connect(address).await.map_err(told)?;
            tcp.set_nodelay(true).map_err(told)?;
            tcp.write_all(announced.as_bytes()).await.map_err(told)?;
            let connecting = TlsConnector::from(terms).connect(name, tcp);
            let tls = connecting.await.map_err(told)?;
            let spoken = tls.get_ref().1.alpn_protocol();
            assert_eq!(spoken, Some(b"h2".as_slice()), "HTTP/2 is offered");
            h2::client::handshake(tls).await.map_err(told)
        });
        let (sender, connection) = connected?;
        let driving = runtime.spawn(async move {
            connection.await.ok();
        });
        Ok(Self {
            runtime,
            sender,
            driving,
        })
    }

    /// Sends a request and reads its answer.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn ask(&mut self, sent: &Sent) -> Result<Answer, String> {
        let sender = self.sender.clone();
        let asked = async { timeout(PATIENCE, exchange(sender, sent)).await };
        match self.runtime.block_on(asked) {
            Ok(answer) => answer.map_err(told),
            Err(late) => Err(told(late)),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "errors are mapped by it")]
fn told(error: impl ToString) -> String {
    error.to_string()
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

async fn exchange(sender: SendRequest<Bytes>, sent: &Sent) -> Result<Answer, h2::Error> {
    let mut sender = sender.ready().await?;
    let is_whole = sent.body == Body::None;
    let (mut response, stream) = sender.send_request(request(sent), is_whole)?;
    let response = if is_whole {
        response.await?
    } else {
        sending(stream, sent, &mut response).await?
    };
    let (parts, mut body) = response.into_parts();
    let mut bytes = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len())?;
        bytes.extend_from_slice(&piece);
    }
    let trailers = body.trailers().await?.unwrap_or_default();
    let status = parts.status.as_u16();
    let headers = lines(&parts.headers);
    let mut framing = Framing::of_answer(&headers, status, &sent.method);
    if framing == Framing::Close {
        framing = Framing::Chunked;
    }
    Ok(Answer {
        interim: Vec::new(),
        version: "HTTP/2.0".to_owned(),
        status,
        headers,
        framing,
        body: bytes,
        trailers: lines(&trailers),
        echoed: Vec::new(),
        // An unfinished request ends its stream and not the connection.
        sent_whole: true,
    })
}

/// Sends the body until there is an answer.
async fn sending(
    mut stream: SendStream<Bytes>,
    sent: &Sent,
    response: &mut ResponseFuture,
) -> Result<http::Response<h2::RecvStream>, h2::Error> {
    let answered = tokio::select! {
        biased;
        answered = &mut *response => Some(answered),
        // A server that wants no more says so, and has answered.
        _ = send(&mut stream, sent) => None,
    };
    match answered {
        Some(answered) => answered,
        None => response.await,
    }
}

async fn send(stream: &mut SendStream<Bytes>, sent: &Sent) -> Result<(), h2::Error> {
    let pieces = match &sent.body {
        Body::None => Vec::new(),
        Body::Sized(size) => vec![filled(*size)],
        Body::Chunked(sizes) => sizes.iter().map(|size| filled(*size)).collect(),
    };
    for piece in pieces {
        let size = if sent.slow {
            piece.len() / 3 + 1
        } else {
            piece.len().max(1)
        };
        for part in piece.chunks(size) {
            if sent.slow {
                sleep(PAUSE).await;
            }
            send_part(stream, Bytes::copy_from_slice(part)).await?;
        }
    }
    stream.send_data(Bytes::new(), true)
}

/// Sends as much as the other side has room for, again and again.
async fn send_part(stream: &mut SendStream<Bytes>, mut part: Bytes) -> Result<(), h2::Error> {
    while !part.is_empty() {
        stream.reserve_capacity(part.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let Some(room) = room.transpose()? else {
            return Ok(());
        };
        let now = part.split_to(room.min(part.len()));
        stream.send_data(now, false)?;
    }
    Ok(())
}

fn request(sent: &Sent) -> Request<()> {
    let authority = sent.value("Host").unwrap();
    let uri = Uri::builder()
        .scheme("https")
        .authority(authority)
        .path_and_query(sent.target.as_str());
    let mut request = Request::builder()
        .method(sent.method.as_str())
        .version(http::Version::HTTP_2)
        .uri(uri.build().unwrap());
    for (name, value) in sent.headers.iter().filter(|(name, _)| name != "Host") {
        request = request.header(name.to_ascii_lowercase(), value);
    }
    if let Body::Sized(size) = sent.body {
        request = request.header("content-length", size);
    }
    request.body(()).unwrap()
}

fn lines(headers: &HeaderMap) -> Vec<Header> {
    let lines = headers.iter();
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| Header {
        name: name.as_str().to_owned(),
        value: value
            .as_bytes()
            .iter()
            .map(|byte| char::from(*byte))
            .collect(),
    };
    lines.map(line).collect()
}

/// Whether a target can be asked for as it is.
pub(crate) fn can_ask_for(target: &str) -> bool {
    let parsed = Uri::builder()
        .scheme("https")
        .authority("app.test")
        .path_and_query(target)
        .build();
    target.starts_with('/')
        && parsed.is_ok_and(|uri| uri.path_and_query().is_some_and(|whole| whole == target))
}

//! One question of a health check, and why its answer is not as it should be.

use std::io;

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::HealthCheck;
use crate::config::Probe;
use crate::decision::text_test::TextPattern;
use crate::proxy::address::Address;
use crate::proxy::health::grpc;

/// Why an upstream is not well, in the words of its health check.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The body of its answer is another one.
    #[error("the body of its answer is not as `body` wants it")]
    Body,
    /// It answered as nobody who speaks the protocol does.
    #[error("its answer cannot be understood")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It cannot be connected to.
    #[error("it cannot be connected to")]
    Connect(#[source] io::Error),
    /// It answers gRPC calls with an error.
    #[error("it answers with the gRPC status {0}")]
    GrpcStatus(String),
    /// It took too long.
    #[error("it gave no answer in time")]
    Late,
    /// It says itself that it does not serve.
    #[error("it says that it is {0}")]
    NotServing(&'static str),
    /// Its name cannot be in a certificate.
    #[error("its name cannot be in a certificate")]
    ServerName,
    /// It answered with a status that does not count as good.
    #[error("it answers with the status {0}")]
    Status(u16),
    /// No TLS came about, or its certificate is not good.
    #[error("TLS fails")]
    Tls(#[source] io::Error),
}

/// Whom a check asks, and by which names.
pub(super) struct Whom<'c> {
    pub(super) address: Address,
    /// What comes before anything else is said, TLS included.
    pub(super) announcement: &'c [u8],
    /// The name that its certificate carries.
    pub(super) server_name: &'c str,
    /// What its `Host` is, unless the check says otherwise.
    pub(super) authority: &'c str,
}

/// Asks once.
pub(super) async fn ask(
    whom: &Whom<'_>,
    check: &HealthCheck,
    tls: Option<&TlsConnector>,
) -> Result<(), CheckError> {
    match &whom.address {
        Address::Inet(address) => {
            let stream = TcpStream::connect(address).await;
            ask_by(stream.map_err(CheckError::Connect)?, whom, check, tls).await
        }
        Address::Unix(socket) => {
            let stream = socket.connect().await;
            ask_by(stream.map_err(CheckError::Connect)?, whom, check, tls).await
        }
    }
}

/// Asks by a connection that is there.
async fn ask_by<S>(
    mut stream: S,
    whom: &Whom<'_>,
    check: &HealthCheck,
    tls: Option<&TlsConnector>,
) -> Result<(), CheckError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let announced = stream.write_all(whom.announcement).await;
    announced.map_err(CheckError::Connect)?;
    let Some(tls) = tls else {
        return speak(stream, &check.probe, ("http", whom.authority)).await;
    };
    let name = ServerName::try_from(whom.server_name.to_owned());
    let name = name.map_err(|_| CheckError::ServerName)?;
    let stream = tls.connect(name, stream).await.map_err(CheckError::Tls)?;
    speak(stream, &check.probe, ("https", whom.authority)).await
}

async fn speak<S>(
    stream: S,
    probe: &Probe,
    (scheme, authority): (&str, &str),
) -> Result<(), CheckError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match probe {
        Probe::Grpc { service, host } => {
            let authority = host.as_ref().map_or(authority, |host| host.as_str());
            grpc::ask(stream, service, (scheme, authority)).await
        }
        Probe::Http {
            path,
            host,
            status,
            body,
        } => {
            let authority = host.as_ref().map_or(authority, |host| host.as_str());
            get(stream, (path, authority), (*status, body.as_ref())).await
        }
        Probe::Tcp | Probe::Tls(_) => Ok(()),
    }
}

async fn get<S>(
    stream: S,
    (path, host): (&str, &str),
    ((lowest, highest), pattern): ((u16, u16), Option<&TextPattern>),
) -> Result<(), CheckError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connected = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(broken)?;
    let request = http::Request::get(path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, "portway-health-check")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(broken)?;
    let answered = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        let status = answer.status().as_u16();
        if !(lowest..=highest).contains(&status) {
            return Err(CheckError::Status(status));
        }
        let Some(pattern) = pattern else {
            return Ok(());
        };
        let body = beginning(answer.into_body(), BODY_READ).await?;
        let matches = pattern.is_match(&String::from_utf8_lossy(&body));
        matches.then_some(()).ok_or(CheckError::Body)
    };
    tokio::pin!(answered);
    // The end of the connection may arrive together with the answer; the answer counts.
    tokio::select! {
        answer = &mut answered => answer,
        _ = connection => answered.await,
    }
}

/// The first so many bytes of a body, or all of it.
pub(super) async fn beginning(mut body: Incoming, most: usize) -> Result<Vec<u8>, CheckError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            let room = most.saturating_sub(bytes.len());
            bytes.extend(data.into_iter().take(room));
        }
        if bytes.len() >= most {
            break;
        }
    }
    Ok(bytes)
}

pub(super) fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CheckError {
    CheckError::Broken(error.into())
}

/// So much of a body is looked at.
const BODY_READ: usize = 64 * 1024;

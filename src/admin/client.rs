//! The other end of the control socket, for the command line: one question, one answer.

use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Response;
use http::StatusCode;
use http::header;
use http_body_util::BodyExt;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;

use crate::admin::SOCKET;
use crate::admin::SUDO_USER;
use crate::admin::reply::Refused;
use crate::admin::socket::Folder;

/// Why a node gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No gateway runs with this state directory.
    #[error("no gateway is running with the state directory {}", .0.display())]
    NotRunning(PathBuf),
    /// It belongs to somebody else.
    #[error("the gateway with the state directory {} runs as another user", .0.display())]
    NotPermitted(PathBuf),
    /// It was reached and broke off, or said what cannot be understood.
    #[error("the gateway gave no answer that can be understood")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("the gateway gave no answer within {} seconds", .0.as_secs())]
    Late(Duration),
    /// It says no.
    #[error("{0}")]
    Refused(String),
}

/// Asks the node of a state directory, and reads its answer; who called `sudo`, if anybody, is told with it.
///
/// # Errors
/// See [`AskError`].
pub fn ask<T: DeserializeOwned>(
    state_dir: &Path,
    (method, path): (Method, &str),
    (sudo_user, body): (&str, Vec<u8>),
) -> Result<T, AskError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(broken)?;
    let asked = async {
        let asked = exchange(state_dir, (method, path), (sudo_user, body.into()));
        let answered = tokio::time::timeout(ANSWER_WITHIN, asked).await;
        answered.unwrap_or(Err(AskError::Late(ANSWER_WITHIN)))
    };
    let (status, answer) = runtime.block_on(asked)?;
    if status.is_success() {
        return serde_json::from_slice(&answer).map_err(broken);
    }
    let refused = serde_json::from_slice::<Refused>(&answer);
    Err(AskError::Refused(refused.map_err(broken)?.error))
}

/// Asks one question within an async context; what the answer says is for the caller to read.
pub(super) async fn exchange(
    state_dir: &Path,
    what: (Method, &str),
    with: (&str, Bytes),
) -> Result<(StatusCode, Bytes), AskError> {
    let (response, _open) = send(state_dir, what, with).await?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(broken)?;
    Ok((status, body.to_bytes()))
}

/// Hears lines, for as long as there are any.
pub(super) async fn listen(
    state_dir: &Path,
    path: &str,
    mut hear: impl FnMut(&[u8]),
) -> Result<(), AskError> {
    let (response, _open) = send(state_dir, (Method::GET, path), ("", Bytes::new())).await?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(AskError::Refused(format!("it answered {status}")));
    }
    let (mut body, mut heard) = (response.into_body(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        if let Some(bytes) = frame.map_err(broken)?.data_ref() {
            heard.extend_from_slice(bytes);
        }
        while let Some(end) = memchr::memchr(b'\n', &heard) {
            hear(&heard.split_to(end + 1));
        }
    }
    Ok(())
}

/// Posts one question from wherever it may be, and waits for the answer.
pub(super) fn ask_apart(
    state_dir: &Path,
    path: &'static str,
    body: Vec<u8>,
    limit: Duration,
) -> Option<Bytes> {
    let (answer, answered) = mpsc::channel();
    let state_dir = state_dir.to_owned();
    let ask = move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let asked = exchange(&state_dir, (Method::POST, path), ("", body.into()));
        let asked = runtime.ok()?.block_on(asked);
        // Whoever waited may have given up.
        answer.send(asked.ok()?).ok()
    };
    std::thread::Builder::new().spawn(ask).ok()?;
    let (status, answer) = answered.recv_timeout(limit).ok()?;
    (status == StatusCode::OK).then_some(answer)
}

async fn send(
    state_dir: &Path,
    (method, path): (Method, &str),
    (sudo_user, body): (&str, Bytes),
) -> Result<(Response<Incoming>, Open), AskError> {
    let folder = Folder::open(state_dir).map_err(|error| unreachable(state_dir, error))?;
    let stream = UnixStream::connect(folder.path(SOCKET)).await;
    let stream = stream.map_err(|error| unreachable(state_dir, error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let running = Open(tokio::spawn(async move {
        // Whoever waits for the answer learns of it.
        connection.await.ok();
    }));
    let sudo = HeaderValue::from_bytes(sudo_user.as_bytes());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "portway")
        .header(SUDO_USER, sudo.unwrap_or(HeaderValue::from_static("")))
        .body(Full::new(body))
        .map_err(broken)?;
    let response = sender.send_request(request).await.map_err(broken)?;
    Ok((response, running))
}

/// A connection, for as long as its answer is read.
struct Open(JoinHandle<()>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn unreachable(state_dir: &Path, error: io::Error) -> AskError {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the kinds of I/O errors are not ours and grow"
    )]
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            AskError::NotRunning(state_dir.to_owned())
        }
        io::ErrorKind::PermissionDenied => AskError::NotPermitted(state_dir.to_owned()),
        _ => broken(error),
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AskError {
    AskError::Broken(error.into())
}

/// A reload waits for names of upstreams, and reads as much as there is.
const ANSWER_WITHIN: Duration = Duration::from_secs(120);

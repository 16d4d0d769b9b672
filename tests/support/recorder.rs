//! An upstream that records the bytes it is sent, exactly, and answers what it is told to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::ports;
use super::wait::PATIENCE;
use super::wait::until;

/// A recording upstream; it stops when dropped, and its port refuses from then on.
pub(crate) struct Recorder {
    address: SocketAddr,
    seen: Seen,
    accepting: JoinHandle<()>,
}

/// Every connection's bytes, in the order in which they were accepted.
type Seen = Arc<Mutex<Vec<Vec<u8>>>>;

/// What is done after a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// These bytes are sent, and the connection stays open.
    Send(Vec<u8>),
    /// These bytes are sent, and the connection is closed.
    SendAndClose(Vec<u8>),
    /// Nothing is sent, and the connection is closed.
    Close,
    /// Nothing is sent, and the connection stays open.
    Silence,
}

/// Decides on a request, given its bytes, how many were before it on its connection, and how many
/// connections were before that.
type Script = dyn Fn(&[u8], usize, usize) -> Reply + Send + Sync;

impl Recorder {
    /// Starts one that answers `200` with `ok` to everything.
    pub(crate) async fn start() -> Self {
        Self::answering(OK).await
    }

    /// Starts one that answers these bytes to every request.
    pub(crate) async fn answering(response: &[u8]) -> Self {
        let response = response.to_vec();
        Self::scripted(move |_, _, _| Reply::Send(response.clone())).await
    }

    /// Starts one that is told for each request what to do.
    pub(crate) async fn scripted<F>(script: F) -> Self
    where
        F: Fn(&[u8], usize, usize) -> Reply + Send + Sync + 'static,
    {
        let listener = ports::listen().await;
        let address = listener.local_addr().unwrap();
        let (seen, script) = (Seen::default(), Arc::new(script) as Arc<Script>);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&seen), script));
        Self {
            address,
            seen,
            accepting,
        }
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All bytes of all connections, one after the other.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.seen.lock().unwrap().concat()
    }

    /// All bytes as text, with anything odd replaced.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The bytes of each connection.
    pub(crate) fn connections(&self) -> Vec<Vec<u8>> {
        self.seen.lock().unwrap().clone()
    }

    /// The heads that began with a request line, over all connections.
    pub(crate) fn requests(&self) -> usize {
        self.text().matches(" HTTP/1.1\r\n").count()
    }

    /// Forgets what it has recorded.
    pub(crate) fn clear(&self) {
        self.seen.lock().unwrap().iter_mut().for_each(Vec::clear);
    }

    /// Waits until these bytes have arrived.
    pub(crate) async fn wait_for(&self, words: &str) {
        until(
            &format!("the upstream sees {words:?}"),
            PATIENCE,
            || async { self.text().contains(words).then_some(()) },
        )
        .await;
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, seen: Seen, script: Arc<Script>) {
    let mut serving = tokio::task::JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        let place = {
            let mut seen = seen.lock().unwrap();
            seen.push(Vec::new());
            seen.len() - 1
        };
        serving.spawn(serve(stream, place, Arc::clone(&seen), Arc::clone(&script)));
    }
}

async fn serve(mut stream: TcpStream, place: usize, seen: Seen, script: Arc<Script>) {
    let mut pending = Vec::new();
    let mut before = 0;
    loop {
        let mut buffer = vec![0; 64 * 1024];
        let Ok(read @ 1..) = stream.read(&mut buffer).await else {
            return;
        };
        pending.extend_from_slice(&buffer[..read]);
        seen.lock().unwrap()[place].extend_from_slice(&buffer[..read]);
        while let Some(end) = end_of_request(&pending) {
            let request: Vec<u8> = pending.drain(..end).collect();
            let (bytes, closes) = match script(&request, before, place) {
                Reply::Send(bytes) => (bytes, false),
                Reply::SendAndClose(bytes) => (bytes, true),
                Reply::Close => (Vec::new(), true),
                Reply::Silence => (Vec::new(), false),
            };
            before += 1;
            if stream.write_all(&bytes).await.is_err() || closes {
                stream.shutdown().await.ok();
                return;
            }
        }
    }
}

/// Where the first request ends, if it is whole: by its length, or by the last chunk.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = find(bytes, b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if text.contains("\r\ntransfer-encoding:") {
        return find(&bytes[head - 2..], b"\r\n0\r\n\r\n").map(|at| head - 2 + at + 7);
    }
    let length = text.split("\r\ncontent-length:").nth(1);
    let length = length.and_then(|rest| rest.lines().next()?.trim().parse::<usize>().ok());
    let end = head + length.unwrap_or(0);
    (bytes.len() >= end).then_some(end)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}

/// An ordinary answer.
pub(crate) const OK: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";

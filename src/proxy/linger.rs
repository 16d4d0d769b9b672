//! Takes leave of a client: what it sends after the last answer is read away, not refused.
//!
//! A socket that is closed while bytes come in answers them with a reset, and a reset takes back what the
//! client has not read yet. HTTP/2 clients send window updates up to the end. No request is read here.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use nix::sys::socket::Shutdown;
use nix::sys::socket::shutdown;
use pingora::protocols::Stream;
use rustix::net::sockopt::set_socket_linger;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::proxy::descriptor;

/// Ends this side of a connection and waits, within bounds, for the client to end its own.
pub(super) async fn linger(mut stream: Stream) {
    if shutdown(stream.id(), Shutdown::Write).is_err() {
        return;
    }
    let mut waste = vec![0; WASTE_BYTES];
    let reading =
        async { while let Ok(Ok(1..)) = timeout(LINGER_IDLE, stream.read(&mut waste)).await {} };
    // Past the bound the client has had its time.
    timeout(LINGER, reading).await.ok();
}

/// Closes a connection whose client does not read. The system would go on to offer what was written, for as long as
/// the client says that it is there, and keep it in memory; so it is taken back.
pub(super) fn reset(stream: Stream) {
    if let Err(error) = forget_what_is_unsent(stream.id())
        && !TOLD.swap(true, Ordering::Relaxed)
    {
        tracing::warn!(
            %error,
            "connections of clients that do not read cannot be reset; the system keeps what they have not read"
        );
    }
    drop(stream);
}

fn forget_what_is_unsent(socket: RawFd) -> io::Result<()> {
    set_socket_linger(descriptor::another(socket)?, Some(Duration::ZERO))?;
    Ok(())
}

/// Whether it was told already.
static TOLD: AtomicBool = AtomicBool::new(false);
const WASTE_BYTES: usize = 4096;
/// How long a client may take altogether.
const LINGER: Duration = Duration::from_secs(30);
/// How long a client may send nothing.
const LINGER_IDLE: Duration = Duration::from_secs(2);

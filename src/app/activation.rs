//! Sockets that a service manager listens at before the node is there, and passes to it: systemd's socket
//! activation. Whoever connects while no process runs waits, and is served by the next.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use listenfd::ListenFd;

use crate::proxy::listening::Socket;

/// Takes the sockets that this process was passed; none mostly. To be asked once.
///
/// # Errors
/// When something else was passed than a socket that is listened at, over TCP or in the file system.
pub(crate) fn passed() -> anyhow::Result<Vec<Arc<Socket>>> {
    let mut passed = ListenFd::from_env();
    let all = 0..passed.len();
    all.map(|index| take(&mut passed, index).map(Arc::new))
        .collect()
}

fn take(passed: &mut ListenFd, index: usize) -> anyhow::Result<Socket> {
    let cannot = || {
        format!(
            "the service manager has passed something odd as number {}",
            index + 1
        )
    };
    let taken = match passed.take_tcp_listener(index) {
        Ok(socket) => socket.map(|socket| Ok(Socket::Tcp(socket))),
        Err(_) => passed
            .take_unix_listener(index)
            .with_context(cannot)?
            .map(Socket::of_unix),
    };
    let Some(socket) = taken else {
        bail!(cannot());
    };
    socket.and_then(check).with_context(cannot)
}

/// A socket that nobody listens at yet would refuse everybody.
fn check(socket: Socket) -> io::Result<Socket> {
    if socket.is_listening()? {
        Ok(socket)
    } else {
        Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "nobody listens at the socket",
        ))
    }
}

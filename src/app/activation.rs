//! Sockets that a service manager listens at before the node is there, and passes to it: systemd's socket
//! activation. Whoever connects while no process runs waits, and is served by the next.
//!
//! Where it listens is noted in the state directory, so that a start after a reload that has taken a listener out is
//! told from one by units that are wrong.

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use anyhow::bail;
use listenfd::ListenFd;

use crate::config::Listener;
use crate::provider::users_file::replace::FileLock;
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

/// Refuses sockets where no listener is, but those that the gateway was started with before: a reload has taken their
/// listeners out since, and to refuse the start over it would be an outage.
///
/// # Errors
/// When there is one of which nothing was noted: whoever connected there would wait for ever.
pub(super) fn check_wanted(
    passed: &[Arc<Socket>],
    listeners: &[Listener],
    state_dir: &Path,
) -> anyhow::Result<()> {
    // What cannot be read was not noted.
    let noted = std::fs::read_to_string(state_dir.join(FILE)).unwrap_or_default();
    for socket in without_listener(passed, listeners) {
        let place = socket.to_string();
        if !noted.lines().any(|line| line == place) {
            bail!("the service manager listens at {socket}, where no listener is");
        }
    }
    Ok(())
}

/// The sockets where none of these listeners is.
pub(super) fn without_listener<'s>(
    passed: &'s [Arc<Socket>],
    listeners: &'s [Listener],
) -> impl Iterator<Item = &'s Arc<Socket>> {
    let is_free = move |socket: &&Arc<Socket>| !listeners.iter().any(|at| socket.is_at(&at.bind));
    passed.iter().filter(is_free)
}

/// Notes where the service manager listens. Without a service manager what was noted stays: the next start may be by it.
pub(super) fn remember(passed: &[Arc<Socket>], state_dir: &Path) {
    let path = state_dir.join(FILE);
    let places: Vec<String> = passed.iter().map(|socket| format!("{socket}\n")).collect();
    let places = places.concat();
    let is_noted = || std::fs::read_to_string(&path).is_ok_and(|noted| noted == places);
    if passed.is_empty() || is_noted() {
        return;
    }
    let noted = FileLock::acquire(&path).and_then(|file| file.replace(&places));
    if let Err(error) = noted {
        tracing::warn!(
            path = %path.display(),
            %error,
            "where the service manager listens could not be noted"
        );
    }
}

const FILE: &str = "passed-sockets";

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn socket() -> Arc<Socket> {
        Arc::new(Socket::Tcp(TcpListener::bind("127.0.0.1:0").unwrap()))
    }

    #[test]
    fn a_socket_without_a_listener_is_refused_unless_the_gateway_was_started_with_it_before() {
        let folder = tempfile::tempdir().unwrap();
        let (known, other) = (socket(), socket());
        let check = |passed: &[Arc<Socket>]| check_wanted(passed, &[], folder.path());
        check(&[]).unwrap();
        let refused = check(&[Arc::clone(&known)]).unwrap_err().to_string();
        let fault = format!("the service manager listens at {known}, where no listener is");
        assert_eq!(refused, fault);
        remember(&[Arc::clone(&known)], folder.path());
        // As when it is started by hand in between.
        remember(&[], folder.path());
        check(&[Arc::clone(&known)]).unwrap();
        assert!(check(&[known, Arc::clone(&other)]).is_err());
        remember(&[Arc::clone(&other)], folder.path());
        check(&[other]).unwrap();
    }
}

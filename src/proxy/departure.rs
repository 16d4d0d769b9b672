//! Whether a client has left, where nobody reads what it sends.
//!
//! What it sent last, such as the end of its TLS, stands before the end of its connection, so that reading ahead does
//! not find that end; the state of the socket tells.

use std::io;
use std::os::fd::RawFd;

use nix::errno::Errno;
use nix::sys::socket::MsgFlags;
use nix::sys::socket::recv;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::event::poll;

use crate::proxy::descriptor;

/// Whether whoever is at the other end of a socket has ended the connection, or their side of it. Takes nothing of
/// what can be read.
pub(super) fn has_left(socket: RawFd) -> bool {
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match recv(socket, &mut [0], flags) {
        Ok(0) => true,
        // Where a socket cannot be looked at, time-outs are left.
        Ok(_) => has_hung_up(socket).unwrap_or(false),
        Err(error) => error != Errno::EAGAIN && error != Errno::EINTR,
    }
}

fn has_hung_up(socket: RawFd) -> io::Result<bool> {
    let socket = descriptor::another(socket)?;
    let mut polled = [PollFd::new(&socket, PollFlags::RDHUP)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    Ok(poll(&mut polled, Some(&at_once))? > 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;

    use super::*;

    /// Both ends of a connection.
    fn connection() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (listener.accept().unwrap().0, client)
    }

    /// Whether it is noticed that a client has left; its leave may be on its way.
    fn is_noticed(ours: &TcpStream) -> bool {
        (0..1_000_000).any(|_| has_left(ours.as_raw_fd()))
    }

    #[test]
    fn a_client_has_left_whatever_it_sent_before() {
        let (ours, client) = connection();
        assert!(!has_left(ours.as_raw_fd()));
        drop(client);
        assert!(is_noticed(&ours));
        let (ours, mut client) = connection();
        client.write_all(b"more").unwrap();
        assert_eq!(ours.peek(&mut [0]).unwrap(), 1);
        assert!(!has_left(ours.as_raw_fd()));
        drop(client);
        assert!(is_noticed(&ours));
    }
}

//! Ports of this machine that stay the demonstration's while nobody listens at them.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;

use tokio::net::TcpSocket;

/// A port of 127.0.0.1 that is kept: the system lends it to no connection and to nobody who asks for any
/// free one. Whoever binds it by its number, as gateways and applications do, gets it, again and again.
#[derive(Debug)]
pub(super) struct KeptPort {
    /// The address to listen at.
    pub(super) address: SocketAddr,
    /// Bound with `SO_REUSEADDR` and never listening, which is what lets others listen there.
    _held: TcpSocket,
}

impl KeptPort {
    /// Keeps a port, any free one for 0.
    ///
    /// # Errors
    ///
    /// It is taken, or it may not be used.
    pub(super) fn keep(wanted: u16) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, wanted)))?;
        Ok(Self {
            address: socket.local_addr()?,
            _held: socket,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn a_kept_port_can_be_listened_at_again_and_again_and_is_lent_to_nobody() {
        let port = KeptPort::keep(0).unwrap();
        let address = port.address;
        for _ in 0..3 {
            let listener = TcpListener::bind(address).unwrap();
            drop(TcpStream::connect(address).unwrap());
            let taken = KeptPort::keep(address.port()).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
            drop(listener);
            let refused = TcpStream::connect(address).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
        // Whoever does not say that it shares a port is told that it is taken.
        let socket = TcpSocket::new_v4().unwrap();
        let taken = socket.bind(address).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}

//! Ports for servers that come back.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::net::TcpListener;
use tokio::net::TcpSocket;

/// Listens on a free port of 127.0.0.1. It stays this process's: while nobody listens there, no connection
/// gets it for its own end, and no other server.
pub(crate) async fn listen() -> TcpListener {
    static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    // A bound socket that never listens lets others listen beside it, if both share the address.
    let held = TcpSocket::new_v4().unwrap();
    held.set_reuseaddr(true).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    held.bind(any).unwrap();
    let address = held.local_addr().unwrap();
    HELD.lock().unwrap().push(held);
    TcpListener::bind(address).await.unwrap()
}

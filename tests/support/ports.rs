//! Ports for servers that come, go and come back, and ports where nobody ever listens.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::net::TcpListener;
use tokio::net::TcpSocket;

/// Listens on a free port of 127.0.0.1. It stays this process's: while nobody listens there, no connection
/// gets it for its own end, and no other server.
pub(crate) async fn listen() -> TcpListener {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, kept_port()));
    TcpListener::bind(address).await.unwrap()
}

/// A port that was free at every address of this machine, and is kept until this process ends: the system
/// lends it to no connection and to nobody who asks for any free one. Whoever binds it by its number, as
/// gateways, nginx and HAProxy do, gets it, again and again; until then a connection there is refused.
pub(crate) fn kept_port() -> u16 {
    static HELD: Mutex<Vec<TcpSocket>> = Mutex::new(Vec::new());
    // A bound socket that never listens lets others listen beside it, if both share the address.
    let held = TcpSocket::new_v4().unwrap();
    held.set_reuseaddr(true).unwrap();
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    held.bind(any).unwrap();
    let port = held.local_addr().unwrap().port();
    HELD.lock().unwrap().push(held);
    port
}

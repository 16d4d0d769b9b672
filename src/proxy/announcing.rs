//! Connections to upstreams that begin with a header of the PROXY protocol, which says whose requests they carry.
//!
//! One is used for one connection of one client only: what its header says is true of all of its requests.

use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use pingora::Error;
use pingora::ErrorType;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr as Place;
use pingora::protocols::l4::stream::Stream;
use pingora::upstreams::peer::HttpPeer;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::decision::proxy_header::Announcement;
use crate::decision::proxy_header::HeaderVersion;
use crate::decision::proxy_header::write;
use crate::proxy::address::not_connected;
use crate::proxy::arrival::Arrived;
use crate::proxy::context::ConnectionFacts;

/// Has an upstream told whose request a connection is for.
pub(super) fn announce(
    peer: &mut HttpPeer,
    version: HeaderVersion,
    (connection, arrived): (&ConnectionFacts, &Arrived),
    timeout: Duration,
) {
    let header = write(version, announcement(connection, arrived));
    // No connection that told of another client is taken, and nobody can choose an address that is taken for one.
    peer.group_key = KEYED.hash_one((peer.group_key, &header));
    peer.options.idle_timeout = Some(IDLE);
    let connecting = Announced {
        header,
        by: peer.options.custom_l4.take(),
        timeout,
    };
    peer.options.custom_l4 = Some(Arc::new(connecting));
}

/// Where the client is behind trusted proxies, its port is not known.
fn announcement(connection: &ConnectionFacts, arrived: &Arrived) -> Announcement {
    let client = arrived.origin.client.to_canonical();
    let is_own = client == connection.peer.ip().to_canonical();
    let port = if is_own { connection.peer.port() } else { 0 };
    Announcement::Client {
        from: SocketAddr::new(client, port),
        to: connection.local,
    }
}

/// Connects, and says the header before anything else, TLS included.
#[derive(Debug)]
struct Announced {
    header: Vec<u8>,
    /// What connects, where it is not TCP.
    by: Option<Arc<dyn L4Connect + Send + Sync>>,
    /// For both together: pingora sets no time for connections that are made for it.
    timeout: Duration,
}

#[async_trait]
impl L4Connect for Announced {
    async fn connect(&self, place: &Place) -> pingora::Result<Stream> {
        let connecting = async {
            let mut stream = match (&self.by, place) {
                (Some(by), _) => by.connect(place).await?,
                (None, Place::Inet(address)) => by_tcp(address)
                    .await
                    .or_else(|error| not_connected(error, &address.to_string()))?,
                (None, Place::Unix(_)) => {
                    return Error::e_explain(ErrorType::InternalError, "no address of TCP");
                }
            };
            let said = say(&mut stream, &self.header).await;
            said.or_else(|error| not_connected(error, &place.to_string()))?;
            Ok(stream)
        };
        match tokio::time::timeout(self.timeout, connecting).await {
            Ok(connected) => connected,
            Err(late) => {
                let why = format!("not connected to {place} in time");
                Error::e_because(ErrorType::ConnectTimedout, why, late)
            }
        }
    }
}

async fn say(stream: &mut Stream, header: &[u8]) -> io::Result<()> {
    stream.write_all(header).await?;
    // pingora collects what is written.
    stream.flush().await
}

async fn by_tcp(address: &SocketAddr) -> io::Result<Stream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(Stream::from(stream))
}

/// What tells headers apart, by a key of this process.
static KEYED: LazyLock<RandomState> = LazyLock::new(RandomState::new);
/// How long such a connection waits for another request: it is of no use to other clients.
const IDLE: Duration = Duration::from_secs(10);

//! Where a member of a pool is connected to: an address of TCP, or a socket of the file system.
//!
//! How connections are spoken on is `connect`'s.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::Error;
use pingora::ErrorType;
use pingora::connectors::L4Connect;
use pingora::protocols::l4::socket::SocketAddr as Place;
use pingora::protocols::l4::stream::Stream;
use pingora::upstreams::peer::HttpPeer;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::config::UNIX_PREFIX;
use crate::config::Upstream;
use crate::config::UpstreamPlace;
use crate::decision::upstream::stable_hash;

/// Where a member is connected to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// By TCP.
    Inet(SocketAddr),
    /// At a socket of the file system.
    Unix(Arc<LocalSocket>),
}

/// A socket of the file system.
#[derive(Debug)]
pub struct LocalSocket {
    path: PathBuf,
    /// Sets its connections apart from those of other sockets.
    group: u64,
    /// Whoever connects has it, so that room in a queue is given in the order in which it was asked for.
    turn: Mutex<()>,
}

impl PartialEq for LocalSocket {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for LocalSocket {}

impl PartialOrd for LocalSocket {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LocalSocket {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.path.cmp(&other.path)
    }
}

impl Address {
    /// The one address of an upstream that has no name to be resolved.
    pub(super) fn fixed(upstream: &Upstream) -> Option<Self> {
        match &upstream.place {
            UpstreamPlace::Inet { host, port } => {
                let ip = host.parse().ok()?;
                Some(Self::Inet(SocketAddr::new(ip, *port)))
            }
            UpstreamPlace::Service(_) => None,
            UpstreamPlace::Unix(path) => Some(Self::at_path(path)),
        }
    }

    fn at_path(path: &str) -> Self {
        Self::Unix(Arc::new(LocalSocket {
            path: PathBuf::from(path),
            group: stable_hash(path.as_bytes()),
            turn: Mutex::default(),
        }))
    }

    /// The address of TCP, where it is one.
    pub(super) const fn inet(&self) -> Option<SocketAddr> {
        match self {
            Self::Inet(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// How pingora connects there; `name` is what certificates are to carry, and without one nothing is encrypted.
    pub(super) fn peer(&self, name: Option<String>) -> HttpPeer {
        let (is_tls, name) = (name.is_some(), name.unwrap_or_default());
        match self {
            Self::Inet(address) => HttpPeer::new(*address, is_tls, name),
            Self::Unix(socket) => {
                let mut peer = HttpPeer::new(NOWHERE, is_tls, name);
                peer.group_key = socket.group;
                let connecting = Arc::clone(socket);
                peer.options.custom_l4 = Some(connecting);
                peer
            }
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(socket) => write!(f, "{UNIX_PREFIX}{}", socket.path.display()),
        }
    }
}

impl LocalSocket {
    /// Connects. The system turns away whom the queue of a socket has no room for, where it would have TCP wait; so
    /// room is waited for here, for as long as the caller lets it, by one after the other.
    ///
    /// # Errors
    /// When nobody listens there, or this user may not connect.
    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        let _turn = self.turn.lock().await;
        loop {
            match UnixStream::connect(&self.path).await {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(PAUSE).await;
                }
                connected => return connected,
            }
        }
    }
}

#[async_trait]
impl L4Connect for LocalSocket {
    async fn connect(&self, _: &Place) -> pingora::Result<Stream> {
        match Self::connect(self).await {
            Ok(stream) => Ok(Stream::from(stream)),
            Err(error) => not_connected(error, &format!("{UNIX_PREFIX}{}", self.path.display())),
        }
    }
}

/// The end of an attempt to connect to this place, as pingora knows it.
pub(super) fn not_connected<T>(error: io::Error, to: &str) -> pingora::Result<T> {
    let kind = if error.kind() == io::ErrorKind::ConnectionRefused {
        ErrorType::ConnectRefused
    } else {
        ErrorType::ConnectError
    };
    Error::e_because(kind, format!("not connected to {to}"), error)
}

/// What an error of pingora's tells, with the socket in the place of the address that stands for it.
pub(super) fn with_socket(told: String, shown: &str) -> String {
    if shown.starts_with(UNIX_PREFIX) {
        told.replace(&NOWHERE.to_string(), shown)
    } else {
        told
    }
}

/// What pingora is told in the place of a socket: it would compare the path to the name that a kept connection's
/// server gave its socket, which is another one behind a symbolic link, or after the file was moved; then it would
/// keep no connection, and complain of each. At this address it compares nothing.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
/// Between two looks whether there is room.
const PAUSE: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_told_apart_by_their_paths_and_addresses_come_before_them() {
        let one = Address::at_path("/run/one.sock");
        let two = Address::at_path("/run/two.sock");
        assert_eq!(one, Address::at_path("/run/one.sock"));
        assert!(one < two && Address::from(NOWHERE) < one);
        let [one, two] = [one, two].map(|address| address.peer(None).group_key);
        assert_ne!(one, two);
    }

    #[test]
    fn an_error_names_the_socket_and_no_address() {
        let told = || "connecting to server addr: 0.0.0.0:0, scheme: HTTP".to_owned();
        let named = with_socket(told(), "unix:/run/app.sock");
        assert_eq!(
            named,
            "connecting to server addr: unix:/run/app.sock, scheme: HTTP"
        );
        assert_eq!(with_socket(told(), "10.0.0.1:80"), told());
    }

    #[tokio::test]
    async fn room_in_a_queue_that_is_full_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.sock");
        let path = path.to_str().unwrap();
        let socket = rustix::net::socket(
            rustix::net::AddressFamily::UNIX,
            rustix::net::SocketType::STREAM,
            None,
        );
        let socket = socket.unwrap();
        let place = rustix::net::SocketAddrUnix::new(path).unwrap();
        rustix::net::bind(&socket, &place).unwrap();
        rustix::net::listen(&socket, 0).unwrap();
        let Address::Unix(address) = Address::at_path(path) else {
            panic!("a socket");
        };
        let mut held = Vec::new();
        while let Ok(stream) = UnixStream::connect(path).await {
            held.push(stream);
        }
        assert!(!held.is_empty());
        let late = tokio::time::timeout(20 * PAUSE, address.connect()).await;
        assert!(late.is_err(), "there is no room");
        let order = std::sync::Mutex::new(Vec::new());
        let connect = async |number: u32| {
            let connected = address.connect().await.unwrap();
            order.lock().unwrap().push(number);
            connected
        };
        let waiting = futures_util::future::join_all((0..10).map(connect));
        let accepting = tokio::task::spawn_blocking(move || {
            let accept = |_| rustix::net::accept(&socket).unwrap();
            let accepted: Vec<_> = (0..10).map(accept).collect();
            (socket, accepted)
        });
        let connected = tokio::time::timeout(Duration::from_secs(30), waiting).await;
        drop((connected.unwrap(), accepting.await.unwrap()));
        // Whoever came first had not to wait longest.
        assert!(order.into_inner().unwrap().is_sorted());
    }
}

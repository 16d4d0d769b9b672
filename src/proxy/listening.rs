//! The sockets that connections are accepted at, and what is served at each.

use std::fmt;
use std::fs::Permissions;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use pingora::protocols::l4::listener::Listener as RawListener;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::net::connect;
use rustix::net::socket_with;
use rustix::net::sockopt::socket_acceptconn;
use tokio::sync::watch;

use crate::config::Announcers;
use crate::config::Bind;
use crate::config::Http2;
use crate::model::name::ListenerName;
use crate::proxy::context::Transport;
use crate::proxy::tls::Terminator;

/// Where a connection came in. A listener may be elsewhere by the time that a request comes by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entrance {
    /// The listener's name in the configuration.
    pub listener: ListenerName,
    /// Where it was then, as configured.
    pub bind: Bind,
}

/// A listener that has been bound and is about to accept.
#[derive(Debug)]
pub struct Bound {
    /// What its connections come in by.
    pub entrance: Arc<Entrance>,
    /// The socket, listening.
    pub socket: Arc<Socket>,
    /// Whether a service manager listens there besides: what waits when the process stops is for the next one.
    pub is_passed: bool,
    /// Turns true when it is to accept no more; whoever told it so knows by the end of this that it does not.
    pub closing: watch::Receiver<bool>,
}

/// What is served at a listener.
#[derive(Clone, Debug)]
pub struct ListenerRuntime {
    /// Where it is, as configured.
    pub bind: Bind,
    /// Who announces clients; nobody without.
    pub announcers: Option<Announcers>,
    /// Whether HTTP/2 is understood without TLS.
    pub h2c: Http2,
    /// TLS; absent on a plain listener.
    pub tls: Option<Arc<Terminator>>,
}

impl ListenerRuntime {
    /// How its connections are protected.
    #[must_use]
    pub const fn transport(&self) -> Transport {
        match self.tls {
            None => Transport::Plain,
            Some(_) => Transport::Tls,
        }
    }
}

/// A socket that is listened at, for as long as this is there.
#[derive(Debug)]
pub enum Socket {
    /// At an address.
    Tcp(TcpListener),
    /// In the file system.
    Unix(UnixSocket),
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(socket) => match socket.local_addr() {
                Ok(address) => address.fmt(f),
                Err(error) => error.fmt(f),
            },
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}

impl Socket {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the system refuses, or somebody else listens there.
    pub fn bind(bind: &Bind) -> io::Result<Self> {
        match bind {
            Bind::Tcp(address) => {
                let socket = TcpListener::bind(address)?;
                rustix::net::listen(&socket, BACKLOG)?;
                Ok(Self::Tcp(socket))
            }
            Bind::Unix { path, mode } => UnixSocket::bind(path, *mode).map(Self::Unix),
        }
    }

    /// Listens where another process does. Its file is that one's until [`Self::claim`].
    ///
    /// # Errors
    /// When the file of a socket in the file system cannot be looked at.
    pub fn inherited(bind: &Bind, descriptor: OwnedFd) -> io::Result<Self> {
        match bind {
            Bind::Tcp(_) => Ok(Self::Tcp(descriptor.into())),
            Bind::Unix { path, .. } => Ok(Self::Unix(UnixSocket {
                listener: descriptor.into(),
                file: FileId::of(path)?,
                path: path.clone(),
                is_left: AtomicBool::new(true),
            })),
        }
    }

    /// The same socket, for another process.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub fn share(&self) -> io::Result<OwnedFd> {
        match self {
            Self::Tcp(socket) => socket.as_fd().try_clone_to_owned(),
            Self::Unix(socket) => socket.listener.as_fd().try_clone_to_owned(),
        }
    }

    /// Leaves the socket to the process that has it besides: its file is not taken away with this one.
    pub fn leave(&self) {
        self.note_left(true);
    }

    /// Takes the socket over from the process that has it besides.
    pub fn claim(&self) {
        self.note_left(false);
    }

    fn note_left(&self, is_left: bool) {
        match self {
            Self::Tcp(_) => {}
            Self::Unix(socket) => socket.is_left.store(is_left, Ordering::Release),
        }
    }

    /// A socket in the file system that somebody else has begun to listen at, and takes away.
    ///
    /// # Errors
    /// When it has no file.
    pub fn of_unix(listener: UnixListener) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let path = address.as_pathname();
        let path = path.ok_or(io::ErrorKind::AddrNotAvailable)?.to_owned();
        Ok(Self::Unix(UnixSocket {
            file: FileId::of(&path)?,
            listener,
            path,
            is_left: AtomicBool::new(true),
        }))
    }

    /// Whether it is where a listener is to be.
    #[must_use]
    pub fn is_at(&self, bind: &Bind) -> bool {
        match (self, bind) {
            (Self::Tcp(socket), Bind::Tcp(address)) => {
                socket.local_addr().is_ok_and(|at| at == *address)
            }
            (Self::Unix(socket), Bind::Unix { path, .. }) => socket.path == *path,
            (Self::Tcp(_) | Self::Unix(_), _) => false,
        }
    }

    /// Whether connections can be made to it.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn is_listening(&self) -> io::Result<bool> {
        let socket = match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Unix(socket) => socket.listener.as_fd(),
        };
        Ok(socket_acceptconn(socket)?)
    }

    /// Where it listens: as it was asked to, with the port that the system chose.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn place(&self, asked: &Bind) -> io::Result<Bind> {
        match self {
            Self::Tcp(socket) => socket.local_addr().map(Bind::Tcp),
            Self::Unix(_) => Ok(asked.clone()),
        }
    }

    /// Changes who may connect, where that is a matter of permissions.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn permit(&self, bind: &Bind) -> io::Result<()> {
        match (self, bind) {
            (Self::Unix(socket), Bind::Unix { path, mode }) if !socket.is_left() => {
                std::fs::set_permissions(path, Permissions::from_mode(*mode))
            }
            (Self::Tcp(_) | Self::Unix(_), _) => Ok(()),
        }
    }

    /// What accepts its connections in this runtime.
    pub(super) fn acceptor(&self) -> io::Result<RawListener> {
        match self {
            Self::Tcp(socket) => {
                let socket = socket.try_clone()?;
                socket.set_nonblocking(true)?;
                Ok(tokio::net::TcpListener::from_std(socket)?.into())
            }
            Self::Unix(socket) => {
                let socket = socket.listener.try_clone()?;
                socket.set_nonblocking(true)?;
                Ok(tokio::net::UnixListener::from_std(socket)?.into())
            }
        }
    }
}

/// A socket in the file system. The file is taken away with it, unless another one has taken its place.
#[derive(Debug)]
pub struct UnixSocket {
    listener: UnixListener,
    path: PathBuf,
    file: FileId,
    /// Whether another process has it now.
    is_left: AtomicBool,
}

impl UnixSocket {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn is_left(&self) -> bool {
        self.is_left.load(Ordering::Acquire)
    }
}

/// What tells one file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> io::Result<Self> {
        let about = std::fs::symlink_metadata(path)?;
        Ok(Self {
            device: about.dev(),
            inode: about.ino(),
        })
    }
}

impl UnixSocket {
    /// Takes the place of a socket that nobody listens at any more. It comes there with its permissions.
    fn bind(path: &Path, mode: u32) -> io::Result<Self> {
        check_free(path)?;
        let draft = path.with_added_extension("new");
        check_free(&draft)?;
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&draft)?;
        rustix::net::listen(&listener, BACKLOG)?;
        std::fs::set_permissions(&draft, Permissions::from_mode(mode))?;
        let file = FileId::of(&draft)?;
        std::fs::rename(&draft, path)?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            file,
            is_left: AtomicBool::new(false),
        })
    }
}

impl Drop for UnixSocket {
    fn drop(&mut self) {
        if !self.is_left() && FileId::of(&self.path).is_ok_and(|there| there == self.file) {
            std::fs::remove_file(&self.path).ok();
        }
    }
}

/// Connections that may wait to be accepted; the system bounds it further (net.core.somaxconn).
const BACKLOG: i32 = 4096;

/// Whether a socket may take this place: there is nothing, or a socket without a listener.
fn check_free(path: &Path) -> io::Result<()> {
    let there = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    if !there.file_type().is_socket() {
        let why = "there is a file that is no socket";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    // One that is listened at and never accepted from may be full, and is not waited for.
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let asking = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(asking, &SocketAddrUnix::new(path)?) {
        Ok(()) | Err(Errno::AGAIN) => Err(io::ErrorKind::AddrInUse.into()),
        Err(Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn at(path: &Path, mode: u32) -> Bind {
        Bind::Unix {
            path: path.to_owned(),
            mode,
        }
    }

    #[test]
    fn a_socket_of_the_file_system_has_its_permissions_and_goes_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let socket = Socket::bind(&at(&path, 0o600)).unwrap();
        let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        socket.permit(&at(&path, 0o666)).unwrap();
        assert_eq!(mode(), 0o666);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_stale_socket_is_replaced_and_one_in_use_or_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        drop(UnixListener::bind(&path).unwrap());
        let socket = Socket::bind(&at(&path, 0o600)).unwrap();
        let second = Socket::bind(&at(&path, 0o600)).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        let file = folder.path().join("notes");
        std::fs::write(&file, "kept").unwrap();
        let third = Socket::bind(&at(&file, 0o600)).unwrap_err();
        assert_eq!(third.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "kept");
        drop(socket);
    }

    #[test]
    fn a_socket_whose_listener_never_accepts_is_in_use_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let hung = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&hung, 0).unwrap();
        let _waiting = UnixStream::connect(&path).unwrap();
        let second = Socket::bind(&at(&path, 0o600)).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_socket_that_took_the_place_of_another_outlives_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("http.sock");
        let old = Socket::bind(&at(&path, 0o600)).unwrap();
        std::fs::rename(&path, folder.path().join("moved")).unwrap();
        let new = Socket::bind(&at(&path, 0o600)).unwrap();
        drop(old);
        UnixStream::connect(&path).unwrap();
        drop(new);
    }
}

//! The Unix socket in the state directory: bound for its owner alone, one at a time.
//!
//! A lock beside it tells a socket in use from one that a crash left behind. Who may do what is not decided
//! here: whoever is let in may do everything.

use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// The name of the socket in the state directory.
pub const SOCKET: &str = "control.sock";

/// The control socket of a node, listening. It is taken away when this is dropped.
#[derive(Debug)]
pub struct ControlSocket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// Held for as long as the socket is ours.
    lock: File,
    /// Whether another process has it now.
    is_left: Arc<AtomicBool>,
}

/// The control socket of a node and its lock, to be handed to another process.
#[derive(Debug)]
pub struct SharedControl {
    listener: OwnedFd,
    lock: OwnedFd,
    is_left: Arc<AtomicBool>,
}

impl SharedControl {
    /// The socket, and the lock beside it.
    #[must_use]
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.listener.as_fd(), self.lock.as_fd()]
    }

    /// Leaves the socket to the process that has it besides: it is not taken away with this one.
    pub fn leave(&self) {
        self.is_left.store(true, Ordering::Release);
    }

    /// Takes the socket over from the process that has it besides.
    pub fn claim(&self) {
        self.is_left.store(false, Ordering::Release);
    }
}

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another gateway has the state directory.
    #[error("another gateway is running with the state directory {}", .0.display())]
    InUse(PathBuf),
    /// The system refuses.
    #[error("the control socket {} cannot be made", path.display())]
    Io {
        /// The socket, or the lock beside it.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ControlSocket {
    /// Binds the socket of a state directory, in place of one that nobody listens at any more.
    ///
    /// # Errors
    /// When another gateway has the directory, or the system refuses.
    pub fn bind(state_dir: &Path) -> Result<Self, BindError> {
        let lock = lock(state_dir)?;
        let path = state_dir.join(SOCKET);
        let refused = |source| BindError::Io {
            path: path.clone(),
            source,
        };
        // It comes into its place with its permissions, and takes that of a stale one in the same step.
        let draft = state_dir.join(DRAFT);
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            _ => {}
        }
        let folder = Folder::open(state_dir).map_err(refused)?;
        let listener = UnixListener::bind(folder.path(DRAFT)).map_err(refused)?;
        let owner_alone = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&draft, owner_alone).map_err(refused)?;
        std::fs::rename(&draft, &path).map_err(refused)?;
        Ok(Self {
            listener,
            path,
            lock,
            is_left: Arc::default(),
        })
    }

    /// The socket of a state directory as another process has bound it, with the lock that it holds. It is that
    /// one's until [`SharedControl::claim`].
    #[must_use]
    pub fn inherited(state_dir: &Path, listener: OwnedFd, lock: OwnedFd) -> Self {
        Self {
            listener: listener.into(),
            path: state_dir.join(SOCKET),
            lock: lock.into(),
            is_left: Arc::new(AtomicBool::new(true)),
        }
    }

    /// The same socket, for another process.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub fn share(&self) -> io::Result<SharedControl> {
        Ok(SharedControl {
            listener: self.listener.as_fd().try_clone_to_owned()?,
            lock: self.lock.as_fd().try_clone_to_owned()?,
            is_left: Arc::clone(&self.is_left),
        })
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        if self.is_left.load(Ordering::Acquire) {
            return;
        }
        // A socket that stays behind is stale, which the next start sees by the lock.
        std::fs::remove_file(&self.path).ok();
    }
}

/// A folder whose sockets can be named however long its path is: the system takes a hundred bytes or so.
pub(super) enum Folder {
    Long(File),
    Short(PathBuf),
}

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Self::Short(path.to_owned()));
        }
        File::open(path).map(Self::Long)
    }

    /// The path of a socket in it, good while the folder is held.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        match self {
            Self::Long(folder) => format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()).into(),
            Self::Short(folder) => folder.join(name),
        }
    }
}

/// Takes the lock of a state directory. The system gives it back however the process ends.
fn lock(state_dir: &Path) -> Result<File, BindError> {
    let path = state_dir.join(LOCK);
    let opened = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path);
    let taken = opened.and_then(|file| match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    });
    match taken {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(BindError::InUse(state_dir.to_owned())),
        Err(source) => Err(BindError::Io { path, source }),
    }
}

const LOCK: &str = "control.lock";
const DRAFT: &str = "control.sock.new";
/// With room for the name of a socket below the 108 bytes of `sun_path`.
const PATH_BYTES_MAX: usize = 80;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn only_its_owner_reaches_the_socket_and_only_while_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        let socket = ControlSocket::bind(folder.path()).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_that_was_left_to_another_stays_with_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        let old = ControlSocket::bind(folder.path()).unwrap();
        let shared = old.share().unwrap();
        let [listener, lock] = shared
            .descriptors()
            .map(|descriptor| descriptor.try_clone_to_owned().unwrap());
        let new = ControlSocket::inherited(folder.path(), listener, lock);
        new.share().unwrap().claim();
        shared.leave();
        drop((old, shared));
        UnixStream::connect(&path).unwrap();
        let other = ControlSocket::bind(folder.path()).unwrap_err();
        assert!(matches!(other, BindError::InUse(_)), "{other}");
        drop(new);
        assert!(!path.exists());
        ControlSocket::bind(folder.path()).unwrap();
    }

    #[test]
    fn a_state_directory_may_have_a_long_path() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let _socket = ControlSocket::bind(&deep).unwrap();
        let folder = Folder::open(&deep).unwrap();
        UnixStream::connect(folder.path(SOCKET)).unwrap();
    }

    #[test]
    fn a_socket_that_a_crash_left_is_replaced_and_one_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(SOCKET);
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "it is left behind");
        let _socket = ControlSocket::bind(folder.path()).unwrap();
        UnixStream::connect(&path).unwrap();
        let second = ControlSocket::bind(folder.path()).unwrap_err();
        assert!(matches!(second, BindError::InUse(_)), "{second}");
        UnixStream::connect(&path).unwrap();
    }
}

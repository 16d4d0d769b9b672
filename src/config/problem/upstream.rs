//! What can be wrong about where upstreams are.

/// What is wrong about where an upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamProblem {
    /// A port where there are none.
    #[error("the pool has sockets of the file system, which have no port to ask at")]
    PortOfSocket,
    /// A folder, which nobody listens at.
    #[error("this is the path of a folder, not of a socket")]
    SocketFolder,
    /// A path that depends on where something stands.
    #[error("the path of this socket does not begin at the root")]
    SocketRelative,
    /// A path that no socket can have, this many bytes long.
    #[error(
        "the path of this socket is {0} bytes long, and the system takes {SOCKET_PATH_BYTES_MAX}"
    )]
    SocketTooLong(usize),
}

impl UpstreamProblem {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(self) -> String {
        let fixed = match self {
            Self::PortOfSocket => {
                "leave `port` out, or put the sockets into a pool of their own; they are asked themselves"
            }
            Self::SocketFolder => "name the socket in it, such as `unix:/run/app/http.sock`",
            Self::SocketRelative => "such as `unix:/run/app.sock`",
            Self::SocketTooLong(_) => {
                "have the application listen nearer to the root, such as below `/run`, or name a symbolic link"
            }
        };
        fixed.to_owned()
    }
}

/// `sockaddr_un` has 108 bytes for a path, of which the last one is zero.
pub const SOCKET_PATH_BYTES_MAX: usize = 107;

//! Descriptors of sockets that pingora owns and shows only by their numbers.

use std::io;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;

use rustix::process::PidfdFlags;
use rustix::process::PidfdGetfdFlags;
use rustix::process::getpid;
use rustix::process::pidfd_getfd;
use rustix::process::pidfd_open;

/// Another descriptor of a socket of this process.
///
/// # Errors
/// There is no such socket, or the process may not look at its own descriptors, as under some filters of system calls.
pub(super) fn another(socket: RawFd) -> io::Result<OwnedFd> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(this, socket, PidfdGetfdFlags::empty())?)
}

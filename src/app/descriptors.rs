//! How many files may be open, connections among them.

use rustix::process::Resource;
use rustix::process::getrlimit;
use rustix::process::setrlimit;

use crate::config::Limits;

/// Asks the system for as many descriptors as it allows: what a shell or a container gives is mostly fewer than
/// connections may take. Says so where even that is too few.
pub(super) fn raise(limits: &Limits) {
    let mut allowed = getrlimit(Resource::Nofile);
    allowed.current = allowed.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, allowed) {
        tracing::debug!(%error, "the limit on open files stays");
        allowed = getrlimit(Resource::Nofile);
    }
    let connections = u64::try_from(limits.connections_max).unwrap_or(u64::MAX);
    let wanted = connections.saturating_mul(PER_CONNECTION);
    if let Some(allowed) = allowed.current.filter(|allowed| *allowed < wanted) {
        tracing::warn!(
            allowed,
            wanted,
            "few files may be open for so many connections"
        );
    }
}

/// The client's and the upstream's.
const PER_CONNECTION: u64 = 2;

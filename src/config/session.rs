//! What the operator says about sessions.
//!
//! What a virtual host asks beyond that is the model's `HostLimits`.

use std::time::Duration;

use crate::crypto::bearer::BindRules;

/// How long sessions live and where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// A session that saw no request for this long is over.
    pub idle_timeout: Duration,
    /// A session is over this long after the first authentication, whatever happens.
    pub lifetime: Duration,
    /// The most sessions a user may have; the oldest goes (S-21).
    pub per_user_max: usize,
    /// What the cookies of a new session are bound to.
    pub bind_to: BindRules,
    /// Where records are kept.
    pub store: StoreKind,
}

/// Where session records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// In a file under `state_dir`; survives a crash.
    Disk,
    /// In memory; gone with the process.
    Memory,
}

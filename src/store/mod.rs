//! The session stores: the records of one data centre and its end log, in memory or on disk.
//!
//! Both stores answer from one table in memory; the disk store adds a writer that makes every change
//! durable before it is answered. What a record means and when it serves is the engine's to judge.

use crate::model::id::SsoId;

mod cursors;
pub mod disk;
mod ends;
mod entry;
mod index;
mod life;
pub mod memory;
mod names;
mod packed;
mod record;
mod sorted;
mod table;

/// Seals the records that a store writes. A sealer that reveals them hands out what every user's
/// identity provider said of them.
pub trait RecordSealer: Send + Sync + 'static {
    /// Seals a record so that it opens only for the same SSO session.
    fn seal(&self, sso: &SsoId, plain: &[u8]) -> Vec<u8>;

    /// Opens a sealed record; `None` when the key is not known or the bytes are not as sealed.
    fn open(&self, sso: &SsoId, sealed: &[u8]) -> Option<Vec<u8>>;
}

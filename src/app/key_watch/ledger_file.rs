//! The ledger of keys on disk.

use std::path::Path;

use anyhow::Context;

use crate::decision::key_life::Ledger;
use crate::provider::users_file::replace::FileLock;

/// Reads what an earlier process noted; nothing where there was none.
pub(super) fn read(path: &Path) -> anyhow::Result<Ledger> {
    let text = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ledger::default()),
        text => text.with_context(|| format!("{} cannot be read", path.display()))?,
    };
    serde_json::from_slice(&text).with_context(|| {
        let path = path.display();
        format!("{path} cannot be understood; without it nobody knows how often keys were used")
    })
}

/// Writes it whole and durably.
pub(super) fn write(path: &Path, ledger: &Ledger) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(ledger)?;
    Ok(FileLock::acquire(path)?.replace(&text)?)
}

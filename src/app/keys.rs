//! The key-ring file: read at start, made at the first one.
//!
//! What is in it is `crypto::key_ring`'s matter.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use anyhow::bail;
use zeroize::Zeroizing;

use crate::crypto::key_ring::KeyRing;
use crate::ports::clock::Clock;
use crate::ports::entropy::Entropy;

/// Makes the state directory if it is not there, for its owner alone.
pub(super) fn make_state_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .with_context(|| format!("the state directory {} cannot be made", dir.display()))
}

/// Reads the key ring, making it if there is none.
pub(super) fn load_or_make(
    path: &Path,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> anyhow::Result<KeyRing> {
    if !path.exists() {
        make(path, clock, entropy)
            .with_context(|| format!("the key ring {} cannot be made", path.display()))?;
    }
    let mode = std::fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!(
            "the key ring {} can be read by others (mode {:o}); run: chmod 600 {0}",
            path.display(),
            mode & 0o777
        );
    }
    let text = Zeroizing::new(std::fs::read(path)?);
    KeyRing::parse(&text).with_context(|| format!("the key ring {} cannot be used", path.display()))
}

/// Writes a new ring beside its place and moves it there, so that a crash never leaves half a ring, and
/// a ring that somebody else made meanwhile is kept.
fn make(path: &Path, clock: &dyn Clock, entropy: &dyn Entropy) -> anyhow::Result<()> {
    let mut secret = Zeroizing::new([0; 32]);
    entropy.fill(secret.as_mut_slice());
    let text = KeyRing::first_file(&secret, clock.now())?;
    let mut mark = [0; 8];
    entropy.fill(&mut mark);
    let draft = path.with_extension(format!("{:016x}.new", u64::from_be_bytes(mark)));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(&text)?;
    file.sync_all()?;
    let linked = std::fs::hard_link(&draft, path);
    std::fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error.into()),
        _ => {
            let parent = path.parent().context("the key ring has no directory")?;
            std::fs::File::open(parent)?.sync_all()?;
            Ok(())
        }
    }
}

//! The key-ring file: read at start, and made at the first one where that is this node's to do.
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

use crate::config::Config;
use crate::config::mdc::EngineSource;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::key_ring::RingFile;
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

/// What a node does that has no key ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lacking {
    /// It makes one.
    Make,
    /// It makes one, which the other data centres then need.
    MakeForPeers,
    /// It does not start: a ring of its own would open nothing.
    Refuse,
}

impl Lacking {
    /// What this configuration asks for (MDC-COOKIE-5).
    fn of(config: &Config) -> Self {
        let mdc = config.mdc.as_ref();
        match &config.engine {
            EngineSource::Remote(_) => Self::Refuse,
            EngineSource::Embedded if mdc.is_some_and(|mdc| !mdc.peers.is_empty()) => {
                Self::MakeForPeers
            }
            EngineSource::Embedded => Self::Make,
        }
    }
}

/// Reads the key ring of a configuration, making it if there is none and that is this node's to do.
pub(super) fn of(
    config: &Config,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> anyhow::Result<RingFile> {
    load_or_make(&config.key_ring_file, Lacking::of(config), clock, entropy)
}

/// Why the start would find no key ring that it can use, if that is so. Nothing is made.
pub(super) fn fault(config: &Config) -> Option<String> {
    let path = &config.key_ring_file;
    let found = if path.exists() {
        read(path).map(drop)
    } else {
        may_lack(path, Lacking::of(config))
    };
    found.err().map(|error| format!("{error:#}"))
}

fn may_lack(path: &Path, lacking: Lacking) -> anyhow::Result<()> {
    if lacking == Lacking::Refuse {
        bail!(
            "there is no key ring at {}; a gate with `engine.remote` opens nothing with one of its \
             own: copy the `key_ring_file` of its engines there",
            path.display()
        );
    }
    Ok(())
}

fn load_or_make(
    path: &Path,
    lacking: Lacking,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> anyhow::Result<RingFile> {
    if !path.exists() {
        may_lack(path, lacking)?;
        make(path, clock, entropy)
            .with_context(|| format!("the key ring {} cannot be made", path.display()))?;
        if lacking == Lacking::MakeForPeers {
            tracing::warn!(
                path = %path.display(),
                "a new key ring was made; every data centre needs the same one: copy it to the others, or, \
                 if they have one, put theirs in its place and start again"
            );
        }
    }
    read(path)
}

/// Reads a ring, which only its owner may be able to read.
pub(super) fn read(path: &Path) -> anyhow::Result<RingFile> {
    let cannot = || format!("the key ring {} cannot be read", path.display());
    let mode = std::fs::metadata(path)
        .with_context(cannot)?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        bail!(
            "the key ring {} can be read by others (mode {:o}); run: chmod 600 {0}",
            path.display(),
            mode & 0o777
        );
    }
    let text = Zeroizing::new(std::fs::read(path).with_context(cannot)?);
    RingFile::parse(&text)
        .with_context(|| format!("the key ring {} cannot be used", path.display()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::SystemClock;
    use crate::system::SystemEntropy;

    fn load(path: &Path, lacking: Lacking) -> anyhow::Result<KeyRing> {
        let file = load_or_make(path, lacking, &SystemClock, &SystemEntropy::new());
        file.map(|file| KeyRing::new(&file))
    }

    /// MDC-COOKIE-5
    #[test]
    fn a_gate_without_an_engine_makes_no_ring_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring.json");
        let refused = load(&path, Lacking::Refuse).unwrap_err().to_string();
        assert!(
            refused.contains("copy the `key_ring_file` of its engines"),
            "{refused}"
        );
        assert!(!path.exists());
        let made = load(&path, Lacking::Make).unwrap();
        assert_eq!(load(&path, Lacking::Refuse).unwrap().ids(), made.ids());
    }

    /// S-23
    #[test]
    fn two_data_centres_that_made_a_ring_each_have_other_keys() {
        let folder = tempfile::tempdir().unwrap();
        let ids = |name| {
            let path = folder.path().join(name);
            load(&path, Lacking::MakeForPeers).unwrap().ids()
        };
        assert_ne!(ids("ny.json"), ids("ldc.json"));
        assert_eq!(ids("ny.json"), ids("ny.json"));
    }
}

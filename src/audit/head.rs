//! The note beside a trail of where it ends: the chain goes on from it after a rotation, and a trail that ends
//! earlier was cut.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use serde::Deserialize;
use serde::Serialize;

use crate::crypto::audit_seal::SealState;
use crate::crypto::audit_seal::SealedThing;
use crate::crypto::key_ring::KeyRing;
use crate::crypto::sealed::SealNonce;
use crate::logbook::chain::LineHash;
use crate::logbook::chain::Link;

/// The note as written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenHead {
    seq: u64,
    hash: String,
    seal: String,
}

/// What the note says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// There is none yet.
    Absent,
    /// The trail ends here.
    At(Link),
    /// Nobody vouches for it: somebody without the keys has written it, or its key is gone. A key that retires in
    /// order has not sealed the note last.
    Forged,
}

impl Head {
    /// Reads the note.
    pub(super) fn read(mut file: &File, keys: Option<&KeyRing>) -> std::io::Result<Self> {
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        if text.is_empty() {
            return Ok(Self::Absent);
        }
        Ok(Self::parse(&text, keys).unwrap_or(Self::Forged))
    }

    fn parse(text: &str, keys: Option<&KeyRing>) -> Option<Self> {
        let written: WrittenHead = serde_json::from_str(text.trim_end()).ok()?;
        let link = Link {
            sequence: written.seq,
            hash: LineHash::from_hex(&written.hash)?,
        };
        let state =
            keys.map(|keys| keys.judge_audit(SealedThing::Head, &covered(link), &written.seal));
        Some(match state {
            Some(SealState::KeyGone(_) | SealState::Wrong) => Self::Forged,
            None | Some(SealState::Good) => Self::At(link),
        })
    }
}

/// Writes the note.
pub(super) fn write(
    file: &File,
    link: Link,
    keys: &KeyRing,
    nonce: SealNonce,
) -> std::io::Result<()> {
    let written = WrittenHead {
        seq: link.sequence,
        hash: link.hash.to_hex(),
        seal: keys.seal_audit(SealedThing::Head, &covered(link), nonce),
    };
    let mut text = serde_json::to_vec(&written)?;
    text.push(b'\n');
    // In place and in one go: it is about as long as the one before, and a torn one counts as forged, which
    // is told and mended.
    file.write_all_at(&text, 0)?;
    file.set_len(text.len() as u64)?;
    file.sync_data()
}

fn covered(link: Link) -> String {
    format!("{}:{}", link.sequence, link.hash.to_hex())
}

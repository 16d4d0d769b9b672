//! How far the end logs of peers have been read (S-15, S-16).
//!
//! What is written of it is handed to a journal now and then; where to is the disk's business.

use std::collections::BTreeMap;
use std::time::Duration;

use parking_lot::RwLock;

use crate::model::end::Pulled;
use crate::model::name::ClusterId;

/// One place in the log of each peer.
#[derive(Debug, Default)]
pub(super) struct Cursors {
    peers: RwLock<BTreeMap<ClusterId, Cursor>>,
}

#[derive(Debug)]
struct Cursor {
    pulled: Pulled,
    /// What was last handed to the journal.
    written: Option<Pulled>,
}

/// Every cursor at one moment.
pub(super) type AllPulled = Vec<(ClusterId, Pulled)>;

impl Cursors {
    /// Takes up what an earlier process wrote.
    pub(super) fn restored(pulled: AllPulled) -> Self {
        let cursors = pulled.into_iter().map(|(peer, pulled)| {
            let written = Some(pulled);
            (peer, Cursor { pulled, written })
        });
        Self {
            peers: RwLock::new(cursors.collect()),
        }
    }

    pub(super) fn pulled(&self, peer: &ClusterId) -> Option<Pulled> {
        self.peers.read().get(peer).map(|cursor| cursor.pulled)
    }

    /// Notes how far the log of a peer has been read. The journal is handed all cursors when this one
    /// is at another place, or `write_back_interval` later, than it was told last.
    pub(super) fn note(
        &self,
        peer: &ClusterId,
        pulled: Pulled,
        write_back_interval: Duration,
        journal: impl FnOnce(AllPulled),
    ) {
        let mut peers = self.peers.write();
        let written = peers.get(peer).and_then(|cursor| cursor.written);
        peers.insert(peer.clone(), Cursor { pulled, written });
        if peers.len() > PEERS_MAX {
            forget_oldest(&mut peers);
        }
        if written.is_none_or(|written| is_due(&written, &pulled, write_back_interval)) {
            journal(hand_over(&mut peers));
        }
    }

    /// Hands the journal all cursors, if there are any.
    pub(super) fn flush(&self, journal: impl FnOnce(AllPulled)) {
        let mut peers = self.peers.write();
        if !peers.is_empty() {
            journal(hand_over(&mut peers));
        }
    }
}

/// A clock that was set back must not leave a later time in the file: it would lengthen a lease.
fn is_due(written: &Pulled, pulled: &Pulled, write_back_interval: Duration) -> bool {
    written.incarnation != pulled.incarnation
        || written.position != pulled.position
        || pulled.sent < written.sent
        || pulled.sent >= written.sent.after(write_back_interval)
}

fn hand_over(peers: &mut BTreeMap<ClusterId, Cursor>) -> AllPulled {
    peers
        .iter_mut()
        .map(|(peer, cursor)| {
            cursor.written = Some(cursor.pulled);
            (peer.clone(), cursor.pulled)
        })
        .collect()
}

/// Makes room by the peer that was read longest ago: it is most likely configured no more.
fn forget_oldest(peers: &mut BTreeMap<ClusterId, Cursor>) {
    let oldest = peers.iter().min_by_key(|(_, cursor)| cursor.pulled.sent);
    if let Some(oldest) = oldest.map(|(peer, _)| peer.clone()) {
        peers.remove(&oldest);
    }
}

/// More peers than any configuration has.
const PEERS_MAX: usize = 64;

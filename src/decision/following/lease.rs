//! The lease: how long a data centre takes others at their last word (S-15, S-16).
//!
//! Reading their logs is its parent's matter. A new sign-in asks nothing here: service goes on.

use std::time::Duration;

use crate::model::end::Pulled;
use crate::model::name::ClusterId;
use crate::model::session::SsoFacts;
use crate::model::time::Timestamp;

/// What a data centre knows of others' ends. A lease that is granted wrongly revives a session that was
/// logged out elsewhere.
#[derive(Clone, Copy, Debug)]
pub struct Lease<'a> {
    /// When this life of the own end log began.
    pub began: Timestamp,
    /// How far the clock of a peer may be off (S-22).
    pub hard_skew: Duration,
    /// How long a peer that is not heard of is taken at its last word (`partition_lease`).
    pub term: Duration,
    /// Every configured peer, and how far its log has been read to its end in this life of the own one.
    pub peers: &'a [(ClusterId, Option<Pulled>)],
}

/// Why a session is not honoured for want of news.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseOver {
    /// The log of this peer has not been read completely since the own log began.
    #[error("the end log of {0} has never been read to its end")]
    NeverRead(ClusterId),
    /// The last complete reading was too long ago.
    #[error("the end log of {0} was not read recently")]
    TooLongAgo(ClusterId),
}

impl Lease<'_> {
    /// Judges whether a session may be made without its origin's word: every peer must have been heard of,
    /// for any of them may have ended it (S-16).
    ///
    /// # Errors
    /// [`LeaseOver`] names the first peer that has not.
    pub fn may_create(&self, now: Timestamp) -> Result<(), LeaseOver> {
        self.peers
            .iter()
            .try_for_each(|(peer, pulled)| self.is_heard_of(peer, pulled.as_ref(), now))
    }

    /// Judges whether a session may be honoured whose chain names these other data centres: they must have
    /// been heard of (S-16). One from before the own log needs a complete reading of every peer's log
    /// besides, because what ended it may be lost here (S-15). A data centre that is not configured has
    /// nothing to say.
    ///
    /// # Errors
    /// [`LeaseOver`] names the first peer that is wanting.
    pub fn honours<'c>(
        &self,
        chain: impl IntoIterator<Item = &'c ClusterId>,
        facts: &SsoFacts,
        now: Timestamp,
    ) -> Result<(), LeaseOver> {
        let mut beginning = self.began;
        for cluster in chain {
            // It may have begun elsewhere, by a clock that ran ahead.
            beginning = self.began.after(self.hard_skew);
            let known = self.peers.iter().find(|(peer, _)| peer == cluster);
            if let Some((peer, pulled)) = known {
                self.is_heard_of(peer, pulled.as_ref(), now)?;
            }
        }
        if facts.first_authenticated >= beginning {
            return Ok(());
        }
        match self.peers.iter().find(|(_, pulled)| pulled.is_none()) {
            Some((peer, _)) => Err(LeaseOver::NeverRead(peer.clone())),
            None => Ok(()),
        }
    }

    fn is_heard_of(
        &self,
        peer: &ClusterId,
        pulled: Option<&Pulled>,
        now: Timestamp,
    ) -> Result<(), LeaseOver> {
        let Some(pulled) = pulled else {
            return Err(LeaseOver::NeverRead(peer.clone()));
        };
        // A request goes by the moment when it came, and the log may have been read again since. A reading
        // that lies further ahead was made before the clock was set back: how old it is, nobody knows.
        if pulled.sent <= now.after(AHEAD_MAX) && now.since(pulled.sent) < self.term {
            Ok(())
        } else {
            Err(LeaseOver::TooLongAgo(peer.clone()))
        }
    }
}

/// How far a reading may lie ahead of the moment that it is judged for.
const AHEAD_MAX: Duration = Duration::from_secs(10);

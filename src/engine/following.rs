//! Follows the other data centres: greets them, reads their end logs, tells them at once what ended here
//! (S-15, S-22).
//!
//! Each function is one step; `app` drives them and does the waiting between.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::decision::following::Batch;
use crate::decision::following::Following;
use crate::decision::following::ReadError;
use crate::decision::following::Then;
use crate::decision::following::delivery::batches;
use crate::decision::following::skew::Offset;
use crate::decision::following::skew::RoundTrip;
use crate::decision::following::skew::Side;
use crate::decision::following::skew::Skew;
use crate::decision::key_life::PeerKeys;
use crate::engine::EmbeddedEngine;
use crate::engine::federation::Federation;
use crate::engine::federation::Greeted;
use crate::engine::federation::OwnKeys;
use crate::engine::federation::PeerState;
use crate::model::end::End;
use crate::model::end::Pulled;
use crate::model::id::KeyId;
use crate::model::name::ClusterId;
use crate::model::name::StoreName;
use crate::model::peer::Answer;
use crate::model::peer::ENDS_MAX;
use crate::model::peer::Greeting;
use crate::model::peer::Question;

/// What came of a step towards a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Followed {
    /// All that the peer has to tell has been taken over.
    Complete,
    /// The peer gave no useful answer, or what it told could not be stored; it is asked again later.
    Failed,
}

/// What is known of a peer, for people.
#[derive(Clone, Debug)]
pub struct PeerReport {
    /// Its data centre.
    pub cluster: ClusterId,
    /// How far its clock was off when it was last greeted, and what that means (S-22).
    pub clock: Option<(Offset, Skew)>,
    /// Whether it names the same identity stores as this data centre; none before the first hello
    /// (MDC-ADOPT-8).
    pub stores: Option<Stores>,
    /// The program version it runs.
    pub version: Option<String>,
    /// How far its end log has been read (S-16).
    pub pulled: Option<Pulled>,
    /// Ends in the own log that it has not read, counted up to [`ENDS_MAX`]; all of them before it has asked
    /// for the first time (S-15).
    pub ends_pending: usize,
}

/// How the identity stores of a peer compare with the own ones (MDC-ADOPT-8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    /// One side names a store that the other does not: sessions of its users do not move.
    Differ,
    /// Both name the same.
    Same,
}

impl EmbeddedEngine {
    /// What is known of each peer, in the order of configuration.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerReport> {
        let federation = self.federation.iter();
        let report = |federation: &Federation| {
            let peers = federation.peers.iter();
            let report = peers.map(|peer| {
                let said = peer.greeted();
                PeerReport {
                    cluster: peer.cluster.clone(),
                    clock: said.as_ref().map(|said| (said.offset, said.skew)),
                    stores: said
                        .as_ref()
                        .map(|said| self.compare_stores(&said.greeting)),
                    version: said.map(|said| said.greeting.version),
                    pulled: federation.pulled(&peer.cluster),
                    ends_pending: self.parts.ends.since(peer.has_read(), ENDS_MAX).len(),
                }
            });
            report.collect::<Vec<_>>()
        };
        federation.flat_map(report).collect()
    }

    /// Adoptions that were tried, by what came of them.
    #[must_use]
    pub fn adoptions(&self) -> Vec<(&'static str, u64)> {
        let federation = self.federation.iter();
        federation
            .flat_map(|federation| federation.adoptions.counts())
            .collect()
    }

    /// Greets a peer: measures its clock, and compares keys and identity stores (S-22, S-23,
    /// MDC-ADOPT-8).
    pub async fn greet(&self, peer: &ClusterId) -> Followed {
        let Some(federation) = &self.federation else {
            return Followed::Complete;
        };
        let question = Question::Hello(self.greeting(federation));
        let sent = self.parts.clock.now();
        let answer = self.parts.peers.ask(peer, question, ANSWER_WAIT).await;
        let received = self.parts.clock.now();
        let Ok(Answer::Hello(greeting)) = answer else {
            return Followed::Failed;
        };
        let trip = RoundTrip {
            sent,
            received,
            theirs: greeting.now,
        };
        let (Some(offset), Some(state)) = (trip.offset(), federation.peer(peer)) else {
            return Followed::Failed;
        };
        let limits = federation.settings.skew;
        let skew = offset.judge(limits.allowance, limits.hard);
        let before = state.greeted();
        if before.as_ref().map(|said| said.skew) != Some(skew) {
            tell_skew(peer, &offset, skew);
        }
        if before.as_ref().map(|said| &said.greeting.keys) != Some(&greeting.keys) {
            tell_keys(peer, &federation.keys.load().opens, &greeting);
        }
        let stores = self.compare_stores(&greeting);
        let said_before = before.map(|said| self.compare_stores(&said.greeting));
        if said_before.unwrap_or(Stores::Same) != stores {
            tell_stores(peer, self.parts.provider.store(), &greeting, stores);
        }
        state.note_greeting(Greeted {
            greeting,
            offset,
            skew,
        });
        Followed::Complete
    }

    fn compare_stores(&self, greeting: &Greeting) -> Stores {
        let own = self.known_stores();
        let theirs = &greeting.stores;
        let is_known = theirs.iter().all(|store| own.contains(store));
        if is_known && own.iter().all(|store| theirs.contains(store)) {
            Stores::Same
        } else {
            Stores::Differ
        }
    }

    /// What each peer has said of its keys (S-23); none where there is one data centre.
    #[must_use]
    pub fn peer_keys(&self) -> Option<Vec<(ClusterId, PeerKeys)>> {
        let federation = self.federation.as_ref()?;
        let said = federation.peers.iter().map(|peer| {
            let greeted = peer.greeted().map(|said| said.greeting);
            let seals = greeted.as_ref().and_then(|greeting| greeting.seals);
            let opens = greeted.map(|greeting| greeting.keys);
            (peer.cluster.clone(), PeerKeys { opens, seals })
        });
        Some(said.collect())
    }

    /// Tells the peers of other keys from now on.
    pub fn tell_of_keys(&self, keys: OwnKeys) {
        if let Some(federation) = &self.federation {
            federation.keys.store(Arc::new(keys));
        }
    }

    /// Reads the end log of a peer to its end.
    pub async fn follow(&self, peer: &ClusterId) -> Followed {
        let Some(federation) = &self.federation else {
            return Followed::Complete;
        };
        let Some(state) = federation.peer(peer) else {
            return Followed::Failed;
        };
        let Some(following) = state.take_following() else {
            return Followed::Failed;
        };
        let mut reading = Reading {
            state,
            following: Some(following),
        };
        let followed = self.read_on(federation, peer, &mut reading).await;
        match followed {
            Followed::Complete => self.thin_out().await,
            Followed::Failed => federation.crowded.note_missed(peer),
        }
        followed
    }

    async fn read_on(
        &self,
        federation: &Federation,
        peer: &ClusterId,
        reading: &mut Reading<'_>,
    ) -> Followed {
        let Some(following) = &mut reading.following else {
            return Followed::Failed;
        };
        loop {
            let (question, asked) = following.ask(self.parts.clock.now());
            let answer = self.parts.peers.ask(peer, question, ANSWER_WAIT).await;
            let batch = match Following::read(asked, answer) {
                Ok(batch) => batch,
                Err(why) => return not_read(peer, &why),
            };
            match self.take_over(federation, peer, following, batch).await {
                Some(Then::AskAgain) => {}
                Some(Then::Complete(_)) => return Followed::Complete,
                Some(Then::Pause) | None => return Followed::Failed,
            }
        }
    }

    /// Waits until something has ended here, and tells every peer. Whoever does not hear it reads it in
    /// the log.
    pub async fn tell_ends(&self) {
        let Some(federation) = &self.federation else {
            return std::future::pending().await;
        };
        let batches = batches(federation.untold().await);
        for ends in &batches {
            let each = federation.peers.iter();
            join_all(each.map(|peer| self.tell(&peer.cluster, ends))).await;
        }
    }

    async fn tell(&self, peer: &ClusterId, ends: &[End]) {
        let ends = ends.to_vec();
        let question = Question::PushEnds { ends };
        // Whoever does not hear it reads it in the log.
        self.parts.peers.ask(peer, question, TELL_WAIT).await.ok();
    }

    async fn take_over(
        &self,
        federation: &Federation,
        peer: &ClusterId,
        following: &mut Following,
        batch: Batch,
    ) -> Option<Then> {
        if let Err(error) = self.apply_ends(batch.ends).await {
            tracing::error!(
                peer = %peer,
                error = &error as &dyn std::error::Error,
                "ends of a peer could not be stored; they hold in memory and are read again"
            );
            return None;
        }
        let then = following.applied(batch.read);
        if let Then::Complete(pulled) = then {
            let before = federation.pulled(peer);
            // What it knows of ends and moves has been taken over by now (S-21).
            if federation.crowded.note_read(peer, before, pulled) {
                tracing::info!(peer = %peer, "a peer is heard of again");
            }
            self.parts.ends.note_pulled(peer, pulled);
            federation.note_pulled(peer, pulled);
        }
        Some(then)
    }
}

/// The reading of a peer's end log, put back when dropped, wherever it has come to.
struct Reading<'p> {
    state: &'p PeerState,
    following: Option<Following>,
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if let Some(following) = self.following.take() {
            self.state.put_following(following);
        }
    }
}

fn not_read(peer: &ClusterId, why: &ReadError) -> Followed {
    match why {
        // A silent peer is the circuit's to log, once.
        ReadError::Silent(_) => {}
        ReadError::Untold | ReadError::Malformed => {
            tracing::warn!(peer = %peer, reason = %why, "the end log of a peer could not be read");
        }
    }
    Followed::Failed
}

fn tell_skew(peer: &ClusterId, offset: &Offset, skew: Skew) {
    let milliseconds = u64::try_from(offset.size.as_millis()).unwrap_or(u64::MAX);
    let side = match offset.side {
        Side::Ahead => "ahead",
        Side::Behind => "behind",
    };
    match skew {
        Skew::Within => tracing::info!(peer = %peer, milliseconds, side, "clocks agree"),
        Skew::Allowed => tracing::warn!(peer = %peer, milliseconds, side, "clocks differ"),
        Skew::Beyond => tracing::error!(
            peer = %peer, milliseconds, side,
            "clocks differ too much; nothing is adopted from this peer or by it"
        ),
    }
}

/// Says that identity stores are called differently: users who come from there are asked to sign in, and
/// what was meant to be one store is two.
fn tell_stores(peer: &ClusterId, own: &StoreName, greeting: &Greeting, stores: Stores) {
    let theirs: Vec<&str> = greeting.stores.iter().map(StoreName::as_str).collect();
    match stores {
        Stores::Same => {
            tracing::info!(peer = %peer, own = own.as_str(), "identity stores have the same name again");
        }
        Stores::Differ => tracing::error!(
            peer = %peer, own = own.as_str(), ?theirs,
            "identity stores are named differently; sessions do not move to a place where their store is \
             not known"
        ),
    }
}

/// Says which keys the other side cannot open: a cookie sealed with one of them is worth nothing there.
fn tell_keys(peer: &ClusterId, own: &[KeyId], greeting: &Greeting) {
    let missing: Vec<u32> = own
        .iter()
        .filter(|key| !greeting.keys.contains(key))
        .map(|key| key.0)
        .collect();
    if !missing.is_empty() {
        tracing::error!(
            peer = %peer, keys = ?missing,
            "a peer cannot open these keys; cookies are sealed with one that it has, if there is one"
        );
    }
}

/// How long a question of the background waits for its answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// How long a peer that does not answer holds up the telling of others.
const TELL_WAIT: Duration = Duration::from_secs(1);

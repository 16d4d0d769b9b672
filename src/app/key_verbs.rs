//! The keys of the node as those who run it see them and act on them.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use crate::app::key_watch::KeyWatch;
use crate::app::key_watch::Sharing;
use crate::app::key_watch::State;
use crate::app::key_watch::shown;
use crate::crypto::key_ring::KeyFacts;
use crate::logbook::moment::rfc3339_seconds;
use crate::model::id::KeyId;
use crate::model::time::Timestamp;
use crate::ports::keys::KeyLine;
use crate::ports::keys::KeyList;
use crate::ports::keys::Keys;
use crate::ports::keys::KeysError;
use crate::ports::keys::PeerLack;
use crate::ports::keys::Retired;
use crate::ports::keys::Retiring;

/// The keys of a node, to those who run it.
pub(super) struct NodeKeys(pub(super) Arc<KeyWatch>);

#[async_trait]
impl Keys for NodeKeys {
    async fn list(&self) -> Result<KeyList, KeysError> {
        self.with(|watch| Ok(list(watch, &watch.settled()))).await
    }

    async fn rotate(&self) -> Result<KeyList, KeysError> {
        self.with(|watch| {
            refuse_gates(watch)?;
            let mut state = watch.settled();
            if let Some(key) = watch.under_way(&state, watch.clock.now()) {
                return Err(KeysError::UnderWay(shown(key)));
            }
            watch.publish(&mut state).map_err(|error| ring(&error))?;
            Ok(list(watch, &state))
        })
        .await
    }

    async fn retire(&self, which: &Retiring) -> Result<Retired, KeysError> {
        let which = which.clone();
        self.with(move |watch| {
            refuse_gates(watch)?;
            let mut state = watch.settled();
            let gone = match &which {
                Retiring::Unneeded => watch.unneeded(&state, watch.clock.now()),
                Retiring::EvenIfNeeded(key) => vec![idle(watch, named(key)?)?],
                Retiring::Key(key) => vec![unneeded(watch, &state, named(key)?)?],
            };
            if !gone.is_empty() {
                watch
                    .remove(&mut state, &gone)
                    .map_err(|error| ring(&error))?;
            }
            Ok(Retired {
                keys: gone.into_iter().map(shown).collect(),
                left: list(watch, &state),
            })
        })
        .await
    }
}

impl NodeKeys {
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&KeyWatch) -> Result<T, KeysError> + Send + 'static,
    ) -> Result<T, KeysError> {
        let watch = Arc::clone(&self.0);
        let done = spawn_blocking(move || work(&watch)).await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "the work on the key ring broke off");
            Err(KeysError::BrokeOff)
        })
    }
}

fn refuse_gates(watch: &KeyWatch) -> Result<(), KeysError> {
    match watch.sharing {
        Sharing::Alone | Sharing::Others => Ok(()),
        Sharing::Engines => Err(KeysError::Gate),
    }
}

fn ring(error: &anyhow::Error) -> KeysError {
    KeysError::Ring(format!("{error:#}"))
}

fn named(key: &str) -> Result<KeyId, KeysError> {
    let id = u32::from_str_radix(key, 16);
    id.map(KeyId)
        .map_err(|_| KeysError::Ring(format!("there is no key {key} in the ring")))
}

/// A key that does not seal.
fn idle(watch: &KeyWatch, key: KeyId) -> Result<KeyId, KeysError> {
    if watch.ring.seals_with() == key {
        return Err(KeysError::Seals(shown(key)));
    }
    Ok(key)
}

/// A key of which nothing is good any more; whether there is one the ring finds out.
fn unneeded(watch: &KeyWatch, state: &State, key: KeyId) -> Result<KeyId, KeysError> {
    let key = idle(watch, key)?;
    let until = state.ledger.needed_until(key);
    if watch.ring.ids().contains(&key) && until > watch.clock.now() {
        return Err(KeysError::Needed {
            key: shown(key),
            until: rfc3339_seconds(until),
        });
    }
    Ok(key)
}

fn list(watch: &KeyWatch, state: &State) -> KeyList {
    let seals = watch.ring.seals_with();
    let ids = watch.ring.ids();
    let facts = state.file.facts();
    let lines = facts.iter().enumerate().map(|(place, facts)| {
        let stage = match (place, facts.id == seals) {
            (_, true) => "sealing",
            (0, false) => "published",
            (_, false) => "opening",
        };
        line(state, facts, stage)
    });
    let lacking = watch.peers().into_iter().filter_map(|(cluster, said)| {
        let keys = said.opens.map(|opens| {
            let lacking = ids.iter().filter(|key| !opens.contains(key));
            lacking.copied().map(shown).collect::<Vec<_>>()
        });
        let lacks = keys.as_ref().is_none_or(|keys| !keys.is_empty());
        lacks.then(|| PeerLack {
            cluster_id: cluster.to_string(),
            keys,
        })
    });
    KeyList {
        file: watch.path.display().to_string(),
        keys: lines.collect(),
        lacking: lacking.collect(),
        is_shared: watch.sharing == Sharing::Others,
    }
}

fn line(state: &State, facts: &KeyFacts, stage: &str) -> KeyLine {
    let until = state.ledger.needed_until(facts.id);
    let is_known = until < Timestamp::from_millis(u64::MAX);
    let from = facts.seals_from;
    KeyLine {
        key: shown(facts.id),
        stage: stage.to_owned(),
        created: rfc3339_seconds(facts.created),
        seals_from: (from > Timestamp::default()).then(|| rfc3339_seconds(from)),
        uses: state.ledger.uses(facts.id),
        needed_until: is_known.then(|| rfc3339_seconds(until)),
    }
}

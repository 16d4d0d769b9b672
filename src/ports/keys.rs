//! The port by which those who run a node see its keys, make another one, and let old ones go.
//!
//! What is told is plain data that can be sent as JSON; no secret is among it.

use async_trait::async_trait;
use serde::Deserialize;
use serde::Serialize;

/// The keys of a node, to those who run it.
#[async_trait]
pub trait Keys: Send + Sync + 'static {
    /// Tells of the keys.
    ///
    /// # Errors
    /// See [`KeysError`].
    async fn list(&self) -> Result<KeyList, KeysError>;

    /// Makes another key, which opens at once and seals as soon as everybody can open it.
    ///
    /// # Errors
    /// See [`KeysError`]; the ring is as it was then.
    async fn rotate(&self) -> Result<KeyList, KeysError>;

    /// Takes keys out of the ring.
    ///
    /// # Errors
    /// See [`KeysError`]; the ring is as it was then.
    async fn retire(&self, which: &Retiring) -> Result<Retired, KeysError>;
}

/// Why nothing was done about keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// The work broke off.
    #[error("the work broke off; the log says why")]
    BrokeOff,
    /// This gate has the ring of its engines.
    #[error("this gate has the key ring of its engines; rotate there, and copy the file here")]
    Gate,
    /// What the key has sealed may still be good.
    #[error(
        "key {key} may be needed until {until}; before that, users would have to sign in again"
    )]
    Needed {
        /// The key.
        key: String,
        /// Until when, as RFC 3339 has it.
        until: String,
    },
    /// The key seals.
    #[error("key {0} seals, and goes only after another one does; `portway keys rotate` makes one")]
    Seals(String),
    /// The last rotation is still under way.
    #[error("key {0} was made before and does not seal yet; another one is made after it does")]
    UnderWay(String),
    /// The ring cannot be read or written.
    #[error("the key ring cannot be changed: {0}")]
    Ring(String),
}

/// The keys of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    /// The file.
    pub file: String,
    /// The keys, the one that seals or is to first, then the newest first.
    pub keys: Vec<KeyLine>,
    /// Other data centres that cannot open with every key, and those not heard of yet.
    pub lacking: Vec<PeerLack>,
    /// Whether a copy of the file has to be brought to other nodes after a change.
    pub is_shared: bool,
}

/// A key in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyLine {
    /// Its id: eight hex digits.
    pub key: String,
    /// `published` while it only opens because it is new, `sealing`, or `opening` once another one seals.
    pub stage: String,
    /// When it was made, as RFC 3339 has it.
    pub created: String,
    /// Before this it does not seal, as RFC 3339 has it; none where there is no such bound.
    pub seals_from: Option<String>,
    /// How often it has been used on this node at most.
    pub uses: u64,
    /// Until when it may be needed, as RFC 3339 has it; none where that is not known.
    pub needed_until: Option<String>,
}

/// A data centre and the keys that it lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerLack {
    /// The data centre.
    pub cluster_id: String,
    /// The keys that it cannot open with; none where it has not been heard of.
    pub keys: Option<Vec<String>>,
}

/// Which keys are to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retiring {
    /// This one, even if users have to sign in again: it is known to somebody.
    EvenIfNeeded(String),
    /// This one.
    Key(String),
    /// All that are needed no more.
    Unneeded,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retired {
    /// The keys that are gone.
    pub keys: Vec<String>,
    /// The keys that stay.
    pub left: KeyList,
}

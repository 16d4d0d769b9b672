//! The port by which those who run a node see the sessions that it holds, and end them.
//!
//! What is told is plain data that can be sent as JSON. A session is named by the short hash that log lines
//! have; no id of a session is ever among it.

use std::time::Duration;

use async_trait::async_trait;
use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

use crate::model::name::StoreName;
use crate::model::name::UserName;

/// The sessions of a node, to those who run it.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Tells of the sessions that a filter lets through, those that expire last first.
    ///
    /// # Errors
    /// See [`SessionsError`].
    async fn list(&self, filter: &SessionFilter) -> Result<SessionList, SessionsError>;

    /// Tells all there is to tell about one session, or about those of a user.
    ///
    /// # Errors
    /// See [`SessionsError`]; a user without a session is no error.
    async fn show(&self, which: &Chosen) -> Result<Vec<SessionDetail>, SessionsError>;

    /// Ends sessions wherever they are, as a sign-out would; streams are closed with them.
    ///
    /// # Errors
    /// See [`SessionsError`]; nothing has been ended then.
    async fn end(&self, which: &Doomed) -> Result<EndedSessions, SessionsError>;
}

/// Why nothing is told of sessions, and none was ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionsError {
    /// A defect: the work ended before it was done.
    #[error("the work broke off; the log says why")]
    BrokeOff,
    /// Another process is taking over from this one.
    #[error("sessions are being handed over to another process; try again in a moment")]
    HandingOver,
    /// This gate has no engine.
    #[error("this node holds no sessions; ask an engine node")]
    NoEngine,
    /// There is no identity store to take a user from.
    #[error("name the identity store of the user: this node has no users of its own")]
    NoStore,
    /// Records of an earlier process are still being taken up.
    #[error("sessions of before the start are still being read; try again in a moment")]
    Loading,
    /// No session has this short hash.
    #[error("there is no session {0}; it may have ended, or be in another data centre")]
    Unknown(ShortHash),
}

/// The short hash of a session, as in log lines: twelve hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ShortHash(String);

/// The text is no short hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session is named by the 12 hex digits that log lines and `portway sessions list` show")]
pub struct NotAHash;

impl ShortHash {
    /// Reads a short hash, in lower or upper case.
    ///
    /// # Errors
    /// When it is not twelve hex digits.
    pub fn parse(text: &str) -> Result<Self, NotAHash> {
        let fits = text.len() == HASH_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
        fits.then(|| Self(text.to_ascii_lowercase()))
            .ok_or(NotAHash)
    }

    /// The hash as text, in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ShortHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ShortHash {
    type Error = NotAHash;

    fn try_from(text: String) -> Result<Self, NotAHash> {
        Self::parse(&text)
    }
}

impl From<ShortHash> for String {
    fn from(hash: ShortHash) -> Self {
        hash.0
    }
}

/// A user of an identity store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The user, in any spelling that the store knows.
    pub user: UserName,
    /// The store; by default the one that users of this node sign in with.
    pub store: Option<StoreName>,
}

/// Which sessions are told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFilter {
    /// Those of a user.
    pub subject: Option<Subject>,
    /// Those that began from this network.
    pub network: Option<IpNet>,
    /// Those that were not used for longer than this.
    pub idle_longer_than: Option<Duration>,
    /// How many at most.
    pub limit: usize,
}

/// The most sessions that one answer tells of.
pub const SESSIONS_MAX: usize = 100_000;

/// One session, or those of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// The one of this short hash.
    Session(ShortHash),
    /// All of a user.
    Subject(Subject),
}

/// Which sessions are ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doomed {
    /// Every session that this data centre knows of.
    All,
    /// The one of this short hash.
    Session(ShortHash),
    /// Everything that a user authenticated so far, in every data centre.
    Subject(Subject),
}

/// Sessions that a filter lets through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionList {
    /// The sessions, those that expire last first.
    pub sessions: Vec<SessionLine>,
    /// Whether there are more than were asked for.
    pub more: bool,
    /// Whether sessions of before the start are still being read, and missing here.
    pub loading: bool,
}

/// A session in a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionLine {
    /// The short hash of its id, as in log lines.
    pub session: String,
    /// Whose it is.
    pub user: String,
    /// The identity store that knows the user.
    pub store: String,
    /// How surely the user was authenticated.
    pub level: u8,
    /// When it began, as RFC 3339 has it.
    pub since: String,
    /// The last access that is known here, as RFC 3339 has it.
    pub last_access: String,
    /// How long ago that is.
    pub idle_seconds: u64,
    /// When it ends whatever happens, as RFC 3339 has it.
    pub expires: String,
    /// The address that signed in.
    pub address: String,
    /// What this data centre has of it: `live`, `moved`, `pending` or `ended`.
    pub state: String,
    /// The data centre that holds it, as far as is known here.
    pub held_by: String,
}

/// All there is to tell about a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionDetail {
    /// What a line tells.
    #[serde(flatten)]
    pub line: SessionLine,
    /// Since when this data centre has held it, as RFC 3339 has it.
    pub held_since: String,
    /// When its level was reached, as RFC 3339 has it.
    pub level_since: String,
    /// How often it was taken over by another data centre.
    pub generation: u32,
    /// The other data centres that it has been in, the latest last.
    pub data_centres: Vec<String>,
    /// The application hosts that it was used at, in the order of the first visits.
    pub hosts: Vec<String>,
    /// The groups of the user.
    pub groups: Vec<String>,
}

/// What came of ending sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedSessions {
    /// How many stood here.
    pub ended: usize,
    /// Whether every end would survive a crash; if not, they hold in memory and are written later.
    pub durable: bool,
    /// The other data centres that had not confirmed when this was said. They are told all the same.
    pub unconfirmed: Vec<String>,
    /// Whether the identity store of this node has no such user; none where that is not known.
    #[serde(default)]
    pub is_unknown: Option<bool>,
}

const HASH_DIGITS: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_hash_is_twelve_hex_digits() {
        assert_eq!(
            ShortHash::parse("5F0C9A61B2D3").unwrap().as_str(),
            "5f0c9a61b2d3"
        );
        for none in ["", "5f0c9a61b2d", "5f0c9a61b2d33", "5f0c9a61b2dg"] {
            assert_eq!(ShortHash::parse(none), Err(NotAHash));
        }
    }
}
